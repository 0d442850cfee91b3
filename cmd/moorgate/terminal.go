package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"go.uber.org/zap"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/authz/policy"
	"moorgate/proxy"
	"moorgate/proxy/http1"
	"moorgate/router"
	"moorgate/terminal"
)

// terminals is what a gate has for terminals in the browser: the server, and
// the connections inside this process by which its sessions reach the Engine.
// Those of sessions go the way of every caller, those that clean up what a
// session left behind work for users who may nothing any more.
type terminals struct {
	server  atomic.Pointer[terminal.Server] // nil until it is open
	denials *terminal.Denials
	state   string // the folder of what a crash would leave behind; "" for none

	session, cleanUp *inside
}

// inside is one way in from inside this process.
type inside struct {
	local     *proxy.Local
	server    *http1.Server
	forwarder *proxy.Forwarder
	handler   func(*graph) http.Handler
}

// prepare makes what requests from inside pass through.
func (t *terminals) prepare(g *gate) {
	t.denials = terminal.NewDenials(nil)
	t.session = &inside{
		local: proxy.NewLocal(), forwarder: proxy.Forward(g.pick, g.review),
		handler: func(gr *graph) http.Handler { return gr.session },
	}
	// What a session left behind is moorgate's to end: nobody reviews it.
	t.cleanUp = &inside{
		local: proxy.NewLocal(), forwarder: proxy.Forward(g.pick, func(context.Context, *router.Call, *http.Response) error { return nil }),
		handler: func(gr *graph) http.Handler { return gr.cleanUp },
	}
}

// close ends the connections from inside.
func (t *terminals) close() {
	for _, in := range []*inside{t.session, t.cleanUp} {
		if in != nil && in.server != nil {
			in.server.Close()
		}
	}
}

// terminals says whether a listener serves them.
func (c *Config) terminals() bool {
	return slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.serves("terminal") })
}

// openTerminals begins to serve the connections of sessions; the graph is in
// force already.
func (g *gate) openTerminals(c *Config, sinks []audit.Sink) error {
	for _, in := range []*inside{g.terminals.session, g.terminals.cleanUp} {
		in.server = &http1.Server{
			Handler: audit.Middleware("terminal", sinks...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				in.handler(g.graph.Load()).ServeHTTP(w, r)
			})),
			ConnContext: identity.ConnContext,
			Log:         func(err error) { g.log.Warn("connection of a terminal", zap.Error(err)) },
		}
		go in.server.Serve(in.local) //nolint:errcheck // ends with Close alone
	}
	g.terminals.state = g.stateDir(c)
	o := terminal.Options{
		Dial: g.terminals.session.local.Dial, CleanUp: g.terminals.cleanUp.local.Dial, State: g.terminals.state,
		May: g.may, Roles: g.roles, Known: func(who *identity.Identity) bool { return g.graph.Load().users.Known(who) },
		Engines: func() []string { return g.graph.Load().config.order }, Actions: policy.Actions(),
		Login: func(user, password, remote string) (*identity.Identity, error) {
			return g.graph.Load().users.Login(user, password, remote)
		},
		Token:  func(token string) (*identity.Identity, error) { return g.graph.Load().users.Token(token) },
		IsUser: func(name string) bool { _, is := g.graph.Load().config.Users[name]; return is },
		Links:  c.personal,
		OIDC:   issuer{g}, Denials: g.terminals.denials, Sinks: sinks, Log: g.log,
	}
	if c.Terminal != nil {
		o.Config = *c.Terminal
	}
	server, err := terminal.New(o)
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	g.terminals.server.Store(server)
	return nil
}

// may says whether who may do an action, as the configuration in force has it.
// A dry run denies nothing, but makes nobody the administrator of others'
// terminals.
func (g *gate) may(who *identity.Identity, action, engine string) bool {
	gr := g.graph.Load()
	return gr.config.DryRun && action != "terminal.admin" || gr.may(who, action, engine)
}

func (gr *graph) may(who *identity.Identity, action, engine string) bool {
	if engine == "" {
		engine = gr.config.order[0]
	}
	return gr.roles == nil || gr.roles.May(gr.users.Roles(who.User, who.Groups), action, engine)
}

func (g *gate) roles(who *identity.Identity) []string {
	return g.graph.Load().users.Roles(who.User, who.Groups)
}

// issuer is the one that the configuration in force has.
type issuer struct{ *gate }

func (i issuer) AuthURL(ctx context.Context, redirect, state, nonce, challenge string) (string, error) {
	return i.graph.Load().users.AuthURL(ctx, redirect, state, nonce, challenge)
}

func (i issuer) Redeem(ctx context.Context, redirect, code, verifier, nonce string) (*identity.Identity, error) {
	return i.graph.Load().users.Redeem(ctx, redirect, code, verifier, nonce)
}

// stateDir is where sessions are noted that a crash would leave behind: a
// folder of this configuration alone, below the one that systemd gives or that
// personal mode has.
func (g *gate) stateDir(c *Config) string {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	var err error
	if dir == "" {
		dir, err = runtimeDir()
	}
	if err == nil {
		sum := sha256.Sum256([]byte(c.file))
		dir = filepath.Join(dir, fmt.Sprintf("terminals-%x", sum[:6]))
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		g.log.Warn("terminals that a crash leaves behind will not be ended", zap.Error(err))
		return ""
	}
	return dir
}

// terminalsOpen counts a user's terminals.
func (g *gate) terminalsOpen(user string) int {
	if s := g.terminals.server.Load(); s != nil {
		return s.Terminals(user)
	}
	return 0
}

// inProcess makes the handlers for the connections of sessions.
func (g *gate) inProcess(made *graph) {
	known := identity.Require([]identity.Source{identity.Local(made.users)}, refuse)
	made.session = known(made.config.mux(made.chain, g.terminals.session.forwarder))
	made.cleanUp = known(made.config.mux(authz.New([]authz.Authorizer{cleaner{}}, authz.Options{}), g.terminals.cleanUp.forwarder))
}

// door is a listener as terminals know it.
func (l Listen) door(sources []identity.Source, api http.Handler) terminal.Listener {
	return terminal.Listener{Address: l.Address, TLS: l.TLS != nil, PublicURL: l.PublicURL, Sources: sources, API: api}
}

// cleaner allows what ending a session needs, and nothing else: to signal what
// was started in it, and to stop and remove what was made for it.
type cleaner struct{}

func (cleaner) Name() string { return "end of a session" }

func (c cleaner) Authorize(_ context.Context, _ identity.Identity, call *router.Call) (authz.Decision, error) {
	d := authz.Decision{Rule: c.Name()}
	d.Allow = slices.Contains(cleanerActions, call.Action)
	return d, nil
}

var cleanerActions = []string{
	"container.list", "container.inspect", "container.stop", "container.kill", "container.wait", "container.remove",
	"exec.create", "exec.start", "exec.inspect", "system.info", "system.version", "system.ping",
}

// revokeTerminals ends the sessions of those who may not have them any longer.
func (g *gate) revokeTerminals(gr *graph) {
	if s := g.terminals.server.Load(); s != nil {
		s.Revoke(func(who *identity.Identity, action, engine string) bool {
			return gr.users.Known(who) && g.may(who, action, engine)
		})
	}
}

// drainTerminals ends the sessions and then the connections that they used.
func (g *gate) drainTerminals(limit context.Context, message string) {
	if s := g.terminals.server.Load(); s != nil {
		s.Drain(limit, message)
		if g.terminals.state != "" { // nothing is left to be noted
			_ = os.Remove(filepath.Join(g.terminals.state, "lock"))
			_ = os.Remove(g.terminals.state)
		}
	}
	g.terminals.close()
}

// linkOnSignal prints a new link to the page whenever SIGUSR1 comes: the first
// one is used or too old by then.
func (g *gate) linkOnSignal(out io.Writer) (stop func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			if link := g.link(); link != "" {
				fmt.Fprintf(out, "Web page:     %s\n", link)
			}
		}
	}()
	return func() {
		signal.Stop(asked)
		close(asked)
	}
}

// link makes a one-time link to the page, in personal mode; "" where there is
// no page.
func (g *gate) link() string {
	s := g.terminals.server.Load()
	if s == nil || g.noPage {
		return ""
	}
	c := g.graph.Load().config
	at := slices.IndexFunc(c.Listen, func(l Listen) bool { return l.serves("terminal") })
	for name := range c.Users { // the only one
		return "http://" + strings.TrimPrefix(c.Listen[at].Address, "tcp://") + "/#code=" + s.Link(&identity.Identity{User: name, Method: "link"})
	}
	return ""
}

// checkTerminal notes what is wrong with terminals in doc.
func (c *Config) checkTerminal(doc *document) {
	if c.Terminal == nil {
		return
	}
	noteFaults(doc, "terminal", c.Terminal.Validate())
	if c.Terminal.Record == nil {
		return
	}
	for i, role := range c.Terminal.Record.Who {
		if _, ok := c.Roles[role]; !ok {
			doc.fault([]string{"terminal", "record", "who", strconv.Itoa(i)}, fmt.Sprintf("no role is called %q: write one of roles:, or add it there", role))
		}
	}
}

// terminalNotices say what of terminals has no effect.
func (c *Config) terminalNotices() []string {
	var notes []string
	if c.Terminal != nil && !c.terminals() {
		notes = append(notes, "terminal: has no effect: no listener has serve: [terminal]")
	}
	for i, l := range c.Listen {
		if l.serves("terminal") && l.PublicURL == "" && !loopbackAddress(l.Address) {
			notes = append(notes, fmt.Sprintf("listen.%d: refuses browsers: write public_url:, what they call it", i))
		}
	}
	return notes
}

func loopbackAddress(address string) bool {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp://"))
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// fixedTerminals says what of terminals cannot change while moorgate runs.
func fixedTerminals(old, c *Config) error {
	switch {
	case !old.terminals() && c.terminals():
		return errors.New("listen: restart to begin to serve terminals")
	case !reflect.DeepEqual(old.Terminal, c.Terminal):
		return errors.New("terminal: restart to change it")
	}
	return nil
}
