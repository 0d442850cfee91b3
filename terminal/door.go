package terminal

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/terminal/web"
)

// Listener is one way in for browsers.
type Listener struct {
	// Address is where it listens, as the configuration has it.
	Address string
	// TLS says whether it speaks TLS itself.
	TLS bool
	// PublicURL is what browsers call it: the only Origin and the only Host
	// that they may have, and the path prefix that a reverse proxy may leave
	// on. "" means the loopback address that it listens on.
	PublicURL string
	// Sources find out who calls; the session cookie is asked besides.
	Sources []identity.Source
	// API answers all paths that are not the terminal's own: the Engine's API,
	// for callers whose identity is in the request's context.
	API http.Handler
}

// takes says whether the listener knows callers by this evidence.
func (l Listener) takes(source string) bool {
	return slices.ContainsFunc(l.Sources, func(s identity.Source) bool { return s.Name() == source })
}

// door is a listener's way in.
type door struct {
	*Server
	*site
	listener Listener
	assets   http.Handler
	api      http.Handler // of the server's own routes, behind known
	engine   http.Handler // of the Engine's, behind known
	mux      *http.ServeMux
	actions  map[string]string // of the mux's patterns, for the audit record
}

// Handler serves a listener: the page, the login, the server's own API below
// /api/, and the Engine's API for callers who are known by one of the
// listener's sources or by the session cookie. What a page of another site
// makes a browser send is refused.
func (s *Server) Handler(l Listener) (http.Handler, error) {
	at, err := newSite(l)
	if err != nil {
		return nil, err
	}
	d := &door{Server: s, site: at, listener: l, assets: web.Handler(), mux: http.NewServeMux(), actions: map[string]string{}}
	for _, r := range slices.Concat(d.doorRoutes(), s.socketRoutes()) {
		d.mux.HandleFunc(r.pattern, d.answer(r))
		d.actions[r.pattern] = r.action
	}
	sources := append(slices.Clone(l.Sources), &cookieSource{site: at, logins: s.logins, roles: s.options.Roles})
	known := identity.Require(sources, d.unknown)
	d.api = known(d.guarded(http.HandlerFunc(d.own)))
	d.engine = known(d.guarded(l.API))
	return d, nil
}

// ServeHTTP sends each request to what it is for.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = d.strip(r)
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	switch p := r.URL.Path; {
	case p == "/" || p == "/login" && safe(r.Method):
		d.page(w, r)
	case strings.HasPrefix(p, "/assets/"):
		audit.From(r.Context()).Action = "terminal.page"
		d.assets.ServeHTTP(w, r)
	case p == "/login" || p == "/logout":
		d.anyone(w, r, map[string]func(http.ResponseWriter, *http.Request) error{"/login": d.login, "/logout": d.logout}[p])
	case p == "/login/oidc" && r.Method == http.MethodGet:
		d.oidc(w, r)
	case strings.HasPrefix(p, "/api/"):
		h.Set("Cache-Control", "no-store")
		_, pattern := d.mux.Handler(r)
		audit.From(r.Context()).Action = d.actions[pattern] // also of those who are refused
		d.api.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), baseKey{}, d.base)))
	default:
		d.engine.ServeHTTP(w, r)
	}
}

type baseKey struct{}

// base is the path prefix of the door by which a request came: "", or one like
// "/moorgate".
func base(r *http.Request) string {
	prefix, _ := r.Context().Value(baseKey{}).(string)
	return prefix
}

// anyone serves what changes the login, for which the caller need not be known,
// but must be a page of this site: nobody is logged in or out by another's.
func (d *door) anyone(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter, *http.Request) error) {
	audit.From(r.Context()).Action = "terminal." + r.URL.Path[1:]
	w.Header().Set("Cache-Control", "no-store")
	var err error
	switch {
	case r.Method != http.MethodPost:
		err = deny("", http.StatusNotFound, "page not found")
	case !d.ownHost(r):
		err = d.refuseHost(r)
	case d.sender(r) != own:
		err = d.refuseOrigin(r)
	default:
		err = serve(w, r)
	}
	if err != nil {
		fail(w, r, err)
	}
}

// guarded refuses what another site made a browser send.
func (d *door) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := identity.From(r.Context())
		if err := d.guard(r, &who); err != nil {
			fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// own serves the server's own routes. The mux would redirect unclean paths and
// answer other methods in words of its own.
func (d *door) own(w http.ResponseWriter, r *http.Request) {
	if _, pattern := d.mux.Handler(r); pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
		fail(w, r, deny("", http.StatusNotFound, "page not found"))
		return
	}
	if who, _ := identity.From(r.Context()); who.Method == cookieMethod {
		key := loginKey(sha256.Sum256([]byte(cookieValue(r, d.cookieName()))))
		r = r.WithContext(context.WithValue(r.Context(), loginContext{}, key))
	}
	d.mux.ServeHTTP(w, r)
}

// answer makes a route a handler.
func (d *door) answer(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, ok := identity.From(r.Context())
		if !ok { // own is behind known
			fail(w, r, deny("", http.StatusUnauthorized, "who are you?"))
			return
		}
		if err := route.serve(w, r, &who); err != nil {
			fail(w, r, err)
		}
	}
}

// refusal is an error that the door answers.
type refusal struct {
	identity.Refusal
	rule string // for the audit record
}

func deny(rule string, status int, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if status != http.StatusNotFound { // as the Engine says it
		message = "moorgate: " + message
	}
	return &refusal{identity.Refusal{Status: status, Message: message}, rule}
}

func (r *refusal) Unwrap() error { return &r.Refusal }

// failure is how an error is answered.
type failure struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Login lists what a browser may log in with, where that is what it lacks.
	Login []string `json:"login,omitempty"`
}

// fail answers an error in the Engine's shape and keeps it in the record.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	rec := audit.From(r.Context())
	var ours *refusal
	if errors.As(err, &ours) && rec.Rule == "" {
		rec.Rule = ours.rule
	}
	status, f := http.StatusInternalServerError, failure{Message: "moorgate: internal error: see its log"}
	var known *Error
	var no *identity.Refusal
	switch {
	case errors.As(err, &known):
		status, f.Message, f.Hint = known.Status, known.Message, known.Hint
		if rec.Rule == "" {
			rec.Rule = known.Rule
		}
	case errors.As(err, &no):
		status, f.Message = no.Status, no.Message
		if no.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(no.RetryAfter.Seconds()))))
		}
	default:
		rec.Fail(err)
	}
	if rec.Reason == "" {
		rec.Reason = f.Message
	}
	if status < 400 { // left out: never pass for success
		status = http.StatusInternalServerError
	}
	send(w, status, f)
}

// send answers with JSON.
func send(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // ours always marshal
		status, text = http.StatusInternalServerError, []byte(`{"message":"moorgate: internal error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a caller who has gone needs no answer
}

// unknown answers a caller whom no source knows. The page learns what may be
// logged in with.
func (d *door) unknown(w http.ResponseWriter, r *http.Request, status int, message string) {
	rec := audit.From(r.Context())
	rec.Reason = message
	if d.looks(r, status) {
		rec.Decision = audit.Allow
	}
	f := failure{Message: message}
	if status == http.StatusUnauthorized {
		f.Login = d.offers()
	}
	send(w, status, f)
}

// looks says that the page asks whether its browser is known, and that it is
// not since it shows nothing by which it could be: "nobody" is the answer, and
// no one was denied anything.
func (d *door) looks(r *http.Request, status int) bool {
	return status == http.StatusUnauthorized && r.Method == http.MethodGet && r.URL.Path == "/api/me" &&
		r.Header["Authorization"] == nil && cookieValue(r, d.cookieName()) == "" && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0)
}
