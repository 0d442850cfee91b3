package owner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What is here reads single JSON values that a scanner has found well formed.

// text decodes a string.
func text(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", fmt.Errorf("%w of the shape that is known: no string", errSyntax)
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// is says whether a raw string says want.
func is(raw []byte, want string) bool {
	if len(raw) == len(want)+2 && string(raw[1:len(raw)-1]) == want && strings.IndexByte(want, '\\') < 0 {
		return true
	}
	if len(raw) <= len(want)+2 || bytes.IndexByte(raw, '\\') < 0 { // escapes make it longer
		return false
	}
	s, err := text(raw)
	return err == nil && s == want
}

// optional is text of a member that may be missing or null.
func optional(raw []byte) (string, error) {
	if raw == nil || raw[0] == 'n' {
		return "", nil
	}
	return text(raw)
}

// number is a member's whole number; 0 where it is missing.
func number(raw []byte) int64 {
	n, _ := strconv.ParseInt(string(raw), 10, 64)
	return n
}

// skip gives the end of the value that begins at i.
func skip(v []byte, i int) int {
	switch v[i] {
	case '"':
		return skipText(v, i)
	case '{', '[':
		depth := 0
		for {
			switch v[i] {
			case '"':
				i = skipText(v, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(v) && v[i] != ',' && v[i] != '}' && v[i] != ']' && !space(v[i]) {
		i++
	}
	return i
}

func skipText(v []byte, i int) int {
	for i++; ; i += 2 {
		if i += plainly(v[i:]); v[i] == '"' {
			return i + 1
		}
	}
}

func pastSpace(v []byte, i int) int {
	for i < len(v) && space(v[i]) {
		i++
	}
	return i
}

// members yields the raw keys and values of an object; of nothing else any.
func members(v []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		if len(v) == 0 || v[0] != '{' {
			return
		}
		i := pastSpace(v, 1)
		for v[i] != '}' {
			from := i
			i = skip(v, i)
			key := v[from:i]
			i = pastSpace(v, pastSpace(v, i)+1) // the colon
			from = i
			i = skip(v, i)
			if !yield(key, v[from:i]) {
				return
			}
			if i = pastSpace(v, i); v[i] == ',' {
				i = pastSpace(v, i+1)
			}
		}
	}
}

// elements yields the raw elements of a list; of nothing else any.
func elements(v []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(v) == 0 || v[0] != '[' {
			return
		}
		i := pastSpace(v, 1)
		for v[i] != ']' {
			from := i
			i = skip(v, i)
			if !yield(v[from:i]) {
				return
			}
			if i = pastSpace(v, i); v[i] == ',' {
				i = pastSpace(v, i+1)
			}
		}
	}
}

// pick finds members of an object in one pass; what is missing is nil. A name
// that comes twice is an error: nobody can say which one counts. So is a value
// that is no object.
func pick(v []byte, names ...string) ([4][]byte, error) {
	var found [4][]byte
	if v[0] != '{' {
		return found, fmt.Errorf("%w of the shape that is known: no object", errSyntax)
	}
	for key, value := range members(v) {
		for i, name := range names {
			if !is(key, name) {
				continue
			}
			if found[i] != nil {
				return found, twice(name)
			}
			found[i] = value
		}
	}
	return found, nil
}

func twice(name string) error {
	return fmt.Errorf("%w of the shape that is known: two %s", errSyntax, name)
}

// says whether an object has a member of a name that says want.
func says(v []byte, name, want string) bool {
	plain := bytes.IndexByte(v, '\\') < 0 // then a key that is of another length is another
	for key, value := range members(v) {
		if plain && len(key) != len(name)+2 {
			continue
		}
		if is(key, name) && value[0] == '"' && is(value, want) {
			return true
		}
	}
	return false
}

// reserved gives those of an object's labels that only moorgate sets.
func reserved(labels []byte) (map[string]string, error) {
	var found map[string]string
	for key, value := range members(labels) {
		if bytes.IndexByte(key, '\\') < 0 && !bytes.HasPrefix(key[1:], []byte(Reserved)) {
			continue
		}
		name, err := text(key)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(name, Reserved) {
			continue
		}
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("%w of the shape that is known: two labels %s", errSyntax, name)
		}
		says, err := text(value)
		if err != nil {
			return nil, err
		}
		if found == nil {
			found = map[string]string{}
		}
		found[name] = says
	}
	return found, nil
}

// edit gives an object with some members changed: nil takes one out. What is
// not there is not added.
func edit(v []byte, changes map[string][]byte) ([]byte, error) {
	out := make([]byte, 0, len(v)+64)
	out = append(out, '{')
	for key, value := range members(v) {
		name, err := text(key)
		if err != nil {
			return nil, err
		}
		if change, ok := changes[name]; ok {
			value = change
		}
		if value == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

// keepMembers gives an object with only those members that keep lets pass.
func keepMembers(v []byte, keep func(key string) (bool, error)) ([]byte, error) {
	if v[0] != '{' {
		return v, nil
	}
	out := []byte{'{'}
	for key, value := range members(v) {
		name, err := text(key)
		if err != nil {
			return nil, err
		}
		ok, err := keep(name)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

// keepElements gives a list with what keep makes of each element; nil leaves
// it out.
func keepElements(v []byte, keep func(element []byte) ([]byte, error)) ([]byte, error) {
	if v[0] != '[' {
		return v, nil
	}
	out := []byte{'['}
	for e := range elements(v) {
		e, err := keep(e)
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, e...)
	}
	return append(out, ']'), nil
}
