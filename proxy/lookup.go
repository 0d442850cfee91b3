package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"moorgate/proxy/http1"
	"moorgate/router"
)

// Bounds of what moorgate itself asks an Engine.
const (
	maxLookup  = 16 << 20         // bytes of an answer that is held
	lookupTime = 30 * time.Second // for such an answer, and for the head of a stream
)

// Get gives the JSON answer to GET path, of the Engine's newest API version.
// It takes at most 30 s and 16 MiB. An answer of another status than 200 is a
// *router.Error with the Engine's own words.
func (e *Engine) Get(ctx context.Context, path string) ([]byte, error) {
	return e.lookUp(ctx, http.MethodGet, path, nil)
}

// Post is Get for POST with a JSON body; nil sends none. 201 and 204 are
// answers too. It is never sent twice: an error may mean that nobody knows
// whether it was done.
func (e *Engine) Post(ctx context.Context, path string, body []byte) ([]byte, error) {
	return e.lookUp(ctx, http.MethodPost, path, body)
}

func (e *Engine) lookUp(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	within := &limited{Context: ctx, deadline: time.Now().Add(lookupTime)}
	defer within.end()
	ctx = within
	a, err := e.send(ctx, method, path, body)
	if err != nil {
		return nil, e.away(ctx, err)
	}
	defer a.Close()
	answer, err := e.readAll(ctx, a)
	if err != nil {
		return nil, err
	}
	switch {
	case a.StatusCode == http.StatusOK,
		method == http.MethodPost && (a.StatusCode == http.StatusCreated || a.StatusCode == http.StatusNoContent):
		return answer, nil
	}
	return nil, e.refusal(a, answer)
}

// limited is a context with a deadline that asks nothing of its parent before
// somebody waits for it: a caller's connection is watched from then on, which
// costs more than a lookup that is answered at once, as most are.
type limited struct {
	context.Context
	deadline time.Time

	mu     sync.Mutex
	inner  context.Context
	cancel context.CancelFunc
}

func (l *limited) Deadline() (time.Time, bool) {
	if at, ok := l.Context.Deadline(); ok && at.Before(l.deadline) {
		return at, true
	}
	return l.deadline, true
}

func (l *limited) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		l.inner, l.cancel = context.WithDeadline(l.Context, l.deadline)
	}
	return l.inner.Done()
}

func (l *limited) Err() error {
	l.mu.Lock()
	inner := l.inner
	l.mu.Unlock()
	switch {
	case inner != nil:
		return inner.Err()
	case l.Context.Err() == nil && !time.Now().Before(l.deadline):
		return context.DeadlineExceeded
	}
	return l.Context.Err()
}

// Value goes by way of the context that Done made, by which others know it.
func (l *limited) Value(key any) any {
	l.mu.Lock()
	inner := l.inner
	l.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return l.Context.Value(key)
}

// end lets go of what Done has made.
func (l *limited) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		l.cancel()
	}
}

// Stream gives the answer to GET path, of the Engine's newest API version, as
// it comes: for one that grows, as /events does. It lasts until the Engine
// ends it (io.EOF), ctx is done or it is closed; only its head has a limit,
// 30 s. An answer of another status than 200 is a *router.Error with the
// Engine's own words. Close may be called beside a Read and ends it.
func (e *Engine) Stream(ctx context.Context, path string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(lookupTime, cancel)
	a, err := e.send(ctx, http.MethodGet, path, nil)
	if err == nil && a.StatusCode != http.StatusOK {
		var answer []byte
		if answer, err = e.readAll(ctx, a); err == nil {
			err = e.refusal(a, answer)
		}
		a.Close()
	}
	if !late.Stop() && err == nil {
		a.Close()
		err = ctx.Err()
	}
	if err != nil {
		defer cancel()
		return nil, e.away(ctx, err)
	}
	return &stream{ctx: ctx, cancel: cancel, answer: a}, nil
}

// stream is an answer that ends with its context.
type stream struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // an Answer is read and closed by one at a time
	answer *http1.Answer
}

func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.answer.Body.Read(p)
	if err != nil && s.ctx.Err() != nil {
		err = s.ctx.Err() // why the connection was cut
	}
	return n, err
}

func (s *stream) Close() error {
	s.cancel()
	s.answer.Cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer.Close()
}

func (e *Engine) readAll(ctx context.Context, a *http1.Answer) ([]byte, error) {
	answer, err := io.ReadAll(io.LimitReader(a.Body, maxLookup+1))
	if err != nil {
		return nil, e.away(ctx, err)
	}
	if len(answer) > maxLookup {
		return nil, fmt.Errorf("engine %s answers over %d bytes to %s %s", e.Name, maxLookup, a.Request.Method, a.Request.URL.Opaque)
	}
	return answer, nil
}

// refusal is an answer that is none, in the Engine's own words if it has any.
func (e *Engine) refusal(a *http1.Answer, answer []byte) error {
	var said struct{ Message string }
	if json.Unmarshal(answer, &said) != nil || said.Message == "" {
		said.Message = fmt.Sprintf("engine %s answers %s to %s %s", e.Name, a.Status, a.Request.Method, a.Request.URL.Opaque)
	}
	return &router.Error{Status: a.StatusCode, Message: said.Message}
}

// send asks without a version, which means the newest.
func (e *Engine) send(ctx context.Context, method, target string, body []byte) (*http1.Answer, error) {
	if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, &router.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("moorgate: %.128q is no path: escape the names in it", target)}
	}
	path, query, _ := strings.Cut(target, "?")
	r := &http.Request{
		Method: method, URL: &url.URL{Opaque: path, RawQuery: query}, Host: "docker",
		Header: http.Header{"User-Agent": {"moorgate"}}, Body: http.NoBody,
	}
	if body != nil {
		r.Header["Content-Type"] = []string{"application/json"}
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody()
	}
	return e.transport.Send(r.WithContext(ctx), false, func() {})
}
