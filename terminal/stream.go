package terminal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// stream is a hijacked connection: what a process reads and writes.
type stream struct {
	conn net.Conn
	rest []byte        // what came together with the head
	mux  *bufio.Reader // nil for a TTY, whose output has no frames
	kind byte          // of the frame that is being read
	left uint32        // bytes of it that are still to come
}

// muxBuffer holds the head of a frame, and small frames whole. Larger ones are
// read past it.
const muxBuffer = 1 << 10

// newStream takes over a connection and what was read of it already.
func newStream(conn net.Conn, rest []byte, tty bool) *stream {
	s := &stream{conn: conn, rest: rest}
	if !tty {
		s.mux = bufio.NewReaderSize(readerFunc(s.raw), muxBuffer)
	}
	return s
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s *stream) raw(p []byte) (int, error) {
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		if s.rest = s.rest[n:]; len(s.rest) == 0 {
			s.rest = nil
		}
		return n, nil
	}
	return s.conn.Read(p)
}

// Read reads output of one kind, Stdout or Stderr.
func (s *stream) Read(p []byte) (n int, kind byte, err error) {
	if s.mux == nil {
		n, err = s.raw(p)
		return n, Stdout, err
	}
	for s.left == 0 {
		var head [8]byte
		if _, err := io.ReadFull(s.mux, head[:]); err != nil {
			return 0, 0, err // io.EOF between frames, else io.ErrUnexpectedEOF
		}
		if head[1]|head[2]|head[3] != 0 {
			return 0, 0, errors.New("the Engine sent no frames where they were due")
		}
		switch head[0] {
		case 0, 1:
			s.kind = Stdout
		case 2, 3: // 3 is the Engine's own complaint
			s.kind = Stderr
		default:
			return 0, 0, fmt.Errorf("the Engine sent a frame of the unknown type %d", head[0])
		}
		s.left = binary.BigEndian.Uint32(head[4:])
	}
	n, err = s.mux.Read(p[:min(len(p), int(s.left))])
	s.left -= uint32(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, s.kind, err
}

func (s *stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite ends the input. The Engine ends a TTY's output with it, so it is
// for processes without one.
func (s *stream) CloseWrite() error {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return fmt.Errorf("a %T has no half to close", s.conn)
}

// SetDeadline bounds reads and writes; the zero time is none.
func (s *stream) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }

func (s *stream) Close() error { return s.conn.Close() }
