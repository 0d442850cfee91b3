package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Edit is a value to be written at a path of member names, the root where it
// has none.
type Edit struct {
	Path  []string
	Value any
}

// Set writes value at the path of member names, making the objects on the way
// that are missing or null.
func (d *Document) Set(value any, path ...string) error {
	return d.Edit(Edit{path, value})
}

// Edit makes all edits, each as Set does, or none. One that writes into what
// another writes is an error; of two with the same path the later counts.
func (d *Document) Edit(edits ...Edit) error {
	e := edition{doc: d}
	if err := e.set(edits); err != nil {
		return err
	}
	return e.commit()
}

// edition is a set of edits of a document that are made in one pass.
type edition struct {
	doc     *Document
	root    change
	parts   []part
	splices []splice
}

// change is what edits do to one value: they replace it, or members of it.
type change struct {
	name    string
	text    string // the JSON that replaces it; "" where members change
	members []change
}

// part is a stretch of a string value that another text replaces.
type part struct {
	node, from int32
	text, to   string
}

// splice replaces a stretch of the document's text.
type splice struct {
	from, to    int32
	text        string
	first, rest int32  // the nodes from first to before rest go
	grown       []node // and these come, their places counted from the text's own; nil if they are not known
}

var errOverlap = errors.New("editing the body: two edits write the same part of it")

// set adds edits of values.
func (e *edition) set(edits []Edit) error {
	for _, edit := range edits {
		where := func() string { return strings.Join(edit.Path, ".") }
		if e.doc == nil {
			return fmt.Errorf("writing %s: the request has no body", where())
		}
		text, err := encode(edit.Value)
		if err != nil {
			return fmt.Errorf("writing %s: %w", where(), err)
		}
		at := &e.root
		for _, name := range edit.Path {
			if at.text != "" {
				return fmt.Errorf("writing %s: another edit writes the whole of it", where())
			}
			at = at.member(name)
		}
		if len(at.members) > 0 {
			return fmt.Errorf("writing %s: another edit writes a part of it", where())
		}
		at.text = text
	}
	return nil
}

// member is the change of a member, a new one if there is none.
func (c *change) member(name string) *change {
	for i := range c.members {
		if c.members[i].name == name {
			return &c.members[i]
		}
	}
	c.members = append(c.members, change{name: name})
	return &c.members[len(c.members)-1]
}

// write renders what a change makes of nothing.
func (c *change) write(b *strings.Builder) {
	if c.text != "" {
		b.WriteString(c.text)
		return
	}
	b.WriteByte('{')
	writeMembers(b, c.members)
	b.WriteByte('}')
}

func writeMembers(b *strings.Builder, members []change) {
	for i := range members {
		m := &members[i]
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(m.name))
		b.WriteByte(':')
		m.write(b)
	}
}

// pin adds the edit that puts another name into a place.
func (e *edition) pin(c *Call, pin Pin) error {
	p := pin.Ref.At
	n := &e.doc.nodes[p.item]
	if p.In == InBodyKey {
		if n.key == 0 || n.name(e.doc.text) != p.Text {
			return c.moved(p)
		}
		e.splices = append(e.splices, splice{from: n.key - 1, to: n.keyTo + 1, text: quote(pin.To)})
		return nil
	}
	if text := (Value{e.doc, p.item}).Str(); !p.within(text) {
		return c.moved(p)
	}
	e.parts = append(e.parts, part{p.item, p.from, p.Text, pin.written()})
	return nil
}

// commit makes the edits and reads the whole again, so that an edit can never
// make what reading would refuse.
func (e *edition) commit() error {
	if e.root.text != "" || len(e.root.members) > 0 {
		if err := e.walk(0, &e.root, nil, e.doc.schema); err != nil {
			return err
		}
	}
	if err := e.join(); err != nil {
		return err
	}
	if len(e.splices) == 0 {
		return nil
	}
	slices.SortStableFunc(e.splices, func(a, b splice) int { return int(a.from - b.from) })
	d, at := e.doc, int32(0)
	size := len(d.text)
	for _, s := range e.splices {
		size += len(s.text)
	}
	var b strings.Builder
	b.Grow(size)
	for _, s := range e.splices {
		if s.from < at {
			return errOverlap
		}
		b.WriteString(d.text[at:s.from])
		b.WriteString(s.text)
		at = s.to
	}
	b.WriteString(d.text[at:])
	read, ok := e.graft(b.String())
	if !ok {
		var err error
		if read, err = parseText(b.String(), d.schema); err != nil {
			return fmt.Errorf("editing the body: %w", err)
		}
	}
	read.edits = d.edits + 1
	*d = *read
	return nil
}

// walk makes splices of what a change does to node i, of a schema, at a path.
func (e *edition) walk(i int32, c *change, path []string, of *schema) error {
	d := e.doc
	n := &d.nodes[i]
	var b strings.Builder
	switch {
	case c.text != "":
		e.replace(i, c.text, of, len(path))
		return nil
	case n.kind == 'n': // null: everything from here on is new
		c.write(&b)
		e.replace(i, b.String(), of, len(path))
		return nil
	case n.kind != '{':
		return fmt.Errorf("writing %s: %s is no object", strings.Join(append(path, c.members[0].name), "."), strings.Join(path, "."))
	}
	var added []change
	for k := range c.members {
		m := &c.members[k]
		member := d.member(i, m.name)
		if member < 0 {
			added = append(added, *m)
		} else if err := e.walk(member, m, append(path, m.name), of.named(m.name)); err != nil {
			return err
		}
	}
	if len(added) == 0 {
		return nil
	}
	writeMembers(&b, added)
	grown := growMembers(b.String(), of, len(path))
	if n.next > i+1 {
		b.WriteByte(',')
	}
	e.splices = append(e.splices, splice{n.start + 1, n.start + 1, b.String(), i + 1, i + 1, grown})
	return nil
}

// replace has node i replaced by a value.
func (e *edition) replace(i int32, text string, of *schema, depth int) {
	n := &e.doc.nodes[i]
	e.splices = append(e.splices, splice{n.start, n.end, text, i, n.next, grow(text, of, depth)})
}

// join makes one splice of all parts of a string.
func (e *edition) join() error {
	slices.SortStableFunc(e.parts, func(a, b part) int {
		if a.node != b.node {
			return int(a.node - b.node)
		}
		return int(a.from - b.from)
	})
	for len(e.parts) > 0 {
		node, at := e.parts[0].node, int32(0)
		old := Value{e.doc, node}.Str()
		var b strings.Builder
		for len(e.parts) > 0 && e.parts[0].node == node {
			p := e.parts[0]
			if p.from < at {
				return errOverlap
			}
			b.WriteString(old[at:p.from])
			b.WriteString(p.to)
			at, e.parts = p.from+int32(len(p.text)), e.parts[1:]
		}
		b.WriteString(old[at:])
		e.replace(node, quote(b.String()), nil, 0) // a string is taken where one was
	}
	return nil
}

// member is the node of the object i's member, -1 if it has none.
func (d *Document) member(i int32, name string) int32 {
	end := d.nodes[i].next
	for m := i + 1; m < end; {
		n := &d.nodes[m]
		if !n.keyEscaped && d.text[n.key:n.keyTo] == name || n.keyEscaped && n.name(d.text) == name {
			return m
		}
		m = n.next
	}
	return -1
}

// remove takes the member i out.
func (d *Document) remove(i int32) error {
	from, to := d.nodes[i].key-1, d.nodes[i].end
	const space = " \t\r\n"
	before := strings.TrimRight(d.text[:from], space)
	after := strings.TrimLeft(d.text[to:], space)
	switch {
	case after[0] == ',':
		to = int32(len(d.text) - len(after) + 1)
	case before[len(before)-1] == ',':
		from = int32(len(before) - 1)
	}
	e := edition{doc: d, splices: []splice{{from: from, to: to}}}
	return e.commit()
}

// encode is a value as JSON.
func encode(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return quote(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	text, err := json.Marshal(value)
	return string(text), err
}

func quote(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b, _ := json.Marshal(s) // a string always marshals
			return string(b)
		}
	}
	return `"` + s + `"`
}
