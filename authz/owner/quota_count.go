package owner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"time"

	"moorgate/router"
)

// usage counts what users have and do. The zero value is ready.
type usage struct {
	mu       sync.Mutex
	accounts map[string]*account
	calls    map[*router.Call]*pending
	made     int64 // numbers what comes into an account's held
	now      func() time.Time
}

// account is one user's.
type account struct {
	pulls   []time.Time // of the last hour
	tokens  float64     // requests that may be made at once
	filled  time.Time   // when tokens was right
	pending map[*pending]struct{}
	held    map[held]*holding
}

// held names a container.
type held struct{ engine, id string }

// holding is what one container takes.
type holding struct {
	claim
	sized bool  // memory and processors are known
	seen  bool  // an index knows of it, and will know when it is gone
	made  int64 // orders it with the lists that were asked for
}

func (u *usage) account(user string) *account {
	a := u.accounts[user]
	if a == nil {
		if u.accounts == nil {
			u.accounts = map[string]*account{}
		}
		a = &account{pending: map[*pending]struct{}{}, held: map[held]*holding{}}
		u.accounts[user] = a
	}
	return a
}

// hold counts a container to an account.
func (u *usage) hold(a *account, h held, what *holding) {
	u.made++
	what.made = u.made
	a.held[h] = what
}

// leave is called when a call is over. One without an answer may have been
// carried out all the same.
func (u *usage) leave(call *router.Call, p *pending) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.calls[call] != p {
		return
	}
	delete(u.calls, call)
	if p.counted {
		p.goneAt = u.now()
	}
}

// hold keeps a reservation that needs no room.
func (j *judging) hold(p *pending) error {
	u := &j.memory.used
	u.mu.Lock()
	u.now = j.Now
	p.counted = true
	u.account(p.user).pending[p] = struct{}{}
	u.mu.Unlock()
	u.note(j.ctx, j.call, p)
	return nil
}

// take reserves what there is room for. Before it refuses it asks the Engine
// what is there: the index hears of what is gone a moment later.
func (j *judging) take(q Quota, p *pending, want claim) error {
	u := &j.memory.used
	sized := q.Memory > 0 || q.CPUs > 0
	var listed map[held]bool // what the call's engine has, once it was asked
	var before int64         // what was made later is not in listed
	asks := 0
	ask := func() (err error) {
		asks++
		u.mu.Lock()
		before = u.made
		u.mu.Unlock()
		listed, err = j.list()
		return err
	}
	if !j.index.live.Load() {
		if err := ask(); err != nil {
			return err
		}
	}
	for {
		if err := j.acquaint(); err != nil {
			return err
		}
		u.mu.Lock()
		u.now = j.Now
		a := u.account(p.user)
		a.expire(j.Now())
		a.forget(j.known(listed), p.engine, listed != nil, before)
		used, unsized := u.count(a, j.known(listed), sized)
		if len(unsized) > 0 {
			u.mu.Unlock()
			if err := j.size(unsized); err != nil {
				return err
			}
			continue
		}
		no := over(q, used, want)
		if no == nil {
			p.counted = true
			a.pending[p] = struct{}{}
			u.mu.Unlock()
			u.note(j.ctx, j.call, p)
			return nil
		}
		again := asks < maxAsks && a.since(listed, p.engine, before)
		u.mu.Unlock()
		if listed != nil && !again {
			return no
		}
		if err := ask(); err != nil {
			return err
		}
	}
}

// maxAsks is how often the Engine is asked what is there before a refusal.
const maxAsks = 3

// since says whether containers are counted that came in after the list was
// asked for: made since then, or gone before, of which the index had not heard
// when another call counted them anew.
func (a *account) since(listed map[held]bool, engine string, before int64) bool {
	for h, what := range a.held {
		if h.engine == engine && what.made > before && !listed[h] {
			return true
		}
	}
	return false
}

// acquaint finds out whose the containers are that only events told of.
func (j *judging) acquaint() error {
	for _, id := range j.index.strangers(router.Container) {
		if _, err := j.index.ownerOf(j.ctx, router.Container, id); err != nil {
			return err
		}
	}
	return nil
}

// strangers are the objects of a kind of which only an event told.
func (x *index) strangers(kind router.Kind) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []string
	for _, id := range x.ids[kind] {
		if !x.objects[key{kind, id}].known {
			all = append(all, id)
		}
	}
	return all
}

// known is what the user has, as far as the indexes know; of the call's engine
// what it listed, if it was asked.
func (j *judging) known(listed map[held]bool) map[held]bool {
	all := map[held]bool{}
	j.mu.Lock()
	indexes := make([]*index, 0, len(j.indexes))
	for _, x := range j.indexes {
		indexes = append(indexes, x)
	}
	j.mu.Unlock()
	for _, x := range indexes {
		if listed != nil && x.engine == j.call.Engine {
			continue
		}
		for _, o := range x.owned(router.Container, j.who.User) {
			all[held{x.engine, o.ID}] = true
		}
	}
	for h := range listed {
		all[h] = true
	}
	return all
}

// list asks the call's engine for the user's containers.
func (j *judging) list() (map[held]bool, error) {
	all := map[held]bool{}
	err := j.sight().ownContainers(func(c summary) { all[held{j.call.Engine, c.ID}] = true })
	return all, err
}

// size finds out what containers take whose size is not known yet.
func (j *judging) size(unsized []held) error {
	u := &j.memory.used
	for _, h := range unsized {
		has, err := j.inspect(j.ctx, h.engine, h.id)
		if err != nil {
			return err
		}
		c := claim{memory: -1, cpus: -1} // gone meanwhile: it takes nothing until the index hears of it
		if has != nil {
			c = has.claim()
			c.containers = 1
		}
		u.mu.Lock()
		a := u.account(j.who.User)
		if what := a.held[h]; what == nil || !what.sized {
			u.hold(a, h, &holding{claim: c, sized: true})
		}
		u.mu.Unlock()
	}
	return nil
}

// inspect asks what bounds a container; nil if it is not there.
func (o *Owner) inspect(ctx context.Context, engine, id string) (*limits, error) {
	answer, err := o.Engines.Get(ctx, engine, "/containers/"+url.PathEscape(id)+"/json")
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("counting the quota: %w", err)
	}
	var c struct{ HostConfig limits }
	if err := json.Unmarshal(answer, &c); err != nil {
		return nil, fmt.Errorf("counting the quota: the Engine's answer makes no sense: %w", err)
	}
	return &c.HostConfig, nil
}

// unbounded is counted for containers that were there before the quota and
// have no limit: they may take all.
const unbounded = 1 << 50

// expire forgets calls whose callers have gone, once the Engine must be done
// with them.
func (a *account) expire(now time.Time) {
	for p := range a.pending {
		if !p.goneAt.IsZero() && now.Sub(p.goneAt) > lost {
			delete(a.pending, p)
		}
	}
}

// forget leaves out what is gone: what an index knew of and knows of no more,
// or what the call's engine did not list, but for what came in since then.
func (a *account) forget(known map[held]bool, engine string, listed bool, before int64) {
	for h, what := range a.held {
		asked := listed && h.engine == engine
		switch {
		case known[h]:
			what.seen = what.seen || !asked
		case asked && what.made <= before, !asked && what.seen:
			delete(a.held, h)
		}
	}
}

// count adds up what there is and what is reserved. What is known but was not
// counted yet is what the calls under way have made, if it is no more than
// they are: it is counted with them. Unsized is what must be asked for first.
func (u *usage) count(a *account, known map[held]bool, sized bool) (used claim, unsized []held) {
	creates := 0
	for p := range a.pending {
		used.add(p.claim)
		if p.kind == forCreate {
			creates++
		}
	}
	var fresh []held
	for h := range known {
		if a.held[h] == nil {
			fresh = append(fresh, h)
		}
	}
	if len(fresh) > creates {
		for _, h := range fresh {
			u.hold(a, h, &holding{})
		}
	}
	for h, what := range a.held {
		if sized && !what.sized {
			unsized = append(unsized, h)
		}
		used.add(what.bounded())
	}
	return used, unsized
}

// bounded is the claim of one container.
func (h *holding) bounded() claim {
	c := claim{containers: 1, memory: h.memory, cpus: h.cpus}
	for _, n := range []*int64{&c.memory, &c.cpus} {
		switch {
		case *n == 0:
			*n = unbounded
		case *n < 0:
			*n = 0
		}
	}
	return c
}
