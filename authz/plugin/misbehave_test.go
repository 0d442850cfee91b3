package plugin

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moorgate/authz/audit"
)

// rogue is a plugin that answers one of the protocol's methods in its own way.
type rogue struct {
	method  string
	answer  func(net.Conn) // has read the question; the connection is closed behind it
	written atomic.Int64
	asked   atomic.Int64
}

func (r *rogue) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go r.talk(&counted{c, &r.written})
	}
}

// counted counts what a rogue gets rid of.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.Add(int64(n))
	return n, err
}

func (r *rogue) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		q, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, q.Body); err != nil {
			return
		}
		switch method := q.URL.Path[1:]; {
		case method == r.method:
			r.asked.Add(1)
			r.answer(c)
			return
		case method == activate:
			ok(`{"Implements":["authz"]}`)(c)
		default:
			ok(`{"Allow":true}`)(c)
		}
	}
}

// raw writes text.
func raw(text string) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, text) }
}

func ok(body string) func(net.Conn) { return status("200 OK", body) }

func status(line, body string) func(net.Conn) {
	return raw(fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body))
}

// hang keeps the connection until the other side has gone.
func hang(c net.Conn) { io.Copy(io.Discard, c) }

// slow writes a byte at a time.
func slow(text string) func(net.Conn) {
	return func(c net.Conn) {
		for i := range len(text) {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// endless writes text and then more for ever.
func endless(text, more string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, text)
		for {
			if _, err := io.WriteString(c, more); err != nil {
				return
			}
		}
	}
}

func then(do ...func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		for _, f := range do {
			f(c)
		}
	}
}

const (
	allowing = `{"Allow":true,"Implements":["authz"]}` // whatever is asked
	head     = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	inChunks = head + "Transfer-Encoding: chunked\r\n\r\n"
)

// modes are the ways to misbehave beside those of badAnswers.
func modes() map[string]func(net.Conn) {
	filler := strings.Repeat("x", 64<<10)
	return map[string]func(net.Conn){
		"hangs":                       hang,
		"closes":                      func(net.Conn) {},
		"half a status line":          raw("HTTP/1.1 20"),
		"half a status line, hangs":   then(raw("HTTP/1.1 20"), hang),
		"half a head":                 raw(head),
		"half a body":                 raw(head + "Content-Length: 99\r\n\r\n" + allowing),
		"half a body, hangs":          then(raw(head+"Content-Length: 99\r\n\r\n"+allowing), hang),
		"half the chunks":             raw(inChunks + "25\r\n" + allowing + "\r\n"),
		"half the chunks, hangs":      then(raw(inChunks+"25\r\n"+allowing+"\r\n"), hang),
		"slow head":                   slow(head + strings.Repeat("X: y\r\n", 99)),
		"slow body":                   then(raw(head+"Content-Length: 999\r\n\r\n"), slow(allowing+strings.Repeat(" ", 999))),
		"garbage":                     raw("\x00\x01\x02\x03\r\n\r\n"),
		"a body and no head":          raw(allowing),
		"HTTP/2":                      raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		"TLS":                         raw("\x15\x03\x01\x00\x02\x02\x46"),
		"201":                         status("201 Created", allowing),
		"204":                         raw("HTTP/1.1 204 No Content\r\n\r\n"),
		"206":                         status("206 Partial Content", allowing),
		"301 to one that allows":      raw("HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
		"307 to one that allows":      raw("HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 37\r\n\r\n" + allowing),
		"401":                         raw("HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic realm=x\r\nContent-Length: 37\r\n\r\n" + allowing),
		"403 with Allow":              status("403 Forbidden", allowing),
		"500 with Allow":              status("500 Internal Server Error", allowing),
		"500 with Err":                status("500 Internal Server Error", `{"Allow":true,"Err":"boom"}`),
		"503 without end":             endless("HTTP/1.1 503 Away\r\nTransfer-Encoding: chunked\r\n\r\n", "10000\r\n"+filler+"\r\n"),
		"101":                         then(raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"+allowing), hang),
		"100 for ever":                endless("", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 999)),
		"103 for ever":                endless("", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 999)),
		"a head without end":          endless(head, "X: "+filler+"\r\n"),
		"a header line without end":   endless(head+"X: ", filler),
		"a status line without end":   endless("HTTP/1.1 200 ", filler),
		"chunks without end":          endless(inChunks, "10000\r\n"+filler+"\r\n"),
		"tiny chunks without end":     endless(inChunks, strings.Repeat("1\r\n \r\n", 9999)),
		"a chunk line without end":    endless(inChunks+"1;x=", filler),
		"trailers without end":        endless(inChunks+"25\r\n"+allowing+"\r\n0\r\n", strings.Repeat("X: y\r\n", 9999)),
		"gigabytes announced":         endless(head+"Content-Length: 9999999999\r\n\r\n"+allowing, filler),
		"gigabytes announced, hangs":  then(raw(head+"Content-Length: 9999999999\r\n\r\n"+allowing), hang),
		"gigabytes until it closes":   endless(head+"\r\n"+allowing, filler),
		"one byte too many":           ok(allowing + strings.Repeat(" ", maxAnswer+1-len(allowing))),
		"a negative length":           raw(head + "Content-Length: -1\r\n\r\n" + allowing),
		"two lengths":                 raw(head + "Content-Length: 37\r\nContent-Length: 5\r\n\r\n" + allowing),
		"a compressed answer":         raw(head + "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"),
		"the longest list":            ok(`{"Allow":true,"Allow":1,"x":[` + strings.Repeat("0,", maxAnswer/2-32) + "0]}"),
		"the longest list, then junk": ok(`{"Allow":true,"x":[` + strings.Repeat("0,", maxAnswer/2-32) + "0]}x"),
	}
}

// Bounds for one question to a rogue: what it gets rid of includes what waits in
// the socket, and what is allocated includes reading a longest answer as JSON.
const (
	roguePatience = 250 * time.Millisecond
	rogueSlack    = time.Second
	rogueWritten  = 8 << 20 // a chunk of one byte takes six
	rogueAlloc    = 64 << 20
)

// TestMisbehaviour holds that whatever a plugin does at any point of the
// protocol, the call is denied in time and in little memory.
func TestMisbehaviour(t *testing.T) {
	all := modes()
	for name, body := range badAnswers {
		all["answers "+name] = ok(body)
	}
	var worst uint64
	for _, method := range []string{activate, askRequest, askResponse} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if method == activate && strings.Contains(name, "Allow") || method == activate && strings.HasPrefix(name, "answers ") {
				continue // what a manifest may be is TestParseManifest's
			}
			t.Run(method+"/"+name, func(t *testing.T) {
				dir := sockets(t)
				r := &rogue{method: method, answer: all[name]}
				go r.serve(listen(t, dir, "rogue"))
				f := newFront(open(t, Config{Plugin: "rogue", Timeout: roguePatience}, Options{Sockets: dir}))

				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				begun := time.Now()
				w := f.ask(request("GET", "/v1.41/info", ""))
				took := time.Since(begun)
				runtime.ReadMemStats(&after)

				if w.Code != 503 || message(w) != "moorgate: alice may not system.info (plugin rogue): plugin rogue could not decide" {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				if f.record.Decision != audit.Failed || !printable(f.record.Error) || len(f.record.Error) > 2*maxWords || f.record.Error == "" {
					t.Errorf("the record has %s, %q", f.record.Decision, f.record.Error)
				}
				if wasCalled := f.engine.called > 0; wasCalled != (method == askResponse) {
					t.Errorf("the Engine was called %d times", f.engine.called)
				}
				if took > roguePatience+rogueSlack {
					t.Errorf("it took %s", took)
				}
				if n := r.written.Load(); n > rogueWritten {
					t.Errorf("%d bytes were taken from it", n)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > rogueAlloc {
					t.Errorf("%d bytes were allocated", n)
				} else {
					worst = max(worst, n)
				}
				if name != "closes" && r.asked.Load() > 1 {
					t.Errorf("asked %d times after it had begun to answer", r.asked.Load())
				}
				if testing.Verbose() {
					t.Logf("%s, %s", took.Round(time.Millisecond), f.record.Error)
				}
			})
		}
	}
	t.Logf("at most %d KiB were allocated for one question, the rogue's own share included", worst>>10)
}
