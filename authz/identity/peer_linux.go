package identity

import (
	"errors"
	"net"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readPeer asks the kernel for the credentials of the other end.
func readPeer(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner != nil {
			return
		}
		p = Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}
		p.Groups, inner = peerGroups(fd)
	})
	return p, errors.Join(err, inner)
}

// maxPeerGroups is the kernel's own limit of a process's groups.
const maxPeerGroups = 65536

// peerGroups reads SO_PEERGROUPS, for which x/sys has the number and no
// function. The kernel says ERANGE and the size wanted if the room is too small.
func peerGroups(fd uintptr) ([]uint32, error) {
	for room := 64; room <= maxPeerGroups; room *= 4 {
		groups := make([]uint32, room)
		size := uint32(4 * room)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return slices.Clone(groups[:size/4]), nil // kept as long as the connection
		case unix.ERANGE:
		default:
			return nil, errno
		}
	}
	return nil, unix.ERANGE
}
