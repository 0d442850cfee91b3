package router

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
	if len(e.splices) > maxGrafts {
		return nil, false
	}
	moves := make([]move, len(e.splices))
	var m move
	for i, s := range e.splices {
		if s.grown == nil {
			return nil, false
		}
		m.to, m.rest = s.to, s.rest
		m.bytes += int32(len(s.text)) - (s.to - s.from)
		m.nodes += int32(len(s.grown)) - (s.rest - s.first)
		moves[i] = m
	}
	if len(text) > MaxDocument || len(old.nodes)+int(m.nodes) > maxValues {
		return nil, false
	}
	d := &Document{text: text, schema: old.schema, nodes: make([]node, 0, len(old.nodes)+int(m.nodes))}
	m = move{}
	from := int32(0)
	for i, s := range e.splices {
		d.keep(old.nodes[from:s.first], m, moves)
		base, first := s.from+m.bytes, int32(len(d.nodes))
		for _, n := range s.grown {
			n.start += base
			n.end += base
			n.next += first
			if n.key > 0 {
				n.key += base
				n.keyTo += base
			}
			d.nodes = append(d.nodes, n)
		}
		if s.first < s.rest && old.nodes[s.first].key > 0 { // what is replaced keeps its key
			n, was := &d.nodes[first], &old.nodes[s.first]
			n.key, n.keyTo, n.keyEscaped = was.key+m.bytes, was.keyTo+m.bytes, was.keyEscaped
		}
		m, from = moves[i], s.rest
	}
	d.keep(old.nodes[from:], m, moves)
	d.keepUnknown(e)
	return d, true
}

// keep appends nodes that were moved as m says. Only objects and lists end
// behind a splice that they begin before.
func (d *Document) keep(nodes []node, m move, moves []move) {
	from := len(d.nodes)
	d.nodes = append(d.nodes, nodes...)
	for i := range d.nodes[from:] {
		n := &d.nodes[from+i]
		n.start += m.bytes
		if n.key > 0 {
			n.key += m.bytes
			n.keyTo += m.bytes
		}
		end, next := m.bytes, m.nodes
		if n.kind == '{' || n.kind == '[' {
			for _, m := range moves {
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
func (d *Document) keepUnknown(e *edition) {
	for _, i := range e.doc.unknown {
		at := i
		for _, s := range e.splices {
			if s.first < i && i < s.rest {
				at = -1
			} else if s.rest <= i {
				at += int32(len(s.grown)) - (s.rest - s.first)
			}
			if at < 0 {
				break
			}
		}
		if at >= 0 {
			d.unknown = append(d.unknown, at)
		}
	}
}

// grow reads the text of a value alone; nil if only a reading of the whole can
// tell what it is there: it has fields that are not known, or another spelling.
func grow(text string, s *schema, depth int) []node {
	p := parser{Document: Document{text: text, schema: s, nodes: make([]node, 0, 1+len(text)/16)}}
	if p.value(s, depth) != nil || p.at != len(text) || len(p.respell) > 0 || len(p.unknown) > 0 {
		return nil
	}
	return p.nodes
}

// growMembers is grow for members that the object of a schema does not have
// yet. That no other spelling of them is there either, only those schemas say
// whose keys were held to theirs.
func growMembers(text string, s *schema, depth int) []node {
	if s == nil || s.kind != structure && s.kind != mapping {
		return nil
	}
	nodes := grow("{"+text+"}", s, depth)
	if nodes == nil {
		return nil
	}
	nodes = nodes[1:]
	for i := range nodes {
		n := &nodes[i]
		n.start, n.end, n.next = n.start-1, n.end-1, n.next-1
		if n.key > 0 {
			n.key, n.keyTo = n.key-1, n.keyTo-1
		}
	}
	return nodes
}
