package terminal

import (
	"net/http"
	"strings"
	"testing"

	"moorgate/terminal/web"
)

func TestPage(t *testing.T) {
	d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375", PublicURL: box}, everySource)
	a := d.ask("GET", "/", boxHost)
	if _, err := web.Index(); err != nil {
		if a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(a.message(), "make build") {
			t.Errorf("without a page: %d %s", a.StatusCode, a.body)
		}
		t.Skip("the page is not built: make web")
	}
	if a.StatusCode != 200 || !strings.Contains(strings.ToLower(a.body), "<!doctype html>") {
		t.Fatalf("the page is %d %.100s", a.StatusCode, a.body)
	}
	for name, want := range map[string]string{
		"Content-Type":                 "text/html; charset=utf-8",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "same-origin",
		"Cache-Control":                "no-cache",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
			"connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if p := a.Header.Get("Permissions-Policy"); !strings.Contains(p, "clipboard-write=(self)") || !strings.Contains(p, "camera=()") {
		t.Errorf("Permissions-Policy: %q", p)
	}
	if len(a.Cookies()) > 0 {
		t.Errorf("the page sets %v", a.Cookies())
	}
	if b := d.ask("GET", "/", boxHost, "If-None-Match: "+a.Header.Get("ETag")); b.StatusCode != http.StatusNotModified || b.body != "" {
		t.Errorf("asked again: %d", b.StatusCode)
	}
	if b := d.ask("GET", "/login", boxHost); b.StatusCode != http.StatusSeeOther || b.Header.Get("Location") != "/" {
		t.Errorf("/login leads to %d %s", b.StatusCode, b.Header.Get("Location"))
	}
	if b := d.ask("GET", "/assets/no-such-thing.js", boxHost); b.StatusCode != 404 {
		t.Errorf("what is not there: %d", b.StatusCode)
	}
	if b := d.ask("GET", "/assets/../index.html", boxHost); b.StatusCode != 404 {
		t.Errorf("a way out of the assets: %d", b.StatusCode)
	}
}
