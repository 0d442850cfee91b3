package terminal

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// quiet keeps a flooded connection out of the runtime's poller. A connection
// that is in it wakes the process at each piece that comes, though nobody waits
// for it: at 4 KiB a piece that costs more than all that is done with the
// output. Out of it the reader looks by itself, once in a millisecond, until
// there is nothing more.
type quiet struct {
	mu      sync.Mutex
	fd      int  // the connection's while it is out of the poller
	out     bool // it is
	closed  bool
	writing int // writes on the way through the poller
}

// quietTries is how often the reader finds nothing before the connection goes
// back to the poller.
const quietTries = 3

// calm takes the connection out of the poller, if nothing forbids it: it then
// goes on as before.
func (s *stream) calm() {
	conn, ok := s.conn.(*net.UnixConn) // others may be more than their descriptor
	q := &s.quiet
	q.mu.Lock()
	defer q.mu.Unlock()
	if !ok || s.raw == nil || q.out || q.closed || q.writing > 0 {
		return
	}
	var fd int
	var err error
	if s.raw.Control(func(old uintptr) { fd, err = duplicate(int(old)) }) != nil || err != nil {
		return
	}
	conn.Close()
	q.fd, q.out = fd, true
}

// look reads what there is of a connection that is out of the poller. It is
// false when that is in the poller again, and should be read there.
func (s *stream) look() bool {
	for try := 0; ; try++ {
		s.quiet.mu.Lock()
		if s.quiet.closed {
			s.quiet.mu.Unlock()
			s.n, s.err = 0, net.ErrClosed
			return true
		}
		if !s.quiet.out {
			s.quiet.mu.Unlock()
			return false
		}
		if s.attempt(uintptr(s.quiet.fd)) {
			s.quiet.mu.Unlock()
			return true
		}
		if try >= quietTries && s.wake() {
			s.quiet.mu.Unlock()
			return false
		}
		s.quiet.mu.Unlock()
		time.Sleep(gatherTime)
	}
}

// wake puts the connection into the poller again. Without descriptors for that
// it stays out.
func (s *stream) wake() bool {
	fd, err := duplicate(s.quiet.fd)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), "stream")
	defer f.Close() // FileConn has one of its own
	conn, err := net.FileConn(f)
	if err != nil {
		return false
	}
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		conn.Close()
		return false
	}
	syscall.Close(s.quiet.fd) //nolint:errcheck // the connection has another one
	s.conn, s.raw, s.quiet.out = conn, raw, false
	return true
}

// duplicate makes another descriptor of the same connection.
func duplicate(old int) (int, error) {
	syscall.ForkLock.RLock() // no child may get it
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(old)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	return fd, err
}

// Write writes all of p.
func (s *stream) Write(p []byte) (n int, err error) {
	q := &s.quiet
	for n < len(p) {
		q.mu.Lock()
		if !q.out {
			conn := s.conn
			q.writing++ // it stays in the poller so long
			q.mu.Unlock()
			k, err := conn.Write(p[n:])
			q.mu.Lock()
			q.writing--
			q.mu.Unlock()
			return n + k, err
		}
		if q.closed {
			q.mu.Unlock()
			return n, net.ErrClosed
		}
		k, err := syscall.Write(q.fd, p[n:])
		q.mu.Unlock()
		n += max(k, 0)
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			time.Sleep(gatherTime)
		default:
			return n, os.NewSyscallError("write", err)
		}
	}
	return n, nil
}

// CloseWrite ends the input. The Engine ends a TTY's output with it, so it is
// for processes without one.
func (s *stream) CloseWrite() error {
	q := &s.quiet
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return net.ErrClosed
	}
	if q.out {
		return os.NewSyscallError("shutdown", syscall.Shutdown(q.fd, syscall.SHUT_WR))
	}
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errNoHalf
}

// Close ends the connection, and reads and writes that wait.
func (s *stream) Close() error {
	q := &s.quiet
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return net.ErrClosed
	}
	q.closed = true
	if q.out {
		return os.NewSyscallError("close", syscall.Close(q.fd))
	}
	return s.conn.Close()
}

// SetDeadline bounds reads and writes of one that is in the poller; the zero
// time is none.
func (s *stream) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }
