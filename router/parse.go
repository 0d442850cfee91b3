package router

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// parser reads a Document in one pass: grammar, types, and the uniqueness of
// keys.
type parser struct {
	Document
	at      int
	names   []string // of the objects that are open, see keys
	respell []respelling
}

// parsers keep room for nodes: where they lie while a body is read is then
// memory that was used a moment ago, and what a Document keeps is as long as it
// has to be.
var parsers = sync.Pool{New: func() any { return new(parser) }}

// maxSpare is how many nodes a parser keeps room for.
const maxSpare = 4096

func newParser(text string, s *schema) *parser {
	p := parsers.Get().(*parser)
	p.text, p.schema = text, s
	return p
}

// document is what was read, with room for what edits usually add.
func (p *parser) document() *Document {
	nodes := append(make([]node, 0, len(p.nodes)+usualEdits), p.nodes...)
	return &Document{text: p.text, schema: p.schema, nodes: nodes, unknown: slices.Clone(p.unknown)}
}

// done gives the parser back. It keeps nothing of the text.
func (p *parser) done() {
	if cap(p.nodes) > maxSpare {
		return
	}
	clear(p.names[:cap(p.names)])
	clear(p.respell)
	*p = parser{Document: Document{nodes: p.nodes[:0], unknown: p.unknown[:0]}, names: p.names[:0], respell: p.respell[:0]}
	parsers.Put(p)
}

// respelling is a part of the text that is sent in another of the Engine's
// spellings: a key, or a string that the Engine reads as a list of one.
type respelling struct {
	from, to int
	text     string
}

// respelled is the text with all of them made; they lie in its order.
func (p *parser) respelled() string {
	var b strings.Builder
	at := 0
	for _, r := range p.respell {
		b.WriteString(p.text[at:r.from])
		b.WriteString(r.text)
		at = r.to
	}
	b.WriteString(p.text[at:])
	return b.String()
}

// manyKeys is how many keys of a map are compared one by one before a set is
// cheaper.
const manyKeys = 16

func (p *parser) space() {
	if p.at < len(p.text) && p.text[p.at] <= ' ' {
		p.skip()
	}
}

func (p *parser) skip() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// see says what stands at the parser's place, for errors.
func (p *parser) see() string {
	if p.at >= len(p.text) {
		return "the end"
	}
	r, size := utf8.DecodeRuneInString(p.text[p.at:])
	if r == utf8.RuneError && size == 1 {
		return fmt.Sprintf("the byte 0x%02x", p.text[p.at])
	}
	return strconv.QuoteRune(r)
}

func (p *parser) syntax(want string) error {
	return fmt.Errorf("%s at byte %d where %s should be", p.see(), p.at, want)
}

// value reads one value with the space before it and appends its nodes.
func (p *parser) value(s *schema, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels: send a flatter one", maxDepth)
	}
	p.space()
	if p.at >= len(p.text) {
		return p.syntax("a value")
	}
	i := len(p.nodes)
	if i >= maxValues {
		return fmt.Errorf("more than %d values: send fewer", maxValues)
	}
	start := p.at
	if i == cap(p.nodes) {
		p.nodes = slices.Grow(p.nodes, 1)
	}
	p.nodes = p.nodes[:i+1] // written below, field by field: a whole node is slower
	kind := p.text[start]
	var is, escapes uint8
	var err error
	switch kind {
	case '{':
		is, err = anObject, p.object(s, depth)
	case '[':
		is, err = aList, p.list(s, depth)
	case '"':
		is = aString
		escapes, err = p.str(inText)
	case 't':
		is, err = aTruth, p.word("true")
	case 'f':
		is, err = aTruth, p.word("false")
	case 'n':
		is, err = aNull, p.word("null")
	default:
		kind = '0'
		is, err = aNumber, p.number()
	}
	if err != nil {
		return err
	}
	if s != nil && takes[s.kind]&is == 0 {
		if err := p.judge(s, kind, start, depth); err != nil {
			return err
		}
	}
	n := &p.nodes[i]
	n.kind, n.escapes, n.field = kind, escapes, 0
	n.start, n.end = int32(start), int32(p.at)
	n.key, n.keyTo, n.next = 0, 0, int32(len(p.nodes))
	return nil
}

// judge looks at a value that its kind alone does not show to be one that the
// type takes.
func (p *parser) judge(s *schema, kind byte, start, depth int) error {
	text := p.text[start:p.at]
	if want := s.refuses(kind, text); want != "" {
		subject := "is"
		if depth == 0 {
			subject = "it is"
		}
		return fmt.Errorf("%s %s: write %s", subject, describe(kind, text), want)
	}
	if kind == '"' && s.kind == words {
		p.respell = append(p.respell, respelling{start, p.at, "[" + text + "]"})
	}
	return nil
}

func describe(kind byte, text string) string {
	switch kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	}
	if len(text) > 32 {
		text = text[:32] + "..."
	}
	return text
}

func (p *parser) word(w string) error {
	if len(p.text)-p.at < len(w) || p.text[p.at:p.at+len(w)] != w {
		return p.syntax(w)
	}
	p.at += len(w)
	return nil
}

func (p *parser) digits() bool {
	from := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > from
}

func (p *parser) number() error {
	if p.text[p.at] == '-' {
		p.at++
	}
	from := p.at
	if !p.digits() {
		p.at = from
		return p.syntax("a value")
	}
	if p.text[from] == '0' && p.at > from+1 {
		return fmt.Errorf("the number at byte %d begins with 0: write it without", from)
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if !p.digits() {
			return p.syntax("a digit")
		}
	}
	if p.at < len(p.text) && p.text[p.at]|32 == 'e' {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if !p.digits() {
			return p.syntax("a digit")
		}
	}
	return nil
}

func (p *parser) list(s *schema, depth int) error {
	p.at++
	if p.space(); p.at < len(p.text) && p.text[p.at] == ']' {
		p.at++
		return nil
	}
	for n := 0; ; n++ {
		if s != nil && s.most > 0 && n >= s.most {
			return fmt.Errorf("is a list of more than %d values: the Engine would drop the rest", s.most)
		}
		if err := p.value(s.element(), depth+1); err != nil {
			return in(fmt.Sprintf("[%d]", n), err)
		}
		p.space()
		switch {
		case p.at < len(p.text) && p.text[p.at] == ',':
			p.at++
		case p.at < len(p.text) && p.text[p.at] == ']':
			p.at++
			return nil
		default:
			return p.syntax(", or ]")
		}
	}
}

func (p *parser) object(s *schema, depth int) error {
	p.at++
	if p.space(); p.at < len(p.text) && p.text[p.at] == '}' {
		p.at++
		return nil
	}
	seen := keys{schema: s, names: &p.names, from: len(p.names)}
	for {
		if err := p.member(&seen, depth); err != nil {
			return err
		}
		p.space()
		switch {
		case p.at < len(p.text) && p.text[p.at] == ',':
			p.at++
		case p.at < len(p.text) && p.text[p.at] == '}':
			p.at++
			seen.done()
			return nil
		default:
			return p.syntax(", or }")
		}
	}
}

// member reads a key and its value, in an object at a depth.
func (p *parser) member(seen *keys, depth int) error {
	p.space()
	from := p.at + 1
	escapes, err := p.str(inKey)
	if err != nil {
		return err
	}
	to := p.at - 1
	name := p.text[from:to]
	if escapes != 0 {
		name = unquote(p.text[from-1 : to+1])
	}
	known, err := seen.add(name)
	if err != nil {
		return in(name, err)
	}
	if p.space(); p.at >= len(p.text) || p.text[p.at] != ':' {
		return p.syntax("a colon")
	}
	p.at++
	i, s := len(p.nodes), seen.schema
	var of *schema
	switch {
	case s == nil:
	case s.kind != structure:
		of = s.member(known)
	case known < 0:
		p.unknown = append(p.unknown, int32(i))
	default:
		f := &s.fields[known]
		if of = f.schema; seen.respelled {
			p.respell = append(p.respell, respelling{from, to, f.name})
			seen.respelled = false
		}
	}
	if err := p.value(of, depth+1); err != nil {
		return in(name, err)
	}
	n := &p.nodes[i]
	n.key, n.keyTo, n.field = int32(from), int32(to), int16(known+1)
	n.escapes |= escapes
	return nil
}

// where is an error with the path to it.
type where struct {
	path string
	err  error
}

func (w *where) Error() string { return w.path + " " + w.err.Error() }

// in puts one step of the path before an error.
func in(step string, err error) error {
	step = clip(step)
	var w *where
	if !errors.As(err, &w) {
		return &where{step, err}
	}
	if w.path[0] != '[' { // no step is empty: clip quotes what is
		step += "."
	}
	w.path = step + w.path
	return w
}

// clip keeps a caller's own words in an error message short and printable.
func clip(s string) string {
	const most = 256
	if s == "" || !printable(s) {
		return fmt.Sprintf("%.*q", most, s)
	}
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
