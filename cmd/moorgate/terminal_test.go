package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"
)

// browser is one that has moorgate's page open.

type browser struct {
	t      testing.TB
	origin string // what it calls moorgate, without a path
	cookie string // "" until it is logged in
}

// do makes a request as the page does; body "" is none.

func (b *browser) do(method, path, body string, fields ...string) answer {
	b.t.Helper()
	r, err := http.NewRequest(method, b.origin+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	if method != http.MethodGet {
		r.Header.Set("Origin", b.origin)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range fields {
		key, value, _ := strings.Cut(f, ": ")
		if value == "" {
			r.Header.Del(key)
		} else {
			r.Header.Set(key, value)
		}
	}
	client := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

// login keeps the cookie that a login gives.

func (b *browser) login(evidence string) {
	b.t.Helper()
	a := b.do("POST", "/login", evidence)
	if a.StatusCode != 200 || len(a.Cookies()) != 1 {
		b.t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	c := a.Cookies()[0]
	b.cookie = c.Name + "=" + c.Value
}

// socket opens a websocket.

func (b *browser) socket(path string, protocols []string, fields ...string) (*ws.Conn, *http.Response, error) {
	h := http.Header{"Cookie": {b.cookie}, "Origin": {b.origin}}
	for _, f := range fields {
		key, value, _ := strings.Cut(f, ": ")
		h.Set(key, value)
		if value == "" {
			h.Del(key)
		}
	}
	dialer := &ws.Dialer{Subprotocols: protocols, HandshakeTimeout: patience}
	return dialer.Dial("ws"+strings.TrimPrefix(b.origin, "http")+path, h)
}

const terminalConfig = `
listen:
  - { address: unix://DIR/m.sock, mode: "0600", identify: [peer] }
  - { address: unix://DIR/admin.sock, serve: [admin] }
  - { address: "tcp://PAGE", serve: [terminal], identify: [token] }
engines: { local: { address: ENGINE } }
users:
  tester: { uid: UID, roles: [admin] }
  alice: { tokens: ["` + "ALICE" + `"], roles: [viewer] }
  root: { tokens: ["` + "ROOT" + `"], roles: [admin] }
roles:
  admin: { allow: ["*"], scope: all, images: any, containers: any }
  viewer: { allow: [read, "container.*", "exec.*", terminal.open], scope: all, images: any }
terminal: { per_user: 3 }
audit: { file: audit.jsonl }
drain: 300ms
`

// startTerminals serves terminalConfig and gives a browser at its page.

func startTerminals(t *testing.T, engine string) (*server, *browser) {
	t.Helper()
	page := freePort(t)
	s := start(t, strings.NewReplacer("PAGE", page, "ALICE", tokenSum("alice"), "ROOT", tokenSum("root")).Replace(terminalConfig), engine)
	return s, &browser{t: t, origin: "http://" + page}
}

// A listener for docker clients takes nothing from a page.

// Personal mode prints a link that logs the browser in, once, and who came by

// it may do everything.

// liveTerminal is a websocket of a session.

type liveTerminal struct {
	*ws.Conn
	t      testing.TB
	id     string
	screen string
}

// open starts a session and joins it.

func (b *browser) open(spec string) *liveTerminal {
	b.t.Helper()
	a := b.do("POST", "/api/terminal/sessions", spec)
	var made struct{ ID, Ticket, Socket string }
	if err := json.Unmarshal([]byte(a.body), &made); a.StatusCode != 201 || err != nil || made.Ticket == "" {
		b.t.Fatalf("open: %d %s", a.StatusCode, a.body)
	}
	c, resp, err := b.socket("/api/terminal/socket?session="+made.ID, []string{"moorgate.terminal.v1", "ticket." + made.Ticket})
	if err != nil {
		b.t.Fatalf("socket: %v %v", resp, err)
	}
	b.t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(2 * patience))
	l := &liveTerminal{Conn: c, t: b.t, id: made.ID}
	l.send(0x11, `{"resume_from":-1,"cols":100,"rows":30}`)
	return l
}

func (l *liveTerminal) send(kind byte, body string) {
	l.t.Helper()
	if err := l.WriteMessage(ws.BinaryMessage, append([]byte{kind}, body...)); err != nil {
		l.t.Fatal(err)
	}
}

// until reads frames until one of this type has the text in it; of the output,

// all that came counts.

func (l *liveTerminal) until(kind byte, text string) string {
	l.t.Helper()
	for {
		_, frame, err := l.ReadMessage()
		if err != nil {
			l.t.Fatalf("%v, before a frame %#x with %q came and after the output %q", err, kind, text, l.screen)
		}
		body := string(frame[1:])
		if frame[0] == 0x01 {
			if binary.BigEndian.Uint64(frame[1:9]) != uint64(len(l.screen)) {
				l.t.Fatalf("a gap after %q", l.screen)
			}
			l.screen += body[8:]
			body = l.screen
		}
		if frame[0] == kind && strings.Contains(body, text) {
			return body
		}
	}
}

// ends reads until the websocket is closed.

func (l *liveTerminal) ends(code int) {
	l.t.Helper()
	for {
		if _, _, err := l.ReadMessage(); err != nil {
			if !ws.IsCloseError(err, code) {
				l.t.Errorf("the websocket ends with %v, want %d", err, code)
			}
			return
		}
	}
}

// A terminal from the login to the exit code, on a real Engine: through the

// door, the ticket, the websocket, and the connection inside the process.

func TestTerminalWhole(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	s, b := startTerminals(t, e.address)
	id := e.run("sleep 600")
	b.login(`{"token":"alice"}`)
	spec := fmt.Sprintf(`{"mode":"exec","container":%q,"cols":100,"rows":30}`, id)

	l := b.open(spec)
	l.send(0x00, "echo $((6*7)) of alice; until stty size 2>&1 | grep 30; do sleep 0.1; done; exit 3\n")
	exit := l.until(0x14, "")
	if !strings.Contains(l.screen, "42 of alice") || !strings.Contains(l.screen, "30 100") || !strings.Contains(exit, `"code":3`) {
		t.Errorf("the screen is %q, the end %s", l.screen, exit)
	}
	l.ends(1000)

	// What the session did on the Engine is recorded as alice's.
	await(t, "the log has it", func() bool {
		text, _ := os.ReadFile(filepath.Join(s.dir, "audit.jsonl"))
		return bytes.Contains(text, []byte(`"event":"close"`)) && bytes.Contains(text, []byte(`"user":"alice","evidence":"session","listener":"terminal"`)) &&
			bytes.Contains(text, []byte(`"action":"exec.start"`))
	})
	await(t, "no session is counted", func() bool {
		return strings.Contains(s.ask("admin.sock", "GET", "/metrics").body, "\nmoorgate_terminal_sessions 0\n")
	})
	gone := func(command string) {
		t.Helper()
		await(t, command+" has ended", func() bool {
			var top struct{ Processes [][]string }
			e.call("GET", "/containers/"+id+"/top", "", &top)
			return !strings.Contains(fmt.Sprint(top.Processes), command)
		})
	}

	// A right that is withdrawn ends a live session, though its user may do
	// nothing on the Engine any more.
	l = b.open(spec)
	l.send(0x00, "sleep 4242 & echo up$((1+1))\n")
	l.until(0x01, "up2")
	edit(t, s, `allow: [read, "container.*", "exec.*", terminal.open]`, `allow: [read]`)
	l.until(0x14, `"reason":"revoked"`)
	l.ends(1000)
	gone("4242")
	if a := b.do("POST", "/api/terminal/sessions", spec); a.StatusCode != 403 {
		t.Errorf("another one: %d %s", a.StatusCode, a.body)
	}

	// moorgate's own end is announced, and ends what runs.
	root := &browser{t: t, origin: b.origin}
	root.login(`{"token":"root"}`)
	l = root.open(spec)
	l.send(0x00, "sleep 4343 & echo up$((1+1))\n")
	l.until(0x01, "up2")
	s.signal(syscall.SIGTERM)
	l.until(0x16, "going down")
	l.ends(1001)
	gone("4343")
	if code := s.wait(); code != 0 {
		t.Errorf("moorgate ended with %d", code)
	}
}

// A terminal in a container of its own leaves none behind, whether its command
// ends or its user's right does.
func TestTerminalRun(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	s, b := startTerminals(t, e.address)
	b.login(`{"token":"alice"}`)
	spec := fmt.Sprintf(`{"mode":"run","image":%q,"cmd":["sh"],"cols":100,"rows":30}`, busybox)
	container := func(l *liveTerminal) string {
		var info struct{ Container string }
		a := b.do("GET", "/api/terminal/sessions/"+l.id, "")
		if err := json.Unmarshal([]byte(a.body), &info); err != nil || info.Container == "" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		return info.Container
	}
	there := func(id string) bool {
		var list []struct{ Id string }
		e.call("GET", "/containers/json?all=1&filters="+url.QueryEscape(`{"id":["`+id+`"]}`), "", &list)
		return len(list) > 0
	}
	l := b.open(spec)
	l.send(0x00, "echo up$((1+1))\n")
	l.until(0x01, "up2")
	id := container(l)
	if !there(id) {
		t.Fatalf("%s is not on the Engine", id)
	}
	l.send(0x00, "exit 5\n")
	l.until(0x14, `"code":5`)
	l.ends(1000)
	await(t, "its container is gone", func() bool { return !there(id) })

	l = b.open(spec)
	l.send(0x00, "echo up$((1+1))\n")
	l.until(0x01, "up2")
	id = container(l)
	edit(t, s, `allow: [read, "container.*", "exec.*", terminal.open]`, `allow: [read]`)
	l.until(0x14, `"reason":"revoked"`)
	await(t, "its container is gone", func() bool { return !there(id) })
}

// What a session started ends too when moorgate was killed: the next one sees
// to it.
func TestTerminalCrash(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	s, b := startTerminals(t, e.address)
	id := e.run("sleep 600")
	b.login(`{"token":"alice"}`)
	l := b.open(fmt.Sprintf(`{"mode":"exec","container":%q}`, id))
	l.send(0x00, "sleep 4444 & echo up$((1+1))\n")
	l.until(0x01, "up2")
	processes := func() string {
		var top struct{ Processes [][]string }
		e.call("GET", "/containers/"+id+"/top", "", &top)
		return fmt.Sprint(top.Processes)
	}
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if !strings.Contains(processes(), "4444") {
		t.Fatal("the process does not survive moorgate, so that this test shows nothing")
	}
	next := exec.Command("moorgate", "serve", "--config", s.path("config.yaml"))
	next.Stdout, next.Stderr = s.log, s.log
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		next.Process.Signal(syscall.SIGTERM)
		next.Wait()
	})
	await(t, "what the session started has ended", func() bool { return !strings.Contains(processes(), "4444") })
}
