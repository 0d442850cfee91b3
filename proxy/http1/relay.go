package http1

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is a hijacked connection on its way through: the caller on one side,
// the Engine on the other, bytes both ways until both have ended.
type Stream struct {
	// Framed says that the Engine's output is frames of its own, so that Say
	// keeps out of them.
	Framed bool

	// Near says that the caller is in this process. Set it before Run.
	Near bool

	caller, engine *Conn
	in, out        atomic.Int64
	closed         atomic.Bool

	mu    sync.Mutex // orders what Say writes with what the Engine sends
	begun bool       // the head is with the caller
	frame frame
}

// NewStream joins what a ResponseWriter's Hijack gave with an answer that is
// Raw.
func NewStream(caller net.Conn, engine *Conn) *Stream {
	c, ok := caller.(*Conn)
	if !ok {
		c = NewConn(caller)
	}
	return &Stream{caller: c, engine: engine}
}

// Answer writes the head with which the Engine handed the connection over. A
// field of extra replaces the Engine's own.
func (s *Stream) Answer(a *Answer, extra http.Header) error {
	b := append(append([]byte("HTTP/1.1 "), a.Status...), "\r\n"...)
	h := a.Header.Clone()
	for key, values := range extra {
		h[key] = values
	}
	b = append(appendFields(b, h), "\r\n"...)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.caller.Write(b)
	s.begun = err == nil
	return err
}

// Run relays until both directions have ended or either side is gone, and
// gives the bytes from the caller and to the caller. Each direction is ended
// when its sender ends it, and only then. It closes both connections.
func (s *Stream) Run() (in, out int64) {
	if _, ok := s.engine.Conn.(*net.UnixConn); ok && s.Near && s.engine.raw != nil {
		s.engine.quiet = new(quiet)
	}
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		s.pump(s.engine, s.caller, &s.in)
		close(ended)
		if s.caller.waitGone() { // both directions: nobody reads the output any more
			s.engine.Close()
		}
	}()
	s.pump(s.caller, s.engine, &s.out)
	s.settle(ended)
	s.Close()
	<-left
	s.caller.drop()
	s.engine.drop()
	return s.in.Load(), s.out.Load()
}

// settle waits, once all output is on its way, for the caller to end its
// direction; when the Engine has closed its side altogether, only as long as
// the caller may need to read what is there: closing at once could reset the
// connection before.
func (s *Stream) settle(ended chan struct{}) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.engine.waitGone()
	}()
	select {
	case <-ended:
		return
	case <-gone:
	}
	t := time.NewTimer(lingerTime)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	}
}

// Close cuts both connections.
func (s *Stream) Close() {
	if s.closed.CompareAndSwap(false, true) {
		s.engine.Close()
		s.caller.Close()
	}
}

// Say writes a line to the caller between two writes of the Engine's, on a
// framed stream as a frame of its standard error. It says nothing in the
// middle of a frame.
func (s *Stream) Say(line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		return errors.New("the stream has not begun")
	}
	text := []byte("\r\n" + line + "\r\n")
	if s.Framed {
		if s.frame.left > 0 || s.frame.have > 0 {
			return errors.New("the stream is in the middle of a frame")
		}
		text = []byte(line + "\n")
		head := [8]byte{0: 2}
		binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
		text = append(head[:], text...)
	}
	s.caller.SetWriteDeadline(time.Now().Add(time.Second))
	defer s.caller.SetWriteDeadline(time.Time{})
	_, err := s.caller.Write(text)
	return err
}

// frame follows the Engine's frames: eight bytes, the last four the length of
// what comes behind them. A drain or a revocation that wants to say a word must
// know where one ends.
type frame struct {
	head [8]byte
	have int
	left int64
	seen [8][8]byte // the heads that ahead saw
}

func (f *frame) walk(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, int64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		n := copy(f.head[f.have:], p)
		f.have += n
		p = p[n:]
		if f.have == len(f.head) {
			f.have, f.left = 0, f.length(f.head)
		}
	}
}

func (*frame) length(head [8]byte) int64 { return int64(binary.BigEndian.Uint32(head[4:])) }

// ahead says how many bytes at most may come on the socket src unseen: the rest
// of a frame and the large ones behind it, whose heads it looks at.
func (f *frame) ahead(src int) (int64, error) {
	if f.have > 0 {
		return 0, errNoSplice
	}
	most := f.left
	for i := 0; i < len(f.seen) && most < pipeSize; i++ {
		n, err := peek(src, most, f.seen[i][:])
		if err != nil && most == 0 {
			return 0, err
		}
		size := f.length(f.seen[i])
		if err != nil || n < len(f.head) || size < manyBytes {
			break
		}
		most += int64(len(f.head)) + size
	}
	if most == 0 {
		return 0, errNoSplice
	}
	return most, nil
}

// skip is walk for n bytes that came unseen, no more than ahead allowed.
func (f *frame) skip(n int64) {
	for i := 0; n > 0; {
		if f.left == 0 {
			head := f.seen[i][:min(n, int64(len(f.head)))]
			f.walk(head)
			n -= int64(len(head))
			i++
		}
		k := min(n, f.left)
		f.left -= k
		n -= k
	}
}

// send writes to dst; what goes to the caller is kept apart from what Say
// writes.
func (s *Stream) send(dst *Conn, p []byte) error {
	if dst == s.caller {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.Framed {
			s.frame.walk(p)
		}
	}
	_, err := dst.Write(p)
	return err
}

// pump moves bytes until src ends, and then ends dst's direction. A dst that
// takes no more ends src's as well.
func (s *Stream) pump(dst, src *Conn, n *atomic.Int64) {
	bulk, f := 0, flood{gap: floodGap, other: &s.in}
	if n == f.other {
		f.other = &s.out
	}
	if s.Near {
		f.gap = nearGap
	}
	for {
		h := src.have()
		if len(h) > 0 {
			if s.send(dst, h) != nil {
				src.drop()
				s.discard(src)
				return
			}
			n.Add(int64(len(h)))
			src.drop()
		}
		var err error
		if f.rests(len(h)) {
			bulk = 0
			if src.quiet != nil && f.long() {
				src.calm()
			}
		} else if bulk++; len(h) < manyBytes || src.quiet != nil || dst.quiet != nil {
			bulk = 0
		} else if bulk >= bulkReads {
			bulk = 0
			if err = s.splice(dst, src, n); err == errTaken {
				s.discard(src)
				return
			}
		}
		if err == nil {
			err = src.fill(bufferSize)
		}
		if err != nil {
			src.rouse()
			if err != io.EOF {
				dst.Close()
			} else if err := dst.CloseWrite(); err == errors.ErrUnsupported || err != nil && dst == s.caller {
				dst.Close()
			} // an Engine that has closed already may have left output to be read
			return
		}
	}
}

// A stream is bulk once so many reads in a row have brought so much. Less is
// better read and written: it takes as many system calls, and what has been
// gathered meanwhile leaves in one write.
const (
	manyBytes = 16 << 10
	bulkReads = 4

	// pipeSize is what is spliced at once at most, and what a pipe is asked to
	// hold: a little more than a unix socket does.
	pipeSize = 256 << 10
)

// A flood comes in crumbs: the Engine passes on what a process prints 4 KiB at a
// time, and to be woken for each costs more than all that is done with it. So
// who passes it on rests after a crumb, and then has many at once.
const (
	floodBegins = 64 << 10               // bytes in crumbs without a gap, and without an answer from the other side
	floodGap    = 200 * time.Microsecond // between two of them at most
	nearGap     = 2 * time.Millisecond   // the same for a terminal, which nothing asks and answers through
	floodRest   = time.Millisecond       // a unix socket has room for what comes meanwhile
	floodLong   = 8                      // rests: one that lasts
	floodOver   = 4                      // large reads in a row end it
)

// flood follows how one direction comes.
type flood struct {
	gap   time.Duration
	other *atomic.Int64 // bytes in the other direction

	bytes int // in crumbs without a gap
	many  int // large reads in a row
	slept int // rests without a gap
	last  time.Time
	said  int64 // what other was then
}

// rests rests where a read of n bytes was a flood's crumb, and says so.
func (f *flood) rests(n int) bool {
	now, said := time.Now(), f.other.Load()
	if now.Sub(f.last) > f.gap || said != f.said {
		f.bytes, f.many, f.slept = 0, 0, 0
	}
	f.last, f.said = now, said
	if n >= manyBytes {
		if f.many++; f.many >= floodOver {
			f.bytes, f.slept = 0, 0
		}
		return false
	}
	f.bytes, f.many = min(f.bytes+n, floodBegins), 0
	if f.bytes < floodBegins {
		return false
	}
	f.slept++
	time.Sleep(floodRest)
	f.last = time.Now()
	return true
}

// long says whether the flood lasts.
func (f *flood) long() bool { return f.slept >= floodLong }

var (
	// errNoSplice says that reading and writing is the way here.
	errNoSplice = errors.New("not to be spliced")

	// errTaken is the end of dst's direction.
	errTaken = errors.New("the other side takes no more")
)

// splice moves what comes on past this process as long as much comes at once.
// Its error is how src, or with errTaken dst, has ended.
func (s *Stream) splice(dst, src *Conn, n *atomic.Int64) error {
	var ahead func(int) (int64, error)
	framed := dst == s.caller && s.Framed
	if framed {
		ahead = s.frame.ahead
	}
	p := newSplicer(dst, src, ahead)
	if p == nil {
		return nil
	}
	for {
		if err := p.wait(); err == errNoSplice {
			return nil
		} else if err != nil {
			return err
		}
		few := p.in < min(manyBytes, p.most)
		k, err := s.pass(p, dst, framed)
		n.Add(k)
		if err != nil {
			return errTaken
		}
		if few {
			return nil
		}
	}
}

// pass is send for what is in a pipe.
func (s *Stream) pass(p *splicer, dst *Conn, framed bool) (int64, error) {
	if dst == s.caller {
		s.mu.Lock()
		defer s.mu.Unlock()
		if framed {
			s.frame.skip(p.in)
		}
	}
	return p.send()
}

// discard reads what nobody takes any more, so that its sender is not stuck
// and its end is seen. The Engine's output without a caller is of no use to
// anyone: there the connection is closed.
func (s *Stream) discard(src *Conn) {
	if src == s.engine {
		src.Close()
		return
	}
	for src.fill(bufferSize) == nil {
		src.drop()
	}
}
