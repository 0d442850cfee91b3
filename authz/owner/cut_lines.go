package owner

import (
	"errors"
	"io"
	"sync"
)

// lines is the body of many values, one behind the other, each of which is cut
// as a cutter does it. Who waits for the next value, for hours as like as not,
// holds no more than this: what cutting needs is taken up when something comes.
type lines struct {
	src    io.ReadCloser
	shape  func() *shape // asked when something comes
	cutter *cutter       // nil while that is waited for, if the body can tell
	marked bool          // the cutter's, meanwhile
}

// cutLines gives a body of which only those values are seen that have the shape.
func cutLines(src io.ReadCloser, shape func() *shape) *lines {
	return &lines{src: src, shape: shape}
}

// lineSize is what is read at a time of values that come one by one, in bytes.
const lineSize = 2 << 10

// lineCutters are cutters with the buffers for values of that size.
var lineCutters = sync.Pool{New: func() any { return &cutter{buf: make([]byte, lineSize)} }}

// errRest says that nothing is in hand, and nobody need hold anything.
var errRest = errors.New("all that came was taken")

// Close closes the Engine's answer.
func (l *lines) Close() error {
	if l.cutter == nil {
		l.cutter = &cutter{src: l.src}
	}
	return l.cutter.Close()
}

// Read gives what is there to be seen, and waits only if that is nothing.
func (l *lines) Read(p []byte) (int, error) {
	if err := l.more(); err != nil {
		return 0, err
	}
	return l.cutter.Read(p)
}

// Next is Read without copying; what it gives is good until the next call.
func (l *lines) Next() ([]byte, error) {
	if err := l.more(); err != nil {
		return nil, err
	}
	return l.cutter.Next()
}

// more makes sure that the cutter has something to be handed out.
func (l *lines) more() error {
	for {
		if l.cutter == nil {
			if body, ok := l.src.(interface{ Wait() error }); ok {
				_ = body.Wait() // its error is what reading gives, too
			}
			l.take()
		}
		if err := l.cutter.more(); err != errRest {
			return err
		}
		l.rest()
	}
}

func (l *lines) take() {
	c := lineCutters.Get().(*cutter)
	_, waits := l.src.(interface{ Wait() error })
	c.src, c.shape, c.lines, c.rests, c.marked = l.src, l.shape(), true, waits, l.marked
	l.cutter = c
}

// rest gives the cutter back, with no more than the buffers that most need.
func (l *lines) rest() {
	c := l.cutter
	l.cutter, l.marked = nil, c.marked
	kept := cutter{buf: c.buf, out: c.out[:0], prefix: c.prefix[:0], quick: quick{places: c.quick.places[:0]}}
	if len(kept.buf) == lineSize && cap(kept.out) <= 2*lineSize {
		*c = kept
		lineCutters.Put(c)
	}
}
