// Package policy is moorgate's own authorizer: roles that say which actions
// their users may do, on which engines, with which images, and what their
// containers may ask for.
package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

// Engines answers questions about what an Engine has.
type Engines interface {
	// Get gives the JSON answer to GET path, of the engine's newest API
	// version. What is not there is a *router.Error with status 404.
	Get(ctx context.Context, engine, path string) ([]byte, error)
}

// Options are what a Policy needs beside its roles.
type Options struct {
	// Engines looks images and containers up.
	Engines Engines
	// Image finds out about an image that an engine has, by any name, id or
	// prefix; nil means that Engines is asked. What is not there is an error of
	// Engines.
	Image func(ctx context.Context, engine, name string) (*authz.Image, error)
	// Offline says that Engines has nothing to look up: what a call would be
	// judged by beside itself is told in the decision's reason.
	Offline bool
	// Terminals says how many terminals a user has open; nil means none.
	Terminals func(user string) int
	// Owns says whether a user owns an object, by its name or id; nil means
	// that nobody owns anything.
	Owns func(ctx context.Context, user, engine string, kind router.Kind, name string) (bool, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Policy judges calls by the roles of their callers.
type Policy struct {
	roles   map[string]*role
	options Options
	ncpu    sync.Map // engine to its number of processors, once asked for
}

// role is a Role made ready.
type role struct {
	name       string
	allow      actionSet
	deny       actionSet
	engines    []string
	images     imagePolicy
	containers Containers
	exec       Exec
	quota      Quota
	all        bool // its scope
	rules      []rule
}

type imagePolicy struct {
	any   bool
	rules []imageRule
}

type rule struct {
	name    string
	on      actionSet // nil: all
	deny    *condition
	message string
}

// New makes a Policy. Its error joins an *identity.Fault for each fault of the
// roles.
func New(roles map[string]Role, o Options) (*Policy, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Image == nil {
		o.Image = o.image
	}
	p := &Policy{roles: map[string]*role{}, options: o}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		fault := func(message string, path ...string) {
			faults = append(faults, &identity.Fault{Path: append([]string{"roles", name}, path...), Message: message})
		}
		p.roles[name] = newRole(name, roles[name], fault)
	}
	return p, errors.Join(faults...)
}

type faulty func(message string, path ...string)

func (f faulty) in(list string) func(i int, message string) {
	return func(i int, message string) { f(message, list, strconv.Itoa(i)) }
}

func newRole(name string, c Role, fault faulty) *role {
	r := &role{
		name:       name,
		allow:      newActionSet(c.Allow, fault.in("allow")),
		deny:       newActionSet(c.Deny, fault.in("deny")),
		engines:    c.Engines,
		images:     imagePolicy{any: c.Images.Any},
		containers: c.Containers,
		exec:       c.Exec,
		quota:      c.Quota,
		all:        c.Scope == "all",
	}
	if c.Scope != "" && c.Scope != "own" && c.Scope != "all" {
		fault(fmt.Sprintf("%q is no scope: write own or all", c.Scope), "scope")
	}
	for i, ir := range c.Images.Rules {
		if made, ok := newImageRule(ir, func(message string, path ...string) {
			fault(message, append([]string{"images", strconv.Itoa(i)}, path...)...)
		}); ok {
			for _, before := range r.images.rules {
				switch {
				case before.when != nil:
				case before.pattern.text == made.pattern.text:
					fault(fmt.Sprintf("can never decide: images[%d] takes all of %q before it: leave one out", before.index, made.pattern.text), "images", strconv.Itoa(i))
				case before.pattern.text == "**":
					fault(fmt.Sprintf("can never decide: images[%d] takes every image before it: put it behind", before.index), "images", strconv.Itoa(i))
				}
			}
			made.index = i
			r.images.rules = append(r.images.rules, made)
		}
	}
	for i, rc := range c.Rules {
		r.rules = append(r.rules, newRule(rc, func(message string, path ...string) {
			fault(message, append([]string{"rules", strconv.Itoa(i)}, path...)...)
		}))
	}
	c.Quota.check(func(message string, key string) { fault(message, "quota", key) })
	if !c.Containers.Any {
		c.Containers.Rules.check(func(message string, path ...string) {
			fault(message, append([]string{"containers"}, path...)...)
		})
	}
	return r
}

func newImageRule(c ImageRule, fault faulty) (imageRule, bool) {
	made := imageRule{allow: c.Allow != "", message: c.Message}
	text, key := c.Allow, "allow"
	if !made.allow {
		text, key = c.Deny, "deny"
	}
	if (c.Allow == "") == (c.Deny == "") {
		fault("write either allow: or deny: with a pattern")
		return made, false
	}
	var unread, unsound error
	if made.pattern, unread = parsePattern(text); unread != nil {
		fault(unread.Error(), key)
	}
	if c.When != "" {
		if made.when, unsound = compile(c.When); unsound != nil {
			fault(unsound.Error(), "when")
		}
	}
	return made, unread == nil && unsound == nil
}

func newRule(c Rule, fault faulty) rule {
	made := rule{name: c.Name, message: c.Message}
	if c.Name == "" {
		fault("has no name: write one, refusals show it", "name")
	}
	if c.Deny == "" {
		fault("denies nothing: write a condition", "deny")
	} else {
		var err error
		if made.deny, err = compile(c.Deny); err != nil {
			fault(err.Error(), "deny")
		}
	}
	if c.On != nil {
		made.on = newActionSet(c.On, fault.in("on"))
	}
	return made
}

// Name is "roles".
func (p *Policy) Name() string { return "roles" }

// refusal is why one role does not allow a call.
type refusal struct {
	rule    string // behind the role's name: "images[1]"
	reason  string
	subject string // the image that is refused; "" where the call names but one
	depth   int    // how far the role went along: the farthest role's reason is told
}

// Authorize allows a call that one of the caller's roles allows altogether and
// that none of them denies.
func (p *Policy) Authorize(ctx context.Context, who identity.Identity, call *router.Call) (authz.Decision, error) {
	var room someRoles
	roles := room[:0]
	for _, name := range who.Roles {
		if r := p.roles[name]; r != nil {
			roles = append(roles, r)
		}
	}
	if len(roles) == 0 {
		return authz.Decision{Rule: "no role", Reason: "ask for a role in the configuration"}, nil
	}
	for _, r := range roles {
		if entry, ok := r.deny[call.Action]; ok {
			return authz.Decision{Rule: "role " + r.name, Reason: fmt.Sprintf("deny: %s", entry)}, nil
		}
	}
	in := &input{who: who, call: call, now: p.options.Now(), terminals: p.options.Terminals}
	var farthest *refusal
	var farthestRole *role
	for _, r := range roles {
		var e edits
		no, err := p.judge(ctx, in, r, &e)
		if err != nil {
			return authz.Decision{Rule: "role " + r.name}, err
		}
		if no != nil {
			if farthest == nil || no.depth > farthest.depth {
				farthest, farthestRole = no, r
			}
			continue
		}
		if d, err := denied(in, roles); err != nil || d.Rule != "" {
			return d, err
		}
		if err := e.commit(call); err != nil {
			return authz.Decision{Rule: "role " + r.name}, err
		}
		return authz.Decision{Allow: true, Rule: "role " + r.name, Reason: e.note}, nil
	}
	d := authz.Decision{Rule: "role " + farthestRole.name, Reason: farthest.reason, Subject: farthest.subject}
	if farthest.rule != "" {
		d.Rule += ", " + farthest.rule
	}
	return d, nil
}

// May says whether one of the roles may do an action on an engine at all, and
// none denies it: what is asked of streams that were let pass earlier.
func (p *Policy) May(roles []string, action, engine string) bool {
	var room someRoles
	return slices.ContainsFunc(p.allowing(room[:], roles, action), func(r *role) bool { return r.on(engine) })
}

// denied asks the CEL rules of all roles.
func denied(in *input, roles []*role) (authz.Decision, error) {
	for _, r := range roles {
		for _, rule := range r.rules {
			if _, ok := rule.on[in.call.Action]; rule.on != nil && !ok {
				continue
			}
			holds, err := rule.deny.eval(in)
			name := "role " + r.name + ", rule " + rule.name
			if err != nil {
				return authz.Decision{Rule: name}, fmt.Errorf("rule %s of role %s: %w", rule.name, r.name, err)
			}
			if holds {
				return authz.Decision{Rule: name, Reason: rule.message}, nil
			}
		}
	}
	return authz.Decision{}, nil
}

// judge asks one role about all of a call, and gathers the edits that go with
// its allowing it.
func (p *Policy) judge(ctx context.Context, in *input, r *role, e *edits) (*refusal, error) {
	call := in.call
	if _, ok := r.allow[call.Action]; !ok {
		reason := call.Action + " is not among what it allows: ask for it"
		if strings.HasPrefix(call.Action, "buildkit.") {
			reason += ", or build with DOCKER_BUILDKIT=0 docker build"
		}
		return &refusal{reason: reason}, nil
	}
	if !r.on(call.Engine) {
		return &refusal{depth: 1, reason: fmt.Sprintf("engine %s is not among its engines: use %s", call.Engine, strings.Join(r.engines, ", "))}, nil
	}
	if no, err := p.judgeImages(ctx, in, r, e); no != nil || err != nil {
		return no, err
	}
	return p.judgeAsks(ctx, in, r, e)
}

// Depths of refusals: how much of a call a role has let pass.
const (
	depthImages = 2 + iota
	depthAsks
)
