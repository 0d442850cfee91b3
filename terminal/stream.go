package terminal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// stream is a hijacked connection: what a process reads and writes. A buffer
// to read into is borrowed when bytes are there and given back when they are
// taken, so that one that waits holds none, and one that is flooded takes much
// at once.
type stream struct {
	conn net.Conn
	raw  syscall.RawConn // nil where reads must not pass the connection by
	tty  bool            // its output has no frames
	have []byte          // what was read and not yet taken
	buf  *[inputBuffer]byte

	// Of the frame that is being read.
	head [8]byte
	got  int // bytes of its head
	kind byte
	left uint32 // bytes of it that are still to come

	// What attempt is given and leaves; kept here so that a read needs no
	// closure of its own.
	most int
	n    int
	err  error
	try  func(fd uintptr) bool
}

var errNoHalf = errors.New("the connection has no half to close")

// inputBuffer is what one read takes at most: half of what a unix socket holds,
// with the frames of a process without a TTY at their largest, 32 KiB.
const inputBuffer = 128 << 10

var inputBuffers = sync.Pool{New: func() any { return new([inputBuffer]byte) }}

// newStream takes over a connection and what was read of it already.
func newStream(conn net.Conn, rest []byte, tty bool) *stream {
	s := &stream{conn: conn, have: rest, tty: tty}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw, s.try = raw, s.attempt
		}
	}
	return s
}

// fill waits for bytes and reads what there is, at most so many, unless some are
// in hand. What was taken before is not valid any more. The end is io.EOF between
// frames, else io.ErrUnexpectedEOF.
func (s *stream) fill(most int) error {
	if s.n = len(s.have); s.n > 0 {
		return nil
	}
	s.free()
	s.most = min(most, inputBuffer)
	if s.raw == nil {
		s.buf = inputBuffers.Get().(*[inputBuffer]byte)
		s.n, s.err = s.conn.Read(s.buf[:s.most])
	} else if err := s.raw.Read(s.try); err != nil {
		return err
	}
	if s.n > 0 {
		s.have = s.buf[:s.n]
		return nil
	}
	s.free()
	switch {
	case s.err == nil, s.err == io.EOF:
		if s.got > 0 || s.left > 0 {
			return io.ErrUnexpectedEOF
		}
		return io.EOF
	case s.raw == nil:
		return s.err
	}
	return &net.OpError{Op: "read", Net: "unix", Err: os.NewSyscallError("read", s.err)}
}

// attempt reads once if bytes are there; false asks to be called again when
// they are.
func (s *stream) attempt(fd uintptr) bool {
	if s.buf == nil {
		s.buf = inputBuffers.Get().(*[inputBuffer]byte)
	}
	for {
		s.n, s.err = syscall.Read(int(fd), s.buf[:s.most])
		if s.err != syscall.EINTR {
			break
		}
	}
	if s.n <= 0 {
		s.free()
	}
	return s.err != syscall.EAGAIN
}

// free gives the buffer back.
func (s *stream) free() {
	if s.buf != nil {
		inputBuffers.Put(s.buf)
		s.buf = nil
	}
	s.have = nil
}

// take gives output of one kind, Stdout or Stderr, of what was read; nothing asks
// for fill. It is valid until then.
func (s *stream) take() (p []byte, kind byte, err error) {
	for len(s.have) > 0 {
		if s.tty {
			p, s.have = s.have, nil
			return p, Stdout, nil
		}
		if s.left > 0 {
			n := min(len(s.have), int(s.left))
			p, s.have = s.have[:n], s.have[n:]
			s.left -= uint32(n)
			return p, s.kind, nil
		}
		n := copy(s.head[s.got:], s.have)
		s.have = s.have[n:]
		if s.got += n; s.got == len(s.head) {
			s.got = 0
			if err := s.frame(); err != nil {
				return nil, 0, err
			}
		}
	}
	return nil, 0, nil
}

// next waits for output of one kind, Stdout or Stderr. It is valid until the next
// call. The end is as of fill.
func (s *stream) next() (p []byte, kind byte, err error) {
	for {
		if p, kind, err = s.take(); len(p) > 0 || err != nil {
			return p, kind, err
		}
		if err = s.fill(inputBuffer); err != nil {
			return nil, 0, err
		}
	}
}

// frame begins the frame whose head is there.
func (s *stream) frame() error {
	if s.head[1]|s.head[2]|s.head[3] != 0 {
		return errors.New("the Engine sent no frames where they were due")
	}
	switch s.head[0] {
	case 0, 1:
		s.kind = Stdout
	case 2, 3: // 3 is the Engine's own complaint
		s.kind = Stderr
	default:
		return fmt.Errorf("the Engine sent a frame of the unknown type %d", s.head[0])
	}
	s.left = binary.BigEndian.Uint32(s.head[4:])
	return nil
}

func (s *stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite ends the input. The Engine ends a TTY's output with it, so it is
// for processes without one.
func (s *stream) CloseWrite() error {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errNoHalf
}

// SetDeadline bounds reads and writes; the zero time is none.
func (s *stream) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }

func (s *stream) Close() error { return s.conn.Close() }
