package policy

import (
	"context"
	"net/url"
	"slices"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

// someRoles is room for the roles of most callers.
type someRoles [4]*role

// allowing gives those of the roles that allow an action on some engine; none
// if one of them denies it. They are put into room, if it suffices.
func (p *Policy) allowing(room []*role, roles []string, action string) []*role {
	allowing := room[:0]
	for _, name := range roles {
		r := p.roles[name]
		if r == nil {
			continue
		}
		if _, no := r.deny[action]; no {
			return nil
		}
		if _, yes := r.allow[action]; yes {
			allowing = append(allowing, r)
		}
	}
	return allowing
}

// on says whether the role may use an engine.
func (r *role) on(engine string) bool {
	return r.engines == nil || slices.Contains(r.engines, engine)
}

// Own says whether the caller sees and touches only their own in what an action
// does: they do unless a role that allows it there has scope: all.
func (p *Policy) Own(who identity.Identity, action, engine string) bool {
	var room someRoles
	return !slices.ContainsFunc(p.allowing(room[:], who.Roles, action), func(r *role) bool { return r.all && r.on(engine) })
}

// hides says whether what is not the caller's will look missing to them in this
// call: it is not for the roles to tell of it.
func (p *Policy) hides(in *input) bool {
	return p.Own(in.who, in.call.Action, in.call.Engine)
}

// others says whether the call is about an object that will look missing to the
// caller. Its refusals would tell that it is there.
func (p *Policy) others(ctx context.Context, in *input, kind router.Kind, name string) (bool, error) {
	if p.options.Owns == nil || p.options.Offline || !p.hides(in) {
		return false, nil
	}
	own, err := p.options.Owns(ctx, in.who.User, in.call.Engine, kind, name)
	return !own, err
}

// Quota is what all of the caller's objects may have together. Of several roles
// the most generous counts, setting by setting, no bound being the most: of
// those that let the caller make what is bounded, and for requests of those that
// bound them.
func (p *Policy) Quota(who identity.Identity) Quota {
	var q Quota
	var room someRoles
	for i, r := range p.allowing(room[:], who.Roles, "container.create") {
		q.Containers = most(i, q.Containers, r.quota.Containers)
		q.Memory = most(i, q.Memory, r.quota.Memory)
		q.CPUs = most(i, q.CPUs, r.quota.CPUs)
	}
	for i, r := range p.allowing(room[:], who.Roles, "image.pull") {
		q.PullsPerHour = most(i, q.PullsPerHour, r.quota.PullsPerHour)
	}
	for _, name := range who.Roles {
		if r := p.roles[name]; r != nil {
			q.RequestsPerSecond = max(q.RequestsPerSecond, r.quota.RequestsPerSecond)
		}
	}
	return q
}

// most is the more generous of two bounds, of which 0 is none; i is how many
// came before.
func most[T int | Size | float64](i int, a, b T) T {
	if i > 0 && (a == 0 || b == 0) {
		return 0
	}
	return max(a, b)
}

// Shares says whether a role names a network that the caller may join, whosever
// it is. A role without rules for containers names none: what it leaves open is
// what a container may ask for, not whose things it may reach.
func (p *Policy) Shares(who identity.Identity, engine, network string) bool {
	return slices.ContainsFunc(who.Roles, func(name string) bool {
		r := p.roles[name]
		return r != nil && r.on(engine) && !r.containers.Any && slices.Contains(r.containers.Rules.networks(), network)
	})
}

// MayUse says whether the image policy of one of the caller's roles lets them
// use an image that an engine has, by one of its names (its tags and digests).
// By its id no rule can allow it. Conditions are asked as in image.list; one
// that cannot be, as it speaks of a body, lets nothing through.
func (p *Policy) MayUse(ctx context.Context, who identity.Identity, engine string, names []string, _ string) (bool, error) {
	in := &input{
		who: who, now: p.options.Now(), terminals: p.options.Terminals,
		call: &router.Call{Route: &router.Route{}, Action: "image.list", Engine: engine, Query: url.Values{}},
	}
	in.images = authz.ImageNames(names)
	for _, name := range who.Roles {
		r := p.roles[name]
		if r == nil || !r.on(engine) {
			continue
		}
		if r.images.any {
			return true, nil
		}
		for _, image := range in.images {
			if v, err := r.judgeImage(in, image); err == nil && v.allow {
				return true, nil
			}
		}
	}
	return false, ctx.Err()
}
