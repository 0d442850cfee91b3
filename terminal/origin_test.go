package terminal

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"moorgate/authz/identity"
)

func TestCrossSite(t *testing.T) {
	d, cookie := loggedIn(t)
	const bearer = "Authorization: Bearer " + aliceToken
	const sso = "X-Forwarded-User: alice"
	websocket := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	type row struct {
		name   string
		fields []string
		status int
	}
	// By evidence that the browser adds by itself, everything needs the right
	// Origin and Host.
	var rows []row
	for _, e := range []struct{ name, field string }{{"cookie", cookie}, {"SSO header", sso}} {
		rows = append(rows,
			row{e.name + " and the right Origin", []string{e.field, boxHost, boxOrigin}, 200},
			row{e.name + " and the right Origin, Host in capitals", []string{e.field, "Host: BOX.example.ORG", boxOrigin}, 200},
			row{e.name + " without Origin", []string{e.field, boxHost}, 403},
			row{e.name + " and Origin null", []string{e.field, boxHost, "Origin: null"}, 403},
			row{e.name + " and an empty Origin", []string{e.field, boxHost, "Origin: "}, 403},
			row{e.name + " and a foreign Origin", []string{e.field, boxHost, "Origin: https://evil.example"}, 403},
			row{e.name + " and an Origin that begins like ours", []string{e.field, boxHost, "Origin: https://box.example.org.evil.example"}, 403},
			row{e.name + " and an Origin that ends like ours", []string{e.field, boxHost, "Origin: https://evil-box.example.org"}, 403},
			row{e.name + " and an Origin below ours", []string{e.field, boxHost, "Origin: https://evil.box.example.org"}, 403},
			row{e.name + " and an Origin above ours", []string{e.field, boxHost, "Origin: https://example.org"}, 403},
			row{e.name + " and an Origin of another port", []string{e.field, boxHost, "Origin: https://box.example.org:8443"}, 403},
			row{e.name + " and an Origin of another scheme", []string{e.field, boxHost, "Origin: http://box.example.org"}, 403},
			row{e.name + " and an Origin with a path", []string{e.field, boxHost, "Origin: https://box.example.org/"}, 403},
			row{e.name + " and an Origin with a user", []string{e.field, boxHost, "Origin: https://box.example.org@evil.example"}, 403},
			row{e.name + " and two Origins", []string{e.field, boxHost, boxOrigin, "Origin: https://evil.example"}, 403},
			row{e.name + " and another Host", []string{e.field, "Host: evil.example", "Origin: http://evil.example"}, 403},
			row{e.name + " and another Host with our Origin", []string{e.field, "Host: evil.example", boxOrigin}, 403},
			row{e.name + " and the listener's address as Host", []string{e.field, "Host: 127.0.0.1:8375", "Origin: http://127.0.0.1:8375"}, 403},
			row{e.name + " and another port in Host", []string{e.field, "Host: box.example.org:8375", boxOrigin}, 403},
			row{e.name + " from another site", []string{e.field, boxHost, "Sec-Fetch-Site: cross-site"}, 403},
			row{e.name + " from a site below ours", []string{e.field, boxHost, "Sec-Fetch-Site: same-site"}, 403},
		)
	}
	for i := range rows { // of another Host, a cookie names nobody
		if r := &rows[i]; strings.HasPrefix(r.name, "cookie") && strings.Contains(r.name, "Host") && r.status == 403 {
			r.status = 401
		}
	}
	// By a credential that no browser adds, a foreign Origin alone is refused.
	rows = append(rows,
		row{"token without Origin", []string{bearer, boxHost}, 200},
		row{"token and the right Origin", []string{bearer, boxHost, boxOrigin}, 200},
		row{"token and a foreign Origin", []string{bearer, boxHost, "Origin: https://evil.example"}, 403},
		row{"token and Origin null", []string{bearer, boxHost, "Origin: null"}, 403},
		row{"token from another site", []string{bearer, boxHost, "Sec-Fetch-Site: cross-site"}, 403},
		row{"nobody", []string{boxHost, boxOrigin}, 401},
	)
	for _, r := range rows {
		before := len(d.engine)
		a := d.ask("POST", "/v1.41/containers/x/start", r.fields...)
		if a.StatusCode != r.status || (r.status == 200) != (len(d.engine) > before) {
			t.Errorf("POST to the Engine, %s: %d %.200s, want %d", r.name, a.StatusCode, a.body, r.status)
		}
		a = d.ask("POST", "/api/nothing", r.fields...)
		if want := map[int]int{200: 404}[r.status]; a.StatusCode != max(want, r.status) {
			t.Errorf("POST to the server's own, %s: %d %.200s", r.name, a.StatusCode, a.body)
		}
		a = d.ask("GET", "/v1.41/containers/x/attach/ws?stream=1", append(slices.Clone(r.fields), websocket...)...)
		if a.StatusCode != r.status {
			t.Errorf("websocket to the Engine, %s: %d %.200s, want %d", r.name, a.StatusCode, a.body, r.status)
		}
	}

	for _, r := range []struct {
		name           string
		method, target string
		fields         []string
		status         int
	}{
		{"reading needs no Origin", "GET", "/v1.41/containers/json", []string{cookie, boxHost}, 200},
		{"reading by the page", "GET", "/api/me", []string{cookie, boxHost, "Sec-Fetch-Site: same-origin"}, 200},
		{"reading from another site's page", "GET", "/api/me", []string{cookie, boxHost, "Sec-Fetch-Site: cross-site"}, 403},
		{"reading with a foreign Origin", "GET", "/api/me", []string{cookie, boxHost, "Origin: https://evil.example"}, 403},
		{"rebinding: reading by cookie", "GET", "/api/me", []string{cookie, "Host: evil.example"}, 401},
		{"rebinding: a header of one's own", "GET", "/api/me", []string{sso, "Host: evil.example:8375"}, 403},
		{"rebinding: the page", "GET", "/", []string{"Host: evil.example:8375"}, 403},
		{"rebinding: the login", "POST", "/login", []string{"Host: evil.example", "Origin: http://evil.example", asJSON, aliceSays}, 403},
		{"rebinding: the login without Origin", "POST", "/login", []string{"Host: evil.example", "Sec-Fetch-Site: same-origin", asJSON, aliceSays}, 403},
		{"a docker client by another name", "GET", "/v1.41/info", []string{bearer, "Host: docker"}, 200},
		{"a docker client that changes something", "POST", "/v1.41/containers/create", []string{bearer, "Host: docker"}, 200},
		{"a docker client that attaches", "POST", "/v1.41/containers/x/attach", []string{bearer, "Host: docker", "Connection: Upgrade", "Upgrade: tcp"}, 200},
		{"the page's own change, by an old browser without Origin", "POST", "/v1.41/containers/x/start", []string{cookie, boxHost, "Sec-Fetch-Site: same-origin"}, 200},
		{"a hijack by cookie", "POST", "/v1.41/exec/x/start", []string{cookie, boxHost, "Connection: Upgrade", "Upgrade: tcp"}, 403},
		{"a websocket needs the Origin itself", "GET", "/v1.41/containers/x/attach/ws", append([]string{cookie, boxHost, "Sec-Fetch-Site: same-origin"}, websocket...), 403},
		{"a websocket by token and another Host", "GET", "/v1.41/containers/x/attach/ws", append([]string{bearer, "Host: evil.example"}, websocket...), 403},
		{"two users", "GET", "/api/me", []string{cookie, boxHost, "Authorization: Bearer " + bobToken}, 401},
		{"a token in the URL", "GET", "/api/me?token=" + aliceToken + "&access_token=" + aliceToken, []string{boxHost}, 401},
		{"a password in the URL", "POST", "/login?user=alice&password=open+sesame", []string{boxHost, boxOrigin, asForm, "x=y"}, 401},
	} {
		if a := d.ask(r.method, r.target, r.fields...); a.StatusCode != r.status {
			t.Errorf("%s: %d %.200s, want %d", r.name, a.StatusCode, a.body, r.status)
		}
	}
}

func TestCrossSiteLoopback(t *testing.T) {
	d := newTestDoor(t, Listener{Address: "tcp://127.0.0.1:8375"}, everySource)
	for _, r := range []struct {
		host, origin string
		status       int
	}{
		{"127.0.0.1:8375", "http://127.0.0.1:8375", 200},
		{"localhost:8375", "http://localhost:8375", 200},
		{"[::1]:8375", "http://[::1]:8375", 200},
		{"localhost:8375", "http://127.0.0.1:8375", 403},
		{"127.0.0.1:8375", "https://127.0.0.1:8375", 403},
		{"127.0.0.1:8375", "http://127.0.0.1:8376", 403},
		{"127.0.0.1:8375", "http://127.0.0.1", 403},
		{"127.0.0.1", "http://127.0.0.1", 403},
		{"127.0.0.1:80", "http://127.0.0.1:80", 403},
		{"127.0.0.2:8375", "http://127.0.0.2:8375", 403},
		{"localhost.evil.example:8375", "http://localhost.evil.example:8375", 403},
		{"127.0.0.1:8375.evil.example", "http://127.0.0.1:8375.evil.example", 403},
		{"", "", 403},
	} {
		if a := d.ask("POST", "/login", "Host: "+r.host, "Origin: "+r.origin, asJSON, aliceSays); a.StatusCode != r.status {
			t.Errorf("Host %s and Origin %s: %d %.200s, want %d", r.host, r.origin, a.StatusCode, a.body, r.status)
		}
	}
	for _, l := range []Listener{{Address: "tcp://0.0.0.0:8375", TLS: true}, {Address: "unix:///run/m.sock"}, {Address: "fd://"}} {
		d := newTestDoor(t, l, everySource)
		a := d.ask("GET", "/", "Host: 0.0.0.0:8375")
		if a.StatusCode != 403 || !strings.Contains(a.message(), "set public_url:") {
			t.Errorf("a listener of %s that nobody named: %d %s", l.Address, a.StatusCode, a.body)
		}
		if a := d.ask("GET", "/v1.41/info", "Host: docker", "Authorization: Bearer "+aliceToken); a.StatusCode != 200 {
			t.Errorf("a docker client at %s: %d %s", l.Address, a.StatusCode, a.body)
		}
	}
}

func TestGuard(t *testing.T) {
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, r := range []struct {
		name   string
		l      Listener
		fields []string
		status int
	}{
		{"a docker client", Listener{Address: "tcp://10.0.0.1:2376", TLS: true}, []string{"Host: 10.0.0.1:2376"}, 204},
		{"a page", Listener{Address: "tcp://10.0.0.1:2376", TLS: true}, []string{"Host: 10.0.0.1:2376", "Origin: https://evil.example"}, 403},
		{"a page that hides", Listener{Address: "tcp://10.0.0.1:2376", TLS: true}, []string{"Host: 10.0.0.1:2376", "Sec-Fetch-Site: cross-site"}, 403},
		{"a page of the public URL", Listener{Address: "tcp://10.0.0.1:2376", TLS: true, PublicURL: box}, []string{boxHost, boxOrigin}, 204},
		{"rebinding", Listener{Address: "tcp://127.0.0.1:2375"}, []string{"Host: evil.example:2375", "Origin: http://evil.example:2375"}, 403},
	} {
		h, err := Guard(r.l, reached)
		if err != nil {
			t.Fatal(err)
		}
		d := &testDoor{t: t, Handler: h}
		if a := d.ask("POST", "/v1.41/containers/x/start", r.fields...); a.StatusCode != r.status {
			t.Errorf("%s: %d %s, want %d", r.name, a.StatusCode, a.body, r.status)
		}
	}
	h, err := Guard(Listener{Address: "unix:///run/m.sock"}, reached)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/v1.41/containers/x/start", nil)
	r.Header.Set("Origin", "http://localhost")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(identity.WithPeer(r.Context(), identity.Peer{UID: 1000})))
	if w.Code != 204 {
		t.Errorf("a client of a unix socket that sends an Origin: %d %s", w.Code, w.Body)
	}
}

func TestParsePublicURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://box.example.org": true, "https://box.example.org/": true, "http://127.0.0.1:8375": true, "https://box:8443/a/b-c": true, "https://[::1]:1": true,
		"box.example.org": false, "//box": false, "ftp://box": false, "https://": false, "https://:443": false, "https://box:": false,
		"https://u@box": false, "https://box?x": false, "https://box#x": false, "https://bóx": false, "https://box/a//b": false, "https://box/../a": false,
		"https://box/a%2fb": false, "https://box/a b": false, "https://box/a\"b": false, "https://%62ox": false,
	} {
		if _, err := ParsePublicURL(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
