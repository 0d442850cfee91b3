package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
)

func TestConditionsCompile(t *testing.T) {
	for text, want := range map[string]string{
		"user":                         "true or false",
		"1 + 1":                        "true or false",
		"user == 1":                    "no matching overload",
		"usr == 'a'":                   "undeclared reference",
		"now > 5":                      "no matching overload",
		"terminals > 'x'":              "no matching overload",
		"images.exists(i, i > 1)":      "no matching overload",
		"user ==":                      "Syntax error",
		"":                             "Syntax error",
		"query.t[0] == 'x'":            "",
		"body.HostConfig.Privileged":   "",
		"refs.exists(r, r.kind == '')": "",
		"'a' in groups || 'b' in roles && vars.name != engine": "",
	} {
		_, err := compile(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestConditionsHold(t *testing.T) {
	create := callOf(t, "POST", "/containers/create?name=web", `{"Image":"busybox","Env":["A=b"]}`)
	many := callOf(t, "POST", "/containers/create", `{"Image":"x","Env":[`+strings.TrimSuffix(strings.Repeat(`"A=b",`, 2000), ",")+`]}`)
	ping := callOf(t, "GET", "/_ping", "")
	for _, c := range []struct {
		text  string
		in    *input
		holds bool
		err   string
	}{
		{"body.Image == 'busybox' && body.HostConfig.Privileged == false", &input{call: create}, true, ""},
		{"body.HostConfig.Binds.size() == 0 && body.User == ''", &input{call: create}, true, ""},
		{"body.Nowhere == 1", &input{call: create}, false, "no such key"},
		{"body.Image", &input{call: create}, false, "neither"},
		{"body.Image > 1", &input{call: create}, false, "no such overload"},
		{"'x' in query && query.x[0] == ''", &input{call: create}, false, ""},
		{"query.name == ['web']", &input{call: create}, true, ""},
		{"query.nowhere[0] == ''", &input{call: create}, false, "no such key"},
		{"groups.size() == 0 && images.size() == 0 && refs.size() == 0 && terminals == 0", &input{call: ping}, true, ""},
		{"body.Env.all(a, body.Env.all(b, a == b))", &input{call: many}, false, "cost"},
		{"body.Env.all(a, a == 'A=b')", &input{call: many}, true, ""},
		{"user == 'alice'", &input{call: ping, who: identity.Identity{User: "alice"}}, true, ""},
		{"now.getHours('Europe/Berlin') == 13", &input{call: ping, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}, true, ""},
		{"now.getHours('Nowhere') == 13", &input{call: ping}, false, "Nowhere"},
	} {
		made, err := compile(c.text)
		if err != nil {
			t.Fatal(err)
		}
		holds, err := made.eval(c.in)
		if holds != c.holds || fmt.Sprint(err) != "<nil>" != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v", c.text, holds, err)
		}
	}
}

// A condition that cannot be evaluated refuses, in rules that allow and in
// those that deny.
func TestConditionsThatFailRefuse(t *testing.T) {
	for _, r := range []Role{
		{Allow: []string{"*"}, Images: Images{Rules: []ImageRule{{Deny: "docker.io/library/evil", When: "body.Nowhere"}, {Allow: "**"}}}},
		{Allow: []string{"*"}, Images: Images{Rules: []ImageRule{{Allow: "docker.io/library/*", When: "query.nowhere[0] == ''"}}}},
		{Allow: []string{"*"}, Images: Images{Any: true}, Rules: []Rule{{Name: "x", Deny: "body.Nowhere"}}},
	} {
		p, err := New(map[string]Role{"r": r}, Options{Engines: engineOf{}})
		if err != nil {
			t.Fatal(err)
		}
		s := &suite{Users: map[string][]string{"alice": {"r"}}}
		if status, _, sent := s.ask(t, p, call{Who: "alice", Do: "POST /images/create?fromImage=evil&tag=1"}); status < 400 {
			t.Errorf("allowed, and sends %s", sent)
		}
	}
}
