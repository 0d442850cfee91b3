package owner

import (
	"context"
	"errors"

	"moorgate/router"
)

// doubt keeps in mind a container whose labels name an owner that it has not,
// as they may come from its image, or may do so for all that is known of it.
func (x *index) doubt(o *object) {
	switch {
	case o.Kind != router.Container:
	case !o.known:
		x.doubts[o.ID] = ""
	case o.claim != "" && o.claim != o.Owner:
		x.doubts[o.ID] = o.claim
	default:
		delete(x.doubts, o.ID)
	}
}

// maxDoubts bounds how many containers are asked about for one list.
const maxDoubts = 8

// undoubted says whether every container whose label names a user is theirs. It
// asks the Engine about those that nothing is known of yet.
func (x *index) undoubted(ctx context.Context, user string) bool {
	x.mu.RLock()
	var ask []string
	clear := len(x.doubts) <= 8*maxDoubts
	for id, claim := range x.doubts {
		if !clear || claim == user {
			clear = false
			break
		}
		if claim == "" {
			ask = append(ask, id)
		}
	}
	x.mu.RUnlock()
	if !clear || len(ask) > maxDoubts {
		return false
	}
	for _, id := range ask {
		o, err := x.lookup(ctx, router.Container, id)
		if errors.Is(err, errMissing) {
			continue // it has gone, and its event will say so
		}
		if err != nil || o.claim == user && o.Owner != user {
			return false
		}
	}
	return true
}

// exact says whether the Engine's own filter has left just what is the
// caller's, so that nothing need be cut. Of what is made outside moorgate with
// a label of the caller's, its event may come after the list: it would be seen
// in that list, and can be touched by nobody.
func (j *judging) exact(p *pending) bool {
	if j.call.Action != "container.list" || p != nil || !j.index.live.Load() ||
		!j.labels(router.Container) || j.adopted.some(j.call.Engine, router.Container) {
		return false
	}
	return j.call.Filtered("label", j.label()) && j.index.undoubted(j.ctx, j.who.User)
}
