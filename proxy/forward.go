package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"moorgate/proxy/http1"
	"moorgate/router"
)

// Pick finds the engine that a call's /engines/NAME prefix means; "" is the
// default one.
type Pick func(name string) (*Engine, error)

// Forwarder is the router.Handler that carries calls to the engines.
type Forwarder struct {
	pick   Pick
	review Review

	mu   sync.Mutex
	live map[*live]struct{}
}

// live is an answer that lasts: a hijacked connection, or a stream that grows.
type live struct {
	ctx    context.Context // with the caller's identity
	call   *router.Call
	hijack *http1.Stream // nil for one that grows
	speaks bool          // a line can be said on it
	cut    func()
}

// Forward makes a Forwarder. Review may be nil.
func Forward(pick Pick, review Review) *Forwarder {
	return &Forwarder{pick: pick, review: review, live: map[*live]struct{}{}}
}

// ServeCall sends the call and relays the answer.
func (f *Forwarder) ServeCall(w http.ResponseWriter, r *http.Request, c *router.Call) error {
	e, err := f.pick(c.Engine)
	if err != nil {
		return err
	}
	if err := e.tooNew(c.Version); err != nil {
		return err
	}
	ctx := r.Context()
	req, err := c.Request(ctx)
	if err != nil {
		return err
	}
	hijack := c.Route.Reply == router.Hijack || c.Route.Reply == router.H2C
	cut := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) }
	a, err := e.transport.Send(req, hijack, cut)
	if err != nil {
		return e.away(ctx, err)
	}
	if a.Raw != nil {
		return f.relay(w, r, c, e, a)
	}
	if f.review != nil && c.Route.Reply <= router.Stream {
		if err := f.review(ctx, c, a.Response); err != nil {
			a.Close()
			return err
		}
	}
	passHeader(w, a.Header)
	if hijack && c.Upgrade != "" {
		// What the caller sends now is meant for a stream, not for another request.
		w.Header()["Connection"] = []string{"close"}
	}
	if c.Route.Reply != router.Stream {
		return answer(w, c, e, a)
	}
	c = kept(c)
	untrack := f.track(&live{ctx: ctx, call: c, cut: a.Cut})
	return goOn(w, c.Route.Lasts, func() error {
		defer untrack()
		return answer(w, c, e, a)
	})
}

// answer relays an answer, from its status on, and closes it.
func answer(w http.ResponseWriter, c *router.Call, e *Engine, a *http1.Answer) error {
	defer a.Close()
	isReplaced := a.Replaced()
	if isReplaced {
		delete(w.Header(), "Content-Length")
		defer a.Body.Close()
	}
	w.WriteHeader(a.StatusCode)
	a.Header, a.Request = nil, nil // passed on, and a stream may last
	var err error
	if isReplaced {
		err = replaced{a.Body, c.Route.Reply == router.Stream}.copyTo(w, flusher(w))
	} else {
		err = a.CopyTo(w, flusher(w))
	}
	if err != nil {
		return &router.Broken{Err: fmt.Errorf("engine %s: %w", e.Name, err)}
	}
	addTrailers(w.Header(), a.Trailer)
	return nil
}

// addTrailers is not inlined: answer's frame waits along with a stream, and going
// through a map takes half of one.
//
//go:noinline
func addTrailers(to, from http.Header) {
	for key, values := range from {
		to[http.TrailerPrefix+key] = values
	}
}

// kept is as much of a call as is wanted of one whose answer lasts: what the
// caller wrote need not wait along.
func kept(c *router.Call) *router.Call {
	return &router.Call{Route: c.Route, Action: c.Action, Engine: c.Engine, Version: c.Version}
}

// flusher gives what flushes w, without the search for it that each Flush of an
// http.ResponseController is.
func flusher(w http.ResponseWriter) func() error {
	if f, ok := w.(interface{ FlushError() error }); ok {
		return f.FlushError
	}
	return http.NewResponseController(w).Flush
}

// goOn does what may last: where the server can, once all handlers have
// returned, whose stacks and requests need not wait along.
func goOn(w http.ResponseWriter, lasts bool, do func() error) error {
	k, ok := w.(interface{ Continue(func() error) bool })
	if lasts && ok && k.Continue(do) {
		return nil
	}
	return do()
}

// staysHere are the fields of an answer that the caller does not get: what the
// Engine says of its connection to moorgate, and what only moorgate may say.
var staysHere = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Moorgate-Request-Id"}

// passHeader takes over what else the Engine says; h is not to be used any more.
func passHeader(w http.ResponseWriter, h http.Header) {
	for _, key := range staysHere {
		delete(h, key)
	}
	k, ok := w.(interface{ TakeHeader(http.Header) bool })
	if !ok || !k.TakeHeader(h) {
		maps.Copy(w.Header(), h)
	}
}

// counter is a ResponseWriter that wants to know what a hijacked stream
// carried.
type counter interface{ CountHijacked(in, out int64) }

// relay joins the caller's connection with the Engine's.
func (f *Forwarder) relay(w http.ResponseWriter, r *http.Request, c *router.Call, e *Engine, a *http1.Answer) error {
	extra := http.Header{}
	if id := w.Header()["Moorgate-Request-Id"]; id != nil {
		extra["Moorgate-Request-Id"] = id
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		a.Raw.Close()
		return fmt.Errorf("taking over the caller's connection: %w", err)
	}
	w.WriteHeader(a.StatusCode) // for the record; the head itself is the Engine's
	s := http1.NewStream(conn, a.Raw)
	s.Near = isLocal(conn)
	kind := a.Header.Get("Content-Type")
	s.Framed = strings.HasPrefix(kind, "application/vnd.docker.multiplexed-stream")
	speaks := s.Framed || c.Body.Root().Get("Tty").Bool() || e.tellsTTY(c, kind)
	untrack := f.track(&live{ctx: r.Context(), call: kept(c), hijack: s, speaks: speaks, cut: s.Close})
	if err := s.Answer(a, extra); err != nil {
		untrack()
		s.Close()
		return &router.Broken{Err: err}
	}
	return goOn(w, true, func() error {
		defer untrack()
		in, out := s.Run()
		if k, ok := w.(counter); ok {
			k.CountHijacked(in, out)
		}
		return nil
	})
}

// tellsTTY says whether the Engine's content type for a stream means a
// terminal: since API 1.42 what has none is framed and says so.
func (e *Engine) tellsTTY(c *router.Call, kind string) bool {
	version := c.Version
	if version == "" {
		version = e.Newest()
	}
	return c.Upgrade == "tcp" && kind == "application/vnd.docker.raw-stream" && version != "" && !router.Older(version, "1.42")
}

// track keeps l until what it gives is called.
func (f *Forwarder) track(l *live) (untrack func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live[l] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.live, l)
	}
}

// lasts says whether the answer would not end by itself.
func (l *live) lasts() bool { return l.hijack != nil || l.call.Route.Lasts }

// Drain tells the hijacked streams that can be spoken on that they will end,
// and cuts them, and the answers that may go on for ever, once limit is done.
// It goes on with that until over is done: answers under way may yet become
// streams.
func (f *Forwarder) Drain(limit, over context.Context, message string) {
	f.each(func(l *live) {
		if l.speaks {
			go func() { _ = l.hijack.Say(message) }() // one who cannot be told is cut all the same
		}
	})
	select {
	case <-limit.Done():
	case <-over.Done():
		return
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		f.each(func(l *live) {
			if l.lasts() {
				l.cut()
			}
		})
		select {
		case <-over.Done():
			return
		case <-tick.C:
		}
	}
}

// sayTime is what saying why may take before a stream is cut.
const sayTime = time.Second

// Revoke cuts the streams, hijacked ones and those that grow, that keep does
// not let go on, with a word to those that can be spoken on, and says how many.
// Of the call keep is shown the route, action, engine and version.
func (f *Forwarder) Revoke(message string, keep func(context.Context, *router.Call) bool) int {
	n := 0
	f.each(func(l *live) {
		if keep(l.ctx, l.call) {
			return
		}
		n++
		go func() {
			if l.speaks { // one who takes nothing cannot be told, and must not stay for that
				late := time.AfterFunc(sayTime, l.cut)
				_ = l.hijack.Say(message)
				late.Stop()
			}
			l.cut()
		}()
	})
	return n
}

func (f *Forwarder) each(do func(*live)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.live {
		do(l)
	}
}

// PickFrom makes a Pick of engines; the first is the default.
func PickFrom(engines []*Engine) Pick {
	return func(name string) (*Engine, error) {
		for _, e := range engines {
			if e.Name == name || name == "" {
				return e, nil
			}
		}
		if len(engines) == 0 {
			return nil, errors.New("no engine is configured")
		}
		return nil, &router.Error{Status: http.StatusNotFound, Message: fmt.Sprintf(
			"moorgate: no engine is called %.64q: leave /engines/NAME out for %s, or mend the name", name, engines[0].Name)}
	}
}
