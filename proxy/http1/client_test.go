package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"
)

// far is an Engine of one test: it takes connections on a socket and leaves
// what happens on them to the test.
type far struct {
	Transport
	l net.Listener
}

func newFar(t testing.TB, network string) *far {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	f := &far{l: l}
	f.Dial = func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
	}
	t.Cleanup(func() { l.Close(); f.CloseIdle() })
	return f
}

// accept waits for the next connection.
func (f *far) accept(t testing.TB) half {
	t.Helper()
	c, err := f.l.Accept()
	if err != nil { // the test is over
		runtime.Goexit()
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c.(half)
}

// script accepts one connection and answers the requests on it in turn; it
// gives what was sent. An answer of "" hangs up.
func (f *far) script(t testing.TB, answers ...string) <-chan string {
	got := make(chan string, len(answers))
	go func() {
		c := f.accept(t)
		r := bufio.NewReader(c)
		for _, a := range answers {
			got <- head(r)
			if a == "" {
				c.Close()
				return
			}
			io.WriteString(c, a)
		}
	}()
	return got
}

// head reads up to the empty line.
func head(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

func request(method string, body io.Reader, length int64) *http.Request {
	r := &http.Request{Method: method, URL: &url.URL{Opaque: "/a%2Fb", RawQuery: "q=1"}, Host: "docker", Header: http.Header{}, Body: http.NoBody, ContentLength: length}
	if body != nil {
		r.Body = io.NopCloser(body)
	}
	return r
}

// fixed is a body that stands in memory, as documents do.
func fixed(method, text string) *http.Request {
	r := request(method, strings.NewReader(text), int64(len(text)))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	return r
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func nothing() {}

// send sends r and gives the answer's body.
func (f *far) send(t testing.TB, r *http.Request) string {
	t.Helper()
	a, err := f.Send(r, false, nothing)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var b strings.Builder
	if err := a.CopyTo(&b, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRequestsAsSent: what stands on the wire, to the byte.
func TestRequestsAsSent(t *testing.T) {
	for _, test := range []struct {
		name string
		r    *http.Request
		want string // behind the request line and the host
	}{
		{"GET", request("GET", nil, 0), "\r\n"},
		{"HEAD", request("HEAD", nil, 0), "\r\n"},
		{"DELETE", request("DELETE", nil, 0), "\r\n"},
		{"empty POST has a length and no chunks", request("POST", nil, 0), "Content-Length: 0\r\n\r\n"},
		{"empty PUT", request("PUT", nil, 0), "Content-Length: 0\r\n\r\n"},
		{"document", fixed("POST", "{}"), "Content-Length: 2\r\n\r\n{}"},
		{"stream of a length", request("PUT", strings.NewReader("abc"), 3), "Content-Length: 3\r\n\r\nabc"},
		{"stream without", request("POST", strings.NewReader("abc"), -1), "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaves(t)
			f := newFar(t, "unix")
			sent := make(chan string)
			go func() {
				c := f.accept(t)
				want := make([]byte, len(test.r.Method+" /a%2Fb?q=1 HTTP/1.1\r\nHost: docker\r\n"+test.want))
				io.ReadFull(c, want)
				io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				more, _ := io.ReadAll(c)
				sent <- string(append(want, more...))
			}()
			f.send(t, test.r)
			if got, want := <-sent, test.r.Method+" /a%2Fb?q=1 HTTP/1.1\r\nHost: docker\r\n"+test.want; got != want {
				t.Errorf("sent %q\nwant %q", got, want)
			}
		})
	}
}

// TestAnswerBodies: what comes, to writers that take chunks as they are and to
// those that do not, and whether the connection serves another request
// afterwards.
func TestAnswerBodies(t *testing.T) {
	big := strings.Repeat("b", 100_000)
	for _, test := range []struct {
		name, method, answer string
		want                 string // "!" begins what is cut
		kept                 bool
	}{
		{"length", "GET", ok, "ok", true},
		{"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n", "ok", true},
		{"chunked, empty", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", true},
		{"chunked, empty, with a trailer", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n", "", true},
		{"large", "GET", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(big), big), big, true},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", true},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n", "", true},
		{"304 with length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", true},
		{"204", "POST", "HTTP/1.1 204 No Content\r\n\r\n", "", true},
		{"interim answers first", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + ok, "ok", true},
		{"to the end", "GET", "HTTP/1.1 200 OK\r\n\r\nall of it\x00", "all of it\x00", false},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "ok", false},
		{"1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false},
		{"more than was asked for", "GET", ok + "HTTP/1.1 200 OK\r\n", "ok", false},
		{"cut", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "!ok", false},
		{"cut chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", "!ok", false},
		{"cut before a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "!", false},
		{"no last chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "!ok", false},
		{"bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokok\r\n", "!ok", false},
	} {
		try := func(t *testing.T, w io.Writer, text func() string) {
			leaves(t)
			f := newFar(t, "unix")
			hungUp := make(chan struct{})
			go func() {
				defer close(hungUp)
				c := f.accept(t)
				head(bufio.NewReader(c))
				io.WriteString(c, test.answer)
				if !test.kept {
					c.CloseWrite()
					io.Copy(io.Discard, c)
				}
			}()
			a, err := f.Send(request(test.method, nil, 0), false, nothing)
			if err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(10*time.Second, a.Cut).Stop() // rather than wait for ever
			err = a.CopyTo(w, func() error { return nil })
			want, cut := strings.CutPrefix(test.want, "!")
			if text() != want || (err != nil) != cut {
				t.Errorf("got %.100q, %v", text(), err)
			}
			var caller *CallerError
			if errors.As(err, &caller) {
				t.Errorf("the Engine's fault is called the caller's: %v", err)
			}
			a.Close()
			a.Close() // again, as a deferred one may
			if kept := len(f.idle) == 1; kept != test.kept {
				t.Errorf("kept: %v", kept)
			}
			if !test.kept {
				<-hungUp // closed here, or the read there would wait
			}
		}
		t.Run(test.name, func(t *testing.T) {
			var b bytes.Buffer
			try(t, &b, b.String)
		})
		t.Run(test.name+", as chunks", func(t *testing.T) {
			var p passed
			try(t, &p, func() string {
				if !strings.Contains(test.answer, "chunked") {
					return p.String()
				}
				end := "0\r\n\r\n" // which is not among what is passed
				if strings.HasPrefix(test.want, "!") {
					end = ""
				}
				text, _, _, _ := readChunked([]byte(p.String()+end), 4096)
				return string(text)
			})
		})
	}
}

func TestBadAnswers(t *testing.T) {
	for _, test := range []struct{ name, answer, want string }{
		{"nothing", "", "closed the connection without an answer"},
		{"no HTTP", "SSH-2.0\r\n\r\n", "no HTTP/1.1"},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n", "no HTTP/1.1"},
		{"head cut", "HTTP/1.1 200 OK\r\nContent-", "unexpected EOF"},
		{"head too large", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", MaxHead), "its head is over"},
		{"switches though nobody asked", "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n", "switches protocols"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaves(t)
			f := newFar(t, "unix")
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c := f.accept(t)
				head(bufio.NewReader(c))
				io.WriteString(c, test.answer)
				c.CloseWrite()
				io.Copy(io.Discard, c) // ends when the connection is closed there
			}()
			_, err := f.Send(request("POST", nil, 0), false, nothing)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
			<-ended
		})
	}
}

// TestCallerGoneWhileWaiting: a request is given up with its context, before
// the head and in the middle of the body, and the connection is closed.
func TestCallerGoneWhileWaiting(t *testing.T) {
	for _, begun := range []string{"", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"} {
		t.Run(fmt.Sprintf("%.12q", begun), func(t *testing.T) {
			leaves(t)
			f := newFar(t, "unix")
			ctx, cancel := context.WithCancel(context.Background())
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				c := f.accept(t)
				r := bufio.NewReader(c)
				head(r)
				io.WriteString(c, begun)
				time.AfterFunc(3*patience, cancel)
				r.ReadByte()
			}()
			a, err := f.Send(request("POST", nil, 0).WithContext(ctx), false, nothing)
			if err == nil {
				err = a.CopyTo(io.Discard, func() error { return nil })
				a.Close()
			} else if err != context.Canceled {
				t.Errorf("got %v", err)
			}
			if err == nil {
				t.Error("it ended well")
			}
			<-closed
			if len(f.idle) != 0 {
				t.Error("the connection was kept")
			}
		})
	}
}

// TestPatienceLeavesNoDeadline: connections whose answers were waited for
// serve slow requests afterwards.
func TestPatienceLeavesNoDeadline(t *testing.T) {
	leaves(t)
	f := newFar(t, "unix")
	go func() {
		c := f.accept(t)
		r := bufio.NewReader(c)
		for range 4 {
			head(r)
			time.Sleep(2 * patience)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
			time.Sleep(2 * patience)
			io.WriteString(c, "k")
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 4 {
		if got := f.send(t, request("GET", nil, 0).WithContext(ctx)); got != "ok" {
			t.Errorf("got %q", got)
		}
	}
}

// TestFlushesBeforeWaiting: what has come is passed on before more is waited
// for, and not for each piece of what is in hand.
func TestFlushesBeforeWaiting(t *testing.T) {
	f := newFar(t, "unix")
	goOn := make(chan struct{})
	go func() {
		c := f.accept(t)
		head(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n")
		<-goOn
		io.WriteString(c, "1\r\nc\r\n0\r\n\r\n")
	}()
	a, err := f.Send(request("GET", nil, 0), false, nothing)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var b bytes.Buffer
	var flushed []string
	err = a.CopyTo(&b, func() error {
		if flushed = append(flushed, b.String()); b.String() == "ab" {
			close(goOn)
		}
		return nil
	})
	if err != nil || b.String() != "abc" || len(flushed) > 3 {
		t.Errorf("got %q, %v, flushed %q", b.String(), err, flushed)
	}
}

// TestCallerTakesNoMore: failing writes and flushes are the caller's.
func TestCallerTakesNoMore(t *testing.T) {
	no := errors.New("no")
	for _, test := range []struct {
		w     io.Writer
		flush error
	}{{errWriter{no}, nil}, {io.Discard, no}} {
		f := newFar(t, "unix")
		f.script(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
		a, err := f.Send(request("GET", nil, 0), false, nothing)
		if err != nil {
			t.Fatal(err)
		}
		var caller *CallerError
		if err := a.CopyTo(test.w, func() error { return test.flush }); !errors.As(err, &caller) || !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
		a.Close()
	}
}

type errWriter struct{ error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.error }

func TestTrailersOfAnswers(t *testing.T) {
	f := newFar(t, "unix")
	f.script(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n")
	a, err := f.Send(request("GET", nil, 0), false, nothing)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.CopyTo(io.Discard, func() error { return nil }); err != nil || a.Trailer.Get("X-Sum") != "1" {
		t.Errorf("%v, %v", a.Trailer, err)
	}
}
