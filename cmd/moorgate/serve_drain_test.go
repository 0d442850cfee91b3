package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

// stream sends a request by hand and reads the head of its answer.
func (s *server) stream(status int, request string) (*net.UnixConn, *bufio.Reader, *http.Response) {
	s.t.Helper()
	c := s.dial("m.sock")
	io.WriteString(c, request)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != status {
		s.t.Fatalf("got %v, %v to %q", resp, err, request)
	}
	return c, r, resp
}

// hijack asks for an upgrade with a JSON body.
func (s *server) hijack(target, body string) (*net.UnixConn, *bufio.Reader) {
	s.t.Helper()
	c, r, _ := s.stream(101, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body))
	return c, r
}

func draining(t *testing.T, drain string) (*enginetest.Engine, *server) {
	e := enginetest.Start(t)
	return e, start(t, strings.Replace(plainConfig, "drain: 200ms", "drain: "+drain, 1), e.Address)
}

func TestDrain(t *testing.T) {
	t.Parallel()
	e, s := draining(t, "1s")

	type reply struct {
		answer
		err error
	}
	slow := make(chan reply, 1)
	go func() {
		resp, err := s.client("m.sock").Get("http://docker/v1.41/containers/slow-500ms/json")
		if err != nil {
			slow <- reply{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		slow <- reply{answer{resp, string(body)}, err}
	}()
	idle, _, head := s.stream(200, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
	io.Copy(io.Discard, head.Body)
	terminal, screen := s.hijack("/v1.41/exec/tty/start", `{"Detach":false,"Tty":true}`)
	framed, frames := s.hijack("/v1.51/exec/echo/start", `{}`)
	raw, bytes := s.hijack("/v1.41/exec/echo/start", `{}`) // binary, for all moorgate knows
	for c, r := range map[net.Conn]*bufio.Reader{terminal: screen, raw: bytes} {
		io.WriteString(c, "ls\n")
		if line, err := r.ReadString('\n'); line != "ls\n" {
			t.Fatalf("the stream does not live: %q, %v", line, err)
		}
	}
	_, events, live := s.stream(200, "GET /v1.41/events?since=3 HTTP/1.1\r\nHost: d\r\n\r\n")
	await(t, "the slow request is with the Engine", func() bool {
		for _, r := range e.Requests() {
			if r.Path == "/containers/slow-500ms/json" {
				return true
			}
		}
		return false
	})

	begin := time.Now()
	s.signal(syscall.SIGTERM)
	await(t, "new connections are refused", func() bool {
		c, err := net.Dial("unix", s.path("m.sock"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if n, err := idle.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("an idle connection gave %d, %v", n, err)
	}
	if r := <-slow; r.err != nil || r.StatusCode != 200 || !strings.Contains(r.body, `"Running":true`) {
		t.Errorf("a request that was under way got %v", r)
	}
	const word = "moorgate: going down, this connection ends in 1s"
	if got, _ := io.ReadAll(screen); string(got) != "\r\n"+word+"\r\n" {
		t.Errorf("the terminal shows %q", got)
	}
	if took := time.Since(begin); took < 900*time.Millisecond {
		t.Errorf("the terminal was cut after %s, not 1s", took)
	}
	if got, _ := io.ReadAll(frames); string(got) != enginetest.Frame(2, word+"\n") {
		t.Errorf("a framed stream got %q", got)
	}
	if got, _ := io.ReadAll(bytes); len(got) != 0 {
		t.Errorf("a raw stream got %q", got)
	}
	live.Body = io.NopCloser(events)
	if got, _ := io.ReadAll(events); strings.HasSuffix(string(got), "0\r\n\r\n") {
		t.Error("events ended as if that were all of them")
	}
	if code := s.wait(); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
	framed.Close()
	seen := map[string]int{}
	for _, r := range s.records() {
		seen[fmt.Sprintf("%s %s %d %v", r.Method, r.Path, r.Status, r.BytesIn)]++
	}
	for _, want := range []string{
		"GET /v1.41/containers/slow-500ms/json 200 0", "GET /_ping 200 0", "GET /v1.41/events 200 0",
		"POST /v1.41/exec/tty/start 101 30", "POST /v1.41/exec/echo/start 101 5", "POST /v1.51/exec/echo/start 101 2",
	} {
		if seen[want] != 1 {
			t.Errorf("%d records of %s in %v", seen[want], want, seen)
		}
	}
}

// Requests that wait behind another on the same connection are not begun.
func TestDrainPipelined(t *testing.T) {
	t.Parallel()
	e, s := draining(t, "5s")
	c := s.dial("m.sock")
	io.WriteString(c, "GET /v1.41/containers/slow-300ms/json HTTP/1.1\r\nHost: d\r\n\r\nPOST /v1.41/containers/web/stop HTTP/1.1\r\nHost: d\r\n\r\n")
	await(t, "the first is with the Engine", func() bool { return strings.Contains(fmt.Sprint(e.Requests()), "slow-300ms") })
	s.signal(syscall.SIGINT)
	r := bufio.NewReader(c)
	first, err := http.ReadResponse(r, nil)
	if err != nil || first.StatusCode != 200 {
		t.Fatalf("got %v, %v", first, err)
	}
	io.Copy(io.Discard, first.Body)
	if second, err := http.ReadResponse(r, nil); err == nil && second.StatusCode != 503 {
		t.Errorf("the second got %s", second.Status)
	}
	if code := s.wait(); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
	for _, r := range e.Requests() {
		if r.Method == "POST" {
			t.Errorf("the Engine got %s %s", r.Method, r.Target)
		}
	}
}

func TestDrainSecondSignal(t *testing.T) {
	t.Parallel()
	_, s := draining(t, "1h")
	c, r := s.hijack("/v1.41/exec/tty/start", `{"Tty":true}`)
	s.signal(syscall.SIGTERM)
	if line, err := r.ReadString('1'); !strings.HasSuffix(line, "ends in 1") {
		t.Fatalf("the terminal shows %q, %v", line, err)
	}
	begin := time.Now()
	s.signal(syscall.SIGTERM)
	if _, err := io.Copy(io.Discard, r); errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	c.Close()
	if code := s.wait(); code != 1 {
		t.Errorf("the exit code is %d", code)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if !strings.Contains(s.log.String(), "second signal: cutting what is left") {
		t.Error("the log does not say that all was cut")
	}
}

// TestDrainFinite: what ends by itself is let end, however short the time for
// streams is.
func TestDrainFinite(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, plainConfig, e.Address)
	answer := make(chan int, 1)
	go func() { answer <- s.ask("m.sock", "GET", "/v1.41/containers/slow-1s/json").StatusCode }()
	await(t, "the request is with the Engine", func() bool {
		for _, r := range e.Requests() {
			if strings.HasSuffix(r.Path, "/slow-1s/json") {
				return true
			}
		}
		return false
	})
	s.signal(syscall.SIGTERM)
	if got := <-answer; got != 200 {
		t.Errorf("the answer is %d", got)
	}
	if code := s.wait(); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
}
