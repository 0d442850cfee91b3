package terminal

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// standIn is an Engine with one container, box, whose programs are functions.
// It has no line discipline: what is typed reaches a program as it is.
type standIn struct {
	socket string

	mu       sync.Mutex
	programs map[string]func(*process) int
	execs    map[string]*process
}

// process is a program that runs.
type process struct {
	context.Context
	args   []string
	env    []string
	in     io.Reader
	out    io.Writer
	err    io.Writer
	tty    bool
	end    context.CancelFunc
	ended  bool
	code   int
	size   string // "ROWSxCOLS" of the last resize
	resize chan struct{}
}

func newStandIn(t testing.TB) *standIn {
	t.Helper()
	e := &standIn{socket: filepath.Join(t.TempDir(), "e.sock"), execs: map[string]*process{}}
	e.programs = map[string]func(*process) int{
		"cat":  func(p *process) int { _, _ = io.Copy(p.out, p.in); return 0 },
		"exit": func(p *process) int { var n int; _, _ = fmt.Sscan(p.args[1], &n); return n },
		"both": func(p *process) int { fmt.Fprint(p.out, "out"); fmt.Fprint(p.err, "err"); return 0 },
		"wait": func(p *process) int { <-p.Done(); return 129 },
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("GET /v1.41/containers/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != "box" && r.PathValue("id") != boxID {
			send(w, http.StatusNotFound, map[string]string{"message": "No such container: " + r.PathValue("id")})
			return
		}
		send(w, 200, map[string]any{"Id": boxID, "Name": "/box", "State": map[string]any{"Running": true}, "Config": map[string]any{"Image": "busybox"}})
	})
	mux.HandleFunc("POST /v1.41/containers/{id}/exec", e.create)
	mux.HandleFunc("POST /v1.41/exec/{id}/start", e.start)
	mux.HandleFunc("GET /v1.41/exec/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		p := e.execs[r.PathValue("id")]
		state := map[string]any{"Running": !p.ended}
		if p.ended {
			state["ExitCode"] = p.code
		}
		send(w, 200, state)
	})
	mux.HandleFunc("POST /v1.41/exec/{id}/resize", func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		p := e.execs[r.PathValue("id")]
		p.size = r.FormValue("w") + "x" + r.FormValue("h")
		e.mu.Unlock()
		select {
		case p.resize <- struct{}{}:
		default:
		}
		w.WriteHeader(201)
	})
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go server.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(func() {
		server.Close()
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, p := range e.execs {
			p.end()
		}
	})
	return e
}

const boxID = "b0cbd0a0b0cbd0a0b0cbd0a0b0cbd0a0b0cbd0a0b0cbd0a0b0cbd0a0b0cbd0a0"

func (e *standIn) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", e.socket)
}

func (e *standIn) create(w http.ResponseWriter, r *http.Request) {
	var c execConfig
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		send(w, 400, map[string]string{"message": err.Error()})
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	id := fmt.Sprintf("%064x", len(e.execs)+1)
	p := &process{args: c.Cmd, env: c.Env, tty: c.Tty, resize: make(chan struct{}, 1)}
	p.Context, p.end = context.WithCancel(context.Background())
	e.execs[id] = p
	send(w, 201, map[string]string{"Id": id})
}

func (e *standIn) start(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	e.mu.Lock()
	p := e.execs[r.PathValue("id")]
	e.mu.Unlock()
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	p.in, p.out, p.err = buf.Reader, conn, conn
	if !p.tty {
		p.out, p.err = &framed{conn, 1}, &framed{conn, 2}
	}
	context.AfterFunc(p, func() { conn.Close() })
	code := e.run(p)
	e.mu.Lock()
	p.ended, p.code = true, code
	e.mu.Unlock()
	conn.Close()
}

func (e *standIn) run(p *process) int {
	e.mu.Lock()
	program, ok := e.programs[p.args[0]]
	e.mu.Unlock()
	if ok {
		return program(p)
	}
	// The script that ends what carries a marker, or sends it a signal.
	marker := slices.IndexFunc(p.args, func(a string) bool { return strings.HasPrefix(a, markerName+"=") })
	if marker < 0 {
		fmt.Fprintf(p.err, "exec: %q: executable file not found in $PATH\r\n", p.args[0])
		return 127
	}
	e.mu.Lock()
	for _, other := range e.execs {
		if harmless := len(p.args) > marker+1 && p.args[marker+1] == "WINCH"; !harmless && !other.ended && slices.Contains(other.env, p.args[marker]) {
			other.end()
		}
	}
	e.mu.Unlock()
	fmt.Fprintln(p.out, "done")
	return 0
}

// program adds one.
func (e *standIn) program(name string, run func(*process) int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.programs[name] = run
}

// running counts the programs that have not ended.
func (e *standIn) running() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.execs {
		if !p.ended {
			n++
		}
	}
	return n
}

// framed writes one of the streams that share a connection without a TTY.
type framed struct {
	w      io.Writer
	stream byte
}

func (f *framed) Write(p []byte) (int, error) {
	b := make([]byte, 8, 8+len(p))
	b[0] = f.stream
	binary.BigEndian.PutUint32(b[4:], uint32(len(p)))
	if _, err := f.w.Write(append(b, p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}
