package identity

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// bringer puts evidence of one sort, for a user, into a request; for the user
// "wrong" it is evidence that is present and wrong.
type bringer func(r *http.Request, user string) *http.Request

// everyone is a directory in which alice and bob are known by all evidence
// there is, and what brings it.
func everyone(t *testing.T) ([]Source, map[string]bringer) {
	t.Helper()
	p := startProvider(t, "127.0.0.1:0")
	c := p.config()
	c.Header = &Header{User: "X-Forwarded-User", Trusted: []string{"unix", "192.0.2.0/24"}}
	uids := map[string]uint32{"alice": 1000, "bob": 1001, "wrong": 1002}
	c.Users = map[string]User{}
	for _, name := range []string{"alice", "bob"} {
		c.Users[name] = User{UID: uid(uids[name]), Certificate: name, Tokens: []string{sumOf("token-of-" + name)}, Password: cheapHash(name)}
	}
	d := withSections(t, c)
	withNames(d, nil, nil, new(int))
	sources, err := d.Sources(SourceNames)
	if err != nil {
		t.Fatal(err)
	}
	jwts := map[string]string{}
	for _, name := range []string{"alice", "bob"} {
		jwts[name] = p.token(t, jwt.MapClaims{"preferred_username": name})
	}
	jwts["wrong"] = p.token(t, jwt.MapClaims{"preferred_username": "alice", "exp": 1})
	authorization := func(value func(user string) string) bringer {
		return func(r *http.Request, user string) *http.Request {
			r.Header.Add("Authorization", value(user))
			return r
		}
	}
	return sources, map[string]bringer{
		"peer": func(r *http.Request, user string) *http.Request {
			return r.WithContext(WithPeer(r.Context(), Peer{UID: uids[user], GID: 100}))
		},
		"certificate": func(r *http.Request, user string) *http.Request {
			leaf := certificate(user)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
			return r
		},
		"token":    authorization(func(user string) string { return "Bearer token-of-" + user }),
		"password": authorization(func(user string) string { return basic(strings.Replace(user, "wrong", "alice", 1) + ":" + user) }),
		"oidc":     authorization(func(user string) string { return "Bearer " + jwts[user] }),
		"header": func(r *http.Request, user string) *http.Request {
			r.Header.Set("X-Forwarded-User", user)
			return r
		},
	}
}

// Every pair of evidence: both must name the same user, and one that is wrong
// is never made up for by the other.
func TestEveryPairOfEvidence(t *testing.T) {
	sources, bring := everyone(t)
	if len(bring) != len(SourceNames) {
		t.Fatal("a source is missing here")
	}
	oneHeader := []string{"token", "password", "oidc"} // all in Authorization
	for i, a := range SourceNames {
		if status, got := ask(sources, bring[a](httptest.NewRequest("GET", "/", nil), "alice")); status != 200 || got != "alice by "+a {
			t.Errorf("%s alone: %d %s", a, status, got)
		}
		if status, got := ask(sources, bring[a](httptest.NewRequest("GET", "/", nil), "wrong")); status != 401 || !strings.HasPrefix(got, "moorgate: "+a+": ") {
			t.Errorf("%s alone and wrong: %d %s", a, status, got)
		}
		for _, b := range SourceNames[i+1:] {
			both := func(userA, userB string) (int, string) {
				return ask(sources, bring[b](bring[a](httptest.NewRequest("GET", "/", nil), userA), userB))
			}
			t.Run(a+"+"+b, func(t *testing.T) {
				if slices.Contains(oneHeader, a) && slices.Contains(oneHeader, b) {
					for _, users := range [][2]string{{"alice", "alice"}, {"alice", "bob"}, {"bob", "alice"}} {
						if status, got := both(users[0], users[1]); status != 401 || !strings.Contains(got, ": there are two Authorization headers") {
							t.Errorf("%v: %d %s", users, status, got)
						}
					}
					return
				}
				if status, got := both("alice", "alice"); status != 200 || got != "alice by "+a {
					t.Errorf("they agree: %d %s", status, got)
				}
				if status, got := both("alice", "bob"); status != 401 || got != "moorgate: "+a+" says that you are alice, "+b+" says bob: send one of the two" {
					t.Errorf("they disagree: %d %s", status, got)
				}
				if status, got := both("bob", "alice"); status != 401 || got != "moorgate: "+a+" says that you are bob, "+b+" says alice: send one of the two" {
					t.Errorf("they disagree: %d %s", status, got)
				}
				if status, got := both("wrong", "alice"); status != 401 || !strings.HasPrefix(got, "moorgate: "+a+": ") {
					t.Errorf("the first is wrong: %d %s", status, got)
				}
				if status, got := both("alice", "wrong"); status != 401 || !strings.HasPrefix(got, "moorgate: "+b+": ") {
					t.Errorf("the second is wrong: %d %s", status, got)
				}
			})
		}
	}
}

// How callers try to pass for somebody: none of it authenticates anybody, and
// none of it changes who somebody known is.
func TestTricks(t *testing.T) {
	sources, bring := everyone(t)
	const token = "Bearer token-of-alice"
	tests := []struct {
		name   string
		target string
		header http.Header
		anyone string // for a caller without other evidence: the beginning of the refusal
		bob    string // for bob, known by his peer credentials: who he is, or the beginning of the refusal
	}{
		{"token in the query", "/?token=token-of-alice&access_token=token-of-alice&Authorization=Bearer+token-of-alice", nil, "moorgate: who are you?", "bob by peer"},
		{"password in the URL", "http://alice:alice@example.org/", nil, "moorgate: who are you?", "bob by peer"},
		{"cookies", "/", http.Header{"Cookie": {"Authorization=" + token + "; token=token-of-alice"}}, "moorgate: who are you?", "bob by peer"},
		{"two", "/", http.Header{"Authorization": {token, token}}, "moorgate: token: there are two", "moorgate: token: there are two"},
		{"two sorts", "/", http.Header{"Authorization": {basic("alice:alice"), token}}, "moorgate: token: there are two", "moorgate: token: there are two"},
		{"joined", "/", http.Header{"Authorization": {token + ", " + basic("alice:alice")}}, "moorgate: token: the Authorization header is malformed", "moorgate: token: the Authorization header is malformed"},
		{"a prefix of the token", "/", http.Header{"Authorization": {"Bearer token-of-alic"}}, "moorgate: token: no user", "moorgate: token: no user"},
		{"its hash", "/", http.Header{"Authorization": {"Bearer " + sumOf("token-of-alice")}}, "moorgate: token: no user", "moorgate: token: no user"},
		{"empty", "/", http.Header{"Authorization": {""}}, "moorgate: who are you?", "bob by peer"},
		{"bearer without a token", "/", http.Header{"Authorization": {"Bearer"}}, "moorgate: token: the Authorization header is malformed", "moorgate: token: the Authorization header is malformed"},
		{"basic without a credential", "/", http.Header{"Authorization": {"Basic "}}, "moorgate: password: the Authorization header is malformed", "moorgate: password: the Authorization header is malformed"},
		{"proxy's", "/", http.Header{"Proxy-Authorization": {token}}, "moorgate: who are you?", "bob by peer"},
		{"registry's", "/", http.Header{"X-Registry-Auth": {token}}, "moorgate: who are you?", "bob by peer"},
		{"other names of users", "/", http.Header{"X-Remote-User": {"alice"}, "Remote-User": {"alice"}, "X-Forwarded-Email": {"alice"}, "X_forwarded_user": {"alice"}}, "moorgate: who are you?", "bob by peer"},
		{"named in Connection alone", "/", http.Header{"Connection": {"Authorization"}}, "moorgate: who are you?", "bob by peer"},
		{"named in Connection", "/", http.Header{"Connection": {"Authorization"}, "Authorization": {token}}, "", "moorgate: peer says that you are bob, token says alice"},
		{"the proxy's header named in Connection", "/", http.Header{"Connection": {"X-Forwarded-User"}}, "moorgate: header: the Connection header names", "moorgate: header: the Connection header names"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := func() *http.Request {
				r := httptest.NewRequest("GET", test.target, nil)
				if test.header != nil {
					r.Header = test.header.Clone()
				}
				return r
			}
			if status, got := ask(sources, request()); test.anyone != "" && (status != 401 || !strings.HasPrefix(got, test.anyone)) {
				t.Errorf("a stranger: %d %s", status, got)
			}
			want := 401
			if strings.HasPrefix(test.bob, "bob") {
				want = 200
			}
			if status, got := ask(sources, bring["peer"](request(), "bob")); status != want || !strings.HasPrefix(got, test.bob) {
				t.Errorf("bob: %d %s", status, got)
			}
		})
	}
}

// refusing is a source that wants an answer of its own.
type refusing struct{ *Refusal }

func (refusing) Name() string                                { return "slow" }
func (s refusing) Identify(*http.Request) (*Identity, error) { return nil, s.Refusal }

func TestRefusal(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	Require([]Source{asks{says{name: "a"}, "knock", "Bearer"}, refusing{&Refusal{Status: 503, Message: "later", RetryAfter: 1500e6}}}, failPlain)(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" || w.Header().Get("WWW-Authenticate") != "" || w.Body.String() != "moorgate: slow: later\n" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}
