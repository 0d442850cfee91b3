package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"moorgate/authz/identity"
	"moorgate/proxy/http1"
)

// Local is a listener for this process alone: who dials it says on whose
// behalf, and the connection's requests are that user's. Its connections are
// socket pairs, so that they buffer and close each direction by itself as
// others do.
type Local struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// NewLocal makes a Local. Serve it as any listener; its callers are known by
// the source "session".
func NewLocal() *Local {
	return &Local{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial makes a connection whose requests are who's, once the listener accepts
// it. The connection is a *net.UnixConn.
func (l *Local) Dial(ctx context.Context, who *identity.Identity) (net.Conn, error) {
	if who == nil || who.User == "" {
		return nil, l.fail("dial", errors.New("nobody to act for"))
	}
	near, far, err := pair()
	if err != nil {
		return nil, l.fail("dial", err)
	}
	select {
	case l.conns <- identity.NewLocalConn(far, who):
		return near, nil
	case <-l.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	near.Close()
	far.Close()
	return nil, l.fail("dial", err)
}

// Accept waits for the next connection; after Close it fails with
// net.ErrClosed.
func (l *Local) Accept() (net.Conn, error) {
	select {
	case <-l.closed: // first: who dials may wait, too
		return nil, l.fail("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, l.fail("accept", net.ErrClosed)
	}
}

// Close ends Accept and Dial, now and later; connections go on.
func (l *Local) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is the same for all.
func (l *Local) Addr() net.Addr { return localAddr{} }

func (l *Local) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "local", Addr: l.Addr(), Err: err}
}

type localAddr struct{}

func (localAddr) Network() string { return "local" }
func (localAddr) String() string  { return "this process" }

// pair makes two sockets that are each other's end.
func pair() (*net.UnixConn, *net.UnixConn, error) {
	syscall.ForkLock.RLock() // no child may get them
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	near, err := unixConn(fds[0])
	if err != nil {
		syscall.Close(fds[1])
		return nil, nil, err
	}
	far, err := unixConn(fds[1])
	if err != nil {
		near.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// unixConn takes a descriptor over.
func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "socketpair")
	defer f.Close() // FileConn has one of its own
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// isLocal says whether a caller's connection is one of a Local's.
func isLocal(c net.Conn) bool {
	if k, ok := c.(*http1.Conn); ok {
		c = k.NetConn()
	}
	_, ok := c.(*identity.LocalConn)
	return ok
}
