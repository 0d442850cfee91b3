package owner

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"moorgate/router"
)

// givings keep the names that calls are about to give to images and networks
// until they have given them. A build, an upload or a pull takes long: a name
// that was free when it began would be taken at its end from whoever got it
// meanwhile. Of networks, Engines before 25 make two of one name at once.
type givings struct {
	mu    sync.Mutex
	calls map[*router.Call]*giving
}

// giving is what one call gives.
type giving struct {
	user, engine string
	pulls        bool     // from a registry, of which all get the same
	names        []string // canonical, one without a tag being every tag; of networks behind networkNames
}

// networkNames stands before names of networks; no image's name begins so.
const networkNames = "/network/"

// hold keeps a name for a user's call until end. It is false while a call of
// another user gives it. The first of a call's names is new.
func (g *givings) hold(call *router.Call, user, name string) (first, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	pulls := call.Action == "image.pull"
	for _, other := range g.calls {
		if other.user == user || other.engine != call.Engine || other.pulls && pulls {
			continue
		}
		if slices.ContainsFunc(other.names, func(held string) bool { return overlapping(held, name) }) {
			return false, false
		}
	}
	mine := g.calls[call]
	if first = mine == nil; first {
		mine = &giving{user: user, engine: call.Engine, pulls: pulls}
		if g.calls == nil {
			g.calls = map[*router.Call]*giving{}
		}
		g.calls[call] = mine
	}
	mine.names = append(mine.names, name)
	return first, true
}

// overlapping says whether two canonical names, of which one without a tag is
// every tag, may be the same.
func overlapping(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+":") || strings.HasPrefix(b, a+":")
}

// of gives what a call gives; nil if it gives nothing or has ended.
func (g *givings) of(call *router.Call) *giving {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.calls[call]
	if mine == nil {
		return nil
	}
	as := *mine // an archive may still go up and give more
	as.names = slices.Clone(mine.names)
	return &as
}

func (g *givings) end(call *router.Call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, call)
}

// holdImage is holdName for the name of an image.
func (j *judging) holdImage(name string) error {
	if j.holdName(name) {
		return nil
	}
	return &router.Error{Status: http.StatusConflict, Message: "image name " + name + " is being given by another call: try again when that is done"}
}

// holdName keeps a name for the call, until the Engine has answered it; it is
// false while another user's has it. An Engine whose caller has gone may go on
// for a while.
func (j *judging) holdName(name string) bool {
	first, ok := j.memory.givings.hold(j.call, j.who.User, name)
	if first {
		o, call := j.Owner, j.call
		context.AfterFunc(j.ctx, func() {
			if o.memory.givings.of(call) != nil {
				time.AfterFunc(lockGrace, func() { o.gaveNames(context.Background(), call) })
			}
		})
	}
	return ok
}

// holdImages is holdImage for all that is given by callers who may give any name.
func (j *judging) holdImages() error {
	if j.call.Route.Kind != router.Image && j.call.Action != "container.commit" {
		return nil
	}
	refs, err := j.call.Further()
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if ref.Kind == router.Image && (ref.Use == router.Gives || ref.Use == router.UsesOrMakes) {
			if err := j.holdImage(ref.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// gaveNames ends what a call gives. Of names in an archive it is known only now
// which image has them: whoever loaded them gave them.
func (o *Owner) gaveNames(ctx context.Context, call *router.Call) {
	g := o.memory.givings.of(call)
	if g == nil {
		return
	}
	defer o.memory.givings.end(call)
	if call.Action != "image.load" {
		return
	}
	for _, name := range g.names {
		found, err := o.index(g.engine).lookup(ctx, router.Image, name)
		if err == nil && (found.Owner == "" || found.Owner == g.user) {
			o.memory.tags.gave(g.engine, name, found.ID, g.user)
		}
	}
}

// untilGiven ends what a call gives when its answer has come to its end.
func (o *Owner) untilGiven(ctx context.Context, call *router.Call, resp *http.Response) {
	if o.memory.givings.of(call) != nil && resp.Body != nil {
		resp.Body = &ending{resp.Body, func() { o.gaveNames(ctx, call) }}
	}
}

// ending is a body that tells when it has been read to its end.
type ending struct {
	io.ReadCloser
	ended func()
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		e.ended()
	}
	return n, err
}
