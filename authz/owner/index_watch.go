package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"moorgate/router"
)

const (
	// overlap is how long before the lists are read the events begin that are
	// read after them: what happens in between is told twice rather than not
	// at all. The Engine keeps the last 256 events.
	overlap = 2 * time.Second
	// refresh is how long the events of one stream are relied on: the Engine
	// drops some for a reader that is slow.
	refresh = 15 * time.Minute
	// retry is how long is waited before a broken stream is opened again.
	retry = time.Second
	// glance is how often the file of adopted objects is looked at.
	glance = time.Second
)

// Run keeps what is known of the engines up to date until ctx ends. While it
// does not run, and while an Engine's events do not come in, Engines are asked
// about names each time.
func (o *Owner) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, name := range o.Names {
		x := o.index(name)
		all.Go(func() { o.keep(ctx, x) })
	}
	all.Go(func() { o.watchAdopted(ctx) })
	all.Wait()
}

// keep follows one engine's events, again and again.
func (o *Owner) keep(ctx context.Context, x *index) {
	told := false
	for ctx.Err() == nil {
		err := x.follow(ctx)
		x.lose()
		if ctx.Err() != nil {
			return
		}
		if err != nil && !told {
			o.Log.Warn("owner: events do not come in, names are asked for each time", zap.String("engine", x.engine), zap.Error(err))
		}
		if told = err != nil; !told {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
	}
}

// lose is called when events come in no more. When they do again it may be
// another Engine that sends them.
func (x *index) lose() {
	x.live.Store(false)
	x.images.changes.happened()
	x.volumes.changes.happened()
}

// watched are the events that change whose an id is, or what it is called.
var watched = router.Filters{
	"type":  {"container", "network", "volume", "image", "service", "secret", "config"},
	"event": {"create", "destroy", "rename", "remove", "update", "delete", "tag", "untag", "pull", "load", "import", "prune"},
}

// follow reads what there is, and then what happens, until the stream ends. It
// gives nil when it is time to begin anew.
func (x *index) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refresh)
	defer cancel()
	x.version.Store(nil) // it may be another Engine
	since, err := x.clock(ctx)
	if err != nil {
		return err
	}
	query := url.Values{"since": {strconv.FormatInt(since.Add(-overlap).Unix(), 10)}, "filters": {watched.String()}}
	events, err := x.ask.Stream(ctx, x.engine, "/events?"+query.Encode())
	if err != nil {
		return fmt.Errorf("following events: %w", err)
	}
	defer events.Close()
	if err := x.read(ctx); err != nil {
		return err
	}
	x.live.Store(true)
	for d := json.NewDecoder(events); ; {
		var e change
		if err := d.Decode(&e); err != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			if errors.Is(err, io.EOF) {
				err = errors.New("the stream ended")
			}
			return fmt.Errorf("following events: %w", err)
		}
		x.happened(&e)
	}
}

// clock is the Engine's time: since is compared with it.
func (x *index) clock(ctx context.Context) (time.Time, error) {
	answer, err := x.ask.Get(ctx, x.engine, "/info")
	if err != nil {
		return time.Time{}, fmt.Errorf("asking for the time: %w", err)
	}
	var info struct{ SystemTime time.Time }
	if err := json.Unmarshal(answer, &info); err != nil || info.SystemTime.IsZero() {
		return time.Time{}, errors.New("asking for the time: the Engine's answer makes no sense")
	}
	return info.SystemTime, nil
}

// lists say where the Engine lists all of a kind. Tasks come and go by
// themselves and are asked for one by one.
var lists = []struct {
	kind router.Kind
	path string
}{
	{router.Container, "/containers/json?all=1"},
	{router.Network, "/networks"},
	{router.Image, "/images/json?all=1"},
	{router.Service, "/services"},
	{router.Secret, "/secrets"},
	{router.Config, "/configs"},
}

// read puts what the Engine lists in place of all that was known. What was
// known of an id stays: it may tell more than the list.
func (x *index) read(ctx context.Context) error {
	fresh := newIndex(x.engine, x.ask, x.owner)
	for _, list := range lists {
		answer, err := x.ask.Get(ctx, x.engine, list.path)
		if status(err) == 503 || status(err) == 406 { // no swarm
			continue
		}
		if err != nil {
			return fmt.Errorf("listing: %w", err)
		}
		var all []told
		if err := json.Unmarshal(answer, &all); err != nil {
			return fmt.Errorf("listing %s: the Engine's answer makes no sense: %w", list.path, err)
		}
		for i := range all {
			o, labels := all[i].object(list.kind)
			if o.ID == "" {
				continue
			}
			o.Owner = x.owner(x.engine, o, labels)
			if o.Owner == "" && labels[swarmTask] != "" {
				o.known = false // its task is asked when it is wanted
			}
			if old, ok := x.get(list.kind, o.ID); ok && list.kind == router.Container {
				o.Owner, o.known = old.Owner, true
			}
			if list.kind == router.Container {
				o.claim = labels[Label]
			}
			fresh.set(o)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.objects, x.names, x.ids, x.mounts, x.doubts = fresh.objects, fresh.names, fresh.ids, fresh.mounts, fresh.doubts
	return nil
}

// change is one of the Engine's events.
type change struct {
	Type, Action string
	Actor        struct {
		ID         string
		Attributes map[string]string
	}
}

// happened brings the index up to date with an event. It never asks the
// Engine, which drops events for a reader that is slow.
func (x *index) happened(e *change) {
	kind, id := router.Kind(e.Type), e.Actor.ID
	switch {
	case kind == router.Image:
		x.images.changes.happened()
	case kind == router.Volume && e.Action != "create" && !unnamed(id): // what is remembered is there, and has a name of its own
		x.volumes.changes.happened()
	}
	switch e.Action {
	case "create":
		if kind != router.Container && kind != router.Network {
			return
		}
		if _, ok := x.get(kind, id); !ok {
			x.put(&object{Kind: kind, ID: id, Name: e.Actor.Attributes["name"]})
		}
	case "rename": // what it is called is asked when it is wanted
		if o, ok := x.get(kind, id); ok {
			nameless := *o
			nameless.Name = ""
			x.put(&nameless)
		}
	case "destroy", "remove", "delete":
		x.bury(kind, id)
	case "update", "tag", "untag":
		if kind != router.Container { // of its limits
			x.drop(kind, id)
		}
	}
}

// watchAdopted reads the file of adopted objects whenever it changes.
func (o *Owner) watchAdopted(ctx context.Context) {
	if o.Adopted == "" {
		return
	}
	var seen os.FileInfo
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		if now, err := os.Stat(o.Adopted); err == nil && (seen == nil || now.ModTime() != seen.ModTime() || now.Size() != seen.Size()) {
			seen = now
			o.readAdopted()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
