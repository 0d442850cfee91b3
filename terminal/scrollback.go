package terminal

import (
	"math"
	"sync"
)

// scrollback keeps the newest output of a session. Every byte has its offset
// from the session's beginning, whatever was dropped before it. Memory is taken
// as output comes.
type scrollback struct {
	keep   int // bytes that stay, whoever has seen them
	blocks []block
	start  uint64 // of the oldest byte
	head   uint64 // of the byte that comes next
	marks  []mark // where output goes over to the other stream; the first is at or before start
	modes  modes  // the terminal's, at start
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
	minBlock = 512
	maxBlock = 32 << 10
)

// fullBlocks are blocks to use again: a flood drops as many as it takes.
var fullBlocks = sync.Pool{New: func() any { return new([maxBlock]byte) }}

// maxMarks bounds what a process that alternates between its streams costs.
const maxMarks = 16 << 10

// noFloor lets trim drop all that keep allows.
const noFloor = math.MaxUint64

// add keeps output, and drops what trim does.
func (s *scrollback) add(p []byte, stream byte, floor uint64) {
	if k := len(s.marks); len(p) > 0 && (k == 0 || s.marks[k-1].stream != stream) {
		s.marks = append(s.marks, mark{s.head, stream})
	}
	for len(p) > 0 {
		last := s.room()
		n := copy((*last)[len(*last):cap(*last)], p)
		*last = (*last)[:len(*last)+n]
		s.head += uint64(n)
		p = p[n:]
		s.trim(floor)
	}
}

// room gives a block with space for more.
func (s *scrollback) room() *block {
	size := minBlock
	if n := len(s.blocks); n > 0 {
		last := &s.blocks[n-1]
		if len(*last) < cap(*last) {
			return last
		}
		size = min(2*cap(*last), maxBlock)
	}
	var made block
	if size == maxBlock {
		made = fullBlocks.Get().(*[maxBlock]byte)[:0]
	} else {
		made = make(block, 0, size)
	}
	s.blocks = append(s.blocks, made)
	return &s.blocks[len(s.blocks)-1]
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
			fullBlocks.Put((*[maxBlock]byte)(first[:maxBlock]))
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
