package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

// askAs makes a request as another user of this machine, with curl, and gives
// the status and the body; curl's own exit code if there was no answer.
func (s *server) askAs(uid uint32, socket, target string) (status, body string, exit int) {
	s.t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			s.t.Fatal("calls as another user: CI runs it as root")
		}
		s.t.Skip("calls as another user: run it as root")
	}
	c := exec.Command("curl", "-s", "--max-time", "10", "-w", "\n%{http_code}", "--unix-socket", s.path(socket), "http://docker"+target)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, _ := c.Output()
	i := strings.LastIndexByte(string(out), '\n')
	if i < 0 {
		s.t.Fatalf("curl: %s", out)
	}
	return string(out[i+1:]), string(out[:i]), c.ProcessState.ExitCode()
}

func TestServeUnix(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, `
listen:
  - { address: unix://DIR/own.sock, mode: "0600", identify: [peer] }
  - { address: unix://DIR/all.sock, mode: "0666", identify: [peer] }
engines: { local: { address: ENGINE } }
users:
  tester: { uid: UID, roles: [admin] }
  alice: { uid: 61000 }
  bob: { uid: 61001, roles: [admin] }
roles: { admin: { allow: ["*"], scope: all, images: any, containers: any } }
`, e.Address)

	for name, mode := range map[string]os.FileMode{"own.sock": 0o600, "all.sock": 0o666} {
		if info, err := os.Stat(s.path(name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has %v, want %v (%v)", name, info.Mode(), mode, err)
		}
	}
	if a := s.ask("own.sock", "GET", "/_ping"); a.body != "OK" {
		t.Errorf("the owner got %d %.300s", a.StatusCode, a.body)
	}
	if _, body, exit := s.askAs(61001, "own.sock", "/_ping"); exit != 7 { // curl's "could not connect"
		t.Errorf("through a 0600 socket another user got %s (curl ended with %d)", body, exit)
	}
	for _, test := range []struct {
		uid                  uint32
		target, status, body string
	}{
		{61000, "/_ping", "200", `OK`},
		{61000, "/v1.41/containers/json", "403", `{"message":"moorgate: alice may not container.list (no role): ask for a role in the configuration"}`},
		{61000, "/v1.41/containers/web/json", "403", `{"message":"moorgate: alice may not container.inspect web (no role): ask for a role in the configuration"}`},
		{61001, "/v1.41/networks", "200", `[]`},
		{61002, "/_ping", "401", `{"message":"moorgate: peer: uid 61002 is no user of this moorgate: ask for a users: entry with uid: 61002"}`},
		{61002, "/nowhere", "401", `{"message":"moorgate: peer: uid 61002 is no user of this moorgate: ask for a users: entry with uid: 61002"}`},
	} {
		if status, body, _ := s.askAs(test.uid, "all.sock", test.target); status != test.status || strings.TrimSuffix(body, "\n") != test.body {
			t.Errorf("uid %d, %s: got %s %.300s, want %s %s", test.uid, test.target, status, body, test.status, test.body)
		}
	}
	for _, r := range e.Requests() {
		if strings.Contains(r.Target, "/containers/web") || strings.Contains(r.Target, "nowhere") {
			t.Errorf("the Engine was asked for %s", r.Target)
		}
	}
}

const tokenOfCI = "mg_token-of-ci"

func tokenSum(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }

func TestServeTLS(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	address := freePort(t)
	s := start(t, strings.ReplaceAll(`
listen:
  - address: tcp://ADDRESS
    tls: { cert: server.pem, key: server-key.pem, client_ca: ca.pem }
    identify: [certificate, token]
  - { address: unix://DIR/m.sock, identify: [token] }
engines: { local: { address: ENGINE } }
users:
  alice: { certificate: alice, roles: [admin] }
  ci: { tokens: ["`+tokenSum(tokenOfCI)+`"], roles: [admin] }
roles: { admin: { allow: ["*"], scope: all, images: any, containers: any } }
`, "ADDRESS", address), e.Address, func(s *server) { certificates(t, s.dir) })

	client := func(ca, certificate string) *http.Client {
		pem, err := os.ReadFile(s.path(ca + ".pem"))
		if err != nil {
			t.Fatal(err)
		}
		conf := &tls.Config{RootCAs: x509.NewCertPool(), NextProtos: []string{"h2", "http/1.1"}}
		conf.RootCAs.AppendCertsFromPEM(pem)
		if certificate != "" {
			pair, err := tls.LoadX509KeyPair(s.path(certificate+".pem"), s.path(certificate+"-key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			conf.Certificates = []tls.Certificate{pair}
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}, Timeout: patience}
	}
	const cure = `moorgate: who are you? show a client certificate (docker --tlsverify --tlscert cert.pem --tlskey key.pem), or send "Authorization: Bearer TOKEN" (docker: HttpHeaders in config.json)`
	for _, test := range []struct {
		name, certificate, token string
		status                   int
		message                  string
	}{
		{"a certificate", "alice", "", 200, ""},
		{"a token", "", tokenOfCI, 200, ""},
		{"nothing", "", "", 401, cure},
		{"a stranger's certificate", "mallory", "", 401, `moorgate: certificate: the certificate of "mallory" is no user of this moorgate: ask for a users: entry with certificate: "mallory"`},
		{"a wrong token", "", "guess", 401, "moorgate: token: no user of this moorgate has the token that you sent: ask for a new one, made by `moorgate token`"},
		{"two people", "alice", tokenOfCI, 401, "moorgate: certificate says that you are alice, token says ci: send one of the two"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var fields []string
			if test.token != "" {
				fields = []string{"Authorization: Bearer " + test.token}
			}
			a := ask(t, client("ca", test.certificate), "GET", "https://"+address+"/v1.41/networks", fields...)
			if a.StatusCode != test.status || test.message != "" && a.message() != test.message {
				t.Errorf("got %d %.300s", a.StatusCode, a.body)
			}
			if a.ProtoMajor != 1 || a.TLS.NegotiatedProtocol == "h2" {
				t.Errorf("spoke %s (%s): HTTP/2 cannot be hijacked", a.Proto, a.TLS.NegotiatedProtocol)
			}
		})
	}
	t.Run("without TLS", func(t *testing.T) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
		if got, _ := io.ReadAll(c); strings.Contains(string(got), "OK") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("the token stays here", func(t *testing.T) {
		if a := s.ask("m.sock", "GET", "/v1.41/info", "Authorization: Bearer "+tokenOfCI); a.StatusCode != 200 {
			t.Errorf("got %d %.300s", a.StatusCode, a.body)
		}
		for _, r := range e.Requests() {
			if strings.Contains(string(r.Head), tokenOfCI) {
				t.Errorf("the Engine got the token:\n%s", r.Head)
			}
		}
	})
}

// freePort is an address that nobody listens on.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What moorgate itself answers has the Engine's shape, but does not pass for
// the Engine's.
func TestServeOwnAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, `
listen:
  - { address: unix://DIR/m.sock, identify: [token] }
  - { address: unix://DIR/admin.sock, serve: [admin] }
engines: { local: { address: ENGINE } }
users:
  ci: { tokens: ["`+tokenSum(tokenOfCI)+`"], roles: [admin] }
  guest: { tokens: ["`+tokenSum("guest")+`"] }
roles: { admin: { allow: ["*"], scope: all, images: any, containers: any } }
`, "unix:///nowhere/docker.sock")
	const ci = "Authorization: Bearer " + tokenOfCI
	ids := map[string]bool{}
	for _, test := range []struct {
		method, target, field string
		status                int
	}{
		{"GET", "/v1.41/info", "X: none", 401},
		{"GET", "/v1.41/info", "Authorization: Bearer guest", 403},
		{"GET", "/v1.41/no/where", ci, 404},
		{"DELETE", "/v1.41/info", ci, 404},
		{"GET", "/v1.12/info", ci, 400},
		{"GET", "/v1.41/containers/json?all=1&all=0", ci, 400},
		{"GET", "/v1.41/info", ci, 502},
	} {
		a := s.ask("m.sock", test.method, test.target, test.field)
		if a.StatusCode != test.status || a.message() == "" || strings.HasPrefix(a.message(), "not the") {
			t.Errorf("%s %s: got %d %.300s, want %d", test.method, test.target, a.StatusCode, a.body, test.status)
		}
		if err := a.ours(); err != nil {
			t.Errorf("%s %s: the answer %v", test.method, test.target, err)
		}
		if want := test.status == 401; (a.Header.Get("WWW-Authenticate") != "") != want {
			t.Errorf("%d has WWW-Authenticate: %q", a.StatusCode, a.Header.Get("WWW-Authenticate"))
		}
		if ids[id(a.Response)] {
			t.Errorf("%s is the id of two answers", id(a.Response))
		}
		ids[id(a.Response)] = true
	}
	for _, target := range []string{"/healthz", "/readyz", "/metrics", "/"} {
		a := s.ask("admin.sock", "GET", target)
		if err := a.ours(); err != nil {
			t.Errorf("%s: the answer %v", target, err)
		}
	}
}

func TestServeEngines(t *testing.T) {
	t.Parallel()
	local, east := enginetest.Start(t), enginetest.Start(t)
	s := start(t, strings.Replace(plainConfig, "engines: { local: { address: ENGINE } }",
		"engines: { zulu: { address: ENGINE }, east: { address: "+east.Address+" } }", 1), local.Address)
	for _, test := range []struct {
		target string
		engine *enginetest.Engine
		path   string
	}{
		{"/v1.41/containers/a/json", local, "/containers/a/json"}, // the first in the file, not in the alphabet
		{"/engines/zulu/v1.41/containers/b/json", local, "/containers/b/json"},
		{"/engines/east/v1.41/containers/c/json", east, "/containers/c/json"},
		{"/engines/east/_ping", east, "/_ping"},
	} {
		other := local
		if test.engine == local {
			other = east
		}
		seen := func(e *enginetest.Engine) int {
			return len(slices.DeleteFunc(e.Requests(), func(r enginetest.Request) bool { return r.Path != test.path || r.Header("User-Agent") == "moorgate" }))
		}
		here, there := seen(test.engine), seen(other)
		if a := s.ask("m.sock", "GET", test.target); a.StatusCode != 200 || seen(test.engine) != here+1 || seen(other) != there {
			t.Errorf("%s: got %d %.300s, asked its Engine %d times and the other %d times", test.target, a.StatusCode, a.body, seen(test.engine)-here, seen(other)-there)
		}
	}
	a := s.ask("m.sock", "GET", "/engines/west/v1.41/info")
	if want := `moorgate: no engine is called "west": leave /engines/NAME out for zulu, or mend the name`; a.StatusCode != 404 || a.message() != want {
		t.Errorf("an unknown engine: got %d %.300s", a.StatusCode, a.body)
	}
}

// Sockets that systemd opened are served, by name and by number.
func TestServeActivated(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	dir := shortDir(t)
	var files []*os.File
	for _, name := range []string{"api", "admin"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name+".sock")})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	start(t, `
listen:
  - { address: "fd://api", identify: [peer] }
  - { address: "fd://4", serve: [admin] }
engines: { local: { address: ENGINE } }
users: { tester: { uid: UID, roles: [admin] } }
roles: { admin: { allow: ["*"], scope: all, images: any, containers: any } }
`, e.Address, func(s *server) {
		args := s.process.Args
		s.process = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=api:admin exec "$@"`, "sh"}, args...)...)
		s.process.Stdout, s.process.Stderr, s.process.ExtraFiles = s.log, s.log, files
	})
	for name, target := range map[string]string{"api": "/_ping", "admin": "/healthz"} {
		if a := ask(t, unixClient(t, filepath.Join(dir, name+".sock")), "GET", "http://docker"+target); strings.ToLower(strings.TrimSpace(a.body)) != "ok" {
			t.Errorf("%s: got %d %.300s", name, a.StatusCode, a.body)
		}
	}
}
