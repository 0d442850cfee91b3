package terminal

import (
	"bytes"
	"slices"
)

// castFilter takes out of recorded output what a terminal must not do again:
// answer questions, which types into the shell that plays the recording, write
// to the clipboard, print, resize its window, or whatever else its maker
// invented. What draws stays.
type castFilter struct {
	escapes
	raw []byte // the sequence so far
}

// maxSequence is the longest sequence that is kept; pictures are longer.
const maxSequence = 8 << 10

// filter appends to out what of p may be shown.
func (f *castFilter) filter(out, p []byte) []byte {
	for len(p) > 0 {
		if n := f.plain(p); n > 0 && len(f.raw) == 0 {
			out = appendPlain(out, p[:n])
			p = p[n:]
			continue
		}
		out = f.take(out, p[0])
		p = p[1:]
	}
	return out
}

// appendPlain appends text without ENQ, which asks for an answer.
func appendPlain(out, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, 0x05)
		if i < 0 {
			return append(out, p...)
		}
		out = append(out, p[:i]...)
		p = p[i+1:]
	}
}

func (f *castFilter) take(out []byte, c byte) []byte {
	ev := f.step(c)
	if len(f.raw) < maxSequence {
		f.raw = append(f.raw, c)
	} else {
		f.long = true
	}
	switch {
	case f.c1 || ev == evNone:
		return out // more of it follows
	case ev == evText, ev == evShift:
		out = appendPlain(out, f.raw)
	case ev == evEscape && f.harmlessEscape(c), ev == evCSI && f.harmlessControl(c):
		out = append(out, f.raw...)
	case ev == evOSC && f.harmlessCommand():
		out = append(append(append(out, "\x1b]"...), f.body...), 0x07)
	}
	if f.raw = f.raw[:0]; f.state == escEscape { // what ended there began another
		f.raw = append(f.raw, 0x1b)
	}
	return out
}

// harmlessEscape says so of ESC inter c.
func (f *castFilter) harmlessEscape(c byte) bool {
	if c >= 0x80 {
		c -= 0x40
	}
	switch f.inter {
	case 0:
		// cursor, tabs, keypad, reset; not Z, which asks who the terminal is
		return bytes.IndexByte([]byte("78=>DEHMNOc\\"), c) >= 0
	case '(', ')', '*', '+', '#', '%', '-', '.', '/':
		return true
	}
	return false
}

// harmlessControl says so of CSI prefix body inter c.
func (f *castFilter) harmlessControl(c byte) bool {
	if f.long {
		return false
	}
	switch {
	case f.prefix == 0 && f.inter == 0:
		return bytes.IndexByte([]byte("@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu"), c) >= 0
	case f.prefix == '?' && f.inter == 0:
		return bytes.IndexByte([]byte("hlJKsr"), c) >= 0
	case f.prefix == 0 && f.inter == ' ':
		return c == 'q' || c == '@' || c == 'A' // the cursor's shape, scrolling sideways
	case f.prefix == 0 && f.inter == '!':
		return c == 'p'
	case f.prefix == 0 && f.inter == '"':
		return c == 'q'
	case f.prefix == 0 && f.inter == '\'':
		return c == '}' || c == '~'
	}
	return false
}

// harmlessCommand says so of an OSC: titles and links.
func (f *castFilter) harmlessCommand() bool {
	number, _, ok := bytes.Cut(f.body, []byte(";"))
	return ok && !f.long && slices.Contains([]string{"0", "1", "2", "8"}, string(number))
}
