package terminal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// doorSecrets are what the users of these tests have.

const (
	alicePassword = "open sesame"
	aliceToken    = "alice-token"
	bobToken      = "bob-token"
)

// cheapHash is a password as the configuration has it, at a cost for tests.

func cheapHash(password string) string {
	salt := []byte("salt of the test")
	sum := argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)
	return "$argon2id$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

// tokenLine is a token as the configuration has it.

func tokenLine(token string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token)))
}

// testDoor is a door, and who there is behind it.

type testDoor struct {
	t testing.TB
	*Server
	http.Handler
	users   *identity.Directory
	passed  atomic.Int64 // of time, since the door was made
	began   time.Time
	engine  []string // what reached the Engine's API: "GET /v1.41/info alice session"
	records []audit.Record
}

// time is the door's clock, which only pass moves.
func (d *testDoor) time() time.Time { return d.began.Add(time.Duration(d.passed.Load())) }

func (d *testDoor) pass(by time.Duration) { d.passed.Add(int64(by)) }

// Record keeps records, as a sink.

func (d *testDoor) Record(r *audit.Record) { d.records = append(d.records, *r) }

// last is the record of the last request.

func (d *testDoor) last() audit.Record {
	d.t.Helper()
	if len(d.records) == 0 {
		d.t.Fatal("nothing was recorded")
	}
	return d.records[len(d.records)-1]
}

func doorUsers() identity.Config {
	return identity.Config{
		Users: map[string]identity.User{
			"alice": {Password: cheapHash(alicePassword), Tokens: []string{tokenLine(aliceToken)}, Certificate: "alice", Roles: []string{"developer"}},
			"bob":   {Tokens: []string{tokenLine(bobToken)}, Roles: []string{"admin"}},
		},
		Groups: map[string]identity.Group{"staff": {Roles: []string{"guest"}}},
		Header: &identity.Header{User: "X-Forwarded-User", Groups: "X-Forwarded-Groups", Trusted: []string{"192.0.2.1"}},
	}
}

func newTestDoor(t testing.TB, l Listener, identify []string, change ...func(*Options)) *testDoor {
	t.Helper()
	d := &testDoor{t: t, began: time.Now()}
	d.use(doorUsers())
	o := Options{
		May: func(who *identity.Identity, action, engine string) bool {
			return who.User == "bob" || action == "container.list" && engine == "local"
		},
		Roles:   func(who *identity.Identity) []string { return d.users.Roles(who.User, who.Groups) },
		Known:   func(who *identity.Identity) bool { return d.users.Known(who) },
		Engines: func() []string { return []string{"local", "east"} },
		Actions: []string{"container.list", "terminal.admin", "terminal.open"},
		Login: func(user, password, remote string) (*identity.Identity, error) {
			return d.users.Login(user, password, remote)
		},
		Token:   func(token string) (*identity.Identity, error) { return d.users.Token(token) },
		IsUser:  func(name string) bool { return name == "alice" || name == "bob" },
		Denials: NewDenials(d.time),
		Now:     d.time,
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if d.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	if l.Sources, err = d.users.Sources(identify); err != nil {
		t.Fatal(err)
	}
	l.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := identity.From(r.Context())
		d.engine = append(d.engine, r.Method+" "+r.URL.Path+" "+who.User+" "+who.Method)
		_, _ = io.WriteString(w, "the Engine's")
	})
	h, err := d.Server.Handler(l)
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = audit.Middleware("test", d, o.Denials)(h)
	return d
}

// use makes a configuration the one in force.

func (d *testDoor) use(c identity.Config) {
	d.t.Helper()
	users, err := identity.New(c, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.users = users
}

// doorAnswer is an answer, read whole.

type doorAnswer struct {
	*http.Response
	body string
}

func (a doorAnswer) message() string {
	var e struct{ Message string }
	if json.Unmarshal([]byte(a.body), &e) != nil {
		return "no JSON: " + a.body
	}
	return e.Message
}

// cookies are those that an answer sets, as a request has them.

func (a doorAnswer) cookies() string {
	var all []string
	for _, c := range a.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return "Cookie: " + strings.Join(all, "; ")
}

// ask makes a request: fields are "Name: value", "Host: ..." among them; one

// without a name is the body.

func (d *testDoor) ask(method, target string, fields ...string) doorAnswer {
	d.t.Helper()
	var body io.Reader
	for _, f := range fields {
		if !strings.Contains(f, ": ") {
			body = strings.NewReader(f)
		}
	}
	r := httptest.NewRequest(method, "http://placeholder/", body)
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
	r.RequestURI = target
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ": ")
		switch {
		case !ok:
		case name == "Host":
			r.Host = value
		case name == "Remote":
			r.RemoteAddr = value
		default:
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return doorAnswer{w.Result(), w.Body.String()}
}

const (
	box       = "https://box.example.org"
	boxHost   = "Host: box.example.org"
	boxOrigin = "Origin: " + box
	asJSON    = "Content-Type: application/json"
	asForm    = "Content-Type: application/x-www-form-urlencoded"
	aliceSays = `{"user":"alice","password":"` + alicePassword + `"}`
)

var everySource = []string{"token", "password", "header"}

// loggedIn is a door of https://box.example.org and alice's cookie.

func loggedIn(t testing.TB) (*testDoor, string) {
	t.Helper()
	d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, everySource)
	a := d.ask("POST", "/login", boxHost, boxOrigin, asJSON, aliceSays)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	return d, a.cookies()
}

// What a page of another site, or of another name of this one, makes a browser

// send changes nothing and opens nothing.

// A listener on loopback without a public URL has its own addresses as names,

// each an origin of its own.

// Behind a path prefix everything works with the prefix taken off by the

// reverse proxy, or left on; a header does not move it.

func TestPrefix(t *testing.T) {
	d := newTestDoor(t, Listener{Address: "unix:///run/m.sock", PublicURL: box + "/moorgate/"}, everySource)
	a := d.ask("POST", "/moorgate/login", boxHost, boxOrigin, asForm, "user=alice&password=open+sesame")
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/moorgate/" {
		t.Fatalf("login: %d, Location %q, %s", a.StatusCode, a.Header.Get("Location"), a.body)
	}
	c := a.Cookies()[0]
	if c.Path != "/moorgate/" || !strings.HasPrefix(c.Name, "__Secure-") || !c.Secure {
		t.Errorf("the cookie is %s", c)
	}
	for _, r := range []struct {
		target string
		status int
	}{
		{"/moorgate/api/me", 200}, {"/api/me", 200}, {"/moorgate/v1.41/info", 200}, {"/v1.41/info", 200},
		{"/moorgate/moorgate/api/me", 200 /* the Engine's, which knows no such path */}, {"/moorgatex/api/me", 200},
		{"/moorgate/api/nothing", 404},
	} {
		if a := d.ask("GET", r.target, boxHost, a.cookies(), "X-Forwarded-Prefix: /evil"); a.StatusCode != r.status {
			t.Errorf("%s: %d %.200s", r.target, a.StatusCode, a.body)
		}
	}
	want := []string{"GET /v1.41/info alice session", "GET /v1.41/info alice session", "GET /moorgate/api/me alice session", "GET /moorgatex/api/me alice session"}
	if !slices.Equal(d.engine, want) {
		t.Errorf("the Engine was asked %q, want %q", d.engine, want)
	}
	if a := d.ask("GET", "/moorgate/login", boxHost, "X-Forwarded-Prefix: /evil"); a.Header.Get("Location") != "/moorgate/" {
		t.Errorf("/login leads to %q", a.Header.Get("Location"))
	}
}

// Guard is for listeners that serve no page: a browser has no business there.

// Own routes that are not there, and methods that they do not have, answer as

// the Engine does.

func TestOwnRoutes(t *testing.T) {
	d, cookie := loggedIn(t)
	for _, r := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/api/me", 200}, {"HEAD", "/api/me", 200}, {"POST", "/api/me", 404}, {"GET", "/api/", 404}, {"GET", "/api/me/", 404},
		{"GET", "/api//me", 404}, {"GET", "/api/x/../me", 404}, {"PUT", "/login", 404}, {"GET", "/logout", 404}, {"DELETE", "/", 404},
		{"POST", "/login/oidc", 200 /* the Engine's */}, {"GET", "/login/oidc", 404},
	} {
		a := d.ask(r.method, r.target, cookie, boxHost, boxOrigin)
		if a.StatusCode != r.status {
			t.Errorf("%s %s: %d %.200s, want %d", r.method, r.target, a.StatusCode, a.body, r.status)
		}
		if r.status == 404 && a.message() != "page not found" {
			t.Errorf("%s %s says %s", r.method, r.target, a.body)
		}
	}
}
