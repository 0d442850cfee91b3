package owner

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"moorgate/router"
)

// object is one of an Engine's objects, as far as it matters whose it is. An
// object is never written to once it is in an index: it is replaced.
type object struct {
	Kind  router.Kind
	ID    string // the whole id; of a volume its name
	Name  string // without the leading slash of containers; of an image ""
	Owner string // "" where nobody is known to own it
	Image string // of a container: the id of its image

	// Names are an image's: its tags and digests, as the Engine writes them.
	Names []string
	// Volumes are those without a name of their own that a container mounts.
	Volumes []string
	// Service is what a task is a part of.
	Service string
	// Created is when a volume was made, as the Engine writes it: two volumes
	// of one name differ in it.
	Created string

	// claim is whose a container's labels say it is, proven or not.
	claim string

	// known is false for what only an event told of: whose it is must be asked.
	known bool
}

// errMissing says that an Engine has no such object.
var errMissing = errors.New("no such object")

// key is a kind of object that an index keeps.
type key struct {
	kind router.Kind
	id   string
}

// index is what is known of one Engine's objects. Whose an id is never
// changes, so what is kept of ids holds for ever; what is kept of names holds
// only while the Engine's events come in.
type index struct {
	engine string
	ask    Engines
	owner  func(engine string, o *object, labels map[string]string) string // whose labels say it is

	version atomic.Pointer[string] // of the Engine's API, once asked for

	live atomic.Bool // events come in, and all that was there when they began is known

	// What names lately meant that the events alone do not tell. Of a volume
	// it is whose it is.
	images  recent[foundImage]
	volumes recent[string]
	now     func() time.Time

	mu      sync.RWMutex
	objects map[key]*object
	names   map[key]string           // names to ids; containers, networks, services, secrets, configs
	ids     map[router.Kind][]string // sorted, for prefixes
	mounts  map[string][]string      // volumes without a name of their own to the containers that mount them
	doubts  map[string]string        // containers to whose they claim to be without being it; "" for those not known yet
	past    map[key]*object          // what is gone, the last maxPast
	passed  []key                    // of past, oldest first
}

func newIndex(engine string, ask Engines, owner func(string, *object, map[string]string) string) *index {
	x := &index{engine: engine, ask: ask, owner: owner, now: time.Now}
	x.images.live, x.images.changes = &x.live, &changes{}
	x.volumes.live, x.volumes.changes = &x.live, &changes{}
	x.objects, x.names = map[key]*object{}, map[key]string{}
	x.ids, x.mounts = map[router.Kind][]string{}, map[string][]string{}
	x.past, x.doubts = map[key]*object{}, map[string]string{}
	return x
}

// index gives what is known of an engine.
func (o *Owner) index(engine string) *index {
	o.mu.Lock()
	defer o.mu.Unlock()
	x := o.indexes[engine]
	if x == nil {
		x = newIndex(engine, o.Engines, o.labelled)
		x.now = o.Now
		x.images.changes, x.volumes.changes = o.memory.changed(engine, router.Image), o.memory.changed(engine, router.Volume)
		o.indexes[engine] = x
	}
	return x
}

// put keeps an object in place of what was known of its id.
func (x *index) put(o *object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.set(o)
}

func (x *index) set(o *object) {
	// Many objects have the same owner and image: one copy of each will do.
	o.Owner, o.Image = unique.Make(o.Owner).Value(), unique.Make(o.Image).Value()
	k := key{o.Kind, o.ID}
	if old := x.objects[k]; old != nil {
		x.unname(old)
		x.unmount(old)
	} else {
		at, _ := slices.BinarySearch(x.ids[o.Kind], o.ID)
		x.ids[o.Kind] = slices.Insert(x.ids[o.Kind], at, o.ID)
	}
	x.objects[k] = o
	x.doubt(o)
	for _, name := range o.called() {
		x.names[key{o.Kind, name}] = o.ID
	}
	for _, v := range o.Volumes {
		x.mounts[v] = append(x.mounts[v], o.ID)
	}
}

func (x *index) unname(o *object) {
	for _, name := range o.called() {
		if k := (key{o.Kind, name}); x.names[k] == o.ID {
			delete(x.names, k)
		}
	}
}

// called gives the names that lead to an object beside its id.
func (o *object) called() []string {
	if o.Name == "" || o.Kind == router.Volume {
		return nil
	}
	return []string{o.Name}
}

func (x *index) unmount(o *object) {
	for _, v := range o.Volumes {
		x.mounts[v] = slices.DeleteFunc(slices.Clone(x.mounts[v]), func(id string) bool { return id == o.ID })
		if len(x.mounts[v]) == 0 {
			delete(x.mounts, v)
		}
	}
}

// drop forgets what is gone.
func (x *index) drop(kind router.Kind, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := key{kind, id}
	o := x.objects[k]
	if o == nil {
		return
	}
	x.unname(o)
	x.unmount(o)
	delete(x.objects, k)
	if kind == router.Container {
		delete(x.doubts, id)
	}
	if at, ok := slices.BinarySearch(x.ids[kind], id); ok {
		x.ids[kind] = slices.Delete(x.ids[kind], at, at+1)
	}
}

// maxPast bounds what is remembered of objects that are gone.
const maxPast = 1024

// bury forgets what is gone, but for its owner: others may not have heard of
// its end yet.
func (x *index) bury(kind router.Kind, id string) {
	x.mu.RLock()
	o := x.objects[key{kind, id}]
	x.mu.RUnlock()
	if o == nil {
		return
	}
	if kind == router.Volume {
		last := *o
		last.Owner = x.ownerOfVolume(o)
		o = &last
	}
	defer x.drop(kind, id) // last, so that it is never in neither
	if !o.known {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.past[key{kind, id}] == nil {
		x.passed = append(x.passed, key{kind, id})
	}
	x.past[key{kind, id}] = o
	if len(x.passed) > maxPast {
		delete(x.past, x.passed[0])
		x.passed = slices.Delete(x.passed, 0, 1)
	}
}

// gone gives what is there no more, if it went lately.
func (x *index) gone(kind router.Kind, id string) (*object, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	o, ok := x.past[key{kind, id}]
	return o, ok
}

// get gives what is known of a whole id, without asking the Engine.
func (x *index) get(kind router.Kind, id string) (*object, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	o := x.objects[key{kind, id}]
	return o, o != nil && o.known
}

// named gives what has a name as far as is known, nil where nothing has. It
// asks the Engine only about what an event alone told of.
func (x *index) named(ctx context.Context, kind router.Kind, name string) (*object, error) {
	x.mu.RLock()
	id, ok := x.names[key{kind, name}]
	o := x.objects[key{kind, id}]
	x.mu.RUnlock()
	if !ok || o.known {
		return o, nil
	}
	o, err := x.lookup(ctx, kind, id)
	if errors.Is(err, errMissing) || err == nil && o.Name != name {
		return nil, nil
	}
	return o, err
}

// ownerOf gives whose an object is, by its whole id (of a volume its name):
// "" for nobody's and for what there is not. It asks the Engine about what is
// not known, which costs a round trip.
func (x *index) ownerOf(ctx context.Context, kind router.Kind, id string) (string, error) {
	o, ok := x.get(kind, id)
	if !ok || kind == router.Volume { // of a volume there is but a name
		var err error
		if o, err = x.lookup(ctx, kind, id); err != nil {
			if errors.Is(err, errMissing) {
				err = nil
			}
			return "", err
		}
	}
	if kind == router.Volume {
		return x.ownerOfVolume(o), nil
	}
	return o.Owner, nil
}

// owned gives all of a kind that belong to a user, as far as is known; ""
// means nobody's.
func (x *index) owned(kind router.Kind, user string) []*object {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []*object
	for _, id := range x.ids[kind] {
		if o := x.objects[key{kind, id}]; o.known && o.Owner == user {
			all = append(all, o)
		}
	}
	return all
}

// maxAsked bounds how many objects are asked about for one prefix.
const maxAsked = 32

// begins gives the ids that begin with a prefix, at most maxAsked and one more.
func (x *index) begins(kind router.Kind, prefix string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	ids := x.ids[kind]
	from, _ := slices.BinarySearch(ids, prefix)
	to := from
	for to < len(ids) && to-from <= maxAsked && strings.HasPrefix(ids[to], prefix) {
		to++
	}
	return slices.Clone(ids[from:to])
}

// escape makes a name a part of a path.
func escape(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
