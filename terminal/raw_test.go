package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	ws "github.com/gorilla/websocket"
)

// plainClient is a client without a protocol.
type plainClient struct {
	t    testing.TB
	conn *ws.Conn
	kind int
	out  bytes.Buffer
}

func (s *testSite) plain(user, path string) *plainClient {
	s.t.Helper()
	conn, err := s.dial(user, path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return &plainClient{t: s.t, conn: conn, kind: ws.BinaryMessage}
}

func (c *plainClient) step() error {
	_ = c.conn.SetReadDeadline(time.Now().Add(clientTime))
	kind, p, err := c.conn.ReadMessage()
	if err == nil && kind != c.kind {
		err = fmt.Errorf("a message of kind %d came", kind)
	}
	if err == nil && kind == ws.TextMessage && !utf8.Valid(p) {
		err = fmt.Errorf("%q is no text", p)
	}
	c.out.Write(p)
	return err
}

func (c *plainClient) until(text string) {
	c.t.Helper()
	for !strings.Contains(c.out.String(), text) {
		if err := c.step(); err != nil {
			c.t.Fatalf("waiting for %q: %v, got %q", text, err, c.out.String())
		}
	}
}

func (c *plainClient) closed() (int, string) {
	c.t.Helper()
	for {
		err := c.step()
		var bye *ws.CloseError
		if errors.As(err, &bye) {
			return bye.Code, bye.Text
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// gone waits until a session and its programs have ended.
func (s *testSite) gone() {
	s.t.Helper()
	for range 250 {
		if s.engine.running() == 0 && s.server.manager.Terminals("alice") == 0 {
			return
		}
		pause()
	}
	s.t.Errorf("%d programs go on", s.engine.running())
}

func TestRaw(t *testing.T) {
	s := newTestSite(t)
	c := s.plain("alice", "/api/terminal/raw?container=box&cmd=cat&cols=100&rows=30")
	for i, kind := range []int{ws.TextMessage, ws.BinaryMessage} {
		if err := c.conn.WriteMessage(kind, fmt.Appendf(nil, "line %d\r", i)); err != nil {
			t.Fatal(err)
		}
		c.until(fmt.Sprintf("line %d", i))
	}
	if info := s.server.manager.List()[0].Info(); info.Cols != 100 || info.Rows != 30 || info.Mode != ModeExec || !info.TTY {
		t.Errorf("the session is %+v", info)
	}
	c.conn.Close()
	s.gone()

	c = s.plain("alice", "/api/terminal/raw?container=box&cmd=cat&tty=false")
	paste := bytes.Repeat([]byte("\x00\xff終"), 200<<10)
	go c.conn.WriteMessage(ws.BinaryMessage, paste) //nolint:errcheck // what comes back tells
	for c.out.Len() < len(paste) {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(c.out.Bytes(), paste) {
		t.Error("bytes were changed on the way")
	}
	if err := c.conn.WriteControl(ws.CloseMessage, ws.FormatCloseMessage(ws.CloseNormalClosure, ""), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if code, _ := c.closed(); code != ws.CloseNormalClosure {
		t.Errorf("a polite goodbye is answered with %d", code)
	}
	s.gone()
}

// TestRawLines: clients that send lines without their ends.
func TestRawLines(t *testing.T) {
	s := newTestSite(t)
	c := s.plain("alice", "/api/terminal/raw?container=box&cmd=cat&lines=true")
	_ = c.conn.WriteMessage(ws.TextMessage, []byte("ls"))
	_ = c.conn.WriteMessage(ws.BinaryMessage, []byte("as it is"))
	c.until("as it is")
	if c.out.String() != "ls\ras it is" {
		t.Errorf("got %q", c.out.String())
	}
}

func TestRawExit(t *testing.T) {
	s := newTestSite(t)
	for code := range 4 {
		c := s.plain("alice", fmt.Sprintf("/api/terminal/raw?container=box&cmd=exit&cmd=%d", code))
		if bye, reason := c.closed(); bye != ws.CloseNormalClosure || reason != fmt.Sprintf("exited with %d", code) || c.out.Len() != 0 {
			t.Errorf("exit %d: close %d %q, output %q", code, bye, reason, c.out.String())
		}
	}
	c := s.plain("alice", "/api/terminal/raw?container=box&cmd=cat")
	_ = c.conn.WriteMessage(ws.TextMessage, []byte("x"))
	c.until("x")
	s.server.manager.List()[len(s.server.manager.List())-1].End(ReasonAdmin, "root", "")
	if code, _ := c.closed(); code != closeKilled || !strings.Contains(c.out.String(), "moorgate: ended by root") {
		t.Errorf("ended by an administrator: close %d, output %q", code, c.out.String())
	}
}

// TestRawText: text messages never cut a character, and hold what it was.
func TestRawText(t *testing.T) {
	s := newTestSite(t)
	text := strings.Repeat("終わり😀 naïve\r\n", 20000)
	s.engine.program("chinese", func(p *process) int {
		for rest := []byte(text); len(rest) > 0; {
			n := min(len(rest), 1001)
			if _, err := p.out.Write(rest[:n]); err != nil {
				return 1
			}
			rest = rest[n:]
		}
		return 0
	})
	conn, err := s.dial("alice", "/api/terminal/raw?container=box&cmd=chinese&frames=text")
	if err != nil {
		t.Fatal(err)
	}
	c := &plainClient{t: t, conn: conn, kind: ws.TextMessage}
	c.closed()
	if c.out.String() != text {
		t.Errorf("%d of %d bytes came", c.out.Len(), len(text))
	}
	s.engine.program("cut", func(p *process) int {
		p.out.Write([]byte("終\xe7\xb5")) //nolint:errcheck // what comes tells
		return 0
	})
	for path, want := range map[string]string{
		"raw?container=box&cmd=cut&frames=text": "終\ufffd",
		"json?container=box&cmd=cut":            `{"type":"stdout","data":"終"}` + "\n" + "{\"type\":\"stdout\",\"data\":\"\ufffd\"}\n",
	} {
		c = s.plain("alice", "/api/terminal/"+path)
		c.kind = ws.TextMessage
		if strings.HasPrefix(path, "json") {
			_ = c.conn.WriteMessage(ws.TextMessage, []byte(`{"type":"run"}`))
		}
		c.closed()
		if c.out.String() != want {
			t.Errorf("%s, which ends amid a character: got %q", path, c.out.String())
		}
	}
}

// TestRawRefused: every refusal is told, in words and by the close code.
func TestRawRefused(t *testing.T) {
	s := newTestSite(t, func(o *Options) { o.PerUser = 1 })
	s.allow("guest")
	s.exec("bob", true, "wait")
	for _, test := range []struct {
		user, query string
		close       int
		words       string
	}{
		{"guest", "container=box", closeForbidden, "guest may not terminal.open"},
		{"alice", "container=nobox", closeGone, "No such container: nobox"},
		{"bob", "container=box", closeTooMany, "terminals open"},
	} {
		c := s.plain(test.user, "/api/terminal/raw?"+test.query)
		code, reason := c.closed()
		if code != test.close || !strings.Contains(c.out.String(), test.words) || !strings.Contains(reason, test.words) {
			t.Errorf("%s %s: close %d %q, output %q", test.user, test.query, code, reason, c.out.String())
		}
	}
	for query, status := range map[string]int{
		"":                                400,
		"container=box&token=alice":       400,
		"container=box&privileged=1":      400,
		"container=box&container=box":     400,
		"container=box&frames=hex":        400,
		"container=box&lines=some":        400,
		"container=box&cols=many":         400,
		"container=box&tty=perhaps":       400,
		"container=box&cmd=%22":           400,
		"container=box&user=%ff":          400,
		"container=box&env=NOVALUE":       400,
		"container=box;cmd=sh":            400,
		"container=box&image=busybox":     400,
		"mode=ssh&container=box":          400,
		"container=box&cmd=a%00b&cmd=cat": 400,
	} {
		_, err := s.dial("alice", "/api/terminal/raw?"+query)
		var answer *errDial
		if !errors.As(err, &answer) || answer.status != status {
			t.Errorf("%q: %v", query, err)
		}
	}
	if status, _ := s.call("alice", "GET", "/api/terminal/raw?container=box", nil); status != 426 {
		t.Errorf("no websocket: %d", status)
	}
	if n := s.server.Terminals("alice"); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// TestJSON speaks the newline-JSON protocol.
func TestJSON(t *testing.T) {
	s := newTestSite(t)
	c := s.plain("alice", "/api/terminal/json?container=box&cmd=cat")
	c.kind = ws.TextMessage
	write := func(pieces ...string) {
		t.Helper()
		for _, p := range pieces {
			if err := c.conn.WriteMessage(ws.TextMessage, []byte(p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("{\"type\":\"run\",\"width\":100,\"height\":30}\n")
	write(`{"type":"stdin","data":"one\u7d42\n"}`) // no newline behind it
	write(`{"type":"st`, "din\",\"data\":\"tw", "o\"}\n{\"type\":\"ping\"}\n\n{\"type\":\"resize\",\"width\":90,\"height\":20}\n")
	write(`{"type":"resize","width":-1,"height":0,"more":[1]}` + "\n")
	read := func() string {
		var all strings.Builder
		d := json.NewDecoder(bytes.NewReader(c.out.Bytes()))
		for {
			var l jsonLine
			if err := d.Decode(&l); err == io.EOF {
				return all.String()
			} else if err != nil {
				t.Fatal(err)
			}
			all.WriteString(l.Type + ":" + l.Data)
		}
	}
	for !strings.Contains(read(), "two") {
		if err := c.step(); err != nil {
			t.Fatalf("%v after %s", err, read())
		}
	}
	if got := strings.ReplaceAll(read(), "stdout:", ""); got != "one終\ntwo" || !strings.HasSuffix(c.out.String(), "}\n") {
		t.Errorf("got %q", c.out.String())
	}
	for i := 0; ; i++ {
		info := s.server.manager.List()[0].Info()
		if info.Cols == 90 && info.Rows == 20 {
			break
		}
		if i == 100 {
			t.Fatalf("the size is %dx%d", info.Cols, info.Rows)
		}
		pause()
	}
	c.conn.Close()
	s.gone()

	for query, want := range map[string][2]any{
		"container=nobox":              {closeGone, "No such container"},
		"container=box&cmd=exit&cmd=3": {ws.CloseNormalClosure, ""},
	} {
		c = s.plain("alice", "/api/terminal/json?"+query)
		c.kind = ws.TextMessage
		write(`{"type":"run"}`)
		if code, _ := c.closed(); code != want[0] || !strings.Contains(c.out.String(), want[1].(string)) {
			t.Errorf("%s: close %d, output %q", query, code, c.out.String())
		}
	}
	for name, test := range map[string]struct {
		say   string
		close int
	}{
		"stdin first":  {`{"type":"stdin","data":"x"}`, ws.CloseProtocolError},
		"no JSON":      {"{\"type\":\"run\"}\nls\n", ws.CloseInvalidFramePayloadData},
		"a wrong type": {"{\"type\":\"run\"}\n{\"type\":\"stdin\",\"data\":7}\n", ws.CloseInvalidFramePayloadData},
		"no end":       {"{\"type\":\"run\"}\n{\"data\":\"" + strings.Repeat("x", 900<<10), ws.CloseMessageTooBig},
	} {
		c = s.plain("alice", "/api/terminal/json?container=box&cmd=cat")
		c.kind = ws.TextMessage
		write(test.say)
		if name == "no end" {
			go func(conn *ws.Conn) {
				for conn.WriteMessage(ws.TextMessage, bytes.Repeat([]byte("x"), 900<<10)) == nil {
				}
			}(c.conn)
		}
		if code, _ := c.closed(); code != test.close {
			t.Errorf("%s: close %d, want %d", name, code, test.close)
		}
	}
	s.gone()
	if _, err := s.dial("alice", "/api/terminal/json?"+url.Values{"image": {"x"}, "container": {"y"}}.Encode()); err == nil {
		t.Error("an image and a container at once")
	}
}
