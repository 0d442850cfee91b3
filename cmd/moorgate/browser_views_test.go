package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A container's log follows it, its figures are drawn, it is described, and it
// is stopped and started.
func browseContainer(t *testing.T, s *site) {
	name := unique("views")
	s.run(t, name, `trap exit TERM; i=0; while :; do i=$((i+1)); printf '\033[32mtick\033[0m %s 日志\n' $i; echo "fault $i" >&2; sleep 0.2; done`)
	p := s.visit(t, s.alice)
	p.see(`[data-test="container-head"] h1`, name)
	p.click(`[data-test="view-logs"]`, "")
	p.see(`[data-test="logs"] .log`, "tick 3 日志")
	p.see(`[data-test="logs"] .log.err`, "fault 3")
	p.see(`[data-test="logs"] .log`, "tick 12 日志")
	p.until("each line is there once", `((lines) => lines.length > 10 && lines.every((l, i) => l.endsWith(`+"`tick ${i + 1} 日志`"+`)))([...document.querySelectorAll(".log:not(.err)")].map((e) => e.textContent))`)
	p.fill(`[data-test="logs-search"]`, "tick 7 ")
	p.until("one line is found", `document.querySelectorAll(".log.hit").length === 1`)
	p.shot("logs")
	p.fill(`[data-test="logs-search"]`, "")

	p.click(`[data-test="view-stats"]`, "")
	p.see(`[data-test="stats"]`, "Memory")
	p.until("the figures are numbers", `[...document.querySelectorAll('[data-test="stats"] .value b')].length >= 4 && [...document.querySelectorAll('[data-test="stats"] .value b')].every((e) => /^\d[\d.]* (%|[kMG]?B|[kKMG]i?B)/.test(e.textContent))`)
	p.until("lines are drawn", `[...document.querySelectorAll('[data-test="stats"] canvas')].length === 4 && [...document.querySelectorAll('[data-test="stats"] canvas')].every((c) => {
		const accents = new Set(), { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
		for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) accents.add(data.slice(i, i + 3).join());
		return accents.size > 1;
	})`)
	p.shot("stats")

	p.click(`[data-test="view-inspect"]`, "")
	p.see(`[data-test="inspect"]`, name)
	p.shot("inspect")

	p.click(`[data-test="view-terminal"]`, "")
	p.click(`[data-test="stop"]`, "")
	p.see(`[data-test="container-head"]`, "Exited")
	p.shot("stopped")
	p.click(`[data-test="start"]`, "")
	p.see(`[data-test="container-head"]`, "Up ")
}

// A pull shows how far each layer is, and then is the shell.
func browsePull(t *testing.T, s *site) {
	image := slowRegistry(t)
	t.Cleanup(func() { s.ask("m.sock", "DELETE", "/v1.41/images/"+image+"?force=1") })
	p := s.visit(t, s.alice)
	p.click(`[data-test="new-tab"]`, "")
	p.click(`[data-test="mode-run"]`, "")
	p.fill(`[data-test="image"]`, image)
	p.press("Escape") // the list of images
	p.click(`[data-test="open"]`, "")
	p.see(`[data-test="pull"] .line`, "MB")
	var seen []int
	p.until("a layer is on its way", `[...document.querySelectorAll('[data-test="pull"] [role="progressbar"]')].some((e) => e.ariaValueNow > 0 && e.ariaValueNow < 100)`)
	p.ask(`[...document.querySelectorAll('[data-test="pull"] [role="progressbar"]')].map((e) => Number(e.ariaValueNow))`, &seen)
	if len(seen) != 2 {
		t.Errorf("there are bars of %v", seen)
	}
	p.shot("progress")
	p.gone(`[data-test="pull"]`)
	p.shows(`^/ #$`)
	p.keys("[ -s /padding ] && echo $((6*7)) with it\n")
	p.shows(`^42 with it$`)
	p.keys("exit\n")
	p.see(`[data-test="ended-text"]`, "exited with 0")
	// The container that was made for it is gone.
	p.see(`[data-test="containers"]`, "No containers yet")
}

// On a phone the lists are a drawer, the keys that it lacks are at hand, and
// nothing is wider than the screen; both themes follow the system.
func browsePhone(t *testing.T, s *site) {
	name := unique("phone")
	s.run(t, name, "exec sleep 600")
	p := visit(t, s.chromium, "about:blank")
	p.resize(phone)
	p.prefer("dark")
	p.navigate(s.address)
	p.login(s.alice)
	background := func() (color string) {
		p.ask(`getComputedStyle(document.body).backgroundColor`, &color)
		return color
	}
	if dark := background(); dark != "rgb(17, 19, 21)" {
		t.Errorf("dark is %s", dark)
	}
	p.prefer("light")
	if light := background(); light != "rgb(255, 255, 255)" {
		t.Errorf("light is %s", light)
	}
	p.gone(".sidebar")
	p.click(`[data-test="drawer"]`, "")
	p.see(`[data-test="containers"]`, name)
	p.shot("drawer")
	p.click(`[data-test="container"]`, name)
	p.gone(".sidebar")
	p.click(`[data-test="open-shell"]`, "")
	p.shows(`^/ #$`)
	p.insert("sh -c 'echo on; sleep 600'") // which has the terminal once it prints: before, Ctrl-C would be the shell's
	p.press("Enter")
	p.shows(`^on$`)
	p.click(`[data-test="keybar"] button`, "Ctrl")
	p.see(`[data-test="keybar"] [aria-pressed="true"]`, "Ctrl")
	p.drawn()
	p.keys("c")
	p.shows(`\^C`)
	p.insert("echo $((6*7)) ")
	p.click(`[data-test="keybar"] button`, "|")
	p.insert(" cat")
	p.press("Enter")
	p.shows(`^42$`)
	p.shot("shell")
	p.until("nothing is wider than the screen", `document.documentElement.scrollWidth <= innerWidth`)
}

// Below a path of another site, behind Debian's nginx with the snippet that
// moorgate comes with.
func browsePrefix(t *testing.T, s *site) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs Debian's nginx: run make deps")
		}
		t.Skip("needs Debian's nginx: run make deps")
	}
	snippet, err := os.ReadFile("../../deploy/nginx/prefix.conf")
	if err != nil {
		t.Fatal(err)
	}
	moorgate, public := freePort(t), freePort(t)
	address := "http://" + public + "/moorgate/"
	name := unique("prefix")
	s.run(t, name, "exec sleep 600")
	behind := &site{engine: s.engine, chromium: s.chromium, address: address, alice: s.alice, bob: s.bob}
	behind.server = start(t, behind.config(moorgate), s.engine.address)

	conf := write(t, behind.dir, "nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	map $http_upgrade $moorgate_connection { default upgrade; '' ''; }
	server {
		listen %s;
		%s
	}
}
`, public, strings.ReplaceAll(string(snippet), "http://127.0.0.1:8375", "http://"+moorgate)))
	server := exec.Command(nginx, "-p", behind.dir, "-c", conf)
	var said bytes.Buffer
	server.Stderr = &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if t.Failed() {
			t.Logf("nginx says:\n%s", said.String())
		}
	})
	await(t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", public)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if resp, err := http.Get(strings.TrimSuffix(address, "/")); err != nil || resp.Request.URL.String() != address {
		t.Fatalf("the address without its slash: %v", err)
	} else {
		resp.Body.Close()
	}

	p := behind.visit(t, s.alice)
	p.shell(name)
	p.keys("echo $((6*7)) below a path\n")
	p.shows(`^42 below a path$`)
	p.click(`[data-test="view-logs"]`, "")
	p.see(`[data-test="logs-follow"]`, "Following")
	p.navigate("about:blank")
	p.navigate(address)
	p.click(`[data-test="view-terminal"]`, "")
	p.shows(`^42 below a path$`)
}
