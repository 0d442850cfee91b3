package router

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
)

// reading is what a call named when it was last asked, and all that this was
// read from: several authorizers ask for it, and some write into the call.
type reading struct {
	refs []Ref // clipped: who appends does not write here
	own  int   // how many of them the path names
	err  error

	body  *Document
	edits uint32
	vars  []variable
	query []said

	// Room for what calls usually have, with the reading in one allocation.
	someVars   [2]variable
	someQuery  [4]said
	someValues [4]string
}

// memory holds a call's last reading. Copies of a call share it, and so may
// goroutines: an archive is judged while the answer already comes.
type memory struct{ last atomic.Pointer[reading] }

// said is a query key with its values, as they were: the call's may be written.
type said struct {
	key    string
	values []string
}

// reading gives what the call names, read anew if any of it has changed.
func (c *Call) reading() *reading {
	if c.memory == nil { // no request was read for it
		return c.readNames()
	}
	if r := c.memory.last.Load(); r != nil && r.holds(c) {
		return r
	}
	r := c.readNames()
	c.memory.last.Store(r)
	return r
}

func (c *Call) readNames() *reading {
	r := &reading{body: c.Body}
	r.vars = append(r.someVars[:0], c.vars...)
	if c.Body != nil {
		r.edits = c.Body.edits
	}
	r.query = r.someQuery[:0]
	all := r.someValues[:0]
	for key, values := range c.Query {
		from := len(all)
		all = append(all, values...)
		r.query = append(r.query, said{key, slices.Clip(all[from:])})
	}
	r.refs, r.err = c.Route.Refs(c)
	if r.err != nil {
		if known := (*Error)(nil); !errors.As(r.err, &known) {
			r.refs, r.err = nil, fail(http.StatusBadRequest, "%s", r.err.Error())
		}
	}
	if own := c.own(); len(own) > 0 && r.err == nil {
		r.own, r.refs = len(own), append(own, r.refs...)
	}
	r.refs = slices.Clip(r.refs)
	return r
}

// holds says whether all that was read stands in the call as it did.
func (r *reading) holds(c *Call) bool {
	if c.Body != r.body || c.Body != nil && c.Body.edits != r.edits || len(c.Query) != len(r.query) || !slices.Equal(c.vars, r.vars) {
		return false
	}
	for _, s := range r.query {
		if values, ok := c.Query[s.key]; !ok || !slices.Equal(values, s.values) {
			return false
		}
	}
	return true
}
