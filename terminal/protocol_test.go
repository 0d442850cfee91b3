package terminal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"moorgate/authz/identity"
)

// testBox is a container to open sessions in.
type testBox struct {
	*testSite
	name string
	real bool
}

// eachEngine runs a test with the stand-in and, where there is one, with a real
// Engine.
func eachEngine(t *testing.T, test func(t *testing.T, b testBox)) {
	t.Run("stand-in", func(t *testing.T) { test(t, testBox{newTestSite(t), "box", false}) })
	t.Run("real", func(t *testing.T) { test(t, realBox(t)) })
}

func realBox(t testing.TB, change ...func(*Options)) testBox {
	t.Helper()
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	dial := func(o *Options) {
		o.Dial = func(ctx context.Context, _ *identity.Identity) (net.Conn, error) { return dialTo(socket)(ctx, nil) }
	}
	return testBox{newTestSite(t, append(change, dial)...), id, true}
}

// run opens a session in the box: with a real Engine it runs the script, else
// the program of that name.
func (b testBox) run(tty bool, program, script string) (id, ticket string) {
	b.t.Helper()
	cmd := []string{program}
	if b.real {
		cmd = []string{"sh", "-c", script}
	}
	return b.open("alice", map[string]any{"mode": "exec", "container": b.name, "cmd": cmd, "tty": tty, "cols": 80, "rows": 24})
}

// seqReader gives the lines of seq 1 N.
type seqReader struct {
	next, last int
	end        string
	rest       []byte
}

func (n *seqReader) Read(p []byte) (int, error) {
	if len(n.rest) == 0 {
		if n.next > n.last {
			return 0, io.EOF
		}
		n.rest = n.rest[:0]
		for len(n.rest) < 4096 && n.next <= n.last {
			n.rest = append(strconv.AppendInt(n.rest, int64(n.next), 10), n.end...)
			n.next++
		}
	}
	k := copy(p, n.rest)
	n.rest = n.rest[k:]
	return k, nil
}

// resumeLines is how many lines flow in TestProtocolResume: 50 MB.
const resumeLines = 6_600_000

// TestProtocolResume cuts the websocket 200 times while 50 MB flow: no byte is lost,
// and none comes twice.
func TestProtocolResume(t *testing.T) {
	eachEngine(t, func(t *testing.T, b testBox) {
		end := "\n"
		b.engine.program("seq", func(p *process) int {
			_, err := io.Copy(p.out, &seqReader{next: 1, last: resumeLines, end: end})
			if err != nil {
				return 1
			}
			return 5
		})
		id, ticket := b.run(false, "seq", fmt.Sprintf("seq 1 %d; exit 5", resumeLines))
		want := bufio.NewReaderSize(&seqReader{next: 1, last: resumeLines, end: end}, 1<<20)
		random := rand.New(rand.NewPCG(1, 2))
		var at int64
		cuts, replays, total := 0, 0, countLines(end)
		piece := make([]byte, 128<<10)
		for at < total {
			c := b.attach("alice", id, ticket, at)
			if c.welcome.Offset != uint64(at) || c.welcome.Start > uint64(at) {
				t.Fatalf("asked for %d, got %+v", at, c.welcome)
			}
			last := cuts >= 200
			enough := at + random.Int64N(2*total/400)
			for at < total && (last || at < enough) {
				if err := c.step(); err != nil {
					t.Fatalf("at %d of %d: %v", at, total, err)
				}
				got := c.out.Bytes()
				part := piece[:len(got)]
				if _, err := io.ReadFull(want, part); err != nil || !bytes.Equal(got, part) {
					t.Fatalf("after %d cuts the output differs at %d (%v): %.60q, want %.60q", cuts, at, err, got, part)
				}
				at += int64(len(got))
				c.out.Reset()
			}
			for _, r := range c.replays {
				if r.Truncated {
					t.Fatalf("after %d cuts: %+v", cuts, r)
				}
			}
			replays += len(c.replays)
			if at >= total {
				if _, reason := c.closed(); c.exit["code"] != 5.0 {
					t.Errorf("EXIT %v, %q", c.exit, reason)
				}
				break
			}
			if cuts%2 == 0 {
				c.conn.Close() // without a word
			} else {
				c.conn.NetConn().(*net.TCPConn).SetLinger(0) //nolint:errcheck // a reset
				c.conn.Close()
			}
			cuts++
			ticket = b.ticket("alice", id, map[string]any{"role": "owner"})
		}
		t.Logf("%d bytes, %d cuts, %d REPLAY frames", at, cuts, replays)
		if cuts != 200 || replays == 0 {
			t.Errorf("only %d cuts and %d REPLAY frames", cuts, replays)
		}
	})
}

func countLines(end string) (total int64) {
	for digits, from := 1, 1; from <= resumeLines; digits, from = digits+1, from*10 {
		total += int64(min(from*10, resumeLines+1)-from) * int64(digits+len(end))
	}
	return total
}

// chinese is 1.8 MB of text in which every line differs.
func chinese() string {
	var b strings.Builder
	for i := 0; b.Len() < 1_800_000; i++ {
		fmt.Fprintf(&b, "%d 天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。😀\n", i)
	}
	return b.String()
}

// TestProtocolChinese: 1.8 MB of it go in and out without a lost or changed byte.
func TestProtocolChinese(t *testing.T) {
	eachEngine(t, func(t *testing.T, b testBox) {
		text := chinese()
		var file []byte
		b.engine.program("put", func(p *process) int { file, _ = io.ReadAll(p.in); return 0 })
		b.engine.program("get", func(p *process) int {
			_, _ = p.out.Write(bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")))
			return 0
		})
		id, ticket := b.run(false, "put", "cat >/tmp/zh")
		c := b.attach("alice", id, ticket, -1)
		for rest := []byte(text); len(rest) > 0; { // cut amid characters
			n := min(len(rest), 65521)
			c.send(frameStdin, rest[:n])
			rest = rest[n:]
		}
		c.send(frameEOF, nil)
		if c.closed(); c.exit["code"] != 0.0 {
			t.Fatalf("EXIT %v", c.exit)
		}
		id, ticket = b.run(true, "get", "cat /tmp/zh")
		c = b.attach("alice", id, ticket, -1)
		c.closed()
		if got := strings.ReplaceAll(c.out.String(), "\r\n", "\n"); got != text || !utf8.ValidString(got) {
			t.Errorf("%d of %d bytes came, and not the same", len(got), len(text))
		}
	})
}

// TestProtocolPaste: a MiB at once reaches a program that reads slowly, whose echo must
// be taken meanwhile.
func TestProtocolPaste(t *testing.T) {
	eachEngine(t, func(t *testing.T, b testBox) {
		paste := []byte(strings.Repeat("a line that is pasted, and another thing\n", 1<<20/41))
		b.engine.program("sum", func(p *process) int {
			fmt.Fprint(p.out, "ready")
			sum := sha256.New()
			buf := make([]byte, 1000)
			for n := 0; n < len(paste); {
				k, err := p.in.Read(buf[:min(len(buf), len(paste)-n)])
				if err != nil {
					return 1
				}
				sum.Write(buf[:k])
				if _, err := p.out.Write(buf[:k]); err != nil {
					return 1
				}
				n += k
			}
			fmt.Fprintf(p.out, "\r\n%x  /tmp/paste", sum.Sum(nil))
			return 3
		})
		for name, script := range map[string]string{
			"echoed": "echo ready; cat >/tmp/paste; sha256sum /tmp/paste; exit 3",
			"raw":    fmt.Sprintf("stty raw -echo; echo ready; head -c %d >/tmp/paste; stty sane; sha256sum /tmp/paste; exit 3", len(paste)),
		} {
			id, ticket := b.run(true, "sum", script)
			c := b.attach("alice", id, ticket, -1)
			c.untilText("ready")
			if name == "raw" {
				c.send(frameStdin, paste)
			} else {
				for rest := paste; len(rest) > 0; {
					n := min(len(rest), 1000)
					c.send(frameStdin, rest[:n])
					rest = rest[n:]
				}
				if b.real {
					c.send(frameEOF, nil)
				}
			}
			c.closed()
			if want := fmt.Sprintf("%x  /tmp/paste", sha256.Sum256(paste)); !bytes.Contains(c.out.Bytes(), []byte(want)) || c.exit["code"] != 3.0 {
				t.Errorf("%s: EXIT %v, the output ends in %q", name, c.exit, c.out.Bytes()[max(0, c.out.Len()-300):])
			}
		}
	})
}

// TestProtocolInterrupt: Ctrl-C on a flood acts soon, since little is under way.
func TestProtocolInterrupt(t *testing.T) {
	b := realBox(t)
	id, ticket := b.run(true, "", "trap 'echo; echo stopped; exit 130' INT; while :; do cat /proc/cpuinfo; done")
	c := b.attach("alice", id, ticket, -1)
	c.keep = false
	c.until("a MB", func() bool { return c.next > 1<<20 })
	c.typeText("\x03")
	began, at := time.Now(), c.next
	c.keep = true
	c.untilText("stopped")
	t.Logf("Ctrl-C on a flood acted after %v and %d bytes", time.Since(began), c.next-at)
	if c.next-at > 2*windowBytes(c) {
		t.Errorf("%d bytes came after Ctrl-C", c.next-at)
	}
	if c.closed(); c.exit["code"] != 130.0 {
		t.Errorf("EXIT %v", c.exit)
	}
}

func windowBytes(c *testClient) int64 { return int64(c.welcome.Window) }

// TestProtocolWindow: a client that acknowledges nothing gets a window of output and no
// more, until it does.
func TestProtocolWindow(t *testing.T) {
	s := newTestSite(t)
	s.engine.program("flood", func(p *process) int {
		_, _ = io.Copy(p.out, &seqReader{next: 1, last: 1_000_000, end: "\n"})
		return 0
	})
	id, ticket := s.exec("alice", true, "flood")
	c := s.attach("alice", id, ticket, -1)
	c.noAcks, c.keep = true, false
	c.until("a window", func() bool { return c.next == windowBytes(c) })
	_ = c.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	for {
		kind, p, err := c.conn.ReadMessage()
		if err != nil {
			break
		}
		if frameType(p[0]) != frameReplay { // whose end may come behind the output
			t.Errorf("beyond the window came %d %.60q", kind, p)
		}
	}
	info := s.server.manager.List()[0].Info()
	if info.Bytes > uint64(4*windowBytes(c)) {
		t.Errorf("%d bytes were taken from the process", info.Bytes)
	}
	c = s.attach("alice", id, s.ticket("alice", id, map[string]any{"role": "owner"}), c.next)
	c.noAcks = true
	for _, bogus := range []uint64{1 << 62, 1<<64 - 1, 0} {
		c.send(frameAck, binary.BigEndian.AppendUint64(nil, bogus))
	}
	c.until("another window", func() bool { return c.next >= 2*windowBytes(c) })
	if err := c.ack(); err != nil {
		t.Fatal(err)
	}
	c.noAcks = false
	c.closed()
	if c.exit["code"] != 0.0 {
		t.Errorf("EXIT %v", c.exit)
	}
}

// TestServerBodies: JSON bodies have the documented keys.
func TestServerBodies(t *testing.T) {
	code := 3
	tests := []struct {
		frame []byte
		keys  []string
	}{
		{jsonFrame(frameWelcome, &Welcome{Cmd: []string{}}), []string{"session", "attachment", "role", "user", "container", "cmd", "tty", "window", "ack_every", "start", "offset", "epoch", "recording", "limits"}},
		{jsonFrame(frameReplay, &Replay{State: "begin"}), []string{"state", "from", "truncated"}},
		{jsonFrame(frameExit, &Exit{Code: &code, Signal: "KILL", Reason: "killed", By: "x", Survived: []string{"y"}}), []string{"code", "signal", "reason", "by", "survived"}},
		{jsonFrame(frameError, &Fault{Hint: "h"}), []string{"code", "message", "hint", "fatal"}},
		{jsonFrame(frameNotice, &Notice{Kind: NoticePull}), []string{"kind"}},
	}
	for _, test := range tests {
		var body map[string]any
		if err := json.Unmarshal(test.frame[1:], &body); err != nil {
			t.Fatal(err)
		}
		for _, key := range test.keys {
			if _, ok := body[key]; !ok {
				t.Errorf("frame %#x has no %s: %s", test.frame[0], key, test.frame[1:])
			}
		}
	}
	if got := string(jsonFrame(frameError, &Fault{Message: "<b>&"})); !strings.Contains(got, "<b>&") {
		t.Errorf("HTML is escaped: %s", got)
	}
}

func TestParseFrame(t *testing.T) {
	tests := []struct {
		t    frameType
		body string
		want clientFrame
		ok   bool
	}{
		{frameResize, "\x00\x50\x00\x18", clientFrame{Cols: 80, Rows: 24}, true},
		{frameResize, "\x00\x00\xff\xff", clientFrame{Cols: 1, Rows: 1000}, true},
		{frameResize, "\x00\x50\x00", clientFrame{}, false},
		{frameAck, "\x00\x00\x00\x01\x00\x00\x00\x02", clientFrame{Offset: 1<<32 + 2}, true},
		{frameAck, "", clientFrame{}, false},
		{frameEOF, "", clientFrame{}, true},
		{frameEOF, "x", clientFrame{}, false},
		{frameSignal, `{"signal":"SIGTERM"}`, clientFrame{Signal: "TERM"}, true},
		{frameSignal, `{"signal":"int","more":true}`, clientFrame{Signal: "INT"}, true},
		{frameSignal, `{"signal":"RTMIN+3"}`, clientFrame{Signal: "RTMIN+3"}, true},
		{frameSignal, `{"signal":""}`, clientFrame{}, false},
		{frameSignal, `{"signal":"$(reboot)"}`, clientFrame{}, false},
		{frameSignal, `null`, clientFrame{}, false},
		{frameHello, `{"resume_from":7,"cols":2000,"rows":-1}`, clientFrame{Hello: helloBody{7, 1000, 1}, Cols: 1000, Rows: 1}, true},
		{frameHello, `{}`, clientFrame{Hello: helloBody{ResumeFrom: -1}}, true},
		{frameHello, ``, clientFrame{}, false},
		{0x42, "anything", clientFrame{}, true},
	}
	for _, test := range tests {
		got, err := parseFrame(test.t, []byte(test.body))
		test.want.Type = test.t
		if (err == nil) != test.ok || err == nil && got != test.want {
			t.Errorf("%#x %q: %+v, %v, want %+v", byte(test.t), test.body, got, err, test.want)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte("\x11{\"resume_from\":-1,\"cols\":80,\"rows\":24}"))
	f.Add([]byte("\x03\x00\x50\x00\x18"))
	f.Add([]byte("\x05{\"signal\":\"SIGINT\"}"))
	f.Add([]byte("\x10\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) == 0 {
			return
		}
		got, err := parseFrame(frameType(p[0]), p[1:])
		if err != nil {
			if len(err.Error()) == 0 || !utf8.ValidString(err.Error()) {
				t.Fatalf("the error is %q", err)
			}
			return
		}
		for _, n := range []uint16{got.Cols, got.Rows} {
			if n > maxCells || n == 0 && got.Type == frameResize {
				t.Fatalf("%q: %+v", p, got)
			}
		}
		if strings.ContainsAny(got.Signal, " ;$`'\"\n") {
			t.Fatalf("the signal is %q", got.Signal)
		}
	})
}

func FuzzDecodeObject(f *testing.F) {
	f.Add([]byte(`{"mode":"exec","cmd":["a"],"env":{"A":"b"},"cols":80}`))
	f.Add([]byte(`{"cmd":"sh -c 'x'","cols":1e99,"tty":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var mode string
		var cmd wordList
		var env envList
		var cols cellCount
		var tty *bool
		if decodeObject(text, map[string]any{"mode": &mode, "cmd": &cmd, "env": &env, "cols": &cols, "tty": &tty}) != nil {
			return
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatalf("%q was taken, and is no JSON: %v", text, err)
		}
		for key := range keys {
			if !strings.Contains(" mode cmd env cols tty ", " "+key+" ") {
				t.Fatalf("%q was taken with key %q", text, key)
			}
		}
		if cols > maxCells {
			t.Fatalf("%d columns", cols)
		}
	})
}
