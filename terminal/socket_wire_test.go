package terminal

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ws "github.com/gorilla/websocket"
)

// pipeWriter is a ResponseWriter that hands out one end of a pipe.
type pipeWriter struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// wirePair joins a wire with a client, by a pipe: time in it can be a bubble's.
func wirePair(t *testing.T) (*wire, *ws.Conn) {
	t.Helper()
	server, client := net.Pipe()
	made := make(chan *wire)
	go func() {
		r, _ := http.ReadRequest(bufio.NewReader(server))
		made <- upgrade(&pipeWriter{httptest.NewRecorder(), server}, r, Protocol)
	}()
	d := ws.Dialer{Subprotocols: []string{Protocol}, NetDialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
	conn, _, err := d.Dial("ws://pipe/", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := <-made
	if c == nil {
		t.Fatal("no upgrade")
	}
	return c, conn
}

// readAll reads messages until the wire ends, and gives the last error.
func readAll(c *wire) error {
	for {
		_, body, err := c.next()
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
	}
}

// TestWirePings: a ping and a heartbeat every 20 s keep a silent websocket
// alive; one whose peer is gone is cut soon.
func TestWirePings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := wirePair(t)
		var times, pings, beats atomic.Int32
		c.rtt = func(d time.Duration) {
			if d != 30*time.Millisecond {
				t.Errorf("a round trip of %v", d)
			}
			times.Add(1)
		}
		c.beats = heartbeat
		c.live()
		ended := make(chan error, 1)
		go func() { ended <- readAll(c) }()

		var mute atomic.Bool
		client.SetPingHandler(func(data string) error {
			pings.Add(1)
			if !mute.Load() {
				time.Sleep(30 * time.Millisecond)
				return client.WriteControl(ws.PongMessage, []byte(data), time.Time{})
			}
			return nil
		})
		go func() {
			for {
				kind, p, err := client.ReadMessage()
				if err != nil {
					return
				}
				if kind == ws.BinaryMessage && len(p) == 9 && frameType(p[0]) == frameHeartbeat {
					beats.Add(1)
				}
			}
		}()
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if pings.Load() != 30 || beats.Load() != 30 || times.Load() != 30 {
			t.Errorf("in ten minutes %d pings, %d heartbeats, %d round trips", pings.Load(), beats.Load(), times.Load())
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended while the peer answered: %v", err)
		default:
		}
		mute.Store(true)
		gone := time.Now()
		err := <-ended
		if lived := time.Since(gone); lived < beatEvery || lived > aliveTime+beatEvery {
			t.Errorf("who answers no ping was cut after %v: %v", lived, err)
		}
		c.end()
		client.Close()
	})
}

// TestWireMessageTime: a message that comes in pieces for ever is cut, whatever
// pongs come between; one that goes on slowly is not.
func TestWireMessageTime(t *testing.T) {
	for _, test := range []struct {
		name  string
		piece string // sent every 40 s
		ends  bool
	}{
		{"slow", "x", false},
		{"empty pieces", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, client := wirePair(t)
				ended := make(chan error, 1)
				go func() { ended <- readAll(c) }()
				raw := client.NetConn()
				go io.Copy(io.Discard, raw) //nolint:errcheck // it ends with the test
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					if _, err := raw.Write(fragment(0x02, "a")); err != nil {
						return
					}
					for range 30 {
						time.Sleep(40 * time.Second)
						_, err := raw.Write(append(fragment(0x00, test.piece), fragment(0x8a, "")...)) // a pong too
						if err != nil {
							return
						}
					}
					raw.Write(fragment(0x80, "z")) //nolint:errcheck // as below
				}()
				select {
				case err := <-ended:
					if !test.ends {
						t.Errorf("it was cut: %v", err)
					}
					var late net.Error
					if !errors.As(err, &late) || !late.Timeout() {
						t.Errorf("it ended with %v", err)
					}
				case <-sent:
					if test.ends {
						t.Error("it was not cut")
					}
				}
				c.end()
				client.Close()
				<-sent
			})
		})
	}
}

// fragment is a masked frame; the mask is zero.
func fragment(head byte, body string) []byte {
	return append([]byte{head, 0x80 | byte(len(body)), 0, 0, 0, 0}, body...)
}

// endless gives the same bytes for ever.
type endless struct {
	net.Conn
	of string
}

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n+len(e.of) <= len(p) {
		n += copy(p[n:], e.of)
	}
	return n, nil
}

// TestMeter: a flood of what is no message is slowed down to the rate; bodies
// of messages are not.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meter{Conn: endless{of: "\x89\x80abcd"}} // empty pings
		began, buf := time.Now(), make([]byte, readBuffer)
		for time.Since(began) < time.Minute {
			m.Read(buf) //nolint:errcheck // never fails
			time.Sleep(time.Microsecond)
		}
		if most := int64(idleBytesBurst + 61*idleBytesRate + len(buf)); m.read > most || m.read < idleBytesRate*50 {
			t.Errorf("%d bytes of a flood were read in a minute", m.read)
		}
		m = &meter{Conn: endless{of: strings.Repeat("x", 512)}}
		began = time.Now()
		for range 100_000 {
			n, _ := m.Read(buf)
			m.idle -= float64(n - 14) // all but the head of a frame
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("100 MB of messages took %v", d)
		}
	})
}

// TestWireSlowReader: who does not take what is sent is cut after writeTime,
// and holds nobody else for longer.
func TestWireSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := wirePair(t)
		began := time.Now()
		err := c.write(ws.BinaryMessage, []byte("nobody reads this"), nil)
		if err == nil || time.Since(began) != writeTime {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		c.end()
		client.Close()
	})
}

func TestCutText(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "終わり": "終わ", "a\xffb": "a\ufffdb", "abcdefgh": "abcdef"} {
		if got := cutText(in, 6); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
