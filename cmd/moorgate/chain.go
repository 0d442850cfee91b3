package main

import (
	"context"
	"net/http"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/plugin"
	"moorgate/authz/policy"
	"moorgate/proxy"
	"moorgate/router"
)

// judges are what a chain asks beside its own roles.
type judges struct {
	engines policy.Engines
	plugins bool                                 // whether plugins are asked
	observe func(plugin string, seconds float64) // may be nil
}

// chain makes the authorizers, in the order in which they are asked; all must
// allow.
func (c *Config) chain(j judges) (*authz.Chain, *policy.Policy, []*plugin.Plugin, error) {
	if c.personal {
		return authz.New([]authz.Authorizer{authz.Unrestricted{}}, authz.Options{}), nil, nil, nil
	}
	roles, err := policy.New(c.Roles, policy.Options{Engines: j.engines})
	if err != nil {
		return nil, nil, nil, err
	}
	all := []authz.Authorizer{roles}
	var plugins []*plugin.Plugin
	if j.plugins {
		for _, pc := range c.Authorization {
			p, err := plugin.New(pc, plugin.Options{Observe: j.observe})
			if err != nil {
				return nil, nil, nil, err
			}
			plugins = append(plugins, p)
			if pc.DryRun {
				all = append(all, authz.DryRun(p))
			} else {
				all = append(all, p)
			}
		}
	}
	return authz.New(all, authz.Options{DryRun: c.DryRun}), roles, plugins, nil
}

// found names the default engine in calls that name none, and records what is
// asked for.
func (c *Config) found(r *http.Request, call *router.Call) {
	if call.Engine == "" {
		call.Engine = c.order[0]
	}
	audit.Found(r, call)
}

// lookups answers the policy's questions from the engines.
type lookups struct{ pick proxy.Pick }

func (l lookups) Get(ctx context.Context, engine, path string) ([]byte, error) {
	e, err := l.pick(engine)
	if err != nil {
		return nil, err
	}
	return e.Get(ctx, path)
}
