package router

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
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
