package owner

import (
	"context"
	"slices"
	"sync"
	"time"

	"moorgate/router"
)

// volumeLocks keep a volume from being removed between the moment when it is
// found to be the caller's and the moment when the Engine has mounted it: a
// volume has no id that could be sent in its name's place, and another of the
// same name may belong to another. Mounts share a name, a removal has it alone.
type volumeLocks struct {
	mu    sync.Mutex
	held  map[volumeName]hold
	calls map[*router.Call]*locking
}

type volumeName struct{ engine, name string }

type hold struct {
	mounts  int
	removes bool
	changed chan struct{} // closed when either changes; nil while nobody waits
}

// locking is a call that holds names until it is answered.
type locking struct {
	names   []volumeName
	remove  bool
	changes *changes    // what a removal changes; nil of a mount
	late    *time.Timer // see lock
}

const (
	// lockWait is how long a call waits for what others do with a volume.
	lockWait = 10 * time.Second
	// lockGrace is how long the Engine may go on with a call whose caller has gone.
	lockGrace = 5 * time.Second
)

// take holds names, alone to remove them, else with other mounts: all at once
// or none, so that two calls never wait for what the other has.
func (l *volumeLocks) take(ctx context.Context, remove bool, names ...volumeName) error {
	var limit context.Context
	for {
		l.mu.Lock()
		changed := l.try(remove, names)
		l.mu.Unlock()
		if changed == nil {
			return nil
		}
		if limit == nil {
			var cancel context.CancelFunc
			limit, cancel = context.WithTimeout(ctx, lockWait)
			defer cancel()
		}
		select {
		case <-changed:
		case <-limit.Done():
			return limit.Err()
		}
	}
}

// try gives nil if it has taken all names, else what is closed when trying
// again is worth it. The caller holds mu.
func (l *volumeLocks) try(remove bool, names []volumeName) (changed chan struct{}) {
	for _, name := range names {
		if h := l.held[name]; h.removes || remove && h.mounts > 0 {
			if h.changed == nil {
				h.changed = make(chan struct{})
				l.held[name] = h
			}
			return h.changed
		}
	}
	if l.held == nil {
		l.held = map[volumeName]hold{}
	}
	for _, name := range names {
		h := l.held[name]
		if h.removes = remove; !remove {
			h.mounts++
		}
		l.held[name] = h
	}
	return nil
}

// give lets names go. The caller holds mu.
func (l *volumeLocks) give(remove bool, names []volumeName) {
	for _, name := range names {
		h := l.held[name]
		if remove {
			h.removes = false
		} else {
			h.mounts--
		}
		if h.changed != nil {
			close(h.changed)
			h.changed = nil
		}
		if l.held[name] = h; !h.removes && h.mounts == 0 {
			delete(l.held, name)
		}
	}
}

// lock holds names until the call is answered.
func (j *judging) lock(remove bool, names ...string) error {
	l, call := &j.memory.locks, j.call
	mine := &locking{remove: remove, names: make([]volumeName, 0, len(names))}
	for _, name := range names {
		if n := (volumeName{call.Engine, name}); !slices.Contains(mine.names, n) {
			mine.names = append(mine.names, n)
		}
	}
	if err := l.take(j.ctx, remove, mine.names...); err != nil {
		return &router.Error{Status: 409, Message: "volume is in use: another call mounts or removes it: try again", Err: err}
	}
	if remove {
		mine.changes = j.index.volumes.changes
		mine.changes.happened()
	}
	ctx := j.ctx
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settleLocked(call) // explain judges a call twice
	if l.calls == nil {
		l.calls = map[*router.Call]*locking{}
	}
	l.calls[call] = mine
	mine.late = afterwards(ctx, func() bool { return l.waits(call, mine) }, func() {
		time.AfterFunc(lockGrace, func() { l.settle(call) })
	})
	return nil
}

// waits says whether a call still holds what it took.
func (l *volumeLocks) waits(call *router.Call, mine *locking) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[call] == mine
}

// settle releases what a call holds, once the Engine has answered it.
func (l *volumeLocks) settle(call *router.Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settleLocked(call)
}

func (l *volumeLocks) settleLocked(call *router.Call) {
	mine := l.calls[call]
	if mine == nil {
		return
	}
	delete(l.calls, call)
	mine.late.Stop()
	if mine.changes != nil { // before the names are free
		mine.changes.happened()
	}
	l.give(mine.remove, mine.names)
}
