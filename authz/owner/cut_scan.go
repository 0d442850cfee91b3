package owner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// maxDepth bounds the nesting of an answer; the Engine's deepest has a dozen
// levels.
const maxDepth = 64

// scanState is what a scanner expects next.
type scanState uint8

const (
	wantValue   scanState = iota
	wantElement           // a value, or the end of an empty list
	wantMember            // a key, or the end of an empty object
	wantKey
	wantColon
	wantNext // a comma, or the end
	inText
	inEscape
	inHex
	inLiteral
	inMinus // and from here on the parts of a number
	inZero
	inWhole
	inDot
	inFraction
	inE
	inSign
	inExponent
)

// scanner finds the end of one JSON value in text that comes in pieces, and
// holds it to the grammar of encoding/json. The zero value is ready.
type scanner struct {
	state   scanState
	isKey   bool // the text is a member's key
	depth   int
	objects uint64 // bit n says that level n is an object, not a list
	hex     int    // digits of an escape still to come
	literal string // what is still to come of true, false or null
}

var errSyntax = errors.New("no JSON")

// scan reads on and says how much of b belongs to the value and whether that
// is all of it. A number ends where something else begins, so it is never
// whole at the end of b.
func (s *scanner) scan(b []byte) (n int, whole bool, err error) {
	for i := 0; i < len(b); {
		c := b[i]
		switch s.state {
		case inText:
			if i += plainly(b[i:]); i == len(b) {
				return i, false, nil
			}
			switch b[i] {
			case '"':
				i++
				if s.isKey {
					s.state, s.isKey = wantColon, false
					continue
				}
				if s.close() {
					return i, true, nil
				}
			case '\\':
				i++
				s.state = inEscape
			default:
				return i, false, s.wrong(b[i])
			}
			continue
		case inEscape:
			switch c {
			case 'u':
				s.state, s.hex = inHex, 4
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				s.state = inText
			default:
				return i, false, s.wrong(c)
			}
		case inHex:
			if !hexDigit(c) {
				return i, false, s.wrong(c)
			}
			if s.hex--; s.hex == 0 {
				s.state = inText
			}
		case inLiteral:
			if c != s.literal[0] {
				return i, false, s.wrong(c)
			}
			if s.literal = s.literal[1:]; s.literal == "" && s.close() {
				return i + 1, true, nil
			}
		case wantValue, wantElement, wantMember, wantKey, wantColon, wantNext:
			if space(c) {
				break
			}
			whole, err := s.token(c)
			if whole || err != nil {
				return i + 1, whole, err
			}
		default:
			next, ok := s.number(c)
			if !ok {
				return i, false, s.wrong(c)
			}
			if next == wantNext {
				if s.close() {
					return i, true, nil
				}
				continue // c is not the number's
			}
			s.state = next
		}
		i++
	}
	return len(b), false, nil
}

// token takes the first byte of what stands between values.
func (s *scanner) token(c byte) (whole bool, err error) {
	object := s.depth > 0 && s.objects&(1<<(s.depth-1)) != 0
	switch s.state {
	case wantColon:
		if c != ':' {
			return false, s.wrong(c)
		}
		s.state = wantValue
		return false, nil
	case wantNext:
		switch {
		case c == ',' && object:
			s.state = wantKey
		case c == ',':
			s.state = wantValue
		case c == '}' && object, c == ']' && !object:
			s.depth--
			return s.close(), nil
		default:
			return false, s.wrong(c)
		}
		return false, nil
	case wantMember, wantKey:
		if c == '}' && s.state == wantMember {
			s.depth--
			return s.close(), nil
		}
		if c != '"' {
			return false, s.wrong(c)
		}
		s.state, s.isKey = inText, true
		return false, nil
	case wantElement:
		if c == ']' {
			s.depth--
			return s.close(), nil
		}
	}
	return false, s.begin(c)
}

// begin takes the first byte of a value.
func (s *scanner) begin(c byte) error {
	switch c {
	case '{', '[':
		if s.depth == maxDepth {
			return fmt.Errorf("%w: over %d levels", errSyntax, maxDepth)
		}
		s.objects &^= 1 << s.depth
		s.state = wantElement
		if c == '{' {
			s.objects |= 1 << s.depth
			s.state = wantMember
		}
		s.depth++
	case '"':
		s.state = inText
	case 't':
		s.state, s.literal = inLiteral, "rue"
	case 'f':
		s.state, s.literal = inLiteral, "alse"
	case 'n':
		s.state, s.literal = inLiteral, "ull"
	case '-':
		s.state = inMinus
	case '0':
		s.state = inZero
	default:
		if c < '1' || c > '9' {
			return s.wrong(c)
		}
		s.state = inWhole
	}
	return nil
}

// number says what follows c in a number; wantNext where c is not its part.
func (s *scanner) number(c byte) (next scanState, ok bool) {
	digit := c >= '0' && c <= '9'
	switch s.state {
	case inMinus:
		if c == '0' {
			return inZero, true
		}
		return inWhole, digit
	case inDot:
		return inFraction, digit
	case inE:
		if c == '+' || c == '-' {
			return inSign, true
		}
		return inExponent, digit
	case inSign:
		return inExponent, digit
	case inExponent:
		if digit {
			return inExponent, true
		}
	default: // inZero, inWhole, inFraction
		switch {
		case digit && s.state != inZero:
			return s.state, true
		case c == '.' && s.state != inFraction:
			return inDot, true
		case c == 'e' || c == 'E':
			return inE, true
		}
	}
	return wantNext, true
}

// close ends a value and says whether it was the outermost.
func (s *scanner) close() (whole bool) {
	s.state = wantNext
	return s.depth == 0
}

func (s *scanner) wrong(c byte) error {
	return fmt.Errorf("%w: %q stands where it cannot", errSyntax, c)
}

func space(c byte) bool {
	return c <= ' ' && (c == ' ' || c == '\n' || c == '\t' || c == '\r') // mostly it is none
}

// special sets the highest bit of the first of eight bytes that is a quote, a
// backslash, or what cannot stand in a text. Bits above it may be wrong.
func special(x uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, slash := x^(ones*'"'), x^(ones*'\\') // 0 where one stands
	return ((x-ones*0x20)&^x | (quote-ones)&^quote | (slash-ones)&^slash) & high
}

// plainly says how many bytes of a text mean themselves, from its beginning on:
// the next is a quote, a backslash, or what cannot stand in a text. It looks at
// eight at a time.
func plainly(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}
