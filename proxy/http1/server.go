package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How long callers may take. Bodies and streams have no limit.
const (
	headTime      = 30 * time.Second // from a head's first byte to its last
	handshakeTime = 10 * time.Second
	idleTime      = 5 * time.Minute // between requests
	leastIdle     = idleTime - 5*time.Second
	lingerTime    = 5 * time.Second // to take the answer to a request that was not read whole
	lingerBytes   = 256 << 20
)

// Server answers HTTP/1.1 and HTTP/1.0 requests, one after the other on each
// connection. Its ResponseWriter is a Flusher and a Hijacker, and takes the
// deadlines and the full duplex of http.ResponseController.
type Server struct {
	Handler http.Handler
	// ConnContext may add to the context of a connection's requests.
	ConnContext func(context.Context, net.Conn) context.Context
	// Log is told of panics and of connections that could not be served; may
	// be nil.
	Log func(error)
	// Refuse makes the handler that answers what Handler does not see: heads
	// that are refused, and requests that come while the server goes down;
	// nil means plain text.
	Refuse func(status int, reason string) http.Handler

	headTime  time.Duration // 0 means the constant
	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	draining  atomic.Bool
}

// ErrClosed is what Serve returns after Shutdown or Close.
var ErrClosed = http.ErrServerClosed

// Serve accepts connections until the listener fails or the server is shut
// down.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		return ErrClosed
	}
	if s.listeners == nil {
		s.listeners, s.conns = map[net.Listener]struct{}{}, map[*serverConn]struct{}{}
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			go s.serve(c)
		case s.draining.Load():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, say: some come back
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log(fmt.Errorf("accepting on %s, again in %s: %w", l.Addr(), pause, err))
			time.Sleep(pause)
		}
	}
}

// Shutdown closes the listeners and the connections between two requests, and
// waits until all handlers have returned, also those that have taken their
// connections over.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		for l := range s.listeners {
			l.Close()
		}
		for c := range s.conns {
			if c.idle.Load() {
				c.Close()
			}
		}
		left := len(s.conns)
		s.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Close cuts every connection whose handler has not returned.
func (s *Server) Close() {
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.Close()
	}
}

func (s *Server) timeForHead() time.Duration {
	if s.headTime > 0 {
		return s.headTime
	}
	return headTime
}

func (s *Server) log(err error) {
	if s.Log != nil {
		s.Log(err)
	}
}

// serverConn is one caller's connection.
type serverConn struct {
	*Conn
	server *Server
	ctx    context.Context
	tls    *tls.ConnectionState
	remote string
	idle   atomic.Bool // between two requests

	hijacked bool
}

func (s *Server) serve(nc net.Conn) {
	c := &serverConn{Conn: NewConn(nc), server: s, remote: nc.RemoteAddr().String()}
	c.idle.Store(true)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	c.run(func() next {
		if t, ok := nc.(*tls.Conn); ok {
			ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
			err := t.HandshakeContext(ctx)
			cancel()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					s.log(fmt.Errorf("TLS with %s: %w", c.remote, err))
				}
				c.refusePlain(err)
				return over
			}
			state := t.ConnectionState()
			c.tls = &state
		}
		c.ctx = context.Background()
		if s.ConnContext != nil {
			c.ctx = s.ConnContext(c.ctx, nc)
		}
		return again
	})
}

// next is what a connection does after a request.
type next int

const (
	over   next = iota
	again       // serves another
	goesOn      // nothing here: another goroutine has it
)

// run does first, and then serves requests.
func (c *serverConn) run(first func() next) {
	n := over
	defer func() { // also where a handler ends the goroutine
		if n != goesOn {
			c.end()
		}
	}()
	for n = first(); n == again; {
		n = over
		n = c.one()
	}
}

func (c *serverConn) end() {
	s := c.server
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	if !c.hijacked {
		c.drop()
		c.Close()
	}
}

// one serves one request and says what follows.
func (c *serverConn) one() next {
	c.readWithin(leastIdle, idleTime)
	head, err := c.readHead(func(have int) {
		if have > 0 && c.idle.CompareAndSwap(true, false) {
			c.readWithin(c.server.timeForHead(), c.server.timeForHead())
		}
	})
	c.idle.Store(false)
	if err != nil {
		c.refuse(err)
		return over
	}
	var parsed http.Request
	f, err := parseRequest(&parsed, head)
	if err != nil {
		c.refuse(err)
		return over
	}
	c.take(len(head))
	parsed.RemoteAddr, parsed.TLS = c.remote, c.tls
	w := newResponse(c, &parsed, f)
	r := parsed.WithContext(&w.ctx) // the one that is not on the stack
	w.upgrade = f.special && r.Header["Upgrade"] != nil
	handler := c.server.Handler
	if c.server.draining.Load() {
		w.close = true
		handler = c.server.refuse(http.StatusServiceUnavailable, "moorgate: going down: try again in a moment")
	} else if e := expects(r, f); e != "" && !strings.EqualFold(e, "100-continue") {
		handler = c.server.refuse(http.StatusExpectationFailed, "Expect: only 100-continue is known here")
	} else if r.RequestURI == "*" {
		handler = c.server.refuse(http.StatusOK, "")
	}
	if !c.handle(handler, w, r) {
		return over
	}
	if w.goesOn != nil {
		go c.run(func() next { return c.goOn(w) })
		return goesOn
	}
	return c.finish(w)
}

func expects(r *http.Request, f framing) string {
	if f.special {
		return r.Header.Get("Expect")
	}
	return ""
}

// finish ends an answer and says what follows.
func (c *serverConn) finish(w *response) next {
	if c.hijacked {
		w.release()
		return over
	}
	whole := w.finish()
	more := whole && !w.close && !c.server.draining.Load() && w.bodyRead()
	w.release()
	if whole && !more && (!w.bodyRead() || len(c.have()) > 0 || w.upgrade) {
		c.linger()
	}
	c.idle.Store(more)
	if more {
		return again
	}
	return over
}

// goOn does what the handler has left to be done.
func (c *serverConn) goOn(w *response) next {
	if !c.guard(w, func() {
		if w.goesOn() != nil {
			panic(http.ErrAbortHandler)
		}
	}) {
		return over
	}
	return c.finish(w)
}

// handle runs the handler; false where it panicked and the connection has to
// be cut.
func (c *serverConn) handle(handler http.Handler, w *response, r *http.Request) bool {
	return c.guard(w, func() { handler.ServeHTTP(w, r) })
}

func (c *serverConn) guard(w *response, do func()) (ok bool) {
	defer func() {
		if ok {
			return
		}
		if err := recover(); err != nil && err != http.ErrAbortHandler {
			c.server.log(fmt.Errorf("serving %s: panic: %v\n%s", c.remote, err, debug.Stack()))
		}
		if c.hijacked {
			w.release()
			return
		}
		w.abort()
	}()
	do()
	return true
}

func (s *Server) refuse(status int, reason string) http.Handler {
	if s.Refuse != nil && status != http.StatusOK {
		return s.Refuse(status, reason)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reason)
	})
}

// refuse answers a head that could not be read, where there is one to answer.
func (c *serverConn) refuse(err error) {
	var b *BadHead
	switch {
	case errors.As(err, &b):
	case errors.Is(err, os.ErrDeadlineExceeded) && len(c.have()) > 0:
		b = &BadHead{http.StatusRequestTimeout, fmt.Sprintf("the head took over %s: send it at once", c.server.timeForHead())}
	default:
		return
	}
	c.SetReadDeadline(time.Time{})
	r := &http.Request{
		Method: "-", URL: &url.URL{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, RemoteAddr: c.remote, TLS: c.tls,
	}
	w := newResponse(c, r, framing{length: -1, close: true})
	if c.handle(c.server.refuse(b.Status, b.Reason), w, r.WithContext(&w.ctx)) {
		w.finish()
		c.linger()
	}
	w.release()
}

// refusePlain tells a caller who speaks HTTP where TLS is spoken, in the clear
// and in the Engine's words, which docker users know.
func (c *serverConn) refusePlain(handshake error) {
	record, ok := errors.AsType[tls.RecordHeaderError](handshake)
	if !ok || record.Conn == nil || !slices.ContainsFunc(requests, func(begin string) bool {
		return strings.HasPrefix(begin, string(record.RecordHeader[:]))
	}) {
		return
	}
	plain := &serverConn{Conn: NewConn(record.Conn), server: c.server, ctx: context.Background(), remote: c.remote}
	plain.refuse(&BadHead{http.StatusBadRequest, "Client sent an HTTP request to an HTTPS server: speak TLS, as docker --tlsverify does"})
	plain.drop()
}

// requests are what those of the Engine's callers begin with.
var requests = []string{"GET /", "HEAD /", "POST /", "PUT /", "DELETE /", "OPTIONS /"}

// linger lets a caller who is still sending take the answer: closing at once
// would reset the connection and with it what the caller has not read.
func (c *serverConn) linger() {
	if c.CloseWrite() != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(lingerTime))
	for n := 0; n < lingerBytes; {
		n += len(c.have())
		c.drop()
		if c.fill(bufferSize) != nil {
			return
		}
	}
}
