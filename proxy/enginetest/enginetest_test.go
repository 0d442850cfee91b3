package enginetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client asks the Engine through net/http, the strictest reader at hand.
func client(t *testing.T, e *Engine) *http.Client {
	tr := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", e.Socket)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func dial(t *testing.T, e *Engine) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", e.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.UnixConn)
}

func TestAnswers(t *testing.T) {
	e := Start(t)
	hc := client(t, e)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string // begins the body; "!" stands for a broken one
	}{
		{"GET", "/_ping", "", 200, "OK"},
		{"HEAD", "/_ping", "", 200, ""},
		{"GET", "/v1.41/version", "", 200, `{"Version":`},
		{"GET", "/v1.51/containers/json?all=1", "", 200, `[{"Id":"000`},
		{"POST", "/containers/create?name=x", `{"Image":"busybox"}`, 201, `{"Id":"ccc`},
		{"POST", "/containers/create?name=taken", `{}`, 409, `{"message":"Conflict.`},
		{"POST", "/containers/create?name=unread", `{}`, 400, `{"message":`},
		{"POST", "/containers/x/start", "", 204, ""},
		{"POST", "/containers/x/start", "12345678", 400, `{"message":`},
		{"POST", "/containers/running/start", "", 304, ""},
		{"POST", "/containers/wait-1ms/wait", "", 200, `{"StatusCode":0}`},
		{"GET", "/containers/x/json", "", 200, `{"Id":"x"`},
		{"GET", "/containers/missing/json", "", 404, `{"message":"No such container`},
		{"GET", "/containers/slow-1ms/json", "", 200, `{"Id":`},
		{"GET", "/containers/bighead/json", "", 200, `{"Id":`},
		{"GET", "/containers/redirect/json", "", 301, ""},
		{"GET", "/containers/notmodified/json", "", 304, ""},
		{"GET", "/containers/truncated/json", "", 200, "!"},
		{"GET", "/containers/nolength/json", "", 200, `{"Id":`},
		{"GET", "/containers/trailers/json", "", 200, `{"Id":`},
		{"GET", "/containers/short-8k/export", "", 200, "!"},
		{"GET", "/containers/truncated-8k/export", "", 200, "!"},
		{"GET", "/images/reg:5000/a%2Fb:1/get", "", 200, block[:100]},
		{"GET", "/events?until=2", "", 200, `{"Type":"container"`},
		{"GET", "/containers/x/logs?stdout=1", "", 200, Frame(1, "out\n") + Frame(2, "err\n")},
		{"POST", "/images/load", "some tar", 200, `{"stream":"Loaded 8 bytes\n"}`},
		{"POST", "/images/load", "early", 400, `{"message":`},
		{"POST", "/images/create?fromSrc=-", "some tar", 200, `{"status":"begun"}`},
		{"POST", "/containers/x/exec", "{}", 201, `{"Id":"x"}`},
		{"GET", "/nowhere", "", 404, `{"message":"page not found"}`},
	} {
		req, _ := http.NewRequest(tt.method, "http://docker"+tt.path, strings.NewReader(tt.body))
		if tt.body == "" {
			req.Body = http.NoBody
		}
		resp, err := hc.Do(req)
		if err != nil {
			t.Errorf("%s %s: %v", tt.method, tt.path, err)
			continue
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case resp.StatusCode != tt.status:
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.path, resp.StatusCode, tt.status)
		case tt.want == "!" && err == nil:
			t.Errorf("%s %s: a truncated body came to a proper end", tt.method, tt.path)
		case tt.want != "!" && (err != nil || !bytes.HasPrefix(got, []byte(tt.want))):
			t.Errorf("%s %s: body %.80q, %v; want %.80q", tt.method, tt.path, got, err, tt.want)
		}
	}
	if len(List) < 45_000 || len(List) > 55_000 {
		t.Errorf("the list has %d bytes", len(List))
	}
	for _, mode := range []string{"length", "plain", "trailers", "x"} {
		resp, err := hc.Get("http://docker/containers/" + mode + "-100k/export")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		want, _ := io.ReadAll(Content(100 << 10))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("export %s: %d bytes, %v", mode, len(got), err)
		}
		if sum := resp.Trailer.Get("X-Sum"); (sum != "") != (mode == "trailers") {
			t.Errorf("export %s: trailer %q", mode, sum)
		}
	}
}

func TestRecords(t *testing.T) {
	e := Start(t)
	c := dial(t, e)
	head := "POST /v1.41/containers/create?name=a HTTP/1.1\r\nHost: docker\r\nX-A: 1\r\nx-a:  2 \r\nTransfer-Encoding: chunked\r\n\r\n"
	io.WriteString(c, head+"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: r\r\n\r\nGET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
	r := e.WaitRequests(t, 2)
	got := r[0]
	if string(got.Head) != head || got.Method != "POST" || got.Path != "/containers/create" || got.Version != "1.41" ||
		fmt.Sprint(got.Headers("X-a")) != "[1 2]" || got.Query("name") != "a" {
		t.Errorf("request %+v", got)
	}
	if string(got.Body) != "abcde" || got.BodySize != 5 || !got.BodyDone || got.BodySum != sha256.Sum256([]byte("abcde")) {
		t.Errorf("body %q, %d, done %t", got.Body, got.BodySize, got.BodyDone)
	}
	if r[1].Path != "/_ping" || r[1].ConnNumber != 1 || e.Live() != 1 || e.Accepted() != 1 {
		t.Errorf("second request %+v, %d live", r[1], e.Live())
	}
	c.Close()
	e.WaitLive(t, 0)

	c = dial(t, e)
	e.Reset()
	io.WriteString(c, "POST /images/load HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
	c.CloseWrite()
	e.WaitRequests(t, 1)
	e.WaitLive(t, 0)
	if r := e.Requests(); len(r) != 1 || r[0].BodyDone || string(r[0].Body) != "abc" {
		t.Errorf("cut body: %+v", r)
	}
}

func TestHijack(t *testing.T) {
	e := Start(t)
	upgrade := "Connection: Upgrade\r\nUpgrade: tcp\r\n"
	for _, tt := range []struct {
		path, fields, send, status, want string
	}{
		{"/containers/echo/attach", upgrade, "hi", "101 UPGRADED", "hi"},
		{"/containers/any/attach", "", "hi", "200 OK", "hi"},
		{"/exec/echo/start", upgrade, "hi", "101 UPGRADED", "hi"},
		{"/containers/greet/attach", upgrade, "hi", "101 UPGRADED", "hello\nhi"},
		{"/containers/sink/attach", upgrade, strings.Repeat("x", 100_000), "101 UPGRADED", "100000\n"},
		{"/containers/source-40k/attach", upgrade, "", "101 UPGRADED", block + block[:8<<10]},
		{"/grpc", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "PRI", "101 Switching Protocols", "PRI"},
		{"/containers/error/attach", upgrade, "", "404 Not Found", "No such container: error\r\n"},
	} {
		c := dial(t, e)
		br := bufio.NewReader(c)
		io.WriteString(c, "POST "+tt.path+" HTTP/1.1\r\nHost: docker\r\n"+tt.fields+"\r\n")
		line, _ := br.ReadString('\n')
		if line != "HTTP/1.1 "+tt.status+"\r\n" {
			t.Errorf("%s: %q, want %q", tt.path, line, tt.status)
		}
		for line != "\r\n" && line != "" {
			line, _ = br.ReadString('\n')
		}
		io.WriteString(c, tt.send)
		c.CloseWrite()
		if got, err := io.ReadAll(br); err != nil || string(got) != tt.want {
			t.Errorf("%s: got %.40q (%d bytes), %v", tt.path, got, len(got), err)
		}
		c.Close()
	}
	e.WaitLive(t, 0)
}

func TestHijackLosesEarlyBytes(t *testing.T) {
	e := Start(t)
	c := dial(t, e)
	io.WriteString(c, "POST /containers/echo/attach HTTP/1.1\r\nUpgrade: tcp\r\n\r\nearly")
	c.CloseWrite()
	if got, _ := io.ReadAll(c); !bytes.HasSuffix(got, []byte("\r\n\r\n")) || bytes.Contains(got, []byte("early")) {
		t.Errorf("got %q", got)
	}
	if r := e.Requests(); r[0].Lost != 5 {
		t.Errorf("lost %d bytes, want 5", r[0].Lost)
	}
}

func TestHijackRefused(t *testing.T) {
	e := Start(t)
	c := dial(t, e)
	br := bufio.NewReader(c)
	for range 2 {
		io.WriteString(c, "POST /containers/refuse/attach HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n")
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 409 {
			t.Fatalf("%v, %v", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
	}
}

func TestContinue(t *testing.T) {
	e := Start(t)
	c := dial(t, e)
	br := bufio.NewReader(c)
	io.WriteString(c, "POST /containers/create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	if line, err := br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	br.ReadString('\n')
	io.WriteString(c, "{}")
	if line, err := br.ReadString('\n'); line != "HTTP/1.1 201 Created\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
}

func TestEarlyErrorAndDuplex(t *testing.T) {
	e := Start(t)
	for path, want := range map[string]string{
		"/images/load":               "HTTP/1.1 400 Bad Request\r\n",
		"/images/create?fromSrc=-":   "HTTP/1.1 200 OK\r\n",
		"/containers/x/archive?path": "",
	} {
		c := dial(t, e)
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
		if want == "" {
			continue
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); line != want {
			t.Errorf("%s answered %q, %v while the body was under way", path, line, err)
		}
	}
}

func TestSilentStreams(t *testing.T) {
	e := Start(t)
	for _, request := range []string{"GET /events HTTP/1.1\r\n\r\n", "POST /containers/forever/wait HTTP/1.1\r\n\r\n",
		"POST /containers/silent/attach HTTP/1.1\r\n\r\n", "GET /containers/x/logs?follow=1 HTTP/1.1\r\n\r\n"} {
		c := dial(t, e)
		io.WriteString(c, request)
		if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("%q answered %q, %v", request, line, err)
		}
		e.WaitLive(t, 1)
		c.Close()
		e.WaitLive(t, 0)
	}
}

func TestOn(t *testing.T) {
	e := Start(t)
	hc := client(t, e)
	e.On("GET /images/{name...}/json", func(c *Conn) { c.JSON(200, c.Var("name")) })
	e.On("/info", func(c *Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw")
	})
	for path, want := range map[string]string{
		"/v1.41/images/a/b/c/json": "a/b/c\n",
		"/images/a/json":           "a\n",
		"/v1.51/info":              "raw",
	} {
		resp, err := hc.Get("http://docker" + path)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestCloseAndRestart(t *testing.T) {
	e := Start(t)
	c := dial(t, e)
	io.WriteString(c, "GET /events HTTP/1.1\r\n\r\n")
	e.WaitLive(t, 1)
	e.Close()
	// Closed with bytes unread, a connection is reset: either is an end.
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	e.WaitLive(t, 0)
	e.Restart(t)
	resp, err := client(t, e).Get("http://docker/_ping")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func BenchmarkPing(b *testing.B) {
	e := newEngine()
	near, far := net.Pipe()
	c := &Conn{Conn: far, engine: e}
	go c.serve()
	buf := make([]byte, 4096)
	request := []byte("GET /v1.41/_ping HTTP/1.1\r\nHost: docker\r\nUser-Agent: bench\r\n\r\n")
	for b.Loop() {
		near.Write(request)
		near.Read(buf)
	}
}
