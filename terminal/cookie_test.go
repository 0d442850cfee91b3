package terminal

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
)

func TestCookie(t *testing.T) {
	for _, r := range []struct {
		l                Listener
		host, name, path string
		secure           bool
	}{
		{Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, "box.example.org", "__Host-moorgate", "/", true},
		{Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box + "/m"}, "box.example.org", "__Secure-moorgate", "/m/", true},
		{Listener{Address: "tcp://127.0.0.1:8375"}, "127.0.0.1:8375", "moorgate_8375", "/", false},
		{Listener{Address: "tcp://127.0.0.1:8443", TLS: true}, "localhost:8443", "__Host-moorgate", "/", true},
		{Listener{Address: "unix:///m.sock", PublicURL: "http://box.lan"}, "box.lan", "moorgate", "/", false},
	} {
		d := newTestDoor(t, r.l, everySource)
		scheme := "http://"
		if r.secure {
			scheme = "https://"
		}
		a := d.ask("POST", "/login", "Host: "+r.host, "Origin: "+scheme+r.host, asJSON, aliceSays)
		if a.StatusCode != 200 || len(a.Cookies()) != 1 {
			t.Errorf("%+v: %d %s, cookies %v", r.l, a.StatusCode, a.body, a.Cookies())
			continue
		}
		c := a.Cookies()[0]
		if c.Name != r.name || c.Path != r.path || c.Secure != r.secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" || len(c.Value) < 43 {
			t.Errorf("%+v: the cookie is %s", r.l, a.Header.Get("Set-Cookie"))
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("the answer that has the cookie is %q to caches", a.Header.Get("Cache-Control"))
		}
	}
}

func TestCookieEnds(t *testing.T) {
	good := func(d *testDoor, cookie string) bool {
		return d.ask("GET", "/api/me", boxHost, cookie).StatusCode == 200
	}
	t.Run("idle", func(t *testing.T) {
		d, cookie := loggedIn(t)
		d.pass(loginIdle - time.Second)
		if !good(d, cookie) {
			t.Fatal("ended too early")
		}
		d.pass(loginIdle)
		if good(d, cookie) {
			t.Error("goes on after it was not used")
		}
	})
	t.Run("at most", func(t *testing.T) {
		d, cookie := loggedIn(t)
		for end := d.time().Add(loginLife - time.Minute); d.time().Before(end); d.pass(time.Hour) {
			if !good(d, cookie) {
				t.Fatal("ended too early")
			}
		}
		d.pass(time.Hour)
		if good(d, cookie) {
			t.Error("goes on for ever")
		}
	})
	for name, change := range map[string]func(*identity.Config){
		"the user is gone": func(c *identity.Config) { delete(c.Users, "alice") },
		"the password was changed": func(c *identity.Config) {
			a := c.Users["alice"]
			a.Password = cheapHash("x")
			c.Users["alice"] = a
		},
		"the password was removed": func(c *identity.Config) { a := c.Users["alice"]; a.Password = ""; c.Users["alice"] = a },
	} {
		t.Run(name, func(t *testing.T) {
			d, cookie := loggedIn(t)
			d.use(doorUsers())
			if !good(d, cookie) {
				t.Fatal("the same configuration read again ended the login")
			}
			c := doorUsers()
			change(&c)
			d.use(c)
			if good(d, cookie) {
				t.Error("the login goes on")
			}
		})
	}
	t.Run("the token was withdrawn", func(t *testing.T) {
		d, _ := loggedIn(t)
		cookie := d.ask("POST", "/login", boxHost, boxOrigin, asJSON, `{"token":"`+aliceToken+`"}`).cookies()
		c := doorUsers()
		a := c.Users["alice"]
		a.Tokens = []string{tokenLine("another")}
		c.Users["alice"] = a
		if !good(d, cookie) {
			t.Fatal("the login by token is none")
		}
		d.use(c)
		if good(d, cookie) {
			t.Error("the login goes on")
		}
	})
	t.Run("roles are those of the moment", func(t *testing.T) {
		d, cookie := loggedIn(t)
		c := doorUsers()
		a := c.Users["alice"]
		a.Roles = []string{"auditor"}
		c.Users["alice"] = a
		d.use(c)
		if m := d.ask("GET", "/api/me", boxHost, cookie); !strings.Contains(m.body, `"roles":["auditor"]`) {
			t.Errorf("me: %s", m.body)
		}
	})
}

func TestLoginsBound(t *testing.T) {
	l := newLogins(time.Now, func(*identity.Identity) bool { return true })
	alice, bob := &identity.Identity{User: "alice"}, &identity.Identity{User: "bob"}
	first, bobs := l.add(alice), l.add(bob)
	for range maxUserLogins - 1 {
		l.add(alice)
	}
	if l.find(first) == nil {
		t.Errorf("the first of %d logins of one user is over", maxUserLogins)
	}
	least := l.add(alice) // ends the one used least, the second
	if l.find(first) == nil || l.find(least) == nil || l.find(bobs) == nil || l.used.Len() != maxUserLogins+1 {
		t.Errorf("of %d logins of one user, %d are left with bob's", maxUserLogins+1, l.used.Len())
	}
	for i := range maxLogins {
		l.add(&identity.Identity{User: string(rune('a' + i))})
	}
	if l.used.Len() != maxLogins || len(l.byKey) != maxLogins || l.find(bobs) != nil {
		t.Errorf("%d logins are kept, %d by key", l.used.Len(), len(l.byKey))
	}
}
