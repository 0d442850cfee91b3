package owner

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"moorgate/router"
)

// lost is how long a call is counted whose caller has gone without an answer:
// the Engine may be at it still.
const lost = 10 * time.Second

// pending is what a call leaves for its answer.
type pending struct {
	limit int // of a list, where it is held here; 0 is none

	user    string
	kind    reservedKind
	engine  string
	id      string // of the container that is updated
	claim   claim
	goneAt  time.Time // when the caller had gone without an answer; zero while there is one
	pulled  time.Time
	counted bool // it stands in its account

	late *time.Timer // see note
}

type reservedKind uint8

const (
	forNothing reservedKind = iota
	forCreate
	forUpdate
	forPull
)

// claim is what is counted of containers. Of a single one, 0 says that memory
// or processors are not bounded.
type claim struct {
	containers int
	memory     int64 // bytes
	cpus       int64 // billionths of a processor
}

func (c *claim) add(more claim) {
	c.containers += more.containers
	c.memory += more.memory
	c.cpus += more.cpus
}

// reserve holds the call against the caller's quota. What it would take is
// counted from then on, until its answer tells whether it was taken.
func (j *judging) reserve() error {
	if j.Quota == nil || j.Offline {
		return nil
	}
	q := j.Quota(j.who)
	bounded := q.Containers > 0 || q.Memory > 0 || q.CPUs > 0
	switch j.call.Action {
	case "image.pull":
		if q.PullsPerHour > 0 {
			return j.reservePull(q.PullsPerHour)
		}
	case "container.create":
		if bounded {
			return j.reserveCreate(q)
		}
	case "container.update":
		if q.Memory > 0 || q.CPUs > 0 {
			return j.reserveUpdate(q)
		}
	case "service.create", "service.update":
		if bounded {
			return &refusal{"quota: the containers of a service are made by the swarm, on any node, and could not be counted: run containers, or ask for a role without a quota of containers, memory and cpus"}
		}
	}
	return nil
}

func (j *judging) reserveCreate(q Quota) error {
	asked, err := askedFor(j.call.Body.Root().Get("HostConfig"))
	if err != nil {
		return err
	}
	want := asked.claim()
	if q.Memory > 0 && want.memory == 0 {
		return &refusal{fmt.Sprintf("quota: a container without a limit could take all of the %s of memory that all of yours may have: write --memory", bytesText(q.Memory))}
	}
	if q.CPUs > 0 && want.cpus == 0 {
		return &refusal{fmt.Sprintf("quota: a container without a limit could take all of the %s processors that all of yours may have: write --cpus", cpusText(cpus(q.CPUs)))}
	}
	want.containers = 1
	p := &pending{user: j.who.User, kind: forCreate, engine: j.call.Engine, claim: want}
	return j.take(q, p, want)
}

// reserveUpdate holds what a container will have more than it has against the
// quota. Others' containers are not counted to whoever updates them.
func (j *judging) reserveUpdate(q Quota) error {
	o, err := j.index.lookup(j.ctx, router.Container, j.call.Name())
	if err != nil || o.Owner != j.who.User {
		return nil // the Engine will say that there is none
	}
	was, err := j.inspect(j.ctx, j.call.Engine, o.ID)
	if err != nil || was == nil {
		return err
	}
	asked, err := askedFor(j.call.Body.Root())
	if err != nil {
		return err
	}
	if asked.CpuQuota < 0 && q.CPUs > 0 {
		return &refusal{"quota: CpuQuota below 0 lifts the limit, and processors are counted: write --cpus"}
	}
	has, want := was.claim(), was.updated(asked).claim()
	more := claim{}
	if want.memory > 0 && has.memory > 0 { // what had no limit takes less with any
		more.memory = want.memory - has.memory
	}
	if want.cpus > 0 && has.cpus > 0 {
		more.cpus = want.cpus - has.cpus
	}
	j.call.SetVar("name", o.ID)
	p := &pending{user: j.who.User, kind: forUpdate, engine: j.call.Engine, id: o.ID}
	if more.memory <= 0 && more.cpus <= 0 {
		p.claim = claim{} // what is given back counts once it is
		return j.hold(p)
	}
	p.claim = claim{memory: max(more.memory, 0), cpus: max(more.cpus, 0)}
	return j.take(q, p, p.claim)
}

// limits are the Engine's settings that are counted; 0 is none.
type limits struct {
	Memory, NanoCpus, CpuQuota, CpuPeriod int64 //nolint:revive,staticcheck // the Engine's spelling
}

// askedFor reads what a body asks for.
func askedFor(resources router.Value) (l limits, err error) {
	for _, field := range []struct {
		name string
		to   *int64
	}{{"Memory", &l.Memory}, {"NanoCpus", &l.NanoCpus}, {"CpuQuota", &l.CpuQuota}, {"CpuPeriod", &l.CpuPeriod}} {
		v := resources.Get(field.name)
		if v.Empty() {
			continue
		}
		var ok bool
		if *field.to, ok = v.Int(); !ok {
			return l, &refusal{fmt.Sprintf("quota: %s is no whole number: write one", field.name)}
		}
	}
	return l, nil
}

// updated is what an update makes of l: the Engine keeps what is 0. A period
// alone changes how many processors the quota beside it is.
func (l limits) updated(by limits) limits {
	return limits{cmp.Or(by.Memory, l.Memory), cmp.Or(by.NanoCpus, l.NanoCpus), cmp.Or(by.CpuQuota, l.CpuQuota), cmp.Or(by.CpuPeriod, l.CpuPeriod)}
}

func (l limits) claim() claim {
	return claim{memory: max(l.Memory, 0), cpus: processors(l.NanoCpus, l.CpuQuota, l.CpuPeriod)}
}

// processors gives billionths of a processor; 0 is no limit.
func processors(nano, quota, period int64) int64 {
	if period <= 0 {
		period = 100_000 // microseconds, the kernel's own
	}
	shares := 0.0
	if quota > 0 {
		shares = float64(quota) / float64(period) * 1e9
	}
	return int64(math.Min(math.Max(float64(max(nano, 0)), shares), math.MaxInt64/4))
}

func cpus(n float64) int64 { return int64(math.Round(math.Min(n, 1e6) * 1e9)) }

func cpusText(billionths int64) string {
	return strconv.FormatFloat(float64(billionths)/1e9, 'f', -1, 64)
}

// bytesText writes bytes as docker's options take them.
func bytesText(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			return strconv.FormatFloat(math.Floor(float64(n)/float64(unit.size)*100)/100, 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// over says what of a quota is used up; nil if there is room.
func over(q Quota, used, want claim) error {
	switch {
	case q.Memory > 0 && want.memory > 0 && used.memory >= unbounded:
		return &refusal{fmt.Sprintf("quota: a container of yours has no limit and could take all of the %s of memory: docker update --memory it, or docker rm it", bytesText(q.Memory))}
	case q.CPUs > 0 && want.cpus > 0 && used.cpus >= unbounded:
		return &refusal{fmt.Sprintf("quota: a container of yours has no limit and could take all of the %s processors: docker update --cpus it, or docker rm it", cpusText(cpus(q.CPUs)))}
	case q.Containers > 0 && want.containers > 0 && used.containers+want.containers > q.Containers:
		return &refusal{fmt.Sprintf("quota: %d of %d containers are there, %d are left: docker rm one", used.containers, q.Containers, max(q.Containers-used.containers, 0))}
	case q.Memory > 0 && want.memory > 0 && used.memory+want.memory > q.Memory:
		return &refusal{fmt.Sprintf("quota: %s are asked for, your containers have %s of %s of memory, %s are left: ask for less, or docker rm one",
			bytesText(want.memory), bytesText(used.memory), bytesText(q.Memory), bytesText(max(q.Memory-used.memory, 0)))}
	case q.CPUs > 0 && want.cpus > 0 && used.cpus+want.cpus > cpus(q.CPUs):
		return &refusal{fmt.Sprintf("quota: %s processors are asked for, your containers have %s of %s, %s are left: ask for fewer, or docker rm one",
			cpusText(want.cpus), cpusText(used.cpus), cpusText(cpus(q.CPUs)), cpusText(max(cpus(q.CPUs)-used.cpus, 0)))}
	}
	return nil
}

// conclude ends a call's reservation by its answer, and gives what the call
// left for it.
func (o *Owner) conclude(call *router.Call, resp *http.Response) *pending {
	u := &o.memory.used
	p := u.end(call)
	if p == nil || p.kind == forNothing {
		return p
	}
	failed := resp.StatusCode >= http.StatusBadRequest
	id := ""
	if p.kind == forCreate && !failed {
		if made, err := made(resp); err == nil {
			id = made
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.account(p.user)
	switch {
	case p.kind == forPull && failed:
		a.unpull(p.pulled)
	case p.kind == forCreate && !failed && id == "":
		p.goneAt = o.Now() // it is there, but nobody can say which: the index will
		return p
	case p.kind == forCreate && !failed:
		u.hold(a, held{p.engine, id}, &holding{claim: p.claim, sized: true})
	case p.kind == forUpdate:
		if what := a.held[held{p.engine, p.id}]; what != nil {
			what.sized = false // to be asked for again
		}
	}
	delete(a.pending, p)
	return p
}

// release ends the reservation of a call that is refused.
func (j *judging) release() {
	u := &j.memory.used
	p := u.end(j.call)
	if p == nil || p.kind == forNothing {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.account(p.user)
	if p.kind == forPull {
		a.unpull(p.pulled)
	}
	delete(a.pending, p)
}

// note keeps what a call leaves for its answer, until the call is over.
func (u *usage) note(ctx context.Context, call *router.Call, p *pending) {
	u.mu.Lock()
	if u.calls == nil {
		u.calls = map[*router.Call]*pending{}
	}
	u.calls[call] = p
	p.late = afterwards(ctx, func() bool { return u.left(call, p) }, func() { u.leave(call, p) })
	u.mu.Unlock()
}

// left says whether a call's answer is still to come.
func (u *usage) left(call *router.Call, p *pending) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls[call] == p
}

// patience is how long a call may take before anybody looks whether its caller
// has gone: to watch a connection costs more than all else that is done here,
// and most calls are answered before.
const patience = 50 * time.Millisecond

// afterwards does what is left to do when a call is over, unless by then it
// does not wait any more. Whoever has done it stops the timer.
func afterwards(ctx context.Context, waits func() bool, do func()) *time.Timer {
	return time.AfterFunc(patience, func() {
		if !waits() {
			return
		}
		context.AfterFunc(ctx, func() {
			if waits() {
				do()
			}
		})
	})
}

// end gives what a call left, once.
func (u *usage) end(call *router.Call) *pending {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.calls[call]
	delete(u.calls, call)
	if p != nil {
		p.late.Stop()
	}
	return p
}
