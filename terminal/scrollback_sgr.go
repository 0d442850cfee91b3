package terminal

import (
	"bytes"
	"strconv"
	"strings"
)

// sgr is how characters look.
type sgr struct {
	flags      uint16 // a bit for each of 1 to 9, and of 53
	underline  string // "4" with its style, such as "4:3"
	foreground string // the parameters that set it, such as "38;5;12"
	background string
	line       string // the underline's colour
}

const overline = 10 // the bit of 53

// set takes the parameters of a CSI m. Programs change colours all the time: the
// plain ones take no memory.
func (s *sgr) set(parameters []byte) {
	for more := true; more; {
		all := parameters
		var p []byte
		p, parameters, more = bytes.Cut(all, semicolon)
		n, detailed, ok := leading(p)
		switch {
		case !ok:
		case n == 38 || n == 48 || n == 58:
			colour := p
			if !detailed {
				colour, parameters, more = extended(all)
			}
			s.colour(n, clean(colour))
		case n == 4 && detailed:
			s.underline = ""
			if style := p[len(p)-1]; style > '0' && style <= '9' && len(p) == len("4:3") {
				s.underline = clean(p)
			}
		default:
			s.one(n)
		}
	}
}

var semicolon = []byte(";")

// leading reads the number at the start of a parameter, 0 where there is none.
func leading(p []byte) (n int, detailed, ok bool) {
	for i, c := range p {
		switch {
		case c == ':':
			return n, true, i > 0
		case c < '0' || c > '9' || i > 4:
			return 0, false, false
		}
		n = 10*n + int(c-'0')
	}
	return n, false, true
}

// one takes a parameter that stands for itself.
func (s *sgr) one(n int) {
	switch {
	case n == 0:
		*s = sgr{}
	case n == 4:
		s.underline = "4"
	case n < 10:
		s.flags |= 1 << n
	case n == 21:
		s.underline = "21"
	case n == 22:
		s.flags &^= 1<<1 | 1<<2
	case n == 24:
		s.underline = ""
	case n == 25:
		s.flags &^= 1<<5 | 1<<6
	case n > 22 && n < 30:
		s.flags &^= 1 << (n - 20)
	case n >= 30 && n < 38, n >= 90 && n < 98:
		s.foreground = strconv.Itoa(n)
	case n >= 40 && n < 48, n >= 100 && n < 108:
		s.background = strconv.Itoa(n)
	case n == 39:
		s.foreground = ""
	case n == 49:
		s.background = ""
	case n == 53:
		s.flags |= 1 << overline
	case n == 55:
		s.flags &^= 1 << overline
	case n == 59:
		s.line = ""
	}
}

func (s *sgr) colour(n int, text string) {
	switch n {
	case 38:
		s.foreground = text
	case 48:
		s.background = text
	case 58:
		s.line = text
	}
}

// extended reads 38;5;N or 38;2;R;G;B at the start of p, and gives what follows.
func extended(p []byte) (colour, left []byte, more bool) {
	_, rest, _ := bytes.Cut(p, semicolon)
	kind, _, _ := bytes.Cut(rest, semicolon)
	want := 0 // parameters
	switch string(kind) {
	case "5":
		want = 3
	case "2":
		want = 5
	}
	end := 0
	for i := range want {
		n := bytes.IndexByte(p[end:], ';')
		if n < 0 {
			if i == want-1 {
				return p, nil, false
			}
			return nil, nil, false
		}
		end += n + 1
	}
	if want == 0 {
		return nil, nil, false
	}
	return p[:end-1], p[end:], true
}

// clean gives a parameter of a plausible length, else "".
func clean(p []byte) string {
	if len(p) > 32 {
		return ""
	}
	return string(p)
}

// restore gives the sequence that sets it from anything.
func (s *sgr) restore() string {
	list := []string{"0"}
	for n := 1; n < overline; n++ {
		if s.flags&(1<<n) != 0 {
			list = append(list, strconv.Itoa(n))
		}
	}
	if s.flags&(1<<overline) != 0 {
		list = append(list, "53")
	}
	for _, p := range []string{s.underline, s.foreground, s.background, s.line} {
		if p != "" {
			list = append(list, p)
		}
	}
	return "\x1b[" + strings.Join(list, ";") + "m"
}
