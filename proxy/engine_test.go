package proxy

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"unix:///var/run/docker.sock": "unix /var/run/docker.sock",
		"tcp://10.0.0.2:2376":         "tcp 10.0.0.2:2376",
		"tcp://10.0.0.2:2376/":        "tcp 10.0.0.2:2376",
		"tcp://[::1]:2376":            "tcp [::1]:2376",
		"unix://relative":             "",
		"unix://":                     "",
		"/var/run/docker.sock":        "",
		"tcp://host":                  "",
		"tcp://host:65536":            "",
		"tcp://host:-1":               "",
		"tcp://:2376":                 "",
		"tcp://host:2376/path":        "",
		"tcp://user@host:2376":        "",
		"http://host:2376":            "",
		"ssh://host":                  "",
		"":                            "",
	} {
		network, target, err := ParseAddress(address)
		if got := network + " " + target; (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q: got %q, %v", address, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "write unix:///path") {
			t.Errorf("%q: %v says no cure", address, err)
		}
	}
}

func TestEngineFaults(t *testing.T) {
	a := newAuthority(t)
	os.WriteFile(a.path("empty.pem"), nil, 0o600)
	for _, test := range []struct {
		name string
		c    EngineConfig
		want string
	}{
		{"address", EngineConfig{Address: "x"}, "write unix:///path"},
		{"tls on a socket", EngineConfig{Address: "unix:///x", TLS: &EngineTLS{}}, "only tcp addresses speak TLS"},
		{"no ca", EngineConfig{Address: "tcp://h:1", TLS: &EngineTLS{CA: a.path("none.pem")}}, "ca: "},
		{"empty ca", EngineConfig{Address: "tcp://h:1", TLS: &EngineTLS{CA: a.path("empty.pem")}}, "holds no PEM certificate"},
		{"cert without key", EngineConfig{Address: "tcp://h:1", TLS: &EngineTLS{Cert: a.path("ca.pem")}}, "cert and key: "},
	} {
		if _, err := NewEngine("local", test.c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

// TestEngineAway: callers are told what to do, and need do nothing once it is
// back.
func TestEngineAway(t *testing.T) {
	d := open(t, "unix")
	c := d.dial(t)
	if resp, _ := c.send("GET /_ping").answer(); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	d.fake.Close()
	for range 2 {
		resp, body := c.send("POST /v1.41/containers/x/start").answer("POST")
		want := `{"message":"moorgate: engine local at ` + d.fake.Address + ` is away: start it, or mend its address: `
		if resp.StatusCode != 502 || !strings.HasPrefix(body, want) || !strings.Contains(body, "connection refused") && !strings.Contains(body, "no such file") || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %s", resp.Status, body)
		}
	}
	d.fake.Restart(t)
	if resp, _ := c.send("POST /v1.41/containers/x/start").answer("POST"); resp.StatusCode != 204 {
		t.Errorf("afterwards %s", resp.Status)
	}
}

// TestRestartedEngine: connections that were kept from before are not used, so
// that not even a POST fails.
func TestRestartedEngine(t *testing.T) {
	d := open(t, "unix")
	c := d.dial(t)
	for range 5 {
		c.send("GET /_ping").answer()
		d.fake.Close()
		d.fake.Restart(t)
		if resp, _ := c.send("POST /v1.41/containers/x/start").answer("POST"); resp.StatusCode != 204 {
			t.Errorf("got %s", resp.Status)
		}
	}
}

// TestHungUpPost: a POST whose kept connection dies under it is not sent
// again; nobody knows whether it was done.
func TestHungUpPost(t *testing.T) {
	d := open(t, "unix")
	d.fake.On("POST /containers/{name}/start", func(c *enginetest.Conn) { c.Hangup() })
	c := d.dial(t)
	c.send("GET /_ping").answer()
	if resp, body := c.send("POST /v1.41/containers/x/start").answer("POST"); resp.StatusCode != 502 || !strings.Contains(body, "broke off without an answer: look at its log") {
		t.Errorf("got %s %s", resp.Status, body)
	}
	if all := d.fake.Requests(); len(all) != 2 {
		t.Errorf("the Engine got %d requests", len(all))
	}
}

// TestIdleHangup: an Engine that closes behind a full answer costs nobody
// anything.
func TestIdleHangup(t *testing.T) {
	d := open(t, "unix")
	c := d.dial(t)
	for range 20 {
		if resp, body := c.send("GET /v1.41/containers/idle/json").answer(); resp.StatusCode != 200 || body == "" {
			t.Errorf("got %s", resp.Status)
		}
	}
	d.fake.WaitLive(t, 0)
	if resp, _ := c.send("POST /v1.41/containers/x/start").answer("POST"); resp.StatusCode != 204 {
		t.Errorf("got %s", resp.Status)
	}
}

// TestWatch: the Engine's coming and going is told, once each, and with it its
// newest version.
func TestWatch(t *testing.T) {
	d := open(t, "unix")
	d.engine.whenUp, d.engine.whenDown = time.Millisecond, time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	told, ended := make(chan error, 10), make(chan struct{})
	if d.engine.Up() || d.engine.Newest() != "" {
		t.Error("it is up before anyone asked")
	}
	go func() {
		defer close(ended)
		d.engine.Watch(ctx, func(e *Engine, err error) {
			if e.Up() != (err == nil) {
				t.Errorf("told %v, up %v", err, e.Up())
			}
			told <- err
		})
	}()
	if err := <-told; err != nil || d.engine.Newest() != enginetest.APIVersion {
		t.Errorf("up: %v, %q", err, d.engine.Newest())
	}
	d.fake.Close()
	if err := <-told; err == nil || !strings.HasPrefix(err.Error(), "engine local at unix://") {
		t.Errorf("down: %v", err)
	}
	d.fake.Restart(t)
	if err := <-told; err != nil {
		t.Errorf("up again: %v", err)
	}
	time.Sleep(10 * time.Millisecond)
	cancel()
	<-ended
	if len(told) != 0 {
		t.Errorf("told %d times more", len(told))
	}
}

// TestTooNew: an API version that the Engine has not got is refused in the
// Engine's own words, once it is known.
func TestTooNew(t *testing.T) {
	d := open(t, "unix")
	c := d.dial(t)
	d.engine.learn(http.Header{"Api-Version": {"1.51"}})
	resp, body := c.send("GET /v1.52/info").answer()
	if want := `{"message":"client version 1.52 is too new. Maximum supported API version is 1.51"}` + "\n"; resp.StatusCode != 400 || body != want {
		t.Errorf("got %s %s", resp.Status, body)
	}
	for _, version := range []string{"", "/v1.51", "/v1.24"} {
		if resp, _ := c.send("GET " + version + "/info").answer(); resp.StatusCode != 200 {
			t.Errorf("%s: got %s", version, resp.Status)
		}
	}
	if n := len(d.fake.Requests()); n != 3 {
		t.Errorf("the Engine got %d requests", n)
	}
}

// TestReady asks what an Engine can only answer while it works.
func TestReady(t *testing.T) {
	d := open(t, "unix")
	if err := d.engine.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if r := d.one(t); r.Target != "/containers/json?limit=1" {
		t.Errorf("asked %s", r.Target)
	}
	d.fake.On("GET /containers/json", func(c *enginetest.Conn) { c.Error(500, "stuck") })
	if err := d.engine.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "answers 500") {
		t.Errorf("got %v", err)
	}
	d.fake.On("GET /containers/json", func(c *enginetest.Conn) { c.WaitGone() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.engine.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	d.fake.WaitLive(t, 0)
}
