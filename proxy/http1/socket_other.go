//go:build !linux || 386 || s390x || race

package http1

import (
	"bytes"
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

// writeParts writes them as one: the race detector does not see a writev.
func (c *Conn) writeParts(parts ...[]byte) (int, error) {
	if len(parts) == 1 {
		return c.Conn.Write(parts[0])
	}
	return c.Conn.Write(bytes.Join(parts, nil))
}

// silent says of a socket that nothing has come on it, its end neither.
func silent(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN
}
