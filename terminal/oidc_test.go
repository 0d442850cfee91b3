package terminal

import (
	"context"
	"html"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/oauth2-proxy/mockoidc"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// issuerDoor is a door whose browsers log in at an issuer that runs.
type issuerDoor struct {
	*testDoor
	issuer *mockoidc.MockOIDC
	config identity.Config
}

// AuthURL and Redeem ask the configuration in force.
func (d *issuerDoor) AuthURL(ctx context.Context, redirect, state, nonce, challenge string) (string, error) {
	return d.users.AuthURL(ctx, redirect, state, nonce, challenge)
}

func (d *issuerDoor) Redeem(ctx context.Context, redirect, code, verifier, nonce string) (*identity.Identity, error) {
	return d.users.Redeem(ctx, redirect, code, verifier, nonce)
}

func newIssuerDoor(t *testing.T) *issuerDoor {
	t.Helper()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(listener, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Server.Close() })
	d := &issuerDoor{issuer: m, config: doorUsers()}
	d.config.OIDC = &identity.OIDC{Issuer: m.Issuer(), ClientID: m.ClientID, ClientSecret: m.ClientSecret, GroupsClaim: "groups"}
	d.testDoor = newTestDoor(t, Listener{Address: "unix:///m.sock", PublicURL: box + "/m"}, nil, func(o *Options) { o.OIDC = d })
	d.use(d.config)
	l := Listener{Address: "unix:///m.sock", PublicURL: box + "/m", API: http.NotFoundHandler()}
	if l.Sources, err = d.users.Sources([]string{"oidc"}); err != nil {
		t.Fatal(err)
	}
	h, err := d.Server.Handler(l)
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = audit.Middleware("test", d.testDoor)(h)
	return d
}

// begin starts a login in a browser: its cookie, and where it is sent.
func (d *issuerDoor) begin(t *testing.T) (cookie string, to *url.URL) {
	t.Helper()
	a := d.ask("GET", "/login/oidc", boxHost)
	to, err := a.Location()
	if a.StatusCode != http.StatusSeeOther || err != nil || len(a.Cookies()) != 1 {
		t.Fatalf("the login begins with %d %s %s", a.StatusCode, a.Header, a.body)
	}
	return a.cookies(), to
}

// atIssuer lets a user log in there and gives the path to which the browser is
// sent back.
func (d *issuerDoor) atIssuer(t *testing.T, user *mockoidc.MockUser, to *url.URL) string {
	t.Helper()
	d.issuer.QueueUser(user)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(to.String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Scheme+"://"+back.Host+back.Path != box+"/m/login/oidc" {
		t.Fatalf("the issuer sends the browser to %v (%s, %v)", back, resp.Status, err)
	}
	return "/login/oidc?" + back.RawQuery
}

var oidcAlice = &mockoidc.MockUser{Subject: "1", PreferredUsername: "alice"}

func TestOIDC(t *testing.T) {
	d := newIssuerDoor(t)
	for _, r := range []struct {
		user *mockoidc.MockUser
		name string
		says string // of one who may not come in
	}{
		{oidcAlice, "alice", ""},
		{&mockoidc.MockUser{Subject: "2", PreferredUsername: "carol", Groups: []string{"staff"}}, "carol", ""},
		{&mockoidc.MockUser{Subject: "3", PreferredUsername: "mallory", Groups: []string{"others"}}, "", `preferred_username "mallory" is no user`},
		{&mockoidc.MockUser{Subject: "4", PreferredUsername: "x&code=y", Groups: []string{"staff"}}, "", `"x&code=y" cannot be a user's name: it needs letters, digits and _ . @ + -`},
		{&mockoidc.MockUser{Subject: "5"}, "", "the token has no preferred_username"},
	} {
		cookie, to := d.begin(t)
		q := to.Query()
		if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("nonce") == "" || q.Get("state") == "" ||
			q.Get("redirect_uri") != box+"/m/login/oidc" || !strings.Contains(q.Get("scope"), "openid") || !strings.Contains(q.Get("scope"), "groups") {
			t.Errorf("the issuer is asked with %v", q)
		}
		a := d.ask("GET", d.atIssuer(t, r.user, to), boxHost, cookie)
		where := a.Header.Get("Location")
		if r.name == "" {
			said, _ := url.QueryUnescape(where)
			if a.StatusCode != 303 || !strings.HasPrefix(where, "/m/#error=") || strings.Contains(where, "&") || !strings.Contains(said, r.says) || d.last().Decision != audit.Deny {
				t.Errorf("%s gets %d %q, recorded %s", r.user.PreferredUsername, a.StatusCode, said, d.last().Decision)
			}
			for _, c := range a.Cookies() {
				if c.Value != "" {
					t.Errorf("%s gets the cookie %s", r.user.PreferredUsername, c)
				}
			}
			continue
		}
		if a.StatusCode != 303 || where != "/m/" {
			t.Errorf("%s gets %d to %s: %s", r.name, a.StatusCode, where, a.body)
			continue
		}
		if rec := d.last(); rec.User != r.name || rec.Evidence != "oidc" || strings.Contains(rec.Path, "code") {
			t.Errorf("the login of %s is recorded as %s by %s at %s", r.name, rec.User, rec.Evidence, rec.Path)
		}
		if me := d.ask("GET", "/api/me", boxHost, a.cookies()); me.StatusCode != 200 || !strings.Contains(me.body, `"user":"`+r.name+`"`) {
			t.Errorf("me: %d %s", me.StatusCode, me.body)
		}
		for _, c := range a.Cookies() {
			if c.SameSite != http.SameSiteStrictMode || !c.HttpOnly || !c.Secure {
				t.Errorf("the cookie %s", c)
			}
		}
	}
}

// Who is sent back by the issuer's page brings no SameSite=Strict cookie: our
// own page asks again, which brings it.
func TestOIDCAgain(t *testing.T) {
	d := newIssuerDoor(t)
	cookie, to := d.begin(t)
	back := d.atIssuer(t, oidcAlice, to)
	a := d.ask("GET", back+"&evil=%22%3E%3Cscript%3E", boxHost)
	found := regexp.MustCompile(`http-equiv="refresh" content="0;url=/m(/login/oidc\?[^"]*)"`).FindStringSubmatch(a.body)
	if a.StatusCode != 200 || found == nil || strings.Contains(a.body, "script") || !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("without the cookie: %d %s %s", a.StatusCode, a.Header, a.body)
	}
	a = d.ask("GET", html.UnescapeString(found[1]), boxHost, cookie)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/m/" {
		t.Errorf("with the cookie: %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a := d.ask("GET", html.UnescapeString(found[1]), boxHost); !strings.HasPrefix(a.Header.Get("Location"), "/m/#error=") {
		t.Errorf("again without the cookie: %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
}

// Only the browser that began a login ends it, once, in time and with what the
// issuer made for it.
func TestOIDCForeign(t *testing.T) {
	d := newIssuerDoor(t)
	refused := func(name, target, says string, fields ...string) {
		t.Helper()
		a := d.ask("GET", target, append(fields, boxHost)...)
		said, _ := url.QueryUnescape(a.Header.Get("Location"))
		if a.StatusCode != 303 || !strings.HasPrefix(said, "/m/#error=") || !strings.Contains(said, says) {
			t.Errorf("%s: %d to %q, want %q", name, a.StatusCode, said, says)
		}
		for _, c := range a.Cookies() {
			if c.Value != "" {
				t.Errorf("%s: gets the cookie %s", name, c)
			}
		}
	}
	attackers, to := d.begin(t)
	back := d.atIssuer(t, oidcAlice, to)
	victims, other := d.begin(t)
	const notHere = "was not begun in this browser"
	refused("login CSRF: another's code in a browser that began none", back+"&again=1", notHere)
	refused("login CSRF: another's code in a browser that began one", back, notHere, victims)
	state := other.Query().Get("state")
	code, _ := url.ParseQuery(strings.SplitN(back, "?", 2)[1])
	refused("another's code with the browser's own state", "/login/oidc?state="+state+"&code="+code.Get("code"), "refused the login", victims)
	victims, other = d.begin(t)
	state = other.Query().Get("state")
	refused("no code", "/login/oidc?state="+state, "sent no code", victims)
	refused("two codes", "/login/oidc?code=a&code=b&state="+state, "sent no code", victims)
	refused("two states", "/login/oidc?code=a&state="+state+"&state=x", notHere, victims)
	refused("the issuer says no", "/login/oidc?error=access_denied&state="+state, "(access_denied)", victims)
	refused("somebody says that the issuer says no", "/login/oidc?error=x&state=y", notHere, victims)
	refused("a made-up code", "/login/oidc?code=x&state="+state, "refused the login", victims)
	refused("a cookie whose time was changed", "/login/oidc?code=x&state="+state, notHere, victims+"0")
	d.pass(flowLife)
	refused("too late", back, "took too long", attackers)
	if a := d.ask("GET", back, "Host: evil.example", attackers); a.StatusCode != 403 {
		t.Errorf("another Host: %d", a.StatusCode)
	}

	// The nonce of a token must be this login's: here the issuer makes one for
	// another login of the same browser.
	mine, to := d.begin(t)
	q := to.Query()
	q.Set("nonce", "another")
	to.RawQuery = q.Encode()
	refused("another nonce", d.atIssuer(t, oidcAlice, to), "made for another login", mine)

	// And the code is for who has the verifier.
	mine, to = d.begin(t)
	q = to.Query()
	q.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
	to.RawQuery = q.Encode()
	refused("another challenge", d.atIssuer(t, oidcAlice, to), "refused the login", mine)
}

func TestOIDCWithdrawn(t *testing.T) {
	d := newIssuerDoor(t)
	cookie, to := d.begin(t)
	in := d.ask("GET", d.atIssuer(t, oidcAlice, to), boxHost, cookie).cookies()
	d.use(d.config)
	if a := d.ask("GET", "/api/me", boxHost, in); a.StatusCode != 200 {
		t.Errorf("after a reload: %d %s", a.StatusCode, a.body)
	}
	without := d.config
	without.OIDC = nil
	d.use(without)
	if a := d.ask("GET", "/api/me", boxHost, in); a.StatusCode != 401 {
		t.Errorf("with the issuer gone from the configuration: %d %s", a.StatusCode, a.body)
	}
}

func TestOIDCAway(t *testing.T) {
	d := newIssuerDoor(t)
	_ = d.issuer.Server.Close()
	d.use(d.config)
	a := d.ask("GET", "/login/oidc", boxHost)
	said, _ := url.QueryUnescape(a.Header.Get("Location"))
	if a.StatusCode != 303 || !strings.Contains(said, "does not answer") {
		t.Errorf("with the issuer away: %d to %q", a.StatusCode, said)
	}
}
