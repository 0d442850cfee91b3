package terminal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// Actions that the server asks for itself; what a session does on an Engine is
// judged there.
const (
	actionOpen   = "terminal.open"
	actionShare  = "terminal.share"
	actionRecord = "terminal.record"
	actionAdmin  = "terminal.admin"
)

// Bounds of what people send each other.
const (
	maxLine      = 1000 // bytes
	messageBurst = 10
	messageEvery = 2 * time.Second
)

// socketRoutes are the requests below /api/terminal/.
func (s *Server) socketRoutes() []route {
	return []route{
		{"POST /api/terminal/sessions", actionOpen, s.openSession},
		{"GET /api/terminal/sessions", actionOpen, s.listSessions},
		{"GET /api/terminal/sessions/{id}", actionOpen, s.showSession},
		{"DELETE /api/terminal/sessions/{id}", actionOpen, s.endSession},
		{"POST /api/terminal/sessions/{id}/tickets", actionOpen, s.giveTicket},
		{"POST /api/terminal/sessions/{id}/message", actionOpen, s.sendMessage},
		{"GET /api/terminal/recordings", actionRecord, s.listRecordings},
		{"GET /api/terminal/recordings/{file}", actionRecord, s.sendRecording},
		{"DELETE /api/terminal/recordings/{file}", actionRecord, s.removeRecording},
		{"GET /api/terminal/socket", actionOpen, s.serveSocket},
		{"GET /api/terminal/raw", actionOpen, s.serveRaw},
		{"GET /api/terminal/json", actionOpen, s.serveJSON},
	}
}

// may refuses who lacks a right.
func (s *Server) may(who *identity.Identity, action, engine string) error {
	engine = s.engineName(engine)
	if s.options.May(who, action, engine) {
		return nil
	}
	no := newError(http.StatusForbidden, "ask for "+action+" in the allow list of one of your roles",
		"moorgate: %s may not %s on engine %s", who.User, action, engine)
	no.Rule = "no role"
	if roles := s.options.Roles(who); len(roles) > 0 {
		no.Rule = "role " + strings.Join(roles, ", ")
	}
	return no
}

// engineName is the engine that a name stands for: "" for the default one.
func (s *Server) engineName(name string) string {
	if all := s.options.Engines(); name == "" && len(all) > 0 {
		return all[0]
	}
	return name
}

// mayAnywhere says whether who has one of the rights on any engine.
func (s *Server) mayAnywhere(who *identity.Identity, actions ...string) bool {
	return slices.ContainsFunc(s.options.Engines(), func(engine string) bool {
		return slices.ContainsFunc(actions, func(action string) bool { return s.options.May(who, action, engine) })
	})
}

// modeActions are the rights on the Engine without which a session of that mode
// is none.
var modeActions = map[string]string{ModeExec: "exec.create", ModeAttach: "container.attach", ModeRun: "container.create"}

// access is what a caller may do with a session.
type access struct {
	*Session
	role  Role // 0: no more than an administrator may
	admin bool
}

// find gives the session of the request's path as who may see it. To all others
// it looks as one that there is not.
func (s *Server) find(r *http.Request, who *identity.Identity) (access, error) {
	return s.findID(r.PathValue("id"), who)
}

func (s *Server) findID(id string, who *identity.Identity) (access, error) {
	gone := newError(http.StatusNotFound, "", "No such session: %s", plainLine(cutText(id, 64)))
	session, ok := s.manager.Get(id)
	if !ok {
		return access{}, gone
	}
	a := access{Session: session, admin: s.options.May(who, actionAdmin, s.engineName(session.Engine()))}
	if session.Who().User == who.User {
		a.role = RoleOwner
	} else {
		a.role = s.shares.role(id, who.User)
	}
	if a.role == 0 && !a.admin {
		return access{}, gone
	}
	return a, nil
}

// control gives the session of the request's path if who may end it and speak
// in it, which its user may and administrators.
func (s *Server) control(r *http.Request, who *identity.Identity) (access, error) {
	a, err := s.find(r, who)
	if err != nil {
		return a, err
	}
	rec := audit.From(r.Context())
	rec.Session, rec.Engine = a.ID(), s.engineName(a.Engine())
	if a.role == RoleOwner {
		return a, nil
	}
	rec.Action = actionAdmin
	return a, s.may(who, actionAdmin, a.Engine())
}

// opened is the answer to who opened a session.
type opened struct {
	ID        string `json:"id"`
	Ticket    string `json:"ticket"`
	Socket    string `json:"socket"` // path of the websocket, from the root of the site
	ExpiresIn int    `json:"expires_in"`
}

func (s *Server) openSession(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	spec, err := readSpec(r)
	if err != nil {
		return err
	}
	session, err := s.open(r, who, spec)
	if err != nil {
		return err
	}
	ticket, err := s.ticket(grant{User: who.User, Session: session.ID(), Role: RoleOwner})
	if err != nil {
		return err
	}
	w.Header().Set("Location", base(r)+"/api/terminal/sessions/"+session.ID())
	send(w, http.StatusCreated, opened{session.ID(), ticket, socketPath(r, session.ID()), int(ticketLife.Seconds())})
	return nil
}

// open starts a session, if who has the rights to terminals; the rest is judged
// by what it does.
func (s *Server) open(r *http.Request, who *identity.Identity, spec Spec) (*Session, error) {
	rec := audit.From(r.Context())
	rec.Engine = s.engineName(spec.Engine)
	if spec.Container != "" {
		rec.AddRef("container", spec.Container)
	}
	if spec.Image != "" {
		rec.AddRef("image", spec.Image)
	}
	if !slices.Contains(s.options.Engines(), rec.Engine) {
		return nil, newError(http.StatusNotFound, "GET /api/me lists the engines", "no such engine: %s", plainLine(cutText(rec.Engine, 64)))
	}
	if err := s.may(who, actionOpen, spec.Engine); err != nil {
		return nil, err
	}
	if spec.Record != nil && *spec.Record {
		if err := s.may(who, actionRecord, spec.Engine); err != nil {
			return nil, err
		}
	}
	session, err := s.manager.Open(r.Context(), who, spec)
	if err != nil {
		return nil, err
	}
	rec.Session = session.ID()
	return session, nil
}

func socketPath(r *http.Request, session string) string {
	return base(r) + "/api/terminal/socket?session=" + url.QueryEscape(session)
}

// listed is a session as it is shown to a caller.
type listed struct {
	Info
	Role string `json:"role"` // the caller's; "" for an administrator who was not invited
}

func (a access) listed() listed {
	l := listed{Info: a.Info()}
	if a.role != 0 {
		l.Role = a.role.String()
	}
	return l
}

func (s *Server) listSessions(w http.ResponseWriter, _ *http.Request, who *identity.Identity) error {
	if !s.mayAnywhere(who, actionOpen, actionAdmin) {
		return s.may(who, actionOpen, "")
	}
	list := []listed{}
	for _, session := range s.manager.List() {
		if a, err := s.findID(session.ID(), who); err == nil {
			list = append(list, a.listed())
		}
	}
	send(w, http.StatusOK, list)
	return nil
}

func (s *Server) showSession(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	a, err := s.find(r, who)
	if err != nil {
		return err
	}
	send(w, http.StatusOK, a.listed())
	return nil
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	message := ""
	if err := readObject(r, map[string]any{"reason": &message}); err != nil {
		return err
	}
	query, err := readQuery(r, []string{"reason"})
	if err != nil {
		return err
	}
	if q := query.Get("reason"); q != "" {
		message = q
	}
	a, err := s.control(r, who)
	if err != nil {
		return err
	}
	message = plainLine(cutText(message, maxLine))
	if a.role == RoleOwner {
		a.End(ReasonKilled, who.User, message)
	} else {
		a.End(ReasonAdmin, who.User, message)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) sendMessage(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	text := ""
	if err := readObject(r, map[string]any{"text": &text}); err != nil {
		return err
	}
	if text = plainLine(text); text == "" || len(text) > maxLine {
		return newError(http.StatusBadRequest, `send {"text":"..."} with 1 to 1000 bytes`, "text has %d bytes", len(text))
	}
	a, err := s.control(r, who)
	if err != nil {
		return err
	}
	if wait := s.messages.take(who.User, s.options.Now()); wait > 0 {
		return &identity.Refusal{Status: http.StatusTooManyRequests, Message: "moorgate: too many messages: wait a moment", RetryAfter: wait}
	}
	a.Message(who.User, text)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// plainLine makes a text from outside one line without control characters, and
// without marks that turn the direction of what stands around it.
func plainLine(s string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if c == utf8.RuneError || unicode.IsControl(c) || unicode.Is(unicode.Cf, c) && c != '\u200d' || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, " ")))
}
