package audit

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// requestID is the response header that names a request's record.
const requestID = "Moorgate-Request-Id"

// Middleware makes a Record for each request that comes in by the listener of
// this name and gives it to the sinks when the request is over: for hijacked
// and streamed ones that is at their end.
//
// The ResponseWriter that handlers get can do what net/http's can, and besides:
//
//	Identified(*identity.Identity)  who the caller is
//	CountHijacked(in, out int64)    bytes that a hijacked connection carried
//
// Both are found by type assertion. After Hijack, WriteHeader tells the record
// which status was written to the connection; without it that is 101.
func Middleware(listener string, sinks ...Sink) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serve(listener, sinks, next, w, r)
		})
	}
}

func serve(listener string, sinks []Sink, next http.Handler, w http.ResponseWriter, r *http.Request) {
	q := &request{Context: r.Context(), inner: w}
	q.record = Record{
		Time:     time.Now(),
		ID:       nextID(),
		Listener: listener,
		Remote:   remote(r.RemoteAddr),
		Method:   cut(r.Method, maxMethod),
		Path:     path(r),
		sinks:    sinks,
	}
	if q.record.Remote == "" {
		if p := identity.PeerOf(r.Context()); p != nil {
			q.record.Remote = p.String()
		}
	}
	q.id[0] = q.record.ID

	defer q.end()
	if s, ok := q.Context.(interface{ SetValue(key, value any) bool }); !ok || !s.SetValue(recordKey{}, &q.record) {
		r = r.WithContext(q)
	}
	if r.Body != nil && r.Body != http.NoBody {
		q.body.ReadCloser = r.Body
		r.Body = &q.body
	}
	next.ServeHTTP((*writer)(q), r)
	q.returned = true
}

// request is all that one request needs, in one allocation: the context that
// carries the record where the server's own does not, the writer and the body. It
// is not reused: whoever still holds a body or a writer after its handler
// returned, as transports do for a moment, must never reach another request's.
type request struct {
	context.Context
	record   Record
	id       [1]string
	inner    http.ResponseWriter
	body     body
	out, in  atomic.Int64 // in: of the hijacked connection
	status   atomic.Int32
	hijacked atomic.Bool
	named    bool // the answer's header has the id
	returned bool
	goesOn   bool // Continue's func has yet to return
}

func (q *request) Value(key any) any {
	if key == (recordKey{}) {
		return &q.record
	}
	return q.Context.Value(key)
}

// end runs deferred: a panic is recorded and goes on.
func (q *request) end() {
	if q.returned && q.goesOn {
		return
	}
	rec := &q.record
	var failure any
	if !q.returned {
		failure = recover()
	}
	rec.Status = int(q.status.Load())
	switch {
	case q.returned:
		if rec.Status == 0 {
			rec.Status = http.StatusOK // the server answers for a handler that wrote nothing
			(*writer)(q).Header()
		}
	case failure == http.ErrAbortHandler:
		if rec.Error == "" {
			rec.Error = "the answer was cut short"
		}
	default: // also runtime.Goexit, where failure is nil
		rec.Decision = Failed
		rec.Error = fmt.Sprint("panic: ", failure)
	}
	rec.BytesIn = q.body.n.Load() + q.in.Load()
	rec.BytesOut = q.out.Load()
	rec.end()
	if failure != nil {
		panic(failure)
	}
}

// body counts what is read of a request's body.
type body struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// writer is a request seen as the ResponseWriter of its handler.
type writer request

func (w *writer) Unwrap() http.ResponseWriter { return w.inner }

// Header is the answer's, with the request's id in it from the first call on:
// there is at least one before the answer begins. A header that is taken over
// before that, as most are, needs none made first.
func (w *writer) Header() http.Header {
	h := w.inner.Header()
	if !w.named {
		w.named = true
		h[requestID] = w.id[:]
	}
	return h
}

// begin notes that the answer begins, with a status unless it has one.
func (w *writer) begin(status int) {
	if w.status.CompareAndSwap(0, int32(status)) {
		w.Header()
	}
}

func (w *writer) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols { // other 1xx come before the answer
		if w.hijacked.Load() {
			w.status.Store(int32(status))
			return
		}
		w.begin(status)
	}
	w.inner.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.inner.Write(p)
	w.out.Add(int64(n))
	return n, err
}

func (w *writer) WriteString(s string) (int, error) {
	w.begin(http.StatusOK)
	n, err := io.WriteString(w.inner, s)
	w.out.Add(int64(n))
	return n, err
}

// ReadFrom leaves the copying to net/http, which can splice.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	w.begin(http.StatusOK)
	n, err := io.Copy(w.inner, r)
	w.out.Add(n)
	return n, err
}

// Continue has f go on with the answer once the handler has returned, as
// http1's server does it; the request is over when f is. False says that the
// server cannot, and that f was not taken.
func (w *writer) Continue(f func() error) bool {
	inner, ok := w.inner.(interface{ Continue(func() error) bool })
	q := (*request)(w)
	q.goesOn = ok && inner.Continue(func() error {
		q.goesOn, q.returned = false, false
		defer q.end()
		err := f()
		q.record.Fail(err)
		q.returned = true
		return err
	})
	return q.goesOn
}

// TakeHeader makes h the answer's header where the server can; the Engine's own
// need not be copied then.
func (w *writer) TakeHeader(h http.Header) bool {
	inner, ok := w.inner.(interface{ TakeHeader(http.Header) bool })
	if !ok || !inner.TakeHeader(h) {
		return false
	}
	w.named = true
	h[requestID] = w.id[:]
	return true
}

// WriteChunks hands on pieces of a chunked body with their framing, which the
// proxy need not take off and put on again; data bytes of p are the body's.
func (w *writer) WriteChunks(p []byte, data int64, last bool) error {
	inner, ok := w.inner.(interface {
		WriteChunks(p []byte, data int64, last bool) error
	})
	if !ok {
		return http.ErrNotSupported
	}
	err := inner.WriteChunks(p, data, last)
	if err == nil {
		w.out.Add(data)
	}
	return err
}

func (w *writer) Flush() { w.FlushError() }

func (w *writer) FlushError() error {
	w.begin(http.StatusOK)
	switch inner := w.inner.(type) {
	case interface{ FlushError() error }:
		return inner.FlushError()
	case http.Flusher:
		inner.Flush()
		return nil
	}
	return http.ErrNotSupported
}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.inner).Hijack()
	if err == nil {
		w.hijacked.Store(true)
		w.status.CompareAndSwap(0, http.StatusSwitchingProtocols)
	}
	return conn, buf, err
}

// CountHijacked adds what a hijacked connection carried: in from the caller,
// out to it.
func (w *writer) CountHijacked(in, out int64) {
	w.in.Add(in)
	w.out.Add(out)
}

// Identified keeps who the caller is.
func (w *writer) Identified(who *identity.Identity) { w.record.identified(who) }

// Found is for router.Mux's field of that name: it keeps what a request asks
// for, so that a refusal of its query or body is recorded by name too.
func Found(r *http.Request, call *router.Call) {
	rec := From(r.Context())
	rec.Action, rec.Engine = call.Action, call.Engine
}

// Fail answers an error as router.Fail does and keeps it in the record.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	From(r.Context()).Fail(err)
	router.Fail(w, r, err)
}

// remote leaves out the "@" by which net names the unnamed end of a unix socket.
func remote(addr string) string {
	if addr == "@" {
		return ""
	}
	return addr
}

// path is the path as the caller wrote it, never with the query.
func path(r *http.Request) string {
	p := r.URL.Path
	if r.URL.RawPath != "" {
		p = r.URL.RawPath
	}
	return cut(p, maxPath)
}

var (
	idCount  atomic.Uint64
	idPrefix = func() string {
		var b [8]byte
		rand.Read(b[:])
		return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])) + "-"
	}()
)

// nextID gives an id that no other request has, also not one of another
// process: a random prefix of the process and a count.
func nextID() string {
	var b [32]byte
	return string(strconv.AppendUint(append(b[:0], idPrefix...), idCount.Add(1), 32))
}
