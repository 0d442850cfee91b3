package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFraming: what a handler does, and how exactly it leaves.
func TestFraming(t *testing.T) {
	leaves(t)
	big := strings.Repeat("b", outSize+1)
	write := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
	}
	head := func(status int, key, value, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(key, value)
			w.WriteHeader(status)
			io.WriteString(w, text)
		}
	}
	trailing := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, text)
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}
	}
	flushed := func(texts ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for _, text := range texts {
				io.WriteString(w, text)
				w.(http.Flusher).Flush()
			}
		}
	}
	const get1, head1, get0 = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"
	const end = "Connection: close\r\n\r\n"
	tests := []struct {
		name, request string
		handler       http.HandlerFunc
		want          string
	}{
		{"nothing", get1, write(""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + end},
		{"short gets a length", get1, write("abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + end + "abc"},
		{"length kept", get1, head(200, "Content-Length", "3", "abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + end + "abc"},
		{"length kept on a long one", get1, head(200, "Content-Length", fmt.Sprint(len(big)), big), fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n", len(big)) + end + big},
		{"long is chunked", get1, write(big), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + end + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big)},
		{"flushed is chunked", get1, flushed("a", "bc"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + end + "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"},
		{"flushed empty", get1, flushed(""), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + end + "0\r\n\r\n"},
		{"error", get1, head(409, "X-A", "b", "no"), "HTTP/1.1 409 Conflict\r\nX-A: b\r\nContent-Length: 2\r\n" + end + "no"},
		{"1.0 short", get0, write("abc"), "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n" + end + "abc"},
		{"1.0 long ends with the connection", get0, flushed("a", "bc"), "HTTP/1.0 200 OK\r\n" + end + "abc"},
		{"HEAD with length", head1, head(200, "Content-Length", "5", "hello"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + end},
		{"HEAD without", head1, write("hello"), "HTTP/1.1 200 OK\r\n" + end},
		{"204", get1, head(204, "Content-Length", "0", ""), "HTTP/1.1 204 No Content\r\n" + end},
		{"304 has no body", get1, head(304, "Etag", "x", "never"), "HTTP/1.1 304 Not Modified\r\nEtag: x\r\n" + end},
		{"trailers", get1, trailing(big), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + end + fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", len(big), big)},
		{"trailers of a short one", get1, trailing("abc"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + end + "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"trailers to 1.0 are left out", get0, trailing("abc"), "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n" + end + "abc"},
		{"handler's own framing is not taken", get1, head(200, "Transfer-Encoding", "gzip", "abc"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + end + "abc"},
		{"line ends in values", get1, head(200, "X-A", "b\r\nX-C: d", ""), "HTTP/1.1 200 OK\r\nX-A: b  X-C: d\r\nContent-Length: 0\r\n" + end},
		{"close of the handler's", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", head(200, "Connection", "close", ""), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + end},
		{"much is held back, then more comes, on TLS", get1, func(w http.ResponseWriter, _ *http.Request) {
			w.(*response).c.tls = &tls.ConnectionState{}
			io.WriteString(w, big[:outSize-10])
			io.WriteString(w, big[:100])
		}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + end + fmt.Sprintf("%x\r\n%s\r\n64\r\n%s\r\n0\r\n\r\n", outSize-10, big[:outSize-10], big[:100])},
		{"more than the length", get1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "abc")
			if n, err := io.WriteString(w, "d"); n != 0 || err != http.ErrContentLength {
				t.Errorf("wrote %d, %v", n, err)
			}
		}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + end + "abc"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := serve(t, "unix", test.handler).ask(t, test.request)
			// The order of fields is a map's.
			if sorted(got) != sorted(test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func sorted(answer string) string {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	for i := range lines {
		for j := 1; j < i; j++ {
			if lines[i] < lines[j] {
				lines[i], lines[j] = lines[j], lines[i]
			}
		}
	}
	return strings.Join(lines, "\n") + "\n\n" + body
}

// TestCutAnswers: an answer that breaks off never passes for a whole one.
func TestCutAnswers(t *testing.T) {
	leaves(t)
	for _, network := range []string{"unix", "tcp"} {
		s := serve(t, network, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/length" || r.URL.Path == "/short" {
				w.Header().Set("Content-Length", "10")
			}
			io.WriteString(w, "abc")
			if r.URL.Path == "/short" {
				return
			}
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		for _, test := range []struct{ path, proto string }{{"/length", "1.1"}, {"/short", "1.1"}, {"/chunked", "1.1"}, {"/length", "1.0"}, {"/", "1.0"}} {
			if network == "unix" && test.path == "/" {
				continue // a unix socket has no reset, and HTTP/1.0 no other framing
			}
			t.Run(network+test.path+" "+test.proto, func(t *testing.T) {
				c := s.dial(t)
				fmt.Fprintf(c, "GET %s HTTP/%s\r\nHost: x\r\n\r\n", test.path, test.proto)
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					if errors.Is(err, syscall.ECONNRESET) {
						return // it can overtake what was sent
					}
					t.Fatal(err)
				}
				if got, err := io.ReadAll(resp.Body); err == nil {
					t.Errorf("%q passes for the whole", got)
				}
			})
		}
	}
}

// TestLastChunk: the end of a chunked answer is written once, with the trailers
// if there are any, and nothing behind it.
func TestLastChunk(t *testing.T) {
	long := strings.Repeat("x", 2*bulk)
	piece := fmt.Sprintf("%x\r\n%s\r\n", len(long), long)
	for _, test := range []struct {
		name          string
		trailer, last bool
		then          string
		want          string // behind the pieces
	}{
		{"with it", false, true, "", "0\r\n\r\n"},
		{"later", false, false, "", "0\r\n\r\n"},
		{"later, with more", false, false, "more", "4\r\nmore\r\n1\r\na\r\n0\r\n\r\n"},
		{"trailer", true, true, "", "0\r\nX-A: 1\r\n\r\n"},
		{"nothing behind it", false, true, "more", "0\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
				if test.trailer {
					w.Header().Set(http.TrailerPrefix+"X-A", "1")
				}
				w.WriteHeader(200)
				k := w.(ChunkWriter)
				for _, last := range []bool{false, test.last} {
					if err := k.WriteChunks([]byte(piece), int64(len(long)), last); err != nil {
						t.Error(err)
					}
				}
				if test.then == "" {
					return
				}
				_, err := io.WriteString(w, test.then)
				again := k.WriteChunks([]byte("1\r\na\r\n"), 1, false)
				if test.last != (err == errEnded) || test.last != (again == errEnded) {
					t.Errorf("writing on: %v, %v", err, again)
				}
			})
			c := s.dial(t)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			all, err := io.ReadAll(c)
			_, got, _ := strings.Cut(string(all), "\r\n\r\n")
			if err != nil || got != piece+piece+test.want {
				t.Errorf("%v, behind the pieces %q, want %q", err, strings.ReplaceAll(got, piece, ""), test.want)
			}
		})
	}
}

// TestFlushedHead: a head is with the caller before there is a body, also
// behind writers that ResponseController unwraps.
func TestFlushedHead(t *testing.T) {
	goOn := make(chan struct{})
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "b")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-goOn
		io.WriteString(w, "late")
	})
	c := s.dial(t)
	io.WriteString(c, get)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.Header.Get("X-A") != "b" {
		t.Fatal(err)
	}
	close(goOn)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "late" {
		t.Errorf("got %q, %v", body, err)
	}
}

// TestFullDuplex: a body is read while its answer is written.
func TestFullDuplex(t *testing.T) {
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 10)
		for {
			n, err := r.Body.Read(buf)
			w.Write(bytes.ToUpper(buf[:n]))
			control.Flush()
			if err != nil {
				return
			}
		}
	})
	c := s.dial(t)
	r := bufio.NewReader(c)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A", "B", "C"} {
		got := make([]byte, 1)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v", got, err)
		}
		if want != "C" {
			fmt.Fprintf(c, "1\r\n%c\r\n", want[0]+'b'-'A')
		}
	}
	io.WriteString(c, "0\r\n\r\n")
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	if _, body := answer(t, r, "POST"); body != "X" {
		t.Errorf("the next one got %q", body)
	}
}

// TestHijack: bytes that came behind the request are the taker's, whoever has
// read them ahead, and no deadline is left.
func TestHijack(t *testing.T) {
	for _, watched := range []bool{false, true} {
		t.Run(fmt.Sprintf("watched %v", watched), func(t *testing.T) {
			leaves(t)
			contexts := make(chan context.Context, 1)
			s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				control.SetReadDeadline(time.Now().Add(time.Hour))
				if watched {
					r.Context().Done()
					w := w.(*response)
					eventually(t, "the watcher reads ahead", func() bool { w.ctx.mu.Lock(); defer w.ctx.mu.Unlock(); return w.ctx.watch != nil })
				}
				c, _, err := control.Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if _, _, err := control.Hijack(); err == nil {
					t.Error("hijacked twice")
				}
				if _, err := w.Write(nil); err != http.ErrHijacked {
					t.Errorf("writing gives %v", err)
				}
				if r.Context().Err() != nil {
					t.Error("its context is done while its handler runs")
				}
				select {
				case <-r.Context().Done():
					t.Error("its context is done when asked")
				default:
				}
				contexts <- r.Context()
				io.Copy(c, c)
			})
			c := s.dial(t)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nbehind")
			got := make([]byte, 6)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "behind" {
				t.Fatalf("got %q, %v", got, err)
			}
			io.WriteString(c, ", later")
			c.CloseWrite()
			if got, err := io.ReadAll(c); err != nil || string(got) != ", later" {
				t.Errorf("got %q, %v", got, err)
			}
			<-(<-contexts).Done() // the handler has returned
		})
	}
}

func TestHijackAfterTheAnswerBegan(t *testing.T) {
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		_, _, err := w.(http.Hijacker).Hijack()
		fmt.Fprint(w, err)
	})
	if got := s.ask(t, "GET / HTTP/1.0\r\n\r\n"); !strings.Contains(got, "hijack after the answer has begun") {
		t.Errorf("got %q", got)
	}
}

func TestClock(t *testing.T) {
	at, err := http.ParseTime(now())
	if err != nil || time.Since(at) > 2*time.Second || now() == "" {
		t.Errorf("%v, %v", at, err)
	}
}

// TestContinue: what a handler leaves to be done is done once it has returned,
// and the connection goes on behind it as behind any other answer.
func TestContinue(t *testing.T) {
	leaves(t)
	returned, proceed := make(chan struct{}, 10), make(chan struct{})
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		k := w.(interface{ Continue(func() error) bool })
		defer func() { returned <- struct{}{} }()
		switch r.URL.Path {
		case "/stream":
			w.(http.Flusher).Flush()
			k.Continue(func() error {
				<-returned
				<-proceed
				if r.Context().Err() != nil {
					t.Error("the request is over before its answer")
				}
				io.WriteString(w, "late")
				return nil
			})
		case "/hijacked":
			c, _, _ := w.(http.Hijacker).Hijack()
			k.Continue(func() error {
				<-returned
				io.WriteString(c, "raw")
				return c.Close()
			})
		case "/cut":
			w.Header().Set("Content-Length", "9")
			io.WriteString(w, "some")
			k.Continue(func() error { return errors.New("no more") })
		case "/panic":
			k.Continue(func() error { panic("late") })
		case "/handler":
			k.Continue(func() error { t.Error("goes on though the handler has panicked"); return nil })
			panic(http.ErrAbortHandler)
		default:
			io.WriteString(w, "next")
		}
	})
	c := s.dial(t)
	r := bufio.NewReader(c)
	for range 20 {
		io.WriteString(c, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"+get)
		proceed <- struct{}{}
		if _, body := answer(t, r, "GET"); body != "late" {
			t.Errorf("got %q", body)
		}
		if _, body := answer(t, r, "GET"); body != "next" {
			t.Errorf("got %q", body)
		}
		<-returned
	}
	c.Close()
	if got := s.ask(t, "GET /hijacked HTTP/1.1\r\nHost: x\r\n\r\n"); got != "raw" {
		t.Errorf("got %q", got)
	}
	for _, path := range []string{"/cut", "/panic", "/handler"} {
		if got := s.ask(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); strings.HasSuffix(got, "\r\n\r\n") && got != "" {
			t.Errorf("%s: got %q", path, got)
		}
	}
	eventually(t, "no connection is known any more", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) == 0 })
}

// TestShutdownWaitsForWhatGoesOn, as for handlers.
func TestShutdownWaitsForWhatGoesOn(t *testing.T) {
	begun, proceed := make(chan struct{}), make(chan struct{})
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		w.(interface{ Continue(func() error) bool }).Continue(func() error {
			close(begun)
			<-proceed
			return nil
		})
	})
	c := s.dial(t)
	io.WriteString(c, get)
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("it did not wait: %v", err)
	}
	close(proceed)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTakeHeader: a header that is taken over goes before what was set, and what
// is set afterwards before both.
func TestTakeHeader(t *testing.T) {
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/set" {
			w.Header()["A"], w.Header()["B"] = []string{"own"}, []string{"own"}
		}
		h := http.Header{"A": {"taken"}, "C": {"taken"}, "D": {"taken"}, "Content-Length": {"2"}}
		if !w.(interface{ TakeHeader(http.Header) bool }).TakeHeader(h) {
			t.Error("it was not taken")
		}
		w.Header()["D"] = []string{"late"}
		io.WriteString(w, "ok")
	})
	for path, want := range map[string]string{
		"/":    "HTTP/1.0 200 OK\nA: taken\nC: taken\nConnection: close\nContent-Length: 2\nD: late\n\nok",
		"/set": "HTTP/1.0 200 OK\nA: taken\nB: own\nC: taken\nConnection: close\nContent-Length: 2\nD: late\n\nok",
	} {
		if got := sorted(s.ask(t, "GET "+path+" HTTP/1.0\r\n\r\n")); got != want {
			t.Errorf("got %q\nwant %q", got, want)
		}
	}
}
