package router

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
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
	e := newEdition(d)
	defer e.done()
	if err := e.set(edits); err != nil {
		return err
	}
	return e.commit()
}

// edition is a set of edits of a document that are made in one pass.
type edition struct {
	doc     *Document
	changes []change // the root's first, where there are any
	parts   []part
	splices []splice
	written []byte // all new text, in pieces
}

// editions keep the room that they needed.
var editions = sync.Pool{New: func() any {
	return &edition{written: make([]byte, 0, usualText), splices: make([]splice, 0, usualEdits), changes: make([]change, 0, 2*usualEdits)}
}}

func newEdition(d *Document) *edition {
	e := editions.Get().(*edition)
	e.doc = d
	return e
}

// done gives the edition back. It keeps nothing of what was written.
func (e *edition) done() {
	if cap(e.written) > maxSpareText || max(cap(e.splices), cap(e.parts), cap(e.changes)) > maxGrafts {
		return
	}
	clear(e.written)
	clear(e.parts)
	clear(e.changes)
	*e = edition{written: e.written[:0], splices: e.splices[:0], parts: e.parts[:0], changes: e.changes[:0]}
	editions.Put(e)
}

// maxSpareText is how many bytes an edition keeps room for.
const maxSpareText = 4 << 10

// piece is a stretch of what an edition has written.
type piece struct{ from, to int32 }

func (p piece) len() int32 { return p.to - p.from }

// part is a stretch of a string value that another text replaces.
type part struct {
	node, from int32
	text, to   string
}

// splice replaces a stretch of the document's text.
type splice struct {
	from, to    int32
	text        piece
	first, rest int32 // the nodes from first to before rest go
	grows       growth
	of          *schema // of what grows, or of the object whose members do
	depth       int
}

// growth says what a splice's text is, to be read alone.
type growth uint8

const (
	growsAnew    growth = iota // it can be read only with the whole
	growsValue                 // one value
	growsMembers               // members of an object that has none of them yet, and a comma where others follow
	growsKey                   // the key of a map's member, the node first
)

var errOverlap = errors.New("editing the body: two edits write the same part of it")

// set adds edits of values.
func (e *edition) set(edits []Edit) error {
	for i := range edits {
		edit := &edits[i]
		if e.doc == nil {
			return fail(http.StatusBadRequest, "the request has no body: send a JSON object")
		}
		from := len(e.written)
		var err error
		if e.written, err = appendJSON(e.written, edit.Value); err != nil {
			return fmt.Errorf("writing %s: %w", strings.Join(edit.Path, "."), err)
		}
		if len(e.changes) == 0 {
			e.changes = append(e.changes, change{})
		}
		at := int32(0)
		for _, name := range edit.Path {
			if e.changes[at].whole {
				return edit.fails("another edit writes the whole of it")
			}
			at = e.member(at, name)
		}
		c := &e.changes[at]
		if c.first > 0 {
			return edit.fails("another edit writes a part of it")
		}
		c.whole, c.text = true, e.since(from)
	}
	return nil
}

func (e *Edit) fails(why string) error {
	return fmt.Errorf("writing %s: %s", strings.Join(e.Path, "."), why)
}

// since is what has been written since there were that many bytes.
func (e *edition) since(from int) piece { return piece{int32(from), int32(len(e.written))} }

// What room is made for: edits of one object, and what they write.
const (
	usualEdits = 8
	usualText  = 256
)

// pin adds the edit that puts another name into a place.
func (e *edition) pin(c *Call, pin Pin) error {
	p := pin.Ref.At
	n := &e.doc.nodes[p.item]
	if p.In == InBodyKey {
		if n.key == 0 || n.name(e.doc.text) != p.Text {
			return c.moved(p)
		}
		e.splices = append(e.splices, splice{from: n.key - 1, to: n.keyTo + 1, text: e.quote(pin.To), first: p.item, rest: p.item, grows: growsKey})
		return nil
	}
	if text := (Value{e.doc, p.item}).Str(); !p.within(text) {
		return c.moved(p)
	}
	e.parts = append(e.parts, part{p.item, p.from, p.Text, pin.written()})
	return nil
}

// quote writes a string.
func (e *edition) quote(s string) piece {
	from := len(e.written)
	e.written = appendQuoted(e.written, s)
	return e.since(from)
}

// commit makes the edits and reads what they wrote, or the whole again, so that
// an edit can never make what reading would refuse.
func (e *edition) commit() error {
	if len(e.changes) > 0 {
		if err := e.walk(0, &e.changes[0], make([]string, 0, usualEdits), e.doc.schema); err != nil {
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
	text, err := e.text()
	if err != nil {
		return err
	}
	d := e.doc
	if !e.graft(text) {
		read, err := parseText(text, d.schema)
		if err != nil {
			return fmt.Errorf("editing the body: %w", err)
		}
		read.edits = d.edits
		*d = *read
	}
	d.edits++
	return nil
}

// text is the document's text with all splices made.
func (e *edition) text() (string, error) {
	d, at := e.doc, int32(0)
	size := len(d.text)
	for _, s := range e.splices {
		size += int(s.text.len() - (s.to - s.from))
	}
	var b strings.Builder
	b.Grow(max(size, 0)) // less than none only where splices overlap
	for _, s := range e.splices {
		if s.from < at {
			return "", errOverlap
		}
		b.WriteString(d.text[at:s.from])
		b.Write(e.written[s.text.from:s.text.to])
		at = s.to
	}
	b.WriteString(d.text[at:])
	return b.String(), nil
}

// walk makes splices of what a change does to node i, of a schema, at a path.
func (e *edition) walk(i int32, c *change, path []string, of *schema) error {
	d := e.doc
	n := &d.nodes[i]
	switch {
	case c.whole:
		e.replace(i, c.text, of, len(path))
		return nil
	case n.kind == 'n': // null: everything from here on is new
		from := len(e.written)
		e.written = e.append(e.written, c)
		e.replace(i, e.since(from), of, len(path))
		return nil
	case n.kind != '{':
		return fmt.Errorf("writing %s: %s is no object", strings.Join(append(path, e.changes[c.first].name), "."), strings.Join(path, "."))
	}
	added := 0
	for m := range e.members(c) {
		if member := d.find(i, m.name, of); member < 0 {
			added++
		} else if err := e.walk(member, m, append(path, m.name), of.named(m.name)); err != nil {
			return err
		}
	}
	if added > 0 {
		e.insert(i, c, of, len(path))
	}
	return nil
}

// insert writes the members that the object i does not have.
func (e *edition) insert(i int32, c *change, of *schema, depth int) {
	d := e.doc
	n := &d.nodes[i]
	from := len(e.written)
	for m := range e.members(c) {
		if d.find(i, m.name, of) >= 0 {
			continue
		}
		if len(e.written) > from {
			e.written = append(e.written, ',')
		}
		e.written = e.appendMember(e.written, m)
	}
	if n.next > i+1 {
		e.written = append(e.written, ',')
	}
	s := splice{from: n.start + 1, to: n.start + 1, text: e.since(from), first: i + 1, rest: i + 1, of: of, depth: depth}
	if of != nil && (of.kind == structure || of.kind == mapping) {
		// That no other spelling of them is there, only those schemas say whose
		// keys were held to theirs.
		s.grows = growsMembers
	}
	e.splices = append(e.splices, s)
}

// replace has node i replaced by a value.
func (e *edition) replace(i int32, text piece, of *schema, depth int) {
	n := &e.doc.nodes[i]
	e.splices = append(e.splices, splice{n.start, n.end, text, i, n.next, growsValue, of, depth})
}

// join makes one splice of all parts of a string.
func (e *edition) join() error {
	slices.SortStableFunc(e.parts, func(a, b part) int {
		if a.node != b.node {
			return int(a.node - b.node)
		}
		return int(a.from - b.from)
	})
	for parts := e.parts; len(parts) > 0; {
		node, at := parts[0].node, int32(0)
		old := Value{e.doc, node}.Str()
		if p := parts[0]; p.text == old && (len(parts) == 1 || parts[1].node != node) { // the whole, as most are
			e.replace(node, e.quote(p.to), nil, 0)
			parts = parts[1:]
			continue
		}
		var b strings.Builder
		for len(parts) > 0 && parts[0].node == node {
			p := parts[0]
			if p.from < at {
				return errOverlap
			}
			b.WriteString(old[at:p.from])
			b.WriteString(p.to)
			at, parts = p.from+int32(len(p.text)), parts[1:]
		}
		b.WriteString(old[at:])
		e.replace(node, e.quote(b.String()), nil, 0) // a string is taken where one was
	}
	return nil
}

// find is member for an object of a schema, which knows its fields' numbers.
func (d *Document) find(i int32, name string, of *schema) int32 {
	known := of.known(name)
	if known < 0 {
		return d.member(i, name)
	}
	end := d.nodes[i].next
	for m := i + 1; m < end; m = d.nodes[m].next {
		if int(d.nodes[m].field) == known+1 {
			return m
		}
	}
	return -1
}

// member is the node of the object i's member, -1 if it has none.
func (d *Document) member(i int32, name string) int32 {
	end := d.nodes[i].next
	for m := i + 1; m < end; {
		n := &d.nodes[m]
		if int(n.keyTo-n.key) == len(name) && d.text[n.key:n.keyTo] == name && n.escapes&inKey == 0 ||
			n.escapes&inKey != 0 && n.name(d.text) == name {
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
	e := newEdition(d)
	defer e.done()
	e.splices = append(e.splices, splice{from: from, to: to})
	return e.commit()
}
