package terminal

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	ws "github.com/gorilla/websocket"

	"moorgate/authz/audit"
	"moorgate/proxy/http1"
)

// Websockets live on moorgate's own HTTP server, under the audit's writer, with
// and without TLS: what was sent right behind the request is read, large
// messages pass, deadlines hold, and the end is seen.
func TestWebsocketServer(t *testing.T) {
	timedOut := make(chan error, 1)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := (&ws.Upgrader{}).Upgrade(w, r, http.Header{"X-Test": {"yes"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(message) == "deadline" {
				_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				_, _, err := c.ReadMessage()
				timedOut <- err
				return
			}
			if c.WriteMessage(kind, message) != nil {
				return
			}
		}
	})
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := l.Addr().String()
			dial := func() net.Conn {
				t.Helper()
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				if secure {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own
				}
				return c
			}
			if secure {
				l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
			}
			sink := &lastRecord{done: make(chan audit.Record, 8)}
			server := &http1.Server{Handler: audit.Middleware("test", sink)(echo)}
			go server.Serve(l) //nolint:errcheck // ends with the test
			t.Cleanup(server.Close)

			// A frame right behind the request, in one write.
			c := dial()
			defer c.Close()
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+"\x82\x85\x00\x00\x00\x00hello"); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			head, err := in.ReadString('\n')
			for line := head; err == nil && line != "\r\n"; {
				line, err = in.ReadString('\n')
				head += line
			}
			if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "X-Test: yes") {
				t.Fatalf("the answer is %q, %v", head, err)
			}
			got := make([]byte, 7)
			if _, err := io.ReadFull(in, got); err != nil || string(got) != "\x82\x05hello" {
				t.Errorf("behind the answer comes %q, %v", got, err)
			}
			c.Close()
			if r := <-sink.done; r.Status != http.StatusSwitchingProtocols {
				t.Errorf("recorded with status %d", r.Status)
			}

			conn, _, err := (&ws.Dialer{NetDial: func(string, string) (net.Conn, error) { return dial(), nil }}).Dial("ws://x/", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			large := bytes.Repeat([]byte("moorgate"), 1<<17)
			sent := make(chan error, 1)
			go func() { sent <- conn.WriteMessage(ws.BinaryMessage, large) }()
			if _, message, err := conn.ReadMessage(); err != nil || !bytes.Equal(message, large) {
				t.Errorf("of a MiB came back %d bytes, %v", len(message), err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if err := conn.WriteMessage(ws.TextMessage, []byte("deadline")); err != nil {
				t.Fatal(err)
			}
			var late net.Error
			if err := <-timedOut; !errors.As(err, &late) || !late.Timeout() {
				t.Errorf("the deadline ends reading with %v", err)
			}
			if _, _, err := conn.ReadMessage(); err == nil {
				t.Error("the socket goes on after its handler returned")
			}
			<-sink.done
		})
	}
}

type lastRecord struct{ done chan audit.Record }

func (s *lastRecord) Record(r *audit.Record) { s.done <- *r }

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
