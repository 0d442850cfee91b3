package terminal

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

// fake is an Engine whose one program is the test.
type fake struct {
	*enginetest.Engine
	t        testing.TB
	programs chan *program

	mu      sync.Mutex
	running map[string]bool
	code    int
	marker  string   // what the marker's exec says
	calls   []string // of the marker's exec: the scripts' last arguments
}

// program is what runs in a session: the test reads what is typed and writes
// what is printed.
type program struct {
	*enginetest.Conn
	f    *fake
	once sync.Once
	done chan struct{}
}

func startFake(t testing.TB) *fake {
	f := &fake{Engine: enginetest.Start(t), t: t, programs: make(chan *program, 16), running: map[string]bool{}, marker: "done\n"}
	count := 0
	f.On("GET /containers/{name}/json", func(c *enginetest.Conn) {
		c.JSON(200, fmt.Sprintf(`{"Id":%q,"Name":"/box","State":{"Running":true},"Config":{"Image":"busybox","Tty":true,"OpenStdin":true}}`, strings.Repeat("c", 64)))
	})
	f.On("POST /containers/{name}/exec", func(c *enginetest.Conn) {
		body, _ := io.ReadAll(c.Body())
		id := "marker"
		f.mu.Lock()
		if strings.Contains(string(body), `"AttachStdin":true`) {
			count++
			id = fmt.Sprint("session", count)
			f.running[id] = true
		} else {
			f.calls = append(f.calls, string(body))
		}
		f.mu.Unlock()
		c.JSON(201, `{"Id":"`+id+`"}`)
	})
	f.On("GET /exec/{name}/json", func(c *enginetest.Conn) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.running[c.Var("name")] {
			c.JSON(200, `{"Running":true,"ExitCode":null}`)
		} else {
			c.JSON(200, fmt.Sprintf(`{"Running":false,"ExitCode":%d}`, f.code))
		}
	})
	f.On("POST /exec/{name}/start", func(c *enginetest.Conn) {
		id := c.Var("name")
		if id == "marker" {
			f.mu.Lock()
			say := f.marker
			f.mu.Unlock()
			c.Hijack("application/vnd.docker.multiplexed-stream", muxed(1, say))
			c.CloseWrite()
			c.WaitGone()
			return
		}
		c.Hijack("application/vnd.docker.raw-stream", "")
		p := &program{Conn: c, f: f, done: make(chan struct{})}
		f.programs <- p
		<-p.done
		f.mu.Lock()
		f.running[id] = false
		f.mu.Unlock()
		c.CloseWrite()
		c.WaitGone()
	})
	return f
}

func muxed(kind byte, text string) string {
	head := [8]byte{0: kind}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return string(head[:]) + text
}

func (f *fake) program() *program {
	f.t.Helper()
	select {
	case p := <-f.programs:
		f.t.Cleanup(p.end)
		return p
	case <-time.After(10 * time.Second):
		f.t.Fatal("no program was started")
		return nil
	}
}

// end is the program's exit.
func (p *program) end() { p.once.Do(func() { close(p.done) }) }

// flood writes as much as is taken until the program ends, and counts it.
func (p *program) flood(line string) (written func() int) {
	var mu sync.Mutex
	n := 0
	block := []byte(strings.Repeat(line, 8192/len(line)+1))
	go func() {
		for {
			k, err := p.Write(block)
			mu.Lock()
			n += k
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// clock is one that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// settled waits until a number stays the same for a while, and gives it.
func settled(number func() uint64) uint64 {
	last, since := number(), time.Now()
	for time.Since(since) < 300*time.Millisecond {
		time.Sleep(10 * time.Millisecond)
		if n := number(); n != last {
			last, since = n, time.Now()
		}
	}
	return last
}

func bytesOf(s *Session) func() uint64 { return func() uint64 { return s.Info().Bytes } }

var execSpec = Spec{Mode: ModeExec, Container: "box", Cmd: []string{"program"}}
