//go:build !linux || race

package terminal

import "syscall"

// readNow reads once from a socket that does not block.
func readNow(fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(int(fd), p); err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
