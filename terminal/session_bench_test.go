package terminal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
)

// cpu is the time that this process has used.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOutput passes output of a real terminal through a session, and
// through a bare hijacked connection that is copied, for comparison.
func BenchmarkOutput(b *testing.B) {
	socket := realEngine(b)
	const size = 32 << 20
	command := []string{"sh", "-c", fmt.Sprintf("stty -opost; head -c %d /dev/zero | tr '\\0' x", size)}
	id := newDocker(b, socket).container("sleep 1000")
	measure := func(b *testing.B, one func() int64) {
		b.SetBytes(size)
		began := cpu(b)
		for b.Loop() {
			if n := one(); n != size {
				b.Fatalf("%d bytes, want %d", n, size)
			}
		}
		b.ReportMetric((cpu(b)-began).Seconds()/float64(b.N)*(200<<20)/size, "cpu-s/200MB")
	}
	b.Run("session", func(b *testing.B) {
		m := manager(b, socket, func(o *ManagerOptions) { o.Log = zap.NewNop() })
		measure(b, func() (n int64) {
			s := open(b, m, Spec{Mode: ModeExec, Container: id, Cmd: command})
			a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer a.Detach(1000, "done")
			acked := uint64(0)
			for {
				f, err := a.Next(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				switch f := f.(type) {
				case *Output:
					n += int64(len(f.Data))
					if at := f.Offset + uint64(len(f.Data)); at-acked >= ackEvery {
						acked = at
						a.Ack(at)
					}
				case *Exit:
					return n
				}
			}
		})
	})
	b.Run("bare", func(b *testing.B) {
		e := newEngine(func(ctx context.Context) (net.Conn, error) { return dialTo(socket)(ctx, nil) }, "")
		if err := e.negotiate(context.Background()); err != nil {
			b.Fatal(err)
		}
		measure(b, func() int64 {
			var made struct{ Id string }
			config := execConfig{AttachStdin: true, AttachStdout: true, Tty: true, Cmd: command}
			if err := e.call(context.Background(), "POST", "/containers/"+id+"/exec", nil, config, &made); err != nil {
				b.Fatal(err)
			}
			s, err := e.hijack(context.Background(), "/exec/"+made.Id+"/start", nil, execStart{Tty: true}, true)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{s.conn}, make([]byte, 32<<10))
			if err != nil {
				b.Fatal(err)
			}
			return n
		})
	})
}

// BenchmarkEcho types a character and waits for it to come back from cat, through
// a session and through a bare connection.
func BenchmarkEcho(b *testing.B) {
	socket := realEngine(b)
	id := newDocker(b, socket).container("sleep 1000")
	command := []string{"sh", "-c", "stty raw -echo; echo ready; exec cat"}
	report := func(b *testing.B, echo func()) {
		var took []time.Duration
		for b.Loop() {
			began := time.Now()
			echo()
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	}
	b.Run("session", func(b *testing.B) {
		m := manager(b, socket, func(o *ManagerOptions) { o.Log = zap.NewNop() })
		s := open(b, m, Spec{Mode: ModeExec, Container: id, Cmd: command})
		a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1, AutoAck: true})
		if err != nil {
			b.Fatal(err)
		}
		await := func(last byte) {
			for {
				if out, ok := mustNext(b, a).(*Output); ok && out.Data[len(out.Data)-1] == last {
					return
				}
			}
		}
		await('\n')
		report(b, func() {
			if err := a.Input([]byte("x")); err != nil {
				b.Fatal(err)
			}
			await('x')
		})
	})
	b.Run("bare", func(b *testing.B) {
		e := newEngine(func(ctx context.Context) (net.Conn, error) { return dialTo(socket)(ctx, nil) }, "")
		if err := e.negotiate(context.Background()); err != nil {
			b.Fatal(err)
		}
		var made struct{ Id string }
		config := execConfig{AttachStdin: true, AttachStdout: true, Tty: true, Cmd: command}
		if err := e.call(context.Background(), "POST", "/containers/"+id+"/exec", nil, config, &made); err != nil {
			b.Fatal(err)
		}
		s, err := e.hijack(context.Background(), "/exec/"+made.Id+"/start", nil, execStart{Tty: true}, true)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		await := func(last byte) {
			for {
				p, _, err := s.next()
				if err != nil {
					b.Fatal(err)
				}
				if p[len(p)-1] == last {
					return
				}
			}
		}
		await('\n')
		report(b, func() {
			if _, err := s.Write([]byte("x")); err != nil {
				b.Fatal(err)
			}
			await('x')
		})
	})
}

// BenchmarkCore is the cost of a session without its Engine: reading, keeping,
// and giving out in the owner's window.
func BenchmarkCore(b *testing.B) {
	f := startFake(b)
	m := manager(b, f.Socket, nil)
	s := open(b, m, execSpec)
	p := f.program()
	a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1})
	if err != nil {
		b.Fatal(err)
	}
	p.flood(strings.Repeat("x", 77) + "\r\n")
	const each = 1 << 20
	b.SetBytes(each)
	b.ReportAllocs()
	var at, acked uint64
	for b.Loop() {
		for until := at + each; at < until; {
			if out, ok := mustNext(b, a).(*Output); ok {
				at = out.Offset + uint64(len(out.Data))
				if at-acked >= ackEvery {
					acked = at
					a.Ack(at)
				}
			}
		}
	}
}

func mustNext(b *testing.B, a *Attachment) Frame {
	f, err := a.Next(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// prompts is an Engine that holds next to nothing: it says what it must, prints
// a prompt, and waits.
func prompts(t *testing.T) (socket string) {
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	answer := func(conn net.Conn) (hijacked bool) {
		in := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return false
			}
			asked, _ := io.ReadAll(r.Body)
			body := `{"Id":"x","Running":false,"ExitCode":0}`
			if strings.Contains(string(asked), `"AttachStdin":false`) {
				body = `{"Id":"marker"}`
			}
			if r.Header.Get("Upgrade") != "" && strings.Contains(r.URL.Path, "marker") {
				io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"+muxed(1, "done\n"))
				return false
			}
			if r.Header.Get("Upgrade") != "" {
				io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n$ ")
				return true
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if answer(conn) {
					conn.Read(make([]byte, 1)) // until the client goes
				}
			}()
		}
	}()
	return socket
}

// TestIdleMemory measures what a session costs that waits at its prompt, with an
// owner attached, beside its connection to an Engine.
func TestIdleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a thousand sessions")
	}
	const sessions, most = 1000, 16 << 10 // the connections at its two ends have the rest of 60 KB
	socket := prompts(t)
	m := manager(t, socket, func(o *ManagerOptions) { o.Config.PerUser, o.Log = sessions, zap.NewNop() })
	used := func() int64 {
		time.Sleep(200 * time.Millisecond)
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc + s.StackInuse)
	}
	bare := newEngine(func(ctx context.Context) (net.Conn, error) { return dialTo(socket)(ctx, nil) }, "")
	before := used()
	streams := make([]*stream, sessions)
	for i := range streams {
		var err error
		if streams[i], err = bare.hijack(t.Context(), "/exec/x/start", nil, execStart{Tty: true}, true); err != nil {
			t.Fatal(err)
		}
	}
	connections := used() - before
	for _, s := range streams {
		s.Close()
	}

	streams = nil
	before = used()
	read := make(chan error, sessions)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range sessions {
		s := open(t, m, execSpec)
		a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				if _, err := a.Next(ctx); err != nil {
					read <- err
					return
				}
			}
		}()
	}
	each := (used() - before - connections) / sessions
	t.Logf("%d bytes for each session, and %d for both ends of its connection", each, connections/sessions)
	if each > most {
		t.Errorf("%d bytes for each session, want at most %d", each, most)
	}
	cancel()
	for range sessions {
		<-read
	}
}
