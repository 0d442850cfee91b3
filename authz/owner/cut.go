package owner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxElement is the longest part of an answer that is held to be judged, in
// bytes: one object of a list, with all that the Engine says of it.
const maxElement = 4 << 20

// maxIdle is how often a reader may give nothing and no error either.
const maxIdle = 100

// cutSize is what is read of an answer at a time, in bytes.
const cutSize = 32 << 10

// A shape says what may be seen of a JSON value. The zero value lets it pass
// whole. Null passes in place of any list or object.
type shape struct {
	// judge is shown the value whole and gives what is seen in its place; nil
	// for nothing. What it is shown is only good until it returns.
	judge func(value) ([]byte, error)

	// each is the shape of the elements of a list.
	each *shape

	// members are the shapes of an object's members. Those that are not named
	// are left out: what a later Engine adds may tell of others.
	members map[string]*shape

	// begin is told that a list or object begins.
	begin func()

	// end gives members, as `"a":1,"b":2`, that are put at an object's end.
	end func() string
}

// cutter is the body of an answer that is cut while it is read. It holds what
// has come of one element; an element that is kept passes byte for byte. What
// is no JSON, or not of its shape, or too long, ends in an error: the answer
// breaks off.
type cutter struct {
	src   io.ReadCloser
	shape *shape
	lines bool // the answer is a sequence of values, not one
	rests bool // between two of these more ends in errRest

	room   *room // from rooms, for buf and out; nil once it is given back, and of lines
	buf    []byte
	r, w   int // what is there and not taken yet
	p      int // scanned up to here
	out    []byte
	at     int // out is handed out up to here
	err    error
	stack  []level
	quick  quick
	scan   scanner
	leaf   *shape // what is being scanned at the moment
	prefix []byte // what goes before it, if it is kept
	marked bool   // a recordMark stands before what comes
	over   bool   // the value is complete
	read   bool   // something was read
}

// level is a list or an object that is being passed member by member.
type level struct {
	shape  *shape
	list   bool
	filled bool // something of it was kept
	state  levelState
	child  *shape // of the member whose key was read; nil: left out
}

type levelState uint8

const (
	atFirst levelState = iota // an element, a key, or the end
	atMore                    // an element or a key
	atColon
	atMember // a member's value
	atNext   // a comma or the end
)

// keyShape marks a key being scanned, and dropped a value that is left out.
var keyShape, dropped = &shape{}, &shape{judge: func(value) ([]byte, error) { return nil, nil }}

// room is buffers for what comes and for what is seen of it: an element more
// than cutSize, as elements mostly are.
type room struct {
	in, out []byte
	places  []place
}

var rooms = sync.Pool{New: func() any {
	return &room{make([]byte, cutSize), make([]byte, 0, cutSize+cutSize/4), make([]place, 0, 64)}
}}

var (
	errMore = errors.New("more is needed")
	errLong = fmt.Errorf("an element is longer than %d bytes", maxElement)
)

// cut gives a body of which only what has the shape is seen.
func cut(src io.ReadCloser, s *shape) *cutter {
	r := rooms.Get().(*room)
	return &cutter{src: src, shape: s, room: r, buf: r.in, out: r.out, quick: quick{places: r.places}}
}

// Close closes the Engine's answer.
func (c *cutter) Close() error {
	c.forget(errors.New("closed"))
	return c.src.Close()
}

// forget gives the buffers back; what is still to be handed out stays.
func (c *cutter) forget(err error) {
	if c.err == nil {
		c.err = err
	}
	if c.room != nil {
		c.out, c.at = bytes.Clone(c.out[c.at:]), 0
		rooms.Put(c.room)
	}
	c.room, c.quick = nil, quick{}
}

// Read gives what is there to be seen, and waits only if that is nothing.
func (c *cutter) Read(p []byte) (int, error) {
	if err := c.more(); err != nil {
		return 0, err
	}
	n := copy(p, c.out[c.at:])
	c.at += n
	return n, nil
}

// Next is Read without copying; what it gives is good until the next call.
func (c *cutter) Next() ([]byte, error) {
	if err := c.more(); err != nil {
		return nil, err
	}
	seen := c.out[c.at:]
	c.at = len(c.out)
	return seen, nil
}

// more makes sure that there is something to be handed out.
func (c *cutter) more() error {
	for c.at == len(c.out) {
		if c.err != nil {
			return c.err
		}
		c.out, c.at = c.out[:0], 0
		if err := c.advance(); err != nil {
			return err
		}
	}
	return nil
}

// advance takes what is there, and reads if that gives nothing to be seen. Its
// only error is errRest.
func (c *cutter) advance() error {
	for len(c.out) < cutSize {
		err := c.step()
		if err == nil {
			continue
		}
		if !errors.Is(err, errMore) {
			c.forget(fmt.Errorf("cutting the Engine's answer: %w", err))
			return nil
		}
		if len(c.out) > 0 {
			return nil
		}
		if c.rests && c.read && c.r == c.w && len(c.stack) == 0 {
			return errRest
		}
		if err := c.fill(); err != nil {
			c.forget(err)
			return nil
		}
	}
	return nil
}

// fill reads more behind what is being held.
func (c *cutter) fill() error {
	c.read = true
	if c.w == len(c.buf) {
		switch {
		case c.r > 0:
			copy(c.buf, c.buf[c.r:c.w])
			c.p, c.w, c.r = c.p-c.r, c.w-c.r, 0
		case len(c.buf) >= maxElement:
			return errLong
		default:
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
	}
	n, err := c.src.Read(c.buf[c.w:])
	for idle := 0; n == 0 && err == nil; idle++ {
		if idle == maxIdle {
			return io.ErrNoProgress
		}
		n, err = c.src.Read(c.buf[c.w:])
	}
	c.w += n
	if n > 0 {
		return nil
	}
	if err == io.EOF && !(c.over || c.lines && len(c.stack) == 0 && c.leaf == nil) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// step takes the next part of the answer.
func (c *cutter) step() error {
	if c.leaf != nil {
		return c.finish()
	}
	for c.r < c.w && (space(c.buf[c.r]) || c.lines && len(c.stack) == 0 && c.buf[c.r] == recordMark) {
		c.marked = c.marked || c.buf[c.r] == recordMark
		c.r++
	}
	c.p = c.r
	if c.r == c.w {
		return errMore
	}
	b := c.buf[c.r]
	if len(c.stack) == 0 {
		if c.over {
			return fmt.Errorf("%w: something follows its end", errSyntax)
		}
		c.prefix = c.prefix[:0]
		if c.marked {
			c.prefix, c.marked = append(c.prefix, recordMark), false
		}
		return c.begin(c.shape)
	}
	l := &c.stack[len(c.stack)-1]
	switch l.state {
	case atColon:
		if b != ':' {
			return c.scan.wrong(b)
		}
		c.r++
		l.state = atMember
		return nil
	case atMember:
		l.state = atNext
		if l.child == nil {
			return c.begin(dropped)
		}
		return c.begin(l.child)
	}
	if l.state != atMore && (b == ']' && l.list || b == '}' && !l.list) {
		c.r++
		c.end(l, b)
		return nil
	}
	if l.state == atNext {
		if b != ',' {
			return c.scan.wrong(b)
		}
		c.r++
		l.state = atMore
		return nil
	}
	c.prefix = c.prefix[:0]
	if l.filled {
		c.prefix = append(c.prefix, ',')
	}
	if l.list {
		l.state = atNext
		return c.begin(l.shape.each)
	}
	if b != '"' {
		return c.scan.wrong(b)
	}
	return c.begin(keyShape)
}

// recordMark begins each value of application/json-seq.
const recordMark = 0x1e

// begin takes the first byte of a value. A list or an object that passes by
// its parts is opened; everything else is scanned whole.
func (c *cutter) begin(s *shape) error {
	open := c.buf[c.r]
	if s.each == nil && s.members == nil || open == 'n' {
		c.leaf, c.scan = s, scanner{}
		return nil
	}
	if open != '[' && s.each != nil || open != '{' && s.members != nil {
		return c.scan.wrong(open)
	}
	c.r++
	c.keep(nil)
	c.out = append(c.out, open)
	c.stack = append(c.stack, level{shape: s, list: open == '['})
	if s.begin != nil {
		s.begin()
	}
	return nil
}

// keep writes a value, and what goes before it, into what is seen.
func (c *cutter) keep(value []byte) {
	c.out = append(append(c.out, c.prefix...), value...)
	if n := len(c.stack); n > 0 {
		c.stack[n-1].filled = true
	}
}

// finish scans on, and judges what is whole.
func (c *cutter) finish() error {
	v, err := c.whole()
	if err != nil {
		return err
	}
	s := c.leaf
	c.leaf, c.r = nil, c.p
	if s == keyShape {
		return c.member(v.raw)
	}
	seen, isNull := v.raw, bytes.Equal(v.raw, null)
	if (s.each != nil || s.members != nil) && !isNull {
		return fmt.Errorf("%w of the shape that is known", errSyntax)
	}
	if s.judge != nil && !isNull {
		if seen, err = s.judge(v); err != nil {
			return err
		}
	}
	if seen != nil && s != dropped {
		c.keep(seen)
	}
	if len(c.stack) == 0 {
		c.complete(seen != nil)
	}
	return nil
}

// whole gives the value that begins at r once all of it has come. What is in hand
// whole, as nearly all is, is read in one go.
func (c *cutter) whole() (value, error) {
	if c.p == c.r {
		if n := c.quick.read(c.buf[c.r:c.w]); n > 0 && n <= maxElement {
			c.p += n
			return value{c.buf[c.r:c.p], c.quick.places}, nil
		}
	}
	n, whole, err := c.scan.scan(c.buf[c.p:c.w])
	c.p += n
	switch {
	case err != nil:
		return value{}, err
	case c.p-c.r > maxElement:
		return value{}, errLong
	case !whole:
		return value{}, errMore
	}
	return value{raw: c.buf[c.r:c.p]}, nil
}

var null = []byte("null")

// member takes a key.
func (c *cutter) member(key []byte) error {
	l := &c.stack[len(c.stack)-1]
	name, err := text(key)
	if err != nil {
		return err
	}
	l.child, l.state = l.shape.members[name], atColon
	c.prefix = append(append(c.prefix, key...), ':')
	return nil
}

// end closes a list or an object.
func (c *cutter) end(l *level, b byte) {
	if l.shape.end != nil {
		if more := l.shape.end(); more != "" {
			if l.filled {
				c.out = append(c.out, ',')
			}
			c.out = append(c.out, more...)
		}
	}
	c.out = append(c.out, b)
	c.stack = c.stack[:len(c.stack)-1]
	if len(c.stack) == 0 {
		c.complete(true)
	}
}

// complete ends an outermost value.
func (c *cutter) complete(seen bool) {
	c.over = !c.lines
	if seen {
		c.out = append(c.out, '\n')
	}
}
