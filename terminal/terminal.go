// Package terminal gives terminals in the browser: sessions that outlive their
// websockets, their recordings, and the door through which browsers come in.
// It is a docker client like any other: what a session does on an Engine goes
// over a connection that it is given, as the user whom it is for, and is judged
// and recorded there.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/docker/go-units"
	"go.uber.org/zap"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// Config says how terminals in the browser behave.
type Config struct {
	// Shells are tried in this order where no command is named. Left out, they
	// are bash, zsh, ash and sh.
	Shells []string `yaml:"shells"`
	// PerUser is how many terminals one user may have open, 8 if left out.
	PerUser int `yaml:"per_user"`
	// WhenFull is what becomes of one more: refuse, or replace the oldest;
	// refuse if left out.
	WhenFull string `yaml:"when_full"`
	// Scrollback is how much output of each terminal is kept for a browser
	// that comes back, 256KiB if left out; 4KiB to 64MiB.
	Scrollback Size `yaml:"scrollback"`
	// Grace is how long a session waits for its browser to come back, 5m if
	// left out.
	Grace time.Duration `yaml:"grace"`
	// Idle ends a session in which nothing is typed or printed, 30m if left
	// out.
	Idle time.Duration `yaml:"idle"`
	// Max ends every session, 12h if left out.
	Max time.Duration `yaml:"max"`
	// Record says what is recorded; nothing if left out.
	Record *RecordConfig `yaml:"record"`
}

// RecordConfig says which terminals are recorded.
type RecordConfig struct {
	// Dir holds the recordings, one file of asciicast v2 each.
	Dir string `yaml:"dir"`
	// Who lists the roles whose terminals are always recorded. Others are
	// when they ask for it and may terminal.record.
	Who []string `yaml:"who"`
	// Input records what is typed too, passwords among it.
	Input bool `yaml:"input"`
	// Keep is how long recordings are kept, for ever if left out.
	Keep time.Duration `yaml:"keep"`
}

// Size is a number of bytes, written like 256KiB.
type Size int64

// UnmarshalText reads a size; units are powers of 1024.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no size: write it as 256KiB", text)
	}
	*s = Size(n)
	return nil
}

// What stands for settings that are left out.
const (
	defaultPerUser    = 8
	defaultScrollback = 256 << 10
	defaultGrace      = 5 * time.Minute
	defaultIdle       = 30 * time.Minute
	defaultMax        = 12 * time.Hour

	minScrollback = 4 << 10
	maxScrollback = 64 << 20
)

// endTime is what ending all sessions may take when the server goes.
const endTime = 5 * time.Second

// What becomes of a terminal too many.
const (
	whenFullRefuse  = "refuse"
	whenFullReplace = "replace"
)

// complete gives the configuration with what is left out filled in.
func (c Config) complete() Config {
	if len(c.Shells) == 0 {
		c.Shells = []string{"bash", "zsh", "ash", "sh"}
	}
	if c.WhenFull == "" {
		c.WhenFull = whenFullRefuse
	}
	fill := func(at *time.Duration, d time.Duration) {
		if *at == 0 {
			*at = d
		}
	}
	fill(&c.Grace, defaultGrace)
	fill(&c.Idle, defaultIdle)
	fill(&c.Max, defaultMax)
	if c.PerUser == 0 {
		c.PerUser = defaultPerUser
	}
	if c.Scrollback == 0 {
		c.Scrollback = defaultScrollback
	}
	return c
}

// Validate joins an *identity.Fault for everything wrong in the section.
func (c Config) Validate() error {
	var faults []error
	fault := func(message string, path ...string) {
		faults = append(faults, &identity.Fault{Path: append([]string{"terminal"}, path...), Message: message})
	}
	for i, s := range c.Shells {
		if s == "" {
			fault("is empty: write the name of a shell, like bash", "shells", strconv.Itoa(i))
		} else if slices.Contains(c.Shells[:i], s) {
			fault(s+" is listed twice: leave one out", "shells", strconv.Itoa(i))
		}
	}
	if c.PerUser < 0 {
		fault("is negative: write how many terminals one user may have open", "per_user")
	}
	if !slices.Contains([]string{"", whenFullRefuse, whenFullReplace}, c.WhenFull) {
		fault(fmt.Sprintf("%q is not known here: write %s or %s", c.WhenFull, whenFullRefuse, whenFullReplace), "when_full")
	}
	if c.Scrollback != 0 && (c.Scrollback < minScrollback || c.Scrollback > maxScrollback) {
		fault("write a size from 4KiB to 64MiB", "scrollback")
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"grace", c.Grace}, {"idle", c.Idle}, {"max", c.Max}} {
		if d.value < 0 {
			fault("is negative: write a duration like 30m", d.key)
		}
	}
	if c.Record != nil {
		c.Record.validate(func(message string, path ...string) { fault(message, append([]string{"record"}, path...)...) })
	}
	return errors.Join(faults...)
}

func (c *RecordConfig) validate(fault func(message string, path ...string)) {
	if c.Dir == "" {
		fault("is missing: write the folder of the recordings", "dir")
	}
	if c.Keep < 0 {
		fault("is negative: write a duration like 720h", "keep")
	}
}

// Options are what a Server needs.
type Options struct {
	Config

	// Dial connects to the Engine's API, inside this process, as who.
	Dial func(ctx context.Context, who *identity.Identity) (net.Conn, error)
	// May says whether who may do the action on the engine, as the
	// configuration has it at that moment.
	May func(who *identity.Identity, action, engine string) bool
	// Roles gives the roles of who, as the configuration has them at that
	// moment.
	Roles func(who *identity.Identity) []string
	// Known says whether the evidence that who once gave would still be
	// taken; nil means yes. A browser whose user it is not is logged out.
	Known func(who *identity.Identity) bool
	// CleanUp connects as Dial does, but as one who may end what a session of
	// who left behind, also after the rights of who were withdrawn; nil means
	// Dial.
	CleanUp func(ctx context.Context, who *identity.Identity) (net.Conn, error)
	// State is a folder for what must be ended after a crash, of this process
	// alone; "" for none.
	State string
	// Engines lists the engines' names; the first is the default.
	Engines func() []string
	// Actions are the names of all actions.
	Actions []string

	// Login gives the identity of the user whose password it is; nil where
	// there are no passwords. remote is the caller's address.
	Login func(user, password, remote string) (*identity.Identity, error)
	// Token gives the identity of the user whose token it is; nil where there
	// are no tokens.
	Token func(token string) (*identity.Identity, error)
	// OIDC logs browsers in at an issuer; nil for none.
	OIDC OIDC
	// Links says that browsers log in by what Link makes.
	Links bool
	// IsUser says whether a name is a user's, so that failed logins can be
	// recorded with it; nil means that none are.
	IsUser func(name string) bool

	// Denials are shown to administrators; nil for none.
	Denials *Denials

	// Sinks take the records of sessions.
	Sinks []audit.Sink
	// Log is told what users are not; nil means nothing.
	Log *zap.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Server has the sessions of all users, and who is logged in.
type Server struct {
	options Options
	logins  *logins
	links   links
	flows   *flows
	manager *Manager

	tickets  *tickets
	shares   *shares
	messages *pace // of people to sessions
	events   *chronicle
}

// New makes a Server, and ends what an earlier one left behind.
func New(o Options) (*Server, error) {
	o.Config = o.Config.complete()
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Known == nil {
		o.Known = func(*identity.Identity) bool { return true }
	}
	s := &Server{
		options: o,
		logins:  newLogins(o.Now, o.Known),
		links:   links{now: o.Now},
		flows:   newFlows(o.Now),
		tickets: newTickets(o.Now),
		shares:  newShares(),

		messages: newPace(messageBurst, messageEvery),
	}
	s.events = newChronicle(o.Sinks, s.engineName, o.Now)
	var err error
	s.manager, err = NewManager(ManagerOptions{
		Config: o.Config, Dial: o.Dial, CleanUp: o.CleanUp, Roles: o.Roles, Engines: o.Engines, State: o.State,
		Event: s.events.Event, Log: o.Log, Now: o.Now,
	})
	return s, err
}

// Terminals counts the live sessions of a user.
func (s *Server) Terminals(user string) int { return s.manager.Terminals(user) }

// Revoke ends the sessions of those who may not have them any longer. Logins
// need none: whether their evidence is still good is asked at every request.
func (s *Server) Revoke(still func(who *identity.Identity, action, engine string) bool) {
	s.manager.Revoke(still)
}

// Drain tells all who have a session that they will end, and ends them once
// limit is done or none is left. It waits until what they started is gone, at
// most 5 s more.
func (s *Server) Drain(limit context.Context, message string) {
	for _, session := range s.manager.List() {
		session.Message("moorgate", message)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for s.live() && limit.Err() == nil {
		select {
		case <-limit.Done():
		case <-tick.C:
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	s.manager.Shutdown(ctx)
}

// live says whether any session has not ended.
func (s *Server) live() bool {
	return slices.ContainsFunc(s.manager.List(), func(session *Session) bool { return session.Info().State != StateEnded })
}

// route is one request that the server answers to those whom it knows: the
// door has found out who asks, and refused what another site made a browser
// send, before serve is called.
type route struct {
	pattern string // of http.ServeMux: "GET /api/me"
	action  string // for the audit record; "" where serve sets it
	// serve answers. An error is answered by fail: an *Error with its status,
	// message and hint, an *identity.Refusal with its own, others with 500.
	serve func(w http.ResponseWriter, r *http.Request, who *identity.Identity) error
}
