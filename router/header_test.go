package router

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// abuse.md, HTTP: of the caller's headers only those that the Engine reads are
// sent, and what would be read in two ways is refused.
func TestAbuseHTTPHeaders(t *testing.T) {
	x := ask(t, "POST /images/create?fromImage=a",
		"Authorization: Bearer secret", "Cookie: a=b", "X-Forwarded-User: root", "X-Forwarded-For: 1.2.3.4", "Forwarded: for=x",
		"Connection: X-Registry-Auth, close", "Keep-Alive: 5", "Te: trailers", "Trailer: X-A", "Proxy-Authorization: x", "Expect: 100-continue",
		"Origin: http://evil", "Referer: http://evil", "Upgrade: h2c", "Range: bytes=0-1", "X-Http-Method-Override: DELETE", "Content-Encoding: gzip",
		"Content-Type: text/plain", "X-Original-Url: /x", "Moorgate-Request-Id: 1", "Sec-Websocket-Key: x", "Accept: a/b", "Accept: c/d",
		"accept-encoding: gzip", "uSER-aGENT: Docker-Client/28", "X-Registry-Auth: e30=", "X-Registry-Config: e30=", "X-Meta-A: 1", "X-Meta-A: 2",
		"Traceparent: 00-1", "Tracestate: a", "Baggage: b")
	if x.call == nil {
		t.Fatal(x.message)
	}
	want := http.Header{"Accept": {"a/b", "c/d"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"Docker-Client/28"}, "X-Registry-Auth": {"e30="},
		"X-Registry-Config": {"e30="}, "X-Meta-A": {"1", "2"}, "Traceparent": {"00-1"}, "Tracestate": {"a"}, "Baggage": {"b"},
		"Content-Length": {"0"}}
	sameHeader(t, x, want)
	if x.sent.Host != "docker" {
		t.Errorf("host %q", x.sent.Host)
	}
	for _, key := range []string{"User-Agent", "X-Registry-Auth", "X-Registry-Config", "Traceparent", "X-Docker-Expose-Session-Uuid",
		"X-Docker-Expose-Session-Name"} {
		asked{"POST /session", "400 header " + key + " is written twice", []string{key + ": a", key + ": b"}}.check(t)
	}
	x = ask(t, "POST /session", "Upgrade: h2c", "Connection: Upgrade", "X-Docker-Expose-Session-Uuid: a", "User-Agent: b",
		"X-Docker-Expose-Session-Grpc-Method: /a", "X-Docker-Expose-Session-Grpc-Method: /b")
	sameHeader(t, x, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}, "X-Docker-Expose-Session-Uuid": {"a"}, "User-Agent": {"b"},
		"X-Docker-Expose-Session-Grpc-Method": {"/a", "/b"}, "Content-Length": {"0"}})
}

func sameHeader(t *testing.T, x exchange, want http.Header) {
	t.Helper()
	if x.call == nil {
		t.Fatalf("refused: %s", x.message)
	}
	for key := range x.sent.Header {
		if !slices.Equal(x.sent.Header[key], want[key]) {
			t.Errorf("sends %s %q, want %q", key, x.sent.Header[key], want[key])
		}
	}
	for key := range want {
		if x.sent.Header[key] == nil {
			t.Errorf("does not send %s", key)
		}
	}
}

// abuse.md, HTTP: Upgrade is asked for only where a route has one, by the
// Engine's own name for it.
func TestAbuseHTTPUpgrade(t *testing.T) {
	for _, row := range Table() {
		if strings.HasSuffix(row.Pattern, "/ws") {
			continue
		}
		line := row.Method + " " + patternVariable.ReplaceAllString(row.Pattern, "x")
		for _, token := range []string{"tcp", "h2c", "websocket", "x"} {
			x := ask(t, line, "Upgrade: "+token)
			want := map[Reply]string{Hijack: "tcp", H2C: "h2c"}[row.Reply]
			if x.call == nil {
				t.Errorf("%s: %s", line, x.message)
			} else if x.call.Upgrade != want || x.sent.Header.Get("Upgrade") != want || (x.sent.Header.Get("Connection") == "Upgrade") != (want != "") {
				t.Errorf("%s with Upgrade %s: asks for %q, %v", line, token, x.call.Upgrade, x.sent.Header)
			}
		}
		if x := ask(t, line); x.call == nil || x.call.Upgrade != "" || x.sent.Header["Connection"] != nil {
			t.Errorf("%s without an Upgrade asks for one", line)
		}
	}
}

// The Engine's own websocket: its handshake is checked here, since what the
// Engine answers to a broken one is no HTTP, and it lets any page in.
func TestReadWebsocket(t *testing.T) {
	const line = "GET /containers/x/attach/ws?stream=1"
	good := []string{"Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	with := func(old string, changed ...string) []string {
		var list []string
		for _, l := range good {
			if !strings.HasPrefix(l, old) || old == "" {
				list = append(list, l)
			}
		}
		return append(list, changed...)
	}
	const refusal = "400 this route is a websocket: send a websocket handshake"
	for _, a := range []asked{
		{line, "same", good},
		{line, "same", with("", "Origin: http://box")},
		{line, "same", with("", "Origin: https://BOX")},
		{line, "same", with("", "Cookie: a=b", "Sec-WebSocket-Protocol: x", "Sec-WebSocket-Extensions: permessage-deflate")},
		{line, refusal, nil},
		{line, refusal, with("Connection")},
		{line, refusal, with("Connection", "Connection: keep-alive, Upgraded")},
		{line, refusal, with("Upgrade", "Upgrade: tcp")},
		{line, refusal, with("Upgrade")},
		{line, refusal, with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")},
		{line, refusal, with("Sec-WebSocket-Version")},
		{line, refusal, with("Sec-WebSocket-Key")},
		{line, refusal, with("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==")},
		{line, refusal, with("Sec-WebSocket-Key", "Sec-WebSocket-Key: !")},
		{line, refusal, with("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")},
		{line, "403 is not this host", with("", "Origin: http://evil")},
		{line, "403 is not this host", with("", "Origin: null")},
		{line, "403 is not this host", with("", "Origin: ")},
		{line, "403 is not this host", with("", "Origin: http://box:81")},
		{line, "403 is not this host", with("", "Origin: http://box.evil")},
		{line, "403 is not this host", with("", "Origin: http://box@evil")},
		{line, "403 is not this host", with("", "Origin: %")},
		{line, "403 is not this host", with("", "Origin: http://box", "Origin: http://evil")},
	} {
		x := a.check(t)
		if x.call == nil {
			continue
		}
		if x.sent.Header.Get("Upgrade") != "websocket" || x.sent.Header.Get("Sec-Websocket-Key") == "" || x.sent.Header.Get("Sec-Websocket-Version") != "13" {
			t.Errorf("%s %q: sends %v", a.line, a.lines, x.sent.Header)
		}
		for _, key := range []string{"Cookie", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions"} {
			if x.sent.Header[key] != nil {
				t.Errorf("%s %q: sends %s", a.line, a.lines, key)
			}
		}
	}
}
