package owner

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// maxPlaces bounds the members of an object that are kept in mind.
const maxPlaces = 256

// value is a JSON value that was found well formed. What it is read from is only
// good until the judge that is shown it returns.
type value struct {
	raw    []byte
	places []place // of an object's members, where it was read in one go
}

// place is where a member of an object stands: its key between key and end, with
// its quotes and without an escape, and its value between from and to.
type place struct{ key, end, from, to int32 }

// pick is the function of that name for a value.
func (v value) pick(names ...string) (found [4][]byte, err error) {
	if len(v.places) == 0 {
		return pick(v.raw, names...)
	}
	for _, p := range v.places {
		key := v.raw[p.key+1 : p.end-1]
		for i, name := range names {
			if string(key) != name {
				continue
			}
			if found[i] != nil {
				return found, twice(name)
			}
			found[i] = v.raw[p.from:p.to]
		}
	}
	return found, nil
}

// quick reads a value in one pass, if it is in hand whole: it finds its end and,
// of an object, where its members stand. It is there for speed alone: whatever it
// does not take, because it is cut off, no JSON, or unlike what Engines write, it
// leaves to the scanner. So it gives ends, and 0 for what it does not take.
type quick struct {
	text   []byte
	places []place
}

// read gives the end of the value that text begins with.
func (q *quick) read(text []byte) int {
	q.text, q.places = text, q.places[:0]
	end := q.value(0, 0)
	if bytes.IndexByte(text[:end], '\\') >= 0 && q.escaped() {
		return 0
	}
	return end
}

// escaped says whether there is an escape in the key of a member, which nothing
// here decodes.
func (q *quick) escaped() bool {
	for _, p := range q.places {
		if bytes.IndexByte(q.text[p.key:p.end], '\\') >= 0 {
			return true
		}
	}
	return false
}

// value gives the end of the value at i, which is inside of depth others.
func (q *quick) value(i, depth int) int {
	if i >= len(q.text) || depth == maxDepth {
		return 0
	}
	switch q.text[i] {
	case '"':
		return pastText(q.text, i)
	case '{':
		return q.object(i, depth)
	case '[':
		return q.list(i, depth)
	case 't':
		return q.word(i, "true")
	case 'f':
		return q.word(i, "false")
	case 'n':
		return q.word(i, "null")
	}
	return pastNumber(q.text, i)
}

func (q *quick) object(i, depth int) int {
	text := q.text
	if i = pastSpace(text, i+1); i < len(text) && text[i] == '}' {
		return i + 1
	}
	for i < len(text) && text[i] == '"' {
		key := i
		end := pastText(text, key)
		if end == 0 {
			return 0
		}
		if i = pastSpace(text, end); i >= len(text) || text[i] != ':' {
			return 0
		}
		from := pastSpace(text, i+1)
		if i = q.value(from, depth+1); i == 0 {
			return 0
		}
		if depth == 0 {
			if len(q.places) == maxPlaces {
				return 0
			}
			q.places = append(q.places, place{int32(key), int32(end), int32(from), int32(i)})
		}
		if i = pastSpace(text, i); i >= len(text) {
			return 0
		}
		if text[i] == '}' {
			return i + 1
		}
		if text[i] != ',' {
			return 0
		}
		i = pastSpace(text, i+1)
	}
	return 0
}

func (q *quick) list(i, depth int) int {
	text := q.text
	if i = pastSpace(text, i+1); i < len(text) && text[i] == ']' {
		return i + 1
	}
	for {
		if i = q.value(i, depth+1); i == 0 {
			return 0
		}
		if i = pastSpace(text, i); i >= len(text) {
			return 0
		}
		if text[i] == ']' {
			return i + 1
		}
		if text[i] != ',' {
			return 0
		}
		i = pastSpace(text, i+1)
	}
}

func (q *quick) word(i int, word string) int {
	if end := i + len(word); end <= len(q.text) && string(q.text[i:end]) == word {
		return end
	}
	return 0
}

// pastText gives the end of the text whose quote is at i; 0 where it does not end
// or holds what no text can.
func pastText(v []byte, i int) int {
	for i++; ; {
		for i+8 <= len(v) {
			found := special(binary.LittleEndian.Uint64(v[i:]))
			if found != 0 {
				i += bits.TrailingZeros64(found) / 8
				break
			}
			i += 8
		}
		for i < len(v) && v[i] >= ' ' && v[i] != '"' && v[i] != '\\' {
			i++
		}
		if i == len(v) {
			return 0
		}
		switch v[i] {
		case '"':
			return i + 1
		case '\\':
			if i = pastEscape(v, i+1); i == 0 {
				return 0
			}
		default:
			return 0
		}
	}
}

// pastEscape gives the end of the escape whose backslash stands before i.
func pastEscape(v []byte, i int) int {
	if i == len(v) {
		return 0
	}
	switch v[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
	default:
		return 0
	}
	if i += 5; i > len(v) {
		return 0
	}
	for _, c := range v[i-4 : i] {
		if !hexDigit(c) {
			return 0
		}
	}
	return i
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// pastNumber gives the end of the number at i; 0 for one that may go on behind v.
func pastNumber(v []byte, i int) int {
	if v[i] == '-' {
		i++
	}
	whole := pastDigits(v, i)
	if whole == i || v[i] == '0' && whole > i+1 {
		return 0
	}
	i = whole
	if i < len(v) && v[i] == '.' {
		fraction := pastDigits(v, i+1)
		if fraction == i+1 {
			return 0
		}
		i = fraction
	}
	if i < len(v) && v[i]|' ' == 'e' {
		if i++; i < len(v) && (v[i] == '+' || v[i] == '-') {
			i++
		}
		exponent := pastDigits(v, i)
		if exponent == i {
			return 0
		}
		i = exponent
	}
	if i == len(v) {
		return 0
	}
	return i
}

func pastDigits(v []byte, i int) int {
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	return i
}
