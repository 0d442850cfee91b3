package terminal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"moorgate/authz/identity"
)

// TestSocket is the life of a session as a client sees it.
func TestSocket(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "cat")
	c := s.attach("alice", id, ticket, -1)
	w := c.welcome
	if w.Session != id || w.Role != RoleOwner || w.User != "alice" || w.Container != "box" || !slices.Equal(w.Cmd, []string{"cat"}) ||
		!w.TTY || w.Window != 256<<10 || w.AckEvery != 32<<10 || w.Offset != 0 || w.Epoch == 0 || w.Limits.Stdin != 64<<10 {
		t.Errorf("WELCOME %+v", w)
	}
	c.typeText("hello")
	c.untilText("hello")
}

// TestSocketExits holds how each end of a session is told.
func TestSocketExits(t *testing.T) {
	exitOf := func(code int) func(*testing.T, *testSite, string) {
		return func(*testing.T, *testSite, string) {}
	}
	del := func(user, query string, body any) func(*testing.T, *testSite, string) {
		return func(t *testing.T, s *testSite, id string) {
			if status, answer := s.call(user, "DELETE", "/api/terminal/sessions/"+id+query, body); status != http.StatusNoContent {
				t.Errorf("DELETE: %d %v", status, answer)
			}
		}
	}
	nothing := func(*testing.T, *testSite, string) {}
	tests := []struct {
		name   string
		tty    bool
		cmd    []string
		config Config
		end    func(*testing.T, *testSite, string)
		exit   map[string]any
		close  int
		words  string // in the close reason
	}{
		{name: "exit 0", tty: true, cmd: []string{"exit", "0"}, end: exitOf(0), exit: map[string]any{"code": 0.0, "reason": "exited"}, close: 1000, words: "exited with 0"},
		{name: "exit 42 without a TTY", cmd: []string{"exit", "42"}, end: exitOf(42), exit: map[string]any{"code": 42.0, "reason": "exited"}, close: 1000, words: "exited with 42"},
		{name: "killed by its user", tty: true, cmd: []string{"wait"}, end: del("alice", "?reason=lunch", nil),
			exit: map[string]any{"reason": "killed", "by": "alice", "message": "lunch"}, close: 1000, words: "ended by alice: lunch"},
		{name: "killed by an administrator", cmd: []string{"wait"}, end: del("root", "", map[string]string{"reason": "the box\x1b[2J reboots"}),
			exit: map[string]any{"reason": "admin", "by": "root", "message": "the box [2J reboots"}, close: 1000, words: "ended by root"},
		{name: "idle", tty: true, cmd: []string{"wait"}, config: Config{Idle: 1500 * time.Millisecond}, end: nothing,
			exit: map[string]any{"reason": "idle"}, close: 1000, words: "too long"},
		{name: "max", tty: true, cmd: []string{"wait"}, config: Config{Max: 1500 * time.Millisecond}, end: nothing,
			exit: map[string]any{"reason": "max"}, close: 1000, words: "longest time"},
		{name: "rights withdrawn", tty: true, cmd: []string{"wait"}, end: func(t *testing.T, s *testSite, id string) {
			s.allow("alice", actionOpen)
			s.server.Revoke(func(who *identity.Identity, action, _ string) bool { return s.may(who.User, action) })
		}, exit: map[string]any{"reason": "revoked"}, close: 1000, words: "withdrawn"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newTestSite(t, func(o *Options) { o.Config = test.config })
			id, ticket := s.exec("alice", test.tty, test.cmd...)
			c := s.attach("alice", id, ticket, -1)
			test.end(t, s, id)
			code, reason := c.closed()
			if code != test.close || !strings.Contains(reason, test.words) {
				t.Errorf("close %d %q, want %d %q", code, reason, test.close, test.words)
			}
			if c.exit == nil {
				t.Fatal("no EXIT came")
			}
			for key, want := range test.exit {
				if c.exit[key] != want {
					t.Errorf("EXIT %v, want %s %v", c.exit, key, want)
				}
			}
			for range 100 {
				if s.engine.running() == 0 {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("%d programs go on", s.engine.running())
		})
	}
}

// TestSocketHandshake: whatever is wrong with a websocket is told in an ERROR
// and by its close code, or where no websocket was meant, by HTTP.
func TestSocketHandshake(t *testing.T) {
	s := newTestSite(t)
	id, _ := s.exec("alice", true, "wait")
	other, _ := s.exec("alice", true, "wait")
	fresh := func() string { return s.ticket("alice", id, map[string]any{"role": "owner"}) }
	used := fresh()
	s.attach("alice", id, used, -1)
	path := "/api/terminal/socket?session=" + id
	tests := []struct {
		name      string
		user      string
		path      string
		protocols []string
		status    int // of HTTP
		close     int
	}{
		{name: "no caller", path: path, protocols: []string{Protocol, "ticket." + fresh()}, status: 401},
		{name: "no subprotocol", user: "alice", path: path, status: 400},
		{name: "another subprotocol", user: "alice", path: path, protocols: []string{"moorgate.terminal.v2", "ticket." + fresh()}, status: 400},
		{name: "a token in the query", user: "alice", path: path + "&token=alice", protocols: []string{Protocol, "ticket." + fresh()}, status: 400},
		{name: "the ticket in the query", user: "alice", path: path + "&ticket=" + fresh(), protocols: []string{Protocol}, status: 400},
		{name: "no ticket", user: "alice", path: path, protocols: []string{Protocol}, close: closeBadTicket},
		{name: "an empty ticket", user: "alice", path: path, protocols: []string{Protocol, "ticket."}, close: closeBadTicket},
		{name: "a used ticket", user: "alice", path: path, protocols: []string{Protocol, "ticket." + used}, close: closeBadTicket},
		{name: "a guessed ticket", user: "alice", path: path, protocols: []string{Protocol, "ticket." + strings.Repeat("A", ticketLength)}, close: closeBadTicket},
		{name: "two tickets", user: "alice", path: path, protocols: []string{Protocol, "ticket." + fresh(), "ticket." + fresh()}, close: closeBadTicket},
		{name: "another user's ticket", user: "bob", path: path, protocols: []string{Protocol, "ticket." + fresh()}, close: closeBadTicket},
		{name: "another session's ticket", user: "alice", path: "/api/terminal/socket?session=" + other, protocols: []string{Protocol, "ticket." + fresh()}, close: closeBadTicket},
		{name: "no session", user: "alice", path: "/api/terminal/socket", protocols: []string{Protocol, "ticket." + fresh()}, close: closeBadTicket},
		{name: "an administrator with another's ticket", user: "root", path: path, protocols: []string{Protocol, "ticket." + fresh()}, close: closeBadTicket},
	}
	for _, test := range tests {
		conn, err := s.dial(test.user, test.path, test.protocols...)
		var answer *errDial
		switch {
		case test.status != 0:
			if !errors.As(err, &answer) || answer.status != test.status || !strings.Contains(answer.body, `"message"`) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		c := &testClient{t: t, conn: conn}
		code, reason := c.closed()
		if code != test.close || reason == "" || len(c.faults) != 1 || !c.faults[0].Fatal || c.faults[0].Code != "bad_ticket" || c.faults[0].Hint == "" {
			t.Errorf("%s: close %d %q, ERROR %+v", test.name, code, reason, c.faults)
		}
	}
	c := s.attach("alice", id, base64.RawURLEncoding.EncodeToString([]byte(fresh())), -1)
	if c.welcome.Session != id {
		t.Error("a ticket that was encoded once more was refused")
	}

	resp, err := http.Get(s.url + path)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a plain GET of nobody: %v %v", resp, err)
	}
	if status, _ := s.call("alice", "GET", path, nil); status != http.StatusUpgradeRequired {
		t.Errorf("a plain GET: %d", status)
	}
}

// TestSocketTicketRace: of many websockets with one ticket one gets in.
func TestSocketTicketRace(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "wait")
	var mu sync.Mutex
	in := 0
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			conn, err := s.dial("alice", "/api/terminal/socket?session="+id, Protocol, "ticket."+ticket)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			c := &testClient{t: t, conn: conn}
			_ = c.trySend(frameHello, []byte("{}")) // who is refused may be cut by then
			for c.welcome.Session == "" {
				if err := c.step(); err != nil {
					if !ws.IsCloseError(err, closeBadTicket) {
						t.Error(err)
					}
					return
				}
			}
			mu.Lock()
			in++
			mu.Unlock()
		})
	}
	wait.Wait()
	if in != 1 {
		t.Errorf("%d got in", in)
	}
}

// TestSocketRights: they are asked for anew at every websocket.
func TestSocketRights(t *testing.T) {
	for _, missing := range []string{actionOpen, "exec.create"} {
		s := newTestSite(t)
		id, ticket := s.exec("alice", true, "wait")
		s.allow("alice", slices.DeleteFunc(slices.Clone(s.rights["alice"]), func(a string) bool { return a == missing })...)
		c := s.socket("alice", id, ticket)
		code, reason := c.closed()
		if code != closeForbidden || !strings.Contains(reason, "alice may not "+missing) {
			t.Errorf("without %s: close %d %q", missing, code, reason)
		}
	}
	s := newTestSite(t)
	id, _ := s.exec("alice", true, "wait")
	ticket := s.ticket("alice", id, map[string]any{"role": "viewer", "user": "bob"})
	s.allow("alice", actionOpen, "exec.create")
	if code, _ := s.socket("bob", id, ticket).closed(); code != closeForbidden {
		t.Errorf("a viewer of a session whose user may no longer share: close %d", code)
	}
}

// TestSocketHello: nothing works before HELLO, and it must come soon.
func TestSocketHello(t *testing.T) {
	s := newTestSite(t)
	id, _ := s.exec("alice", true, "wait")
	tests := map[string]func(*testClient){
		"silence":           func(*testClient) {},
		"pings only":        func(c *testClient) { go pingAway(c.conn) },
		"STDIN first":       func(c *testClient) { c.typeText("x") },
		"unknown first":     func(c *testClient) { c.send(0x7f, nil) },
		"empty":             func(c *testClient) { _ = c.conn.WriteMessage(ws.BinaryMessage, nil) },
		"text":              func(c *testClient) { _ = c.conn.WriteMessage(ws.TextMessage, []byte("\x11{}")) },
		"no JSON":           func(c *testClient) { c.send(frameHello, []byte("{")) },
		"a list":            func(c *testClient) { c.send(frameHello, []byte("[]")) },
		"no offset":         func(c *testClient) { c.send(frameHello, []byte(`{"resume_from":"x"}`)) },
		"two objects":       func(c *testClient) { c.send(frameHello, []byte(`{}{}`)) },
		"a huge one":        func(c *testClient) { c.send(frameHello, bytes.Repeat([]byte(" "), 100<<10)) },
		"a string of width": func(c *testClient) { c.send(frameHello, []byte(`{"cols":"80"}`)) },
	}
	for name, say := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.socket("alice", id, s.ticket("alice", id, map[string]any{"role": "owner"}))
			c.t = t
			began := time.Now()
			say(c)
			code, _ := c.closed()
			if code != ws.CloseProtocolError || len(c.faults) != 1 || c.faults[0].Code != "hello" {
				t.Errorf("close %d, %+v", code, c.faults)
			}
			if silent := name == "silence" || name == "pings only"; silent && time.Since(began) < helloTime-time.Second {
				t.Errorf("closed after %v", time.Since(began))
			}
		})
	}
	for _, body := range []string{`{}`, `{"resume_from":-1}`, `{"cols":-5,"rows":1e300}`, `{"resume_from":0,"cols":0,"rows":0,"later":1}`, `{"resume_from":9000000000000000000}`} {
		c := s.socket("alice", id, s.ticket("alice", id, map[string]any{"role": "owner"}))
		c.send(frameHello, []byte(body))
		c.until("WELCOME after "+body, func() bool { return c.welcome.Session != "" })
		c.conn.Close()
	}
}

func pingAway(conn *ws.Conn) {
	for conn.WriteControl(ws.PingMessage, nil, time.Now().Add(time.Second)) == nil {
		time.Sleep(100 * time.Millisecond)
	}
}

// TestSocketFrames: odd frames hurt nobody but who sends them.
func TestSocketFrames(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "cat")
	c := s.attach("alice", id, ticket, -1)
	for _, f := range [][]byte{
		{}, {0x7f}, {0x06, 1, 2, 3}, append([]byte{0x20}, make([]byte, 900<<10)...), {byte(frameWelcome), '{', '}'},
		{byte(frameStdout), 0, 0, 0, 0, 0, 0, 0, 0, 'x'}, {byte(frameStdin)},
		{byte(frameAck), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if err := c.conn.WriteMessage(ws.BinaryMessage, f); err != nil {
			t.Fatal(err)
		}
	}
	c.typeText("one")
	c.untilText("one")
	if len(c.faults) != 0 {
		t.Errorf("unknown frames are complained of: %+v", c.faults)
	}
	for i, f := range [][]byte{
		{byte(frameResize)}, {byte(frameResize), 0, 80, 0}, {byte(frameResize), 0, 80, 0, 24, 0}, {byte(frameAck), 1}, {byte(frameEOF), 0},
		{byte(frameSignal)}, append([]byte{byte(frameSignal)}, `{"signal":"TERM; reboot"}`...), append([]byte{byte(frameSignal)}, `{"signal":9}`...),
		append([]byte{byte(frameHello)}, "{}"...), append([]byte{byte(frameSignal)}, bytes.Repeat([]byte(" "), 10<<10)...),
	} {
		if err := c.conn.WriteMessage(ws.BinaryMessage, f); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			c.until("a complaint", func() bool { return len(c.faults) == 1 })
		}
	}
	c.typeText("two")
	c.untilText("two")
	if n := len(c.faults); n < 1 || n > 3 || c.faults[0].Code != "bad_frame" || c.faults[0].Fatal {
		t.Errorf("bad frames: %+v", c.faults)
	}
}

// TestSocketBigFrames: a MiB is read, whatever pieces it comes in; more ends
// the websocket, and never the session.
func TestSocketBigFrames(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "cat")
	c := s.attach("alice", id, ticket, -1)
	c.keep = false
	paste := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	c.send(frameStdin, paste)
	c.until("the paste", func() bool { return c.next == 1<<20 })

	head := append([]byte{byte(frameStdin)}, "in pieces"...)
	w, err := c.conn.NextWriter(ws.BinaryMessage)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range head {
		_, _ = w.Write([]byte{b})
		_, _ = w.Write(bytes.Repeat([]byte("y"), 5000)) // over the writer's buffer: a piece of its own
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c.until("the pieces", func() bool { return c.next == 1<<20+9+10*5000 })

	big := append([]byte{byte(frameStdin)}, make([]byte, 1<<20+1)...)
	c.noAcks = true                               // one goroutine may write
	go c.conn.WriteMessage(ws.BinaryMessage, big) //nolint:errcheck // it is cut
	if code, _ := c.closed(); code != ws.CloseMessageTooBig {
		t.Errorf("a frame of more than a MiB: close %d", code)
	}
	c = s.attach("alice", id, s.ticket("alice", id, map[string]any{"role": "owner"}), int64(c.next))
	c.typeText("still here")
	c.untilText("still here")
}

// TestSocketMistyped: what no client of the protocol sends ends its websocket.
func TestSocketMistyped(t *testing.T) {
	s := newTestSite(t)
	id, _ := s.exec("alice", true, "cat")
	tests := []struct {
		name  string
		bytes []byte
		close int
	}{
		{"unmasked", []byte{0x82, 0x02, 0x00, 'x'}, ws.CloseProtocolError},
		{"deflated", fragment(0xc2, "\x00x"), ws.CloseProtocolError},
		{"a reserved opcode", fragment(0x83, "\x00x"), ws.CloseProtocolError},
		{"a piece without a beginning", fragment(0x80, "\x00x"), ws.CloseProtocolError},
		{"a ping of 126 bytes", []byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}, ws.CloseProtocolError},
		{"a ping in pieces", fragment(0x09, ""), ws.CloseProtocolError},
		{"a giant", []byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, ws.CloseMessageTooBig},
		{"text", fragment(0x81, "ls\n"), ws.CloseUnsupportedData},
		{"a close code that nobody may send", fragment(0x88, "\x03\xed"), ws.CloseProtocolError},
	}
	for _, test := range tests {
		c := s.attach("alice", id, s.ticket("alice", id, map[string]any{"role": "owner"}), -1)
		if _, err := c.conn.NetConn().Write(test.bytes); err != nil {
			t.Fatal(err)
		}
		if code, _ := c.closed(); code != test.close {
			t.Errorf("%s: close %d, want %d", test.name, code, test.close)
		}
	}
	if status, answer := s.call("alice", "GET", "/api/terminal/sessions/"+id, nil); status != 200 || answer["state"] != StateRunning {
		t.Errorf("the session did not survive: %d %v", status, answer)
	}
}

// TestSocketFloods: floods change nothing for the session, and little is asked
// of the Engine.
func TestSocketFloods(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "cat")
	c := s.attach("alice", id, ticket, -1)
	var raw []byte
	for i := range 3000 {
		raw = append(raw, fragment(0x89, "ping")...)
		raw = append(raw, fragment(0x82, string([]byte{byte(frameResize), 0, 80 + byte(i%100), 0, 24}))...)
		raw = append(raw, fragment(0x82, string([]byte{byte(frameAck), 0, 0, 0, 0, 0, 0, 0, 0}))...)
	}
	for range 100 {
		raw = append(raw, fragment(0x82, string(frameSignal)+`{"signal":"WINCH"}`)...)
	}
	raw = append(raw, fragment(0x82, "\x00after the flood")...)
	go c.conn.NetConn().Write(raw) //nolint:errcheck // the output tells
	c.untilText("after the flood")
	s.engine.mu.Lock()
	execs := len(s.engine.execs)
	s.engine.mu.Unlock()
	if execs > 1+signalBurst+4 {
		t.Errorf("%d programs were started by 100 signals", execs-1)
	}
	time.Sleep(2 * resizeGap)
	c.typeText("!")
	c.untilText("!")
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	if size := s.engine.execs[fmt.Sprintf("%064x", 1)].size; size != "179x24" {
		t.Errorf("the last size is %s", size)
	}
}

// TestSocketStreams: without a TTY there are two streams and a half-close.
func TestSocketStreams(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", false, "both")
	c := s.attach("alice", id, ticket, -1)
	c.closed()
	if c.out.String() != "out" || c.errOut.String() != "err" {
		t.Errorf("stdout %q, stderr %q", c.out.String(), c.errOut.String())
	}
	id, ticket = s.exec("alice", false, "cat")
	c = s.attach("alice", id, ticket, -1)
	data := strings.Repeat("to the end\n", 20000)
	c.typeText(data)
	c.send(frameEOF, nil)
	code, _ := c.closed()
	if c.out.String() != data || c.exit["code"] != 0.0 || code != ws.CloseNormalClosure {
		t.Errorf("%d of %d bytes came back, EXIT %v, close %d", c.out.Len(), len(data), c.exit, code)
	}
}

// TestSocketReplaced: with when_full: replace the oldest terminal makes room.
func TestSocketReplaced(t *testing.T) {
	s := newTestSite(t, func(o *Options) { o.PerUser, o.WhenFull = 1, whenFullReplace })
	id, ticket := s.exec("alice", true, "wait")
	c := s.attach("alice", id, ticket, -1)
	s.exec("alice", true, "wait")
	if code, _ := c.closed(); code != closeReplaced {
		t.Errorf("close %d", code)
	}
}
