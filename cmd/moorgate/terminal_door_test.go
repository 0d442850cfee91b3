package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
	"go.uber.org/zap"

	"moorgate/proxy/enginetest"
)

func TestTerminalDoor(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s, b := startTerminals(t, e.Address)
	started := func() int {
		return len(slices.DeleteFunc(e.Requests(), func(r enginetest.Request) bool { return r.Path != "/containers/x/start" }))
	}
	if a := b.do("GET", "/api/me", ""); a.StatusCode != 401 || !strings.Contains(a.body, `"login":["token"]`) || a.ours() != nil {
		t.Errorf("before the login: %d %s", a.StatusCode, a.body)
	}
	if a := b.do("GET", "/v1.41/info", ""); a.StatusCode != 401 {
		t.Errorf("the Engine before the login: %d %s", a.StatusCode, a.body)
	}
	if a := b.do("POST", "/login", `{"token":"wrong"}`); a.StatusCode != 401 {
		t.Errorf("a wrong token: %d %s", a.StatusCode, a.body)
	}
	b.login(`{"token":"alice"}`)
	var me struct {
		User    string
		Roles   []string
		Engines []string
		Actions map[string][]string
	}
	if err := json.Unmarshal([]byte(b.do("GET", "/api/me", "").body), &me); err != nil || me.User != "alice" || fmt.Sprint(me.Roles, me.Engines) != "[viewer] [local]" ||
		!slices.Contains(me.Actions["local"], "terminal.open") || !slices.Contains(me.Actions["local"], "container.list") || slices.Contains(me.Actions["local"], "terminal.admin") {
		t.Errorf("me: %+v, %v", me, err)
	}

	// The Engine's API, as the same user and by the same roles.
	if a := b.do("GET", "/v1.41/info", ""); a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("info: %d %s", a.StatusCode, a.body)
	}
	if a := b.do("POST", "/v1.41/networks/prune", ""); a.StatusCode != 403 || !strings.Contains(a.message(), "alice may not network.prune") {
		t.Errorf("what the role does not allow: %d %s", a.StatusCode, a.body)
	}
	if a := b.do("POST", "/v1.41/containers/x/start", ""); a.StatusCode >= 300 || started() != 1 {
		t.Errorf("start: %d %s, asked %d times", a.StatusCode, a.body, started())
	}
	for _, f := range []string{"Origin: https://evil.example", "Origin: null", "Origin: " + b.origin + "1"} {
		if a := b.do("POST", "/v1.41/containers/x/start", "", f); a.StatusCode != 403 || started() != 1 {
			t.Errorf("start with %s: %d %s", f, a.StatusCode, a.body)
		}
		if _, resp, err := b.socket("/v1.41/containers/x/attach/ws?stream=1", nil, f); err == nil || resp.StatusCode != 403 {
			t.Errorf("attach/ws with %s: %v", f, err)
		}
		if _, resp, err := b.socket("/api/terminal/raw?container=x", nil, f); err == nil || resp.StatusCode != 403 {
			t.Errorf("raw with %s: %v", f, err)
		}
		if _, resp, err := b.socket("/api/terminal/socket?session=x", []string{"moorgate.terminal.v1", "ticket.x"}, f); err == nil || resp.StatusCode != 403 {
			t.Errorf("socket with %s: %v", f, err)
		}
	}
	if _, resp, err := b.socket("/api/terminal/socket?session=x", []string{"moorgate.terminal.v1", "ticket.x"}, "Cookie: "); err == nil || resp.StatusCode != 401 {
		t.Errorf("a socket of nobody: %v", err)
	}
	c, _, err := b.socket("/api/terminal/socket?session=x", []string{"moorgate.terminal.v1", "ticket.x"})
	if err != nil {
		t.Fatalf("a socket with a wrong ticket is told so: %v", err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for err == nil {
		_, _, err = c.ReadMessage()
	}
	if !ws.IsCloseError(err, 4001) {
		t.Errorf("a socket with a wrong ticket ends with %v", err)
	}

	// Those who administer see what was denied.
	if a := b.do("GET", "/api/admin/denied", ""); a.StatusCode != 403 {
		t.Errorf("alice sees what was denied: %d", a.StatusCode)
	}
	root := &browser{t: t, origin: b.origin}
	root.login(`{"token":"root"}`)
	if a := root.do("GET", "/api/admin/denied", ""); a.StatusCode != 200 || !strings.Contains(a.body, `"action":"network.prune"`) || !strings.Contains(a.body, `"rule":"origin"`) {
		t.Errorf("denied: %d %s", a.StatusCode, a.body)
	}

	// The record has the login, and what followed by the session; no secret.
	await(t, "the log has it", func() bool {
		text, _ := os.ReadFile(s.path("audit.jsonl"))
		return bytes.Contains(text, []byte(`"evidence":"session","listener":"tcp://`)) && bytes.Contains(text, []byte(`network.prune`))
	})
	text, err := os.ReadFile(s.path("audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(`"user":"alice","evidence":"token","listener":"`+"tcp://"+strings.TrimPrefix(b.origin, "http://")+`"`)) ||
		!bytes.Contains(text, []byte(`"action":"terminal.login","method":"POST","path":"/login"`)) {
		t.Errorf("the login is not in the log:\n%s", text)
	}
	_, secret, _ := strings.Cut(b.cookie, "=")
	for _, s := range []string{secret, "wrong"} {
		if bytes.Contains(text, []byte(s)) {
			t.Errorf("%s is in the log", s)
		}
	}

	// A reload withdraws the token, and with it the login; terminals' own
	// settings wait for a restart.
	edit(t, s, "per_user: 3", "per_user: 4")
	await(t, "it says to restart", func() bool { return strings.Contains(s.log.String(), "terminal: restart to change it") })
	edit(t, s, "per_user: 4", "per_user: 3")
	edit(t, s, tokenSum("alice"), tokenSum("another"))
	await(t, "the login is over", func() bool { return b.do("GET", "/api/me", "").StatusCode == 401 })
	if a := root.do("GET", "/api/me", ""); a.StatusCode != 200 {
		t.Errorf("another's login: %d %s", a.StatusCode, a.body)
	}
	if a := root.do("POST", "/logout", ""); a.StatusCode != 204 {
		t.Errorf("logout: %d", a.StatusCode)
	}
	if a := root.do("GET", "/api/me", ""); a.StatusCode != 401 {
		t.Errorf("after the logout: %d", a.StatusCode)
	}
}

func TestGuardedAPI(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	api := freePort(t)
	s := start(t, strings.NewReplacer("API", api, "CI", tokenSum(tokenOfCI)).Replace(`
listen:
  - { address: unix://DIR/m.sock, mode: "0600", identify: [peer] }
  - { address: "tcp://API", identify: [token] }
engines: { local: { address: ENGINE } }
users: { tester: { uid: UID, roles: [admin] }, ci: { tokens: ["CI"], roles: [admin] } }
roles: { admin: { allow: ["*"], scope: all, images: any, containers: any } }
`), e.Address)
	b := &browser{t: t, origin: "http://" + api}
	const ci = "Authorization: Bearer " + tokenOfCI
	for _, test := range []struct {
		field  string
		status int
	}{
		{"Origin: https://evil.example", 403}, {"Origin: null", 403}, {"Sec-Fetch-Site: cross-site", 403}, {"Origin: ", 200},
	} {
		fields := []string{ci, "Origin: ", "Sec-Fetch-Site: ", test.field}
		if a := b.do("GET", "/v1.41/info", "", fields...); a.StatusCode != test.status {
			t.Errorf("%s: %d %s", test.field, a.StatusCode, a.body)
		}
	}
	if a := s.ask("m.sock", "POST", "/v1.41/containers/x/start", "Origin: http://localhost"); a.StatusCode >= 300 {
		t.Errorf("on a unix socket, which no browser opens: %d %s", a.StatusCode, a.body)
	}
}

func TestPersonalLink(t *testing.T) {
	e := enginetest.Start(t)
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("DOCKER_HOST", e.Address)
	c, err := personal()
	if err != nil {
		t.Fatal(err)
	}
	page := freePort(t)
	c.Listen[len(c.Listen)-1].Address = "tcp://" + page
	g, err := open(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	var out strings.Builder
	greet(&out, c, g.link())
	_, link, ok := strings.Cut(out.String(), "Web page:     ")
	link, _, _ = strings.Cut(link, "\n")
	u, err := url.Parse(link)
	code := strings.TrimPrefix(u.Fragment, "code=")
	if !ok || err != nil || u.Host != page || u.Path != "/" || u.RawQuery != "" || code == u.Fragment || len(code) < 40 {
		t.Fatalf("it prints:\n%s", out.String())
	}
	b := &browser{t: t, origin: "http://" + page}
	if a := b.do("POST", "/login", `{"code":"`+code+`"}`, "Origin: http://evil.example"); a.StatusCode != 403 {
		t.Errorf("the code from another site: %d", a.StatusCode)
	}
	if a := b.do("GET", "/", "", "Host: x"); a.StatusCode == 401 {
		t.Errorf("the page: %d", a.StatusCode)
	}
	b.login(`{"code":"` + code + `"}`)
	again := &browser{t: t, origin: b.origin}
	if a := again.do("POST", "/login", `{"code":"`+code+`"}`); a.StatusCode != 401 {
		t.Errorf("the code again: %d", a.StatusCode)
	}
	if a := b.do("GET", "/api/me", ""); a.StatusCode != 200 || !strings.Contains(a.body, `"terminal.admin"`) {
		t.Errorf("me: %d %s", a.StatusCode, a.body)
	}
	if a := b.do("POST", "/v1.41/containers/x/start", ""); a.StatusCode >= 300 {
		t.Errorf("anything: %d %s", a.StatusCode, a.body)
	}

	// Another one is made when asked for by a signal.
	more := &output{}
	defer g.linkOnSignal(more)()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	await(t, "another link is printed", func() bool { return strings.HasSuffix(more.String(), "\n") })
	_, code, _ = strings.Cut(strings.TrimSpace(more.String()), "#code=")
	again.login(`{"code":"` + code + `"}`)
}

// What has no effect is told when moorgate starts.
func TestNotices(t *testing.T) {
	for _, test := range []struct{ config, notice string }{
		{"listen: [{ address: 'tcp://127.0.0.1:1', serve: [terminal], identify: [password] }]\nterminal: { per_user: 1 }", ""},
		{"listen: [{ address: 'unix:///m.sock', serve: [terminal], identify: [password], public_url: 'https://box' }]", ""},
		{"listen: [{ address: 'unix:///m.sock', identify: [peer] }]\nterminal: { per_user: 1 }", "terminal: has no effect: no listener has serve: [terminal]"},
		{"listen: [{ address: 'unix:///m.sock', serve: [api, terminal], identify: [peer] }]", "listen.0: refuses browsers: write public_url:, what they call it"},
		{"listen: [{ address: 'unix:///m.sock', serve: [admin] }]", ""},
		{"listen: [{ address: 'unix:///m.sock', serve: [admin], identify: [peer] }]", "listen.0: /healthz, /readyz and /metrics ask nobody who they are, whatever identify: says: serve admin on a unix socket or on loopback"},
	} {
		file := write(t, t.TempDir(), "config.yaml", test.config+"\nengines: { local: { address: 'unix:///engine.sock' } }\n")
		c, err := loadConfig(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.notices(), "; "); got != test.notice {
			t.Errorf("%s\ngives the notices %q, want %q", test.config, got, test.notice)
		}
	}
}
