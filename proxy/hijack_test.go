package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
	"moorgate/router"
)

const upgrade = "Connection: Upgrade"

// attach asks for a stream of a container whose name is the fake's mode.
func (d *door) attach(t testing.TB, version, mode string, fields ...string) *caller {
	t.Helper()
	return d.dial(t).send("POST /v"+version+"/containers/"+mode+"/attach?stream=1&stdin=1&stdout=1", fields...)
}

// TestHijackedHeads are the Engine's own words, whatever way they were asked
// for.
func TestHijackedHeads(t *testing.T) {
	const raw, framed = "Content-Type: application/vnd.docker.raw-stream\r\n", "Content-Type: application/vnd.docker.multiplexed-stream\r\n"
	for _, test := range []struct {
		name string
		send []string
		want string
	}{
		{"attach", []string{"POST /v1.41/containers/x/attach?stream=1", upgrade, "Upgrade: tcp"}, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n" + raw + "Upgrade: tcp\r\n"},
		{"multiplexed", []string{"POST /v1.44/containers/x/attach?stream=1", upgrade, "Upgrade: tcp"}, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n" + framed + "Upgrade: tcp\r\n"},
		{"upgrade to something else", []string{"POST /v1.41/containers/x/attach?stream=1", upgrade, "Upgrade: websocket"}, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n" + raw + "Upgrade: tcp\r\n"},
		{"old-style", []string{"POST /v1.41/containers/x/attach?stream=1"}, "HTTP/1.1 200 OK\r\n" + raw},
		{"exec", []string{"POST /v1.41/exec/x/start", upgrade, "Upgrade: tcp", "Content-Type: application/json", "Content-Length: 28", `{"Detach":false,"Tty":false}`}, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n" + raw + "Upgrade: tcp\r\n"},
		{"old-style exec", []string{"POST /v1.41/exec/x/start", "Content-Type: application/json", "Content-Length: 28", `{"Detach":false,"Tty":false}`}, "HTTP/1.1 200 OK\r\n" + raw},
		{"session", []string{"POST /session", upgrade, "Upgrade: h2c", "X-Docker-Expose-Session-Uuid: x"}, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"},
		{"grpc", []string{"POST /grpc", upgrade, "Upgrade: h2c"}, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"},
		{"websocket", []string{"GET /v1.41/containers/x/attach/ws?stream=1", upgrade, "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := open(t, "unix")
			c := d.dial(t).send(test.send[0], test.send[1:]...)
			if got := c.rawHead(); got != test.want {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
			c.write("ping")
			c.expect("ping")
			c.Close()
			d.fake.WaitLive(t, 0)
		})
	}
}

func TestHijackByHTTP10(t *testing.T) {
	c := open(t, "unix").dial(t)
	c.write("POST /v1.41/containers/x/attach?stream=1 HTTP/1.0\r\n\r\n")
	if line, _, _ := strings.Cut(c.rawHead(), "\r\n"); line != "HTTP/1.1 200 OK" {
		t.Errorf("got %q", line)
	}
	c.write("ping")
	c.expect("ping")
}

// TestBytesBesideTheHeads: what is sent behind the request, before the Engine
// has taken the connection over, waits for it; what comes with its head is
// passed on.
func TestBytesBesideTheHeads(t *testing.T) {
	for _, fields := range [][]string{{upgrade, "Upgrade: tcp", "\ndirectly behind"}, {"\ndirectly behind"}} {
		d := open(t, "unix")
		c := d.attach(t, "1.41", "echo", fields...)
		c.rawHead()
		c.expect("\ndirectly behind")
		if lost := d.one(t).Lost; lost != 0 {
			t.Errorf("%d bytes lost", lost)
		}
	}
	d := open(t, "unix")
	body := `{"Detach":false,"Tty":true}`
	c := d.dial(t)
	c.write(fmt.Sprintf("POST /v1.41/exec/greet/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%sstdin", len(body), body))
	c.rawHead()
	c.expect("hello\nstdin")
	if r := d.one(t); r.Lost != 0 || !strings.HasPrefix(string(r.Body), body) {
		t.Errorf("lost %d, body %q", r.Lost, r.Body)
	}
}

// TestHalfClose goes both ways, alone, through each sort of connection.
func TestHalfClose(t *testing.T) {
	for name, d := range everySort(t) {
		t.Run(name, func(t *testing.T) {
			// stdin ends, output goes on: `echo x | docker run -i`.
			c := d.open(t).attach(t, "1.41", "sink", upgrade, "Upgrade: tcp")
			c.rawHead()
			io.Copy(c, enginetest.Content(4<<20))
			c.halfClose()
			c.expect("4194304\n")
			c.expectEnd()
			c.Close()

			// Output ends, stdin goes on.
			d := d.open(t)
			c = d.attach(t, "1.41", "source-4m", upgrade, "Upgrade: tcp")
			c.rawHead()
			got, want := sha256.New(), sha256.New()
			n, err := io.Copy(got, c.r)
			io.Copy(want, enginetest.Content(4<<20))
			if err != nil || n != 4<<20 || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Errorf("%d bytes came, %v", n, err)
			}
			c.write("still here")
			eventually(t, "stdin arrives", func() bool { return string(d.one(t).Body) == "still here" })
			if d.one(t).BodyDone {
				t.Error("an end of stdin that the caller did not send")
			}
			c.halfClose()
			d.fake.WaitLive(t, 0)
		})
	}
}

// TestHalfCloseIsNotInvented: a TTY's session ends with its stdin, so that
// must not end while the caller is only quiet.
func TestHalfCloseIsNotInvented(t *testing.T) {
	d := open(t, "unix")
	c := d.attach(t, "1.41", "tty", upgrade, "Upgrade: tcp")
	c.rawHead()
	time.Sleep(50 * time.Millisecond)
	if d.one(t).BodyDone {
		t.Fatal("the Engine sees the end of stdin")
	}
	c.write("exit\n")
	c.expect("exit\n")
	c.halfClose() // the caller's own is passed on, and ends the session
	c.expectEnd()
	d.fake.WaitLive(t, 0)
	if !d.one(t).BodyDone {
		t.Error("the caller's half-close did not arrive")
	}
}

// TestRefusedHijack: the Engine goes on with HTTP, so what the caller sends
// behind its request must not reach it as one; nor is it one for moorgate.
func TestRefusedHijack(t *testing.T) {
	d := open(t, "unix")
	evil := "POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	c := d.dial(t)
	c.write("POST /v1.41/containers/refuse/attach?stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + evil)
	resp, body := c.answer("POST")
	if resp.StatusCode != 409 || !strings.Contains(body, "container is paused") || !resp.Close {
		t.Errorf("got %s %q, close %v", resp.Status, body, resp.Close)
	}
	c.expectEnd()
	if r := d.one(t); r.Path != "/containers/refuse/attach" {
		t.Errorf("the Engine got %s", r.Path)
	}
	if resp, _ := d.dial(t).send("GET /_ping").answer(); resp.StatusCode != 200 {
		t.Errorf("afterwards %s", resp.Status)
	}
}

// TestHijackThatFails: how attach really fails, and how an Engine does.
func TestHijackThatFails(t *testing.T) {
	d := open(t, "unix")
	if resp, body := d.attach(t, "1.41", "error", upgrade, "Upgrade: tcp").answer("POST"); resp.StatusCode != 404 || body != "No such container: error\r\n" {
		t.Errorf("got %s %q", resp.Status, body)
	}
	d.fake.WaitLive(t, 0)
	if resp, body := d.attach(t, "1.41", "hangup", upgrade, "Upgrade: tcp").answer("POST"); resp.StatusCode != 502 || !strings.Contains(body, "broke off without an answer") {
		t.Errorf("got %s %q", resp.Status, body)
	}
	detach := `{"Detach":true}`
	if resp, _ := d.dial(t).send("POST /v1.41/exec/x/start", "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(detach)), detach).answer("POST"); resp.StatusCode != 200 {
		t.Errorf("detached: %s", resp.Status)
	}
}

// TestNoHijackElsewhere: where no stream was asked for, an Engine that claims
// one is not believed.
func TestNoHijackElsewhere(t *testing.T) {
	for _, test := range []struct{ name, pattern, line, answer string }{
		{"101 on a plain route", "GET /info", "GET /v1.41/info", "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"},
		{"101 on a stream", "GET /events", "GET /v1.41/events", "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"},
		{"101 without the asking", "POST /containers/{name}/attach", "POST /v1.41/containers/x/attach?stream=1", "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := open(t, "unix")
			d.fake.On(test.pattern, func(c *enginetest.Conn) {
				io.WriteString(c, test.answer)
				c.WaitGone()
			})
			if resp, _ := d.dial(t).send(test.line).answer(); resp.StatusCode != 502 {
				t.Errorf("got %s", resp.Status)
			}
			d.fake.WaitLive(t, 0)
		})
	}
	// A 200 with a raw stream's type is an answer like any other there.
	d := open(t, "unix")
	d.fake.On("GET /containers/{name}/logs", func(c *enginetest.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nlines")
		c.Hangup()
	})
	if resp, body := d.dial(t).send("GET /v1.41/containers/x/logs?stdout=1").answer(); resp.TransferEncoding == nil || body != "lines" {
		t.Errorf("got %q %q", resp.TransferEncoding, body)
	}
}

// TestVanishedCallers take the Engine's connection along, also one whose
// output is silent and whose stdin has ended before.
func TestVanishedCallers(t *testing.T) {
	for _, test := range []struct {
		name  string
		leave func(c *caller)
	}{
		{"closes", func(c *caller) { c.Close() }},
		{"half-closes, then closes", func(c *caller) { c.halfClose(); time.Sleep(10 * time.Millisecond); c.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := open(t, "unix")
			over := make(chan struct{})
			d.fake.On("POST /containers/{name}/attach", func(c *enginetest.Conn) {
				c.Hijack("application/vnd.docker.raw-stream", "")
				io.Copy(io.Discard, c) // the end of stdin changes nothing for a process that sleeps
				<-over
			})
			c := d.attach(t, "1.41", "x", upgrade, "Upgrade: tcp")
			c.rawHead()
			test.leave(c)
			eventually(t, "the relay ends", func() bool {
				left := 0
				d.each(func(*live) { left++ })
				return left == 0
			})
			close(over)
			d.fake.WaitLive(t, 0)
		})
	}
}

func TestBytesAreCounted(t *testing.T) {
	d := open(t, "unix")
	counted := make(chan string, 1)
	plain := d.server.Handler
	d.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { plain.ServeHTTP(&counting{w, counted}, r) })
	c := d.attach(t, "1.41", "greet", upgrade, "Upgrade: tcp")
	c.rawHead()
	c.write("four")
	c.expect("hello\nfour")
	c.Close()
	if got := <-counted; got != "4 in, 10 out" {
		t.Errorf("counted %s", got)
	}
}

type counting struct {
	http.ResponseWriter
	to chan string
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counting) CountHijacked(in, out int64) { c.to <- fmt.Sprintf("%d in, %d out", in, out) }

// TestDrain: streams that can be spoken on are told, the others left alone,
// and all cut when the time is over.
func TestDrain(t *testing.T) {
	d := open(t, "unix")
	tty := `{"Detach":false,"Tty":true}`
	exec := d.dial(t).send("POST /v1.41/exec/tty/start", upgrade, "Upgrade: tcp", "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(tty)), tty)
	framed := d.attach(t, "1.44", "silent", upgrade, "Upgrade: tcp")
	mute := d.attach(t, "1.41", "silent", upgrade, "Upgrade: tcp")
	for _, c := range []*caller{exec, framed, mute} {
		c.rawHead()
	}
	short := d.attach(t, "1.41", "x", upgrade, "Upgrade: tcp")
	short.rawHead()
	limit, cancel := context.WithCancel(context.Background())
	over, end := context.WithCancel(context.Background())
	drained := make(chan struct{})
	go func() {
		d.Drain(limit, over, "going down in 10s")
		close(drained)
	}()
	exec.expect("\r\ngoing down in 10s\r\n")
	framed.expect(enginetest.Frame(2, "going down in 10s\n"))
	short.halfClose() // ends by itself
	short.expectEnd()
	select {
	case <-drained:
		t.Fatal("cut before the time is over")
	case <-time.After(30 * time.Millisecond):
	}
	cancel()
	for _, c := range []*caller{exec, framed, mute} {
		c.expectEnd()
	}
	d.fake.WaitLive(t, 0)
	end()
	<-drained
}

// TestRevokeOfOneWhoTakesNothing: a caller cannot keep a stream, and with it
// the way in, by not reading what the Engine says.
func TestRevokeOfOneWhoTakesNothing(t *testing.T) {
	d := open(t, "unix")
	c := d.attach(t, "1.44", "frames-64m", upgrade, "Upgrade: tcp")
	c.rawHead()
	time.Sleep(50 * time.Millisecond) // until the output is stuck
	if n := d.Revoke("over", func(context.Context, *router.Call) bool { return false }); n != 1 {
		t.Errorf("%d revoked", n)
	}
	d.fake.WaitLive(t, 0)
}

// TestRevokeSaysWhy, where that can be said.
func TestRevokeSaysWhy(t *testing.T) {
	d := open(t, "unix")
	c := d.attach(t, "1.44", "echo", upgrade, "Upgrade: tcp")
	c.rawHead()
	kept := d.attach(t, "1.41", "echo", upgrade, "Upgrade: tcp")
	kept.rawHead()
	if n := d.Revoke("over", func(_ context.Context, c *router.Call) bool { return c.Version == "1.41" }); n != 1 {
		t.Errorf("%d revoked", n)
	}
	c.expect(enginetest.Frame(2, "over\n"))
	c.expectEnd()
	kept.write("still here")
	kept.expect("still here")
}
