package terminal

import "math"

// scrollback keeps the newest output of a session. Every byte has its offset
// from the session's beginning, whatever was dropped before it. Memory is taken
// as output comes, and room for the next read is part of it: a session that
// waits holds no buffer beside.
type scrollback struct {
	keep   int // bytes that stay, whoever has seen them
	blocks []block
	start  uint64 // of the oldest byte
	head   uint64 // of the byte that comes next
	marks  []mark // where output goes over to the other stream; the first is at or before start
	modes  modes  // the terminal's, at start
	spare  []byte // a block to use again
}

// block is output in a row: its capacity is the room that was made for it.
type block []byte

// mark says that output from here on is of this stream.
type mark struct {
	at     uint64
	stream byte
}

// Sizes of blocks: they double, so that little output takes little memory.
const (
	minBlock = 2 << 10
	maxBlock = 32 << 10
)

// maxMarks bounds what a process that alternates between its streams costs.
const maxMarks = 16 << 10

// noFloor lets trim drop all that keep allows.
const noFloor = math.MaxUint64

// room gives space for the next output: read into it, then commit. Only commit
// and room change what it is.
func (s *scrollback) room() []byte {
	if n := len(s.blocks); n > 0 {
		if last := s.blocks[n-1]; len(last) < cap(last) {
			return last[len(last):cap(last)]
		}
	}
	size := minBlock
	if n := len(s.blocks); n > 0 {
		size = min(2*cap(s.blocks[n-1]), maxBlock)
	}
	made := s.spare
	s.spare = nil
	if cap(made) < size {
		made = make([]byte, 0, size)
	}
	s.blocks = append(s.blocks, made[:0])
	return made[:cap(made)]
}

// commit says that n bytes were put into the room.
func (s *scrollback) commit(n int, stream byte) {
	if n == 0 {
		return
	}
	if k := len(s.marks); k == 0 || s.marks[k-1].stream != stream {
		s.marks = append(s.marks, mark{s.head, stream})
	}
	last := &s.blocks[len(s.blocks)-1]
	*last = (*last)[:len(*last)+n]
	s.head += uint64(n)
}

// trim drops the oldest blocks beyond keep, but nothing at or after floor.
func (s *scrollback) trim(floor uint64) {
	drop := 0
	for ; drop < len(s.blocks)-1; drop++ {
		first := s.blocks[drop]
		end := s.start + uint64(len(first))
		if end > floor || s.head-end < uint64(s.keep) && len(s.marks) < maxMarks {
			break
		}
		s.modes.feed(first)
		s.start = end
		s.unmark()
		s.blocks[drop] = nil
		if cap(first) == maxBlock {
			s.spare = first
		}
	}
	if drop > 0 {
		s.blocks = append(s.blocks[:0], s.blocks[drop:]...)
	}
}

// unmark forgets the marks before the one that holds at start.
func (s *scrollback) unmark() {
	n := 0
	for n+1 < len(s.marks) && s.marks[n+1].at <= s.start {
		n++
	}
	if n > 0 {
		s.marks = append(s.marks[:0], s.marks[n:]...)
	}
}

// read copies output at an offset that is kept, of one stream. It gives 0 at
// the head.
func (s *scrollback) read(at uint64, p []byte) (n int, stream byte) {
	if at < s.start || at >= s.head {
		return 0, Stdout
	}
	stream, end := s.stream(at)
	if left := end - at; uint64(len(p)) > left {
		p = p[:left]
	}
	from := s.start
	for _, b := range s.blocks {
		if next := from + uint64(len(b)); at < next {
			k := copy(p[n:], b[at-from:])
			n += k
			at += uint64(k)
		}
		from += uint64(len(b))
		if n == len(p) {
			break
		}
	}
	return n, stream
}

// stream gives the stream at an offset, and where it ends.
func (s *scrollback) stream(at uint64) (stream byte, end uint64) {
	lo, hi := 0, len(s.marks) // the last mark at or before at
	for lo+1 < hi {
		if mid := (lo + hi) / 2; s.marks[mid].at <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	if lo+1 < len(s.marks) {
		return s.marks[lo].stream, s.marks[lo+1].at
	}
	return s.marks[lo].stream, s.head
}

// lineReach is how far cut looks for the end of a line.
const lineReach = 4 << 10

// cut finds the first place from at on where the stream may begin: after a
// line, or at least outside of characters and control sequences. It gives the
// terminal's modes there.
func (s *scrollback) cut(at uint64) (uint64, modes) {
	at = max(at, s.start)
	m := s.modes.clone()
	if at == 0 {
		return 0, m
	}
	from := s.start
	var safe uint64 // the first place without a line's end
	var safeModes modes
	found := false
	for _, b := range s.blocks {
		if skip := min(uint64(len(b)), at-min(at, from)); skip > 0 {
			m.feed(b[:skip])
			from += skip
			b = b[skip:]
		}
		for _, c := range b {
			if !found && m.boundary() {
				if found, safe, safeModes = true, from, m.clone(); m.alternate() {
					return safe, safeModes // no lines there
				}
			}
			if found && from-at >= lineReach {
				return safe, safeModes
			}
			m.take(c)
			if from++; c == '\n' && m.boundary() {
				return from, m
			}
		}
	}
	if found {
		return safe, safeModes
	}
	return from, m
}
