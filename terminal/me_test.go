package terminal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

func TestMe(t *testing.T) {
	d, cookie := loggedIn(t)
	for _, r := range []struct{ field, want string }{
		{cookie, `{"user":"alice","groups":[],"roles":["developer"],"engines":["local","east"],"actions":{"east":[],"local":["container.list"]},"evidence":"session"}`},
		{"Authorization: Bearer " + bobToken, `{"user":"bob","groups":[],"roles":["admin"],"engines":["local","east"],` +
			`"actions":{"east":["container.list","terminal.admin","terminal.open"],"local":["container.list","terminal.admin","terminal.open"]},"evidence":"token"}`},
	} {
		a := d.ask("GET", "/api/me", boxHost, r.field)
		if a.StatusCode != 200 || strings.TrimSpace(a.body) != r.want || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%.20s: %d %s", r.field, a.StatusCode, a.body)
		}
	}
	if a := d.ask("GET", "/api/me", boxHost, "X-Forwarded-User: carol", "X-Forwarded-Groups: staff"); !strings.Contains(a.body, `"groups":["staff"],"roles":["guest"]`) {
		t.Errorf("by an SSO header: %d %s", a.StatusCode, a.body)
	}
	if a := d.ask("GET", "/api/me", boxHost, "X-Forwarded-User: carol", "X-Forwarded-Groups: staff", "Remote: 192.0.2.2:1"); a.StatusCode != 401 {
		t.Errorf("by an SSO header that no proxy sent: %d %s", a.StatusCode, a.body)
	}
}

// TestLook: a page that asks who its browser is denies nobody anything; whoever
// shows evidence that does not hold is denied.
func TestLook(t *testing.T) {
	d, cookie := loggedIn(t)
	name, _, _ := strings.Cut(cookie, "=")
	bob := "Authorization: Bearer " + bobToken
	for _, test := range []struct {
		path    string
		headers []string
		denied  int
	}{
		{"/api/me", nil, 0},
		{"/api/me", []string{"Authorization: Bearer wrong"}, 1},
		{"/api/me", []string{name + "=wrong"}, 1},
		{"/api/terminal/sessions", nil, 1},
	} {
		before := len(deniedBody(t, d.ask("GET", "/api/admin/denied", boxHost, bob)))
		a := d.ask("GET", test.path, append([]string{boxHost}, test.headers...)...)
		if a.StatusCode != 401 {
			t.Errorf("%s %q: %d", test.path, test.headers, a.StatusCode)
		}
		if n := len(deniedBody(t, d.ask("GET", "/api/admin/denied", boxHost, bob))) - before; n != test.denied {
			t.Errorf("%s %q: %d denials, want %d", test.path, test.headers, n, test.denied)
		}
	}
}

// TestRuleOfTerminals: who may not open terminals is denied by a rule, as for
// all else.
func TestRuleOfTerminals(t *testing.T) {
	d, _ := loggedIn(t)
	d.options.May = func(*identity.Identity, string, string) bool { return false }
	for roles, want := range map[string]string{"": "no role", "developer tester": "role developer, tester"} {
		d.options.Roles = func(*identity.Identity) []string { return strings.Fields(roles) }
		a := d.ask("POST", "/api/terminal/sessions", boxHost, boxOrigin, asJSON, "Authorization: Bearer "+bobToken, `{"mode":"exec","container":"box"}`)
		if rec := d.records[len(d.records)-1]; a.StatusCode != 403 || rec.Rule != want || rec.Decision != audit.Deny || rec.Action != "terminal.open" {
			t.Errorf("%d %s, record %+v; want the rule %q", a.StatusCode, a.body, rec, want)
		}
	}
}

// TestRuleOf finds the rule in the words of a refusal.
func TestRuleOf(t *testing.T) {
	for text, want := range map[string]string{
		"moorgate: alice may not exec.create (role developer, rule no-root): exec as yourself (or not)": "role developer, rule no-root",
		"moorgate: alice may not image.pull docker.io/library/ubuntu:22.04 (role developer, images[1])": "role developer, images[1]",
		"moorgate: alice may not exec.create box (role on (call)): you may not (yet)":                   "role on (call)",
		"moorgate: alice may not exec.create box (role on (call))":                                      "role on (call)",
		"moorgate: alice may not exec.create box (role on (call":                                        "",
		"moorgate: alice may not exec.create box (x) (role y)":                                          "",
		"moorgate: alice may not terminal.open on engine local":                                         "",
		"no such exec (role x)": "",
	} {
		if got := ruleOf(403, text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := ruleOf(500, "moorgate: alice may not x (role y)"); got != "" {
		t.Errorf("of a failure: %q", got)
	}
}

// deniedBody is what administrators get.
func deniedBody(t *testing.T, a doorAnswer) []Denied {
	t.Helper()
	var body struct{ Denied []Denied }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return body.Denied
}

func TestDenied(t *testing.T) {
	d, cookie := loggedIn(t)
	bob := "Authorization: Bearer " + bobToken
	if a := d.ask("GET", "/api/admin/denied", boxHost, cookie); a.StatusCode != 403 || a.message() != "moorgate: alice may not terminal.admin" {
		t.Fatalf("alice gets %d %s", a.StatusCode, a.body)
	}
	kept := deniedBody(t, d.ask("GET", "/api/admin/denied", boxHost, bob))
	if len(kept) != 1 || kept[0].User != "alice" || kept[0].Action != "terminal.admin" || kept[0].Status != 403 || kept[0].Decision != audit.Deny {
		t.Errorf("kept is %+v", kept)
	}
	add := func(engine, rule string, decision audit.Decision, ago time.Duration) {
		d.options.Denials.Record(&audit.Record{Time: d.time().Add(-ago), User: "alice", Engine: engine, Rule: rule, Decision: decision, Refs: []string{"image:x"}})
	}
	add("local", "allowed", audit.Allow, 0)
	add("local", "failed", audit.Failed, 0)
	add("local", "an hour ago", audit.Deny, deniedLife)
	add("local", "second", audit.Deny, 50*time.Minute)
	add("east", "first", audit.WouldDeny, time.Minute)
	var rules []string
	for _, r := range deniedBody(t, d.ask("GET", "/api/admin/denied", boxHost, bob)) {
		if r.Engine != "" {
			rules = append(rules, r.Rule)
		}
	}
	if fmt.Sprint(rules) != "[first second]" {
		t.Errorf("the rules are %q", rules)
	}

	// Who administers one engine sees that engine's, and not what was refused
	// before its engine was known.
	all := d.options.May
	d.options.May = func(_ *identity.Identity, action, engine string) bool {
		return action == "terminal.admin" && engine == "east"
	}
	if got := deniedBody(t, d.ask("GET", "/api/admin/denied", boxHost, bob)); len(got) != 1 || got[0].Rule != "first" {
		t.Errorf("the administrator of east sees %+v", got)
	}
	d.options.May = all

	n := 0
	for range maxDenied + 10 {
		n++
		add("local", fmt.Sprint(n), audit.Deny, 0)
	}
	for range maxDeniedOther + 10 { // whoever floods it with failed logins washes nothing away
		d.ask("POST", "/login", boxHost, boxOrigin, asJSON, `{"token":"x"}`)
	}
	got := deniedBody(t, d.ask("GET", "/api/admin/denied", boxHost, bob))
	if len(got) != maxDenied+maxDeniedOther {
		t.Errorf("%d are kept", len(got))
	}
	for _, r := range got {
		if r.Rule == "10" {
			t.Error("the oldest is kept")
		}
	}
}
