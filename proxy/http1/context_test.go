package http1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestCallerLeaves: the context is done when the caller has gone, and only
// then.
func TestCallerLeaves(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
	for _, test := range []struct {
		name, network string
		request       string
		leave         func(c half)
		gone          bool
	}{
		{"unix closed", "unix", get, func(c half) { c.Close() }, true},
		{"unix closed behind a body", "unix", post + "x", func(c half) { c.Close() }, true},
		{"unix closed with a request waiting", "unix", get + get, func(c half) { c.Close() }, true},
		{"unix half-closed", "unix", get, func(c half) { c.CloseWrite() }, false},
		{"unix open", "unix", get, func(half) {}, false},
		{"tcp reset", "tcp", get, func(c half) { c.(*net.TCPConn).SetLinger(0); c.Close() }, true},
		{"tcp closed", "tcp", get, func(c half) { c.Close() }, true},
		{"tcp open", "tcp", get, func(half) {}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			begun, gone := make(chan struct{}), make(chan bool, 2)
			s := serve(t, test.network, func(w http.ResponseWriter, r *http.Request) {
				ctx := r.Context()
				ctx.Done() // begins to watch, as soon as there is no body left
				io.Copy(io.Discard, r.Body)
				close(begun)
				wait := time.NewTimer(50 * time.Millisecond)
				if test.gone {
					wait.Reset(5 * time.Second)
				}
				select {
				case <-ctx.Done():
					gone <- ctx.Err() == context.Canceled && context.Cause(ctx) == context.Canceled
				case <-wait.C:
					gone <- false
				}
				panic(http.ErrAbortHandler)
			})
			c := s.dial(t)
			io.WriteString(c, test.request)
			<-begun
			test.leave(c)
			if got := <-gone; got != test.gone {
				t.Errorf("gone: %v", got)
			}
		})
	}
}

// TestHalfClosedGetsItsAnswer: one who has said all still hears the answer,
// and on TCP, where it looks like leaving, for a moment at least.
func TestHalfClosedGetsItsAnswer(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		leaves(t)
		s := serve(t, network, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
				io.WriteString(w, "answer")
			}
		})
		c := s.dial(t)
		io.WriteString(c, get)
		c.CloseWrite()
		began := time.Now()
		got, err := io.ReadAll(c)
		if err != nil || !strings.HasSuffix(string(got), "answer") {
			t.Errorf("%s: got %q, %v", network, got, err)
		}
		if took := time.Since(began); took > halfOpenTime/2 {
			t.Errorf("%s: it took %s", network, took)
		}
	}
}

// TestDeadlineIsNoLeaving: ending a read of the body, as an upload that is not
// wanted any more needs it, does not look like the caller's leaving.
func TestDeadlineIsNoLeaving(t *testing.T) {
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		ctx.Done()
		http.NewResponseController(w).SetReadDeadline(longAgo)
		<-w.(*response).ctx.watch // the watcher has seen it
		fmt.Fprint(w, ctx.Err())
	})
	c := s.dial(t)
	r := bufio.NewReader(c)
	for range 2 {
		io.WriteString(c, get)
		if _, body := answer(t, r, "GET"); body != "<nil>" {
			t.Errorf("got %q", body)
		}
	}
}

// TestContextIsDoneAfterwards as net/http has it, and its parent's values and
// end show through.
func TestContextIsDoneAfterwards(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.Background())
	contexts := make(chan context.Context, 2)
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/asked" {
			r.Context().Done()
		}
		fmt.Fprintf(w, "%v %v", r.Context().Value(key{}), r.Context().Err())
		contexts <- r.Context()
	}, func(s *Server) {
		s.ConnContext = func(context.Context, net.Conn) context.Context { return context.WithValue(parent, key{}, "value") }
	})
	for _, path := range []string{"/", "/asked"} {
		if got := s.ask(t, "GET "+path+" HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "value <nil>") {
			t.Errorf("got %q", got)
		}
		ctx := <-contexts
		<-ctx.Done()
		if ctx.Err() != context.Canceled {
			t.Errorf("%s: %v", path, ctx.Err())
		}
	}
	cancel()
	if got := s.ask(t, "GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "value context canceled") {
		t.Errorf("got %q", got)
	}
	<-contexts
}

// TestSetValue: values are seen by what is made of the context, too, and none is
// ever replaced.
func TestSetValue(t *testing.T) {
	type key int
	s := serve(t, "unix", func(w http.ResponseWriter, r *http.Request) {
		x := r.Context().(interface{ SetValue(key, value any) bool })
		fmt.Fprint(w, x.SetValue(key(1), "a"), x.SetValue(key(1), "other"), x.SetValue(key(2), "b"), x.SetValue(key(3), "no room"))
		child, cancel := context.WithCancel(r.Context())
		defer cancel()
		fmt.Fprint(w, " ", child.Value(key(1)), r.Context().Value(key(2)), r.Context().Value(key(3)), r.Context().Value(1))
	})
	c := s.dial(t)
	r := bufio.NewReader(c)
	for range 2 { // the next request's are its own
		io.WriteString(c, get)
		if _, body := answer(t, r, "GET"); body != "true false true false ab<nil> <nil>" {
			t.Errorf("got %q", body)
		}
	}
}
