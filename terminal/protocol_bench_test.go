//go:build bench && linux

package terminal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/proxy"
	"moorgate/proxy/http1"
	"moorgate/router"
)

// Environment of the benchmark's child: the Engine's socket, which makes the
// test binary a server of terminals and of nothing else. It asks the Engine by way
// of the proxy, as moorgate does.
const benchSocket = "MOORGATE_BENCH_TERMINAL"

// What the benchmark must reach, beside a hijack without anything between.
const (
	leastThroughput = 0.9
	mostEchoDelay   = 150 * time.Microsecond
	mostCPU         = 2.0      // s for 200 MB, acknowledged
	mostIdle        = 60 << 10 // bytes a session
)

func init() {
	socket := os.Getenv(benchSocket)
	if socket == "" {
		return
	}
	debug.SetGCPercent(100) // as cmd/moorgate does where more than 16 MiB are in use
	log.Fatal(serveBench(socket))
}

func serveBench(socket string) error {
	engine, err := proxy.NewEngine("local", proxy.EngineConfig{Address: "unix://" + socket})
	if err != nil {
		return err
	}
	local := proxy.NewLocal()
	forward := proxy.Forward(proxy.PickFrom([]*proxy.Engine{engine}), nil)
	go (&http1.Server{Handler: router.NewMux(router.Table(), forward)}).Serve(local) //nolint:errcheck // lasts as long as the process
	server, err := New(Options{
		Dial:    local.Dial,
		May:     func(*identity.Identity, string, string) bool { return true },
		Roles:   func(who *identity.Identity) []string { return nil },
		Engines: func() []string { return []string{"local"} },
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h, err := server.Handler(Listener{Address: "tcp://" + l.Addr().String(), Sources: []identity.Source{bearer{}}, API: http.HandlerFunc(sayMemory)})
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return (&http1.Server{Handler: audit.Middleware("bench")(h)}).Serve(l)
}

func sayMemory(w http.ResponseWriter, _ *http.Request) {
	for range 4 { // what idles for minutes has seen so many: each halves stacks that are too large
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	send(w, 200, m.HeapInuse+m.StackInuse)
}

// benchSite is a child, and the Engine behind it.
type benchSite struct {
	testSite
	pid    int
	socket string
	box    string
}

func newBenchSite(b testing.TB, engine *standIn, socket, box string) *benchSite {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchSocket+"="+socket)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &benchSite{testSite{t: b, url: strings.TrimSpace(line), engine: engine}, cmd.Process.Pid, socket, box}
}

// cpu is what the child has used, in seconds.
func (s *benchSite) cpu() float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

func (s *benchSite) memory() (n int64) {
	_, text := s.callRaw("alice", "GET", "/v1.41/memory", nil)
	if err := json.Unmarshal(text, &n); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	return n
}

func (s *benchSite) session(tty bool, cmd ...string) *testClient {
	return s.sessionOf("alice", tty, cmd...)
}

func (s *benchSite) sessionOf(user string, tty bool, cmd ...string) *testClient {
	id, ticket := s.open(user, map[string]any{"mode": "exec", "container": s.box, "cmd": cmd, "tty": tty, "cols": 80, "rows": 24})
	c := s.attach(user, id, ticket, -1)
	c.keep = false
	return c
}

// hijack is the same without anything between.
func (s *benchSite) hijack(tty bool, cmd ...string) *stream {
	e := newEngine(func(ctx context.Context) (net.Conn, error) { return dialTo(s.socket)(ctx, nil) }, "")
	defer e.close()
	if err := e.negotiate(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	var made struct{ Id string }
	err := e.call(s.t.Context(), "POST", "/containers/"+s.box+"/exec", nil, execConfig{
		AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: tty, DetachKeys: detachKeys, Cmd: cmd}, &made)
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := e.hijack(s.t.Context(), "/exec/"+made.Id+"/start", nil, execStart{Tty: tty}, tty)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { out.Close() })
	return out
}

// floods is how often each way is measured. They take turns, and the medians
// count: what else the machine does passes over both.
const floods = 7

// flood measures size bytes of output each way, which the command gives when it
// is sent a line: MB a second of each, their ratio, and CPU seconds of the child
// for 200 MB.
func (s *benchSite) flood(size int64, tty bool, cmd ...string) (direct, through, ratio, used float64) {
	var all [4][]float64
	for range floods {
		a := s.floodDirect(size, tty, cmd...)
		before := s.cpu()
		b := s.floodThrough(size, tty, cmd...)
		for i, v := range []float64{a, b, b / a, (s.cpu() - before) * 200e6 / float64(size)} {
			all[i] = append(all[i], v)
		}
	}
	for i := range all {
		slices.Sort(all[i])
	}
	return all[0][floods/2], all[1][floods/2], all[2][floods/2], all[3][floods/2]
}

func (s *benchSite) floodDirect(size int64, tty bool, cmd ...string) float64 {
	out, n := s.hijack(tty, cmd...), int64(0)
	defer out.Close()
	if _, err := io.WriteString(out, "\n"); err != nil {
		s.t.Fatal(err)
	}
	began := time.Now()
	buf := make([]byte, 64<<10)
	for n < size {
		k, err := out.conn.Read(buf) // with the heads of frames, which are few
		if err != nil {
			s.t.Fatalf("after %d bytes: %v", n, err)
		}
		n += int64(k)
	}
	return float64(n) / 1e6 / time.Since(began).Seconds()
}

func (s *benchSite) floodThrough(size int64, tty bool, cmd ...string) float64 {
	c := s.session(tty, cmd...)
	c.typeText("\n")
	began := time.Now()
	c.until("the flood", func() bool { return c.next >= size })
	rate := float64(c.next) / 1e6 / time.Since(began).Seconds()
	c.closed()
	return rate
}

// echo measures keystrokes one after the other, by turns, and gives the medians.
func (s *benchSite) echo(count int, cmd ...string) (direct, through time.Duration) {
	out := s.hijack(true, cmd...)
	c := s.session(true, cmd...)
	var a, b []time.Duration
	for range count {
		began := time.Now()
		if _, err := out.Write([]byte("x")); err != nil {
			s.t.Fatal(err)
		}
		if _, _, err := out.next(); err != nil {
			s.t.Fatal(err)
		}
		a = append(a, time.Since(began))
		began, at := time.Now(), c.next
		c.typeText("x")
		c.until("the echo", func() bool { return c.next > at })
		b = append(b, time.Since(began))
	}
	slices.Sort(a)
	slices.Sort(b)
	return a[count/2], b[count/2]
}

// TestBenchTerminal measures terminals beside a bare hijack of the same Engine,
// in the same run. BENCH_IDLE is how many idle sessions there are: 5000, or
// as many as the limit of descriptors allows.
func TestBenchTerminal(t *testing.T) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = files.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	const size = 200_000_000
	stand := newStandIn(t)
	block := bytes.Repeat([]byte("0123456789abcdef"), 32<<10/16)
	stand.program("flood", func(p *process) int {
		if _, err := p.in.Read(make([]byte, 1)); err != nil {
			return 1
		}
		for n := 0; n < size; n += len(block) {
			if _, err := p.out.Write(block); err != nil {
				return 1
			}
		}
		return 0
	})
	check := func(t *testing.T, ok bool, format string, args ...any) {
		if t.Logf(format, args...); !ok {
			t.Log("missed") // a figure, not a test: the machine is shared
		}
	}
	flood := func(t *testing.T, s *benchSite, least float64, size int64, tty bool, cmd ...string) {
		s.t = t
		direct, through, ratio, cpu := s.flood(size, tty, cmd...)
		check(t, ratio >= least && cpu <= mostCPU, "direct %.0f MB/s, terminal %.0f MB/s (%.2f), %.2f CPU s for 200 MB", direct, through, ratio, cpu)
	}
	echo := func(t *testing.T, s *benchSite, cmd ...string) {
		s.t = t
		direct, through := s.echo(1000, cmd...)
		check(t, through <= direct+mostEchoDelay, "direct %v, terminal %v", direct, through)
	}
	s := newBenchSite(t, stand, stand.socket, "box")
	t.Run("echo, stand-in", func(t *testing.T) { echo(t, s, "cat") })
	t.Run("idle", func(t *testing.T) {
		s.t = t
		idle := min(5000, (int(files.Cur)-1000)/6) // of the child's descriptors a session takes four, and six at first
		if n, err := strconv.Atoi(os.Getenv("BENCH_IDLE")); err == nil {
			idle = n
		}
		before := s.memory()
		for i := range idle {
			s.sessionOf(fmt.Sprint("user", i/defaultPerUser), true, "wait")
		}
		time.Sleep(idleConn + time.Second) // connections that wait for another call are given up then
		each := (s.memory() - before) / int64(idle)
		check(t, each <= mostIdle, "%d sessions, %d KB each", idle, each>>10)
	})
	// The stand-in gives what a pipe gives, which no Engine does: its rate is
	// only shown.
	t.Run("flood, stand-in", func(t *testing.T) {
		flood(t, newBenchSite(t, stand, stand.socket, "box"), 0, size, true, "flood")
	})
	if os.Getenv("MOORGATE_ENGINE") == "" {
		return
	}
	socket := realEngine(t)
	box := newDocker(t, socket).container("sleep 1000")
	real := newBenchSite(t, stand, socket, box)
	t.Run("echo", func(t *testing.T) { echo(t, real, "sh", "-c", "stty raw -echo; exec cat") })
	t.Run("flood", func(t *testing.T) {
		flood(t, real, leastThroughput, size, false, "sh", "-c", "read x; exec head -c 200000000 /dev/zero")
	})
	t.Run("flood, TTY", func(t *testing.T) {
		flood(t, real, leastThroughput, 50_000_000, true, "sh", "-c", "stty raw -echo; read x; exec head -c 50000000 /dev/zero")
	})
}
