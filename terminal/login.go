package terminal

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// maxLoginBody bounds what is read of a caller who is not known yet: a token
// and what stands around it.
const maxLoginBody = 32 << 10

// evidence is what a browser logs in with: a user and a password, or a token,
// or the code of a link.
type evidence struct {
	User     string `json:"user"`
	Password string `json:"password"`
	Token    string `json:"token"`
	Code     string `json:"code"`
}

// offers lists what this listener lets browsers log in with.
func (d *door) offers() []string {
	offers := []string{}
	for _, o := range []struct {
		name string
		is   bool
	}{
		{"password", d.options.Login != nil && d.listener.takes("password")},
		{"token", d.options.Token != nil && d.listener.takes("token")},
		{"oidc", d.options.OIDC != nil && d.listener.takes("oidc")},
		{"code", d.options.Links},
	} {
		if o.is {
			offers = append(offers, o.name)
		}
	}
	return offers
}

// login answers POST /login, in JSON or as a form: it makes a session of the
// evidence, always a new one, and ends the one that the browser had.
func (d *door) login(w http.ResponseWriter, r *http.Request) error {
	e, form, err := readEvidence(w, r)
	if err != nil {
		return err
	}
	who, err := d.judge(r, e)
	if err != nil {
		var no *identity.Refusal
		if errors.As(err, &no) {
			return &identity.Refusal{Status: no.Status, Message: "moorgate: " + no.Message, RetryAfter: no.RetryAfter}
		}
		return deny("login", http.StatusUnauthorized, "%s", err)
	}
	d.enter(w, r, who)
	if form {
		http.Redirect(w, r, d.base+"/", http.StatusSeeOther)
		return nil
	}
	send(w, http.StatusOK, d.describe(who))
	return nil
}

// readEvidence reads the body of a login.
func readEvidence(w http.ResponseWriter, r *http.Request) (e evidence, form bool, err error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(r.Header["Content-Type"]) > 1 {
		kind = ""
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLoginBody)
	switch kind {
	case "application/json":
		decoder := json.NewDecoder(r.Body)
		if err = decoder.Decode(&e); err == nil {
			if _, more := decoder.Token(); more != io.EOF {
				err = errors.New("there is more than one value")
			}
		}
	case "application/x-www-form-urlencoded":
		form = true
		err = r.ParseForm()
		at := r.PostForm // never the query: a URL is no place for a secret
		for _, values := range at {
			if len(values) > 1 {
				err = errors.New("a field is there twice")
			}
		}
		e = evidence{at.Get("user"), at.Get("password"), at.Get("token"), at.Get("code")}
	default:
		return e, false, deny("", http.StatusUnsupportedMediaType, `log in with application/json {"user":"...","password":"..."}, or with a form`)
	}
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return e, form, deny("", http.StatusRequestEntityTooLarge, "a login has at most %d bytes", maxLoginBody)
	case err != nil: // its words could hold what was sent
		return e, form, deny("", http.StatusBadRequest, `the login cannot be read: send {"user":"...","password":"..."}, or a form with these fields`)
	}
	return e, form, nil
}

// judge gives the user whom the evidence shows.
func (d *door) judge(r *http.Request, e evidence) (*identity.Identity, error) {
	byPassword := e.User != "" || e.Password != ""
	switch {
	case byPassword && e.Token == "" && e.Code == "":
		if d.options.Login == nil || !d.listener.takes("password") {
			return nil, errors.New("this listener takes no passwords: its identify: has no password")
		}
		if d.options.IsUser != nil && d.options.IsUser(e.User) { // what is no user's name may be a secret in the wrong field
			audit.From(r.Context()).AddRef("user", e.User)
		}
		remote := r.RemoteAddr
		if p := identity.PeerOf(r.Context()); p != nil {
			remote = p.String()
		}
		return d.options.Login(e.User, e.Password, remote)
	case e.Token != "" && !byPassword && e.Code == "":
		if d.options.Token == nil || !d.listener.takes("token") {
			return nil, errors.New("this listener takes no tokens: its identify: has no token")
		}
		return d.options.Token(e.Token)
	case e.Code != "" && !byPassword && e.Token == "":
		if who := d.links.take(e.Code); who != nil {
			return who, nil
		}
		return nil, errors.New("this link was used already, or it is too old: kill -USR1 makes moorgate print another")
	}
	return nil, errors.New("send a user and a password, or a token, or a code")
}

// enter makes a session for who and gives the browser its cookie.
func (d *door) enter(w http.ResponseWriter, r *http.Request, who *identity.Identity) {
	if o, ok := w.(interface{ Identified(*identity.Identity) }); ok {
		o.Identified(who)
	}
	value := d.logins.add(who)
	if old := cookieValue(r, d.cookieName()); old != "" {
		d.logins.end(old)
		d.manager.signOut(sha256.Sum256([]byte(old)), sha256.Sum256([]byte(value)), who.User)
	}
	http.SetCookie(w, d.cookie(d.cookieName(), value, loginLife))
}

// logout answers POST /logout: the session is over, here and in the browser.
func (d *door) logout(w http.ResponseWriter, r *http.Request) error {
	if value := cookieValue(r, d.cookieName()); value != "" {
		if who := d.logins.find(value); who != nil {
			if o, ok := w.(interface{ Identified(*identity.Identity) }); ok {
				o.Identified(who)
			}
		}
		d.logins.end(value)
		d.manager.signOut(sha256.Sum256([]byte(value)), loginKey{}, "")
	}
	http.SetCookie(w, d.cookie(d.cookieName(), "", -time.Second))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Codes of links.
const (
	linkLife = 15 * time.Minute
	maxLinks = 16 // that were not used; beyond it the oldest goes
)

// links are the codes with which browsers may log in, once each.
type links struct {
	now func() time.Time

	mu   sync.Mutex
	held []link
}

type link struct {
	key  [sha256.Size]byte
	who  *identity.Identity
	ends time.Time
}

// Link makes a code that logs one browser in as who, within 15 minutes. It
// belongs behind the # of the page's address: that part stays in the browser,
// where no proxy, log or Referer sees it, and the page takes it out at once.
func (s *Server) Link(who *identity.Identity) (code string) {
	code = newSecret()
	l := &s.links
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) >= maxLinks {
		l.held = l.held[1:]
	}
	l.held = append(l.held, link{sha256.Sum256([]byte(code)), who, l.now().Add(linkLife)})
	return code
}

// take uses a code up.
func (l *links) take(code string) *identity.Identity {
	key := sha256.Sum256([]byte(code))
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, h := range l.held {
		if h.key == key {
			l.held = append(l.held[:i:i], l.held[i+1:]...)
			if l.now().Before(h.ends) {
				return h.who
			}
			return nil
		}
	}
	return nil
}
