//go:build bench && linux

package terminal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	"moorgate/proxy/http1"
)

// Environment of the benchmark's child: the Engine's socket, which makes the
// test binary a server of terminals and of nothing else.
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
	debug.SetGCPercent(400) // as cmd/moorgate does
	log.Fatal(serveBench(socket))
}

func serveBench(socket string) error {
	server, err := New(Options{
		Dial:    func(ctx context.Context, _ *identity.Identity) (net.Conn, error) { return dialTo(socket)(ctx, nil) },
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

func newBenchSite(b *testing.T, engine *standIn, socket, box string) *benchSite {
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

// flood measures size bytes of output three times each way, and gives the
// best: MB a second of each, and CPU seconds of the child for 200 MB.
func (s *benchSite) flood(size int64, tty bool, cmd ...string) (direct, through, cpu float64) {
	cpu = 1e9
	for range 3 {
		began := time.Now()
		out, n := s.hijack(tty, cmd...), int64(0)
		buf := make([]byte, 64<<10)
		for n < size {
			k, _, err := out.Read(buf)
			if err != nil {
				s.t.Fatalf("after %d bytes: %v", n, err)
			}
			n += int64(k)
		}
		direct = max(direct, float64(n)/1e6/time.Since(began).Seconds())

		used := s.cpu()
		began = time.Now()
		c := s.session(tty, cmd...)
		c.until("the flood", func() bool { return c.next >= size })
		through = max(through, float64(c.next)/1e6/time.Since(began).Seconds())
		cpu = min(cpu, (s.cpu()-used)*200e6/float64(c.next))
		c.closed()
	}
	return direct, through, cpu
}

// echo measures keystrokes one after the other, by turns, and gives the medians.
func (s *benchSite) echo(count int, cmd ...string) (direct, through time.Duration) {
	out := s.hijack(true, cmd...)
	c := s.session(true, cmd...)
	var a, b []time.Duration
	buf := make([]byte, 100)
	for range count {
		began := time.Now()
		if _, err := out.Write([]byte("x")); err != nil {
			s.t.Fatal(err)
		}
		if _, _, err := out.Read(buf); err != nil {
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
// in the same run. BENCH_IDLE is how many idle sessions there are, 5000.
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
		for n := 0; n < size; n += len(block) {
			if _, err := p.out.Write(block); err != nil {
				return 1
			}
		}
		return 0
	})
	s := newBenchSite(t, stand, stand.socket, "box")
	check := func(what string, ok bool, format string, args ...any) {
		line := fmt.Sprintf("%-34s %s", what, fmt.Sprintf(format, args...))
		if t.Log(line); !ok {
			t.Logf("missed: %s", line) // a figure, not a test: the machine is shared
		}
	}
	flood := func(what string, s *benchSite, size int64, tty bool, cmd ...string) {
		direct, through, cpu := s.flood(size, tty, cmd...)
		check(what, through >= leastThroughput*direct && cpu <= mostCPU, "direct %.0f MB/s, terminal %.0f MB/s (%.2f), %.2f CPU s for 200 MB", direct, through, through/direct, cpu)
	}
	echo := func(what string, s *benchSite, cmd ...string) {
		direct, through := s.echo(1000, cmd...)
		check(what, through <= direct+mostEchoDelay, "direct %v, terminal %v", direct, through)
	}
	echo("echo, stand-in", s, "cat")

	idle := 5000
	if n, err := strconv.Atoi(os.Getenv("BENCH_IDLE")); err == nil {
		idle = n
	}
	before := s.memory()
	for i := range idle {
		s.sessionOf(fmt.Sprint("user", i/defaultPerUser), true, "wait")
	}
	time.Sleep(idleConn + time.Second) // connections that wait for another call are given up then
	each := (s.memory() - before) / int64(idle)
	check(fmt.Sprintf("%d idle sessions", idle), each <= mostIdle, "%d KB each", each>>10)

	// The stand-in gives what a pipe gives, which no Engine does: its rate is
	// only shown.
	direct, through, cpu := newBenchSite(t, stand, stand.socket, "box").flood(size, true, "flood")
	check("200 MB, stand-in", cpu <= mostCPU, "direct %.0f MB/s, terminal %.0f MB/s (%.2f), %.2f CPU s for 200 MB", direct, through, through/direct, cpu)

	if os.Getenv("MOORGATE_ENGINE") == "" {
		return
	}
	socket := realEngine(t)
	real := newBenchSite(t, stand, socket, newDocker(t, socket).container("sleep 1000"))
	echo("echo, Engine", real, "sh", "-c", "stty raw -echo; exec cat")
	flood("200 MB without a TTY, Engine", real, size, false, "head", "-c", "200000000", "/dev/zero")
	flood("50 MB with a TTY, Engine", real, 50_000_000, true, "sh", "-c", "stty raw; exec head -c 50000000 /dev/zero")
}
