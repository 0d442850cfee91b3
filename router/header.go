package router

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// sentHeader says whether the Engine reads a request header, and whether it
// may be repeated. All others stay here: the caller's credentials for
// moorgate, what describes one hop, and what no handler looks at.
func sentHeader(key string) (sent, repeats bool) {
	switch key {
	case "Accept", "Accept-Encoding", "X-Docker-Expose-Session-Grpc-Method":
		return true, true
	case "User-Agent", "X-Registry-Auth", "X-Registry-Config", "Traceparent", "Tracestate", "Baggage":
		return true, false
	}
	if strings.HasPrefix(key, "X-Meta-") { // goes on to the registry
		return true, true
	}
	return strings.HasPrefix(key, "X-Docker-Expose-Session-"), false
}

var sentToSocket = []string{"Sec-Websocket-Key", "Sec-Websocket-Version", "Origin"}

func (c *Call) readHeader(r *http.Request) error {
	c.Header = make(http.Header, 4)
	for key, values := range r.Header {
		sent, repeats := sentHeader(key)
		if !sent {
			continue
		}
		if len(values) > 1 && !repeats {
			return fail(http.StatusBadRequest, "header %s is written twice: write it once", key)
		}
		c.Header[key] = values
	}
	if len(r.Header["Upgrade"]) == 0 {
		if c.isSocket() {
			return errNoSocket
		}
		return nil
	}
	switch {
	case c.isSocket():
		return c.readHandshake(r)
	case c.Route.Reply == Hijack:
		c.Upgrade = "tcp" // the Engine looks only for the header and answers tcp to any
	case c.Route.Reply == H2C:
		c.Upgrade = "h2c"
	}
	return nil
}

// isSocket says whether the route is the Engine's own websocket.
func (c *Call) isSocket() bool { return strings.HasSuffix(c.Route.Pattern, "/attach/ws") }

var errNoSocket = fail(http.StatusBadRequest, "this route is a websocket: send a websocket handshake, version 13")

// readHandshake checks what the Engine does not: its own answer to a broken
// handshake is no HTTP and leaves a handler behind, and it lets pages of any
// origin in.
func (c *Call) readHandshake(r *http.Request) error {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !hasToken(r.Header["Connection"], "upgrade") ||
		r.Header.Get("Sec-Websocket-Version") != "13" || err != nil || len(key) != 16 {
		return errNoSocket
	}
	if origin := r.Header["Origin"]; len(origin) > 0 {
		u, err := url.Parse(origin[0])
		if err != nil || len(origin) > 1 || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return fail(http.StatusForbidden, "moorgate: origin %.256q is not this host: open the websocket from a page of %s", origin[0], r.Host)
		}
	}
	for _, key := range sentToSocket {
		if values := r.Header[key]; len(values) > 0 {
			if len(values) > 1 {
				return errNoSocket
			}
			c.Header[key] = values
		}
	}
	c.Upgrade = "websocket"
	return nil
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}
