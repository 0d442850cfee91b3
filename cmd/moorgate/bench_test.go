//go:build bench && linux

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
	"moorgate/proxy/enginetest/load"
)

// TestBench measures moorgate, with identity, policy, ownership and audit on,
// beside a plain httputil.ReverseProxy and the Engine without either, and then
// what ownership costs. Environment:
//
//	BENCH_OUT           a file that gets the table too
//	BENCH_SHORT         fewer and shorter rounds, about 30 s (as -short)
//	BENCH_PERSONAL      moorgate in personal mode: identity and audit, but no policy and no ownership
//	BENCH_ROWS          only the rows whose names match this regular expression
//	MOORGATE_ENGINE     unix:// address of a real Engine, for two more rows
//	MOORGATE_BENCH_BIN  measures this binary of moorgate, and builds none
//	MOORGATE_BENCH_CMD  measures this command; {listen} and {upstream} are its sockets' paths
func TestBench(t *testing.T) {
	b := newBench(t)
	stub := b.child("stub", b.path("stub.sock"))
	b.ready(stub)
	b.upstream = stub.Socket
	b.verify()
	b.throughput(stub)
	b.ownership()
	b.memory()
	b.startUp()
	stub.Stop()
	if engine := os.Getenv("MOORGATE_ENGINE"); engine != "" {
		b.upstream = strings.TrimPrefix(engine, "unix://")
		b.realEngine()
	}
	b.report()
}

const (
	directTarget, plainTarget, moorgateTarget = "direct", "plain", "moorgate"

	benchConnections = 16

	cpuUnit = "CPU µs each"

	// benchChild makes the test binary be a child of the bench: its value is
	// what it is to be.
	benchChild = "MOORGATE_BENCH_CHILD"
)

// As a child of the bench the binary is the stub engine or the plain proxy and
// runs no tests. An init does that, since TestMain belongs to the other tests.
func init() {
	kind := os.Getenv(benchChild)
	if kind == "" {
		return
	}
	l, err := net.Listen("unix", os.Getenv("BENCH_LISTEN"))
	if err == nil && kind == "stub" {
		err = enginetest.Serve(l)
	} else if err == nil {
		err = load.Plain(l, os.Getenv("BENCH_UPSTREAM"))
	}
	log.Fatal(err)
}

type bench struct {
	*testing.T
	dir      string
	upstream string // the Engine's socket
	table    load.Table
	scopes   load.Table // what ownership costs
	rounds   int
	round    time.Duration
	bulk     int64 // bytes of a download or upload
	streams  int
	bin      string
	stubCPU  float64 // µs a ping
	begun    int     // processes, for the names of their files
	only     *regexp.Regexp
}

// wants says whether a row is to be measured.
func (b *bench) wants(work string) bool { return b.only.MatchString(work) }

func newBench(t *testing.T) *bench {
	b := &bench{T: t, rounds: 5, round: time.Second, bulk: 256 << 20, streams: 5000}
	if testing.Short() || os.Getenv("BENCH_SHORT") != "" {
		b.rounds, b.round, b.bulk, b.streams = 3, 300*time.Millisecond, 64<<20, 500
	}
	b.only = regexp.MustCompile(os.Getenv("BENCH_ROWS"))
	b.table.Targets = []string{directTarget, plainTarget, moorgateTarget}
	b.scopes.Targets = []string{scopeAll, scopeOwn}
	// t.TempDir is too long for sockets' paths.
	var err error
	if b.dir, err = os.MkdirTemp("", "mb"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(b.dir) })
	b.must(load.OpenFiles(2*b.streams + 200)) // a proxy has two of each stream
	switch {
	case os.Getenv("MOORGATE_BENCH_CMD") != "":
	case os.Getenv("MOORGATE_BENCH_BIN") != "":
		b.bin = os.Getenv("MOORGATE_BENCH_BIN")
	default:
		b.bin = b.path("moorgate")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.bin, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // static, as the Makefile builds it: that starts faster
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building cmd/moorgate, which this measures: %v\n%s", err, out)
		}
	}
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// child starts the test binary as the stub or the plain proxy.
func (b *bench) child(kind, socket string) *load.Process {
	self, err := os.Executable()
	b.must(err)
	return b.start(kind, socket, exec.Command(self), benchChild+"="+kind, "BENCH_LISTEN="+socket, "BENCH_UPSTREAM="+b.upstream)
}

// benchConfig is for a developer who sees what is theirs, and may create what
// testdata/bench/create.json asks for.
const benchConfig = `
listen: [ { address: unix://DIR/m.sock, mode: "0600", identify: [peer] } ]
engines: { local: { address: unix://ENGINE } }
users: { tester: { uid: UID, roles: [developer] } }
roles:
  developer:
    allow: [read, "container.*", "exec.*", "image.*", "volume.*", "network.*"]
    deny: [container.prune]
    scope: SCOPE
    images:
      - { deny: "**:latest" }
      - { allow: "registry.example.com/shop/*" }
      - { allow: "docker.io/shop/*" }
      - { allow: "moorgate.test/**" }
    containers:
      binds: ["/srv/${user}/**", "/srv/shop/**:ro"]
      networks: [bridge, none, shop_default]
      ports: ["1-65535"]
      runtimes: [runc]
      limits: { memory: 2GiB, cpus: 2, pids: 512 }
audit: { file: audit.jsonl }
`

// proxy starts a target in front of the Engine.
func (b *bench) proxy(target string) *load.Process {
	b.begun++
	dir := b.path(fmt.Sprint(b.begun))
	b.must(os.Mkdir(dir, 0o700))
	socket := filepath.Join(dir, "m.sock")
	if target == plainTarget {
		return b.child(plainTarget, socket)
	}
	if command := os.Getenv("MOORGATE_BENCH_CMD"); command != "" {
		f := strings.Fields(strings.NewReplacer("{listen}", socket, "{upstream}", b.upstream).Replace(command))
		return b.start(target, socket, exec.Command(f[0], f[1:]...))
	}
	if target == moorgateTarget && os.Getenv("BENCH_PERSONAL") != "" {
		return b.start(target, filepath.Join(dir, "moorgate", "docker.sock"), exec.Command(b.bin, "serve"),
			"HOME="+dir, "XDG_RUNTIME_DIR="+dir, "DOCKER_HOST=unix://"+b.upstream)
	}
	scope := "own"
	if target == scopeAll {
		scope = "all"
	}
	config := strings.NewReplacer("DIR", dir, "UID", fmt.Sprint(os.Getuid()), "ENGINE", b.upstream, "SCOPE", scope).Replace(benchConfig)
	file := filepath.Join(dir, "config.yaml")
	b.must(os.WriteFile(file, []byte(config), 0o600))
	return b.start(target, socket, exec.Command(b.bin, "serve", "--config", file))
}

func (b *bench) start(name, socket string, cmd *exec.Cmd, env ...string) *load.Process {
	b.begun++
	p, err := load.Start(name, socket, b.path(fmt.Sprintf("%s-%d.log", name, b.begun)), cmd, env...)
	b.must(err)
	b.Cleanup(p.Stop)
	return p
}

func (b *bench) ready(p *load.Process) time.Duration {
	b.Helper()
	took, err := p.Ready()
	b.must(err)
	return took
}

// benchTarget is where a request goes. Of direct the process is the stub, or
// nil for a real Engine.
type benchTarget struct {
	name, socket string
	process      *load.Process
}

func (b *bench) targets(engine *load.Process) []benchTarget {
	all := []benchTarget{{directTarget, b.upstream, engine}}
	return append(all, b.proxies(plainTarget, moorgateTarget)...)
}

func (b *bench) proxies(names ...string) (all []benchTarget) {
	for _, name := range names {
		p := b.proxy(name)
		b.ready(p)
		all = append(all, benchTarget{name, p.Socket, p})
	}
	return all
}

func (b *bench) stop(all []benchTarget) {
	for _, t := range all {
		if t.name != directTarget {
			t.process.Stop()
		}
	}
}

// cpu runs do and returns what t's process used meanwhile.
func (b *bench) cpu(t benchTarget, do func()) time.Duration {
	if t.process == nil {
		do()
		return 0
	}
	before, err := t.process.CPU()
	b.must(err)
	do()
	after, err := t.process.CPU()
	b.must(err)
	return after - before
}

// benchAsk is a row of requests.
type benchAsk struct {
	work    string
	request []byte
	fresh   bool
	status  int
	cut     bool // moorgate answers with what is the caller's alone
}

func (b *bench) asks() []benchAsk {
	body, err := os.ReadFile("testdata/bench/create.json")
	b.must(err)
	var compact bytes.Buffer // as clients send it
	b.must(json.Compact(&compact, body))
	all := []benchAsk{
		{"ping", load.Ping, false, 200, false},
		{"list, 50 KB chunked", load.Request("GET", "/v1.41/containers/json?all=1", "", ""), false, 200, false},
		{"list, cut to one's own", ownNetworks, false, 200, true},
		{"create, 4 KB", load.Request("POST", "/v1.41/containers/create?name=shop-worker-1", "", compact.String()), false, 201, false},
		{"new connection each", load.Ping, true, 200, false},
	}
	return slices.DeleteFunc(all, func(a benchAsk) bool { return !b.wants(a.work) })
}

// verify asks every target for what the rows ask for: a figure for a wrong
// answer would be no figure.
func (b *bench) verify() {
	all := b.targets(nil)
	defer b.stop(all)
	for _, a := range b.asks() {
		want, err := load.Ask(b.upstream, a.request)
		b.must(err)
		for _, t := range all[1:] {
			got, err := load.Ask(t.socket, a.request)
			if a.cut && t.name == moorgateTarget && isOwn(got, want) {
				continue
			}
			if err != nil || !bytes.Equal(got, want) {
				b.Fatalf("%s through %s: %d bytes that differ from the Engine's %d, error %v: %.300s", a.work, t.name, len(got), len(want), err, got)
			}
		}
	}
}

// throughput runs the rows that are interleaved: what disturbs the machine for
// a while disturbs all targets.
func (b *bench) throughput(stub *load.Process) {
	all := b.targets(stub)
	defer b.stop(all)
	rates := b.asks()
	for range b.rounds {
		for _, a := range rates {
			for _, t := range all {
				b.rate(a, t)
			}
		}
		for _, k := range load.Bulks {
			for _, t := range all {
				if b.wants(k.Work) {
					b.move(k, t)
				}
			}
		}
		for _, t := range all {
			const echo = "hijack, echo of a line"
			if !b.wants(echo) {
				continue
			}
			stream, err := load.OpenEcho(t.socket)
			b.must(err)
			b.count(echo, "round trips/s", t, stream.Line)
			stream.Close()
		}
	}
}

func (b *bench) rate(a benchAsk, t benchTarget) {
	answer, err := load.Ask(t.socket, a.request)
	b.must(err)
	r := load.Rate{Socket: t.socket, Connections: benchConnections, For: b.round / 10, Request: a.request, Fresh: a.fresh, Status: a.status, Size: int64(len(answer))}
	_, _, err = r.Run() // until benchConnections and heap are as they will be
	b.must(err)
	r.For = b.round
	var n int
	var took time.Duration
	used := b.cpu(t, func() { n, took, err = r.Run() })
	if err != nil || n == 0 {
		b.Fatalf("%s, %s: %d answers, error %v", a.work, t.name, n, err)
	}
	b.tableOf(t).Add(a.work, "requests/s", t.name, float64(n)/took.Seconds())
	b.addCPU(a.work, t, used, n)
}

// addCPU takes in what n requests cost t's process.
func (b *bench) addCPU(work string, t benchTarget, used time.Duration, n int) {
	if t.name != directTarget {
		b.tableOf(t).Add(work, cpuUnit, t.name, used.Seconds()*1e6/float64(n))
	} else if work == "ping" {
		b.stubCPU = used.Seconds() * 1e6 / float64(n)
	}
}

func (b *bench) tableOf(t benchTarget) *load.Table {
	if slices.Contains(b.scopes.Targets, t.name) {
		return &b.scopes
	}
	return &b.table
}

func (b *bench) move(k load.Bulk, t benchTarget) {
	var took time.Duration
	used := b.cpu(t, func() {
		begin := time.Now()
		if err := k.Do(t.socket, b.bulk); err != nil {
			b.Fatalf("%s, %s: %v", k.Work, t.name, err)
		}
		took = time.Since(begin)
	})
	b.table.Add(k.Work, "MiB/s", t.name, float64(b.bulk>>20)/took.Seconds())
	if t.name != directTarget {
		b.table.Add(k.Work, "CPU s per GiB", t.name, used.Seconds()*(1<<30)/float64(b.bulk))
	}
}

// memory measures each row in a process of its own: heap that earlier work left
// behind would hide the growth.
func (b *bench) memory() {
	for _, name := range []string{plainTarget, moorgateTarget} {
		for _, r := range load.Idle {
			if !b.wants(r.Work) {
				continue
			}
			p, before := b.warm(name)
			closeAll, err := load.Streams(p.Socket, r.Request, r.Status, b.streams)
			b.must(err)
			after, err := p.Memory()
			b.must(err)
			b.table.Add(r.Work, "KiB each", name, float64(after-before)/float64(b.streams))
			closeAll()
			p.Stop()
		}
		if !b.wants("upload, peak memory") {
			continue
		}
		p, before := b.warm(name)
		b.must(p.ResetPeak())
		b.must(load.Upload(p.Socket, b.bulk))
		peak, err := p.Peak()
		b.must(err)
		b.table.Add("upload, peak memory", "KiB above idle", name, float64(peak-before))
		p.Stop()
	}
}

// warm starts a target that has answered before, and returns the KiB it has.
func (b *bench) warm(name string) (*load.Process, int64) {
	p := b.proxy(name)
	b.ready(p)
	r := load.Rate{Socket: p.Socket, Connections: 4, For: 50 * time.Millisecond, Request: load.Ping, Status: 200, Size: 2}
	_, _, err := r.Run()
	b.must(err)
	before, err := p.Memory()
	b.must(err)
	return p, before
}

func (b *bench) startUp() {
	if !b.wants("start to first answer") {
		return
	}
	for range 2 * b.rounds {
		for _, name := range []string{plainTarget, moorgateTarget} {
			p := b.proxy(name)
			b.table.Add("start to first answer", "ms", name, b.ready(p).Seconds()*1e3)
			p.Stop()
		}
	}
}

// realEngine measures what no stub can: containers.
func (b *bench) realEngine() {
	const ping, execTrue, execEcho = "Engine: ping", "Engine: exec `true`", "Engine: exec echo"
	if !b.wants(ping) && !b.wants(execTrue) && !b.wants(execEcho) {
		return
	}
	all := b.targets(nil)
	defer b.stop(all)
	container, remove, err := load.Container(all[len(all)-1].socket) // moorgate's: else it would be nobody's
	b.must(err)
	defer remove()
	p := benchAsk{ping, load.Ping, false, 200, false}
	for range b.rounds {
		for _, t := range all {
			if b.wants(ping) {
				b.rate(p, t)
			}
		}
		for _, t := range all {
			if b.wants(execTrue) {
				b.count(execTrue, "execs/s", t, func() error { return load.ExecTrue(t.socket, container) })
			}
		}
		for _, t := range all {
			if !b.wants(execEcho) {
				continue
			}
			cat, err := load.ExecCat(t.socket, container)
			b.must(err)
			b.count(execEcho, "round trips/s", t, cat.Echo)
			cat.Close()
		}
	}
}

// count repeats do for a round.
func (b *bench) count(work, unit string, t benchTarget, do func() error) {
	n, begin := 0, time.Now()
	used := b.cpu(t, func() {
		for ; time.Since(begin) < b.round; n++ {
			if err := do(); err != nil {
				b.Fatalf("%s, %s: %v", work, t.name, err)
			}
		}
	})
	b.table.Add(work, unit, t.name, float64(n)/time.Since(begin).Seconds())
	b.addCPU(work, t, used, n)
}

func (b *bench) report() {
	text := fmt.Sprintf("%s\n%s\n%s, %s, %s. Medians of %d interleaved rounds of %v; requests from %d connections, unix sockets; "+
		"bulk rows move %d MiB on one connection; idle rows hold %d streams. CPU and memory are those of the proxy's process; the stub engine itself costs %.1f µs a ping.\n",
		b.table.String(), b.scopes.String(), load.Machine(), runtime.Version(), time.Now().UTC().Format(time.DateOnly),
		b.rounds, b.round, benchConnections, b.bulk>>20, b.streams, b.stubCPU)
	fmt.Print("\n" + text)
	if out := os.Getenv("BENCH_OUT"); out != "" {
		b.must(os.WriteFile(out, []byte(text), 0o644))
	}
}
