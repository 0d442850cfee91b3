package terminal

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"moorgate/authz/identity"
)

// cookieMethod is the evidence of who is known by a cookie.
const cookieMethod = "session"

// How long a login lasts, and how many there may be.
const (
	loginIdle      = 12 * time.Hour // without a request
	loginLife      = 7 * 24 * time.Hour
	maxLogins      = 8192
	maxUserLogins  = 32 // beyond it a user's oldest ends
	cookieBytes    = 32 // of randomness
	cookieTextSize = (cookieBytes*8 + 5) / 6
)

// loginKey is the hash of a login's cookie; zero for none.
type loginKey [sha256.Size]byte

// login is one browser that is logged in.
type login struct {
	who      *identity.Identity // by the evidence that it showed
	key      loginKey
	made     time.Time
	lastUsed time.Time
}

// logins keeps who is logged in. It knows cookies by their hash only: what is
// in memory opens nothing.
type logins struct {
	now   func() time.Time
	known func(*identity.Identity) bool // whether the evidence is still good

	mu    sync.Mutex
	byKey map[loginKey]*list.Element // of *login
	used  *list.List                 // the one used last in front
}

func newLogins(now func() time.Time, known func(*identity.Identity) bool) *logins {
	return &logins{now: now, known: known, byKey: map[loginKey]*list.Element{}, used: list.New()}
}

// add makes a login and gives the cookie's value. It is always a new one, so
// that nobody can be made to log in to a value that another one knows.
func (l *logins) add(who *identity.Identity) string {
	value := newSecret()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	in := &login{who: who, key: sha256.Sum256([]byte(value)), made: now, lastUsed: now}
	l.room(who.User, now)
	l.byKey[in.key] = l.used.PushFront(in)
	return value
}

// room ends what is over, and the user's or else everyone's least used logins
// where there are too many.
func (l *logins) room(user string, now time.Time) {
	mine := 0
	for e := l.used.Front(); e != nil; {
		in, next := e.Value.(*login), e.Next()
		if in.who.User == user {
			mine++
		}
		if in.over(now) || in.who.User == user && mine >= maxUserLogins {
			l.drop(e)
		}
		e = next
	}
	for l.used.Len() >= maxLogins {
		l.drop(l.used.Back())
	}
}

func (in *login) over(now time.Time) bool {
	return now.Sub(in.made) >= loginLife || now.Sub(in.lastUsed) >= loginIdle
}

func (l *logins) drop(e *list.Element) {
	delete(l.byKey, e.Value.(*login).key)
	l.used.Remove(e)
}

// find gives who has the cookie; nil if nobody has, or not any more.
func (l *logins) find(value string) *identity.Identity {
	if len(value) != cookieTextSize {
		return nil
	}
	key := sha256.Sum256([]byte(value))
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byKey[key]
	if e == nil {
		return nil
	}
	in, now := e.Value.(*login), l.now()
	if in.over(now) || !l.known(in.who) {
		l.drop(e)
		return nil
	}
	in.lastUsed = now
	l.used.MoveToFront(e)
	return in.who
}

// lives says whether a login has not ended.
func (l *logins) lives(key loginKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byKey[key] != nil
}

// end ends one login.
func (l *logins) end(value string) {
	key := sha256.Sum256([]byte(value))
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byKey[key]; e != nil {
		l.drop(e)
	}
}

type loginContext struct{}

// loginOf gives the login by whose cookie a request's caller is known; zero if
// there is none.
func loginOf(r *http.Request) loginKey {
	key, _ := r.Context().Value(loginContext{}).(loginKey)
	return key
}

// newSecret makes what nobody can guess, in base64url.
func newSecret() string {
	var b [cookieBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// cookieName is the session cookie's. With the prefix __Host- a browser takes
// it from this very host over https only. Elsewhere the port is in the name,
// since other servers of the machine see and set the cookies of all ports.
func (s *site) cookieName() string {
	switch {
	case s.scheme == "https" && s.base == "":
		return "__Host-moorgate"
	case s.scheme == "https":
		return "__Secure-moorgate"
	}
	name := "moorgate"
	if len(s.hosts) > 0 {
		if i := strings.LastIndexByte(s.hosts[0], ':'); i >= 0 {
			name += "_" + s.hosts[0][i+1:]
		}
	}
	return name
}

// cookie is one of the site's cookies; life 0 means until the browser ends,
// less than 0 takes it away.
func (s *site) cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: s.base + "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, Secure: s.scheme == "https", SameSite: http.SameSiteStrictMode,
	}
}

// cookieValue gives the one cookie of a name; "" where there is none, or where
// there are two, of which one is not ours.
func cookieValue(r *http.Request, name string) string {
	if all := r.CookiesNamed(name); len(all) == 1 {
		return all[0].Value
	}
	return ""
}

// cookieSource knows callers by the session cookie. One that nobody has, as
// after a restart, is no evidence: the browser is asked to log in.
type cookieSource struct {
	*site
	*logins
	roles func(*identity.Identity) []string
}

func (*cookieSource) Name() string { return cookieMethod }

// Ask says where a browser logs in.
func (s *cookieSource) Ask() (how, challenge string) {
	if len(s.hosts) == 0 {
		return "", ""
	}
	return "log in with a browser at " + s.scheme + "://" + s.hosts[0] + s.base + "/", ""
}

func (s *cookieSource) Identify(r *http.Request) (*identity.Identity, error) {
	value := cookieValue(r, s.cookieName())
	if value == "" || !s.ownHost(r) {
		return nil, nil
	}
	in := s.find(value)
	if in == nil {
		return nil, nil
	}
	who := *in
	who.Method, who.Roles = cookieMethod, s.roles(in)
	return &who, nil
}
