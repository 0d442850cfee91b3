package http1

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// begin sets the body up.
func (a *Answer) begin(r *http.Request, f framing) {
	resp := a.Response
	a.body = body{c: a.c, chunked: f.chunked, left: f.length, of: a}
	a.keep = !f.close && (f.chunked || f.length >= 0)
	if r.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		a.body.chunked, a.body.left = false, 0
		a.keep = !f.close
	}
	if a.body.left == 0 && !a.body.chunked {
		a.body.finish()
	}
	resp.Body = bodyCloser{a}
}

func (a *Answer) more() error { return a.fill(bufferSize) }
func (a *Answer) bodyEnds()   { a.response.Trailer = a.body.trailer }

// bodyCloser is the answer's body for those who want an http.Response.
type bodyCloser struct{ a *Answer }

func (b bodyCloser) Read(p []byte) (int, error) { return b.a.body.Read(p) }
func (b bodyCloser) Close() error               { return b.a.Close() }

// Wait waits, without a buffer, until Read would not. The error is the one that
// Read gives next.
func (b bodyCloser) Wait() error {
	_, err := b.a.body.view()
	return err
}

// Replaced says whether Body is another one than the Engine's. What the head
// says of the body's length does not hold for it.
func (a *Answer) Replaced() bool {
	own, ok := a.Body.(bodyCloser)
	return !ok || own.a != a
}

// CopyTo relays the Engine's body as it comes: what is in hand is written, and
// flushed before there is a wait for more.
func (a *Answer) CopyTo(w io.Writer, flush func() error) error {
	if k, ok := w.(ChunkWriter); ok && a.body.chunked && !a.body.done && k.WriteChunks(nil, 0, false) == nil {
		return a.copyChunks(k, flush)
	}
	for {
		v, ok := a.body.ready()
		if !ok {
			if a.body.done {
				return nil
			}
			if a.body.err == nil {
				if err := flush(); err != nil {
					return &CallerError{err}
				}
			}
			var err error
			if v, err = a.body.view(); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
		if _, err := w.Write(v); err != nil {
			return &CallerError{err}
		}
		a.body.take(len(v))
	}
}

// ChunkWriter is a writer of a chunked body that takes chunks as they are.
type ChunkWriter interface {
	// WriteChunks writes p, which is framing and data bytes of data. Pieces
	// follow on each other and need not end where a chunk does; the last chunk
	// is not among them, but where last is true it follows at once, with no
	// trailer. With nil it only says whether it can.
	WriteChunks(p []byte, data int64, last bool) error
}

// copyChunks is CopyTo with the Engine's own framing, which is checked on its
// way: to take it off and put it on again costs a write for each chunk.
func (a *Answer) copyChunks(w ChunkWriter, flush func() error) error {
	b := &a.body
	for {
		if p, data := b.span(); len(p) > 0 {
			if err := w.WriteChunks(p, data, b.lastBehind(len(p))); err != nil {
				return &CallerError{err}
			}
			b.c.take(len(p))
			continue
		}
		if b.left <= 0 && b.nextChunk(b.c.have()) { // its line said more than a size
			if err := w.WriteChunks(fmt.Appendf(nil, "%x\r\n", b.left), 0, false); err != nil {
				return &CallerError{err}
			}
			continue
		}
		if b.done || b.err != nil {
			return b.err
		}
		if err := flush(); err != nil {
			return &CallerError{err}
		}
		if err := a.more(); err != nil {
			b.stop(err)
		}
	}
}

// CallerError is a failure to write to the caller.
type CallerError struct{ Err error }

func (e *CallerError) Error() string { return "writing to the caller: " + e.Err.Error() }

func (e *CallerError) Unwrap() error { return e.Err }

// stop ends the watch over the caller and the upload.
func (a *Answer) stop() {
	if a.watch != nil {
		a.watch()
	}
	if a.up != nil && !a.up.ended() {
		a.cut()
		<-a.up.done
	}
}

// Cut ends the answer early, from any goroutine: the one that reads it sees an
// error.
func (a *Answer) Cut() {
	a.ended.Store(true)
	a.c.SetDeadline(longAgo)
}

// Close gives the connection back to the pool if the exchange is complete,
// else closes it. Nothing reads the request's body when it returns.
func (a *Answer) Close() error {
	if a.closed || a.Raw != nil {
		return nil
	}
	a.closed = true
	if a.body.of != nil {
		a.body.ready() // the end may be in hand, though nobody has asked for more
	}
	whole := a.body.done && a.keep && len(a.c.have()) == 0
	if a.up != nil && whole {
		a.up.settle()
		whole = a.up.complete()
	}
	if a.watch != nil && !a.watch() {
		whole = false
	}
	if whole {
		if a.ended.Load() { // too late to cut anything
			a.c.notWithin()
			a.c.SetDeadline(time.Time{})
		}
		a.t.keep(a.c)
		return nil
	}
	a.c.Close() // an upload that still writes ends here
	a.stop()
	a.c.drop()
	return nil
}
