package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestKeptConnections: one is used again; one that has died meanwhile, or has
// said what nobody asked, is not.
func TestKeptConnections(t *testing.T) {
	leaves(t)
	f := newFar(t, "unix")
	c := make(chan half, 1)
	go func() {
		one := f.accept(t)
		r := bufio.NewReader(one)
		for range 3 {
			head(r)
			io.WriteString(one, ok)
		}
		c <- one
	}()
	for range 3 {
		f.send(t, request("POST", nil, 0))
	}
	(<-c).Close()
	f.script(t, ok+"surprise")
	f.send(t, request("POST", nil, 0))
	f.script(t, ok)
	if got := f.send(t, request("POST", nil, 0)); got != "ok" {
		t.Errorf("got %q", got)
	}
	f.CloseIdle()
	if len(f.idle) != 0 {
		t.Error("connections wait after CloseIdle")
	}
}

// TestRepeats: a kept connection that dies under a request is replaced for one
// that may be repeated; a POST is never sent twice.
func TestRepeats(t *testing.T) {
	for _, test := range []struct {
		method   string
		repeated bool
	}{{"GET", true}, {"HEAD", true}, {"POST", false}, {"DELETE", false}, {"PUT", false}} {
		t.Run(test.method, func(t *testing.T) {
			f := newFar(t, "unix")
			f.script(t, "HTTP/1.1 204 No Content\r\n\r\n", "") // hangs up on the second request
			f.send(t, request("GET", nil, 0))
			second := f.script(t, "HTTP/1.1 204 No Content\r\n\r\n")
			a, err := f.Send(request(test.method, nil, 0), false, nothing)
			if err == nil {
				a.Close()
			}
			if (err == nil) != test.repeated || len(second) == 1 != test.repeated {
				t.Errorf("got %v, sent again: %v", err, len(second) == 1)
			}
		})
	}
}

// TestFreshConnectionsAreNotRetried: an Engine that hangs up on everyone gets
// each request once.
func TestFreshConnectionsAreNotRetried(t *testing.T) {
	f := newFar(t, "unix")
	sent := f.script(t, "")
	if _, err := f.Send(request("GET", nil, 0), false, nothing); !errors.Is(err, errStale) || len(sent) != 1 {
		t.Errorf("got %v", err)
	}
}

func TestPoolIsBounded(t *testing.T) {
	var tr Transport
	var far []net.Conn
	for range maxIdle + 3 {
		a, b := net.Pipe()
		far = append(far, b)
		tr.keep(NewConn(a))
	}
	if len(tr.idle) != maxIdle {
		t.Errorf("%d wait", len(tr.idle))
	}
	for i, c := range far[:4] {
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); (err == io.EOF) != (i < 3) {
			t.Errorf("%d: %v", i, err)
		}
	}
	tr.CloseIdle()
}

func TestDialErrors(t *testing.T) {
	f := newFar(t, "unix")
	f.l.Close()
	var dial *DialError
	if _, err := f.Send(request("GET", nil, 0), false, nothing); !errors.As(err, &dial) {
		t.Errorf("got %v", err)
	}
}
