package router

import (
	"slices"
	"strings"
)

// move is how far what stands behind a splice, and behind all before it, has
// moved.
type move struct {
	to, rest     int32 // the first byte and node behind the splice, as they were
	bytes, nodes int32
}

// maxGrafts is how many splices a graft takes: each is looked at for each object
// and list, which for more costs more than reading the whole.
const maxGrafts = 64

// graft makes the document what its splices make of it without reading again
// what was read before: the nodes of the new text, read alone, are put among the
// old ones. False leaves it as it was, to a reading of the whole, which also says
// what is wrong.
func (e *edition) graft(text string) bool {
	old := e.doc
	anew := func(s splice) bool { return s.grows == growsAnew }
	if len(e.splices) > maxGrafts || len(text) > MaxDocument || slices.ContainsFunc(e.splices, anew) {
		return false
	}
	p := newParser(text, old.schema)
	defer p.done()
	var some [usualEdits]move
	moves := some[:0]
	m, from := move{}, int32(0)
	for i := range e.splices {
		s := &e.splices[i]
		p.nodes = append(p.nodes, old.nodes[from:s.first]...)
		first := len(p.nodes)
		p.at = int(s.from + m.bytes)
		if !p.grow(s) {
			return false
		}
		if s.first < s.rest && old.nodes[s.first].key > 0 { // what is replaced keeps its key
			n, was := &p.nodes[first], &old.nodes[s.first]
			n.key, n.keyTo, n.field, n.escapes = was.key+m.bytes, was.keyTo+m.bytes, was.field, n.escapes|was.escapes&inKey
		}
		m.to, m.rest = s.to, s.rest
		m.bytes += s.text.len() - (s.to - s.from)
		m.nodes += int32(len(p.nodes)-first) - (s.rest - s.first)
		moves, from = append(moves, m), s.rest
	}
	p.nodes = append(p.nodes, old.nodes[from:]...)
	if len(p.nodes) > maxValues {
		return false
	}
	m, from = move{}, 0
	for i := range e.splices {
		s := &e.splices[i]
		keep(p.nodes[from+m.nodes:s.first+m.nodes], m, moves[i:])
		m, from = moves[i], s.rest
	}
	keep(p.nodes[from+m.nodes:], m, nil)
	for i := range e.splices {
		if s := &e.splices[i]; s.grows == growsKey && !p.rename(s, moves[i]) {
			return false
		}
	}
	old.unknown = e.keptUnknown(moves)
	old.text, old.nodes = text, append(old.nodes[:0], p.nodes...)
	return true
}

// keep tells nodes where they are now: moved as m says, and their ends as later
// moves say. Only objects and lists end behind a splice that they begin before.
func keep(nodes []node, m move, later []move) {
	for i := range nodes {
		n := &nodes[i]
		n.start += m.bytes
		if n.key > 0 {
			n.key += m.bytes
			n.keyTo += m.bytes
		}
		end, next := m.bytes, m.nodes
		if n.kind == '{' || n.kind == '[' {
			for k := range later {
				m := &later[k]
				if m.to > n.end && m.rest > n.next {
					break // and so are all that follow
				}
				if m.to <= n.end {
					end = m.bytes
				}
				if m.rest <= n.next {
					next = m.nodes
				}
			}
		}
		n.end += end
		n.next += next
	}
}

// keptUnknown is where the unknown fields have moved. New text has none, but may
// be the value of one.
func (e *edition) keptUnknown(moves []move) []int32 {
	all := e.doc.unknown[:0]
	for _, i := range e.doc.unknown {
		moved, kept := int32(0), true
		for k, s := range e.splices {
			if s.first < i && i < s.rest {
				kept = false
			} else if s.rest <= i {
				moved = moves[k].nodes
			}
		}
		if kept {
			all = append(all, i+moved)
		}
	}
	return all
}

// grow reads a splice's text alone; false if only a reading of the whole can
// tell what it is there: it has fields that are not known, or another spelling.
func (p *parser) grow(s *splice) bool {
	end := p.at + int(s.text.len())
	switch s.grows {
	case growsValue:
		if p.value(s.of, s.depth) != nil {
			return false
		}
	case growsMembers:
		seen := keys{schema: s.of, names: &p.names}
		for p.at < end {
			if p.member(&seen, s.depth) != nil {
				return false
			}
			if p.at < end && p.text[p.at] == ',' {
				p.at++
			}
		}
		seen.done()
	case growsKey:
		if _, err := p.str(inKey); err != nil {
			return false
		}
	default:
		return false
	}
	return p.at == end && len(p.respell) == 0 && len(p.unknown) == 0
}

// rename tells a member where its new key is, once all nodes are in their
// places; m is what they moved by behind it. False where the object would not
// have it, or has one more of that name.
func (p *parser) rename(s *splice, m move) bool {
	i := s.first + m.nodes
	n := &p.nodes[i]
	n.keyTo = s.to + m.bytes - 1
	n.key = n.keyTo - s.text.len() + 2
	n.escapes &^= inKey
	if strings.IndexByte(p.text[n.key:n.keyTo], '\\') >= 0 {
		n.escapes |= inKey
	}
	object, of := p.parent(i)
	if of == nil || of.kind != mapping {
		return false
	}
	name, end := n.name(p.text), p.nodes[object].next
	for k := object + 1; k < end; k = p.nodes[k].next {
		if k != i && p.nodes[k].name(p.text) == name {
			return false
		}
	}
	return true
}

// parent is the object or list that node i stands in, and its schema; i is not
// the root.
func (d *Document) parent(i int32) (at int32, of *schema) {
	of = d.schema
	for {
		child := at + 1
		for d.nodes[child].next <= i {
			child = d.nodes[child].next
		}
		if child == i {
			return at, of
		}
		if d.nodes[at].kind == '[' {
			of = of.element()
		} else {
			of = of.member(int(d.nodes[child].field) - 1)
		}
		at = child
	}
}
