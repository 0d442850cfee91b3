package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"moorgate/proxy/enginetest"
)

// TestTerminalDenied: what a terminal does on the Engine is judged as everyone's
// calls are. Whom that denies gets no terminal, and the record of the terminal
// names the rule as the record of the call does: the one finds it in the words in
// which the other was refused.
func TestTerminalDenied(t *testing.T) {
	t.Parallel()
	engine := enginetest.Start(t)
	engine.On("GET /containers/{name...}/json", func(c *enginetest.Conn) {
		c.JSON(200, fmt.Sprintf(`{"Id":%q,"Name":"/box","State":{"Running":true},"Config":{"Image":"busybox","Tty":true,"OpenStdin":true}}`, strings.Repeat("c", 64)))
	})
	engine.On("GET /images/{name...}/json", func(c *enginetest.Conn) {
		c.JSON(200, fmt.Sprintf(`{"Id":"sha256:%s","RepoTags":["docker.io/library/busybox:1"]}`, strings.Repeat("d", 64)))
	})
	page := freePort(t)
	s := start(t, strings.NewReplacer("PAGE", page, "SUM", tokenSum("token")).Replace(`
listen: [ { address: "tcp://PAGE", serve: [terminal], identify: [token] } ]
engines: { local: { address: ENGINE } }
users: { alice: { tokens: ["SUM"], roles: [looker, "on (call)"] } }
roles:
  looker: { allow: [read, terminal.open], scope: all, images: any, containers: any }
  "on (call)": { allow: ["container.start", "container.attach"], deny: ["container.create"], scope: all, images: any, containers: any }
audit: { file: audit.jsonl }
drain: 300ms
`), engine.Address)
	await(t, "the page is served", func() bool { return strings.Contains(s.log.String(), "engine is up") })
	b := &browser{t: t, origin: "http://" + page}
	b.login(`{"token":"token"}`)

	type denied struct{ Action, Decision, Rule, Listener, User string }
	// all gives the records of what was denied.
	all := func() (all []denied) {
		text, err := os.ReadFile(s.path("audit.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var d denied
			if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &d) == nil && d.Decision == "deny" {
				all = append(all, d)
			}
		}
		return all
	}
	for _, test := range []struct{ spec, action, rule string }{
		{`{"mode":"exec","container":"box"}`, "exec.create", "role looker"},
		{`{"mode":"run","image":"busybox:1","cmd":["sh"]}`, "container.create", "role on (call)"},
	} {
		before := len(all())
		a := b.do("POST", "/api/terminal/sessions", test.spec)
		if a.StatusCode != 403 {
			t.Fatalf("%s: %d %s", test.spec, a.StatusCode, a.body)
		}
		await(t, "both are recorded", func() bool { return len(all()) == before+2 })
		found := map[string]denied{}
		for _, d := range all()[before:] {
			found[d.Action] = d
		}
		call, terminal := found[test.action], found["terminal.open"]
		if call.Listener != "terminal" || call.User != "alice" || call.Rule == "" {
			t.Errorf("%s: the call is recorded as %+v", test.spec, call)
		}
		if terminal.Listener != "tcp://"+page || terminal.User != "alice" || terminal.Rule != call.Rule {
			t.Errorf("%s: the terminal is recorded as %+v, the call as %+v", test.spec, terminal, call)
		}
		if call.Rule != test.rule {
			t.Errorf("%s: denied by %q, want %q", test.spec, call.Rule, test.rule)
		}
	}
}
