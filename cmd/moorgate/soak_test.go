//go:build soak && linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
	"moorgate/proxy/enginetest/load"
)

const (
	// soakConnections work at the same time.
	soakConnections = 200

	// soakPatience ends a wait that no machine is too slow for.
	soakPatience = time.Minute
)

// TestSoak works with moorgate in all ways at once, politely and not, for ten
// minutes or as long as SOAK says (30s): at the end it has the goroutines, the
// descriptors and the memory that it had after a tenth of that time.
func TestSoak(t *testing.T) {
	length := 10 * time.Minute
	if v := os.Getenv("SOAK"); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
	}
	if err := load.OpenFiles(8 * soakConnections); err != nil {
		t.Fatal(err)
	}
	k := newSoak(t)
	k.work(length / 10)
	before := k.rest(holding{})
	k.work(length)
	after := k.rest(before)
	t.Logf("before %v\nafter  %v", before, after)
	var done []string
	for i, task := range soakTasks {
		if done = append(done, fmt.Sprintf("%s %d", task.name, k.done[i].Load())); k.done[i].Load() == 0 {
			t.Errorf("%s: never done", task.name)
		}
	}
	t.Log("done: ", strings.Join(done, ", "))
}

type soak struct {
	*testing.T
	server *server
	socket string
	create []byte
	done   []atomic.Int64 // of each task
	faults atomic.Int32
}

func newSoak(t *testing.T) *soak {
	dir := shortDir(t)
	l, err := net.Listen("unix", filepath.Join(dir, "e"))
	if err != nil {
		t.Fatal(err)
	}
	go enginetest.Serve(l)
	t.Cleanup(func() { l.Close() })
	config := strings.Replace(plainConfig, "audit.jsonl }", "audit.jsonl, max_size: 16MiB, keep: 1 }", 1)
	k := &soak{T: t, done: make([]atomic.Int64, len(soakTasks))}
	k.server = start(t, config, "unix://"+l.Addr().String(), func(s *server) {
		s.process.Env = append(os.Environ(), "GOGC=50") // what is not used is seen as such soon
	})
	k.socket = k.server.path("m.sock")
	text, err := os.ReadFile("testdata/bench/create.json")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	k.create = load.Request("POST", "/v1.41/containers/create?name=soak", "", b.String())
	return k
}

// work keeps all connections busy for a while.
func (k *soak) work(d time.Duration) {
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for i := range soakConnections {
		all.Go(func() {
			w := &worker{soak: k, rnd: rand.New(rand.NewPCG(uint64(i), 1))}
			for time.Now().Before(end) && k.faults.Load() < 20 {
				n := w.rnd.IntN(len(soakTasks))
				if err := soakTasks[n].do(w); err != nil {
					k.faults.Add(1)
					k.Errorf("%s: %v", soakTasks[n].name, err)
				}
				k.done[n].Add(1)
				w.pause(20)
			}
			w.hangUp()
		})
	}
	all.Wait()
}

// holding is what moorgate has.
type holding struct{ goroutines, descriptors, memory int64 }

func (u holding) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MiB", u.goroutines, u.descriptors, float64(u.memory)/(1<<20))
}

// rest gives what moorgate has once nobody works with it: what it needs is no
// more than limit, with a little for the connections and pipes that it keeps,
// or the test fails. With no limit it waits until nothing becomes less.
func (k *soak) rest(limit holding) holding {
	const patience = time.Minute
	var now holding
	for end := time.Now().Add(patience); time.Now().Before(end); {
		before := now
		// Garbage is only collected while there is more of it.
		r := load.Rate{Socket: k.socket, Connections: 2, For: 500 * time.Millisecond, Request: load.Ping, Status: 200, Size: 2}
		if _, _, err := r.Run(); err != nil {
			k.Fatal(err)
		}
		now = holding{
			k.metric("go_goroutines"),
			k.metric("process_open_fds"),
			k.metric("go_memstats_heap_inuse_bytes") + k.metric("go_memstats_stack_inuse_bytes"),
		}
		switch {
		case limit == holding{} && before.goroutines == now.goroutines && before.descriptors == now.descriptors && now.memory > before.memory-1<<20:
			return now
		case limit != holding{} && now.goroutines <= limit.goroutines+4 && now.descriptors <= limit.descriptors+20 && now.memory <= limit.memory+limit.memory/5+(2<<20):
			return now
		}
	}
	if limit != (holding{}) {
		k.Errorf("moorgate has %v, and had %v before", now, limit)
	}
	return now
}

func (k *soak) metric(name string) int64 {
	v, err := strconv.ParseFloat(k.server.metric(name), 64)
	if err != nil {
		k.Fatalf("metric %s: %v", name, err)
	}
	return int64(v)
}

// worker does one thing after the other, plain requests on a connection that it
// keeps.
type worker struct {
	*soak
	rnd  *rand.Rand
	kept *load.Conn
}

func (w *worker) hangUp() {
	if w.kept != nil {
		w.kept.Close()
		w.kept = nil
	}
}

// pause takes up to that many milliseconds.
func (w *worker) pause(ms int) { time.Sleep(time.Duration(w.rnd.IntN(ms*1000)) * time.Microsecond) }

// soakTasks are what there is to do. A stream that is cut is left in its middle.
var soakTasks = []struct {
	name string
	do   func(*worker) error
}{
	{"ping", func(w *worker) error { return w.ask(load.Ping, 200) }},
	{"list", func(w *worker) error { return w.ask(get("/containers/json?all=1"), 200) }},
	{"create", func(w *worker) error { return w.ask(w.create, 201) }},
	{"missing", func(w *worker) error { return w.ask(get("/containers/missing/json"), 404) }},
	{"refused", func(w *worker) error { return w.ask(get("/containers/json?all=1&all=0"), 400) }},
	{"wait", func(w *worker) error {
		return w.ask(load.Request("POST", "/v1.41/containers/wait-20ms/wait", "", ""), 200)
	}},
	{"truncated", (*worker).truncated},
	{"echo", func(w *worker) error { return w.echo("1.41", false) }},
	{"framed echo, cut", func(w *worker) error { return w.echo("1.44", true) }},
	{"to the client", func(w *worker) error { return load.Source(w.socket, 1<<20) }},
	{"framed", func(w *worker) error { return load.Frames(w.socket, 2<<20) }},
	{"to the client, cut", func(w *worker) error { return w.left("/v1.41/containers/source-64m/attach?stream=1", 101) }},
	{"framed, cut", func(w *worker) error { return w.left("/v1.44/containers/frames-64m/attach?stream=1", 101) }},
	{"to the Engine", func(w *worker) error { return load.Sink(w.socket, 1<<20) }},
	{"to the Engine, cut", (*worker).sink},
	{"events", func(w *worker) error { return w.left("/v1.41/events?since=20", 200) }},
	{"stats", func(w *worker) error { return w.left("/v1.41/containers/x/stats", 200) }},
	{"download", func(w *worker) error { return load.Download(w.socket, 1<<20) }},
	{"download, cut", func(w *worker) error { return w.left("/v1.41/containers/64m/export", 200) }},
	{"upload", func(w *worker) error { return load.Upload(w.socket, 512<<10) }},
	{"upload, cut", (*worker).upload},
	{"left before the answer", (*worker).leave},
}

func get(target string) []byte { return load.Request("GET", "/v1.41"+target, "", "") }

// ask asks on the kept connection.
func (w *worker) ask(request []byte, want int) error {
	if w.kept == nil || w.rnd.IntN(20) == 0 {
		w.hangUp()
		c, err := load.Dial(w.socket)
		if err != nil {
			return err
		}
		w.kept = c
	}
	w.kept.SetDeadline(time.Now().Add(soakPatience))
	status, _, err := w.kept.Do(request, nil)
	if err == nil && status != want {
		err = fmt.Errorf("status %d, want %d", status, want)
	}
	if err != nil || status >= 400 { // which may end the connection
		w.hangUp()
	}
	return err
}

// open asks for a stream, whose head it reads.
func (w *worker) open(target string, status int) (*load.Conn, error) {
	method, fields := "POST", load.Upgrade
	if status == 200 {
		method, fields = "GET", ""
	}
	return load.Open(w.socket, load.Request(method, target, fields, ""), status)
}

// left opens a stream and leaves it after a while, with a part of it read or
// nothing.
func (w *worker) left(target string, status int) error {
	c, err := w.open(target, status)
	if err != nil {
		return err
	}
	defer c.Close()
	if w.rnd.IntN(2) == 0 {
		if err := c.Exact(int64(1 + w.rnd.IntN(200))); err != nil {
			return err
		}
	}
	w.pause(100)
	return nil
}

// echo writes lines and reads them, with pauses, and ends the stream.
func (w *worker) echo(version string, cut bool) error {
	c, err := w.open("/v"+version+"/containers/echo/attach?stream=1&stdin=1&stdout=1", 101)
	if err != nil {
		return err
	}
	defer c.Close()
	e := load.Echo{Conn: c}
	for range w.rnd.IntN(10) {
		if err := e.Line(); err != nil {
			return err
		}
		w.pause(5)
	}
	if cut {
		return nil
	}
	if err := c.Conn.(*net.UnixConn).CloseWrite(); err != nil {
		return err
	}
	n, err := c.Drain()
	if err == nil && n != 0 {
		err = fmt.Errorf("%d bytes that nobody sent", n)
	}
	return err
}

// truncated takes an answer that the Engine breaks off: it must not seem whole.
func (w *worker) truncated() error {
	c, err := load.Dial(w.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(soakPatience))
	if _, _, err := c.Do(get("/containers/truncated-100k/export"), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("an answer that was broken off ends with %v", err)
	}
	return nil
}

// send writes pieces until moorgate takes no more or it is enough, and leaves.
func (w *worker) send(c *load.Conn, piece []byte) error {
	defer c.Close()
	for range w.rnd.IntN(100) {
		if _, err := c.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) sink() error {
	c, err := w.open("/v1.41/containers/sink/attach?stream=1&stdin=1", 101)
	if err != nil {
		return err
	}
	return w.send(c, make([]byte, 32<<10))
}

// upload leaves in the middle of an archive, and of a chunk.
func (w *worker) upload() error {
	c, err := load.Dial(w.socket)
	if err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(soakPatience))
	head := load.Request("POST", "/v1.41/images/load", "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n", "")
	if _, err := c.Write(slices.Concat(head, []byte("4000000\r\n"))); err != nil {
		return err
	}
	return w.send(c, make([]byte, 32<<10))
}

func (w *worker) leave() error {
	c, err := load.Dial(w.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(get("/containers/slow-200ms/json")); err != nil {
		return err
	}
	w.pause(40)
	return nil
}
