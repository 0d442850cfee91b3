package owner

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moorgate/router"
)

const (
	// rememberFor bounds how long an Engine's answer about a name is believed,
	// though nothing that happened says otherwise: events may be late, or stuck
	// in a connection that lives, or dropped. Under load, when it matters, once
	// a second is as good as never.
	rememberFor = time.Second
	// maxRecent bounds how many names are remembered; all are forgotten then.
	maxRecent = 256
	// maxRecentName bounds the names, in bytes; longer ones are asked for.
	maxRecentName = 512
)

// changes counts what may have changed what names of one kind mean to one
// Engine. It outlives a reload, as the calls do that are under way then.
type changes struct {
	mu    sync.Mutex
	count uint64 // grows with whatever may have changed something
	under int    // calls under way that may
}

// happened says that names may mean something else from now on.
func (c *changes) happened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
}

// begin says that a call is about to change names; it may at any time until
// end is called.
func (c *changes) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	c.under++
}

func (c *changes) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	c.under--
}

// settled gives the count while nothing is under way.
func (c *changes) settled() (count uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count, c.under == 0
}

// recent remembers for a moment what an Engine said of names, so that calls
// that follow each other need not ask for the same. What it tells held at some
// time of the last second, and after everything that happened through moorgate
// or that an event told of: an answer is believed only if events came in all
// the time from before it was asked for until now, and nothing changed in
// between. What an Engine does not have is never remembered, nor errors.
type recent[T any] struct {
	live    *atomic.Bool // the Engine's events come in
	changes *changes

	mu   sync.Mutex
	said map[string]saying[T]
}

type saying[T any] struct {
	what T
	asked
}

// asked is the moment when an Engine is asked.
type asked struct {
	at    time.Time
	count uint64 // of changes
	ok    bool   // the answer may be remembered
}

// get gives what is remembered of a name and still holds.
func (r *recent[T]) get(name string, now time.Time) (what T, ok bool) {
	count, settled := r.changes.settled()
	if !settled || !r.live.Load() {
		return what, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.said[name]
	// A clock that is put back makes nothing last longer.
	if age := now.Sub(s.at); !ok || s.count != count || age < 0 || age >= rememberFor {
		var none T
		return none, false
	}
	return s.what, true
}

// asking must be called before the Engine is asked for what keep is to keep.
func (r *recent[T]) asking(now time.Time) asked {
	count, settled := r.changes.settled()
	return asked{now, count, settled && r.live.Load()}
}

// keep remembers an answer, unless something may have changed since the
// question: then its count is not the one that get wants.
func (r *recent[T]) keep(name string, what T, when asked) {
	if !when.ok || len(name) > maxRecentName {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said == nil || len(r.said) >= maxRecent {
		r.said = map[string]saying[T]{}
	}
	r.said[strings.Clone(name)] = saying[T]{what, when} // the name is a part of a call's body
}

// changed gives the changes of what names of a kind mean to an engine.
func (m *Memory) changed(engine string, kind router.Kind) *changes {
	type of struct {
		engine string
		kind   router.Kind
	}
	c, ok := m.changes.Load(of{engine, kind})
	if !ok {
		c, _ = m.changes.LoadOrStore(of{engine, kind}, &changes{})
	}
	return c.(*changes)
}
