package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/proxy/http1"
)

func TestLocal(t *testing.T) {
	l := NewLocal()
	users, err := identity.New(identity.Config{Users: map[string]identity.User{"alice": {}, "bob": {}}}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	server := &http1.Server{ConnContext: identity.ConnContext, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := identity.Local(users).Identify(r)
		if err != nil || who == nil {
			t.Errorf("nobody calls: %v", err)
			return
		}
		if r.Method == "POST" { // a stream, as exec's is
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, who.User+": ")
			io.Copy(c, c)
			return
		}
		io.WriteString(w, who.User)
	})}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()

	for _, name := range []string{"alice", "bob"} {
		c, err := l.Dial(t.Context(), &identity.Identity{User: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := c.(*net.UnixConn); !ok {
			t.Errorf("it is a %T", c)
		}
		k := newCaller(t, c)
		for range 2 {
			if _, body := k.send("GET /").answer(); body != name {
				t.Errorf("it is %s's", body)
			}
		}
		// It buffers: both sides may write first. And each direction ends alone.
		k.send("POST /", "hello")
		k.expect(name + ": hello")
		k.halfClose()
		k.expectEnd()
	}

	if _, err := l.Dial(t.Context(), nil); err == nil {
		t.Error("dialled for nobody")
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http1.ErrClosed) {
		t.Errorf("served: %v", err)
	}
}

// TestLocalEnds: nobody waits for ever, at either end.
func TestLocalEnds(t *testing.T) {
	alice := &identity.Identity{User: "alice"}
	l := NewLocal()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Dial(ctx, alice); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody accepts: %v", err)
	}
	ends := make(chan error)
	go func() {
		_, err := l.Accept()
		ends <- err
	}()
	time.Sleep(time.Millisecond)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-ends; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting afterwards: %v", err)
	}
	if _, err := l.Dial(t.Context(), alice); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialling afterwards: %v", err)
	}
}

// TestLocalCallerGone: the server sees an end that has closed, also one that
// has half-closed before, which still gets its answer.
func TestLocalCallerGone(t *testing.T) {
	l := NewLocal()
	seen := make(chan struct{})
	server := &http1.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/waits" {
			<-r.Context().Done()
			close(seen)
			return
		}
		select {
		case <-r.Context().Done():
			t.Error("a half-closed caller passes for gone")
		case <-time.After(50 * time.Millisecond):
		}
		io.WriteString(w, "ok")
	})}
	go server.Serve(l)
	defer server.Close()
	dial := func() *caller {
		c, err := l.Dial(t.Context(), &identity.Identity{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		return newCaller(t, c)
	}
	c := dial().send("GET /answers")
	c.halfClose()
	if _, body := c.answer(); body != "ok" {
		t.Errorf("got %q", body)
	}
	c = dial().send("GET /waits")
	time.Sleep(5 * time.Millisecond)
	c.Close()
	select {
	case <-seen:
	case <-time.After(5 * time.Second):
		t.Error("its leaving is not noticed")
	}
}
