//go:build linux && !386 && !s390x

package http1

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// used are the pipes in use.
func used() int {
	pipes.Lock()
	defer pipes.Unlock()
	return pipes.out
}

// noise is n bytes that no shift maps onto themselves.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// TestBulk: much arrives whole, both ways at once, over each sort of socket,
// and ends as it was ended; the pipes are given back.
func TestBulk(t *testing.T) {
	leaves(t)
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			s, caller, engine, ended := throughOn(t, network)
			var in, out int64
			go func() {
				in, out = s.Run()
				close(ended)
			}()
			content := noise(20<<20 + 12345)
			var all sync.WaitGroup
			for _, d := range []struct{ from, to half }{{caller, engine}, {engine, caller}} {
				all.Go(func() {
					for rest := content; len(rest) > 0; {
						n, err := d.from.Write(rest[:min(len(rest), 32<<10)])
						if rest = rest[n:]; err != nil {
							t.Error(err)
							return
						}
					}
					d.from.CloseWrite()
				})
				all.Go(func() {
					sum := sha256.New()
					if n, err := io.Copy(sum, d.to); n != int64(len(content)) || err != nil || !bytes.Equal(sum.Sum(nil), sha(content)) {
						t.Errorf("%d bytes, %v", n, err)
					}
				})
			}
			all.Wait()
			<-ended
			if in != int64(len(content)) || out != in {
				t.Errorf("counted %d in, %d out", in, out)
			}
			if n := used(); n != 0 {
				t.Errorf("%d pipes are in use", n)
			}
		})
	}
}

func sha(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// TestQuietStreamsHoldNoPipe: not even those that were busy before.
func TestQuietStreamsHoldNoPipe(t *testing.T) {
	s, caller, engine, ended := through(t)
	run(s, ended)
	content := noise(4 << 20)
	for range 2 {
		go engine.Write(content)
		expectAll(t, caller, content)
		eventually(t, "its pipe is given back", func() bool { return used() == 0 })
	}
	io.WriteString(engine, "small again")
	expect(t, caller, "small again")
	caller.Close()
	<-ended
	if n := len(pipes.kept); n == 0 || n > keptPipes {
		t.Errorf("%d pipes are kept: nothing was spliced, or too many", n)
	}
}

func expectAll(t testing.TB, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes that differ or are too few: %v", n, err)
	}
}

// TestWithoutPipes: streams that find none left are copied.
func TestWithoutPipes(t *testing.T) {
	pipes.Lock()
	kept := pipes.kept
	pipes.kept, pipes.out = nil, maxPipes
	pipes.Unlock()
	defer func() {
		pipes.Lock()
		pipes.kept, pipes.out = kept, 0
		pipes.Unlock()
	}()
	s, caller, engine, ended := through(t)
	run(s, ended)
	content := noise(4 << 20)
	go engine.Write(content)
	expectAll(t, caller, content)
	caller.Close()
	<-ended
}

// TestBulkEnds: whoever goes in the middle of it, the other side is closed and
// nothing is left in a pipe for the next stream.
func TestBulkEnds(t *testing.T) {
	leaves(t)
	content := noise(8 << 20)
	for _, test := range []struct {
		name string
		do   func(s *Stream, caller, engine half)
	}{
		{"caller gone", func(_ *Stream, caller, _ half) { caller.Close() }},
		{"engine gone", func(_ *Stream, caller, engine half) {
			engine.Close()
			io.Copy(io.Discard, caller)
			caller.Close()
		}},
		{"cut", func(s *Stream, _, _ half) { s.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, caller, engine, ended := through(t)
			run(s, ended)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				engine.Write(content)
			}()
			expectAll(t, caller, content[:2<<20])
			time.Sleep(5 * time.Millisecond) // the pump waits for a caller who takes nothing
			test.do(s, caller, engine)
			<-ended
			<-sent
			if n := used(); n != 0 {
				t.Errorf("%d pipes are in use", n)
			}
			// The next stream gets its own bytes.
			s, caller, engine, ended = through(t)
			run(s, ended)
			next := bytes.ToUpper(content[1<<20 : 4<<20])
			go engine.Write(next)
			expectAll(t, caller, next)
			caller.Close()
			<-ended
		})
	}
}

// frames makes n frames of all sizes, mostly large.
func frames(n int, rnd *rand.Rand) (all []byte, bounds map[int]bool) {
	bounds = map[int]bool{0: true}
	content := noise(200 << 10)
	for range n {
		size := []int{0, 1, 100, manyBytes - 1, manyBytes, 32 << 10, 32 << 10, 32 << 10, 100 << 10}[rnd.IntN(9)]
		var head [8]byte
		head[0] = byte(1 + rnd.IntN(2))
		binary.BigEndian.PutUint32(head[4:], uint32(size))
		all = append(append(all, head[:]...), content[:size]...)
		bounds[len(all)] = true
	}
	return all, bounds
}

// TestBulkFrames: frames that are not seen pass whole, however they are cut
// into writes, and a word said among them comes between two.
func TestBulkFrames(t *testing.T) {
	total := 0
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		s, caller, engine, ended := throughOn(t, []string{"unix", "tcp"}[seed%2])
		s.Framed, s.begun = true, true
		run(s, ended)
		all, _ := frames(200, rnd)
		go func() {
			for rest := all; len(rest) > 0; {
				n := min(len(rest), []int{3, 8, 5000, 32<<10 + 8, 256 << 10, 256 << 10}[rnd.IntN(6)])
				if _, err := engine.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				if rest = rest[n:]; rnd.IntN(8) == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			engine.CloseWrite()
		}()
		stop, said := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					said <- n
					return
				case <-time.After(100 * time.Microsecond):
					if s.Say("a word") == nil {
						n++
					}
				}
			}
		}()
		var got []byte
		words := 0
		for {
			var head [8]byte
			if _, err := io.ReadFull(caller, head[:]); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, binary.BigEndian.Uint32(head[4:]))
			if _, err := io.ReadFull(caller, body); err != nil {
				t.Fatal(err)
			}
			if string(body) == "a word\n" && head[0] == 2 {
				words++
				continue
			}
			got = append(append(got, head[:]...), body...)
		}
		close(stop)
		if n := <-said; words > n {
			t.Errorf("%d words came, %d were said", words, n)
		}
		total += words
		if !bytes.Equal(got, all) {
			t.Errorf("seed %d: %d bytes came, %d were sent, or they differ", seed, len(got), len(all))
		}
		caller.Close()
		<-ended
	}
	if total == 0 {
		t.Error("nothing was ever said")
	}
}

// TestSkip: what a frame follows unseen leads it to where seeing does.
func TestSkip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	all, bounds := frames(300, rnd)
	near, far := socketPair(t)
	var seen frame
	at, spliced := 0, 0
	for at < len(all) {
		n := min(len(all)-at, 1+rnd.IntN(150<<10))
		if _, err := far.Write(all[at : at+n]); err != nil {
			t.Fatal(err)
		}
		for n > 0 {
			most, err := int64(0), error(nil)
			near.raw.Read(func(fd uintptr) bool {
				most, err = seen.ahead(int(fd))
				return true
			})
			k := 1 + rnd.IntN(n)
			p := make([]byte, min(n, int(max(most, int64(k)))))
			if err == nil {
				p = p[:min(len(p), int(most))]
			} else if !errors.Is(err, errNoSplice) {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(near, p); err != nil {
				t.Fatal(err)
			}
			if err == nil {
				seen.skip(int64(len(p)))
				spliced += len(p)
			} else {
				seen.walk(p)
			}
			at, n = at+len(p), n-len(p)
			if between := seen.have == 0 && seen.left == 0; between != bounds[at] {
				t.Fatalf("at %d: between frames %v", at, between)
			}
		}
	}
	if spliced < len(all)/2 {
		t.Errorf("%d of %d bytes went unseen", spliced, len(all))
	}
}

// socketPair is two ends, the near one as a Conn.
func socketPair(t testing.TB) (*Conn, net.Conn) {
	f := newFar(t, "unix")
	c, err := f.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	far := f.accept(t)
	t.Cleanup(func() { far.Close() })
	return NewConn(c), far
}

// TestPeek looks ahead and takes nothing.
func TestPeek(t *testing.T) {
	near, far := socketPair(t)
	look := func(offset int64) (string, error) {
		var b [4]byte
		var n int
		var err error
		near.raw.Control(func(fd uintptr) { n, err = peek(int(fd), offset, b[:]) })
		return string(b[:n]), err
	}
	if _, err := look(0); err == nil || !strings.Contains(err.Error(), "temporarily") {
		t.Errorf("nothing has come: %v", err)
	}
	io.WriteString(far, "0123456789")
	for _, test := range []struct {
		offset int64
		want   string
	}{{0, "0123"}, {5, "5678"}, {5, "5678"}, {8, "89"}, {0, "0123"}} {
		if got, err := look(test.offset); got != test.want || err != nil {
			t.Errorf("at %d: %q, %v", test.offset, got, err)
		}
	}
	expect(t, near, "01")
	if got, err := look(2); got != "4567" || err != nil {
		t.Errorf("behind what was taken: %q, %v", got, err)
	}
	expect(t, near, "23456789")
	far.Close()
	if _, err := look(0); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}
