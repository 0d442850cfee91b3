package terminal

import (
	"net/http"
	"strings"
	"testing"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

func TestLogin(t *testing.T) {
	ours := []string{boxHost, boxOrigin}
	for _, r := range []struct {
		name   string
		fields []string
		status int
		user   string // who is logged in, or whom the record names
		says   string
	}{
		{"password", []string{asJSON, aliceSays}, 200, "alice", ""},
		{"password with a charset", []string{asJSON + "; charset=utf-8", aliceSays}, 200, "alice", ""},
		{"password by form", []string{asForm, "user=alice&password=open+sesame"}, 303, "alice", ""},
		{"token", []string{asJSON, `{"token":"` + bobToken + `"}`}, 200, "bob", ""},
		{"token by form", []string{asForm, "token=" + bobToken}, 303, "bob", ""},
		{"wrong password", []string{asJSON, `{"user":"alice","password":"open"}`}, 401, "", "moorgate: the user name or the password is wrong"},
		{"no such user", []string{asJSON, `{"user":"mallory","password":"open"}`}, 401, "", "moorgate: the user name or the password is wrong"},
		{"a user without a password", []string{asJSON, `{"user":"bob","password":"open"}`}, 401, "", "moorgate: the user name or the password is wrong"},
		{"no password", []string{asJSON, `{"user":"alice"}`}, 401, "", "moorgate: the user name or the password is wrong"},
		{"wrong token", []string{asJSON, `{"token":"x"}`}, 401, "", "moorgate: no user of this moorgate has the token"},
		{"a token's hash", []string{asJSON, `{"token":"` + tokenLine(bobToken) + `"}`}, 401, "", "moorgate: no user of this moorgate has the token"},
		{"wrong code", []string{asJSON, `{"code":"x"}`}, 401, "", "moorgate: this link was used already, or it is too old"},
		{"two at once", []string{asJSON, `{"user":"alice","password":"open sesame","token":"bob-token"}`}, 401, "", "moorgate: send a user and a password, or a token"},
		{"nothing", []string{asJSON, `{}`}, 401, "", "moorgate: send a user and a password, or a token"},
		{"a field twice", []string{asForm, "user=alice&user=bob&password=open+sesame"}, 400, "", "moorgate: the login cannot be read"},
		{"no JSON", []string{asJSON, "user=alice"}, 400, "", "moorgate: the login cannot be read"},
		{"two values", []string{asJSON, aliceSays + aliceSays}, 400, "", "moorgate: the login cannot be read"},
		{"what forms of other sites can send", []string{"Content-Type: text/plain", aliceSays}, 415, "", "moorgate: log in with application/json"},
		{"a multipart form", []string{"Content-Type: multipart/form-data; boundary=x", "--x"}, 415, "", "moorgate: log in with application/json"},
		{"two content types", []string{asJSON, asForm, aliceSays}, 415, "", "moorgate: log in with application/json"},
		{"a giant", []string{asJSON, `{"token":"` + strings.Repeat("x", maxLoginBody) + `"}`}, 413, "", "moorgate: a login has at most"},
	} {
		d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, everySource)
		a := d.ask("POST", "/login", append(r.fields, ours...)...)
		if a.StatusCode != r.status || !strings.HasPrefix(a.message(), r.says) && r.says != "" {
			t.Errorf("%s: %d %s, want %d %s", r.name, a.StatusCode, a.body, r.status, r.says)
			continue
		}
		rec := d.last()
		if strings.Contains(rec.Reason+rec.Error+rec.Path+strings.Join(rec.Refs, " "), "open") || strings.Contains(rec.Reason, bobToken) {
			t.Errorf("%s: the record tells the secret: %+v", r.name, rec)
		}
		if r.user == "" {
			if len(a.Cookies()) > 0 || rec.Decision != audit.Deny || rec.User != "" {
				t.Errorf("%s: cookies %q, recorded %s of %q", r.name, a.Cookies(), rec.Decision, rec.User)
			}
			continue
		}
		if rec.Action != "terminal.login" || rec.User != r.user || rec.Evidence == "" || rec.Decision != audit.Allow {
			t.Errorf("%s is recorded as %s of %s by %s: %s", r.name, rec.Action, rec.User, rec.Evidence, rec.Decision)
		}
		me := d.ask("GET", "/api/me", boxHost, a.cookies())
		if want := `"user":"` + r.user + `"`; me.StatusCode != 200 || !strings.Contains(me.body, want) || r.status == 200 && !strings.Contains(a.body, want) {
			t.Errorf("%s: login says %s, me says %d %s", r.name, a.body, me.StatusCode, me.body)
		}
	}
}

// Failed logins are recorded with the name only if it is a user's: people type

// passwords into the wrong field.

func TestLoginRecordsUser(t *testing.T) {
	d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, everySource)
	for user, want := range map[string]string{"alice": "user:alice", "hunter2": ""} {
		d.ask("POST", "/login", boxHost, boxOrigin, asJSON, `{"user":"`+user+`","password":"x"}`)
		if got := strings.Join(d.last().Refs, " "); got != want {
			t.Errorf("a failed login of %s is recorded with %q, want %q", user, got, want)
		}
	}
}

// A listener takes for a login only what it takes for requests.

func TestLoginIdentify(t *testing.T) {
	logins := map[string]string{"password": aliceSays, "token": `{"token":"` + aliceToken + `"}`}
	for _, r := range []struct{ identify, offers []string }{
		{[]string{"password"}, []string{"password"}},
		{[]string{"token"}, []string{"token"}},
		{[]string{"header"}, nil},
	} {
		d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, r.identify)
		for name, body := range logins {
			want := http.StatusUnauthorized
			if r.identify[0] == name {
				want = http.StatusOK
			}
			if a := d.ask("POST", "/login", boxHost, boxOrigin, asJSON, body); a.StatusCode != want {
				t.Errorf("identify %s, login by %s: %d %s", r.identify, name, a.StatusCode, a.body)
			}
		}
		a := d.ask("GET", "/api/me", boxHost)
		want := ""
		if r.offers != nil {
			want = `"login":["` + strings.Join(r.offers, `","`) + `"]`
		}
		if a.StatusCode != 401 || !strings.Contains(a.body, want) || want == "" && strings.Contains(a.body, "login\"") {
			t.Errorf("identify %s: %d %s, want offers %q", r.identify, a.StatusCode, a.body, r.offers)
		}
	}
}

func TestLoginTooOften(t *testing.T) {
	d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, everySource)
	held := false
	for range 30 {
		a := d.ask("POST", "/login", boxHost, boxOrigin, asJSON, `{"user":"alice","password":"guess"}`)
		if a.StatusCode == http.StatusTooManyRequests {
			held = a.Header.Get("Retry-After") != "" && strings.HasPrefix(a.message(), "moorgate: too many wrong passwords")
			break
		}
	}
	if !held {
		t.Error("thirty wrong passwords were not held back")
	}
}

// A login never goes on with the cookie that the browser had, whoever gave it.

func TestFixation(t *testing.T) {
	d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, everySource)
	planted := "Cookie: __Host-moorgate=" + strings.Repeat("A", cookieTextSize)
	a := d.ask("POST", "/login", boxHost, boxOrigin, asJSON, aliceSays, planted)
	if a.StatusCode != 200 || a.cookies() == planted {
		t.Fatalf("login with a planted cookie: %d, %s", a.StatusCode, a.cookies())
	}
	if m := d.ask("GET", "/api/me", boxHost, planted); m.StatusCode != 401 {
		t.Errorf("the planted cookie is somebody's: %s", m.body)
	}
	first := a.cookies()
	second := d.ask("POST", "/login", boxHost, boxOrigin, asJSON, `{"token":"`+bobToken+`"}`, first).cookies()
	if m := d.ask("GET", "/api/me", boxHost, first); m.StatusCode != 401 {
		t.Errorf("after another login the cookie of the first is still good: %s", m.body)
	}
	if m := d.ask("GET", "/api/me", boxHost, second); !strings.Contains(m.body, `"user":"bob"`) {
		t.Errorf("the second login is %s", m.body)
	}
	twice := second + "; " + strings.TrimPrefix(planted, "Cookie: ")
	if m := d.ask("GET", "/api/me", boxHost, twice); m.StatusCode != 401 {
		t.Errorf("two cookies of the name, one of them planted: %d %s", m.StatusCode, m.body)
	}
}

func TestLogout(t *testing.T) {
	d, cookie := loggedIn(t)
	for name, fields := range map[string][]string{
		"another site": {boxHost, "Origin: https://evil.example"}, "nothing": {boxHost}, "another name": {"Host: evil.example", "Origin: http://evil.example"},
	} {
		if a := d.ask("POST", "/logout", append(fields, cookie)...); a.StatusCode != 403 {
			t.Errorf("logout from %s: %d", name, a.StatusCode)
		}
	}
	if a := d.ask("GET", "/api/me", boxHost, cookie); a.StatusCode != 200 {
		t.Fatalf("refused logouts have logged out: %s", a.body)
	}
	a := d.ask("POST", "/logout", boxHost, boxOrigin, cookie)
	if a.StatusCode != 204 || len(a.Cookies()) != 1 || a.Cookies()[0].MaxAge >= 0 {
		t.Errorf("logout: %d, cookies %v", a.StatusCode, a.Cookies())
	}
	if rec := d.last(); rec.User != "alice" || rec.Action != "terminal.logout" {
		t.Errorf("the logout is recorded as %s of %q", rec.Action, rec.User)
	}
	if a := d.ask("GET", "/api/me", boxHost, cookie); a.StatusCode != 401 {
		t.Errorf("after the logout the cookie is still good: %s", a.body)
	}
	if a := d.ask("POST", "/logout", boxHost, boxOrigin); a.StatusCode != 204 {
		t.Errorf("logout of nobody: %d %s", a.StatusCode, a.body)
	}
}

// Signing out ends the terminals that the browser has open, and no others.
func TestLogoutDetaches(t *testing.T) {
	s := newTestSite(t)
	session, _ := s.exec("alice", true, "wait")
	live, _ := s.server.manager.Get(session)
	join := func(login loginKey) *Attachment {
		a, err := live.Attach(AttachOptions{Role: RoleOwner, Who: live.Who(), ResumeFrom: -1, login: login})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	login := loginKey{1}
	browser, program, other := join(login), join(loginKey{}), join(loginKey{2})
	over := func(a *Attachment) bool {
		select {
		case <-a.gone:
			return true
		default:
			return false
		}
	}
	s.server.manager.signOut(login, loginKey{3}, "alice") // logs in anew
	if over(browser) || browser.login != (loginKey{3}) {
		t.Error("who logs in anew has lost a terminal")
	}
	s.server.manager.signOut(loginKey{3}, loginKey{}, "")
	if !over(browser) || over(program) || over(other) {
		t.Errorf("after the logout: %v, of a program %v, of another browser %v", over(browser), over(program), over(other))
	}
	if browser.detached == nil || browser.detached.Code != closeForbidden {
		t.Errorf("detached with %+v", browser.detached)
	}
	login = loginKey{2}
	s.server.manager.signOut(login, loginKey{4}, "bob") // somebody else logs in
	if !over(other) {
		t.Error("another user's login keeps a terminal open")
	}
}

// The code of a link logs in once, from this site's page, within its time.

func TestLink(t *testing.T) {
	d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375"}, nil, func(o *Options) { o.Links = true })
	me := &identity.Identity{User: "bob", Method: "link"}
	host, origin := "Host: 127.0.0.1:8375", "Origin: http://127.0.0.1:8375"
	login := func(code string, fields ...string) doorAnswer {
		return d.ask("POST", "/login", append(fields, asJSON, `{"code":"`+code+`"}`)...)
	}
	code := d.Link(me)
	if a := d.ask("GET", "/api/me", host); !strings.Contains(a.body, `"login":["code"]`) {
		t.Errorf("no code is asked for: %s", a.body)
	}
	if a := login(code, host, "Origin: http://evil.example"); a.StatusCode != 403 {
		t.Errorf("a code from another site: %d", a.StatusCode)
	}
	for _, target := range []string{"/?code=" + code, "/login?code=" + code, "/api/me?code=" + code} {
		if a := d.ask("GET", target, host); len(a.Cookies()) > 0 {
			t.Errorf("GET %s logs in", target)
		}
	}
	a := login(code, host, origin)
	if a.StatusCode != 200 || d.last().User != "bob" || d.last().Evidence != "link" {
		t.Fatalf("login: %d %s, recorded %+v", a.StatusCode, a.body, d.last())
	}
	if a := d.ask("GET", "/api/me", host, a.cookies()); !strings.Contains(a.body, `"user":"bob"`) {
		t.Errorf("me: %s", a.body)
	}
	if a := login(code, host, origin); a.StatusCode != 401 {
		t.Errorf("the code works a second time: %d", a.StatusCode)
	}
	late := d.Link(me)
	d.pass(linkLife)
	if a := login(late, host, origin); a.StatusCode != 401 {
		t.Errorf("the code works after %s", linkLife)
	}
	first := d.Link(me)
	for range maxLinks {
		d.Link(me)
	}
	if a := login(first, host, origin); a.StatusCode != 401 {
		t.Errorf("of %d codes that wait the first works", maxLinks+1)
	}
}

// How many logins there may be is bounded, for one user and for all.
