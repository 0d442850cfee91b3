//go:build !linux || 386 || s390x || race

package http1

import (
	"net"
	"syscall"
)

// readSocket reads once from a socket that does not block; n is 0 at the end.
func readSocket(fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(int(fd), p); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// writeParts writes them with as few system calls as they take.
func (c *Conn) writeParts(parts ...[]byte) (int, error) {
	b := net.Buffers(parts)
	n, err := b.WriteTo(c.Conn)
	return int(n), err
}

// quiet says of a socket that nothing has come on it, its end neither.
func quiet(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN
}
