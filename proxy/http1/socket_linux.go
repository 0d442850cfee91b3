//go:build !386 && !s390x && !race

package http1

import (
	"sync"
	"syscall"
	"unsafe"
)

// The sockets here never block, so their system calls are made without telling
// the runtime (RawSyscall). It would otherwise take the processor away from a
// thread that the kernel has put aside in the middle of a call, which on a busy
// machine is many of them, wake another thread for it, and have its monitor
// look for more every 20 microseconds: a tenth of a short request's cost, and a
// third of a bulk stream's. The race detector sees only the calls that the
// runtime is told of, so its builds make those.

// readSocket reads once from a socket that does not block; n is 0 at the end.
func readSocket(fd uintptr, p []byte) (n int, err error) {
	for {
		k, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(k), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// writing is a write of some parts, one behind the other, as far as the socket
// takes them at once.
type writing struct {
	parts [maxParts][]byte
	iov   [maxParts]syscall.Iovec
	n     int // bytes written
	err   error
	try   func(fd uintptr) bool // attempt: a write needs no closure of its own
}

var writings = sync.Pool{New: func() any {
	w := new(writing)
	w.try = w.attempt
	return w
}}

// writeParts writes them with as few system calls as they take.
func (c *Conn) writeParts(parts ...[]byte) (int, error) {
	w := writings.Get().(*writing)
	copy(w.parts[:], parts)
	err := c.raw.Write(w.try)
	if err == nil && w.err != nil {
		err = c.opError("write", w.err)
	}
	n := w.n
	w.parts, w.iov, w.n, w.err = [maxParts][]byte{}, [maxParts]syscall.Iovec{}, 0, nil
	writings.Put(w)
	return n, err
}

// attempt is false where the rest has to wait.
func (w *writing) attempt(fd uintptr) bool {
	for {
		iov := w.iov[:0]
		for _, p := range w.parts {
			if len(p) > 0 {
				v := syscall.Iovec{Base: &p[0]}
				v.SetLen(len(p))
				iov = append(iov, v)
			}
		}
		var n uintptr
		var errno syscall.Errno
		switch len(iov) {
		case 0:
			return true
		case 1:
			n, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(iov[0].Base)), uintptr(iov[0].Len))
		default:
			n, _, errno = syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		}
		switch errno {
		case 0:
			w.took(int(n))
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			w.err = errno
			return true
		}
	}
}

// took takes n bytes off the parts.
func (w *writing) took(n int) {
	w.n += n
	for i := range w.parts {
		k := min(n, len(w.parts[i]))
		w.parts[i] = w.parts[i][k:]
		n -= k
	}
}

// silent says of a socket that nothing has come on it, its end neither.
func silent(fd uintptr) bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}
