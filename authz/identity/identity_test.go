package identity

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// says is a source that gives a fixed answer.
type says struct {
	name string
	id   *Identity
	err  error
}

func (s says) Name() string                              { return s.name }
func (s says) Identify(*http.Request) (*Identity, error) { return s.id, s.err }

// asks is one that can also be asked how.
type asks struct {
	says
	how, challenge string
}

func (a asks) Ask() (string, string) { return a.how, a.challenge }

func failPlain(w http.ResponseWriter, _ *http.Request, status int, message string) {
	http.Error(w, message, status)
}

func TestRequire(t *testing.T) {
	alice := func(method string) *Identity { return &Identity{User: "alice", Method: method} }
	bob := &Identity{User: "bob", Method: "token"}
	silent := says{name: "silent"}
	tests := []struct {
		name    string
		sources []Source
		status  int
		want    string // the user and method on 200, else the message
	}{
		{"one", []Source{says{"peer", alice("peer"), nil}}, 200, "alice by peer"},
		{"second", []Source{silent, says{"token", bob, nil}}, 200, "bob by token"},
		{"agree, the first holds", []Source{says{"peer", alice("peer"), nil}, says{"token", alice("token"), nil}}, 200, "alice by peer"},
		{"disagree", []Source{says{"certificate", alice("certificate"), nil}, says{"token", bob, nil}}, 401,
			"moorgate: certificate says that you are alice, token says bob: send one of the two"},
		{"wrong evidence never falls through", []Source{says{"token", nil, errors.New("bad")}, says{"peer", alice("peer"), nil}}, 401, "moorgate: token: bad"},
		{"wrong evidence after right", []Source{says{"peer", alice("peer"), nil}, says{"token", nil, errors.New("bad")}}, 401, "moorgate: token: bad"},
		{"an identity beside an error", []Source{says{"token", bob, errors.New("bad")}}, 401, "moorgate: token: bad"},
		{"no name", []Source{says{"peer", &Identity{}, nil}}, 401, "moorgate: peer: the evidence names nobody"},
		{"none", []Source{silent}, 401, "moorgate: who are you?"},
		{"no sources", nil, 401, "moorgate: who are you?"},
		{"how", []Source{asks{says{name: "a"}, "knock", ""}, silent, asks{says{name: "b"}, "ring", "Bearer"}}, 401, "moorgate: who are you? knock, or ring"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := Require(test.sources, failPlain)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				id, ok := From(r.Context())
				if !ok {
					t.Error("no identity in the context")
				}
				w.Write([]byte(id.User + " by " + id.Method))
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if got := strings.TrimSpace(w.Body.String()); w.Code != test.status || got != test.want {
				t.Errorf("got %d %q, want %d %q", w.Code, got, test.status, test.want)
			}
			challenge := ""
			if test.name == "how" {
				challenge = "Bearer"
			}
			if got := w.Header().Get("WWW-Authenticate"); got != challenge {
				t.Errorf("WWW-Authenticate %q, want %q", got, challenge)
			}
		})
	}
}

type toldWriter struct {
	http.ResponseWriter
	who *Identity
}

func (w *toldWriter) Identified(who *Identity) { w.who = who }

func TestRequireTellsTheWriter(t *testing.T) {
	h := Require([]Source{says{"peer", &Identity{User: "alice"}, nil}}, failPlain)(http.NotFoundHandler())
	w := &toldWriter{ResponseWriter: httptest.NewRecorder()}
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.who == nil || w.who.User != "alice" {
		t.Errorf("the writer was told %v", w.who)
	}
}

func TestFromNobody(t *testing.T) {
	if id, ok := From(t.Context()); ok {
		t.Errorf("got %v from an empty context", id)
	}
}

func TestRequireKeepsTheContext(t *testing.T) {
	type key struct{}
	h := Require([]Source{says{"peer", &Identity{User: "alice"}, nil}}, failPlain)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != "kept" {
			t.Error("a value of the outer context is lost")
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(contextWith(r.Context(), key{}, "kept")))
}

// settable is a context that takes one value, as http1's take some.
type settable struct {
	context.Context
	key, value any
}

func (s *settable) SetValue(key, value any) bool {
	if s.key != nil {
		return false
	}
	s.key, s.value = key, value
	return true
}

func (s *settable) Value(key any) any {
	if key == s.key {
		return s.value
	}
	return s.Context.Value(key)
}

// TestRequireInPlace: where the context takes the identity the request is not
// copied; one that has an identity keeps it for those around.
func TestRequireInPlace(t *testing.T) {
	ctx := &settable{Context: t.Context()}
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	as := func(user string, next http.HandlerFunc) http.Handler {
		return Require([]Source{says{"peer", &Identity{User: user}, nil}}, failPlain)(next)
	}
	reached := false
	as("alice", func(w http.ResponseWriter, inner *http.Request) {
		if inner != r {
			t.Error("the request was copied")
		}
		as("bob", func(w http.ResponseWriter, r *http.Request) {
			who, _ := From(r.Context())
			reached = who.User == "bob"
		}).ServeHTTP(w, inner)
		if who, _ := From(inner.Context()); who.User != "alice" {
			t.Errorf("alice has become %s", who.User)
		}
	}).ServeHTTP(httptest.NewRecorder(), r)
	if !reached {
		t.Error("bob is not known")
	}
}
