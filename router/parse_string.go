package router

import (
	"fmt"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string and gives the mark if it holds escapes. Text that decoders
// would repair, each in its own way, is refused: bytes that are no UTF-8, and
// halves of surrogate pairs.
func (p *parser) str(mark uint8) (escapes uint8, err error) {
	if p.at >= len(p.text) || p.text[p.at] != '"' {
		return 0, p.syntax("a string")
	}
	p.at++
	from, ascii := p.at, true
	for {
		p.at += usualRun(p.text[p.at:])
		if p.at >= len(p.text) {
			return 0, p.syntax("the end of the string")
		}
		switch c := p.text[p.at]; {
		case c == '"':
			if !ascii && !utf8.ValidString(p.text[from:p.at]) {
				return 0, fmt.Errorf("the string at byte %d is no UTF-8: send UTF-8", from-1)
			}
			p.at++
			return escapes, nil
		case c == '\\':
			escapes = mark
			if err := p.escape(); err != nil {
				return 0, err
			}
		case c < ' ':
			return 0, fmt.Errorf("control character at byte %d: write it as \\u%04x", p.at, c)
		default:
			ascii = false
			p.at++
		}
	}
}

// usualRun is how long a text's beginning of bytes is that stand for themselves
// in a string.
func usualRun(text string) int {
	n := 0
	for ; len(text)-n >= 8; n += 8 {
		// Eight bytes at once. Taking one from a byte borrows from the next,
		// so the first that is found is true and those behind it may not be.
		s := text[n : n+8]
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		const each, high = 0x0101010101010101, 0x8080808080808080
		quote, slash := word^each*'"', word^each*'\\'
		if odd := ((word - each*' ') | (quote - each) | (slash - each) | word) & high; odd != 0 {
			return n + bits.TrailingZeros64(odd)/8
		}
	}
	for n < len(text) && usualByte[text[n]] {
		n++
	}
	return n
}

// usualByte says of each byte whether it stands for itself in a string.
var usualByte = func() (usual [256]bool) {
	for c := ' '; c < 0x80; c++ {
		usual[c] = c != '"' && c != '\\'
	}
	return usual
}()

func (p *parser) escape() error {
	p.at++
	if p.at >= len(p.text) {
		return p.syntax("an escape")
	}
	switch p.text[p.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.at++
		return nil
	case 'u':
		r, err := p.hex()
		if err != nil {
			return err
		}
		if !utf16.IsSurrogate(r) {
			return nil
		}
		if p.at+1 < len(p.text) && p.text[p.at] == '\\' && p.text[p.at+1] == 'u' {
			p.at++
			low, err := p.hex()
			if err != nil {
				return err
			}
			if utf16.DecodeRune(r, low) != '\uFFFD' {
				return nil
			}
		}
		return fmt.Errorf("half a surrogate pair before byte %d: write both halves", p.at)
	}
	return p.syntax("an escape")
}

// hex reads uXXXX.
func (p *parser) hex() (rune, error) {
	p.at++
	if len(p.text)-p.at < 4 {
		return 0, p.syntax("four hex digits")
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+4], 16, 32)
	if err != nil {
		return 0, p.syntax("four hex digits")
	}
	p.at += 4
	return rune(n), nil
}
