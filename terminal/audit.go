package terminal

import (
	"net/http"
	"sync"
	"time"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// resizeEvery is how often resizing one session is recorded at most: dragging a
// window sends dozens a second.
const resizeEvery = 10 * time.Second

// chronicle turns what happens to sessions into audit records.
type chronicle struct {
	sinks  []audit.Sink
	engine func(string) string // the name of an engine; "" is the default one
	now    func() time.Time

	mu      sync.Mutex
	resized map[string]time.Time // by session
}

func newChronicle(sinks []audit.Sink, engine func(string) string, now func() time.Time) *chronicle {
	return &chronicle{sinks: sinks, engine: engine, now: now, resized: map[string]time.Time{}}
}

// Event records what happened to a session.
func (c *chronicle) Event(e Event) {
	now := c.now()
	id := e.Session.ID()
	r := &audit.Record{
		Time: now, Engine: c.engine(e.Session.Engine()), Action: actionOpen, Decision: audit.Allow,
		Session: id, Event: audit.Event(e.Kind), Recording: e.Recording, ExitCode: e.ExitCode, Reason: e.Reason, Remote: e.Remote,
	}
	identify(r, e.Who)
	switch r.Event {
	case audit.EventAttach:
		r.Reason = e.Role.String()
	case audit.EventDetach:
		r.Duration = now.Sub(e.Since)
	case audit.EventResize:
		if !c.due(id, now) {
			return
		}
	case audit.EventKill:
		if e.Reason == ReasonAdmin {
			r.Action = actionAdmin
		}
		if e.By != "" && e.By != r.User {
			r.User, r.Groups, r.Evidence = e.By, nil, ""
		}
	case audit.EventClose:
		r.Duration = now.Sub(e.Session.began)
		c.mu.Lock()
		delete(c.resized, id)
		c.mu.Unlock()
	}
	r.Emit(c.sinks...)
}

// due says whether resizing is to be recorded again.
func (c *chronicle) due(session string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.resized[session]; ok && now.Sub(at) < resizeEvery {
		return false
	}
	c.resized[session] = now
	return true
}

// shared records that a session's user, or an administrator, made a ticket.
func (s *Server) shared(r *http.Request, session *Session, who *identity.Identity, role Role, user string) {
	request := audit.From(r.Context())
	rec := &audit.Record{
		ID: request.ID, Listener: request.Listener, Remote: request.Remote, Engine: s.engineName(session.Engine()), Action: actionShare,
		Decision: audit.Allow, Session: session.ID(), Event: audit.EventShare, Reason: role.String() + " for " + user,
	}
	identify(rec, who)
	rec.Emit(s.options.Sinks...)
}

func identify(r *audit.Record, who *identity.Identity) {
	if who != nil {
		r.User, r.Groups, r.Evidence = who.User, who.Groups, who.Method
	}
}
