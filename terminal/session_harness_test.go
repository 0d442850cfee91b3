package terminal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"moorgate/authz/identity"
)

// busybox is the image of deploy/engine.
const busybox = "moorgate.test/busybox:1"

// realEngine gives the socket of a Docker Engine.
func realEngine(t testing.TB) string {
	t.Helper()
	address := os.Getenv("MOORGATE_ENGINE")
	if address == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MOORGATE_ENGINE is not set: CI runs these tests by make test")
		}
		t.Skip("needs a Docker Engine of its own: run make test, which starts one")
	}
	return strings.TrimPrefix(address, "unix://")
}

func dialTo(socket string) func(context.Context, *identity.Identity) (net.Conn, error) {
	return func(ctx context.Context, _ *identity.Identity) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
}

// manager makes a Manager for tests, which ends with them.
func manager(t testing.TB, socket string, change func(*ManagerOptions)) *Manager {
	t.Helper()
	o := ManagerOptions{Config: Config{PerUser: 100}.complete(), Dial: dialTo(socket)}
	if t, ok := t.(*testing.T); ok {
		o.Log = zaptest.NewLogger(t)
	}
	if change != nil {
		change(&o)
	}
	m, err := NewManager(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		m.Shutdown(ctx)
	})
	return m
}

var alice = &identity.Identity{User: "alice", Roles: []string{"developer"}}

// docker is the Engine, asked straight.
type docker struct {
	t      testing.TB
	client *http.Client
}

func newDocker(t testing.TB, socket string) *docker {
	dial := dialTo(socket)
	return &docker{t, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, nil) },
	}}}
}

func (d *docker) call(method, target, body string, to any) (status int) {
	d.t.Helper()
	r, err := http.NewRequest(method, "http://docker/v1.41"+target, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if to != nil {
		if err := json.Unmarshal(text, to); err != nil {
			d.t.Fatalf("%s %s: %s %s (%v)", method, target, resp.Status, text, err)
		}
	}
	return resp.StatusCode
}

// container starts one that lives as long as the test and gives its id.
func (d *docker) container(script string, fields ...string) string {
	d.t.Helper()
	var made struct{ Id, Message string }
	d.call("POST", "/containers/create", fmt.Sprintf(`{"Image":%q,"Cmd":["sh","-c",%q],"Labels":{"moorgate-test":"session"},"NetworkDisabled":true%s}`,
		busybox, script, strings.Join(append([]string{""}, fields...), ",")), &made)
	if made.Id == "" {
		d.t.Fatal(made.Message)
	}
	d.t.Cleanup(func() { d.call("DELETE", "/containers/"+made.Id+"?force=1&v=1", "", nil) })
	if status := d.call("POST", "/containers/"+made.Id+"/start", "", nil); status != 204 {
		d.t.Fatal("start:", status)
	}
	return made.Id
}

// processes gives the commands that run in a container.
func (d *docker) processes(id string) string {
	d.t.Helper()
	var top struct{ Processes [][]string }
	d.call("GET", "/containers/"+id+"/top", "", &top)
	var list []string
	for _, p := range top.Processes {
		list = append(list, p[len(p)-1])
	}
	return strings.Join(list, "\n")
}

// client is a browser: it reads everything, acknowledges, and remembers.
type client struct {
	*Attachment
	t      testing.TB
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	out     bytes.Buffer
	err     bytes.Buffer
	at      uint64 // parsed up to
	acked   uint64
	frames  []Frame // but Output
	failed  error
	stopAck bool
	changed chan struct{}
}

func attach(t testing.TB, s *Session, o AttachOptions) *client {
	t.Helper()
	if o.Who == nil {
		o.Who = alice
	}
	a, err := s.Attach(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{Attachment: a, t: t, cancel: cancel, ended: make(chan struct{}), changed: make(chan struct{}, 1)}
	go c.read(ctx)
	t.Cleanup(c.cut)
	return c
}

// cut is a connection that breaks.
func (c *client) cut() {
	c.cancel()
	<-c.ended
	c.Detach(1006, "the connection broke")
}

func (c *client) read(ctx context.Context) {
	defer close(c.ended)
	for {
		f, err := c.Next(ctx)
		c.mu.Lock()
		switch f := f.(type) {
		case *Output:
			if f.Offset != c.at {
				c.frames = append(c.frames, f)
				c.failed = fmt.Errorf("output at %d, want %d", f.Offset, c.at)
			}
			if f.Stream == Stderr {
				c.err.Write(f.Data)
			} else {
				c.out.Write(f.Data)
			}
			c.at = f.Offset + uint64(len(f.Data))
		case *Welcome:
			c.at, c.acked = f.Offset, f.Offset
			c.frames = append(c.frames, f)
		case *Replay:
			if f.State == "begin" && f.Truncated {
				c.at, c.acked = f.From, f.From
				c.out.Reset()
			}
			c.frames = append(c.frames, f)
		case nil:
		default:
			c.frames = append(c.frames, f)
		}
		ack := c.at - c.acked
		if ack >= ackEvery && !c.stopAck {
			c.acked = c.at
		} else {
			ack = 0
		}
		at := c.at
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) {
			c.failed = err
		}
		c.mu.Unlock()
		select {
		case c.changed <- struct{}{}:
		default:
		}
		if ack > 0 {
			c.Ack(at)
		}
		if err != nil {
			return
		}
	}
}

// waitFor waits until the client's state is as wanted.
func (c *client) waitFor(what string, ok func() bool) {
	c.t.Helper()
	late := time.After(30 * time.Second)
	for {
		c.mu.Lock()
		done := ok()
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-c.changed:
		case <-time.After(20 * time.Millisecond):
		case <-late:
			c.mu.Lock()
			defer c.mu.Unlock()
			tail := c.out.Bytes()
			c.t.Fatalf("no %s; output %q, errors %q, frames %v, %v", what, tail[max(0, len(tail)-500):], c.err.String(), describe(c.frames), c.failed)
		}
	}
}

func describe(frames []Frame) string {
	var b strings.Builder
	for _, f := range frames {
		text, _ := json.Marshal(f)
		fmt.Fprintf(&b, "%T%s ", f, text)
	}
	return b.String()
}

func (c *client) waitOut(text string) {
	c.t.Helper()
	c.waitFor(fmt.Sprintf("%q", text), func() bool { return strings.Contains(c.out.String(), text) })
}

// exit waits for the end.
func (c *client) exit() *Exit {
	c.t.Helper()
	c.waitFor("exit", func() bool { return find[*Exit](c.frames) != nil })
	c.mu.Lock()
	defer c.mu.Unlock()
	return find[*Exit](c.frames)
}

// find gives the last frame of a type.
func find[F Frame](frames []Frame) (found F) {
	for _, f := range frames {
		if f, ok := f.(F); ok {
			found = f
		}
	}
	return found
}

func (c *client) keys(text string) {
	c.t.Helper()
	if err := c.Input([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func open(t testing.TB, m *Manager, spec Spec) *Session {
	t.Helper()
	s, err := m.Open(context.Background(), alice, spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func no() *bool  { v := false; return &v }
func yes() *bool { v := true; return &v }

func codeOf(e *Exit) int {
	if e.Code == nil {
		return -1
	}
	return *e.Code
}
