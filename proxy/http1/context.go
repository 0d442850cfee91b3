package http1

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// requestContext is done when the caller has gone. It begins to watch for
// that when someone first asks, since most answers come before anyone would.
type requestContext struct {
	context.Context
	w *response

	mu     sync.Mutex
	values [maxValues]contextValue
	inner  context.Context
	cancel context.CancelFunc
	body   bool          // the body is off the connection
	watch  chan struct{} // closed when the watcher has ended; nil while there is none
	still  bool          // the connection is not to be watched any more
	over   bool          // the handler has returned
}

// maxValues is how many values a context takes besides its parent's: who calls,
// and the request's record.
const maxValues = 2

type contextValue struct{ key, value any }

// SetValue has the context give a value for key from now on, false where it has
// one already or no room. Whoever would make a context with that value, and a
// copy of the request for it, can ask for this first, unless the handlers
// around it must not see the value.
func (x *requestContext) SetValue(key, value any) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.values {
		switch v := &x.values[i]; v.key {
		case nil:
			*v = contextValue{key, value}
			return true
		case key:
			return false
		}
	}
	return false
}

func (x *requestContext) open() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.inner == nil {
		x.inner, x.cancel = context.WithCancel(x.Context)
		if x.over {
			x.cancel()
		}
		x.start()
	}
	return x.inner
}

func (x *requestContext) Done() <-chan struct{} { return x.open().Done() }

func (x *requestContext) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.inner != nil:
		return x.inner.Err()
	case x.over:
		return context.Canceled
	}
	return x.Context.Err()
}

func (x *requestContext) Value(key any) any {
	x.mu.Lock()
	values, inner := x.values, x.inner
	x.mu.Unlock()
	for i := range values {
		if values[i].key == key {
			return values[i].value
		}
	}
	if inner != nil {
		return inner.Value(key)
	}
	return x.Context.Value(key)
}

// start begins watching, once there is no body left to be read. The caller
// holds mu.
func (x *requestContext) start() {
	if x.watch != nil || !x.body || x.still || x.inner == nil {
		return
	}
	x.w.c.readAlways()
	x.watch = make(chan struct{})
	go x.watcher(x.watch, x.cancel)
}

func (x *requestContext) bodyDone() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.body = true
	x.start()
}

// watcher reads ahead, as far as the buffer goes, to see the connection end.
func (x *requestContext) watcher(ended chan struct{}, cancel context.CancelFunc) {
	defer close(ended)
	c := x.w.c
	for {
		err := c.fill(bufferSize)
		switch {
		case err == nil:
			continue
		case err == errFull, // requests are waiting, so there is a caller
			errors.Is(err, os.ErrDeadlineExceeded): // stopWatch, or whoever ends reads of the body
			return
		case err == io.EOF && x.halfOpen():
			c.waitGone()
		}
		if x.watched() {
			cancel()
		}
		return
	}
}

// halfOpenTime is how long a caller who has sent the end of a TCP connection
// still gets an answer.
const halfOpenTime = 2 * time.Second

// halfOpen prepares to see whether the caller has ended only its own
// direction. A unix socket tells; TCP does not, so there the answer gets a
// moment more. It is false where nobody wants to know any more: a deadline set
// behind stopWatch's would undo it.
func (x *requestContext) halfOpen() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.w.c.LocalAddr().Network() != "unix" && !x.still {
		x.w.c.SetReadDeadline(time.Now().Add(halfOpenTime))
	}
	return !x.still
}

func (x *requestContext) watched() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.still
}

// stopWatch gives the connection's reading side back.
func (x *requestContext) stopWatch() {
	x.mu.Lock()
	watch := x.watch
	x.watch, x.still = nil, true
	x.mu.Unlock()
	if watch == nil {
		return
	}
	x.w.c.SetReadDeadline(longAgo)
	<-watch
	x.w.c.SetReadDeadline(time.Time{})
}

// end cancels what still waits.
func (x *requestContext) end() {
	x.stopWatch()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.cancel != nil {
		x.cancel()
	}
}
