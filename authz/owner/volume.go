package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"moorgate/router"
)

// volumeLocks keep a volume from being removed between the moment when it is
// found to be the caller's and the moment when the Engine has mounted it: a
// volume has no id that could be sent in its name's place, and another of the
// same name may belong to another. Mounts share a name, a removal has it alone.
type volumeLocks struct {
	mu      sync.Mutex
	held    map[string]*hold
	pending sync.Map // *router.Call to func(): what its answer releases
}

type hold struct {
	mounts  int
	removes bool
	changed chan struct{} // closed when either changes
}

const (
	// lockWait is how long a call waits for what others do with a volume.
	lockWait = 10 * time.Second
	// lockGrace is how long the Engine may go on with a call whose caller has gone.
	lockGrace = 5 * time.Second
)

// take holds a name, alone to remove it, else with other mounts.
func (l *volumeLocks) take(ctx context.Context, name string, remove bool) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		l.mu.Lock()
		h := l.held[name]
		if h == nil {
			if l.held == nil {
				l.held = map[string]*hold{}
			}
			h = &hold{changed: make(chan struct{})}
			l.held[name] = h
		}
		if !h.removes && (!remove || h.mounts == 0) {
			if h.removes = remove; !remove {
				h.mounts++
			}
			l.mu.Unlock()
			return func() { l.give(name, remove) }, nil
		}
		changed := h.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *volumeLocks) give(name string, removed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[name]
	if removed {
		h.removes = false
	} else {
		h.mounts--
	}
	close(h.changed)
	if h.changed = make(chan struct{}); !h.removes && h.mounts == 0 {
		delete(l.held, name)
	}
}

// lock holds names until the call is answered.
func (j *judging) lock(remove bool, names ...string) error {
	l := &j.memory.locks
	slices.Sort(names) // two calls that wait for each other would wait for ever
	var releases []func()
	release := func() {
		for _, r := range releases {
			r()
		}
	}
	for _, name := range slices.Compact(names) {
		r, err := l.take(j.ctx, j.call.Engine+"\x00"+name, remove)
		if err != nil {
			release()
			return &router.Error{Status: 409, Message: "volume is in use: another call mounts or removes it: try again", Err: err}
		}
		releases = append(releases, r)
	}
	once := sync.OnceFunc(release)
	call := j.call
	old, _ := l.pending.Swap(call, func() { l.pending.Delete(call); once() })
	if again, ok := old.(func()); ok { // explain judges a call twice
		again()
		l.pending.Store(call, func() { l.pending.Delete(call); once() })
	}
	context.AfterFunc(j.ctx, func() {
		if _, waits := l.pending.Load(call); waits {
			time.AfterFunc(lockGrace, func() { l.settle(call) })
		}
	})
	return nil
}

// settle releases what a call holds, once the Engine has answered it.
func (l *volumeLocks) settle(call *router.Call) {
	if release, ok := l.pending.LoadAndDelete(call); ok {
		release.(func())()
	}
}

// Names that are locked beside those of volumes; no volume has such a one.
const (
	allVolumes = "/all"
	volumesOf  = "/of/"
)

// volume judges a volume that the path names, by asking the Engine: what was
// known of its name may be of one that is gone. What changes it has the name
// alone until it is done.
func (j *judging) volume(ref router.Ref) error {
	if j.call.Action != "volume.inspect" {
		if err := j.lock(true, ref.Name); err != nil {
			return err
		}
	}
	o, err := j.index.lookup(j.ctx, router.Volume, ref.Name)
	if err == nil && j.index.ownerOfVolume(o) != j.who.User {
		err = errMissing
	}
	if err != nil {
		j.memory.locks.settle(j.call)
	}
	if errors.Is(err, errMissing) {
		return j.missing(ref)
	}
	return err
}

// mount makes the named volumes that a container is to mount, before the
// Engine does: it would make them without a label, or mount another's. One
// that is there already comes back as it is.
func (j *judging) mount() error {
	if j.Offline {
		return nil
	}
	switch j.call.Action {
	case "volume.remove": // of those whom touch does not ask
		if !j.own {
			return j.lock(true, j.call.Name())
		}
		return nil
	case "volume.prune":
		if j.own {
			return j.lock(true, volumesOf+j.who.User)
		}
		return j.lock(true, allVolumes)
	case "service.create", "service.update":
		if j.own {
			return noSharedMounts(j.call.Body.Root())
		}
		return nil
	case "container.create":
	default:
		return nil
	}
	wanted, err := j.volumes()
	if err != nil || len(wanted) == 0 {
		return err
	}
	names := []string{allVolumes, volumesOf + j.who.User}
	for _, v := range wanted {
		names = append(names, v.Name)
	}
	if err := j.lock(false, names...); err != nil {
		return err
	}
	for _, v := range wanted {
		if err := j.makeVolume(v); err != nil {
			j.memory.locks.settle(j.call)
			return err
		}
	}
	return nil
}

// noSharedMounts refuses a service's volumes with names: their tasks come and
// go, and in between the name may have become another's.
func noSharedMounts(spec router.Value) error {
	for m := range spec.At("TaskTemplate", "ContainerSpec", "Mounts").Elements() {
		if source := m.Get("Source").Str(); source != "" && (m.Get("Type").Str() == "volume" || m.Get("Type").Str() == "cluster") {
			return &refusal{fmt.Sprintf("volume %.128q: a service finds volumes by their names, which may come to be another's: leave the source out", source)}
		}
	}
	return nil
}

// newVolume is the body of POST /volumes/create.
type newVolume struct {
	Name       string
	Driver     string            `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	Labels     map[string]string
}

// volumes are the named volumes that a container is to mount, as the Engine
// would make them.
func (j *judging) volumes() ([]newVolume, error) {
	host := j.call.Body.Root().Get("HostConfig")
	refs, err := j.call.Objects()
	if err != nil {
		return nil, err
	}
	var all []newVolume
	for _, ref := range refs {
		if ref.Kind != router.Volume || ref.Use != router.UsesOrMakes {
			continue
		}
		if !strings.HasPrefix(j.call.Where(ref.At), "HostConfig.Mounts") {
			all = append(all, newVolume{Name: ref.Name, Driver: host.Get("VolumeDriver").Str(), Labels: map[string]string{}})
		}
	}
	for m := range host.Get("Mounts").Elements() {
		if m.Get("Type").Str() != "volume" || m.Get("Source").Str() == "" {
			continue
		}
		v, options := newVolume{Name: m.Get("Source").Str()}, m.Get("VolumeOptions")
		v.Driver = options.At("DriverConfig", "Name").Str()
		if err := errors.Join(options.At("DriverConfig", "Options").Decode(&v.DriverOpts), options.Get("Labels").Decode(&v.Labels)); err != nil {
			return nil, &router.Error{Status: 400, Message: "HostConfig.Mounts: " + err.Error()}
		}
		if v.Labels == nil {
			v.Labels = map[string]string{}
		}
		all = append(all, v)
	}
	for _, v := range all {
		v.Labels[Label] = j.who.User
	}
	return all, nil
}

// makeVolume makes a volume, or finds that there is one that the caller may
// mount.
func (j *judging) makeVolume(v newVolume) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	answer, err := j.Engines.Post(j.ctx, j.call.Engine, "/volumes/create", body)
	if code := status(err); code >= 400 && code < 500 {
		return j.volumeRefused(v.Name, err)
	}
	if err != nil {
		return fmt.Errorf("making volume %.128q: %w", v.Name, err)
	}
	o, err := j.index.take(j.ctx, router.Volume, answer)
	if err != nil {
		return err
	}
	if j.own && j.index.ownerOfVolume(o) != j.who.User {
		return volumeTaken(v.Name)
	}
	return nil
}

// volumeRefused hides what an Engine's refusal tells of another's volume.
func (j *judging) volumeRefused(name string, refused error) error {
	if !j.own {
		return refused
	}
	owner, err := j.index.ownerOf(j.ctx, router.Volume, name)
	if err != nil {
		return err
	}
	if owner != j.who.User {
		if _, err := j.index.lookup(j.ctx, router.Volume, name); err == nil {
			return volumeTaken(name)
		}
	}
	return refused
}

func volumeTaken(name string) error {
	return &router.Error{Status: 409, Message: fmt.Sprintf("Conflict. The volume name %q is already in use. You have to use another name.", name)}
}
