package router

import (
	"encoding/json"
	"iter"
	"strconv"
)

// change is what edits do to one value: they replace it, or members of it.
type change struct {
	name  string
	whole bool
	text  piece // where whole, the JSON that replaces it

	// Numbers of changes; 0, the root's, where there is none.
	first, last int32 // of members
	next        int32 // of the same object
}

// member is the number of the change of a member, a new one if there is none.
func (e *edition) member(object int32, name string) int32 {
	for i := e.changes[object].first; i > 0; i = e.changes[i].next {
		if e.changes[i].name == name {
			return i
		}
	}
	i := int32(len(e.changes))
	e.changes = append(e.changes, change{name: name})
	if c := &e.changes[object]; c.first == 0 {
		c.first, c.last = i, i
	} else {
		e.changes[c.last].next, c.last = i, i
	}
	return i
}

// members are the changes of a value's members.
func (e *edition) members(c *change) iter.Seq[*change] {
	return func(yield func(*change) bool) {
		for i := c.first; i > 0; i = e.changes[i].next {
			if !yield(&e.changes[i]) {
				return
			}
		}
	}
}

// append renders what a change makes of nothing.
func (e *edition) append(b []byte, c *change) []byte {
	if c.whole {
		return append(b, b[c.text.from:c.text.to]...)
	}
	b = append(b, '{')
	for m := range e.members(c) {
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = e.appendMember(b, m)
	}
	return append(b, '}')
}

func (e *edition) appendMember(b []byte, m *change) []byte {
	return e.append(append(appendQuoted(b, m.name), ':'), m)
}

// appendJSON adds a value as JSON.
func appendJSON(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendQuoted(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	}
	text, err := json.Marshal(value)
	return append(b, text...), err
}

func appendQuoted(b []byte, s string) []byte {
	if !plainText(s) {
		text, _ := json.Marshal(s) // a string always marshals
		return append(b, text...)
	}
	return append(append(append(b, '"'), s...), '"')
}

// plainText says whether a string stands in JSON as it is.
func plainText(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func quote(s string) string { return string(appendQuoted(nil, s)) }
