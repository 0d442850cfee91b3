package router

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// MaxDocument is the longest JSON body in bytes that is read: what the Engine
// itself shows its authorization plugins at most (4 MiB).
const MaxDocument = 4 << 20

const (
	// maxDepth bounds nesting; the Engine's deepest type has nine levels.
	maxDepth = 64
	// maxValues bounds the memory that a body of nothing but brackets takes;
	// a large service has some hundreds.
	maxValues = 1 << 16
)

// Document is a JSON body with exactly one reading: whatever decoder looks at
// it, by the Engine's types or by none, sees the same fields with the same
// values. The Engine's own decoder folds the case of keys and merges
// duplicates, so both are refused. A Document keeps the text it was made from;
// fields it does not know stay where they are when others are edited. It is
// edited in place: Clone gives another one.
type Document struct {
	text    string
	nodes   []node
	unknown []int32
	schema  *schema
	edits   uint32 // how often it was edited: places name nodes
}

// node is one value. Nodes lie in the order of the text: the children of node
// i begin at i+1, and nodes[i].next is the first node behind i's subtree.
type node struct {
	kind       byte  // { [ " 0 t f n
	escapes    uint8 // of what is written with escapes: inText, inKey
	field      int16 // one more than the member's field in the schema's object; 0 where it has none
	start, end int32 // of the value in the text
	key, keyTo int32 // of the member's key in the text, within its quotes
	next       int32
}

const (
	inText uint8 = 1 << iota // a string (kind ")
	inKey
)

// ParseDocument reads one JSON value. Of is the zero value of the Engine's
// type that it will be decoded into; nil where there is none. Errors are
// *Error with status 400 or 413.
func ParseDocument(raw []byte, of any) (*Document, error) {
	return parseDocument(raw, schemaOf(reflect.TypeOf(of)))
}

func parseDocument(raw []byte, s *schema) (*Document, error) {
	if len(raw) > MaxDocument {
		return nil, tooLarge(MaxDocument)
	}
	return parseText(string(raw), s)
}

func parseText(text string, s *schema) (*Document, error) {
	if len(text) > MaxDocument {
		return nil, tooLarge(MaxDocument)
	}
	d, err := parse(text, s)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "request body: %s", err.Error())
	}
	return d, nil
}

func parse(text string, s *schema) (*Document, error) {
	p := newParser(text, s)
	defer p.done()
	if err := p.value(s, 0); err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, fmt.Errorf("%s at byte %d after the JSON value: send one value", p.see(), p.at)
	}
	if len(p.respell) > 0 {
		return parse(p.respelled(), s)
	}
	return p.document(), nil
}

// Clone gives a document that is edited apart from d.
func (d *Document) Clone() *Document {
	c := *d
	c.nodes, c.unknown = slices.Clone(d.nodes), slices.Clone(d.unknown)
	return &c
}

// Bytes is the text that is sent.
func (d *Document) Bytes() []byte { return []byte(d.text) }

// Len is the length of Bytes.
func (d *Document) Len() int { return len(d.text) }

// Decode stores the document into v as the Engine would.
func (d *Document) Decode(v any) error { return json.Unmarshal([]byte(d.text), v) }

// Root is the whole value; of a nil Document the missing Value.
func (d *Document) Root() Value {
	if d == nil {
		return Value{}
	}
	return Value{d, 0}
}

// Unknown yields the path and value of every field that the Engine's type does
// not have, outermost only: "HostConfig.NewThing".
func (d *Document) Unknown() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if d == nil {
			return
		}
		for _, i := range d.unknown {
			if !yield(d.path(i), Value{d, i}) {
				return
			}
		}
	}
}

// Named yields every member, whatever it is a part of, that some decoder could
// take for the one of an ASCII name: in any case.
func (d *Document) Named(name string) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if d == nil {
			return
		}
		for i := range d.nodes {
			n := &d.nodes[i]
			if int(n.keyTo-n.key) < len(name) { // what folds to ASCII is no shorter
				continue
			}
			if c := d.text[n.key]; c|0x20 != name[0]|0x20 && c < 0x80 && c != '\\' { // as most
				continue
			}
			if strings.EqualFold(n.name(d.text), name) && !yield(Value{d, int32(i)}) {
				return
			}
		}
	}
}

// path spells the way from the root to node i.
func (d *Document) path(i int32) string {
	var b strings.Builder
	at := int32(0)
	for at != i {
		list, n := d.nodes[at].kind == '[', 0
		child := at + 1
		for d.nodes[child].next <= i {
			child = d.nodes[child].next
			n++
		}
		if list {
			fmt.Fprintf(&b, "[%d]", n)
		} else {
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(d.nodes[child].name(d.text))
		}
		at = child
	}
	return b.String()
}

// Value is one value of a Document; the zero Value is a missing one.
type Value struct {
	d *Document
	i int32
}

func (v Value) node() *node { return &v.d.nodes[v.i] }

func (v Value) is(kind byte) bool { return v.d != nil && v.node().kind == kind }

// Missing says that the value is not written at all; null is written.
func (v Value) Missing() bool { return v.d == nil }

// Exists says whether the value is there and not null.
func (v Value) Exists() bool { return v.d != nil && v.node().kind != 'n' }

// Empty says whether the value is missing or one of null, false, 0, "", {}
// and [].
func (v Value) Empty() bool {
	if v.d == nil {
		return true
	}
	switch n := v.node(); n.kind {
	case 'n', 'f':
		return true
	case '{', '[':
		return n.next == v.i+1
	case '"':
		return n.end == n.start+2
	case '0':
		if n.end == n.start+1 {
			return v.d.text[n.start] == '0'
		}
		f, err := strconv.ParseFloat(v.Raw(), 64)
		return err == nil && f == 0
	}
	return false
}

// Get is the member called name; the missing Value if v is no object or has
// none.
func (v Value) Get(name string) Value {
	if !v.is('{') {
		return Value{}
	}
	if i := v.d.member(v.i, name); i >= 0 {
		return Value{v.d, i}
	}
	return Value{}
}

// At follows a path of member names.
func (v Value) At(path ...string) Value {
	for _, name := range path {
		v = v.Get(name)
	}
	return v
}

// Str is a string's text, "" for anything else.
func (v Value) Str() string {
	if !v.is('"') {
		return ""
	}
	n := v.node()
	if n.escapes&inText == 0 {
		return v.d.text[n.start+1 : n.end-1]
	}
	return unquote(v.d.text[n.start:n.end])
}

// IsString, IsObject and IsList tell what is written.
func (v Value) IsString() bool { return v.is('"') }

// IsObject says whether v is an object.
func (v Value) IsObject() bool { return v.is('{') }

// IsList says whether v is a list.
func (v Value) IsList() bool { return v.is('[') }

// Bool says whether v is the literal true.
func (v Value) Bool() bool { return v.is('t') }

// Int is a whole number that fits 64 bits; false for anything else.
func (v Value) Int() (int64, bool) {
	if !v.is('0') {
		return 0, false
	}
	n, err := strconv.ParseInt(v.Raw(), 10, 64)
	return n, err == nil
}

// Raw is the value as written, "" for a missing one.
func (v Value) Raw() string {
	if v.d == nil {
		return ""
	}
	return v.d.text[v.node().start:v.node().end]
}

// Decode stores the value into to, as encoding/json does.
func (v Value) Decode(to any) error {
	if v.d == nil {
		return nil
	}
	return json.Unmarshal([]byte(v.Raw()), to)
}

// Members are an object's keys (decoded) and values, in the order written.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if !v.is('{') {
			return
		}
		for i := v.i + 1; i < v.node().next; i = v.d.nodes[i].next {
			if !yield(v.d.nodes[i].name(v.d.text), Value{v.d, i}) {
				return
			}
		}
	}
}

// Elements are a list's values.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if !v.is('[') {
			return
		}
		for i := v.i + 1; i < v.node().next; i = v.d.nodes[i].next {
			if !yield(Value{v.d, i}) {
				return
			}
		}
	}
}

// name is the member's key, decoded.
func (n *node) name(text string) string {
	if n.escapes&inKey == 0 {
		return text[n.key:n.keyTo]
	}
	return unquote(text[n.key-1 : n.keyTo+1])
}

func unquote(text string) string {
	var s string
	_ = json.Unmarshal([]byte(text), &s) // the parser has seen that it is a string
	return s
}
