package terminal

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"moorgate/authz/identity"
)

// ManagerOptions are what a Manager needs.
type ManagerOptions struct {
	Config Config // complete

	// Dial connects to the API, as who.
	Dial func(ctx context.Context, who *identity.Identity) (net.Conn, error)
	// CleanUp connects to the API to end what a session of who left behind: it
	// must work for a user whose rights were withdrawn. nil means Dial.
	CleanUp func(ctx context.Context, who *identity.Identity) (net.Conn, error)
	// Roles gives the roles of who; nil means those in the identity.
	Roles func(who *identity.Identity) []string
	// Engines lists the engines; the first is the default. nil means one.
	Engines func() []string
	// State is a folder for what must be ended after a crash; "" for none. Only
	// one Manager may use it at a time.
	State string
	// Event is told what happens to sessions, for the audit; it may not block.
	// nil for nobody.
	Event func(Event)
	Log   *zap.Logger
	Now   func() time.Time
}

// Event is something that happened to a session.
type Event struct {
	Session    *Session
	Kind       string             // open, attach, detach, resize, kill, close
	Who        *identity.Identity // who did it; the session's user where nobody did
	By         string             // kill, close: who ended it, as Exit has it
	Attachment string             // attach, detach
	Role       Role               // attach, detach
	Remote     string             // attach, detach
	Since      time.Time          // detach: when they attached
	Cols, Rows uint16             // resize
	Reason     string             // detach, kill, close
	ExitCode   *int               // close
	Recording  string             // open, close: the recording's id; "" for none
}

// Manager has the sessions of all users.
type Manager struct {
	o     ManagerOptions
	state *stateDir
	tapes *Recordings // nil for none
	stop  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	sessions map[string]*Session
	users    map[string]map[*Session]bool // the same, by their users
	closed   bool
}

// NewManager makes a Manager, and ends what an earlier one left behind as soon
// as the Engine can be reached.
func NewManager(o ManagerOptions) (*Manager, error) {
	if o.CleanUp == nil {
		o.CleanUp = o.Dial
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Manager{o: o, sessions: map[string]*Session{}, users: map[string]map[*Session]bool{}, stop: make(chan struct{})}
	var err error
	if m.state, err = openState(o.State); err != nil {
		return nil, err
	}
	if r := o.Config.Record; r != nil {
		if m.tapes, err = openRecordings(r.Dir, o.Now); err != nil {
			m.state.close()
			return nil, err
		}
	}
	go m.sweep()
	go m.watch()
	return m, nil
}

func (m *Manager) now() time.Time { return m.o.Now() }

func (m *Manager) log(what string, s *Session, err error) {
	m.o.Log.Warn(what, zap.String("session", s.id), zap.String("user", s.who.User), zap.Error(err))
}

// limits are those that clients are told.
func (m *Manager) limits() Limits {
	c := m.o.Config
	return Limits{Grace: int(c.Grace.Seconds()), Idle: int(c.Idle.Seconds()), Max: int(c.Max.Seconds()), Stdin: maxStdin}
}

// Open starts a session for who. Refusals are *Error. It waits for an owner to
// attach as long as for one that comes back. An image that must be pulled first
// is not waited for.
func (m *Manager) Open(ctx context.Context, who *identity.Identity, spec Spec) (*Session, error) {
	spec, err := spec.complete()
	if err != nil {
		return nil, err
	}
	name, err := m.engineOf(&spec)
	if err != nil {
		return nil, err
	}
	must, want, err := m.records(who, spec)
	if err != nil {
		return nil, err
	}
	now, caller := m.now(), *who
	caller.Session = newID()
	s := &Session{
		m: m, id: caller.Session, marker: newID(), who: who, spec: spec, began: now, active: now, away: now,
		engine: newEngine(func(ctx context.Context) (net.Conn, error) { return m.o.Dial(ctx, &caller) }, name),
		room:   make(chan struct{}, 1), done: make(chan struct{}),
		state: StateStarting,
	}
	s.buffer.keep = int(m.o.Config.Scrollback)
	s.size.want = cells{spec.Cols, spec.Rows}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := m.admit(s); err != nil {
		s.cancel()
		return nil, err
	}
	if want {
		s.record, err = m.tapes.start(s, must)
		if err != nil {
			m.log("starting a recording", s, err)
			err = newError(http.StatusServiceUnavailable, "tell an administrator", "this terminal must be recorded, and the recording cannot be written")
			if !must {
				err.(*Error).Message, err.(*Error).Hint = "the recording cannot be written", "open the terminal without one"
			}
		}
	}
	if err == nil {
		err = s.open(ctx)
	}
	if err != nil {
		m.abandon(s, err)
		return nil, err
	}
	s.engine.close() // a session that waits holds one connection
	s.event(Event{Kind: "open", Recording: s.record.ID()})
	return s, nil
}

// abandon forgets a session that was not opened.
func (m *Manager) abandon(s *Session, err error) {
	m.forget(s)
	s.mu.Lock()
	s.state = StateEnded
	s.mu.Unlock()
	s.tidy()
	s.cancel()
	s.engine.close()
	s.m.state.remove(s)
	if s.record != nil {
		s.record.discard()
	}
	close(s.done)
}

// engineOf checks the engine that a Spec names, and names the one that is meant.
// The default one is reached without a name.
func (m *Manager) engineOf(spec *Spec) (prefix string, err error) {
	if m.o.Engines == nil {
		return spec.Engine, nil
	}
	all := m.o.Engines()
	switch i := slices.Index(all, spec.Engine); {
	case spec.Engine == "" && len(all) > 0:
		spec.Engine = all[0]
		return "", nil
	case i < 0:
		return "", newError(http.StatusNotFound, "", "no such engine: %s", line(spec.Engine))
	case i == 0:
		return "", nil
	}
	return spec.Engine, nil
}

// admit counts a session in, or refuses it.
func (m *Manager) admit(s *Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return newError(http.StatusServiceUnavailable, "try again in a minute", "moorgate is going down")
	}
	mine := m.liveOf(s.who.User)
	if most := m.o.Config.PerUser; most > 0 && len(mine) >= most {
		if m.o.Config.WhenFull != whenFullReplace {
			return newError(http.StatusTooManyRequests, "end one of them", "you have %d terminals open, which is the most", len(mine))
		}
		for _, old := range mine[:len(mine)-most+1] {
			go old.stop(Exit{Reason: ReasonKilled, By: s.who.User, Message: "replaced by a newer terminal", Close: closeReplaced})
		}
	}
	m.sessions[s.id] = s
	if m.users[s.who.User] == nil {
		m.users[s.who.User] = map[*Session]bool{}
	}
	m.users[s.who.User][s] = true
	return nil
}

// liveOf gives the live sessions of a user, the oldest first.
func (m *Manager) liveOf(user string) (mine []*Session) {
	for s := range m.users[user] {
		s.mu.Lock()
		if s.live() {
			mine = append(mine, s)
		}
		s.mu.Unlock()
	}
	slices.SortFunc(mine, older)
	return mine
}

func older(a, b *Session) int {
	return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.id, b.id))
}

// cleaner is a client to end what a session left behind.
func (m *Manager) cleaner(s *Session) *engine {
	e := newEngine(func(ctx context.Context) (net.Conn, error) { return m.o.CleanUp(ctx, s.who) }, "")
	e.prefix, e.version, e.minor = s.engine.prefix, s.engine.version, s.engine.minor
	return e
}

// Get gives a session by its id; one that ended stays for a while.
func (m *Manager) Get(id string) (*Session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[id]
	return s, ok
}

// List gives all sessions, the oldest first.
func (m *Manager) List() []*Session {
	list := m.unsorted()
	slices.SortFunc(list, older)
	return list
}

func (m *Manager) unsorted() []*Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.AppendSeq(make([]*Session, 0, len(m.sessions)), maps.Values(m.sessions))
}

// Terminals counts the live sessions of a user.
func (m *Manager) Terminals(user string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.liveOf(user))
}

// needs lists the actions without which a mode cannot go on.
var needs = map[string][]string{
	ModeExec:   {"terminal.open", "exec.create", "exec.start"},
	ModeAttach: {"terminal.open", "container.attach"},
	ModeRun:    {"terminal.open", "container.create", "container.attach", "container.start"},
}

// Revoke ends the sessions and detaches the attachments of those who may not
// have them any longer.
func (m *Manager) Revoke(still func(who *identity.Identity, action, engine string) bool) {
	for _, s := range m.List() {
		if !slices.ContainsFunc(needs[s.spec.Mode], func(action string) bool { return !still(s.who, action, s.spec.Engine) }) {
			for _, a := range s.all() {
				shared := still(s.who, "terminal.share", s.spec.Engine) || still(a.who, "terminal.admin", s.spec.Engine)
				if a.who.User != s.who.User && !(shared && still(a.who, "terminal.open", s.spec.Engine)) {
					a.Detach(closeForbidden, "your rights were changed")
				}
			}
			continue
		}
		s.End(ReasonRevoked, "moorgate", "your rights were changed")
	}
}

// signOut detaches the attachments that came by a login which is over. Where the
// same user has logged in anew in that browser, they go on with that one.
func (m *Manager) signOut(login, next loginKey, user string) {
	for _, s := range m.List() {
		for _, a := range s.all() {
			s.mu.Lock()
			over := a.login == login
			if over && a.who.User == user {
				a.login, over = next, false
			}
			s.mu.Unlock()
			if over {
				a.Detach(closeForbidden, signedOut)
			}
		}
	}
}

const signedOut = "you have signed out"

// all gives the attachments.
func (s *Session) all() []*Attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attached)
}

// Recordings gives the recordings; nil where the configuration has none.
func (m *Manager) Recordings() *Recordings { return m.tapes }

// Shutdown ends all sessions and waits until what they started is gone, or ctx
// is.
func (m *Manager) Shutdown(ctx context.Context) {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	all := m.List()
	for _, s := range all {
		s.stop(Exit{Reason: ReasonKilled, By: "moorgate", Message: "moorgate is going down", Close: closeGoingAway})
	}
	for _, s := range all {
		select {
		case <-s.done:
		case <-ctx.Done():
		}
	}
	m.once.Do(func() { close(m.stop) })
	m.state.close()
}
