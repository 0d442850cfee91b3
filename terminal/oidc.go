package terminal

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// OIDC is an issuer at which browsers log in, with an authorization code and
// PKCE.
type OIDC interface {
	// AuthURL is where the browser is sent. challenge is the S256 challenge of
	// the verifier that Redeem is given.
	AuthURL(ctx context.Context, redirect, state, nonce, challenge string) (string, error)
	// Redeem gives the identity of the user for whom the issuer made the code.
	Redeem(ctx context.Context, redirect, code, verifier, nonce string) (*identity.Identity, error)
}

// flowLife is how long a login at the issuer may take.
const flowLife = 10 * time.Minute

// flows makes what a login at the issuer needs out of the value of a cookie, so
// that nothing is kept here for those who begin one, and nobody but the browser
// that began one can end it.
type flows struct {
	now func() time.Time
	key [32]byte // of this process
}

func newFlows(now func() time.Time) *flows {
	f := &flows{now: now}
	_, _ = rand.Read(f.key[:]) // never fails
	return f
}

// begin gives the cookie's value of a new login.
func (f *flows) begin() string {
	return newSecret() + "." + strconv.FormatInt(f.now().Unix(), 10)
}

// alive says whether the login of a cookie has not taken too long. A time that
// somebody changed makes another login of it.
func (f *flows) alive(cookie string) bool {
	_, text, _ := strings.Cut(cookie, ".")
	began, err := strconv.ParseInt(text, 10, 64)
	return err == nil && f.now().Sub(time.Unix(began, 0)).Abs() < flowLife
}

// secret gives one of the login's secrets.
func (f *flows) secret(purpose, cookie string) string {
	mac := hmac.New(sha256.New, f.key[:])
	mac.Write([]byte(purpose + "\x00" + cookie))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (f *flows) challenge(cookie string) string {
	sum := sha256.Sum256([]byte(f.secret("verifier", cookie)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s *site) flowCookie() string { return s.cookieName() + "_oidc" }

// oidc answers GET /login/oidc: it sends the browser to the issuer, which sends
// it back here with a code. What goes wrong is shown by the page.
func (d *door) oidc(w http.ResponseWriter, r *http.Request) {
	rec := audit.From(r.Context())
	rec.Action = "terminal.login"
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the code is in this URL
	if !d.ownHost(r) {
		fail(w, r, d.refuseHost(r))
		return
	}
	if d.options.OIDC == nil || !d.listener.takes("oidc") {
		fail(w, r, deny("", http.StatusNotFound, "page not found"))
		return
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	back := q.Has("state") || q.Has("code") || q.Has("error")
	cookie := cookieValue(r, d.flowCookie())
	switch {
	case err != nil:
		err = errors.New("the address cannot be read: log in again")
	case !back:
		err = d.toIssuer(w, r)
	case cookie == "" && !q.Has("again"):
		d.again(w, q)
		return
	default:
		http.SetCookie(w, d.cookie(d.flowCookie(), "", -time.Second)) // for one use
		err = d.fromIssuer(w, r, q, cookie)
	}
	if err != nil {
		rec.Decision, rec.Rule, rec.Reason = audit.Deny, "login", err.Error()
		http.Redirect(w, r, d.base+"/#error="+url.QueryEscape(err.Error()), http.StatusSeeOther)
	}
}

// redirectURL is where the issuer sends browsers back to, and what is to be
// registered there: the host is the site's, which the caller has checked.
func (d *door) redirectURL(r *http.Request) string {
	return d.scheme + "://" + strings.ToLower(r.Host) + d.base + "/login/oidc"
}

func (d *door) toIssuer(w http.ResponseWriter, r *http.Request) error {
	cookie := d.flows.begin()
	to, err := d.options.OIDC.AuthURL(r.Context(), d.redirectURL(r),
		d.flows.secret("state", cookie), d.flows.secret("nonce", cookie), d.flows.challenge(cookie))
	if err != nil {
		return err
	}
	http.SetCookie(w, d.cookie(d.flowCookie(), cookie, flowLife))
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// again makes the browser ask once more, from a page of this site: it does not
// send SameSite=Strict cookies along when the issuer's page sends it here.
func (d *door) again(w http.ResponseWriter, q url.Values) {
	next := url.Values{"again": {"1"}}
	for _, key := range []string{"state", "code", "error"} {
		if q.Has(key) {
			next.Set(key, q.Get(key))
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	_, _ = w.Write([]byte(`<!doctype html><meta charset="utf-8"><title>moorgate</title><meta http-equiv="refresh" content="0;url=` +
		html.EscapeString(d.base+"/login/oidc?"+next.Encode()) + `">`)) // a caller who has gone needs no answer
}

func (d *door) fromIssuer(w http.ResponseWriter, r *http.Request, q url.Values, cookie string) error {
	state := q["state"]
	switch {
	case cookie == "" || len(state) != 1 || subtle.ConstantTimeCompare([]byte(state[0]), []byte(d.flows.secret("state", cookie))) != 1:
		return errors.New("this login was not begun in this browser: log in again")
	case !d.flows.alive(cookie):
		return errors.New("this login took too long: log in again")
	case q.Has("error"):
		return errors.New("the issuer refused the login (" + printable(q.Get("error")) + ")")
	case len(q["code"]) != 1:
		return errors.New("the issuer sent no code: log in again")
	}
	who, err := d.options.OIDC.Redeem(r.Context(), d.redirectURL(r), q.Get("code"), d.flows.secret("verifier", cookie), d.flows.secret("nonce", cookie))
	if err != nil {
		return err
	}
	d.enter(w, r, who)
	http.Redirect(w, r, d.base+"/", http.StatusSeeOther)
	return nil
}

// printable makes the issuer's word for what went wrong fit to be shown.
func printable(text string) string {
	const most = 64
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, text[:min(len(text), most)])
}
