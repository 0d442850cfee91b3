package http1

import (
	"syscall"
	"unsafe"
)

const (
	pollErr = 0x8
	pollHup = 0x10
)

type pollFD struct {
	fd      int32
	events  int16
	revents int16
}

// hungUp says whether both directions of a socket have ended: on a unix
// socket the other end has closed it, on TCP it was reset.
func hungUp(fd int) bool {
	p := pollFD{fd: int32(fd)}
	var now syscall.Timespec
	n, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno == 0 && n == 1 && p.revents&(pollErr|pollHup) != 0
}
