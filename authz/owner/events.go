package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// happening is what the Engine says has happened.
type happening struct {
	Type, Action string
	Actor        struct {
		ID         string
		Attributes map[string]string
	}
	Time int64 // in seconds
}

// events gives what the caller sees of an Engine's events. It is made whenever
// some come: thousands may wait for them, and each holds no more than this.
func (o *Owner) events(ctx context.Context, engine string) func() *shape {
	return func() *shape {
		who, known := identity.From(ctx)
		if !known {
			return dropped
		}
		return &shape{judge: o.judging(ctx, who, &router.Call{Action: "system.events", Engine: engine}).sight().event}
	}
}

// event is one line of the Engine's events: it is seen if what it tells of is
// the caller's. What nobody can tell the owner of any more is not seen.
func (s *sight) event(v value) ([]byte, error) {
	var e happening
	if err := json.Unmarshal(v.raw, &e); err != nil {
		return nil, fmt.Errorf("%w of the shape that is known: %w", errSyntax, err)
	}
	yes, err := s.happened(&e)
	if !yes || err != nil {
		return nil, err
	}
	return v.raw, nil
}

func (s *sight) happened(e *happening) (bool, error) {
	if e.Actor.ID == "" { // prune: how much others have let go
		return false, nil
	}
	switch kind := router.Kind(e.Type); kind {
	case router.Container:
		return s.containerEvent(e)
	case router.Network:
		return s.networkEvent(e)
	case router.Volume:
		return s.volumeEvent(e)
	case router.Image:
		return s.imageEvent(e)
	case router.Service, router.Secret, router.Config:
		o, err := s.recall(kind, e.Actor.ID)
		return o != nil && o.Owner == s.who.User, err
	}
	return false, nil // the daemon, nodes, plugins, builders: nobody's own
}

// recall finds what an event tells of: what is there, or was lately; nil if
// nobody knows.
func (s *sight) recall(kind router.Kind, id string) (*object, error) {
	if o, ok := s.index.get(kind, id); ok {
		return o, nil
	}
	if o, ok := s.index.gone(kind, id); ok {
		return o, nil
	}
	o, err := s.index.lookup(s.ctx, kind, id)
	if errors.Is(err, errMissing) {
		return nil, nil
	}
	return o, err
}

// containerEvent believes the labels that an event itself carries, which are
// the container's, by the same rule as those of a container that is there.
func (s *sight) containerEvent(e *happening) (bool, error) {
	if o, ok := s.index.get(router.Container, e.Actor.ID); ok {
		return o.Owner == s.who.User, nil
	}
	o := &object{Kind: router.Container, ID: e.Actor.ID}
	// Containers that are made through moorgate name their image by its id.
	if id := e.Actor.Attributes["image"]; len(id) == len("sha256:")+64 && strings.HasPrefix(id, "sha256:") {
		o.Image = id
	}
	given := map[string]string{}
	for name, value := range e.Actor.Attributes {
		if strings.HasPrefix(name, Reserved) {
			given[name] = value
		}
	}
	if s.labelled(s.index.engine, o, given) == s.who.User {
		return true, nil
	}
	found, err := s.recall(router.Container, e.Actor.ID)
	return found != nil && found.Owner == s.who.User, err
}

func (s *sight) networkEvent(e *happening) (bool, error) {
	name := e.Actor.Attributes["name"]
	o, err := s.recall(router.Network, e.Actor.ID)
	if err != nil {
		return false, err
	}
	yes := o != nil && o.Owner == s.who.User
	container := e.Actor.Attributes["container"]
	if container == "" {
		return yes, nil
	}
	if !yes && !slices.Contains(predefined, name) && (s.Shares == nil || !s.Shares(s.who, s.index.engine, name)) {
		return false, nil
	}
	c, err := s.recall(router.Container, container)
	return c != nil && c.Owner == s.who.User, err
}

// volumeEvent tells volumes of one name apart by when they were made.
func (s *sight) volumeEvent(e *happening) (bool, error) {
	if id := e.Actor.Attributes["container"]; id != "" {
		c, err := s.recall(router.Container, id)
		return c != nil && c.Owner == s.who.User, err
	}
	o, err := s.index.lookup(s.ctx, router.Volume, e.Actor.ID)
	if errors.Is(err, errMissing) { // gone, and the index may not have heard of it yet
		var ok bool
		if o, ok = s.index.get(router.Volume, e.Actor.ID); !ok {
			o, ok = s.index.gone(router.Volume, e.Actor.ID)
		}
		if !ok {
			return false, nil
		}
		err = nil
	}
	return err == nil && s.since(o, e) && s.volumeOwner(o) == s.who.User, err
}

// volumeOwner is whose a volume is, of those without a name of their own as well.
func (s *sight) volumeOwner(o *object) string {
	if o.Owner != "" {
		return o.Owner
	}
	return s.index.ownerOfVolume(o)
}

// since says whether an event is of this volume, and not of one that had its
// name before, to the second: Engines tell no more of when a volume was made.
func (s *sight) since(o *object, e *happening) bool {
	made, err := time.Parse(time.RFC3339Nano, o.Created)
	return err == nil && e.Time >= made.Unix()
}

// imageEvent tells of images as lists do: by the names that the policy allows,
// and of the caller's own.
func (s *sight) imageEvent(e *happening) (bool, error) {
	id := e.Actor.ID
	for _, name := range []string{e.Actor.Attributes["name"], id} {
		if name == "" || strings.HasPrefix(name, "sha256:") || hexadecimal(name) {
			continue
		}
		return s.mayKnow(canonical(name), "")
	}
	o, err := s.recall(router.Image, id)
	if err != nil {
		return false, err
	}
	if o == nil {
		return false, nil
	}
	if o.Owner == s.who.User {
		return true, nil
	}
	for _, name := range o.Names {
		if ok, err := s.mayKnow(name, o.ID); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// mayKnow is mayUse without keeping the answer: events go on for ever.
func (s *sight) mayKnow(name, id string) (bool, error) {
	if s.MayUse == nil {
		return true, nil
	}
	return s.MayUse(s.ctx, s.who, s.index.engine, []string{name}, id)
}
