package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"moorgate/proxy/http1"
	"moorgate/router"
)

// Review sees an answer before any of it goes to the caller; an error is
// answered in its place. It is not asked where a connection becomes a stream.
//
// It may change the status and the header, and read or replace the Body. Of an
// answer that grows (router.Stream) it must not read, since nothing may have
// come yet: there it can only put a reader of its own in the Body's place,
// which reads the old Body from within its Read and nowhere else. Such a Read
// should give what is there, as much as fits, and wait only where it has
// nothing: each is sent on at once. An error of it cuts the answer off.
//
// A Body of its own may have a method Next() ([]byte, error) beside Read, which
// gives the same without copying it.
//
// A Content-Length does not hold for a Body that was replaced and is left out;
// a short one gets its own. Trailers of the Engine are passed on if its Body was
// read to the end. The old Body need not be closed; the new one is.
type Review func(ctx context.Context, c *router.Call, resp *http.Response) error

// replaced is what a reviewer has put in a body's place.
type replaced struct {
	body  io.Reader
	grows bool
}

var replacedBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// next gives what comes of the body, piece by piece, each good until the next;
// done must be called at last. A body that has a buffer of its own shows that:
// who waits for an event needs no other.
func (r replaced) next() (next func() ([]byte, error), done func()) {
	if own, ok := r.body.(interface{ Next() ([]byte, error) }); ok {
		return own.Next, func() {}
	}
	buf := replacedBuffers.Get().(*[]byte)
	return func() ([]byte, error) {
		n, err := r.body.Read(*buf)
		return (*buf)[:n], err
	}, func() { replacedBuffers.Put(buf) }
}

// copyTo relays it. Of one that grows, the head is sent before the first Read,
// which may wait, and what each Read gives before the next.
func (r replaced) copyTo(w io.Writer, flush func() error) error {
	next, done := r.next()
	defer done()
	for {
		if r.grows {
			if err := flush(); err != nil {
				return &http1.CallerError{Err: err}
			}
		}
		piece, err := next()
		if len(piece) > 0 {
			if _, err := w.Write(piece); err != nil {
				return &http1.CallerError{Err: err}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what a reviewer lets through: %w", err)
		}
	}
}
