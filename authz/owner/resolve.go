package owner

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moorgate/router"
)

// predefined are the Engine's own networks, which are there for everyone.
var predefined = []string{"bridge", "host", "none", "ingress", "docker_gwbridge"}

func predefinedNetwork(name string) bool { return slices.Contains(predefined, name) }

// touch finds every object that the call names. For a caller who has but their
// own, what belongs to others is not there; what is theirs is sent as its whole
// id, so that a name given anew meanwhile leads nowhere else.
func (j *judging) touch() error {
	if j.Offline {
		return nil
	}
	if !j.own {
		return j.holdImages()
	}
	refs, err := j.call.Objects()
	if err != nil {
		return err
	}
	if a := j.call.Action; len(refs) > 1 && (a == "network.connect" || a == "network.disconnect") {
		refs = append(refs[1:len(refs):len(refs)], refs[0]) // the order in which the Engine looks
	}
	for _, ref := range refs {
		switch ref.Use {
		case router.Gives:
			err = j.gives(ref)
		case router.Uses, router.UsesOrMakes:
			err = j.uses(ref)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// uses finds one object that must be there.
func (j *judging) uses(ref router.Ref) error {
	switch ref.Kind {
	case router.Container, router.Service, router.Task, router.Secret, router.Config:
		return j.pin(ref)
	case router.Network:
		return j.network(ref)
	case router.Exec:
		if j.memory.execs.owner(j.call.Engine, ref.Name) != j.who.User {
			return j.missing(ref)
		}
	case router.Image:
		return j.image(ref)
	case router.Volume:
		if ref.Use == router.Uses { // else mount sees to it
			return j.volume(ref)
		}
	}
	return nil
}

// pin finds the caller's own object of a name and sends its id.
func (j *judging) pin(ref router.Ref) error {
	o, err := j.find(ref.Kind, ref.Name)
	switch {
	case errors.Is(err, errMissing):
		return j.missing(ref)
	case errors.Is(err, errAmbiguous):
		return j.ambiguous(ref)
	case err != nil:
		return err
	}
	if keepsName(j.call, ref) {
		return nil
	}
	if o.ID != ref.At.Text {
		j.pins = append(j.pins, router.Pin{Ref: ref, To: o.ID})
	}
	return nil
}

// keepsName says whether a name stands beside the id of what it names, and
// must be its name.
func keepsName(c *router.Call, ref router.Ref) bool {
	if ref.Kind != router.Secret && ref.Kind != router.Config {
		return false
	}
	where := c.Where(ref.At)
	return strings.HasSuffix(where, ".SecretName") || strings.HasSuffix(where, ".ConfigName")
}

// network finds a network: the caller's own, one of the Engine's, or one that
// the configuration lets the caller join.
func (j *judging) network(ref router.Ref) error {
	if predefinedNetwork(ref.Name) {
		return nil
	}
	o, err := j.find(router.Network, ref.Name)
	if errors.Is(err, errMissing) {
		if o, err = j.shared(ref.Name); err == nil && o != nil && predefinedNetwork(o.Name) {
			return nil // by its id: these never change
		}
		if err == nil && o == nil {
			err = errMissing
		}
	}
	switch {
	case errors.Is(err, errMissing):
		return j.missing(ref)
	case errors.Is(err, errAmbiguous):
		return j.ambiguous(ref)
	case err != nil:
		return err
	}
	if o.ID != ref.At.Text {
		j.pins = append(j.pins, router.Pin{Ref: ref, To: o.ID})
	}
	return nil
}

// shared finds a network that is not the caller's but that they may join; nil
// if there is none.
func (j *judging) shared(name string) (*object, error) {
	o, err := j.index.lookup(j.ctx, router.Network, name)
	if errors.Is(err, errMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if predefinedNetwork(o.Name) {
		return o, nil
	}
	if j.call.Action == "network.remove" || j.Shares == nil || !j.Shares(j.who, j.call.Engine, o.Name) {
		return nil, nil
	}
	return o, nil
}

var errAmbiguous = errors.New("several objects begin with that")

// find gives the caller's own object of a name, in the Engine's order: the
// whole id, the name, the beginning of an id that only one of theirs has. What
// is not theirs is not there and makes nothing ambiguous.
func (j *judging) find(kind router.Kind, name string) (*object, error) {
	x, user := j.index, j.who.User
	o, known := x.get(kind, name)
	if known && o.Owner == user {
		return o, nil
	}
	if x.live.Load() {
		if o, err := x.named(j.ctx, kind, name); err != nil || o != nil && o.Owner == user {
			return o, err
		}
		if o, err := x.beginning(j.ctx, kind, name, user); o != nil || err != nil {
			return o, err
		}
		if known { // another's, by its whole id
			return nil, errMissing
		}
	}
	o, err := x.lookup(j.ctx, kind, name)
	if err != nil {
		return nil, err
	}
	if o.Owner != user {
		return nil, errMissing
	}
	return o, nil
}

// beginning gives the one object of a user whose id begins so; nil if there is
// none.
func (x *index) beginning(ctx context.Context, kind router.Kind, prefix, user string) (*object, error) {
	if len(prefix) > 64 || kind != router.Container && kind != router.Network && kind != router.Service &&
		kind != router.Secret && kind != router.Config {
		return nil, nil
	}
	var found *object
	asked := 0
	for _, id := range x.begins(kind, prefix) {
		o, ok := x.get(kind, id)
		if !ok {
			if asked++; asked > maxAsked {
				return nil, nil
			}
			var err error
			if o, err = x.lookup(ctx, kind, id); errors.Is(err, errMissing) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		if o.Owner != user {
			continue
		}
		if found != nil {
			return nil, errAmbiguous
		}
		found = o
	}
	return found, nil
}

// gives judges a name that the call gives. The Engine itself refuses names of
// containers, volumes, services, secrets and configs that are taken.
func (j *judging) gives(ref router.Ref) error {
	switch ref.Kind {
	case router.Network:
		return j.givesNetwork(ref)
	case router.Image:
		return j.givesImage(ref)
	}
	return nil
}

// givesNetwork refuses a name that another's network has: below API 1.44 the
// Engine would make a second one.
func (j *judging) givesNetwork(ref router.Ref) error {
	if !j.holdName(networkNames + ref.Name) {
		return networkTaken(ref.Name)
	}
	o, err := j.index.lookup(j.ctx, router.Network, ref.Name)
	if errors.Is(err, errMissing) || err == nil && (o.Name != ref.Name || o.Owner == j.who.User || predefinedNetwork(o.Name)) {
		return nil
	}
	if err != nil {
		return err
	}
	return networkTaken(ref.Name)
}

func networkTaken(name string) error {
	return &router.Error{Status: 409, Message: "network with name " + name + " already exists"}
}
