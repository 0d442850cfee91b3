package deploy_test

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/gorilla/websocket"

	"moorgate/proxy/enginetest"
)

const proxiedConfig = `
listen:
  - address: tcp://%s
    serve: [api, terminal]
    identify: [password, token]
    public_url: https://%s%s
engines: { local: { address: %q } }
users: { alice: { tokens: ["sha256:%x"], roles: [administrator] } }
roles: { administrator: { allow: ["*"], scope: all, images: any, containers: any } }
`

// TestNginx runs Debian's nginx with the snippets in front of moorgate, on a
// host of its own and below a path that is left on or taken off.
func TestNginx(t *testing.T) {
	tools(t, "nginx")
	for _, test := range []struct {
		name, path string
		snippet    string // included in the site's server { }
		strip      bool
	}{
		{"a host of its own", "", "", false},
		{"below a path", "/moorgate", "nginx/prefix.conf", false},
		{"below a path that is taken off", "/moorgate", "nginx/prefix.conf", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := folder(t)
			moorgate, site := freePort(t), freePort(t)
			const token = "a-token-of-the-test"
			write(t, filepath.Join(dir, "moorgate.yaml"), fmt.Sprintf(proxiedConfig, moorgate, site, test.path, enginetest.Start(t).Address, sha256.Sum256([]byte(token))))
			start(t, command(dir, nil, binary(t), "serve", "--config", "moorgate.yaml"))

			cert, key := pair(t)
			write(t, filepath.Join(dir, "cert.pem"), cert)
			write(t, filepath.Join(dir, "key.pem"), key)
			conf := read(t, "nginx/moorgate.conf")
			if test.snippet != "" {
				conf = regexp.MustCompile(`(?s)location / \{.*?\n\t\}`).ReplaceAllLiteralString(conf, read(t, test.snippet))
			}
			upstream := "http://" + moorgate
			if test.strip {
				upstream += "/"
			}
			conf = strings.NewReplacer(
				"listen 443 ssl;", "listen "+site+" ssl;", "listen [::]:443 ssl;", "", "http://127.0.0.1:8375", upstream,
				"/etc/ssl/box.example.org.pem", "cert.pem", "/etc/ssl/box.example.org-key.pem", "key.pem",
			).Replace(conf)
			write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`
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
%s
}
`, conf))
			run(t, command(dir, nil, "nginx", "-t", "-q", "-p", dir, "-c", "nginx.conf"))
			start(t, command(dir, nil, "nginx", "-p", dir, "-c", "nginx.conf"))
			for _, address := range []string{moorgate, site} {
				eventually(t, func() error {
					c, err := net.Dial("tcp", address)
					if err == nil {
						c.Close()
					}
					return err
				})
			}
			p := &proxied{t: t, origin: "https://" + site, path: test.path, token: token}
			p.check()
		})
	}
}

// TestSnippets checks the listener that each snippet tells to write.
func TestSnippets(t *testing.T) {
	for _, file := range []string{"nginx/moorgate.conf", "nginx/prefix.conf", "traefik/moorgate.yaml", "caddy/Caddyfile"} {
		t.Run(file, func(t *testing.T) {
			text := read(t, file)
			var listener []string
			for line := range strings.Lines(text) {
				if setting, ok := strings.CutPrefix(line, "#   "); ok {
					listener = append(listener, "  "+setting)
				}
			}
			if len(listener) != 4 {
				t.Fatalf("the listener is %q", listener)
			}
			check(t, "listen:\n"+strings.Join(listener, "")+`
engines: { local: { address: "unix:///var/run/docker.sock" } }
users: { alice: { roles: [administrator] } }
roles: { administrator: { allow: ["*"], scope: all, images: any, containers: any } }
`)
			if filepath.Ext(file) == ".yaml" {
				var parsed struct {
					HTTP struct{ Routers, Services map[string]map[string]any }
				}
				if err := yaml.Unmarshal([]byte(text), &parsed); err != nil || parsed.HTTP.Routers["moorgate"]["service"] != "moorgate" || parsed.HTTP.Services["moorgate"] == nil {
					t.Errorf("Traefik would read %+v, %v", parsed, err)
				}
			}
		})
	}
}

// proxied is moorgate as browsers see it.
type proxied struct {
	t                   *testing.T
	origin, path, token string
	cookie              string
}

func (p *proxied) do(method, path, body string, fields ...string) (*http.Response, string) {
	p.t.Helper()
	r, err := http.NewRequest(method, p.origin+p.path+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, f := range append([]string{"Cookie: " + p.cookie, "Content-Type: application/json", "Origin: " + p.origin}, fields...) {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	if body == "" {
		r.Header.Del("Content-Type")
	}
	client := &http.Client{
		Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // the test's own
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(text)
}

func (p *proxied) check() {
	p.t.Helper()
	want := func(what string, resp *http.Response, body string, status int, has string) {
		p.t.Helper()
		if resp.StatusCode != status || !strings.Contains(body, has) {
			p.t.Errorf("%s: %s %.300s, want %d and %q", what, resp.Status, body, status, has)
		}
	}
	if p.path != "" {
		r := p.path
		p.path = ""
		resp, body := p.do("GET", r, "")
		want("the path without its slash", resp, body, http.StatusPermanentRedirect, "")
		if to := resp.Header.Get("Location"); !strings.HasSuffix(to, r+"/") {
			p.t.Errorf("the path without its slash leads to %s", to)
		}
		p.path = r
	}
	resp, body := p.do("GET", "/", "")
	if resp.StatusCode != 200 && !strings.Contains(body, "built without its page") {
		p.t.Errorf("the page: %s %.300s", resp.Status, body)
	}
	resp, body = p.do("GET", "/api/me", "")
	want("nobody", resp, body, 401, "token")
	resp, body = p.do("POST", "/login", `{"token":"`+p.token+`"}`, "Origin: https://evil.example")
	want("login from another site", resp, body, 403, "")
	resp, body = p.do("POST", "/login", `{"token":"`+p.token+`"}`)
	want("login", resp, body, 200, `"user":"alice"`)
	if len(resp.Cookies()) != 1 {
		p.t.Fatalf("the login gives %v", resp.Cookies())
	}
	c := resp.Cookies()[0]
	if !c.Secure || c.Path != p.path+"/" {
		p.t.Errorf("the cookie is %s", c)
	}
	p.cookie = c.Name + "=" + c.Value
	resp, body = p.do("GET", "/api/me", "")
	want("me", resp, body, 200, `"user":"alice"`)
	resp, body = p.do("GET", "/v1.41/info", "")
	want("the Engine", resp, body, 200, "{")
	resp, body = p.do("POST", "/v1.41/containers/x/start", "", "Origin: null")
	want("the Engine from nowhere", resp, body, 403, "")

	// Websockets come through, with moorgate's own answer to a wrong ticket.
	dialer := &websocket.Dialer{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the test's own
		Subprotocols:    []string{"moorgate.terminal.v1", "ticket.x"}, HandshakeTimeout: patience,
	}
	target := "wss" + strings.TrimPrefix(p.origin, "https") + p.path + "/api/terminal/socket?session=x"
	_, resp, err := dialer.Dial(target, http.Header{"Cookie": {p.cookie}, "Origin": {"https://evil.example"}})
	if err == nil || resp.StatusCode != 403 {
		p.t.Errorf("a websocket of another site: %v", err)
	}
	conn, _, err := dialer.Dial(target, http.Header{"Cookie": {p.cookie}, "Origin": {p.origin}})
	if err != nil {
		p.t.Fatalf("a websocket: %v", err)
	}
	defer conn.Close()
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	if !websocket.IsCloseError(err, 4001) {
		p.t.Errorf("a websocket with a wrong ticket ends with %v", err)
	}
}
