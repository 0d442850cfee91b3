package terminal

import (
	"errors"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// maxInvited bounds how many users one session is shared with.
const maxInvited = 64

// shares keeps with whom sessions are shared, so that a viewer whose page
// reloads can ask for another ticket until the session ends.
type shares struct {
	mu      sync.Mutex
	invited map[string]map[string]Role // by session and user
}

func newShares() *shares { return &shares{invited: map[string]map[string]Role{}} }

// keep drops what belongs to sessions that are forgotten.
func (s *shares) keep(known func(session string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.invited {
		if !known(session) {
			delete(s.invited, session)
		}
	}
}

// role is what a user was invited to; 0 if to nothing.
func (s *shares) role(session, user string) Role {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.invited[session][user]
}

// invite lets a user in; what was before is replaced. It fails when too many
// others are invited.
func (s *shares) invite(session, user string, role Role) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := s.invited[session]
	if users == nil {
		users = map[string]Role{}
		s.invited[session] = users
	}
	if _, there := users[user]; !there && len(users) >= maxInvited {
		return false
	}
	users[user] = role
	return true
}

// given is the answer to who asked for a ticket.
type given struct {
	Ticket    string `json:"ticket"`
	Role      Role   `json:"role"`
	User      string `json:"user"`
	Session   string `json:"session"`
	Socket    string `json:"socket"`
	ExpiresIn int    `json:"expires_in"`
}

func (s *Server) giveTicket(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	var role Role
	user := ""
	if err := readObject(r, map[string]any{"role": &role, "user": &user}); err != nil {
		return err
	}
	if role == 0 {
		return newError(http.StatusBadRequest, "write owner, writer or viewer", "role is missing")
	}
	a, err := s.find(r, who)
	if err != nil {
		return err
	}
	rec := audit.From(r.Context())
	rec.Session, rec.Engine = a.ID(), s.engineName(a.Engine())
	if user == "" {
		user = who.User
	}
	if plainLine(user) != user || len(user) > 256 || !utf8.ValidString(user) {
		return newError(http.StatusBadRequest, "", "user %q is no name", cutText(user, 64))
	}
	if role != RoleOwner {
		rec.Action = actionShare
	}
	if err := s.mayGive(who, a, role, user); err != nil {
		return err
	}
	ticket, err := s.ticket(grant{User: user, Session: a.ID(), Role: role})
	if err != nil {
		return err
	}
	if role != RoleOwner {
		s.shared(r, a.Session, who, role, user)
	}
	send(w, http.StatusCreated, given{ticket, role, user, a.ID(), socketPath(r, a.ID()), int(ticketLife.Seconds())})
	return nil
}

// mayGive says whether who may have a ticket of this role made for user. The
// session's user shares it; who was invited may come back; an administrator may
// watch.
func (s *Server) mayGive(who *identity.Identity, a access, role Role, user string) error {
	if role == RoleOwner {
		if a.role != RoleOwner || user != who.User {
			return newError(http.StatusForbidden, "ask for the role writer or viewer", "moorgate: only %s can be the owner of this session", a.Who().User)
		}
		return s.may(who, actionOpen, a.Engine())
	}
	switch {
	case a.role == RoleOwner:
		if err := s.may(who, actionShare, a.Engine()); err != nil {
			return err
		}
		s.shares.keep(func(id string) bool { _, ok := s.manager.Get(id); return ok })
		if user != who.User && !s.shares.invite(a.ID(), user, role) {
			return newError(http.StatusTooManyRequests, "end the session to share it anew", "it is shared with %d users already", maxInvited)
		}
		return nil
	case user != who.User:
		return newError(http.StatusForbidden, "ask "+a.Who().User+" for it", "moorgate: only the session's user may share it")
	case role <= a.role, a.admin && role == RoleViewer:
		return s.may(who, actionOpen, a.Engine())
	}
	return newError(http.StatusForbidden, "ask "+a.Who().User+" for it", "moorgate: %s may not type into this session", who.User)
}

// ticket makes a ticket.
func (s *Server) ticket(g grant) (string, error) {
	text, err := s.tickets.Give(g)
	if errors.Is(err, errTooManyTickets) {
		return "", &identity.Refusal{Status: http.StatusTooManyRequests, Message: "moorgate: " + err.Error(), RetryAfter: ticketLife}
	}
	return text, err
}

// pace bounds how often users do something: burst times at once, then one each
// time.
type pace struct {
	burst int
	every time.Duration

	mu   sync.Mutex
	next map[string]time.Time // when a user would be back to none
}

func newPace(burst int, every time.Duration) *pace {
	return &pace{burst: burst, every: every, next: map[string]time.Time{}}
}

// take counts one by user, or says how long to wait.
func (p *pace) take(user string, now time.Time) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, at := range p.next {
		if !at.After(now) {
			delete(p.next, other)
		}
	}
	at := p.next[user]
	if at.Before(now) {
		at = now
	}
	if wait := at.Sub(now) - time.Duration(p.burst-1)*p.every; wait > 0 {
		return wait
	}
	p.next[user] = at.Add(p.every)
	return 0
}
