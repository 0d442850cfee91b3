package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPanics: a panic cuts the connection and is told; the server goes on.
func TestPanics(t *testing.T) {
	leaves(t)
	var mu sync.Mutex
	var told []string
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("oh")
		case "/hijacked":
			c, _, _ := w.(http.Hijacker).Hijack()
			defer c.Close()
			panic("dear")
		}
	}, func(s *Server) {
		s.Log = func(err error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, err.Error())
		}
	})
	for _, path := range []string{"/abort", "/panic", "/hijacked"} {
		if got := s.ask(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
			t.Errorf("%s: got %q", path, got)
		}
	}
	if got := s.ask(t, "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200") {
		t.Errorf("afterwards got %q", got)
	}
	eventually(t, "both are told of", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) == 2 })
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 2 || !strings.Contains(told[0], "panic: oh") || !strings.Contains(told[1], "panic: dear") {
		t.Errorf("told %q", told)
	}
}

// TestShutdown: idle connections are closed, requests under way are answered,
// later ones refused.
func TestShutdown(t *testing.T) {
	leaves(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-goOn
		}
		io.WriteString(w, "done")
	})
	idle, slow := s.dial(t), s.dial(t)
	r := bufio.NewReader(idle)
	io.WriteString(idle, get)
	answer(t, r, "GET")
	io.WriteString(slow, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"+get) // the second one comes too late
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("with a request under way it ended: %v", err)
	}
	cancel()
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection goes on: %v", err)
	}
	if c, err := net.Dial("unix", s.address); err == nil {
		c.Close()
		t.Error("still listening")
	}
	close(goOn)
	got, err := io.ReadAll(slow)
	slow.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err != nil || !strings.HasSuffix(string(got), "done") || strings.Count(string(got), "HTTP/1.1") != 1 {
		t.Errorf("the slow one got %q, %v", got, err)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err != nil || s.Serve(l) != ErrClosed {
		t.Error("it serves again after Shutdown")
	}
}

// TestDrainingRefuses: a request that comes on a kept connection while the
// server goes down is told so.
func TestDrainingRefuses(t *testing.T) {
	s := serve(t, "unix", echo)
	c := s.dial(t)
	r := bufio.NewReader(c)
	io.WriteString(c, get)
	answer(t, r, "GET")
	eventually(t, "the connection waits", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			return c.idle.Load()
		}
		return false
	})
	s.draining.Store(true) // as Shutdown does before it has closed the connection
	io.WriteString(c, get)
	resp, body := answer(t, r, "GET")
	if resp.StatusCode != http.StatusServiceUnavailable || !resp.Close || !strings.Contains(body, "going down") {
		t.Errorf("got %s %q", resp.Status, body)
	}
}

func TestCloseCuts(t *testing.T) {
	leaves(t)
	var ended sync.WaitGroup
	ended.Add(2)
	begun := make(chan struct{}, 2)
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		defer ended.Done()
		if r.URL.Path == "/hijack" {
			c, _, _ := w.(http.Hijacker).Hijack()
			begun <- struct{}{}
			c.Read(make([]byte, 1))
			return
		}
		begun <- struct{}{}
		<-r.Context().Done()
	})
	for _, path := range []string{"/", "/hijack"} {
		fmt.Fprintf(s.dial(t), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		<-begun
	}
	s.Close()
	ended.Wait()
}

// TestAcceptGoesOn: running out of descriptors, say, does not end the server.
func TestAcceptGoesOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 10)
	s := &Server{Handler: http.HandlerFunc(echo), Log: func(err error) { told <- err }}
	served := make(chan error)
	go func() { served <- s.Serve(&failing{Listener: l, times: 2}) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, get)
	answer(t, bufio.NewReader(c), "GET")
	s.Close()
	if err := <-served; err != ErrClosed || len(told) != 2 {
		t.Errorf("ended with %v, told %d", err, len(told))
	}
}

type failing struct {
	net.Listener
	times int
}

func (l *failing) Accept() (net.Conn, error) {
	if l.times--; l.times >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}
