package terminal

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// answers is an Engine that answers one request on each connection with these
// bytes, and keeps what it was asked.
func answers(t *testing.T, answer string) (*engine, func() string) {
	asked := make(chan string, 1)
	e := newEngine(func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			far.SetDeadline(time.Now().Add(10 * time.Second))
			buf := make([]byte, 64<<10)
			n, _ := far.Read(buf)
			for n > 0 && !strings.Contains(string(buf[:n]), "\r\n\r\n") {
				k, err := far.Read(buf[n:])
				if n += k; err != nil {
					break
				}
			}
			asked <- string(buf[:n])
			io.WriteString(far, answer)
		}()
		return near, nil
	}, "")
	e.version = "1.41"
	return e, func() string { return <-asked }
}

// TestHijack takes both answers of Engines, with what comes in the same breath.
func TestHijack(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		tty          bool
		want         string
		status       int
		words        string
	}{
		{"101", "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello", true, "hello", 0, ""},
		{"200", "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nhello", true, "hello", 0, ""},
		{"101, no terminal", "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + muxed(1, "hello") + muxed(0, "") + muxed(2, " you"), false, "hello you", 0, ""},
		{"JSON", "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"message\":\"not running\"}\n", true, "", 409, "not running"},
		{"text", "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nNo such container: x\r\n", true, "", 404, "No such container: x"},
		{"nothing", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", true, "", 500, "500 Internal"},
		{"another protocol", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, "", 502, "200 OK"},
		{"a redirect", "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", true, "", 502, "301"},
		{"a hangup", "", true, "", 502, "cannot be reached"},
		{"garbage", "hello\r\n\r\n", true, "", 502, "cannot be reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, asked := answers(t, test.answer)
			s, err := e.hijack(t.Context(), "/exec/x/start", nil, execStart{Tty: test.tty}, test.tty)
			if got := asked(); !strings.HasPrefix(got, "POST /v1.41/exec/x/start HTTP/1.1\r\n") || !strings.Contains(got, "Upgrade: tcp\r\n") || !strings.Contains(got, "Content-Length:") {
				t.Errorf("asked %q", got)
			}
			if test.status != 0 {
				var known *Error
				if !errors.As(err, &known) || known.Status != test.status || !strings.Contains(known.Message, test.words) {
					t.Errorf("%#v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var out []byte
			for {
				p, _, err := s.next()
				if out = append(out, p...); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if string(out) != test.want {
				t.Errorf("%q, want %q", out, test.want)
			}
		})
	}
}

// TestHijackGivenUp does not wait for an Engine that says nothing.
func TestHijackGivenUp(t *testing.T) {
	e := newEngine(func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		return near, nil
	}, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var known *Error
	if _, err := e.hijack(ctx, "/x", nil, nil, true); !errors.As(err, &known) || known.Status != http.StatusGatewayTimeout {
		t.Errorf("%#v", err)
	}
}

// TestStreamFrames reads frames in any pieces, and says what is wrong with
// them.
func TestStreamFrames(t *testing.T) {
	for _, test := range []struct{ name, in, out, err, fault string }{
		{"both", muxed(1, "o1") + muxed(2, "e1") + muxed(1, "o2"), "o1o2", "e1", ""},
		{"the Engine's", muxed(3, "broken"), "", "broken", ""},
		{"empty", muxed(1, "") + muxed(1, "x"), "x", "", ""},
		{"cut in a head", muxed(1, "x") + "\x01\x00", "x", "", "unexpected EOF"},
		{"cut in a frame", muxed(1, "xyz")[:10], "xy", "", "unexpected EOF"},
		{"raw", "\x00hello there", "", "", "no frames"},
		{"another type", muxed(9, "x"), "", "", "unknown type 9"},
		{"long", muxed(1, strings.Repeat("x", 100_000)), strings.Repeat("x", 100_000), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			near, far := net.Pipe()
			go func() {
				for p := []byte(test.in)[len(test.in)/3:]; len(p) > 0; {
					n, _ := far.Write(p[:min(len(p), 1000)])
					p = p[n:]
				}
				far.Close()
			}()
			s := newStream(near, []byte(test.in)[:len(test.in)/3], false)
			var out, errs []byte
			var fault error
			for fault == nil {
				p, kind, err := s.next()
				if fault = err; kind == Stderr {
					errs = append(errs, p...)
				} else {
					out = append(out, p...)
				}
			}
			if string(out) != test.out || string(errs) != test.err {
				t.Errorf("%q and %q", out, errs)
			}
			if test.fault == "" && fault != io.EOF || !strings.Contains(fault.Error(), test.fault) {
				t.Errorf("fault %v, want %q", fault, test.fault)
			}
		})
	}
}

func TestNegotiate(t *testing.T) {
	for version, want := range map[string]string{"1.41": "1.41", "1.44": "1.44", "1.99": "1.47", "1.12": "", "2.0": "", "": ""} {
		e, _ := answers(t, "HTTP/1.1 200 OK\r\nApi-Version: "+version+"\r\nContent-Length: 2\r\n\r\nOK")
		e.version = ""
		if err := e.negotiate(t.Context()); (err == nil) != (want != "") || e.version != want {
			t.Errorf("%q: %q, %v", version, e.version, err)
		}
	}
}

// TestEngineName reaches engines by their prefix, whatever they are called.
func TestEngineName(t *testing.T) {
	e := newEngine(nil, "a/../b")
	e.version = "1.41"
	if got := e.target("/containers/"+pathOf("x/../y?z")+"/json", nil); got != "/engines/a%2F..%2Fb/v1.41/containers/x%2F..%2Fy%3Fz/json" {
		t.Error(got)
	}
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		name       string
		env, image []string
		tty        bool
		want       []string
	}{
		{"nothing set", nil, nil, true, []string{"TERM=xterm-256color", "COLORTERM=truecolor", "LANG=C.UTF-8"}},
		{"no terminal", nil, nil, false, []string{"LANG=C.UTF-8"}},
		{"the image's", nil, []string{"LANG=de_DE.UTF-8", "TERM=dumb", "COLORTERM=x"}, true, []string{"TERM=xterm-256color"}},
		{"the image's other names", nil, []string{"LC_ALL=C"}, false, nil},
		{"the caller's", []string{"TERM=vt100", "LANG=C", "A=b"}, nil, true, []string{"COLORTERM=truecolor", "TERM=vt100", "LANG=C", "A=b"}},
	} {
		if got := environment(test.env, test.image, test.tty); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestVolumeName(t *testing.T) {
	seen := map[string]string{}
	for _, user := range []string{"alice", "Alice", "a b", "a_20b", "a.b", "../x", "用户", "a@b"} {
		name := volumeName(user)
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q share %s", user, other, name)
		}
		if seen[name] = user; strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "" {
			t.Errorf("%q is no name of a volume", name)
		}
	}
}

func TestPullQuery(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for image, want := range map[string][2]string{
		"busybox":                 {"docker.io/library/busybox", "latest"},
		"busybox:1":               {"docker.io/library/busybox", "1"},
		"ghcr.io/a/b:v2":          {"ghcr.io/a/b", "v2"},
		"ghcr.io/a/b@" + digest:   {"ghcr.io/a/b", digest},
		"ghcr.io/a/b:1@" + digest: {"ghcr.io/a/b", digest},
		"localhost:5000/x":        {"localhost:5000/x", "latest"},
		"localhost:5000/x:y":      {"localhost:5000/x", "y"},
	} {
		q, err := pullQuery(image)
		if err != nil || q.Get("fromImage") != want[0] || q.Get("tag") != want[1] {
			t.Errorf("%s: %v, %v", image, q, err)
		}
	}
	// Each of them would be all tags of an image, or another image.
	for _, image := range []string{"", "busybox:", "busybox::1", "busybox@", "busybox@latest", ":1", "@" + digest} {
		if q, err := pullQuery(image); err == nil {
			t.Errorf("%q is asked for as %v", image, q)
		}
	}
}
