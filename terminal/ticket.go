package terminal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"sync"
	"time"
)

// ticketLife is how long a ticket may be used: enough to open a websocket, too
// short to be found in a log.
const ticketLife = 30 * time.Second

// Bounds of the tickets that wait to be used.
const (
	maxTickets        = 16384
	maxTicketsPerUser = 64 // beyond it a user's oldest is dropped
)

// ticketBytes of randomness make a ticket; it is written as ticketLength
// characters of base64url.
const (
	ticketBytes  = 32
	ticketLength = (ticketBytes*8 + 5) / 6
)

// grant is what a ticket lets its user do, once.
type grant struct {
	User    string
	Session string
	Role    Role
}

type heldTicket struct {
	grant
	sum  [sha256.Size]byte
	ends time.Time
}

// tickets keeps the tickets that were given and not used yet. It knows them by
// their hash only, so that neither its memory nor the time of a look-up tells
// of a ticket.
type tickets struct {
	now func() time.Time

	mu   sync.Mutex
	held map[[sha256.Size]byte]*heldTicket
	line []*heldTicket // all that were given in the last 30 s, the oldest first
	user map[string][]*heldTicket
}

func newTickets(now func() time.Time) *tickets {
	return &tickets{now: now, held: map[[sha256.Size]byte]*heldTicket{}, user: map[string][]*heldTicket{}}
}

// errTooManyTickets says that the store is full, of other users' tickets.
var errTooManyTickets = errors.New("too many tickets wait to be used: try again in a minute")

// Give makes a ticket for one use within ticketLife.
func (t *tickets) Give(g grant) (string, error) {
	var raw [ticketBytes]byte
	rand.Read(raw[:]) //nolint:errcheck // it never fails
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	h := &heldTicket{grant: g, sum: sha256.Sum256([]byte(text))}

	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.expire(now)
	if mine := t.user[g.User]; len(mine) >= maxTicketsPerUser {
		t.drop(mine[0])
	}
	if len(t.line) >= 2*maxTickets { // most are used: forget them early
		t.compact()
	}
	if len(t.held) >= maxTickets {
		return "", errTooManyTickets
	}
	h.ends = now.Add(ticketLife)
	t.held[h.sum] = h
	t.line = append(t.line, h)
	t.user[g.User] = append(t.user[g.User], h)
	return text, nil
}

// Take uses a ticket up. Whoever shows it, and wherever: it does not work a
// second time. ok is false unless it was given to this user for this session
// and is still alive.
func (t *tickets) Take(text, user, session string) (role Role, ok bool) {
	if len(text) != ticketLength {
		return 0, false
	}
	sum := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[sum]
	if h == nil {
		return 0, false
	}
	t.drop(h)
	same := subtle.ConstantTimeCompare(h.sum[:], sum[:]) &
		subtle.ConstantTimeCompare([]byte(h.User), []byte(user)) &
		subtle.ConstantTimeCompare([]byte(h.Session), []byte(session))
	if same != 1 || !t.now().Before(h.ends) {
		return 0, false
	}
	return h.Role, true
}

// drop takes a ticket out of everything but the line, which is in the order of
// time and loses it by itself.
func (t *tickets) drop(h *heldTicket) {
	if t.held[h.sum] != h {
		return
	}
	delete(t.held, h.sum)
	mine := t.user[h.User]
	for i, other := range mine {
		if other == h {
			mine = append(mine[:i:i], mine[i+1:]...)
			break
		}
	}
	if len(mine) == 0 {
		delete(t.user, h.User)
	} else {
		t.user[h.User] = mine
	}
}

func (t *tickets) expire(now time.Time) {
	n := 0
	for n < len(t.line) && !now.Before(t.line[n].ends) {
		t.drop(t.line[n])
		n++
	}
	t.line = t.line[n:]
}

func (t *tickets) compact() {
	alive := t.line[:0:0]
	for _, h := range t.line {
		if t.held[h.sum] == h {
			alive = append(alive, h)
		}
	}
	t.line = alive
}
