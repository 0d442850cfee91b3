package http1

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// quiet keeps a connection that is flooded out of the runtime's poller. A
// connection that is in it wakes the process at each piece that comes, though
// nobody waits for it: at 4 KiB a piece that costs more than all that is done
// with the output. Out of it the reader looks by itself, once in a millisecond,
// until there is nothing more.
//
// It is for the Engine's end of a terminal's stream, whose reader is in this
// process: there is one of these for each browser, and what is saved is needed
// for sending it on.
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
func (c *Conn) calm() {
	conn, ok := c.Conn.(*net.UnixConn) // others may be more than their descriptor
	q := c.quiet
	q.mu.Lock()
	defer q.mu.Unlock()
	if !ok || q.out || q.closed || q.writing > 0 {
		return
	}
	var fd int
	var err error
	if c.raw.Control(func(old uintptr) { fd, err = duplicate(int(old)) }) != nil || err != nil {
		return
	}
	conn.Close()
	q.fd, q.out = fd, true
}

// look reads what there is of a connection that is out of the poller, as
// attempt does. It is false when that is in the poller again, and should be
// read there.
func (c *Conn) look() bool {
	q := c.quiet
	for try := 0; ; try++ {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			c.n, c.err = 0, net.ErrClosed
			return true
		}
		if !q.out {
			q.mu.Unlock()
			return false
		}
		if c.attempt(uintptr(q.fd)) {
			q.mu.Unlock()
			return true
		}
		if try >= quietTries && c.wake() {
			q.mu.Unlock()
			return false
		}
		q.mu.Unlock()
		time.Sleep(floodRest)
	}
}

// wake puts the connection into the poller again. Without descriptors for that
// it stays out. The caller holds quiet.mu.
func (c *Conn) wake() bool {
	fd, err := duplicate(c.quiet.fd)
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
	syscall.Close(c.quiet.fd) //nolint:errcheck // the connection has another one
	c.Conn, c.raw, c.quiet.out = conn, raw, false
	return true
}

// rouse puts the connection into the poller again if it is out of it: whoever
// waits for its end does so there.
func (c *Conn) rouse() {
	if q := c.quiet; q != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.out && !q.closed {
			c.wake()
		}
	}
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

// writeQuiet is Write for a connection that may be out of the poller.
func (c *Conn) writeQuiet(p []byte) (n int, err error) {
	q := c.quiet
	for n < len(p) {
		q.mu.Lock()
		if !q.out {
			conn := c.Conn
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
			time.Sleep(floodRest)
		default:
			return n, os.NewSyscallError("write", err)
		}
	}
	return n, nil
}

// closeWrite is CloseWrite for one that may be out of the poller.
func (q *quiet) closeWrite(c *Conn) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return net.ErrClosed
	case q.out:
		return os.NewSyscallError("shutdown", syscall.Shutdown(q.fd, syscall.SHUT_WR))
	}
	return c.Conn.(*net.UnixConn).CloseWrite()
}

// close is Close for one that may be out of the poller: reads and writes that
// wait end.
func (q *quiet) close(c *Conn) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return net.ErrClosed
	}
	q.closed = true
	if q.out {
		return os.NewSyscallError("close", syscall.Close(q.fd))
	}
	return c.Conn.Close()
}
