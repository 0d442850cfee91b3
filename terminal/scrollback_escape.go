package terminal

import "bytes"

// escapes finds the control sequences in what a program writes to its
// terminal, as xterm.js does: bytes are text but for ESC, the two shifts and
// the C1 controls in UTF-8. The zero value is at the start of a stream.
type escapes struct {
	state  escState
	prefix byte // of a CSI: one of <=>? or 0
	inter  byte // the last intermediate, or 0
	tail   int8 // UTF-8: bytes that the character still lacks
	c1     bool // the last byte was 0xC2, which begins a C1 control
	long   bool // body is cut
	body   []byte
}

type escState byte

const (
	escGround escState = iota
	escEscape          // after ESC
	escCSI
	escOSC
	escString // DCS, SOS, PM, APC
)

// maxEscapeBody bounds what is kept of a sequence's parameters or text.
const maxEscapeBody = 512

// escEvent is what a byte completed.
type escEvent byte

const (
	evNone    escEvent = iota
	evText             // a byte of text, or a control character
	evShift            // SO or SI
	evEscape           // ESC, inter, final
	evCSI              // prefix, body, inter, final
	evOSC              // body
	evString           // a DCS, SOS, PM or APC
	evAborted          // a sequence that has no effect
)

// plain says how many bytes at the start of p are text without any control
// sequence, and keeps track of the characters in it. In the middle of a
// sequence there are none.
func (e *escapes) plain(p []byte) int {
	if e.state != escGround || e.c1 || len(p) == 0 {
		return 0
	}
	if i := bytes.IndexByte(p, 0x1b); i >= 0 {
		p = p[:i]
	}
	for _, c := range [...]byte{0x0e, 0x0f, 0xc2} {
		if i := bytes.IndexByte(p, c); i >= 0 {
			p = p[:i]
		}
	}
	if len(p) > 0 {
		e.tail = lacking(e.tail, p)
	}
	return len(p)
}

// lacking says how many bytes the last character of p lacks, when the one
// before p lacked so many.
func lacking(tail int8, p []byte) int8 {
	for i := len(p) - 1; i >= 0 && i >= len(p)-4; i-- {
		c := p[i]
		if c&0xC0 == 0x80 {
			continue
		}
		return max(0, runeTail(c)-int8(len(p)-1-i))
	}
	return max(0, tail-int8(min(len(p), 4)))
}

// runeTail says how many bytes follow the first one of a character.
func runeTail(c byte) int8 {
	switch {
	case c < 0xC2 || c > 0xF4:
		return 0
	case c < 0xE0:
		return 1
	case c < 0xF0:
		return 2
	}
	return 3
}

// boundary says that a stream may be cut here: outside of sequences and of
// characters.
func (e *escapes) boundary() bool { return e.state == escGround && e.tail == 0 }

// step takes one byte. The final byte of a completed sequence is c itself.
func (e *escapes) step(c byte) escEvent {
	if e.c1 {
		e.c1 = false
		e.tail = 0
		if c >= 0x80 && c < 0xA0 { // as if it were ESC and a letter
			if c != 0x9c || e.state != escOSC && e.state != escString {
				e.enter(escGround)
			}
			return e.introduce(c - 0x40)
		}
	}
	switch e.state {
	case escGround:
		return e.ground(c)
	case escEscape:
		return e.escape(c)
	case escCSI:
		return e.csi(c)
	}
	return e.text(c)
}

func (e *escapes) ground(c byte) escEvent {
	switch {
	case c == 0x1b:
		e.tail = 0
		e.enter(escEscape)
		return evNone
	case c == 0x0e || c == 0x0f:
		e.tail = 0
		return evShift
	case c == 0xc2:
		e.c1 = true
		e.tail = 1
	case c&0xC0 == 0x80:
		e.tail = max(0, e.tail-1)
	default:
		e.tail = runeTail(c)
	}
	return evText
}

func (e *escapes) enter(s escState) {
	e.state, e.prefix, e.inter, e.long, e.body = s, 0, 0, false, e.body[:0]
}

// introduce takes the byte after ESC that says what sort of sequence it is.
func (e *escapes) introduce(c byte) escEvent {
	switch c {
	case '[':
		e.enter(escCSI)
		return evNone
	case ']':
		e.enter(escOSC)
		return evNone
	case 'P', 'X', '^', '_':
		e.enter(escString)
		return evNone
	case '\\':
		if e.state == escOSC || e.state == escString {
			return e.end()
		}
	}
	e.state = escGround
	return evEscape
}

func (e *escapes) escape(c byte) escEvent {
	switch {
	case c == 0x1b:
		e.enter(escEscape)
		return evAborted
	case c == 0x18 || c == 0x1a:
		e.state = escGround
		return evAborted
	case c < 0x20 || c == 0x7f: // acts by itself, amid the sequence
		return evNone
	case c < 0x30:
		e.inter = c
		return evNone
	case c >= 0x80:
		e.state = escGround
		return evAborted
	case e.inter == 0:
		return e.introduce(c)
	}
	e.state = escGround
	return evEscape
}

func (e *escapes) csi(c byte) escEvent {
	switch {
	case c == 0x1b:
		e.enter(escEscape)
		return evAborted
	case c == 0x18 || c == 0x1a || c >= 0x80:
		e.state = escGround
		return evAborted
	case c < 0x20 || c == 0x7f:
		return evNone
	case c < 0x30:
		e.inter = c
		return evNone
	case c >= 0x3c && c < 0x40:
		if len(e.body) > 0 || e.prefix != 0 {
			e.long = true // misplaced: without effect
		}
		e.prefix = c
		return evNone
	case c < 0x40:
		e.keep(c)
		return evNone
	}
	e.state = escGround
	if e.long {
		return evAborted
	}
	return evCSI
}

// text takes a byte of an OSC or another string.
func (e *escapes) text(c byte) escEvent {
	switch {
	case c == 0x1b: // what follows is mostly the backslash of ST, which does nothing
		ev := e.end()
		e.state, e.inter = escEscape, 0
		return ev
	case c == 0x07 && e.state == escOSC:
		return e.end()
	case c == 0x18 || c == 0x1a:
		e.state = escGround
		return evAborted
	case c == 0xc2:
		e.c1 = true
	}
	e.keep(c)
	return evNone
}

func (e *escapes) keep(c byte) {
	if len(e.body) < maxEscapeBody {
		e.body = append(e.body, c)
	} else {
		e.long = true
	}
}

func (e *escapes) end() escEvent {
	osc := e.state == escOSC
	e.state = escGround
	if osc {
		e.body = bytes.TrimSuffix(e.body, []byte{0xc2}) // of an ST in UTF-8
		return evOSC
	}
	return evString
}
