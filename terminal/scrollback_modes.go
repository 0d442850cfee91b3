package terminal

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// modes is the state of a terminal that its output has set: what a screen needs
// to be told before it can show output from the middle of a stream.
type modes struct {
	escapes
	private  uint32 // a bit for each of privateModes that is not as at reset
	insert   bool   // IRM
	newline  bool   // LNM
	keypad   bool   // DECKPAM
	shift    bool   // SO: G1 is in use
	charsets [2]byte
	cursor   string // DECSCUSR's parameter
	region   string // DECSTBM's parameters
	title    string
	sgr      sgr
}

// privateModes are those of DECSET that are restored, and how they are after a
// reset. The alternate screen comes first: what follows is set in it.
var privateModes = [...]struct {
	number string
	on     bool
}{
	{"1049", false}, {"1047", false}, {"47", false},
	{"1", false}, {"5", false}, {"6", false}, {"7", true}, {"12", false}, {"25", true}, {"45", false}, {"66", false},
	{"9", false}, {"1000", false}, {"1002", false}, {"1003", false}, {"1004", false},
	{"1005", false}, {"1006", false}, {"1015", false}, {"1016", false}, {"1007", false}, {"2004", false},
}

// softReset are those that DECSTR resets.
var softReset = []string{"1", "6", "25", "66"}

// The bits of the screens and of the mice: setting one of these ends another.
var (
	screenModes = privateBits("1049", "1047", "47")
	mouseModes  = privateBits("9", "1000", "1002", "1003")
	mouseCodes  = privateBits("1005", "1006", "1015", "1016")
)

func privateBits(numbers ...string) (bits uint32) {
	for i, m := range privateModes {
		if slices.Contains(numbers, m.number) {
			bits |= 1 << i
		}
	}
	return bits
}

// clone gives modes that may be fed by themselves.
func (m *modes) clone() modes {
	c := *m
	c.body = slices.Clone(m.body)
	return c
}

// feed takes what comes next in the stream.
func (m *modes) feed(p []byte) {
	for len(p) > 0 {
		if n := m.plain(p); n > 0 {
			p = p[n:]
			continue
		}
		m.take(p[0])
		p = p[1:]
	}
}

// take feeds one byte.
func (m *modes) take(c byte) {
	switch m.step(c) {
	case evShift:
		m.shift = c == 0x0e
	case evEscape:
		m.escaped(c)
	case evCSI:
		m.controlled(c)
	case evOSC:
		m.commanded()
	}
}

// escaped takes ESC, inter, c.
func (m *modes) escaped(c byte) {
	if c >= 0x80 { // a C1 control
		c -= 0x40
	}
	switch m.inter {
	case '(':
		m.charsets[0] = charset(c)
	case ')':
		m.charsets[1] = charset(c)
	case 0:
		switch c {
		case 'c':
			e := m.escapes
			*m = modes{escapes: e}
		case '=':
			m.keypad = true
		case '>':
			m.keypad = false
		}
	}
}

func charset(c byte) byte {
	if c == 'B' {
		return 0
	}
	return c
}

// controlled takes CSI prefix body inter c.
func (m *modes) controlled(c byte) {
	body := m.body
	switch {
	case (c == 'h' || c == 'l') && m.inter == 0 && m.prefix == '?':
		for p := range bytes.SplitSeq(body, []byte(";")) {
			m.setPrivate(string(p), c == 'h')
		}
	case (c == 'h' || c == 'l') && m.inter == 0 && m.prefix == 0:
		for p := range bytes.SplitSeq(body, []byte(";")) {
			switch string(p) {
			case "4":
				m.insert = c == 'h'
			case "20":
				m.newline = c == 'h'
			}
		}
	case m.prefix != 0:
	case c == 'm' && m.inter == 0:
		m.sgr.set(body)
	case c == 'r' && m.inter == 0:
		m.region = region(string(body))
	case c == 'q' && m.inter == ' ':
		m.cursor = digits(string(body))
	case c == 'p' && m.inter == '!':
		m.soften()
	}
}

func (m *modes) setPrivate(number string, on bool) {
	for i, p := range privateModes {
		if p.number != number {
			continue
		}
		bit := uint32(1) << i
		for _, one := range []uint32{screenModes, mouseModes, mouseCodes} {
			if one&bit != 0 {
				m.private &^= one
			}
		}
		if on != p.on {
			m.private |= bit
		} else {
			m.private &^= bit
		}
	}
}

// soften is DECSTR.
func (m *modes) soften() {
	for i, p := range privateModes {
		if slices.Contains(softReset, p.number) {
			m.private &^= 1 << i
		}
	}
	m.insert, m.keypad, m.shift, m.charsets, m.region, m.sgr = false, false, false, [2]byte{}, "", sgr{}
}

// commanded takes an OSC.
func (m *modes) commanded() {
	number, text, ok := bytes.Cut(m.body, []byte(";"))
	if ok && !m.long && (string(number) == "0" || string(number) == "2") {
		m.title = strings.Map(func(r rune) rune {
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				return -1
			}
			return r
		}, strings.ToValidUTF8(string(text), ""))
	}
}

// digits gives a parameter if it is a number, else "".
func digits(s string) string {
	if n, err := strconv.ParseUint(s, 10, 16); err != nil || n == 0 {
		return ""
	}
	return s
}

// region gives the parameters of DECSTBM, "" for the whole screen.
func region(s string) string {
	top, bottom, _ := strings.Cut(s, ";")
	if digits(top) == "" && digits(bottom) == "" {
		return ""
	}
	return digits(top) + ";" + digits(bottom)
}

// alternate says that the alternate screen is shown.
func (m *modes) alternate() bool { return m.private&screenModes != 0 }

// restore gives what brings any terminal to these modes. It clears nothing
// but the alternate screen.
func (m *modes) restore() []byte {
	var b bytes.Buffer
	b.WriteString("\x1b[!p")
	// A terminal that is on the alternate screen already would save its cursor
	// anew, so all screens are left first.
	for i, p := range privateModes {
		if on := p.on != (m.private&(1<<i) != 0); on {
			if screenModes&(1<<i) == 0 && (mouseModes|mouseCodes)&(1<<i) == 0 {
				b.WriteString("\x1b[?" + p.number + "h")
			}
		} else {
			b.WriteString("\x1b[?" + p.number + "l")
		}
	}
	for i, p := range privateModes {
		if (screenModes|mouseModes|mouseCodes)&m.private&(1<<i) != 0 {
			b.WriteString("\x1b[?" + p.number + "h")
		}
	}
	write := func(on bool, yes, no string) {
		if on {
			b.WriteString(yes)
		} else {
			b.WriteString(no)
		}
	}
	write(m.insert, "\x1b[4h", "\x1b[4l")
	write(m.newline, "\x1b[20h", "\x1b[20l")
	write(m.keypad, "\x1b=", "\x1b>")
	for i, at := range "()" {
		c := m.charsets[i]
		if c == 0 {
			c = 'B'
		}
		b.Write([]byte{0x1b, byte(at), c})
	}
	write(m.shift, "\x0e", "\x0f")
	write(m.cursor != "", "\x1b["+m.cursor+" q", "\x1b[0 q")
	write(m.region != "", "\x1b["+m.region+"r", "\x1b[r")
	if m.title != "" {
		b.WriteString("\x1b]2;" + m.title + "\x07")
	}
	b.WriteString(m.sgr.restore())
	return b.Bytes()
}
