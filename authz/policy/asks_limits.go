package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"

	"moorgate/router"
)

// resources is what one body asks for of memory, processors and processes, and
// what else counts only as a whole. 0 is what is not asked for.
type resources struct {
	memory, swap, reservation, shm int64
	nano, period, quota            int64
	pids                           int64
	pidsGiven                      bool

	privileged, cgroupns, ipc, network bool
	ports                              []portFill
}

// whole notes a number.
func whole(into func(*asks) *int64) *term {
	return by(func(j *asks, name string, v router.Value) *refusal {
		n, ok := v.Int()
		if !ok {
			return refuse("containers.limits", "%s %s is not a whole number that the Engine can read: write one", name, shown(v))
		}
		*into(j) = n
		return nil
	})
}

// defaultPeriod is the kernel's period of CPU shares in microseconds.
const defaultPeriod = 100_000

// billion is how many NanoCpus one processor has.
const billion = 1e9

// member is a JSON object's member as it will be written.
type member struct {
	name  string
	value any
}

// limits holds what is asked for against what one container may have, and
// gives what to write where it asks for nothing.
func (j *asks) limits() (fill []member, no *refusal) {
	want, most := &j.has, &j.rules.Limits
	fill = make([]member, 0, usualEdits)
	if memory := int64(most.Memory); memory > 0 {
		if no := j.memoryWithin(want, memory); no != nil {
			return nil, no
		}
		if want.memory == 0 {
			if want.memory = memory; want.swap > 0 {
				want.memory = want.swap
			}
			fill = append(fill, member{"Memory", want.memory})
		}
		if want.swap == 0 && 2*want.memory > memory { // the Engine allows as much swap again
			fill = append(fill, member{"MemorySwap", memory})
		}
	}
	if most.CPUs > 0 {
		if no := cpusWithin(want, most.CPUs); no != nil {
			return nil, no
		}
		switch {
		case want.nano == 0 && want.quota == 0 && want.period == 0:
			fill = append(fill, member{"NanoCpus", j.nanoCPUs()})
		case want.nano == 0 && want.quota == 0:
			fill = append(fill, member{"CpuQuota", int64(most.CPUs * float64(want.period))})
		}
	}
	if most.PIDs > 0 {
		// 0 is what docker sends for a container that asks for nothing.
		if want.pids < 0 || want.pids > most.PIDs {
			return nil, refuse("containers.limits", "PidsLimit %d is over the %d processes that a container may have: ask for less", want.pids, most.PIDs)
		}
		if want.pids == 0 {
			fill = append(fill, member{"PidsLimit", most.PIDs})
		}
	}
	return fill, nil
}

func (j *asks) memoryWithin(want *resources, memory int64) *refusal {
	for _, ask := range []struct {
		name  string
		bytes int64
	}{{"Memory", want.memory}, {"MemorySwap", want.swap}, {"MemoryReservation", want.reservation}, {"ShmSize", want.shm}} {
		if ask.bytes < 0 || ask.bytes > memory {
			return refuse("containers.limits", "%s %d is over the %s that a container may have, swap and all: ask for less", ask.name, ask.bytes, Size(memory))
		}
	}
	return nil
}

func cpusWithin(want *resources, most float64) *refusal {
	period := want.period
	if period == 0 {
		period = defaultPeriod
	}
	asked := math.Max(float64(want.nano)/billion, float64(want.quota)/float64(period))
	if want.nano < 0 || want.quota < 0 || period < 0 {
		asked = math.Inf(1)
	}
	if asked > most {
		return refuse("containers.limits", "%.4g processors are over the %.4g that a container may have: ask for less", asked, most)
	}
	return nil
}

// nanoCPUs is the most that a container may have, but no more than the Engine
// has: it refuses what it has not.
func (j *asks) nanoCPUs() int64 {
	most := j.rules.Limits.CPUs
	if n := j.p.processors(j); n > 0 && most > float64(n) {
		most = float64(n)
	}
	return int64(most * billion)
}

// processors is how many an Engine has, asked once; 0 where it does not say.
func (p *Policy) processors(j *asks) int {
	if n, ok := p.ncpu.Load(j.call.Engine); ok {
		return n.(int)
	}
	var info struct{ NCPU int }
	if j.get("/info", &info) != nil || info.NCPU <= 0 {
		return 0
	}
	p.ncpu.Store(j.call.Engine, info.NCPU)
	return info.NCPU
}

// updateContainer judges what a container will have after an update, and pins
// the id of the one that was looked at.
func (j *asks) updateContainer() *refusal {
	if j.rules.Limits == (Limits{}) {
		return nil
	}
	if hidden, err := j.p.others(j.ctx, j.in, router.Container, j.call.Name()); hidden || err != nil {
		j.err = err
		return nil
	}
	var found struct {
		ID         string `json:"Id"`
		HostConfig struct {
			Memory, MemorySwap, MemoryReservation int64
			NanoCpus, CpuPeriod, CpuQuota         int64 //nolint:revive,staticcheck // the Engine's spelling
			PidsLimit                             *int64
		}
	}
	if j.p.options.Offline {
		j.edits.note = fmt.Sprintf("in earnest the Engine is asked what container %.128q has, and the limits hold for both together", j.call.Name())
		found.ID = j.call.Name()
	} else if err := j.get("/containers/"+url.PathEscape(j.call.Name())+"/json", &found); err != nil {
		j.err = err
		return nil
	}
	if found.ID == "" {
		j.err = errors.New("looking up the container: the Engine gives no id")
		return nil
	}
	want, has := &j.has, found.HostConfig
	share := want.period != 0 || want.quota != 0
	merge := func(asked *int64, old int64) {
		if *asked == 0 { // the Engine's sign for: as it is
			*asked = old
		}
	}
	if has.MemorySwap < 0 { // what Engines write where the kernel does not count swap
		has.MemorySwap = 0
	}
	merge(&want.memory, has.Memory)
	merge(&want.swap, has.MemorySwap)
	merge(&want.reservation, has.MemoryReservation)
	merge(&want.nano, has.NanoCpus)
	merge(&want.period, has.CpuPeriod)
	merge(&want.quota, has.CpuQuota)
	switch {
	case want.pidsGiven && want.pids <= 0:
		want.pids = -1 // here 0 lifts the limit too
	case !want.pidsGiven && has.PidsLimit != nil:
		want.pids = *has.PidsLimit
	}
	fill, no := j.limits()
	if no != nil {
		return no
	}
	if share && want.quota != 0 && j.rules.Limits.CPUs > 0 {
		// Of two updates at once each could bring half of a share that nobody judged.
		if want.period == 0 {
			want.period = defaultPeriod
		}
		fill = append(fill, member{"CpuPeriod", want.period}, member{"CpuQuota", want.quota})
	}
	id := found.ID
	j.edits.do(func(c *router.Call) { c.SetVar("name", id) })
	j.fill(fill)
	return nil
}

// ulimit lets limits pass that count for the container's own processes, and
// refuses those that take from the host's scheduler.
func (j *asks) ulimit(name string, v router.Value) *refusal {
	kind := v.Get("Name").Str()
	switch kind {
	case "core", "cpu", "data", "fsize", "locks", "memlock", "nproc", "rss", "stack":
		return nil
	case "nofile":
		for _, bound := range []string{"Soft", "Hard"} {
			if n, ok := v.Get(bound).Int(); v.Get(bound).Exists() && (!ok || n < 0 || n > maxFiles) {
				return refuse("containers.limits", "ulimit nofile %s is over %d: ask for less", shown(v.Get(bound)), maxFiles)
			}
		}
		return nil
	}
	return refuse("containers.limits", "%s: ulimit %.32q may take from the host's own work: leave it out", name, kind)
}

// maxFiles is what the Engine gives by itself.
const maxFiles = 1 << 20

// fill has members of the object at path written.
func (j *asks) fill(members []member, path ...string) {
	for _, m := range members {
		j.edits.write(m.value, m.name, path...)
	}
}

func jsonText(v any) string {
	text, _ := json.Marshal(v) // of strings, numbers and lists of them
	return string(text)
}

// missing says whether the Engine has no such thing.
func missing(err error) bool {
	var e *router.Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}
