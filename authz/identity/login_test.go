package identity

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/oauth2-proxy/mockoidc"
)

func TestTokenLogin(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Tokens: []string{sumOf("hers")}, Roles: []string{"developer"}}}, nil)
	who, err := d.Token("hers")
	if err != nil || who.User != "alice" || who.Method != "token" || strings.Join(who.Roles, "") != "developer" {
		t.Errorf("got %+v, %v", who, err)
	}
	for _, secret := range []string{"", "her", "hers ", sumOf("hers"), strings.Repeat("x", maxToken+1)} {
		if who, err := d.Token(secret); err == nil {
			t.Errorf("%.20q is %s's", secret, who.User)
		} else if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

// What was once taken for a user is not any more once the configuration has
// another secret, or no such user.
func TestKnown(t *testing.T) {
	before := Config{
		Users:  map[string]User{"alice": {Password: cheapHash("a"), Tokens: []string{sumOf("a")}}, "bob": {}},
		Groups: map[string]Group{"staff": {Roles: []string{"guest"}}},
		OIDC:   &OIDC{Issuer: "https://sso.example.org", ClientID: "moorgate"},
	}
	d := withSections(t, before)
	password, err := d.Login("alice", "a", "")
	if err != nil {
		t.Fatal(err)
	}
	token, err := d.Token("a")
	if err != nil {
		t.Fatal(err)
	}
	oidc := &Identity{User: "carol", Groups: []string{"staff"}, Method: "oidc", setting: before.OIDC.setting()}
	link := &Identity{User: "bob", Method: "link"}
	header := &Identity{User: "dora", Groups: []string{"staff"}, Method: "header"}
	all := map[string]*Identity{"password": password, "token": token, "oidc": oidc, "link": link, "header": header}
	session := *password // a browser's, whose evidence is its cookie
	session.Method = "session"
	all["session by password"] = &session

	for _, test := range []struct {
		name   string
		change func(*Config)
		gone   string // in the alphabet
	}{
		{"nothing", func(*Config) {}, ""},
		{"another password", func(c *Config) {
			c.Users["alice"] = User{Password: cheapHash("b"), Tokens: []string{sumOf("a")}}
		}, "password,session by password"},
		{"no password", func(c *Config) { c.Users["alice"] = User{Tokens: []string{sumOf("a")}} }, "password,session by password"},
		{"another token", func(c *Config) { c.Users["alice"] = User{Password: cheapHash("a"), Tokens: []string{sumOf("b")}} }, "token"},
		{"the token is another's", func(c *Config) {
			c.Users["alice"] = User{Password: cheapHash("a")}
			c.Users["bob"] = User{Tokens: []string{sumOf("a")}}
		}, "token"},
		{"alice is gone", func(c *Config) { delete(c.Users, "alice") }, "password,session by password,token"},
		{"bob is gone", func(c *Config) { delete(c.Users, "bob") }, "link"},
		{"the group gives nothing", func(c *Config) { c.Groups["staff"] = Group{} }, "header,oidc"},
		{"another issuer", func(c *Config) { c.OIDC = &OIDC{Issuer: "https://other.example.org", ClientID: "moorgate"} }, "oidc"},
		{"no issuer", func(c *Config) { c.OIDC = nil }, "oidc"},
	} {
		c := Config{Users: map[string]User{}, Groups: map[string]Group{"staff": before.Groups["staff"]}, OIDC: before.OIDC}
		for name, u := range before.Users {
			c.Users[name] = u
		}
		test.change(&c)
		after := withSections(t, c)
		var gone []string
		for _, name := range []string{"header", "link", "oidc", "password", "session by password", "token"} {
			if !after.Known(all[name]) {
				gone = append(gone, name)
			}
		}
		if got := strings.Join(gone, ","); got != test.gone {
			t.Errorf("%s: not known any more are %q, want %q", test.name, got, test.gone)
		}
	}
}

// code lets a user log in and gives what the issuer sends the browser back with.
func (p *provider) code(t *testing.T, d *Directory, user *mockoidc.MockUser, nonce, challenge string) string {
	t.Helper()
	to, err := d.AuthURL(t.Context(), "http://127.0.0.1/back", "the state", nonce, challenge)
	if err != nil {
		t.Fatal(err)
	}
	p.QueueUser(user)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Query().Get("state") != "the state" {
		t.Fatalf("%s sends the browser to %v (%s, %v)", to, back, resp.Status, err)
	}
	return back.Query().Get("code")
}

func TestRedeem(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	c := p.config()
	c.OIDC.ClientSecret = p.ClientSecret
	d := withSections(t, c)
	const (
		redirect  = "http://127.0.0.1/back"
		verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636, appendix B
		challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	)
	alice := &mockoidc.MockUser{Subject: "8", PreferredUsername: "alice"}
	code := p.code(t, d, alice, "n", challenge)
	who, err := d.Redeem(t.Context(), redirect, code, verifier, "n")
	if err != nil || who.User != "alice" || who.Method != "oidc" || !d.Known(who) {
		t.Fatalf("got %+v, %v", who, err)
	}
	carol := p.code(t, d, &mockoidc.MockUser{Subject: "9", PreferredUsername: "carol", Groups: []string{"engineering"}}, "n", challenge)
	if who, err := d.Redeem(t.Context(), redirect, carol, verifier, "n"); err != nil || who.User != "carol" || strings.Join(who.Roles, "") != "guest" {
		t.Errorf("by her group: %+v, %v", who, err)
	}
	for name, ask := range map[string]func() (*Identity, error){
		"!refused the login": func() (*Identity, error) { return d.Redeem(t.Context(), redirect, "x", verifier, "n") },
		"!made for another login": func() (*Identity, error) {
			return d.Redeem(t.Context(), redirect, p.code(t, d, alice, "another", challenge), verifier, "n")
		},
		"!refused the login (": func() (*Identity, error) {
			return d.Redeem(t.Context(), redirect, p.code(t, d, alice, "n", challenge), verifier[1:]+"A", "n")
		},
		`!preferred_username "eve" is no user`: func() (*Identity, error) {
			return d.Redeem(t.Context(), redirect, p.code(t, d, &mockoidc.MockUser{Subject: "1", PreferredUsername: "eve"}, "n", challenge), verifier, "n")
		},
		"!no issuer": func() (*Identity, error) {
			return directory(t, nil, nil).Redeem(t.Context(), redirect, "x", verifier, "n")
		},
	} {
		if who, err := ask(); err == nil || !strings.Contains(err.Error(), name[1:]) {
			t.Errorf("got %+v, %v, want %s", who, err, name)
		}
	}
	code = p.code(t, d, alice, "n", challenge)
	p.with(func() { p.down = true })
	var no *Refusal
	if _, err := d.Redeem(t.Context(), redirect, code, verifier, "n"); !errors.As(err, &no) || no.Status != 503 {
		t.Errorf("with the issuer away: %v", err)
	}
}

// An issuer that sends its users' codes over plain HTTP is not asked, and one
// that gives no token gives nobody.
func TestRedeemBadIssuer(t *testing.T) {
	var token, answer string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			_, _ = w.Write([]byte(answer))
			return
		}
		_, _ = w.Write([]byte(`{"issuer":"http://` + r.Host + `","authorization_endpoint":"http://` + r.Host + `/auth","token_endpoint":"` + token + `","jwks_uri":"http://` + r.Host + `/keys"}`))
	}))
	defer s.Close()
	ask := func(endpoint, text string) error {
		token, answer = endpoint, text
		d := withSections(t, Config{OIDC: &OIDC{Issuer: s.URL, ClientID: "m"}})
		_, err := d.Redeem(context.Background(), "http://127.0.0.1/back", "code", "verifier", "n")
		return err
	}
	var no *Refusal
	if err := ask("http://sso.example.org/token", ""); !errors.As(err, &no) || no.Status != 503 {
		t.Errorf("a token endpoint in the clear: %v", err)
	}
	if err := ask(s.URL+"/token", `{"access_token":"x","token_type":"bearer"}`); err == nil || !strings.Contains(err.Error(), "gave no id_token") {
		t.Errorf("an answer without a token: %v", err)
	}
	if err := ask(s.URL+"/token", `{"access_token":"x","token_type":"bearer","id_token":"`+url.QueryEscape("a.b.c")+`"}`); err == nil {
		t.Error("an answer with garbage for a token")
	}
	if err := ask(s.URL+"/token", "<html>"); err == nil {
		t.Error("an answer that is a page")
	}
}
