package http1

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is a hijacked connection on its way through: the caller on one side,
// the Engine on the other, bytes both ways until both have ended.
type Stream struct {
	// Framed says that the Engine's output is frames of its own, so that Say
	// keeps out of them.
	Framed bool

	caller, engine *Conn
	in, out        atomic.Int64
	closed         atomic.Bool

	mu    sync.Mutex // orders what Say writes with what the Engine sends
	begun bool       // the head is with the caller
	frame frame
}

// NewStream joins what a ResponseWriter's Hijack gave with an answer that is
// Raw.
func NewStream(caller net.Conn, engine *Conn) *Stream {
	c, ok := caller.(*Conn)
	if !ok {
		c = NewConn(caller)
	}
	return &Stream{caller: c, engine: engine}
}

// Answer writes the head with which the Engine handed the connection over. A
// field of extra replaces the Engine's own.
func (s *Stream) Answer(a *Answer, extra http.Header) error {
	b := append(append([]byte("HTTP/1.1 "), a.Status...), "\r\n"...)
	h := a.Header.Clone()
	for key, values := range extra {
		h[key] = values
	}
	b = append(appendFields(b, h), "\r\n"...)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.caller.Conn.Write(b)
	s.begun = err == nil
	return err
}

// Run relays until both directions have ended or either side is gone, and
// gives the bytes from the caller and to the caller. Each direction is ended
// when its sender ends it, and only then. It closes both connections.
func (s *Stream) Run() (in, out int64) {
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		s.pump(s.engine, s.caller, &s.in)
		close(ended)
		if s.caller.waitGone() { // both directions: nobody reads the output any more
			s.engine.Close()
		}
	}()
	s.pump(s.caller, s.engine, &s.out)
	s.settle(ended)
	s.Close()
	<-left
	s.caller.drop()
	s.engine.drop()
	return s.in.Load(), s.out.Load()
}

// settle waits, once all output is on its way, for the caller to end its
// direction; when the Engine has closed its side altogether, only as long as
// the caller may need to read what is there: closing at once could reset the
// connection before.
func (s *Stream) settle(ended chan struct{}) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.engine.waitGone()
	}()
	select {
	case <-ended:
		return
	case <-gone:
	}
	t := time.NewTimer(lingerTime)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	}
}

// Close cuts both connections.
func (s *Stream) Close() {
	if s.closed.CompareAndSwap(false, true) {
		s.engine.Close()
		s.caller.Close()
	}
}

// Say writes a line to the caller between two writes of the Engine's, on a
// framed stream as a frame of its standard error. It says nothing in the
// middle of a frame.
func (s *Stream) Say(line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		return errors.New("the stream has not begun")
	}
	text := []byte("\r\n" + line + "\r\n")
	if s.Framed {
		if s.frame.left > 0 || s.frame.have > 0 {
			return errors.New("the stream is in the middle of a frame")
		}
		text = []byte(line + "\n")
		head := [8]byte{0: 2}
		binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
		text = append(head[:], text...)
	}
	s.caller.SetWriteDeadline(time.Now().Add(time.Second))
	defer s.caller.SetWriteDeadline(time.Time{})
	_, err := s.caller.Conn.Write(text)
	return err
}

// frame follows the Engine's frames: eight bytes, the last four the length of
// what comes behind them.
type frame struct {
	head [8]byte
	have int
	left int64
}

func (f *frame) walk(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, int64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		n := copy(f.head[f.have:], p)
		f.have += n
		p = p[n:]
		if f.have == len(f.head) {
			f.have, f.left = 0, int64(binary.BigEndian.Uint32(f.head[4:]))
		}
	}
}

// send writes to dst; what goes to the caller is kept apart from what Say
// writes.
func (s *Stream) send(dst *Conn, p []byte) error {
	if dst == s.caller {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.Framed {
			s.frame.walk(p)
		}
	}
	_, err := dst.Conn.Write(p)
	return err
}

// pump moves bytes until src ends, and then ends dst's direction. A dst that
// takes no more ends src's as well.
func (s *Stream) pump(dst, src *Conn, n *atomic.Int64) {
	for {
		if h := src.have(); len(h) > 0 {
			if s.send(dst, h) != nil {
				src.drop()
				s.discard(src)
				return
			}
			n.Add(int64(len(h)))
			src.drop()
		}
		if err := src.fill(bufferSize); err != nil {
			if err != io.EOF {
				dst.Close()
			} else if err := dst.CloseWrite(); err == errors.ErrUnsupported || err != nil && dst == s.caller {
				dst.Close()
			} // an Engine that has closed already may have left output to be read
			return
		}
	}
}

// discard reads what nobody takes any more, so that its sender is not stuck
// and its end is seen. The Engine's output without a caller is of no use to
// anyone: there the connection is closed.
func (s *Stream) discard(src *Conn) {
	if src == s.engine {
		src.Close()
		return
	}
	for src.fill(bufferSize) == nil {
		src.drop()
	}
}
