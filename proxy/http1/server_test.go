package http1

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// site is a Server at work.
type site struct {
	*Server
	network, address string
}

// serve runs a Server on network, "unix" or "tcp", until the test ends.
func serve(t testing.TB, network string, h http.HandlerFunc, set ...func(*Server)) *site {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "h") // t.TempDir may be longer than a socket's path
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		address = filepath.Join(dir, "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Server: &Server{Handler: h}, network: network, address: l.Addr().String()}
	for _, f := range set {
		f(s.Server)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != ErrClosed {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return s
}

// half is a connection that can end one direction.
type half interface {
	net.Conn
	CloseWrite() error
}

func (s *site) dial(t testing.TB) half {
	t.Helper()
	c, err := net.Dial(s.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(half)
}

var date = regexp.MustCompile(`Date: [^\r]*\r\n`)

// ask sends text on a connection of its own and gives what comes until the
// server ends it, without dates.
func (s *site) ask(t testing.TB, text string) string {
	t.Helper()
	c := s.dial(t)
	go io.WriteString(c, text)
	all, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%v behind %q", err, all)
	}
	return date.ReplaceAllString(string(all), "")
}

// answer reads one answer with its body.
func answer(t testing.TB, r *bufio.Reader, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// echo answers with what the request was.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %q %v", r.Method, r.URL, body, err)
}

// leaves fails the test if it leaves goroutines behind.
func leaves(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		t.Helper()
		eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before })
		if t.Failed() {
			buf := make([]byte, 1<<20)
			t.Logf("%s", buf[:runtime.Stack(buf, true)])
		}
	})
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s: not within 5 s", what)
			return
		}
	}
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// TestRefusals: heads that are refused are answered, by Refuse, the handler
// does not see them, and the connection ends.
func TestRefusals(t *testing.T) {
	leaves(t)
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) { t.Errorf("served %s %s", r.Method, r.URL) }, func(s *Server) {
		s.Refuse = func(status int, reason string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				io.WriteString(w, "refused: "+reason)
			})
		}
	})
	for _, test := range []struct{ name, text, line, body string }{
		{"malformed", "GET /\r\n\r\n" + get, "HTTP/1.1 400 Bad Request", "refused: request line"},
		{"bare LF throughout", "GET / HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 Bad Request", "refused: a line ends in LF"},
		{"length and chunked", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get, "HTTP/1.1 400 Bad Request", "refused: Content-Length and"},
		{"preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported", "refused: "},
		{"too large", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", MaxHead) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large", "refused: the head is over"},
		{"endless", "GET /" + strings.Repeat("a", 2*MaxHead), "HTTP/1.1 431 Request Header Fields Too Large", "refused: the head is over"},
		{"unknown expectation", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\nExpect: wonders\r\n\r\n", "HTTP/1.1 417 Expectation Failed", "refused: Expect"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.dial(t)
			go func() {
				io.WriteString(c, test.text)
				c.CloseWrite()
			}()
			text, err := io.ReadAll(c)
			line, rest, _ := strings.Cut(string(text), "\r\n")
			head, body, _ := strings.Cut(rest, "\r\n\r\n")
			if err != nil || line != test.line || !strings.HasPrefix(body, test.body) || !strings.Contains(head, "Connection: close") || strings.Count(string(text), "HTTP/1.1 ") != 1 {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

func TestRefusalsWithoutRefuse(t *testing.T) {
	s := serve(t, "unix", echo)
	if got := s.ask(t, "GET / HTTP/3.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 505 ") || !strings.Contains(got, "is not spoken here") {
		t.Errorf("got %q", got)
	}
}

func TestLargeHeadsFit(t *testing.T) {
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, len(r.Header.Get("X-Registry-Config"))) })
	for _, n := range []int{32 << 10, 100 << 10, MaxHead - 200} {
		text := fmt.Sprintf("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Registry-Config: %s\r\n\r\n", strings.Repeat("a", n))
		if got := s.ask(t, text); !strings.HasSuffix(got, fmt.Sprintf("\r\n\r\n%d", n)) {
			t.Errorf("%d: %q", n, got)
		}
	}
}

// TestSlowHead: a head has headTime from its first byte on, a quiet connection
// is not asked to hurry.
func TestSlowHead(t *testing.T) {
	s := serve(t, "unix", echo, func(s *Server) { s.headTime = 30 * time.Millisecond })
	quiet := s.dial(t)
	got := s.ask(t, "GET / HTTP/1.1\r\nHost: ")
	if !strings.HasPrefix(got, "HTTP/1.1 408 Request Timeout\r\n") || !strings.Contains(got, "the head took over 30ms") {
		t.Errorf("got %q", got)
	}
	io.WriteString(quiet, get)
	if resp, _ := answer(t, bufio.NewReader(quiet), "GET"); resp.StatusCode != 200 {
		t.Errorf("the quiet one got %d", resp.StatusCode)
	}
}

func TestPipelining(t *testing.T) {
	leaves(t)
	s := serve(t, "tcp", echo)
	var text, want strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d", i, i)
		fmt.Fprintf(&text, "POST /c%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\n%02d\r\n0\r\nX: 1\r\n\r\n", i, i)
		fmt.Fprintf(&want, `POST /%d "%02d" <nil>;POST /c%d "%02d" <nil>;`, i, i, i, i)
	}
	c := s.dial(t)
	go io.WriteString(c, text.String())
	r := bufio.NewReader(c)
	var got strings.Builder
	for range 100 {
		_, body := answer(t, r, "POST")
		got.WriteString(body + ";")
	}
	if got.String() != want.String() {
		t.Errorf("got %s", got.String())
	}
}

func TestKeepAlive(t *testing.T) {
	s := serve(t, "unix", echo)
	for _, test := range []struct {
		name, head, proto string
		kept              bool
	}{
		{"1.1", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1", true},
		{"1.1 close", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1", false},
		{"1.0", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0", false},
		{"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.0", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.dial(t)
			r := bufio.NewReader(c)
			io.WriteString(c, test.head)
			resp, body := answer(t, r, "GET")
			if resp.Proto != test.proto || body != `GET / "" <nil>` || resp.Close == test.kept {
				t.Errorf("got %s %q, close %v", resp.Proto, body, resp.Close)
			}
			if test.kept {
				io.WriteString(c, test.head)
				answer(t, r, "GET")
				return
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("the connection goes on: %v", err)
			}
		})
	}
}

// TestExpect: 100 Continue is sent when the body is first read, and never to
// one whose body is not wanted or who did not ask.
func TestExpect(t *testing.T) {
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		echo(w, r)
	})
	const ask = "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
	c := s.dial(t)
	r := bufio.NewReader(c)
	fmt.Fprintf(c, ask, "/")
	if resp, _ := answer(t, r, "POST"); resp.StatusCode != http.StatusContinue {
		t.Fatalf("got %s", resp.Status)
	}
	io.WriteString(c, "ab")
	if _, body := answer(t, r, "POST"); body != `POST / "ab" <nil>` {
		t.Errorf("got %q", body)
	}
	if got := s.ask(t, fmt.Sprintf(ask, "/refuse")); !strings.HasPrefix(got, "HTTP/1.1 403") || !strings.Contains(got, "Connection: close") {
		t.Errorf("refused, got %q", got)
	}
	if got := s.ask(t, "POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab"); !strings.HasPrefix(got, "HTTP/1.0 200") {
		t.Errorf("1.0 got %q", got)
	}
	if got := s.ask(t, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("without a body got %q", got)
	}
}

// TestUnreadBodies: a short body that nobody read costs nothing; a long one
// costs the connection, but the answer arrives.
func TestUnreadBodies(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			leaves(t)
			s := serve(t, network, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) })
			c := s.dial(t)
			r := bufio.NewReader(c)
			for _, body := range []string{"Content-Length: 5\r\n\r\nGET /", "Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"} {
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n"+body)
				if resp, _ := answer(t, r, "POST"); resp.StatusCode != 403 || resp.Close {
					t.Errorf("got %s, close %v", resp.Status, resp.Close)
				}
			}
			c.Close()

			c = s.dial(t)
			sent := make(chan error)
			go func() {
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16777216\r\n\r\n")
				_, err := c.Write(make([]byte, 16<<20))
				sent <- err
			}()
			if err := <-sent; err != nil { // only then look at the answer: a reset would have taken it away
				t.Errorf("sending: %v", err)
			}
			got, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 403") || !strings.HasSuffix(string(got), "no\n") || !strings.Contains(string(got), "Connection: close") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestBrokenBodies: what ends early or is no chunk is an error to the handler,
// and what follows is not taken for a request.
func TestBrokenBodies(t *testing.T) {
	s := serve(t, "unix", echo)
	for _, test := range []struct{ name, text, want string }{
		{"cut", "Content-Length: 5\r\n\r\nabc", `"abc" unexpected EOF`},
		{"cut chunk", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", `"abc" unexpected EOF`},
		{"bad chunk", "Transfer-Encoding: chunked\r\n\r\nx\r\n" + get, `"" malformed chunk`},
		{"bad trailer", "Transfer-Encoding: chunked\r\n\r\n0\r\nX : 1\r\n\r\n" + get, `"" malformed chunk`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := s.dial(t)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n"+test.text)
			c.CloseWrite()
			got, err := io.ReadAll(c)
			if err != nil || !strings.HasSuffix(string(got), "POST / "+test.want) || strings.Count(string(got), "HTTP/1.1") != 1 {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestRequestTrailersAreDropped(t *testing.T) {
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer, r.Header["Authorization"], err)
	})
	got := s.ask(t, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: a\r\n\r\n")
	if !strings.HasSuffix(got, "map[] [] <nil>") {
		t.Errorf("got %q", got)
	}
}

func TestOptionsOfAll(t *testing.T) {
	s := serve(t, "unix", func(http.ResponseWriter, *http.Request) { t.Error("the handler was asked") })
	got := s.ask(t, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "Content-Length: 0\r\n") {
		t.Errorf("got %q", got)
	}
}

// TestDeadlineOfAHeadIsItsOwn: that of a head which came in pieces holds neither
// for the body behind it, nor for the handler, nor for the next request.
func TestDeadlineOfAHeadIsItsOwn(t *testing.T) {
	const limit = 30 * time.Millisecond
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			select {
			case <-r.Context().Done():
			case <-time.After(2 * limit):
			}
			fmt.Fprint(w, r.Context().Err(), " ")
		}
		echo(w, r)
	}, func(s *Server) { s.headTime = limit })
	c := s.dial(t)
	r := bufio.NewReader(c)
	for _, method := range []string{"POST", "PUT", "POST"} {
		io.WriteString(c, method+" / HTTP/1.1\r\n")
		time.Sleep(limit / 10)
		length := 0
		if method == "POST" {
			length = 1
		}
		fmt.Fprintf(c, "Host: x\r\nContent-Length: %d\r\n\r\n", length)
		want := `<nil> PUT / "" <nil>`
		if method == "POST" {
			time.Sleep(2 * limit)
			io.WriteString(c, "x")
			want = `POST / "x" <nil>`
		}
		if _, body := answer(t, r, method); body != want {
			t.Errorf("got %q, want %q", body, want)
		}
		time.Sleep(2 * limit)
	}
}
