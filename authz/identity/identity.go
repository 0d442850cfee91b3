// Package identity finds out who calls: it reads the evidence that a request
// or its connection brings and names one user, or refuses.
package identity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Identity is who calls, and by what evidence. One Identity is shared by many
// requests: nobody writes to it or to its slices once a Source gave it.
type Identity struct {
	User   string
	Groups []string // unix groups, certificate OUs, or what else the evidence names
	Roles  []string // of the user and of the groups, as the configuration says
	Method string   // the evidence: the name of the Source
	Peer   *Peer    // the process at the other end; nil unless by peer credentials

	// Session is the id of the terminal that calls on the user's behalf, from
	// inside this process; "" for all other callers.
	Session string

	setting [32]byte // the hash of the setting that the evidence matched, for Known; zero for none
}

// Source reads one sort of evidence.
type Source interface {
	// Name is what a listener's identify list calls it.
	Name() string

	// Identify gives nil, nil where there is no evidence of this sort. An
	// error says that there is evidence and that it is wrong: the request is
	// refused, whatever other sources say.
	Identify(*http.Request) (*Identity, error)
}

// Asker is a Source that can say how its evidence is given.
type Asker interface {
	Source

	// Ask gives the words for the caller and the challenge for the
	// WWW-Authenticate header; "" where HTTP has none.
	Ask() (how, challenge string)
}

// Refusal is an error of a Source that is answered otherwise than with 401: for
// a caller who must wait, or evidence that cannot be judged now.
type Refusal struct {
	Status     int
	Message    string
	RetryAfter time.Duration // 0 for none
}

func (r *Refusal) Error() string { return r.Message }

// Fail answers a request that Require refuses.
type Fail func(w http.ResponseWriter, r *http.Request, status int, message string)

// Require lets requests through whose caller is known, with the Identity in
// their context. It asks every source: all that know the caller must name the
// same user, and then the first one's identity holds. If the ResponseWriter
// has a method Identified(*Identity), it is told.
func Require(sources []Source, fail Fail) func(http.Handler) http.Handler {
	g := guard{sources: sources, fail: fail}
	var hows []string
	for _, s := range sources {
		a, ok := s.(Asker)
		if !ok {
			continue
		}
		how, challenge := a.Ask()
		if how != "" {
			hows = append(hows, how)
		}
		if challenge != "" && !slices.Contains(g.challenges, challenge) {
			g.challenges = append(g.challenges, challenge)
		}
	}
	g.question = "moorgate: who are you?"
	if len(hows) > 0 {
		g.question += " " + strings.Join(hows, ", or ")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, next) })
	}
}

type guard struct {
	sources    []Source
	fail       Fail
	question   string
	challenges []string
}

func (g *guard) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	who, no := g.identify(r)
	if no != nil {
		h := w.Header()
		if no.Status == http.StatusUnauthorized {
			g.challenge(h, r)
		}
		if no.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(int(math.Ceil(no.RetryAfter.Seconds()))))
		}
		g.fail(w, r, no.Status, no.Message)
		return
	}
	if o, ok := w.(interface{ Identified(*Identity) }); ok {
		o.Identified(who)
	}
	// http1's contexts take a value in place, which saves a copy of the request.
	ctx := r.Context()
	if s, ok := ctx.(interface{ SetValue(key, value any) bool }); !ok || !s.SetValue(knownKey{}, who) {
		r = r.WithContext(&knownContext{ctx, who})
	}
	next.ServeHTTP(w, r)
}

// challenge says what may be sent. A browser is not asked for a password: it
// would keep it, and send it along with what other sites make it ask for.
func (g *guard) challenge(h http.Header, r *http.Request) {
	browser := r.Header["Sec-Fetch-Mode"] != nil || r.Header["Origin"] != nil
	for _, c := range g.challenges {
		if !browser || !strings.HasPrefix(c, "Basic") {
			h.Add("WWW-Authenticate", c)
		}
	}
}

// identify asks every source and gives the one identity, or why there is none.
func (g *guard) identify(r *http.Request) (*Identity, *Refusal) {
	var who *Identity
	refuse := func(message string) (*Identity, *Refusal) {
		return nil, &Refusal{Status: http.StatusUnauthorized, Message: "moorgate: " + message}
	}
	for _, s := range g.sources {
		id, err := s.Identify(r)
		switch {
		case err != nil:
			if no, ok := errors.AsType[*Refusal](err); ok {
				return nil, &Refusal{Status: no.Status, Message: "moorgate: " + s.Name() + ": " + no.Message, RetryAfter: no.RetryAfter}
			}
			return refuse(s.Name() + ": " + err.Error())
		case id == nil:
		case id.User == "":
			return refuse(s.Name() + ": the evidence names nobody")
		case who == nil:
			who = id
		case who.User != id.User:
			return refuse(fmt.Sprintf("%s says that you are %s, %s says %s: send one of the two", who.Method, who.User, id.Method, id.User))
		}
	}
	if who == nil {
		return nil, &Refusal{Status: http.StatusUnauthorized, Message: g.question}
	}
	return who, nil
}

// From gives the identity that Require found.
func From(ctx context.Context) (Identity, bool) {
	if id, ok := ctx.Value(knownKey{}).(*Identity); ok && id != nil {
		return *id, true
	}
	return Identity{}, false
}

// NewContext gives a context whose identity is known already, as Require does.
func NewContext(ctx context.Context, who *Identity) context.Context {
	return &knownContext{ctx, who}
}

type knownKey struct{}

// knownContext is context.WithValue in one allocation instead of two.
type knownContext struct {
	context.Context
	who *Identity
}

func (c *knownContext) Value(key any) any {
	if key == (knownKey{}) {
		return c.who
	}
	return c.Context.Value(key)
}
