package terminal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// numbers is what seq prints on a terminal, up to its size in bytes.
func numbers(last int, newline string, w io.Writer) (size uint64) {
	b := bufio.NewWriter(w)
	var line []byte
	for i := 1; i <= last; i++ {
		line = append(strconv.AppendInt(line[:0], int64(i), 10), newline...)
		b.Write(line)
		size += uint64(len(line))
	}
	b.Flush()
	return size
}

// TestResumeCuts cuts the connection 200 times while 50 MB flow: what the
// client has parsed in the end is what the process wrote, byte for byte.
func TestResumeCuts(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	const last = 5_700_000 // 50 MB with CR LF
	for _, test := range []struct {
		name    string
		tty     bool
		newline string
		last    int
		cuts    int
	}{{"tty", true, "\r\n", last, 200}, {"no tty", false, "\n", last / 10, 20}} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sh", "-c", "seq 1 " + strconv.Itoa(test.last) + " | dd bs=64k 2>/dev/null"}, TTY: &test.tty})
			want := sha256.New()
			size := numbers(test.last, test.newline, want)
			got := sha256.New()
			random := rand.New(rand.NewPCG(1, 2))
			var at uint64
			cuts, exited := 0, false
			for !exited {
				until := uint64(1<<63 - 1)
				if cuts < test.cuts {
					until = at + random.Uint64N(3*size/2/uint64(test.cuts)) // 3/4 of what would use it up
				}
				at, exited = follow(t, s, at, until, random.IntN(3) == 0, got)
				cuts++
			}
			if cuts--; cuts != test.cuts {
				t.Errorf("%d cuts, want %d", cuts, test.cuts)
			}
			if at != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
				t.Errorf("after %d cuts %d bytes, want %d; or other ones", cuts, at, size)
			}
			t.Logf("%d cuts, %d bytes", cuts, at)
		})
	}
}

// follow attaches at an offset and reads until about another. The last frame
// before a cut is lost half of the time, as on a network.
func follow(t *testing.T, s *Session, from, until uint64, lose bool, sum hash.Hash) (at uint64, exited bool) {
	t.Helper()
	a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: int64(from)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Detach(1006, "cut")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	at = from
	acked := from
	for {
		f, err := a.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *Welcome:
			if f.Offset != from || f.Start > from {
				t.Fatalf("welcome at %d from %d, want %d", f.Offset, f.Start, from)
			}
		case *Replay:
			if f.Truncated {
				t.Fatalf("output before %d is lost, %d was wanted", f.From, at)
			}
		case *Output:
			if f.Offset != at {
				t.Fatalf("output at %d, want %d", f.Offset, at)
			}
			if at >= until && lose {
				return at, false
			}
			sum.Write(f.Data)
			if at += uint64(len(f.Data)); at >= until {
				return at, false
			}
			if at-acked >= ackEvery {
				acked = at
				a.Ack(at)
			}
		case *Exit:
			if codeOf(f) != 0 {
				t.Fatalf("exit %+v", f)
			}
			return at, true
		}
	}
}

// TestChinese passes 1.8 MB of Chinese text through a terminal and back.
func TestChinese(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sh", "-c", "stty raw -echo; echo ready; exec cat"}})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	c.waitOut("ready\n")
	text := strings.Repeat("床前明月光，疑是地上霜。举头望明月，低头思故乡。\n", 1_800_000/74)
	go func() {
		for p := []byte(text); len(p) > 0; {
			n := min(len(p), 1000+len(p)%777) // amid characters
			if err := c.Input(p[:n]); err != nil {
				t.Error(err)
				return
			}
			p = p[n:]
		}
	}()
	c.waitFor("all of it", func() bool { return c.out.Len() >= len(text)+6 })
	if got := strings.TrimPrefix(c.out.String(), "ready\n"); got != text {
		t.Errorf("%d bytes came back changed, of %d", len(got), len(text))
	}
	if c.failed != nil {
		t.Error(c.failed)
	}
}

// TestPaste pastes 1 MB at once into a program that reads slowly and echoes.
func TestPaste(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sh", "-c", "stty raw -echo; echo ready; head -c 1048576 | tee /tmp/paste; md5sum < /tmp/paste"}})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	c.waitOut("ready\n")
	paste := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(paste)
	began := time.Now()
	if err := c.Input(paste); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("typing blocked for %v", took)
	}
	e := c.exit()
	out := bytes.TrimPrefix(c.out.Bytes(), []byte("ready\n"))
	if codeOf(e) != 0 || !bytes.HasPrefix(out, paste) {
		t.Errorf("exit %d, %d bytes came back, of %d", codeOf(e), len(out), len(paste))
	}
}

// TestInputFull types more than may wait at a process that does not read: the
// output goes on, and the end frees who types.
func TestInputFull(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sleep", "1000"}, TTY: no()})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	typed := make(chan error, 1)
	go func() {
		var err error
		for range 64 {
			if err = c.Input(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		typed <- err
	}()
	select {
	case err := <-typed:
		t.Fatalf("64 MiB were typed at a process that reads nothing: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	s.End(ReasonAdmin, "root", "enough")
	var known *Error
	if err := <-typed; !errors.As(err, &known) || known.Status != 410 {
		t.Errorf("typing ended with %v", err)
	}
	if e := c.exit(); e.Reason != ReasonAdmin || e.By != "root" || e.Message != "enough" {
		t.Errorf("exit %+v", e)
	}
}

// TestHalfClose ends the input of processes with and without a terminal: the
// output goes on.
func TestHalfClose(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	for _, tty := range []bool{true, false} {
		t.Run(strconv.FormatBool(tty), func(t *testing.T) {
			s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sh", "-c", "wc -c; sleep 0.2; echo after"}, TTY: &tty})
			c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
			c.keys("12345\n")
			if err := c.EOF(); err != nil {
				t.Fatal(err)
			}
			if e := c.exit(); codeOf(e) != 0 || !strings.Contains(c.out.String(), "6") || !strings.Contains(c.out.String(), "after") {
				t.Errorf("exit %+v, output %q", e, c.out.String())
			}
		})
	}
}

// TestInterrupt floods the terminal and types ctrl-c: the last output is there
// within 100 ms of a client that parses 20 MB/s.
func TestInterrupt(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sh", "-c", "trap 'echo caught; exit 5' INT; while :; do yes 0123456789012345678901234567890; done"}})
	a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Detach(1000, "done")
	var typed, last time.Time
	var acked, after uint64
	begin := time.Now()
	for {
		f, err := a.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *Output:
			time.Sleep(time.Duration(len(f.Data)) * time.Second / (20 << 20)) // what parsing takes
			if at := f.Offset + uint64(len(f.Data)); at-acked >= ackEvery {
				acked = at
				a.Ack(at)
			}
			switch {
			case typed.IsZero() && time.Since(begin) > time.Second:
				typed = time.Now()
				if err := a.Input([]byte{3}); err != nil {
					t.Fatal(err)
				}
			case !typed.IsZero():
				last = time.Now()
				after += uint64(len(f.Data))
			}
			continue
		case *Exit:
			if codeOf(f) != 5 {
				t.Errorf("exit %+v", f)
			}
		default:
			continue
		}
		break
	}
	t.Logf("output ended %v after ctrl-c, %d KB", last.Sub(typed), after>>10)
	if after > 1<<20 { // 100 ms would do for 2 MB, on a machine that does nothing else
		t.Errorf("%d bytes came after ctrl-c", after)
	}
}

// TestRepaint asks the process to draw anew when its output was lost.
func TestRepaint(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, func(o *ManagerOptions) { o.Config.Scrollback = 4 << 10 })
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cols: 80, Rows: 24, Cmd: []string{"sh", "-c",
		`trap 'echo "drawn at $(stty size)"' WINCH; seq 1 10000; echo waiting; while :; do sleep 0.05; done`}})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1, Cols: 80, Rows: 24})
	c.waitOut("waiting")
	c.mu.Lock()
	at := c.at
	c.mu.Unlock()
	c.Ack(at)
	time.Sleep(100 * time.Millisecond)
	drawn := func() int { // the first size makes it draw as well
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Count(c.out.String(), "drawn at ")
	}
	before := drawn()
	attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: int64(at), Cols: 80, Rows: 24})
	time.Sleep(300 * time.Millisecond)
	if n := drawn(); n != before {
		t.Errorf("drawn anew though nothing was lost: %d times, %d before", n, before)
	}
	attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: 0, Cols: 80, Rows: 24})
	// On a busy machine it may look when the other size is gone.
	c.waitFor("a repaint", func() bool {
		out := c.out.String()
		return strings.Count(out, "drawn at ") > before && strings.HasSuffix(out, "drawn at 24 80\r\n")
	})
}
