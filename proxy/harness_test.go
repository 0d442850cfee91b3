package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
	"moorgate/proxy/http1"
	"moorgate/router"
)

// door is the way from callers to a fake Engine: server, router, Forwarder.
type door struct {
	*Forwarder
	server          *http1.Server
	engine          *Engine
	fake            *enginetest.Engine
	network, target string
	roots           *x509.CertPool // for the network "tls"
}

// open serves the Engine "local" on a socket of network, "unix" or "tcp".
func open(t testing.TB, network string) *door {
	t.Helper()
	fake := enginetest.Start(t)
	e, err := NewEngine("local", EngineConfig{Address: fake.Address})
	if err != nil {
		t.Fatal(err)
	}
	return openTo(t, network, fake, e, nil)
}

func openTo(t testing.TB, network string, fake *enginetest.Engine, e *Engine, review Review) *door {
	t.Helper()
	address := "tcp://127.0.0.1:0"
	if network == "unix" {
		address = "unix://" + filepath.Join(shortDir(t), "s")
	}
	ls, err := Listen(ListenConfig{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Forwarder: Forward(PickFrom([]*Engine{e}), review), engine: e, fake: fake, network: network, target: ls[0].Addr().String()}
	mux := router.NewMux(router.Table(), d.Forwarder)
	d.server = &http1.Server{Handler: mux, Log: func(err error) { t.Log(err) }}
	served := make(chan struct{})
	go func() {
		defer close(served)
		d.server.Serve(ls[0])
	}()
	t.Cleanup(func() {
		d.server.Close()
		<-served
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.server.Shutdown(ctx); err != nil {
			t.Error("a handler still runs after Close")
		}
		e.Close()
	})
	return d
}

// shortDir is a folder whose sockets have paths short enough.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// caller is one connection to the door.
type caller struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (d *door) dial(t testing.TB) *caller {
	t.Helper()
	if d.network == "tls" {
		c, err := tls.Dial("tcp", d.target, &tls.Config{RootCAs: d.roots})
		if err != nil {
			t.Fatal(err)
		}
		return newCaller(t, c)
	}
	c, err := net.Dial(d.network, d.target)
	if err != nil {
		t.Fatal(err)
	}
	return newCaller(t, c)
}

func newCaller(t testing.TB, c net.Conn) *caller {
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(15 * time.Second))
	return &caller{c, t, bufio.NewReader(c)}
}

// send writes a request: its first line without the protocol, fields, body.
func (c *caller) send(line string, rest ...string) *caller {
	c.t.Helper()
	text := line + " HTTP/1.1\r\nHost: docker\r\n"
	body := ""
	for _, s := range rest {
		if strings.Contains(s, ": ") && !strings.ContainsAny(s, "\n{") {
			text += s + "\r\n"
		} else {
			body += s
		}
	}
	c.write(text + "\r\n" + body)
	return c
}

func (c *caller) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Error(err)
	}
}

// head reads an answer; its body is still to come.
func (c *caller) head(method ...string) *http.Response {
	c.t.Helper()
	r := &http.Request{Method: "GET"}
	if len(method) > 0 {
		r.Method = method[0]
	}
	resp, err := http.ReadResponse(c.r, r)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// answer reads an answer whole.
func (c *caller) answer(method ...string) (*http.Response, string) {
	c.t.Helper()
	resp := c.head(method...)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Errorf("%v behind %q", err, body)
	}
	return resp, string(body)
}

// rawHead reads an answer's head as it came, its fields sorted.
func (c *caller) rawHead() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if line == "\r\n" {
			slices.Sort(lines[1:])
			return strings.Join(lines, "")
		}
		lines = append(lines, line)
	}
}

func (c *caller) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		c.t.Errorf("got %.200q, want %.200q, %v", got[:n], want, err)
	}
}

func (c *caller) expectEnd() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err != io.EOF {
		c.t.Errorf("it goes on: %q, %v", b, err)
	}
}

func (c *caller) halfClose() {
	c.t.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.t.Error(err)
	}
}

// one is what the Engine got, which must be one request.
func (d *door) one(t testing.TB) enginetest.Request {
	t.Helper()
	all := d.fake.Requests()
	if len(all) != 1 {
		t.Fatalf("the Engine got %d requests", len(all))
	}
	return all[0]
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s: not within 5 s", what)
			return
		}
	}
}

// sorted is a request's head with its fields in order.
func sorted(head []byte) string {
	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	slices.Sort(lines[1:])
	return fmt.Sprintf("%q", lines)
}
