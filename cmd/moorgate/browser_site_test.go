package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// site is a moorgate that people use with browsers, in front of a real Engine.
type site struct {
	*server
	engine   *engine
	network  *network // between the browsers and moorgate
	chromium context.Context
	address  string // what browsers call it

	// Users of this site's alone: other tests have containers on the Engine, too.
	alice, bob string
}

// The password of everyone here; the test vector of argon2's reference
// implementation, which costs little.
const (
	everyonesPassword = "password"
	passwordHash      = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
)

const siteConfig = `
listen:
  - { address: unix://DIR/m.sock, mode: "0600", identify: [peer] }
  - { address: unix://DIR/admin.sock, serve: [admin] }
  - { address: "tcp://PAGE", serve: [terminal], identify: [password, token], public_url: "PUBLIC" }
engines: { local: { address: ENGINE } }
users:
  ALICE: { password: "HASH", roles: [developer] }
  BOB: { password: "HASH", roles: [developer] }
  root: { uid: UID, password: "HASH", roles: [admin] }
roles:
  admin: { allow: ["*"], scope: all, images: any, containers: any }
  developer:
    allow: [read, "container.*", "exec.*", image.pull, image.remove, terminal.open, terminal.share, terminal.record]
    images: [{ deny: "**:latest", message: pin a version }, { allow: "**" }]
    containers: any
terminal: { per_user: 20, record: { dir: DIR/recordings } }
audit: { file: audit.jsonl }
drain: 300ms
`

func openSite(t *testing.T, e *engine, chromium context.Context) *site {
	t.Helper()
	page := freePort(t)
	n := newNetwork(t, page)
	s := &site{engine: e, network: n, chromium: chromium, address: "http://" + n.address + "/", alice: unique("alice"), bob: unique("bob")}
	s.server = start(t, s.config(page), e.address)
	return s
}

// config is that of a moorgate which listens at an address of its own.
func (s *site) config(listen string) string {
	return strings.NewReplacer("PAGE", listen, "PUBLIC", s.address, "HASH", passwordHash, "ALICE", s.alice, "BOB", s.bob).Replace(siteConfig)
}

// visit opens the page and logs in.
func (s *site) visit(t *testing.T, user string) *page {
	t.Helper()
	p := visit(t, s.chromium, s.address)
	p.login(user)
	return p
}

func (p *page) login(user string) {
	p.t.Helper()
	p.fill("[name=user]", user)
	p.fill("[name=password]", everyonesPassword)
	p.press("Enter")
	p.see(".window", "")
	p.until(user+" is logged in", `document.querySelector('[data-test="user"]').textContent.endsWith(`+quote(user)+`)`)
}

// run starts a container of alice's that lives as long as the test.
func (s *site) run(t *testing.T, name, script string) {
	t.Helper()
	alice := &browser{t: t, origin: strings.TrimSuffix(s.address, "/")}
	alice.login(fmt.Sprintf(`{"user":%q,"password":%q}`, s.alice, everyonesPassword))
	ask := func(method, path, body string) {
		t.Helper()
		if a := alice.do(method, "/v1.41/containers/"+path, body); a.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, a.StatusCode, a.body)
		}
	}
	ask("POST", "create?name="+name, fmt.Sprintf(`{"Image":%q,"Cmd":["sh","-c",%q],"NetworkDisabled":true}`, busybox, script))
	t.Cleanup(func() { ask("DELETE", name+"?force=1&v=1", "") })
	ask("POST", name+"/start", "")
}

// unique is a name that no other test gives to something on the Engine.
func unique(name string) string {
	return fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano()%1e6)
}

// network is what lies between browsers and moorgate; it can be cut.
type network struct {
	t       *testing.T
	address string // this side of it
	beyond  string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
}

func newNetwork(t *testing.T, beyond string) *network {
	t.Helper()
	n := &network{t: t, address: "127.0.0.1:0", beyond: beyond, conns: map[net.Conn]bool{}}
	n.mend()
	t.Cleanup(n.cut)
	return n
}

// mend lets connections through, at the same address as before.
func (n *network) mend() {
	n.t.Helper()
	l, err := net.Listen("tcp", n.address)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	n.listener, n.address = l, l.Addr().String()
	n.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.carry(l, c)
		}
	}()
}

func (n *network) carry(l net.Listener, near net.Conn) {
	far, err := net.Dial("tcp", n.beyond)
	if err != nil {
		near.Close()
		return
	}
	n.mu.Lock()
	if n.listener != l { // cut meanwhile
		near.Close()
		far.Close()
	}
	n.conns[near], n.conns[far] = true, true
	n.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // that it was cut is the point
			_ = way[0].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
	near.Close()
	far.Close()
	n.mu.Lock()
	delete(n.conns, near)
	delete(n.conns, far)
	n.mu.Unlock()
}

// cut ends all connections, without a farewell, and refuses new ones.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener != nil {
		n.listener.Close()
		n.listener = nil
	}
	for c := range n.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

// slowRegistry serves one image, whose last layer takes a second or two, where
// the Engine finds it at localhost; the image's name is given back.
func slowRegistry(t *testing.T) string {
	t.Helper()
	shell, err := os.ReadFile("/bin/busybox") // of busybox-static
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		MediaType string `json:"mediaType"`
		Size      int    `json:"size"`
		Digest    string `json:"digest"`
	}
	blobs := map[string][]byte{}
	add := func(kind string, blob []byte) part {
		p := part{kind, len(blob), fmt.Sprintf("sha256:%x", sha256.Sum256(blob))}
		blobs[p.Digest] = blob
		return p
	}
	var diffs []string
	var layers []part
	layer := func(files map[string][]byte) {
		var plain, zipped bytes.Buffer
		tw := tar.NewWriter(&plain)
		for name, data := range files {
			_ = tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))})
			_, _ = tw.Write(data)
		}
		_ = tw.Close()
		diffs = append(diffs, fmt.Sprintf("sha256:%x", sha256.Sum256(plain.Bytes())))
		zw := gzip.NewWriter(&zipped)
		_, _ = zw.Write(plain.Bytes())
		_ = zw.Close()
		layers = append(layers, add("application/vnd.docker.image.rootfs.diff.tar.gzip", zipped.Bytes()))
	}
	padding, _ := io.ReadAll(noise(byte(time.Now().UnixNano()), 4<<20))
	layer(map[string][]byte{"bin/sh": shell})
	layer(map[string][]byte{"padding": padding})
	slow := layers[1].Digest
	config, _ := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Cmd": []string{"sh"}, "Env": []string{"PATH=/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	})
	const kind = "application/vnd.docker.distribution.manifest.v2+json"
	manifest, _ := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind, "config": add("application/vnd.docker.container.image.v1+json", config), "layers": layers,
	})
	name := strings.ToLower(unique("slow"))

	l := listenInEngine(t)
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path, digest := strings.TrimPrefix(r.URL.Path, "/v2/"+name), filepath.Base(r.URL.Path); {
		case r.URL.Path == "/v2/":
		case strings.HasPrefix(path, "/manifests/"):
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256(manifest)))
			_, _ = w.Write(manifest)
		case strings.HasPrefix(path, "/blobs/") && digest == slow:
			w.Header().Set("Content-Length", fmt.Sprint(len(blobs[slow])))
			for rest := blobs[slow]; len(rest) > 0; time.Sleep(50 * time.Millisecond) {
				n := min(len(rest), 128<<10)
				if _, err := w.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		case strings.HasPrefix(path, "/blobs/") && blobs[digest] != nil:
			_, _ = w.Write(blobs[digest])
		default:
			http.NotFound(w, r)
		}
	})}
	go server.Serve(l) //nolint:errcheck // ends with Close alone
	t.Cleanup(func() { server.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port + "/" + name + ":1"
}

// listenInEngine listens on the loopback address that the Engine has.
func listenInEngine(t *testing.T) net.Listener {
	t.Helper()
	var l net.Listener
	err := inEnginesNetwork(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// inEnginesNetwork runs f in the network of an Engine that has its own.
func inEnginesNetwork(f func() error) error {
	there := os.Getenv("MOORGATE_ENGINE_NETNS")
	if there == "" {
		return f()
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and ends with the thread, which is left there
		n, err := os.Open(there)
		if err == nil {
			defer n.Close()
			err = unix.Setns(int(n.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		failed <- err
	}()
	return <-failed
}
