package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/authz/owner"
	"moorgate/proxy"
	"moorgate/proxy/http1"
	"moorgate/router"
	"moorgate/terminal"
)

// serve runs moorgate until a signal ends it.
func serve(ctx context.Context, file string, out io.Writer) error {
	tuneCollector() // first, as it stops whatever runs
	go routes()     // beside the reading of the configuration
	c := &Config{}
	var err error
	if file == "" {
		c, err = personal()
	} else {
		c, err = loadConfig(file)
	}
	if err != nil {
		return err
	}
	log, err := c.Log.open()
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // standard error cannot be synced everywhere

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	for _, note := range c.notices() {
		log.Warn(note)
	}
	g, err := open(c, log)
	if err != nil {
		return err
	}
	if c.personal {
		greet(out, c, g.link())
		defer g.linkOnSignal(out)()
	}
	if file != "" {
		watching, stopWatching := context.WithCancel(ctx)
		defer stopWatching()
		go g.watchConfig(watching, file)
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	select {
	case s := <-signals:
		log.Info("going down", zap.String("signal", s.String()), zap.Duration("drain", c.drain()))
	case err := <-g.failed:
		log.Error("going down", zap.Error(err))
		defer func() { os.Exit(exitFailed) }()
	case <-ctx.Done():
	}
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	go func() {
		<-signals
		log.Warn("second signal: cutting what is left")
		g.close()
		os.Exit(exitFailed)
	}()
	g.drain(c.drain())
	return nil
}

// gate is a running moorgate.
type gate struct {
	log       *zap.Logger
	bound     []net.Listener // all that were opened; their servers close them, too
	servers   []*http1.Server
	forwarder *proxy.Forwarder
	metrics   *audit.Metrics
	audit     *audit.Log // nil without a file
	failed    chan error
	noPage    bool // personal mode's port is taken

	memory    *owner.Memory // of whose things are, beyond a reload
	terminals terminals
	graph     atomic.Pointer[graph]
}

// graph is all that the configuration decides beside the open sockets; a
// reload puts another in its place.
type graph struct {
	*judging
	config   *Config
	users    *identity.Directory
	engines  []*proxy.Engine
	handlers map[string]http.Handler // by the listener's address
	session  http.Handler            // for the connections of terminals
	cleanUp  http.Handler            // for those that end what a terminal left behind
	stop     context.CancelFunc      // ends the health checks and the watching of events
}

// open builds everything and begins to serve.
func open(c *Config, log *zap.Logger) (*gate, error) {
	g := &gate{log: log, failed: make(chan error, len(c.Listen)), metrics: audit.NewMetrics(), memory: owner.NewMemory()}
	sinks := []audit.Sink{g.metrics}
	if c.Audit.File != "" {
		l, err := audit.NewLog(c.Audit, log)
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		g.audit = l
		sinks = append(sinks, l)
	}
	g.forwarder = proxy.Forward(g.pick, g.review)
	g.terminals.prepare(g)
	sinks = append(sinks, g.terminals.denials)
	made, err := g.build(c)
	if err != nil {
		g.close()
		return nil, err
	}
	bound, err := g.bind(c) // first: whose socket is in use need not read of anything else
	if err != nil {
		g.close()
		return nil, err
	}
	g.swap(made)
	if c.terminals() {
		if err := g.openTerminals(c, sinks); err != nil {
			g.close()
			return nil, err
		}
	}
	if err := g.doors(made); err != nil {
		g.close()
		return nil, err
	}
	for i, l := range c.Listen {
		g.listen(l, bound[i], audit.Middleware(l.Address, sinks...))
	}
	return g, nil
}

// build makes a graph, in the order in which a request travels. Nothing is in
// force before it is swapped in.
func (g *gate) build(c *Config) (*graph, error) {
	made := &graph{config: c, handlers: map[string]http.Handler{}}
	var err error
	if made.users, err = identity.New(c.Config, func(err error) { g.log.Warn("identity", zap.Error(err)) }); err != nil {
		return nil, err
	}
	for _, name := range c.order {
		e, err := proxy.NewEngine(name, c.Engines[name])
		if err != nil {
			return nil, err
		}
		made.engines = append(made.engines, e)
	}
	made.judging, err = c.chain(judges{
		engines: lookups{proxy.PickFrom(made.engines)}, observe: g.metrics.PluginSeconds,
		terminals: g.terminalsOpen, memory: g.memory, log: g.log,
	})
	if err != nil {
		return nil, err
	}
	g.inProcess(made)
	return made, nil
}

// doors makes what each listener serves.
func (g *gate) doors(made *graph) error {
	mux := made.config.mux(made.chain, g.forwarder)
	for _, l := range made.config.Listen {
		sources, err := made.users.Sources(l.Identify)
		if err != nil {
			return err
		}
		var api http.Handler
		if l.serves("terminal") {
			api, err = g.terminals.server.Load().Handler(l.door(sources, mux))
		} else {
			api, err = terminal.Guard(l.door(sources, nil), identity.Require(sources, refuse)(mux))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.Address, err)
		}
		made.handlers[l.Address] = g.dispatch(l, api)
	}
	return nil
}

// mux answers the Engine's API as the chain allows.
func (c *Config) mux(chain *authz.Chain, next router.Handler) *router.Mux {
	mux := *routes()
	mux.Next, mux.Found, mux.Fail = chain.Middleware(next), c.found, audit.Fail
	return &mux
}

// routes is the table made ready, which takes a millisecond.
var routes = sync.OnceValue(func() *router.Mux { return router.NewMux(router.Table(), nil) })

// swap puts a graph in force.
func (g *gate) swap(made *graph) {
	ctx, stop := context.WithCancel(context.Background())
	made.stop = stop
	for _, e := range made.engines {
		go e.Watch(ctx, g.engineChanged)
	}
	if made.owner != nil {
		go made.owner.Run(ctx)
	}
	g.metrics.Configured(made.config.sum)
	if old := g.graph.Swap(made); old != nil {
		old.close()
	}
}

// close ends what only this graph used; answers that are under way go on.
func (gr *graph) close() {
	if gr.stop != nil {
		gr.stop()
	}
	for _, e := range gr.engines {
		e.Close()
	}
	for _, p := range gr.plugins {
		p.Close()
	}
}

func (g *gate) pick(name string) (*proxy.Engine, error) {
	return proxy.PickFrom(g.graph.Load().engines)(name)
}

func (g *gate) review(ctx context.Context, call *router.Call, resp *http.Response) error {
	return g.graph.Load().chain.Review(ctx, call, resp)
}

// refuse answers a caller whom nobody knows.
func refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	audit.Fail(w, r, &router.Error{Status: status, Message: message})
}

// bind opens the sockets of all listeners, in their order. Callers wait until
// they are served.
func (g *gate) bind(c *Config) (all [][]net.Listener, err error) {
	for _, l := range c.Listen {
		listeners, err := proxy.Listen(l.ListenConfig)
		switch {
		case err == nil:
			g.bound = append(g.bound, listeners...)
		case c.personal && l.serves("terminal"):
			g.log.Warn("the web page is not served", zap.Error(err))
			g.noPage = true
		default:
			return nil, err
		}
		all = append(all, listeners)
	}
	return all, nil
}

// listen begins to serve one listener.
func (g *gate) listen(l Listen, listeners []net.Listener, record func(http.Handler) http.Handler) {
	server := &http1.Server{
		Handler: record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.graph.Load().handlers[l.Address].ServeHTTP(w, r)
		})),
		ConnContext: identity.ConnContext,
		Log:         func(err error) { g.log.Warn("connection", zap.String("listener", l.Address), zap.Error(err)) },
		Refuse: func(status int, reason string) http.Handler {
			return record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				refuse(w, r, status, reason)
			}))
		},
	}
	g.servers = append(g.servers, server)
	for _, nl := range listeners {
		go func() {
			if err := server.Serve(nl); !errors.Is(err, http1.ErrClosed) {
				g.failed <- fmt.Errorf("serving %s: %w", l.Address, err)
			}
		}()
	}
}

// dispatch sends each request of a listener to what it serves.
func (g *gate) dispatch(l Listen, api http.Handler) http.Handler {
	admin := map[string]http.Handler{
		"/healthz": http.HandlerFunc(g.healthz),
		"/readyz":  http.HandlerFunc(g.readyz),
		"/metrics": g.metrics.Handler(),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := admin[r.URL.Path]; h != nil && l.serves("admin") {
			audit.From(r.Context()).Action = adminActions[r.URL.Path]
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				refuse(w, r, http.StatusNotFound, "page not found")
				return
			}
			h.ServeHTTP(w, r)
			return
		}
		if l.serves("api") || l.serves("terminal") {
			api.ServeHTTP(w, r)
			return
		}
		refuse(w, r, http.StatusNotFound, "page not found")
	})
}

var adminActions = map[string]string{"/healthz": "admin.health", "/readyz": "admin.health", "/metrics": "admin.metrics"}

func (g *gate) healthz(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

// readyz asks every Engine something that it can only answer while it works.
func (g *gate) readyz(w http.ResponseWriter, r *http.Request) {
	engines := g.graph.Load().engines
	faults := make([]error, len(engines))
	var all sync.WaitGroup
	for i, e := range engines {
		all.Go(func() { faults[i] = e.Ready(r.Context()) })
	}
	all.Wait()
	for _, err := range faults {
		if err != nil {
			audit.Fail(w, r, &router.Error{Status: http.StatusServiceUnavailable, Message: "moorgate: " + err.Error()})
			return
		}
	}
	_, _ = io.WriteString(w, "ready\n")
}

func (g *gate) engineChanged(e *proxy.Engine, err error) {
	g.metrics.EngineUp(e.Name, err == nil)
	if err != nil {
		g.log.Warn("engine is away", zap.String("engine", e.Name), zap.Error(err))
		return
	}
	g.log.Info("engine is up", zap.String("engine", e.Name), zap.String("address", e.Address), zap.String("api", e.Newest()))
}

// finiteTime bounds what ends by itself, a pull or a build, after SIGTERM.
const finiteTime = 10 * time.Minute

// drain takes no new requests, lets finite ones end and gives streams some
// time, with a word to those who can read it.
func (g *gate) drain(limit time.Duration) {
	streams, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	finite, cancelFinite := context.WithTimeout(context.Background(), max(finiteTime, limit))
	defer cancelFinite()
	over, done := context.WithCancel(context.Background())
	message := fmt.Sprintf("moorgate: going down, this connection ends in %s", limit)
	go g.forwarder.Drain(streams, over, message)
	var all sync.WaitGroup
	all.Go(func() { g.drainTerminals(streams, message) })
	for _, s := range g.servers {
		all.Go(func() {
			if err := s.Shutdown(finite); err != nil {
				s.Close()
			}
		})
	}
	all.Wait()
	done()
	g.settle()
	g.close()
}

// settleTime is what handlers that were cut get to write their records.
const settleTime = 2 * time.Second

func (g *gate) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	for _, s := range g.servers {
		_ = s.Shutdown(ctx) // cut already: only to wait
	}
}

// close ends everything at once; records that wait are written.
func (g *gate) close() {
	for _, s := range g.servers {
		s.Close()
	}
	for _, l := range g.bound {
		_ = l.Close() // a server may have closed it
	}
	g.terminals.close()
	if gr := g.graph.Load(); gr != nil {
		gr.close()
	}
	if g.audit != nil {
		ctx, cancel := context.WithTimeout(context.Background(), settleTime)
		defer cancel()
		if err := g.audit.Close(ctx); err != nil {
			g.log.Warn("closing the audit log", zap.Error(err))
		}
	}
}
