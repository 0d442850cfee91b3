//go:build !386 && !s390x

package http1

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Bytes that nobody has to look at need not come up into this process: splice(2)
// moves them from socket to pipe to socket, which is half the cost of a read
// and a write. Go does so for TCP, and never between two unix sockets.

const (
	// maxPipes bounds the pipes in use; streams that find none copy. With those
	// that are kept they stay below what the kernel grants to a user who is not
	// root (pipe-user-pages-soft).
	maxPipes = 64

	// keptPipes are kept for the next streams.
	keptPipes = 8

	spliceFlags = 1 | 2 // SPLICE_F_MOVE, SPLICE_F_NONBLOCK
)

type pipe struct{ r, w int }

var pipes struct {
	sync.Mutex
	kept []pipe
	out  int // in use
}

// takePipe gives an empty pipe; false if there are too many.
func takePipe() (pipe, bool) {
	pipes.Lock()
	defer pipes.Unlock()
	if n := len(pipes.kept); n > 0 {
		p := pipes.kept[n-1]
		pipes.kept = pipes.kept[:n-1]
		pipes.out++
		return p, true
	}
	if pipes.out >= maxPipes {
		return pipe{}, false
	}
	var fds [2]int
	if syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK) != nil {
		return pipe{}, false
	}
	pipes.out++
	// Without it the pipe has the default size, and works.
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fds[1]), syscall.F_SETPIPE_SZ, pipeSize)
	return pipe{fds[0], fds[1]}, true
}

// give takes a pipe back. One that is not empty is closed: the next stream
// must not get what is in it.
func (p pipe) give(empty bool) {
	pipes.Lock()
	defer pipes.Unlock()
	pipes.out--
	if empty && len(pipes.kept) < keptPipes {
		pipes.kept = append(pipes.kept, p)
		return
	}
	syscall.Close(p.r)
	syscall.Close(p.w)
}

// splicer moves what comes on one connection to another. It waits without a
// pipe, so that a thousand quiet streams hold none.
type splicer struct {
	dst, src *Conn
	ahead    func(src int) (int64, error)

	p     pipe
	holds bool
	most  int64 // bytes that the move might have taken
	in    int64 // bytes in the pipe
	err   error

	// As Conn.try: a move needs no closure of its own.
	fill, drain func(fd uintptr) bool
}

// newSplicer is nil where the two cannot be spliced: under TLS this process
// has to see the bytes. Ahead is asked before each move how many bytes it may
// take; its error ends the move, EAGAIN waits for bytes. Nil sets no limit.
func newSplicer(dst, src *Conn, ahead func(src int) (int64, error)) *splicer {
	if dst.raw == nil || src.raw == nil {
		return nil
	}
	s := &splicer{dst: dst, src: src, ahead: ahead}
	s.fill, s.drain = s.tryFill, s.tryDrain
	return s
}

// wait takes some bytes, at least one, off src into a pipe. It gives
// errNoSplice, with nothing taken, where reading is the way, and io.EOF at the
// end.
func (s *splicer) wait() error {
	s.in, s.err = 0, nil
	if err := s.src.raw.Read(s.fill); err != nil {
		return err
	}
	switch {
	case s.err == errNoSplice || s.err == io.EOF:
		return s.err
	case s.err != nil:
		return &net.OpError{Op: "splice", Net: s.src.LocalAddr().Network(), Err: os.NewSyscallError("splice", s.err)}
	}
	return nil
}

func (s *splicer) tryFill(fd uintptr) bool {
	s.most = pipeSize
	if s.ahead != nil {
		n, err := s.ahead(int(fd))
		if s.err = err; err != nil {
			return err != syscall.EAGAIN
		}
		s.most = min(n, pipeSize)
	}
	if s.p, s.holds = takePipe(); !s.holds {
		s.err = errNoSplice
		return true
	}
	for {
		if s.in, s.err = move(int(fd), s.p.w, s.most); s.err != syscall.EINTR {
			break
		}
	}
	if s.in > 0 {
		return true
	}
	s.release(true)
	switch s.err {
	case nil:
		s.err = io.EOF
	case syscall.EAGAIN:
		return false
	case syscall.EINVAL, syscall.ENOSYS, syscall.EPERM:
		s.err = errNoSplice
	}
	return true
}

// send puts what wait took, which was n bytes, into dst.
func (s *splicer) send() (n int64, err error) {
	n = s.in
	for s.in > 0 && err == nil {
		if err = s.dst.raw.Write(s.drain); err == nil {
			err = s.err
		}
	}
	s.release(s.in == 0)
	return n - s.in, err
}

func (s *splicer) tryDrain(fd uintptr) bool {
	for s.in > 0 {
		n, err := move(s.p.r, int(fd), s.in)
		switch s.err = err; err {
		case nil:
			s.in -= n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			return true
		}
	}
	return true
}

func (s *splicer) release(empty bool) {
	if s.holds {
		s.holds = false
		s.p.give(empty)
	}
}

// move is one splice(2). It never waits, so the runtime need not be told, as
// with readSocket.
func move(from, to int, most int64) (int64, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), spliceFlags)
	if errno != 0 {
		return 0, errno
	}
	return int64(n), nil
}

const soPeekOff = 42 // SO_PEEK_OFF: where MSG_PEEK begins to look

// peek fills p with what is offset bytes ahead on a unix socket and takes
// nothing; EAGAIN where that has not come yet, io.EOF where it will not. It
// never waits, so the runtime need not be told of its system calls.
func peek(fd int, offset int64, p []byte) (int, error) {
	at := int32(offset)
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, soPeekOff, uintptr(unsafe.Pointer(&at)), 4, 0)
	if errno != 0 {
		return 0, errNoSplice
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	switch {
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}
