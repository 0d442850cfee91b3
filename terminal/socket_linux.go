//go:build !race

package terminal

import (
	"syscall"
	"unsafe"
)

// readNow reads once from a socket that does not block. The runtime need not be
// told of it: it would wake another thread in the middle of a flood. The race
// detector does, so its builds have the other one.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
