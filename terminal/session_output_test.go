package terminal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// next gives the attachment's next frame, and fails if there is none.
func next(t *testing.T, a *Attachment) Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f, err := a.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// idle fails if there is a frame.
func idle(t *testing.T, a *Attachment) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if f, err := a.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a %T %+v, %v, where nothing was due", f, f, err)
	}
}

// TestHoldBack reads no more of a flood than the owner's window allows.
func TestHoldBack(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, nil)
	s := open(t, m, execSpec)
	a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1})
	if err != nil {
		t.Fatal(err)
	}
	viewer, err := s.Attach(AttachOptions{Role: RoleViewer, Who: alice, ResumeFrom: -1})
	if err != nil {
		t.Fatal(err)
	}
	f.program().flood("0123456789\r\n")
	if got := settled(bytesOf(s)); got < window || got > window+maxBlock {
		t.Fatalf("%d bytes were read without an acknowledgement", got)
	}
	var at uint64
	read := func() {
		for at < window {
			if out, ok := next(t, a).(*Output); ok {
				at += uint64(len(out.Data))
			}
		}
	}
	read()
	if at != window {
		t.Fatalf("%d bytes were sent without an acknowledgement", at)
	}
	idle(t, a)
	a.Ack(1 << 40) // of what was not sent: no acknowledgement
	idle(t, a)
	a.Ack(100_000)
	if got := settled(bytesOf(s)); got < window+100_000 || got > window+100_000+maxBlock {
		t.Errorf("%d bytes were read with 100000 acknowledged", got)
	}
	a.RTT(50 * time.Millisecond)
	if got := settled(bytesOf(s)); got < wideWindow+100_000 || got > wideWindow+100_000+maxBlock {
		t.Errorf("%d bytes were read on a slow link", got)
	}
	s.mu.Lock()
	kept := s.buffer.head - s.buffer.start
	s.mu.Unlock()
	if kept > wideWindow+2*maxBlock {
		t.Errorf("%d bytes are kept", kept)
	}

	// The viewer has read nothing: it held nobody back, and skips ahead.
	if _, ok := next(t, viewer).(*Welcome); !ok {
		t.Fatal("no welcome")
	}
	if _, ok := next(t, viewer).(*Resize); !ok {
		t.Fatal("no size")
	}
	begin, ok := next(t, viewer).(*Replay)
	if !ok || begin.State != "begin" || !begin.Truncated || begin.From+skipTo > s.Info().Bytes+lineReach {
		t.Fatalf("%+v, want a replay of the newest lines", begin)
	}
	if n, ok := next(t, viewer).(*Notice); !ok || n.Kind != NoticeSlow {
		t.Fatalf("%+v, want a notice", n)
	}
	modes := next(t, viewer).(*Output)
	at = begin.From + uint64(len(modes.Data))
	if modes.Offset != begin.From || !bytes.HasPrefix(modes.Data, []byte("\x1b[!p")) {
		t.Errorf("modes %q at %d, want them at %d", modes.Data, modes.Offset, begin.From)
	}
	if lines := next(t, viewer).(*Output); lines.Offset != at || !bytes.HasPrefix(lines.Data, []byte("0123456789\r\n")) {
		t.Errorf("%q at %d, want a line at %d", lines.Data[:20], lines.Offset, at)
	}
}

// TestOwnerAway holds the process for a while when the owner is cut off, and
// lets it run on after.
func TestOwnerAway(t *testing.T) {
	f := startFake(t)
	clock := newClock()
	m := manager(t, f.Socket, func(o *ManagerOptions) { o.Now = clock.now; o.Config.Grace = time.Hour })
	s := open(t, m, execSpec)
	p := f.program()
	p.flood("\x1b[?1049h\x1b[1;31m0123456789\r\n")
	got := settled(bytesOf(s))
	if got < window || got > window+maxBlock {
		t.Fatalf("%d bytes were read before an owner came", got)
	}
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	c.waitFor("8 MB", func() bool { return c.at > 8<<20 })
	c.cut()
	at := c.at
	held := settled(bytesOf(s))
	if held > at+window+2*maxBlock {
		t.Fatalf("%d bytes were read while the owner, at %d, was away", held, at)
	}
	c = attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: int64(at)})
	c.waitFor("more", func() bool { return c.at > at+1<<20 })
	c.cut()
	if find[*Replay](c.frames).Truncated || c.failed != nil {
		t.Fatalf("something was lost: %v", describe(c.frames))
	}
	at = c.at
	clock.pass(holdBack + time.Second)
	s.look()
	deadline := time.Now().Add(20 * time.Second)
	for s.Info().Bytes < at+4<<20 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if s.Info().Bytes < at+4<<20 {
		t.Fatal("the process does not run on")
	}
	c = attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: int64(at)})
	c.waitFor("a replay", func() bool { return c.out.Len() > 1000 })
	c.mu.Lock()
	defer c.mu.Unlock()
	begin := c.frames[1].(*Replay)
	if w := c.frames[0].(*Welcome); !begin.Truncated || begin.From <= at || w.Offset != begin.From {
		t.Errorf("%+v after %+v", begin, w)
	}
}

// TestOwnersTwice lets the newest owner set the pace: the older one is mostly its
// own connection that nobody has missed yet.
func TestOwnersTwice(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, nil)
	s := open(t, m, execSpec)
	dead, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1})
	if err != nil {
		t.Fatal(err)
	}
	f.program().flood("0123456789\r\n")
	settled(bytesOf(s))
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: 0})
	c.waitFor("8 MB", func() bool { return c.at > 8<<20 })
	c.cut()
	if c.failed != nil {
		t.Error(c.failed)
	}
	dead.Detach(1006, "missed at last")
	if got, want := settled(bytesOf(s)), c.at; got < want || got > want+2*window+2*maxBlock {
		t.Errorf("%d bytes were read, the owner was at %d", got, want)
	}
}

// TestResumeFrom begins where the client left off.
func TestResumeFrom(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, func(o *ManagerOptions) { o.Config.Scrollback = 8 << 10 })
	s := open(t, m, execSpec)
	p := f.program()
	text := strings.Repeat("a line of text\r\n", 1000) // 16000
	io.WriteString(p, "\x1b[?2004h\x1b]0;title\x07"+text)
	first := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	first.waitFor("all", func() bool { return first.at == uint64(17+len(text)-1+1) || first.out.Len() >= 17+len(text) })
	total := first.at
	first.Ack(total)
	io.WriteString(p, "$ ") // drops what is beyond the scrollback
	first.waitOut("$ ")
	total = first.at
	start := s.buffer.start
	if start == 0 || total-start < 8<<10 {
		t.Fatalf("kept from %d of %d", start, total)
	}
	for _, test := range []struct {
		name      string
		from      int64
		at        uint64 // of the first byte; 0: start, or a line after it
		truncated bool
		replay    bool
	}{
		{"all there is", -1, 0, true, true},
		{"the end", int64(total), total, false, false},
		{"amid", int64(total) - 100, total - 100, false, true},
		{"the oldest", int64(start), start, false, true},
		{"lost", int64(start) - 1, 0, true, true},
		{"beyond the end", int64(total) + 1, 0, true, true},
		{"far beyond", 1<<63 - 1, 0, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := attach(t, s, AttachOptions{Role: RoleViewer, ResumeFrom: test.from})
			c.waitFor("the end", func() bool {
				r := find[*Replay](c.frames)
				return c.at == total && find[*Welcome](c.frames) != nil && (!test.replay || r != nil && r.State == "end")
			})
			c.mu.Lock()
			defer c.mu.Unlock()
			w := c.frames[0].(*Welcome)
			if test.at != 0 && w.Offset != test.at || test.at == 0 && (w.Offset < start-300 || w.Offset > start+100) || w.Start != start {
				t.Errorf("welcome %+v", w)
			}
			out := c.out.String()
			if test.truncated {
				for _, has := range []string{"\x1b[?2004h", "\x1b]2;title\x07"} {
					if !strings.Contains(out, has) {
						t.Errorf("%q is not restored", has)
					}
				}
				if !strings.HasSuffix(out, strings.Repeat("a line of text\r\n", 500)+"$ ") {
					t.Errorf("lines are missing: %q", out[:200])
				}
			} else if want := ("\x1b[?2004h\x1b]0;title\x07" + text + "$ ")[test.at:]; out != want {
				t.Errorf("%d bytes, want %d", len(out), len(want))
			}
			replays := 0
			for _, f := range c.frames {
				if _, ok := f.(*Replay); ok {
					replays++
				}
			}
			if test.replay != (replays == 2) || !test.replay && replays != 0 {
				t.Errorf("%d replay frames", replays)
			}
		})
	}
}

// TestCoalesce sends at once what came meanwhile.
func TestCoalesce(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, nil)
	s := open(t, m, execSpec)
	p := f.program()
	a, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	next(t, a)
	for range 100 {
		io.WriteString(p, "0123456789")
	}
	settled(bytesOf(s))
	if out := next(t, a).(*Output); len(out.Data) != 1000 {
		t.Errorf("%d bytes came in the first frame, want all 1000", len(out.Data))
	}
	p.flood("0123456789\r\n") // without one acknowledgement
	for n := 0; n < 4<<20; {
		n += len(next(t, a).(*Output).Data)
	}
}

// TestBroken tells of a connection to the Engine that breaks.
func TestBroken(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, nil)
	spec := execSpec
	spec.TTY = no()
	s := open(t, m, spec)
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	p := f.program()
	io.WriteString(p, muxed(1, "out")+muxed(2, "err")+muxed(1, "cut off")[:10])
	c.waitOut("outcu")
	p.end()
	e := c.exit()
	if fault := find[*Fault](c.frames); fault == nil || !fault.Fatal || e.Close != closeEngineError || c.err.String() != "err" {
		t.Errorf("fault %+v, exit %+v, errors %q", fault, e, c.err.String())
	}
}
