package router

import "slices"

// move is how far what stands behind a splice, and behind all before it, has
// moved.
type move struct {
	to, rest     int32 // the first byte and node behind the splice, as they were
	bytes, nodes int32
}

// maxGrafts is how many splices a graft takes: each is looked at for each object
// and list, which for more costs more than reading the whole.
const maxGrafts = 64

// graft is the document after its splices without reading again what was read
// before: the nodes of the new text, read alone, are put among the old ones.
// False leaves it to a reading of the whole, which also says what is wrong.
func (e *edition) graft(text string) (*Document, bool) {
	old := e.doc
	anew := func(s splice) bool { return s.grows == growsAnew }
	if len(e.splices) > maxGrafts || len(text) > MaxDocument || slices.ContainsFunc(e.splices, anew) {
		return nil, false
	}
	p := parser{Document: Document{text: text, schema: old.schema, nodes: make([]node, 0, len(old.nodes)+e.room())}}
	var some [usualEdits]move
	moves := some[:0]
	m, from := move{}, int32(0)
	for i := range e.splices {
		s := &e.splices[i]
		p.nodes = append(p.nodes, old.nodes[from:s.first]...)
		first := len(p.nodes)
		p.at = int(s.from + m.bytes)
		if !p.grow(s) {
			return nil, false
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
		return nil, false
	}
	d := p.Document
	m, from = move{}, 0
	for i := range e.splices {
		s := &e.splices[i]
		keep(d.nodes[from+m.nodes:s.first+m.nodes], m, moves[i:])
		m, from = moves[i], s.rest
	}
	keep(d.nodes[from+m.nodes:], m, nil)
	d.keepUnknown(e, moves)
	return &d, true
}

// room is how many nodes the new text may have.
func (e *edition) room() int {
	room := 0
	for i := range e.splices {
		room += 2 + int(e.splices[i].text.len())/12
	}
	return room
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

// keepUnknown notes where the unknown fields have moved. New text has none, but
// may be the value of one.
func (d *Document) keepUnknown(e *edition, moves []move) {
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
			d.unknown = append(d.unknown, i+moved)
		}
	}
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
		defer seen.done()
		for p.at < end {
			if p.member(&seen, s.depth) != nil {
				return false
			}
			if p.at < end && p.text[p.at] == ',' {
				p.at++
			}
		}
	default:
		return false
	}
	return p.at == end && len(p.respell) == 0 && len(p.unknown) == 0
}
