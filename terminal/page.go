package terminal

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"

	"moorgate/authz/audit"
	"moorgate/terminal/web"
)

// pagePolicy lets the page load what is its own and nothing else. xterm.js sets
// styles by itself.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// pagePermissions are what the page needs of the browser: the clipboard.
const pagePermissions = "clipboard-read=(self), clipboard-write=(self), fullscreen=(self), " +
	"camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), hid=(), midi=()"

// page serves the web app, to anyone who calls the site by its name: it holds
// no secret.
func (d *door) page(w http.ResponseWriter, r *http.Request) {
	audit.From(r.Context()).Action = "terminal.page"
	switch {
	case !safe(r.Method):
		fail(w, r, deny("", http.StatusNotFound, "page not found"))
		return
	case !d.ownHost(r):
		fail(w, r, d.refuseHost(r))
		return
	case r.URL.Path != "/": // the page has one address, which its own paths are relative to
		http.Redirect(w, r, d.base+"/", http.StatusSeeOther)
		return
	}
	text, err := web.Index()
	if err != nil {
		fail(w, r, deny("", http.StatusServiceUnavailable, "%s", err))
		return
	}
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Permissions-Policy", pagePermissions)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: with that, browsers write Origin: null on forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // a caller who has gone needs no answer
}
