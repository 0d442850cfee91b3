package main

import (
	"context"
	"io"
	"net/http"

	"go.uber.org/zap"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/authz/owner"
	"moorgate/authz/plugin"
	"moorgate/authz/policy"
	"moorgate/proxy"
	"moorgate/router"
)

// judges are what a chain asks beside its own roles.
type judges struct {
	engines owner.Engines
	offline bool                                 // no Engine and no plugin is asked
	observe func(plugin string, seconds float64) // may be nil

	terminals func(user string) int // how many a user has open; may be nil
	memory    *owner.Memory         // nil for a new one
	log       *zap.Logger           // may be nil
}

// judging is what judges calls, and its parts.
type judging struct {
	chain   *authz.Chain
	roles   *policy.Policy // nil in personal mode
	owner   *owner.Owner   // nil in personal mode
	plugins []*plugin.Plugin
}

// chain makes the authorizers, in the order in which they are asked; all must
// allow.
func (c *Config) chain(j judges) (*judging, error) {
	if c.personal {
		return &judging{chain: authz.New([]authz.Authorizer{authz.Unrestricted{}}, authz.Options{})}, nil
	}
	made := &judging{}
	var err error
	o := policy.Options{
		Engines: j.engines, Offline: j.offline, Terminals: j.terminals,
		Owns: func(ctx context.Context, user, engine string, kind router.Kind, name string) (bool, error) {
			return made.owner.Owns(ctx, user, engine, kind, name)
		},
	}
	if !j.offline { // the owner follows the Engine's events, and so need not ask each time
		o.Image = func(ctx context.Context, engine, name string) (*authz.Image, error) {
			return made.owner.Image(ctx, engine, name)
		}
	}
	made.roles, err = policy.New(c.Roles, o)
	if err != nil {
		return nil, err
	}
	made.owner = owner.New(owner.Options{
		Engines: j.engines, Names: c.order, Adopted: c.Adopted, Offline: j.offline, Memory: j.memory, Log: j.log,
		Own: made.roles.Own, MayUse: made.roles.MayUse, Shares: made.roles.Shares,
		Quota: func(who identity.Identity) owner.Quota {
			q := made.roles.Quota(who)
			return owner.Quota{
				Containers: q.Containers, Memory: int64(q.Memory), CPUs: q.CPUs,
				PullsPerHour: q.PullsPerHour, RequestsPerSecond: q.RequestsPerSecond,
			}
		},
	})
	all := []authz.Authorizer{made.roles, made.owner}
	for _, pc := range c.Authorization {
		if j.offline {
			break
		}
		p, err := plugin.New(pc, plugin.Options{Observe: j.observe})
		if err != nil {
			return nil, err
		}
		made.plugins = append(made.plugins, p)
		if pc.DryRun {
			all = append(all, authz.DryRun(p))
		} else {
			all = append(all, p)
		}
	}
	made.chain = authz.New(all, authz.Options{DryRun: c.DryRun})
	return made, nil
}

// found names the default engine in calls that name none, and records what is
// asked for.
func (c *Config) found(r *http.Request, call *router.Call) {
	if call.Engine == "" {
		call.Engine = c.order[0]
	}
	audit.Found(r, call)
}

// lookups asks the engines what judging needs to know.
type lookups struct{ pick proxy.Pick }

func (l lookups) Get(ctx context.Context, engine, path string) ([]byte, error) {
	e, err := l.pick(engine)
	if err != nil {
		return nil, err
	}
	return e.Get(ctx, path)
}

func (l lookups) Stream(ctx context.Context, engine, path string) (io.ReadCloser, error) {
	e, err := l.pick(engine)
	if err != nil {
		return nil, err
	}
	return e.Stream(ctx, path)
}

func (l lookups) Post(ctx context.Context, engine, path string, body []byte) ([]byte, error) {
	e, err := l.pick(engine)
	if err != nil {
		return nil, err
	}
	return e.Post(ctx, path, body)
}
