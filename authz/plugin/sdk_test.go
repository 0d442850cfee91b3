package plugin

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/go-plugins-helpers/authorization"

	"moorgate/authz"
	"moorgate/authz/audit"
)

func TestSDKDecides(t *testing.T) {
	says := func(allow bool, msg, failure string) func(authorization.Request) authorization.Response {
		return func(authorization.Request) authorization.Response {
			return authorization.Response{Allow: allow, Msg: msg, Err: failure}
		}
	}
	const who = "moorgate: alice may not container.stop web (plugin opa): "
	tests := []struct {
		name     string
		req, res func(authorization.Request) authorization.Response
		status   int
		message  string
		called   int // the Engine
		decision audit.Decision
	}{
		{"allow", nil, nil, 204, "", 1, audit.Allow},
		{"deny", says(false, "not at night", ""), nil, 403, who + "authorization denied by plugin opa: not at night", 0, audit.Deny},
		{"deny without a word", says(false, "", ""), nil, 403, who + "authorization denied by plugin opa", 0, audit.Deny},
		{"deny the answer", nil, says(false, "you saw nothing", ""), 403, who + "authorization denied by plugin opa: you saw nothing", 1, audit.Deny},
		{"fail", says(false, "", "database is away"), nil, 503, who + "plugin opa could not decide", 0, audit.Failed},
		{"allow and fail", says(true, "", "database is away"), nil, 503, who + "plugin opa could not decide", 0, audit.Failed},
		{"fail at the answer", nil, says(true, "", "database is away"), 503, who + "plugin opa could not decide", 1, audit.Failed},
		{"words for the terminal", says(false, "\x1b[2Jgone\r\n\u202eevil\x00", ""), nil, 403,
			who + `authorization denied by plugin opa: \x1b[2Jgone\r\n\u202eevil\x00`, 0, audit.Deny},
		{"many words", says(false, strings.Repeat("no ", 9999), ""), nil, 403,
			who + "authorization denied by plugin opa: " + strings.Repeat("no ", maxWords/3) + "n...", 0, audit.Deny},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := sockets(t)
			serveSDK(t, dir, "opa", &docker{req: test.req, res: test.res})
			f := newFront(open(t, Config{Plugin: "opa"}, Options{Sockets: dir}))
			f.engine.says(204, "", "")
			w := f.ask(request("POST", "/v1.41/containers/web/stop", ""))
			if w.Code != test.status || test.message != "" && message(w) != test.message {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, test.status, test.message)
			}
			if f.engine.called != test.called || f.record.Decision != test.decision || f.record.Rule != "plugin opa" {
				t.Errorf("the Engine was called %d times, the record has %q by %q", f.engine.called, f.record.Decision, f.record.Rule)
			}
			if test.status == 503 && !strings.Contains(f.record.Error, "database is away") {
				t.Errorf("the record's error is %q", f.record.Error)
			}
		})
	}
}

func TestSDKSeesWhatIsSent(t *testing.T) {
	const body = `{"Image":"busybox", "Cmd":["a<b&c"]}`
	tests := []struct {
		name   string
		r      *http.Request
		method string
		uri    string
		body   string
		header map[string]string
	}{
		{"a body", request("POST", "/v1.41/containers/create?name=web", body, "User-Agent", "Docker-Client/28"),
			"POST", "/v1.41/containers/create?name=web", body,
			map[string]string{"Content-Type": "application/json", "Content-Length": strconv.Itoa(len(body)), "User-Agent": "Docker-Client/28"}},
		{"a chunked body", chunked(request("POST", "/v1.41/containers/create", body)),
			"POST", "/v1.41/containers/create", body,
			map[string]string{"Content-Type": "application/json", "Content-Length": strconv.Itoa(len(body))}},
		{"another spelling", request("POST", "/v01.041/c%6fntainers%2Fcreate?name=%77eb", body),
			"POST", "/v1.41/containers/create?name=web", body,
			map[string]string{"Content-Type": "application/json", "Content-Length": strconv.Itoa(len(body))}},
		{"an engine's name", request("POST", "/engines/east/containers/web/stop?t=5", ""), "POST", "/containers/web/stop?t=5", "", nil},
		{"a name to escape", request("POST", "/v1.41/containers/a%20b%3fc/stop", ""), "POST", "/v1.41/containers/a%20b%3Fc/stop", "", nil},
		{"credentials and somebody else's name", request("POST", "/v1.41/images/busybox/push?tag=1", "",
			"Authorization", "Bearer s3cret", "Cookie", "session=s3cret", "X-Registry-Auth", "s3cret", "X-Registry-Config", "s3cret",
			"X-Forwarded-User", "root", "User", "root"),
			"POST", "/v1.41/images/busybox/push?tag=1", "", nil},
		{"the password of docker login", request("POST", "/v1.41/auth", `{"username":"a","password":"s3cret"}`),
			"POST", "/v1.41/auth", "", map[string]string{"Content-Type": "application/json", "Content-Length": "36"}},
		{"registry credentials of a push", request("POST", "/v1.41/images/busybox/push?tag=1", `{"username":"a","password":"s3cret"}`),
			"POST", "/v1.41/images/busybox/push?tag=1", "", map[string]string{"Content-Type": "application/json", "Content-Length": "36"}},
		{"the last of two values", request("GET", "/v1.41/containers/json", "", "Accept", "text/html", "Accept", "application/json"),
			"GET", "/v1.41/containers/json", "", map[string]string{"Accept": "application/json"}},
		{"an archive", archive(), "PUT", "/v1.41/containers/web/archive?path=%2F", "", map[string]string{"Content-Type": "application/x-tar", "Content-Length": "17"}},
	}
	dir := sockets(t)
	plugin := &docker{}
	serveSDK(t, dir, "opa", plugin)
	f := newFront(open(t, Config{Plugin: "opa"}, Options{Sockets: dir}))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.engine.says(404, "application/json", `{"message":"nothing here"}`)
			if w := f.ask(test.r); w.Code != 404 {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			seen, _ := plugin.last()
			if seen.User != "alice" || seen.UserAuthNMethod != "token" || seen.RequestMethod != test.method || seen.RequestURI != test.uri || string(seen.RequestBody) != test.body {
				t.Errorf("the plugin saw %s by %s: %s %s %q", seen.User, seen.UserAuthNMethod, seen.RequestMethod, seen.RequestURI, seen.RequestBody)
			}
			if len(test.header) != len(seen.RequestHeaders) {
				t.Errorf("the plugin saw %v, want %v", seen.RequestHeaders, test.header)
			}
			for key, value := range test.header {
				if seen.RequestHeaders[key] != value {
					t.Errorf("%s is %q, want %q", key, seen.RequestHeaders[key], value)
				}
			}
		})
	}
}

func chunked(r *http.Request) *http.Request {
	r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	return r
}

func archive() *http.Request {
	r := request("PUT", "/v1.41/containers/web/archive?path=/", "a tar, as it were")
	r.Header.Set("Content-Type", "application/x-tar")
	return r
}

// TestSDKSeesAnswers holds that the caller gets the Engine's very bytes, whatever
// the plugins were shown of them.
func TestSDKSeesAnswers(t *testing.T) {
	list := func(size int) string { return "[" + strings.Repeat(" ", size-2) + "]" }
	tests := []struct {
		name   string
		target string
		media  string
		body   string
		length bool
		shown  bool
		asked  int
	}{
		{"a list", "/v1.41/containers/json", "application/json", `[{"Id":"x"}]`, true, true, 2},
		{"a list in chunks", "/v1.41/containers/json", "application/json", `[{"Id":"x"}]`, false, true, 2},
		{"with a charset", "/v1.41/containers/json", "application/json; charset=utf-8", `[]`, true, true, 2},
		{"just short enough", "/v1.41/containers/json", "application/json", list(maxBody), false, true, 2},
		{"just too long", "/v1.41/containers/json", "application/json", list(maxBody + 1), true, false, 2},
		{"just too long in chunks", "/v1.41/containers/json", "application/json", list(maxBody + 1), false, false, 2},
		{"long", "/v1.41/containers/json", "application/json", list(5 << 20), false, false, 2},
		{"no JSON", "/v1.41/containers/json", "text/plain", `hello`, true, false, 2},
		{"nothing", "/v1.41/containers/json", "application/json", ``, false, false, 2},
		{"a stream", "/v1.41/events", "application/json", `{}{}`, false, false, 1},
		{"free for all", "/_ping", "text/plain", `OK`, true, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := sockets(t)
			first, second := &docker{}, &docker{}
			serveSDK(t, dir, "first", first)
			serveSDK(t, dir, "second", second)
			f := newFront(open(t, Config{Plugin: "first"}, Options{Sockets: dir}), open(t, Config{Plugin: "second"}, Options{Sockets: dir}))
			f.engine.says(200, test.media, test.body)
			if !test.length {
				f.engine.length = -1
				f.engine.header.Del("Content-Length")
			}
			w := f.ask(request("GET", test.target, ""))
			if w.Code != 200 || w.Body.String() != test.body {
				t.Fatalf("got %d with %d bytes, want %d", w.Code, w.Body.Len(), len(test.body))
			}
			if got := w.Header().Get("Content-Length"); (got != "") != test.length {
				t.Errorf("Content-Length is %q", got)
			}
			for _, plugin := range []*docker{first, second} {
				seen, n := plugin.last()
				if n != test.asked {
					t.Fatalf("asked %d times, want %d", n, test.asked)
				}
				want := ""
				if test.shown {
					want = test.body
				}
				if !bytes.Equal(seen.ResponseBody, []byte(want)) {
					t.Errorf("shown %d bytes, want %d", len(seen.ResponseBody), len(want))
				}
				if test.asked == 2 && (seen.ResponseStatusCode != 200 || seen.ResponseHeaders["Api-Version"] != "1.51" || seen.User != "alice" || seen.RequestURI != test.target) {
					t.Errorf("the answer was shown as %+v", seen)
				}
			}
		})
	}
}

// TestSDKWithholdsAnswer holds that an answer to docker login, which may hold a
// registry's token, is not shown.
func TestSDKWithholdsAnswer(t *testing.T) {
	dir := sockets(t)
	plugin := &docker{}
	serveSDK(t, dir, "opa", plugin)
	f := newFront(open(t, Config{Plugin: "opa"}, Options{Sockets: dir}))
	f.engine.says(200, "application/json", `{"IdentityToken":"s3cret"}`)
	w := f.ask(request("POST", "/v1.41/auth", `{}`))
	if seen, n := plugin.last(); n != 2 || seen.ResponseBody != nil || !strings.Contains(w.Body.String(), "s3cret") {
		t.Errorf("asked %d times, shown %q, the caller got %q", n, seen.ResponseBody, w.Body)
	}
}

// TestUnknownKeys holds that keys which nobody vouches for are shown, for a dry
// run sends them, and are refused by the chain all the same.
func TestUnknownKeys(t *testing.T) {
	dir := sockets(t)
	plugin := &docker{}
	serveSDK(t, dir, "opa", plugin)
	for _, test := range []struct {
		before []authz.Authorizer
		target string
		uri    string
		status int
	}{
		{nil, "/v1.41/containers/json?all=1&new=1", "/v1.41/containers/json?all=1&new=1", 403},
		{nil, "/v1.41/containers/json?all=1&new=", "/v1.41/containers/json?all=1", 200},
		{[]authz.Authorizer{authz.Unrestricted{}}, "/v1.41/containers/json?new=", "/v1.41/containers/json?new=", 200},
	} {
		f := newFront(append(test.before, open(t, Config{Plugin: "opa"}, Options{Sockets: dir}))...)
		w := f.ask(request("GET", test.target, ""))
		if seen, _ := plugin.last(); w.Code != test.status || seen.RequestURI != test.uri {
			t.Errorf("%s: got %d, the plugin saw %s", test.target, w.Code, seen.RequestURI)
		}
	}
}

// TestLongRequests holds that no request goes on without its body having been
// shown.
func TestLongRequests(t *testing.T) {
	dir := sockets(t)
	plugin := &docker{}
	serveSDK(t, dir, "opa", plugin)
	const around = len(`{"Image":""}`)
	for _, test := range []struct{ size, status int }{{maxBody, 200}, {maxBody + 1, 413}, {2 * maxBody, 413}} {
		f := newFront(open(t, Config{Plugin: "opa"}, Options{Sockets: dir}))
		body := `{"Image":"` + strings.Repeat("x", test.size-around) + `"}`
		for _, r := range []*http.Request{request("POST", "/v1.41/containers/create", body), chunked(request("POST", "/v1.41/containers/create", body))} {
			f.engine.says(200, "application/json", "{}")
			w := f.ask(r)
			seen, n := plugin.last()
			if w.Code != test.status || test.status == 200 && string(seen.RequestBody) != body || test.status != 200 && n != 4 {
				t.Errorf("%d bytes: got %d %s, the plugin saw %d, asked %d times", test.size, w.Code, message(w), len(seen.RequestBody), n)
			}
		}
	}
}

func TestDryRunAndOrder(t *testing.T) {
	no := func(msg string) func(authorization.Request) authorization.Response {
		return func(authorization.Request) authorization.Response { return authorization.Response{Msg: msg} }
	}
	dir := sockets(t)
	first, second, third := &docker{req: no("one"), res: no("one")}, &docker{req: no("two")}, &docker{}
	serveSDK(t, dir, "first", first)
	serveSDK(t, dir, "second", second)
	serveSDK(t, dir, "third", third)
	o := Options{Sockets: dir}
	f := newFront(authz.DryRun(open(t, Config{Plugin: "first"}, o)), open(t, Config{Plugin: "second"}, o), open(t, Config{Plugin: "third"}, o))
	w := f.ask(request("GET", "/v1.41/info", ""))
	if w.Code != 403 || !strings.HasSuffix(message(w), "denied by plugin second: two") || f.record.Rule != "plugin second" {
		t.Errorf("got %d %s by %s", w.Code, w.Body, f.record.Rule)
	}
	if _, n := third.last(); n != 0 {
		t.Error("a plugin was asked after another had denied")
	}
	f = newFront(authz.DryRun(open(t, Config{Plugin: "first"}, o)))
	if w := f.ask(request("GET", "/v1.41/info", "")); w.Code != 200 || f.record.Decision != audit.WouldDeny || f.record.Reason != "authorization denied by plugin first: one" {
		t.Errorf("got %d, the record has %s: %s", w.Code, f.record.Decision, f.record.Reason)
	}
}
