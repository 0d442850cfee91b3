// Package plugin asks Docker's authorization plugins, in the Engine's own
// protocol: each is shown the request that will be sent and, where the answer is
// finite, the answer, and must allow both. Everything that goes wrong with a
// plugin denies.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

// The methods of the protocol, which are the paths that are posted to.
const (
	activate    = "Plugin.Activate"
	askRequest  = "AuthZPlugin.AuthZReq"
	askResponse = "AuthZPlugin.AuthZRes"
)

// The time between two tries doubles from the first to the last.
const (
	firstWait = 10 * time.Millisecond
	lastWait  = 500 * time.Millisecond
)

// Options are what a Plugin needs beside its Config.
type Options struct {
	// Sockets is the folder of plugins' sockets; "" is the Engine's.
	Sockets string
	// Specs are the folders of .spec and .json files; nil are the Engine's.
	Specs []string
	// Observe is told how long each question took; may be nil.
	Observe func(plugin string, seconds float64)
}

// Plugin is one authorization plugin. It is an authz.Reviewer.
type Plugin struct {
	name    string
	timeout time.Duration
	find    func() (place, error)
	observe func(plugin string, seconds float64)

	current    atomic.Pointer[endpoint] // nil until it has said that it is one, and after a connection failed
	connecting chan struct{}            // holds one value while somebody looks for the plugin
}

var _ authz.Reviewer = (*Plugin)(nil)

// New makes a Plugin of a valid Config. It asks nothing: the plugin is looked
// for with the first question, so it may start later than moorgate.
func New(c Config, o Options) (*Plugin, error) {
	p := &Plugin{name: c.Plugin, timeout: c.Timeout, observe: o.Observe, connecting: make(chan struct{}, 1)}
	if p.timeout == 0 {
		p.timeout = defaultTimeout
	}
	if o.Sockets == "" {
		o.Sockets = engineSockets
	}
	if o.Specs == nil {
		o.Specs = engineSpecs
	}
	if c.Address == "" {
		p.find = func() (place, error) { return discover(c.Plugin, o.Sockets, o.Specs) }
		return p, nil
	}
	at := place{}
	var err error
	if at.address, err = parseAddress(c.Address); err != nil {
		return nil, fmt.Errorf("%s: address: %w", p.Name(), err)
	}
	if c.TLS != nil {
		at.tls = *c.TLS
	}
	if _, err := newEndpoint(at, p.timeout); err != nil { // files are read anew at each connection: they may be renewed
		return nil, fmt.Errorf("%s: tls: %w", p.Name(), err)
	}
	p.find = func() (place, error) { return at, nil }
	return p, nil
}

// Name is "plugin" and the configured name.
func (p *Plugin) Name() string { return "plugin " + p.name }

// Authorize shows the plugin the request that will be sent.
func (p *Plugin) Authorize(ctx context.Context, who identity.Identity, call *router.Call) (authz.Decision, error) {
	q, err := ask(ctx, who, call)
	if err != nil {
		return authz.Decision{}, err
	}
	return p.decide(ctx, askRequest, q)
}

// Review shows the plugin the Engine's answer, with the request that it answers.
func (p *Plugin) Review(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (authz.Decision, error) {
	q, err := ask(ctx, who, call)
	if err == nil {
		err = q.answered(call, resp)
	}
	if err != nil {
		return authz.Decision{}, err
	}
	return p.decide(ctx, askResponse, q)
}

// Close closes the connections that wait for questions.
func (p *Plugin) Close() {
	if e := p.current.Load(); e != nil {
		e.close()
	}
}

func (p *Plugin) decide(ctx context.Context, method string, q *question) (authz.Decision, error) {
	text, err := q.encode()
	if err != nil {
		return authz.Decision{}, err
	}
	begun := time.Now()
	a, err := p.question(ctx, method, text)
	if p.observe != nil {
		p.observe(p.name, time.Since(begun).Seconds())
	}
	if err != nil {
		return authz.Decision{}, err
	}
	d := authz.Decision{Allow: a.allow, Rule: p.Name()}
	if a.allow {
		return d, nil
	}
	d.Reason = "authorization denied by plugin " + p.name // the Engine's words, which scripts look for
	if a.msg != "" {
		d.Reason += ": " + a.msg
	}
	return d, nil
}

// question asks until there is an answer, the plugin says something else, or no
// time is left for another try.
func (p *Plugin) question(ctx context.Context, method string, text []byte) (answer, error) {
	late := fmt.Errorf("no answer within %s: mend the plugin, or raise its timeout", p.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, late)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		raw, err := p.try(ctx, method, text)
		if err == nil {
			return parseAnswer(raw)
		}
		var broken *brokenError
		if !errors.As(err, &broken) || !sleep(ctx, wait) {
			return answer{}, err
		}
	}
}

// sleep waits, unless the deadline comes first.
func sleep(ctx context.Context, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// try asks once. After a connection failed the plugin is looked for anew: it may
// have moved.
func (p *Plugin) try(ctx context.Context, method string, text []byte) ([]byte, error) {
	e, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := e.post(ctx, method, text)
	var broken *brokenError
	if errors.As(err, &broken) && p.current.CompareAndSwap(e, nil) {
		e.close()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.at(), err)
	}
	return raw, nil
}

// connect gives the plugin's endpoint once it has said that it is an
// authorization plugin. One caller at a time looks for it, and each waits no
// longer than its own deadline.
func (p *Plugin) connect(ctx context.Context) (*endpoint, error) {
	if e := p.current.Load(); e != nil {
		return e, nil
	}
	select {
	case p.connecting <- struct{}{}:
		defer func() { <-p.connecting }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if e := p.current.Load(); e != nil {
		return e, nil
	}
	at, err := p.find()
	if err != nil {
		if errors.As(err, new(errMissing)) {
			err = &brokenError{err}
		}
		return nil, err
	}
	e, err := newEndpoint(at, p.timeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at.from, err)
	}
	raw, err := e.post(ctx, activate, nil)
	if err == nil {
		err = parseManifest(raw)
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("%s: handshake: %w", e.at(), err)
	}
	p.current.Store(e)
	return e, nil
}
