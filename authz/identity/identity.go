// Package identity finds out who calls: it reads the evidence that a request
// or its connection brings and names one user, or refuses.
package identity

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Identity is who calls, and by what evidence. One Identity is shared by many
// requests: nobody writes to it or to its slices once a Source gave it.
type Identity struct {
	User   string
	Groups []string // unix groups, certificate OUs, or what else the evidence names
	Roles  []string // of the user and of the groups, as the configuration says
	Method string   // the evidence: the name of the Source
	Peer   *Peer    // the process at the other end; nil unless by peer credentials
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
		if challenge != "" {
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
	who, refusal := g.identify(r)
	if who == nil {
		for _, c := range g.challenges {
			w.Header().Add("WWW-Authenticate", c)
		}
		g.fail(w, r, http.StatusUnauthorized, refusal)
		return
	}
	if o, ok := w.(interface{ Identified(*Identity) }); ok {
		o.Identified(who)
	}
	next.ServeHTTP(w, r.WithContext(&knownContext{r.Context(), who}))
}

// identify asks every source and gives the one identity, or none and why.
func (g *guard) identify(r *http.Request) (who *Identity, refusal string) {
	for _, s := range g.sources {
		id, err := s.Identify(r)
		switch {
		case err != nil:
			return nil, "moorgate: " + s.Name() + ": " + err.Error()
		case id == nil:
		case id.User == "":
			return nil, "moorgate: " + s.Name() + ": the evidence names nobody"
		case who == nil:
			who = id
		case who.User != id.User:
			return nil, fmt.Sprintf("moorgate: %s says that you are %s, %s says %s: send one of the two",
				who.Method, who.User, id.Method, id.User)
		}
	}
	if who == nil {
		return nil, g.question
	}
	return who, ""
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
