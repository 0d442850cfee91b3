package http1

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// through joins two pairs of sockets: what the test holds are the ends of the
// caller and of the Engine.
func through(t testing.TB) (s *Stream, caller, engine half, ended chan struct{}) {
	t.Helper()
	return throughOn(t, "unix")
}

func throughOn(t testing.TB, network string) (s *Stream, caller, engine half, ended chan struct{}) {
	t.Helper()
	f := newFar(t, network)
	pair := func() (near, far half) {
		c, err := f.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return f.accept(t), c.(half)
	}
	callerNear, caller := pair()
	engineNear, engine := pair()
	for _, c := range []half{caller, engine} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	callerNear.SetDeadline(time.Time{})
	engineNear.SetDeadline(time.Time{})
	s = NewStream(callerNear, NewConn(engineNear))
	return s, caller, engine, make(chan struct{})
}

func run(s *Stream, ended chan struct{}) {
	go func() {
		s.Run()
		close(ended)
	}()
}

func expect(t testing.TB, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q, want %q, %v", got, want, err)
	}
}

func expectEnd(t testing.TB, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("it goes on: %d, %v", n, err)
	}
}

// TestHalfCloses: each direction ends when its sender ends it; never before,
// and without the other.
func TestHalfCloses(t *testing.T) {
	leaves(t)
	t.Run("caller first", func(t *testing.T) {
		s, caller, engine, ended := through(t)
		run(s, ended)
		io.WriteString(caller, "in")
		expect(t, engine, "in")
		caller.CloseWrite()
		expectEnd(t, engine)
		io.WriteString(engine, "out")
		expect(t, caller, "out")
		engine.CloseWrite()
		expectEnd(t, caller)
		<-ended
	})
	t.Run("engine first", func(t *testing.T) {
		s, caller, engine, ended := through(t)
		run(s, ended)
		io.WriteString(engine, "out")
		engine.CloseWrite()
		expect(t, caller, "out")
		expectEnd(t, caller)
		io.WriteString(caller, "late")
		expect(t, engine, "late")
		engine.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := engine.Read(make([]byte, 1)); err == io.EOF {
			t.Error("an end that the caller did not send")
		}
		caller.Close()
		engine.SetReadDeadline(time.Now().Add(5 * time.Second))
		expectEnd(t, engine)
		<-ended
	})
}

// TestStreamEnds: when either side is gone the other is closed.
func TestStreamEnds(t *testing.T) {
	leaves(t)
	for _, test := range []struct {
		name string
		do   func(s *Stream, caller, engine half)
	}{
		{"caller gone", func(_ *Stream, caller, _ half) { caller.Close() }},
		{"caller half-closed, then gone", func(_ *Stream, caller, engine half) {
			caller.CloseWrite()
			engine.Read(make([]byte, 1))
			caller.Close()
		}},
		{"both gone", func(_ *Stream, caller, engine half) { engine.Close(); caller.Close() }},
		{"cut", func(s *Stream, _, _ half) { s.Close(); s.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, caller, engine, ended := through(t)
			run(s, ended)
			test.do(s, caller, engine)
			<-ended
			if _, err := engine.Write([]byte("x")); err == nil {
				t.Error("the Engine's connection is open")
			}
		})
	}
}

// TestOutputOfADeadEngine: what an Engine has sent before it closed arrives,
// though the caller's end can no longer be passed on.
func TestOutputOfADeadEngine(t *testing.T) {
	s, caller, _, _ := through(t)
	f := newFar(t, "tcp")
	near, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.engine = NewConn(near)
	engine := f.accept(t)
	io.WriteString(engine, "last words")
	eventually(t, "they arrive", func() bool { return s.engine.dead() })
	engine.(*net.TCPConn).SetLinger(0) // a reset: nothing can be ended towards it
	engine.Close()
	caller.CloseWrite()
	s.pump(s.engine, s.caller, &s.in)
	s.pump(s.caller, s.engine, &s.out)
	expect(t, caller, "last words")
	expectEnd(t, caller)
	s.Close()
}

// TestBytesInHand: what was read with the heads is part of the stream.
func TestBytesInHand(t *testing.T) {
	s, caller, engine, ended := through(t)
	io.WriteString(caller, "early in")
	io.WriteString(engine, "early out")
	for _, c := range []*Conn{s.caller, s.engine} {
		if err := c.fill(bufferSize); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		if in, out := s.Run(); in != 8 || out != 9 {
			t.Errorf("counted %d in, %d out", in, out)
		}
		close(ended)
	}()
	expect(t, engine, "early in")
	expect(t, caller, "early out")
	caller.Close()
	<-ended
}

// TestSay: a line comes between the Engine's writes, framed where they are,
// and neither before the head nor into a frame.
func TestSay(t *testing.T) {
	framed := func(stream byte, text string) string {
		h := [8]byte{stream}
		binary.BigEndian.PutUint32(h[4:], uint32(len(text)))
		return string(h[:]) + text
	}
	answer := func(s *Stream) {
		s.Answer(&Answer{Response: &http.Response{Status: "101 UPGRADED", Header: http.Header{"Moorgate-Request-Id": {"theirs"}}}}, http.Header{"Moorgate-Request-Id": {"ours"}})
	}
	const answered = "HTTP/1.1 101 UPGRADED\r\nMoorgate-Request-Id: ours\r\n\r\n"

	s, caller, engine, ended := through(t)
	if s.Say("too early") == nil {
		t.Error("said before the head")
	}
	answer(s)
	run(s, ended)
	io.WriteString(engine, "prompt$ ")
	expect(t, caller, answered+"prompt$ ")
	if err := s.Say("going down"); err != nil {
		t.Error(err)
	}
	expect(t, caller, "\r\ngoing down\r\n")
	caller.Close()
	<-ended

	s, caller, engine, ended = through(t)
	s.Framed = true
	answer(s)
	run(s, ended)
	io.WriteString(engine, framed(1, "out")+framed(2, "four")[:3])
	expect(t, caller, answered+framed(1, "out")+framed(2, "four")[:3])
	if s.Say("no") == nil {
		t.Error("said in the middle of a frame's head")
	}
	io.WriteString(engine, framed(2, "four")[3:10])
	expect(t, caller, framed(2, "four")[3:10])
	if s.Say("no") == nil {
		t.Error("said in the middle of a frame")
	}
	io.WriteString(engine, framed(2, "four")[10:])
	expect(t, caller, framed(2, "four")[10:])
	if err := s.Say("going down"); err != nil {
		t.Error(err)
	}
	expect(t, caller, framed(2, "going down\n"))
	s.Close()
	<-ended
}

func TestFrames(t *testing.T) {
	var f frame
	all := "\x01\x00\x00\x00\x00\x00\x00\x03abc\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("x", 1<<16)
	for i := range all {
		f.walk([]byte(all[i : i+1]))
		if between := f.have == 0 && f.left == 0; between != (i == 10 || i == 18 || i == len(all)-1) {
			t.Errorf("at %d: between frames %v", i, between)
		}
	}
	f.walk([]byte(all))
	if f.have != 0 || f.left != 0 {
		t.Errorf("%+v", f)
	}
}

// TestPipeCaller: a connection of this process, which knows no half-close, is
// gone when it ends, and its Engine's connection with it.
func TestPipeCaller(t *testing.T) {
	_, _, _, ended := through(t)
	near, far := net.Pipe()
	f := newFar(t, "unix")
	c, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	engine := f.accept(t)
	run(NewStream(near, NewConn(c)), ended)
	io.WriteString(far, "in")
	expect(t, engine, "in")
	far.Close()
	expectEnd(t, engine)
	<-ended
}

// TestFlood: only crumbs without a gap and without an answer make a flood, and
// large reads end it.
func TestFlood(t *testing.T) {
	const crumb = 4 << 10
	const whole = floodBegins / crumb // crumbs
	for _, test := range []struct {
		name  string
		sizes []int
		gap   time.Duration
		talks bool
		rests int
	}{
		{"crumbs", slices.Repeat([]int{crumb}, whole+9), 0, false, 10},
		{"few", slices.Repeat([]int{crumb}, whole-1), 0, false, 0},
		{"large reads", slices.Repeat([]int{manyBytes}, 1000), 0, false, 0},
		{"a flood that is rested for", append(slices.Repeat([]int{crumb}, whole), 100<<10, 100<<10, crumb, 100<<10, crumb), 0, false, 3},
		{"a flood that becomes bulk", append(slices.Repeat([]int{crumb}, whole), 1<<17, 1<<17, 1<<17, 1<<17, crumb, crumb), 0, false, 1},
		{"questions and answers", slices.Repeat([]int{crumb}, 1000), 0, true, 0},
		{"gaps", slices.Repeat([]int{crumb}, 1000), 2 * floodGap, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var other atomic.Int64
			f := &flood{gap: floodGap, other: &other}
			rests := 0
			for _, n := range test.sizes {
				f.last = time.Now().Add(-test.gap) // else as though no time had passed
				if test.talks {
					other.Add(1)
				}
				if f.rests(n) {
					rests++
				}
			}
			if rests != test.rests || f.long() != (rests >= floodLong) {
				t.Errorf("%d rests, want %d; it lasts: %v", rests, test.rests, f.long())
			}
		})
	}
}
