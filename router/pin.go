package router

import (
	"fmt"
	"slices"
	"strings"
)

// In says in which part of a call a name stands.
type In uint8

// The parts of a call. A name that stands Nowhere cannot be pinned: it is
// implied (the registry that is asked when none is written), or stands in JSON
// within the query (the outputs of a build).
const (
	Nowhere   In = iota
	InPath       // a variable of the path
	InQuery      // a value of the query
	InFilter     // a value in the query's filters
	InBody       // a string in the body, or a part of one
	InBodyKey    // the key of a map in the body
)

// Place says where in a call a name stands, so that Pin can put another there.
// It holds until the body is edited.
type Place struct {
	In   In
	Key  string // the path variable, the query key or the name of the filter; "" in a body
	Text string // what is written there for the name

	tail string // what has to stand behind another name
	tag  string // query key in which the tag or digest of an image stands apart
	from int32  // where Text begins in the value
	item int32  // of the values of a query key or filter, or of the body's nodes
	edit uint32 // of the body that the item is a node of
}

// Pin is a name and what is to stand in its place, as an id that it was
// resolved to.
type Pin struct {
	Ref Ref
	To  string
}

// Objects gives what the call names: first what its path names, then what its
// query and body bring in. It is the caller's to read, not to write. Errors are
// *Error with status 400.
func (c *Call) Objects() ([]Ref, error) {
	if c.Route.Refs != nil {
		r := c.reading()
		return r.refs, r.err
	}
	return c.own(), nil
}

// Further is Objects without what the path names. What is wrong with a name is
// the caller's fault.
func (c *Call) Further() ([]Ref, error) {
	if c.Route.Refs == nil {
		return nil, nil
	}
	r := c.reading()
	return r.refs[r.own:], r.err
}

// own is what the path names.
func (c *Call) own() []Ref {
	if len(c.vars) == 0 || c.vars[0].value == "" {
		return nil
	}
	v := c.vars[0]
	return []Ref{{c.Route.Kind, v.value, Uses, Place{In: InPath, Key: v.name, Text: v.value}}}
}

// Where spells a place for people: "HostConfig.Binds[0]", "filters.network",
// "fromImage"; "" for none.
func (c *Call) Where(p Place) string {
	switch p.In {
	case InFilter:
		return "filters." + p.Key
	case InBody, InBodyKey:
		if c.holds(p) {
			return c.Body.path(p.item)
		}
	}
	return p.Key
}

// holds says whether a place in the body is one of the body as it is.
func (c *Call) holds(p Place) bool {
	return c.Body != nil && p.edit == c.Body.edits && int(p.item) < len(c.Body.nodes)
}

// Pin puts other names into the places of refs that Objects gave, and makes
// further edits of the body with them, all in one pass: either all are made, or
// the call stays as it was. A ref whose place has changed since is an error.
func (c *Call) Pin(pins []Pin, edits ...Edit) error {
	body := newEdition(c.Body)
	defer body.done()
	var values map[string][]string // of the query
	var filters Filters
	for _, pin := range pins {
		p := pin.Ref.At
		var err error
		switch p.In {
		case InPath:
			if c.Var(p.Key) != p.Text {
				err = c.moved(p)
			}
		case InQuery:
			if values == nil {
				values = map[string][]string{}
			}
			if values[p.Key] == nil {
				values[p.Key] = slices.Clone(c.Query[p.Key])
			}
			err = c.replace(values[p.Key], pin)
		case InFilter:
			if filters == nil {
				if filters, err = c.Filters(); err != nil {
					return err
				}
			}
			err = c.replace(filters[p.Key], pin)
		case InBody, InBodyKey:
			if !c.holds(p) {
				err = c.moved(p)
			} else {
				err = body.pin(c, pin)
			}
		default:
			err = fmt.Errorf("pinning %s %.128q: it stands nowhere in the call", pin.Ref.Kind, pin.Ref.Name)
		}
		if err != nil {
			return err
		}
		if p.tag != "" {
			_, tag := splitTag(pin.To)
			values[p.tag] = []string{tag}
		}
	}
	if err := body.set(edits); err != nil {
		return err
	}
	if err := body.commit(); err != nil {
		return err
	}
	for _, pin := range pins {
		if pin.Ref.At.In == InPath {
			c.SetVar(pin.Ref.At.Key, pin.written())
		}
	}
	for key, list := range values {
		if len(list) == 1 && list[0] == "" {
			delete(c.Query, key)
		} else {
			c.Query[key] = list
		}
	}
	if filters != nil {
		c.SetFilters(filters)
	}
	c.pinned = append(c.pinned, pins...)
	return nil
}

// Pinned are the pins that the call has taken, in their order: an answer that
// quotes one may have to say again what the caller wrote.
func (c *Call) Pinned() []Pin { return c.pinned }

// written is what stands in the place itself: the tag may stand elsewhere.
func (p Pin) written() string {
	if p.Ref.At.tag == "" {
		return p.To + p.Ref.At.tail
	}
	name, _ := splitTag(p.To)
	return name
}

// within says whether text has what was read in the place.
func (p Place) within(text string) bool {
	return int(p.from) <= len(text) && strings.HasPrefix(text[p.from:], p.Text)
}

// replace puts a pin into one value of a query key or filter.
func (c *Call) replace(values []string, pin Pin) error {
	p := pin.Ref.At
	if int(p.item) >= len(values) || !p.within(values[p.item]) {
		return c.moved(p)
	}
	old := values[p.item]
	values[p.item] = old[:p.from] + pin.written() + old[int(p.from)+len(p.Text):]
	return nil
}

// moved is a fault of the program: who pins must look where.
func (c *Call) moved(p Place) error {
	return fmt.Errorf("pinning %.128q: %s %s has been edited since it was read", p.Text, c.Action, c.Where(p))
}

// splitTag takes the tag or digest off an image's name.
func splitTag(name string) (repository, tag string) {
	if repository, tag, ok := strings.Cut(name, "@"); ok {
		return repository, tag
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}
