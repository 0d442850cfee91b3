package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary a moorgate too, first in PATH: what these
// tests run is the whole program, in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"moorgate": main})
}

// patience is how long a test waits for what takes milliseconds on a quiet
// machine.
const patience = 20 * time.Second

// server is a moorgate that runs.
type server struct {
	t       testing.TB
	dir     string // of its sockets and files
	process *exec.Cmd
	log     *output
	ended   chan struct{}
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// plainConfig lets whoever runs the tests do everything.
const plainConfig = `
listen:
  - { address: unix://DIR/m.sock, mode: "0600", identify: [peer] }
  - { address: unix://DIR/admin.sock, serve: [admin] }
engines: { local: { address: ENGINE } }
users: { tester: { uid: UID, roles: [admin] } }
roles: { admin: { allow: ["*"], scope: all, images: any, containers: any } }
audit: { file: audit.jsonl }
drain: 200ms
`

// unixAddress finds the listeners that start waits for.
var unixAddress = regexp.MustCompile(`address: unix://(DIR/\S+\.sock)`)

// start serves a configuration until the test ends. In it DIR stands for a new
// directory, UID for whoever runs the test, ENGINE for the Engine's address.
func start(t testing.TB, config, engine string, change ...func(*server)) *server {
	t.Helper()
	s := &server{t: t, dir: shortDir(t), log: &output{}, ended: make(chan struct{})}
	replace := strings.NewReplacer("DIR", s.dir, "UID", strconv.Itoa(os.Getuid()), "ENGINE", engine)
	s.process = exec.Command("moorgate", "serve", "--config", write(t, s.dir, "config.yaml", replace.Replace(config)))
	s.process.Stdout, s.process.Stderr = s.log, s.log
	for _, c := range change {
		c(s)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.process.Wait()
	}()
	t.Cleanup(func() {
		if s.running() {
			s.process.Process.Signal(syscall.SIGTERM)
			if code := s.wait(); code != 0 {
				t.Errorf("moorgate ended with %d", code)
			}
		}
		if strings.Contains(s.log.String(), "panic") {
			t.Error("moorgate panicked")
		}
		if log := s.log.String(); t.Failed() {
			t.Logf("moorgate's log:\n%s", log[max(0, len(log)-8<<10):])
		}
	})
	for _, found := range unixAddress.FindAllStringSubmatch(config, -1) {
		socket := replace.Replace(found[1])
		await(t, "listening on "+socket, func() bool {
			if !s.running() {
				t.Fatalf("moorgate ended:\n%s", s.log)
			}
			c, err := net.Dial("unix", socket)
			if err != nil {
				return false
			}
			c.Close()
			return true
		})
	}
	return s
}

// shortDir is a directory that others may enter and whose name leaves room for
// a socket's.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// await asks until the answer is yes.
func await(t testing.TB, what string, yes func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if yes() {
			return
		}
	}
	t.Fatalf("not so after %s: %s", patience, what)
}

func (s *server) running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// wait gives the exit code once moorgate has ended; -1 for a signal's.
func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.process.Process.Kill()
		<-s.ended
		s.t.Errorf("moorgate did not end within %s", patience)
	}
	return s.process.ProcessState.ExitCode()
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// dial connects to one of moorgate's sockets; reads and writes fail when they
// take too long.
func (s *server) dial(socket string) *net.UnixConn {
	s.t.Helper()
	c, err := net.Dial("unix", s.path(socket))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	return c.(*net.UnixConn)
}

// client makes requests on connections of its own to one of moorgate's
// sockets.
func (s *server) client(socket string) *http.Client { return unixClient(s.t, s.path(socket)) }

func unixClient(t testing.TB, socket string) *http.Client {
	tr := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask makes one request and reads the answer.
func (s *server) ask(socket, method, target string, fields ...string) answer {
	s.t.Helper()
	return ask(s.t, s.client(socket), method, "http://docker"+target, fields...)
}

// answer is what came back, read whole.
type answer struct {
	*http.Response
	body string
}

// message is the message of an answer in the Engine's shape of errors.
func (a answer) message() string {
	var e struct{ Message *string }
	if a.Header.Get("Content-Type") != "application/json" || json.Unmarshal([]byte(a.body), &e) != nil || e.Message == nil {
		return "not the Engine's shape: " + a.body
	}
	return *e.Message
}

func ask(t testing.TB, c *http.Client, method, url string, fields ...string) answer {
	t.Helper()
	defer c.CloseIdleConnections()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		key, value, _ := strings.Cut(f, ": ")
		r.Header.Set(key, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answer{resp, string(body)}
}

// ours says what is wrong with an answer that moorgate itself has made.
func (a answer) ours() error {
	switch {
	case a.Header.Get("Moorgate-Request-Id") == "":
		return errors.New("has no Moorgate-Request-Id")
	case a.Header.Get("Server") != "":
		return errors.New("has Server: " + a.Header.Get("Server"))
	}
	return nil
}
