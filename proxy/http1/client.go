package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxIdle bounds the connections kept between requests.
const maxIdle = 64

// patience is how long an answer may take before the caller's leaving is
// watched for: nearly all come sooner, and watching costs a goroutine. It may be
// mostPatience where the connection still has the deadline of an answer before.
const (
	patience     = 5 * time.Millisecond
	mostPatience = 3 * patience / 2
)

// small is the longest body in bytes that is sent in one write with its head.
const small = 32 << 10

// Transport keeps connections to one Engine. A request uses one of them from
// its own goroutine; only an upload that may run beside its answer has another.
type Transport struct {
	// Dial makes a connection.
	Dial func(context.Context) (net.Conn, error)

	mu   sync.Mutex
	idle []*Conn // the most recently used last
}

// Answer is an Engine's answer. Where Raw is set the connection has become a
// stream of bytes and is the taker's own; otherwise Close must be called.
type Answer struct {
	*http.Response
	Raw *Conn

	t        *Transport
	c        *Conn
	response http.Response
	body     body
	up       *upload
	cut      func()      // ends a read of the request's body
	watch    func() bool // stops watching the caller; nil while nobody does
	ctx      context.Context
	keep     bool
	closed   bool
	ended    atomic.Bool // by Cut
}

// DialError is a failure to reach the Engine at all.
type DialError struct{ Err error }

func (e *DialError) Error() string { return e.Err.Error() }

func (e *DialError) Unwrap() error { return e.Err }

// Send sends a request and waits for the head of its answer. Hijack says
// whether a 101, or a 200 with a raw stream and no length, makes the connection
// a stream. Cut must end a read of the request's body that waits; it is called
// when the answer is over before the upload. A request that a kept connection
// could not take is sent once more on a new one if it may be repeated.
func (t *Transport) Send(r *http.Request, hijack bool, cut func()) (*Answer, error) {
	for !hijack {
		c := t.kept()
		if c == nil {
			break
		}
		a, err := t.send(c, r, false, cut)
		if err == nil || !errors.Is(err, errStale) || !repeatable(r) {
			return a, err
		}
	}
	nc, err := t.Dial(r.Context())
	if err != nil {
		return nil, &DialError{err}
	}
	return t.send(NewConn(nc), r, hijack, cut)
}

// errStale is the end of a connection before anything of an answer came.
var errStale = errors.New("the Engine closed the connection without an answer")

func repeatable(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// kept takes a live idle connection from the pool.
func (t *Transport) kept() *Conn {
	for {
		t.mu.Lock()
		n := len(t.idle)
		if n == 0 {
			t.mu.Unlock()
			return nil
		}
		c := t.idle[n-1]
		t.idle[n-1] = nil
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		if !c.dead() {
			return c
		}
		c.Close()
	}
}

func (t *Transport) keep(c *Conn) {
	c.drop()
	t.mu.Lock()
	var old *Conn
	if len(t.idle) >= maxIdle {
		old = t.idle[0]
		t.idle = append(t.idle[:0], t.idle[1:]...)
	}
	t.idle = append(t.idle, c)
	t.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// CloseIdle closes the connections that wait in the pool.
func (t *Transport) CloseIdle() {
	t.mu.Lock()
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

func (t *Transport) send(c *Conn, r *http.Request, hijack bool, cut func()) (*Answer, error) {
	a := &Answer{t: t, c: c, ctx: r.Context(), cut: cut}
	if err := a.write(r); err != nil && !a.refused(err) {
		c.Close()
		c.drop()
		return nil, err
	}
	if err := a.read(r, hijack); err != nil {
		var body *BodyError
		if a.up != nil && a.up.ended() && errors.As(a.up.err, &body) {
			err = body // why the connection was closed
		}
		c.Close()
		a.stop()
		c.drop()
		if ctx := context.Cause(r.Context()); a.watch != nil && ctx != nil {
			return nil, ctx
		}
		return nil, err
	}
	return a, nil
}

// refused says whether an Engine that takes no more of the request has
// answered it before it closed.
func (a *Answer) refused(err error) bool {
	if !errors.Is(err, errStale) {
		return false
	}
	a.c.readWithin(lingerTime, lingerTime)
	head, _ := a.c.readHead(nil)
	return head != ""
}

// write sends the head, with a short body in the same write; a longer one goes
// up beside the answer.
func (a *Answer) write(r *http.Request) error {
	out := outs.Get().(*[]byte)
	b := (*out)[:0]
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, target(r.URL)...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	b = appendFields(b, r.Header)
	stream := false
	switch {
	case r.ContentLength > 0:
		b = fmt.Appendf(b, "Content-Length: %d\r\n\r\n", r.ContentLength)
		stream = r.ContentLength > small || r.GetBody == nil
	case r.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n\r\n"...)
		stream = true
	case r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete || r.Method == http.MethodOptions:
		b = append(b, "\r\n"...)
	default:
		b = append(b, "Content-Length: 0\r\n\r\n"...)
	}
	if !stream && r.ContentLength > 0 {
		at := len(b)
		b = append(b, make([]byte, r.ContentLength)...)
		if _, err := io.ReadFull(r.Body, b[at:]); err != nil {
			return &BodyError{err}
		}
	}
	_, err := a.c.Write(b)
	if cap(b) <= 4*outSize {
		*out = b
		outs.Put(out)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errStale, err)
	case stream:
		a.up = startUpload(a.c, r.Body, r.ContentLength)
	}
	return nil
}

func target(u *url.URL) string {
	if u.Opaque == "" {
		return u.RequestURI()
	}
	if u.RawQuery == "" {
		return u.Opaque
	}
	return u.Opaque + "?" + u.RawQuery
}

// fill waits for more of the answer and, once that takes long, for the
// caller's leaving too.
func (a *Answer) fill(limit int) error {
	if a.watch != nil {
		return a.c.fill(limit)
	}
	a.c.readWithin(patience, mostPatience)
	if a.ended.Load() { // that deadline may have undone Cut's
		return os.ErrDeadlineExceeded
	}
	err := a.c.fill(limit)
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	a.c.readAlways()
	a.watch = context.AfterFunc(a.ctx, func() { a.c.SetDeadline(longAgo) })
	if a.ended.Load() {
		return err
	}
	return a.c.fill(limit)
}

// read reads the head of the answer, passing over the interim ones.
func (a *Answer) read(r *http.Request, hijack bool) error {
	for {
		head, err := a.head()
		if err != nil {
			return err
		}
		resp := &a.response
		f, err := parseResponse(resp, head)
		if err != nil {
			return err
		}
		a.c.take(len(head))
		resp.Request = r
		a.Response = resp
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			if !hijack || r.Header["Upgrade"] == nil {
				return errors.New("the Engine switches protocols though nobody asked it to")
			}
			return a.hand()
		case resp.StatusCode < 200:
			continue
		case hijack && resp.StatusCode == http.StatusOK && f.length < 0 && !f.chunked && isRaw(resp.Header):
			return a.hand()
		}
		a.begin(r, f)
		return nil
	}
}

func (a *Answer) head() (string, error) {
	for {
		head, err := a.c.peekHead()
		if head != "" || err != nil {
			return head, err
		}
		if err := a.fill(MaxHead); err != nil {
			switch {
			case err == errFull:
				return "", fmt.Errorf("%w: its head is over %d bytes", errAnswer, MaxHead)
			case len(a.c.have()) == 0 && a.up == nil && a.ctx.Err() == nil:
				return "", fmt.Errorf("%w: %w", errStale, err)
			case err == io.EOF:
				return "", io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// isRaw says whether the Engine calls the answer a stream.
func isRaw(h http.Header) bool {
	t := h.Get("Content-Type")
	return strings.HasPrefix(t, "application/vnd.docker.raw-stream") || strings.HasPrefix(t, "application/vnd.docker.multiplexed-stream")
}

// hand gives the connection over as a stream.
func (a *Answer) hand() error {
	if a.watch != nil && !a.watch() {
		return context.Cause(a.ctx)
	}
	if a.up != nil {
		if <-a.up.done; a.up.err != nil {
			return a.up.err
		}
	}
	a.c.SetDeadline(time.Time{})
	a.Raw = a.c
	return nil
}
