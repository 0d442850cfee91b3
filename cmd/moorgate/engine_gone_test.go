package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// wire is a way to the Engine that can be cut.
type wire struct {
	t      *testing.T
	socket string // in front of it
	engine string // behind it

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool // to the Engine
}

func newWire(t *testing.T, e *engine) *wire {
	w := &wire{t: t, socket: filepath.Join(shortDir(t), "wire.sock"), engine: strings.TrimPrefix(e.address, "unix://"), conns: map[net.Conn]bool{}}
	w.mend()
	t.Cleanup(w.cut)
	return w
}

func (w *wire) mend() {
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.listener = l
	w.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
}

// carry is as transparent as a wire: an end goes through, and when one side has
// closed altogether the other one is closed.
func (w *wire) carry(c net.Conn) {
	defer c.Close()
	e, err := net.Dial("unix", w.engine)
	if err != nil {
		return
	}
	w.mu.Lock()
	w.conns[e] = true
	w.mu.Unlock()
	defer func() {
		e.Close()
		w.mu.Lock()
		delete(w.conns, e)
		w.mu.Unlock()
	}()
	var both sync.WaitGroup
	pump := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil || to.(*net.UnixConn).CloseWrite() != nil {
			to.Close()
			from.Close()
		}
	}
	both.Go(func() { pump(e, c) })
	both.Go(func() { pump(c, e) })
	both.Wait()
}

// cut is what a killed Engine looks like.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listener.Close()
	for e := range w.conns {
		e.Close()
	}
}

// An Engine that is killed amid streams: each is cut, and none ends as if all
// had come. Those who ask are told; when it is back, all is well again.
func TestEngineKilled(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	w := newWire(t, e)
	s := start(t, plainConfig, "unix://"+w.socket)
	box := e.run("while :; do echo line; sleep 0.01; done")
	stubborn := e.run("trap '' TERM; while :; do sleep 1; done")
	get := func(target string) string { return "GET /v1.41" + target + " HTTP/1.1\r\nHost: d\r\n\r\n" }

	x := s.exec(box, "cat")
	io.WriteString(x, "alive\n")
	if got := make([]byte, 8+6); true {
		if _, err := io.ReadFull(x.frames, got); err != nil || string(got[8:]) != "alive\n" {
			t.Fatalf("exec: %q, %v", got, err)
		}
	}
	bodies := map[string]io.ReadCloser{}
	for name, target := range map[string]string{
		"events": "/events",
		"logs":   "/containers/" + box + "/logs?follow=1&stdout=1",
		"stats":  "/containers/" + box + "/stats",
	} {
		_, _, resp := s.stream(200, get(target))
		bodies[name] = resp.Body
	}
	_, _, wait := s.stream(200, "POST /v1.41/containers/"+box+"/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
	bodies["wait"] = wait.Body
	for _, name := range []string{"logs", "stats"} {
		if _, err := io.ReadFull(bodies[name], make([]byte, 10)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	stopped := make(chan answer, 1)
	go func() { stopped <- s.ask("m.sock", "POST", "/v1.41/containers/"+stubborn+"/stop?t=60") }()
	await(t, "the container is being stopped", func() bool { return e.goroutines("postContainersStop") > 0 })

	w.cut()
	for name, body := range bodies {
		if _, err := io.Copy(io.Discard, body); err != io.ErrUnexpectedEOF {
			t.Errorf("%s ended with %v, not amid a chunk", name, err)
		}
	}
	if n, _ := io.Copy(io.Discard, x.frames); n != 0 {
		t.Errorf("exec gave %d more bytes", n)
	}
	a := <-stopped
	if want := "moorgate: engine local at unix://" + w.socket + " broke off without an answer: look at its log"; a.StatusCode != 502 || a.message() != want || a.ours() != nil {
		t.Errorf("stop: got %d %.300s, %v", a.StatusCode, a.body, a.ours())
	}
	for _, target := range []string{"/v1.41/containers/json", "/_ping"} {
		a := s.ask("m.sock", "GET", target)
		if want := "moorgate: engine local at unix://" + w.socket + " is away: start it, or mend its address: "; a.StatusCode != 502 || !strings.HasPrefix(a.message(), want) || a.ours() != nil {
			t.Errorf("%s: got %d %.300s, %v", target, a.StatusCode, a.body, a.ours())
		}
	}
	if a := s.ask("admin.sock", "GET", "/readyz"); a.StatusCode != 503 {
		t.Errorf("/readyz: got %d %.300s", a.StatusCode, a.body)
	}
	for _, r := range s.records() {
		if strings.HasSuffix(r.Path, "/events") && r.Error == "" {
			t.Errorf("the record of events tells no error: %+v", r)
		}
	}

	w.mend()
	if a := s.ask("m.sock", "GET", "/v1.41/containers/"+box+"/json"); a.StatusCode != 200 {
		t.Errorf("when the Engine is back: got %d %.300s", a.StatusCode, a.body)
	}
	if a := s.ask("admin.sock", "GET", "/readyz"); a.StatusCode != 200 {
		t.Errorf("/readyz when the Engine is back: got %d %.300s", a.StatusCode, a.body)
	}
	x = s.exec(box, "echo", "back")
	var said strings.Builder
	if err := x.copyTo(&said); err != nil || said.String() != "back\n" {
		t.Errorf("exec when the Engine is back: %q, %v", said.String(), err)
	}
}

// goroutines counts those of the Engine that are in a function.
func (e *engine) goroutines(function string) (n int) {
	e.t.Helper()
	resp, err := e.client.Get("http://docker/debug/pprof/goroutine?debug=1")
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	for stack := range strings.SplitSeq(string(text), "\n\n") {
		if strings.Contains(stack, "."+function) {
			stack = strings.TrimPrefix(stack[strings.LastIndex(stack[:strings.Index(stack, " @ ")], "\n")+1:], "\n")
			k, err := strconv.Atoi(strings.Fields(stack)[0])
			if err != nil {
				e.t.Fatalf("no count of goroutines: %.100s", stack)
			}
			n += k
		}
	}
	return n
}

// A docker client that is killed leaves nothing behind: not with the Engine,
// and not in moorgate.
func TestEngineClientKilled(t *testing.T) { // not in parallel: it counts what the Engine does
	e := realEngine(t)
	w := newWire(t, e)
	s := start(t, plainConfig, "unix://"+w.socket)
	box := e.run("while :; do echo line; sleep 0.1; done", `"OpenStdin":true`) // without, Engine 20.10 itself forgets who is attached
	registry := silentRegistry(t)
	build := t.TempDir()
	write(t, build, "Dockerfile", "FROM "+busybox+"\nRUN echo "+t.Name()+strconv.FormatInt(time.Now().UnixNano(), 36)+"; sleep 1000\n")
	docker := dockerCLI(t)

	const each = 3
	clients := []struct {
		function string // of the Engine, while the client lives
		command  []string
	}{
		{"postContainersAttach", []string{"attach", box}},
		{"postContainerExecStart", []string{"exec", "-i", box, "cat"}},
		{"getEvents", []string{"events"}},
		{"getContainersLogs", []string{"logs", "-f", box}},
		{"getContainersStats", []string{"stats", box}},
		{"postContainersWait", []string{"wait", box}},
		{"postImagesCreate", []string{"pull", "-q", registry.Addr().String() + "/x"}},
		{"postBuild", []string{"build", "-q", build}},
		{"postContainerExecStart", []string{"exec", box, "sleep", "1000"}},
	}
	up := func(value string) {
		t.Helper()
		await(t, "moorgate_engine_up "+value, func() bool { return s.metric(`moorgate_engine_up{engine="local"}`) == value })
	}
	up("1")
	before := s.held()
	engineBefore := map[string]int{}
	for _, c := range clients {
		engineBefore[c.function] = e.goroutines(c.function)
	}

	var started []*exec.Cmd
	for _, c := range clients {
		for range each {
			p := exec.Command(docker, c.command...)
			p.Env = append(os.Environ(), "DOCKER_HOST=unix://"+s.path("m.sock"), "DOCKER_CONFIG="+t.TempDir(), "DOCKER_BUILDKIT=0", "BUILDKIT_PROGRESS=plain")
			in, _ := p.StdinPipe()
			defer in.Close()
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			started = append(started, p)
		}
	}
	t.Cleanup(func() {
		for _, p := range started {
			p.Process.Kill()
		}
	})
	streams := func(kind, n string) {
		t.Helper()
		await(t, n+" streams of "+kind, func() bool { return s.metric(`moorgate_streams{kind="`+kind+`"}`) == n })
	}
	streams("hijack", fmt.Sprint(3*each)) // attach and both of exec
	for _, c := range clients {
		want := engineBefore[c.function] + each
		if c.function == "postBuild" || c.function == "postImagesCreate" {
			want = engineBefore[c.function] + 1 // the Engine may let several share one
		}
		await(t, fmt.Sprintf("the Engine is in %s %d times", c.function, want), func() bool { return e.goroutines(c.function) >= want })
	}
	if during := s.held(); during.files <= before.files || during.goroutines <= before.goroutines {
		t.Errorf("moorgate has %v with clients, and had %v without: nothing is measured", during, before)
	}
	for _, p := range started {
		p.Process.Signal(syscall.SIGKILL)
		p.Wait()
	}
	begin := time.Now()
	streams("hijack", "0")
	streams("stream", "0")
	for _, c := range clients {
		left := engineBefore[c.function]
		if c.function == "postContainerExecStart" {
			left += each // of a silent one the Engine itself keeps its end
		}
		await(t, "the Engine has left "+c.function, func() bool { return e.goroutines(c.function) <= left })
		t.Logf("the Engine has left %s after %s", c.function, time.Since(begin).Round(time.Millisecond))
	}
	await(t, "nobody waits at the registry", func() bool { return registry.live() == 0 })
	w.cut() // moorgate lets go of the connections that wait for requests
	up("0")
	w.mend()
	up("1")
	var after held
	await(t, "moorgate is as it was", func() bool {
		after = s.held()
		return after.files <= before.files && after.goroutines <= before.goroutines
	})
	t.Logf("moorgate had %v before and has %v", before, after)
	if n := len(slices.DeleteFunc(s.records(), func(r record) bool { return r.Action != "container.attach" })); n != each {
		t.Errorf("%d records of %d attachments", n, each)
	}
}

// held is what moorgate holds.
type held struct{ files, goroutines int }

func (s *server) held() held {
	s.t.Helper()
	goroutines, err := strconv.Atoi(s.metric("go_goroutines"))
	if err != nil {
		s.t.Fatal(err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.process.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return held{len(files), goroutines}
}

// dockerCLI is the docker command that deploy/engine found or built.
func dockerCLI(t *testing.T) string {
	out, err := exec.Command("../../deploy/engine", "cli").Output()
	if err != nil {
		t.Fatalf("deploy/engine cli: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// silent is a registry that takes connections and never says a word: a pull
// from it goes on for ever.
type silent struct {
	net.Listener
	mu    sync.Mutex
	conns int
}

func (l *silent) live() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns
}

func silentRegistry(t *testing.T) *silent {
	host := "127.0.0.1"
	if ip := net.ParseIP(os.Getenv("MOORGATE_ENGINE_IP")).To4(); ip != nil {
		ip[3]-- // this end of the Engine's own network
		host = ip.String()
	}
	inner, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	l := &silent{Listener: inner}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.conns++
			l.mu.Unlock()
			go func() {
				io.Copy(io.Discard, c)
				c.Close()
				l.mu.Lock()
				l.conns--
				l.mu.Unlock()
			}()
		}
	}()
	return l
}
