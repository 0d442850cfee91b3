// Package enginetest is a fake Docker Engine for tests and benchmarks: it
// answers like the real one, byte for byte where that matters, misbehaves on
// demand, and keeps what arrived. It speaks HTTP through a loop of its own, so
// that tests see raw bytes and benchmarks don't measure the fake.
package enginetest

import (
	"crypto/sha256"
	"errors"
	"hash"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bodyBound is how much of each body Requests keeps; BodySize and BodySum tell
// of the rest.
const bodyBound = 1 << 20

// A Behaviour answers one request. When it returns, the rest of the body is
// read and the connection goes on with the next request, unless it was
// hijacked or hung up.
type Behaviour func(c *Conn)

// Engine is a running fake.
type Engine struct {
	Address string // "unix:///tmp/e1/s", as DOCKER_HOST takes it
	Socket  string // the path in Address

	own    atomic.Pointer[routes]
	record bool
	active sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	stopped  chan struct{} // closed by Close
	conns    map[*Conn]struct{}
	accepted int
	arrived  []*arrival
}

// arrival is a Request whose body may still be arriving.
type arrival struct {
	Request
	sum hash.Hash
}

// Start runs an Engine on a unix socket until the test ends.
func Start(t testing.TB) *Engine {
	t.Helper()
	// t.TempDir grows with the test's name, past what a socket's path may be.
	dir, err := os.MkdirTemp("", "e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	e := StartOn(t, l)
	e.Socket = socket
	e.Address = "unix://" + socket
	return e
}

// StartOn runs an Engine on a listener of the caller's (tcp, TLS) until the
// test ends.
func StartOn(t testing.TB, l net.Listener) *Engine {
	e := newEngine()
	e.record = true
	e.Address = l.Addr().Network() + "://" + l.Addr().String()
	e.listener = l
	go e.accept(l)
	t.Cleanup(func() {
		e.Close()
		ended := make(chan struct{})
		go func() { e.active.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Log("enginetest: a behaviour still runs 5 s after Close")
		}
	})
	return e
}

// Serve runs an Engine that records nothing on l until l is closed: for
// benchmarks, in a process of its own.
func Serve(l net.Listener) error {
	e := newEngine()
	e.listener = l
	return e.accept(l)
}

func newEngine() *Engine {
	return &Engine{conns: map[*Conn]struct{}{}, stopped: make(chan struct{})}
}

func (e *Engine) accept(l net.Listener) error {
	for {
		n, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		e.mu.Lock()
		if e.listener != l { // Close came between
			e.mu.Unlock()
			n.Close()
			return nil
		}
		e.accepted++
		c := &Conn{Conn: n, engine: e, stopped: e.stopped, number: e.accepted}
		e.conns[c] = struct{}{}
		e.active.Add(1)
		e.mu.Unlock()
		go func() {
			defer e.active.Done()
			c.serve()
			n.Close()
			e.mu.Lock()
			delete(e.conns, c)
			e.mu.Unlock()
		}()
	}
}

// On answers requests that match pattern with b, in place of what the Engine
// does by itself; the newest pattern wins. A pattern is "POST /path" or "/path"
// for any method, without a version prefix; {name} stands for one segment,
// {name...} for one or more.
func (e *Engine) On(pattern string, b Behaviour) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var rest routes
	if old := e.own.Load(); old != nil {
		rest = *old
	}
	next := append(routes{parseRoute(pattern, b)}, rest...)
	e.own.Store(&next)
}

// Requests is what arrived so far, in order; bodies may still be arriving.
func (e *Engine) Requests() []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Request
	for _, a := range e.arrived {
		r := a.Request
		r.Body = slices.Clone(r.Body)
		a.sum.Sum(r.BodySum[:0])
		all = append(all, r)
	}
	return all
}

// Reset forgets the requests that arrived so far.
func (e *Engine) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.arrived = nil
}

// Live is how many connections are open, as far as the Engine has noticed.
func (e *Engine) Live() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

// Accepted is how many connections were ever made.
func (e *Engine) Accepted() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.accepted
}

// WaitLive waits until n connections are open, and fails the test if that
// takes more than 5 s.
func (e *Engine) WaitLive(t testing.TB, n int) {
	t.Helper()
	e.wait(t, "live connections", n, e.Live)
}

// WaitRequests waits until n requests have arrived, and fails the test if that
// takes more than 5 s.
func (e *Engine) WaitRequests(t testing.TB, n int) []Request {
	t.Helper()
	e.wait(t, "requests", n, func() int { return len(e.Requests()) })
	return e.Requests()
}

func (e *Engine) wait(t testing.TB, what string, want int, count func() int) {
	t.Helper()
	var got int
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if got = count(); got == want {
			return
		}
	}
	t.Fatalf("enginetest: %d %s, want %d", got, what, want)
}

// Close stops listening and cuts every connection, as a killed Engine does.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listener == nil {
		return
	}
	e.listener.Close()
	e.listener = nil
	close(e.stopped)
	for c := range e.conns {
		c.Conn.Close()
	}
}

// Restart brings an Engine made by Start back on its socket after Close.
func (e *Engine) Restart(t testing.TB) {
	t.Helper()
	os.Remove(e.Socket)
	l, err := net.Listen("unix", e.Socket)
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.listener = l
	e.stopped = make(chan struct{})
	e.mu.Unlock()
	go e.accept(l)
}

// arrive records c's request.
func (e *Engine) arrive(c *Conn) {
	if !e.record {
		return
	}
	c.arrival = &arrival{Request: c.Request, sum: sha256.New()}
	e.mu.Lock()
	e.arrived = append(e.arrived, c.arrival)
	e.mu.Unlock()
}

// note records bytes of c's body, or of its stream once hijacked.
func (e *Engine) note(c *Conn, p []byte) {
	if c.arrival == nil || len(p) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	a := c.arrival
	a.BodySize += int64(len(p))
	a.sum.Write(p)
	a.Body = append(a.Body, p[:min(len(p), bodyBound-len(a.Body))]...)
}

// amend changes what is recorded of c's request.
func (e *Engine) amend(c *Conn, change func(*Request)) {
	if c.arrival == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&c.arrival.Request)
}
