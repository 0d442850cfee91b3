package main

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestBrowser is what people do with the page, in a real Chromium and on a real
// Engine; what their screens show is asserted.
func TestBrowser(t *testing.T) {
	e := realEngine(t)
	chromium := startChromium(t)
	s := openSite(t, e, chromium)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"login", browseLogin},
		{"link", browseLink},
		{"policy", browsePolicy},
		{"below a path", browsePrefix},
		{"phone", browsePhone},
		{"shell", browseShell},
		{"paste", browsePaste},
		{"cut", browseCut},
		{"share", browseShare},
		{"recording", browseRecording},
		{"refused", browseRefused},
		{"administrator", browseAdministrator},
		{"container", browseContainer},
		{"pull", browsePull},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

func browseLogin(t *testing.T, s *site) {
	p := visit(t, s.chromium, s.address)
	p.expect(`status of 401 .*/login$`)
	p.see(`[data-test="login"]`, "moorgate")
	p.shot("form")
	p.fill("[name=user]", s.alice)
	p.fill("[name=password]", "wrong")
	p.press("Enter")
	p.see(`[data-test="problem"]`, "You were not signed in.")
	p.shot("refused")
	p.until("the password can be typed anew", `document.activeElement.name === "password"`)
	p.login(s.alice)
	p.see(`[data-test="containers"]`, "No containers yet")
	p.see(`[data-test="start"]`, "No container is running")
	p.shot("empty")

	// A reload knows the caller; signing out forgets them.
	p.navigate(s.address)
	p.see(`[data-test="user"]`, s.alice)
	p.click(`[data-test="settings"]`, "")
	p.click(`[data-test="sign-out"]`, "")
	p.see(`[data-test="login"]`, "")
}

// Personal mode prints a link that opens the page logged in, once, with the
// container that runs one Enter away.
func browseLink(t *testing.T, s *site) {
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("DOCKER_HOST", s.engine.address)
	c, err := personal()
	if err != nil {
		t.Fatal(err)
	}
	c.Listen[len(c.Listen)-1].Address = "tcp://" + freePort(t)
	g, err := open(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close() })
	var box struct{ Name string }
	s.engine.call("GET", "/containers/"+s.engine.run("exec sleep 600")+"/json", "", &box)
	link := g.link()

	p := visit(t, s.chromium, link)
	p.until("a shell is one Enter away", `document.activeElement?.dataset.test === "open-shell"`)
	var address string
	p.ask(`location.href`, &address)
	if u, err := url.Parse(link); err != nil || address != strings.TrimSuffix(link, "#"+u.EscapedFragment()) {
		t.Errorf("the address bar has %s (%v)", address, err)
	}
	p.shot("first")
	name := strings.TrimPrefix(box.Name, "/")
	if !p.is(found(`[data-test="container-head"] h1`, name) + ".length > 0") { // one of another test's is newer
		p.click(`[data-test="container"]`, name)
	}
	p.until("a shell in it is one Enter away", `document.activeElement?.dataset.test === "open-shell" && document.activeElement.textContent.startsWith(`+quote(name)+`)`)
	p.press("Enter")
	p.shows(`^/ #`)
	p.keys("echo $((6*7)) at once\n")
	p.shows(`^42 at once$`)

	again := visit(t, s.chromium, link)
	again.expect(`status of 401 .*/login$`)
	again.see(`[data-test="problem"]`, "You were not signed in.")
	again.see(`[data-test="login"]`, "Open the link that moorgate printed")
	again.shot("used")
}

// The page may load and ask nothing that is not moorgate's.
func browsePolicy(t *testing.T, s *site) {
	p := s.visit(t, s.alice)
	p.expect(`Content Security Policy`)
	p.ask(`addEventListener("securitypolicyviolation", (e) => (document.title += " " + e.effectiveDirective))`, nil)
	p.ask(`document.body.append(Object.assign(new Image(), { src: "https://evil.example/x" }), Object.assign(document.createElement("script"), { textContent: "document.title = 'run'" }))`, nil)
	p.ask(`fetch("https://evil.example/").catch(() => {})`, nil)
	p.until("all three are refused", `["img-src", "script-src-elem", "connect-src"].every((d) => document.title.includes(d))`)
}
