package plugin

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/go-plugins-helpers/authorization"

	"moorgate/authz/identity"
	"moorgate/router"
)

// agreeable is a plugin that allows everything and counts.
type agreeable struct {
	conns, handshakes, questions atomic.Int64
	open, most                   atomic.Int64  // of conns, at a time
	wait                         time.Duration // before each answer
}

func (a *agreeable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/"+activate {
		a.handshakes.Add(1)
		io.WriteString(w, `{"Implements":["authz"]}`)
		return
	}
	a.questions.Add(1)
	time.Sleep(a.wait)
	io.WriteString(w, `{"Allow":true}`)
}

func (a *agreeable) serve(t testing.TB, l net.Listener) *http.Server {
	s := &http.Server{Handler: a, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			a.conns.Add(1)
			if n := a.open.Add(1); n > a.most.Load() {
				a.most.Store(n) // near enough: connections are accepted one by one
			}
		case http.StateClosed:
			a.open.Add(-1)
		}
	}}
	go s.Serve(l) //nolint:errcheck // it ends with Close
	t.Cleanup(func() { s.Close() })
	return s
}

var (
	alice = identity.Identity{User: "alice", Method: "token"}
	info  = &router.Call{Action: "system.info", Route: &router.Route{Method: "GET", Pattern: "/info"}}
)

// allows asks about a call and says whether it was allowed, how long that took,
// and the error.
func allows(p *Plugin) (bool, time.Duration, error) {
	begun := time.Now()
	d, err := p.Authorize(context.Background(), alice, info)
	return d.Allow && err == nil, time.Since(begun), err
}

func TestConnectionsAreReused(t *testing.T) {
	dir, a := sockets(t), &agreeable{}
	a.serve(t, listen(t, dir, "p"))
	var seconds float64
	var observed int
	p := open(t, Config{Plugin: "p"}, Options{Sockets: dir, Observe: func(name string, s float64) {
		if name == "p" && s > 0 {
			observed++
			seconds += s
		}
	}})
	for range 50 {
		if ok, _, err := allows(p); !ok {
			t.Fatal(err)
		}
	}
	if a.conns.Load() != 1 || a.handshakes.Load() != 1 || a.questions.Load() != 50 {
		t.Errorf("%d connections, %d handshakes, %d questions", a.conns.Load(), a.handshakes.Load(), a.questions.Load())
	}
	if observed != 50 || seconds > 5 {
		t.Errorf("observed %d questions of %f s", observed, seconds)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir, a := sockets(t), &agreeable{wait: 5 * time.Millisecond}
	a.serve(t, listen(t, dir, "p"))
	p := open(t, Config{Plugin: "p"}, Options{Sockets: dir})
	var all sync.WaitGroup
	var denied atomic.Int64
	for range 3 * maxConns {
		all.Go(func() {
			if ok, _, _ := allows(p); !ok {
				denied.Add(1)
			}
		})
	}
	all.Wait()
	if denied.Load() != 0 || a.handshakes.Load() != 1 || a.most.Load() > maxConns {
		t.Errorf("%d denied, %d handshakes, %d connections at a time", denied.Load(), a.handshakes.Load(), a.most.Load())
	}
}

// TestComesAndGoes follows one plugin through its life: not there, starting,
// there, stopped, and back at another place.
func TestComesAndGoes(t *testing.T) {
	dir, specs := sockets(t), sockets(t)
	p := open(t, Config{Plugin: "p", Timeout: 300 * time.Millisecond}, Options{Sockets: dir, Specs: []string{specs}})

	ok, took, err := allows(p)
	if ok || took > time.Second || !strings.Contains(err.Error(), "start p, or give its address") {
		t.Errorf("while it is nowhere: %v after %s, %v", ok, took, err)
	}

	first := &agreeable{}
	started := make(chan *http.Server)
	go func() {
		time.Sleep(50 * time.Millisecond)
		l, err := net.Listen("unix", filepath.Join(dir, "p.sock"))
		if err != nil {
			panic(err)
		}
		started <- first.serve(t, l)
	}()
	if ok, _, err := allows(p); !ok {
		t.Errorf("while it starts: %v", err)
	}

	(<-started).Close()
	if ok, took, err := allows(p); ok || took > time.Second {
		t.Errorf("when it has stopped: %v after %s, %v", ok, took, err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second := &agreeable{}
	second.serve(t, l)
	lay(t, filepath.Join(specs, "p.spec"), "tcp://"+l.Addr().String())
	if ok, _, err := allows(p); !ok || second.handshakes.Load() != 1 {
		t.Errorf("when it is back: %v, %d handshakes", err, second.handshakes.Load())
	}
}

// TestHandshakeIsRepeated holds that a handshake that failed is not remembered.
func TestHandshakeIsRepeated(t *testing.T) {
	dir := sockets(t)
	var n atomic.Int64
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+activate && n.Add(1) < 3 {
			http.Error(w, "still loading the policy", http.StatusServiceUnavailable)
			return
		}
		(&agreeable{}).ServeHTTP(w, r)
	})}
	go s.Serve(listen(t, dir, "p")) //nolint:errcheck // it ends with its listener
	p := open(t, Config{Plugin: "p"}, Options{Sockets: dir})
	for range 2 {
		if ok, _, err := allows(p); ok || !strings.HasSuffix(err.Error(), "handshake: it answers 503 to /Plugin.Activate: still loading the policy") {
			t.Errorf("%v, %v", ok, err)
		}
	}
	if ok, _, err := allows(p); !ok {
		t.Error(err)
	}
}

// TestBodyIsIntactWhenAskedAgain breaks connections in the middle of a question.
func TestBodyIsIntactWhenAskedAgain(t *testing.T) {
	dir := sockets(t)
	l := listen(t, dir, "p")
	questions := make(chan authorization.Request, 1)
	go func() {
		for breaks := 3; ; {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			for {
				r, err := http.ReadRequest(in)
				if err != nil {
					break
				}
				if r.URL.Path == "/"+activate {
					ok(`{"Implements":["authz"]}`)(c)
					continue
				}
				if breaks--; breaks >= 0 {
					io.CopyN(io.Discard, r.Body, int64(breaks*1000))
					break
				}
				var q authorization.Request
				if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
					q.User = err.Error()
				}
				questions <- q
				ok(`{"Allow":true}`)(c)
			}
			c.Close()
		}
	}()
	body := `{"Image":"busybox","Env":["X=` + strings.Repeat("x", 100<<10) + `"]}`
	f := newFront(open(t, Config{Plugin: "p"}, Options{Sockets: dir}))
	go f.ask(request("POST", "/v1.41/containers/create", body))
	select {
	case q := <-questions:
		if q.User != "alice" || string(q.RequestBody) != body {
			t.Errorf("asked again by %s with %d bytes", q.User, len(q.RequestBody))
		}
	case <-time.After(5 * time.Second):
		t.Error("not asked again")
	}
}

func TestHangingHandshakeHoldsNobodyLonger(t *testing.T) {
	dir := sockets(t)
	r := &rogue{method: activate, answer: hang}
	go r.serve(listen(t, dir, "p"))
	p := open(t, Config{Plugin: "p", Timeout: roguePatience}, Options{Sockets: dir})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if ok, took, err := allows(p); ok || took > roguePatience+rogueSlack {
				t.Errorf("%v after %s: %v", ok, took, err)
			}
		})
	}
	all.Wait()
}

func TestCallerLeaves(t *testing.T) {
	dir := sockets(t)
	r := &rogue{method: askRequest, answer: hang}
	go r.serve(listen(t, dir, "p"))
	p := open(t, Config{Plugin: "p", Timeout: time.Minute}, Options{Sockets: dir})
	ctx, leave := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer leave()
	begun := time.Now()
	if d, err := p.Authorize(ctx, alice, info); d.Allow || err == nil || time.Since(begun) > rogueSlack {
		t.Errorf("%+v, %v after %s", d, err, time.Since(begun))
	}
}

// TestAnswerBreaksOff holds that an Engine's half answer is neither shown nor
// sent.
func TestAnswerBreaksOff(t *testing.T) {
	dir := sockets(t)
	plugin := &docker{}
	serveSDK(t, dir, "p", plugin)
	for _, length := range []int64{-1, 10} {
		f := newFront(open(t, Config{Plugin: "p"}, Options{Sockets: dir}))
		f.engine.says(200, "application/json", "")
		f.engine.body, f.engine.length = io.MultiReader(strings.NewReader("[1,2"), broken{}), length
		w := f.ask(request("GET", "/v1.41/info", ""))
		if seen, _ := plugin.last(); w.Code != 502 || !strings.Contains(message(w), "broke off") || seen.ResponseStatusCode != 0 {
			t.Errorf("got %d %s, the plugin saw %+v", w.Code, w.Body, seen)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, fmt.Errorf("connection reset") }

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(&agreeable{})
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that shall fail
	s.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	s.StartTLS()
	defer s.Close()
	dir := sockets(t)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	mutual := httptest.NewUnstartedServer(&agreeable{})
	mutual.Config.ErrorLog = s.Config.ErrorLog
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	mutual.StartTLS()
	defer mutual.Close()
	key := filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	plainTCP := "tcp://" + s.Listener.Addr().String()

	tests := []struct {
		name  string
		c     Config
		spec  string // of p.json
		fault string // "" allows
	}{
		{"its authority", Config{Address: s.URL, TLS: &TLS{CA: ca}}, "", ""},
		{"its authority in a file", Config{}, fmt.Sprintf(`{"Addr":%q,"TLSConfig":{"CAFile":%q}}`, s.URL, ca), ""},
		{"no authority", Config{Address: s.URL}, "", "give the authority that signed it"},
		{"no authority in a file", Config{}, fmt.Sprintf(`{"Addr":%q}`, s.URL), "give the authority that signed it"},
		{"not to be verified", Config{}, fmt.Sprintf(`{"Addr":%q,"TLSConfig":{"InsecureSkipVerify":true}}`, s.URL), "give the authority that signed it"},
		{"another name", Config{Address: strings.Replace(s.URL, "127.0.0.1", "localhost", 1), TLS: &TLS{CA: ca}}, "", "give the authority"},
		{"a certificate of ours", Config{Address: mutual.URL, TLS: &TLS{CA: ca, Cert: ca, Key: key}}, "", ""},
		{"no certificate of ours", Config{Address: mutual.URL, TLS: &TLS{CA: ca}}, "", "certificate required"},
		{"no TLS", Config{Address: plainTCP}, "", "it answers 400"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			specs := sockets(t)
			if test.spec != "" {
				lay(t, filepath.Join(specs, "p.json"), test.spec)
			}
			test.c.Plugin, test.c.Timeout = "p", time.Second
			p := open(t, test.c, Options{Sockets: specs, Specs: []string{specs}})
			ok, took, err := allows(p)
			if ok != (test.fault == "") || took > 2*time.Second || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("%v after %s: %v", ok, took, err)
			}
		})
	}
}
