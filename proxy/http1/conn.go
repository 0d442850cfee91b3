// Package http1 speaks HTTP/1.1 on both sides of the proxy: a strict server
// that reads each head in one way or refuses it, and a pool of connections to
// an Engine that is driven by the request's own goroutine.
//
// It exists beside net/http for three reasons. net/http's server takes what
// two readers can take differently (bare line feeds, folded fields, a length
// beside chunks). Its client cannot hand over a connection that answers 200
// with a raw stream, and starts two goroutines for each. And both hold
// buffers of 4 KiB and more for every idle stream, where a proxy has
// thousands; here a buffer exists only while bytes are in hand.
package http1

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bufferSize is what one read takes at most. A unix socket holds some 200 KiB;
// with less than half of that, bulk data costs more system calls than copying.
const bufferSize = 128 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// longAgo as a deadline ends a blocked read or write at once.
var longAgo = time.Unix(1, 0)

// Conn is a connection whose read buffer exists only while bytes are in hand.
type Conn struct {
	net.Conn
	raw  syscall.RawConn // nil where reads must not pass the connection by, as in TLS
	buf  *[]byte
	r, w int
	big  bool // buf has outgrown the pool

	deadline atomic.Int64 // of reads, in nanoseconds since epoch; 0: none that readWithin has set

	quiet *quiet // nil where it always stays in the poller

	// What attempt leaves; kept here so that a read needs no closure of its own.
	n   int
	err error
	try func(fd uintptr) bool

	live bool             // as peek left it
	peek func(fd uintptr) // nil before the first
}

// NewConn wraps a connection.
func NewConn(c net.Conn) *Conn {
	k := &Conn{Conn: c}
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			k.raw, k.try = raw, k.attempt
		}
	}
	return k
}

// NetConn is the connection beneath.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// have is what was read and not yet taken.
func (c *Conn) have() []byte {
	if c.buf == nil {
		return nil
	}
	return (*c.buf)[c.r:c.w]
}

// take marks n bytes of have as used.
func (c *Conn) take(n int) {
	if c.r += n; c.r == c.w {
		c.drop()
	}
}

// drop gives the buffer back.
func (c *Conn) drop() {
	if c.buf != nil && !c.big {
		buffers.Put(c.buf)
	}
	c.buf, c.r, c.w, c.big = nil, 0, 0, false
}

// room makes space behind the bytes in hand; false if there is none and the
// buffer may not grow.
func (c *Conn) room(limit int) bool {
	if c.buf == nil {
		c.buf = buffers.Get().(*[]byte)
		return true
	}
	if c.w < len(*c.buf) {
		return true
	}
	if c.r > 0 {
		c.w = copy(*c.buf, (*c.buf)[c.r:c.w])
		c.r = 0
		return true
	}
	if len(*c.buf) >= limit {
		return false
	}
	grown := make([]byte, min(2*len(*c.buf), limit))
	copy(grown, *c.buf)
	if !c.big {
		buffers.Put(c.buf)
	}
	c.buf, c.big = &grown, true
	return true
}

var errFull = errors.New("more bytes than fit")

// fill reads more behind the bytes in hand, which may grow to limit bytes. It
// waits without holding a buffer where it has none yet.
func (c *Conn) fill(limit int) error {
	if c.buf != nil && !c.room(limit) {
		return errFull
	}
	if c.raw == nil {
		c.room(limit)
		n, err := c.Conn.Read((*c.buf)[c.w:])
		c.w += n
		if n > 0 {
			return nil
		}
		c.empty()
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	if c.quiet != nil && c.look() {
		if c.err == net.ErrClosed {
			return c.err
		}
	} else if err := c.raw.Read(c.try); err != nil {
		return err
	}
	if c.err != nil {
		return c.opError("read", c.err)
	}
	if c.n <= 0 {
		return io.EOF
	}
	c.w += c.n
	return nil
}

// empty drops a buffer that holds nothing.
func (c *Conn) empty() {
	if c.r == c.w {
		c.drop()
	}
}

// attempt reads once if bytes are there; false asks to be called again when
// they are.
func (c *Conn) attempt(fd uintptr) bool {
	c.room(bufferSize)
	c.n, c.err = readSocket(fd, (*c.buf)[c.w:])
	if c.n <= 0 {
		c.empty()
	}
	return c.err != syscall.EAGAIN
}

// Read gives the bytes in hand first.
func (c *Conn) Read(p []byte) (int, error) {
	if c.r == c.w {
		if len(p) == 0 {
			return 0, nil
		}
		return c.Conn.Read(p)
	}
	n := copy(p, c.have())
	c.take(n)
	return n, nil
}

// maxParts is how many parts are written at once.
const maxParts = 3

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	if c.quiet != nil {
		return c.writeQuiet(p)
	}
	if c.raw == nil {
		return c.Conn.Write(p)
	}
	return c.writeParts(p)
}

// write writes at most maxParts parts, one behind the other.
func (c *Conn) write(parts ...[]byte) error {
	if c.raw != nil {
		_, err := c.writeParts(parts...)
		return err
	}
	b := net.Buffers(parts)
	_, err := b.WriteTo(c.Conn)
	return err
}

// epoch is what deadlines are kept against: time.Since is cheaper than
// time.Now, and goes on evenly when the clock is set.
var epoch = time.Now()

// readWithin has reads give up after a time between least and most. A deadline
// of its own that does so already stays: to move one costs as much as to parse a
// head. Who sets deadlines by other means beside it has to say so to notWithin.
func (c *Conn) readWithin(least, most time.Duration) {
	now := time.Since(epoch)
	if d := time.Duration(c.deadline.Load()); d < now+least || d > now+most {
		c.deadline.Store(int64(now + most))
		c.SetReadDeadline(epoch.Add(now + most))
	}
}

// notWithin says that the deadline is not readWithin's any more, and whether it
// was.
func (c *Conn) notWithin() bool { return c.deadline.Swap(0) != 0 }

// readAlways takes away the deadline that readWithin has set.
func (c *Conn) readAlways() {
	if c.notWithin() {
		c.SetReadDeadline(time.Time{})
	}
}

func (c *Conn) opError(call string, err error) error {
	return &net.OpError{Op: call, Net: c.LocalAddr().Network(), Err: os.NewSyscallError(call, err)}
}

// Close closes it.
func (c *Conn) Close() error {
	if c.quiet != nil {
		return c.quiet.close(c)
	}
	return c.Conn.Close()
}

// CloseWrite ends the sending direction only.
func (c *Conn) CloseWrite() error {
	if c.quiet != nil {
		return c.quiet.closeWrite(c)
	}
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

// socket is the raw connection at the bottom, TLS or not; nil if there is
// none.
func (c *Conn) socket() syscall.RawConn {
	if c.raw != nil {
		return c.raw
	}
	for n := c.Conn; ; {
		if s, ok := n.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		}
		under, ok := n.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		n = under.NetConn()
	}
}

// reset prepares a connection to be closed so that its end cannot pass for the
// proper end of what was sent: by a TCP reset, and without TLS's farewell. A
// unix socket knows no such thing.
func (c *Conn) reset() {
	n := c.Conn
	if t, ok := n.(*tls.Conn); ok {
		n = t.NetConn()
		defer n.Close()
	}
	if t, ok := n.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}

// dead says, without waiting, whether an idle connection cannot be used any
// more: its other end has closed it or has sent what nobody asked for.
func (c *Conn) dead() bool {
	raw := c.socket()
	if raw == nil {
		return false
	}
	if c.peek == nil {
		c.peek = func(fd uintptr) { c.live = silent(fd) }
	}
	c.live = false
	return raw.Control(c.peek) != nil || !c.live
}

// waitGone blocks until the other end has closed both directions or the
// connection is closed here; call it after a read has given io.EOF. It says
// whether the other end is known to be gone: at once for a connection in this
// process that knows no half-close.
func (c *Conn) waitGone() bool {
	raw := c.socket()
	if raw == nil {
		_, half := c.Conn.(interface{ CloseWrite() error })
		return !half
	}
	gone := false
	err := raw.Read(func(fd uintptr) bool { // an edge of the poller asks again
		gone = hungUp(int(fd))
		return gone
	})
	return gone && err == nil
}

// peekHead gives a head that is in hand already, "" where it is not complete.
func (c *Conn) peekHead() (string, error) {
	h := c.have()
	if i := bytes.Index(h, []byte("\r\n\r\n")); i >= 0 {
		return string(h[:i+4]), nil
	}
	return "", nil
}
