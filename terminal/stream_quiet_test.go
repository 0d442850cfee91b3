package terminal

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// unixPair gives both ends of a connection.
func unixPair(t *testing.T) (near, far *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.UnixConn), b.(*net.UnixConn)
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(p) //nolint:errcheck // never fails
	return p
}

// readQuietly reads so much, out of the poller where it can be.
func readQuietly(t *testing.T, s *stream, n int) (got []byte, calm int) {
	t.Helper()
	for len(got) < n {
		s.calm()
		if s.quiet.out {
			calm++
		}
		if err := s.fill(inputBuffer); err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
		for {
			p, _, err := s.take(inputBuffer)
			if err != nil {
				t.Fatal(err)
			}
			if len(p) == 0 {
				break
			}
			got = append(got, p...)
		}
	}
	return got, calm
}

// TestStreamQuiet reads a flood and writes a paste out of the poller, byte by
// byte as they were sent, and waits in it when the flood is over.
func TestStreamQuiet(t *testing.T) {
	near, far := unixPair(t)
	out, in := randomBytes(8<<20), randomBytes(2<<20)
	s := newStream(near, nil, true)
	go func() {
		for p := out; len(p) > 0; p = p[min(4096, len(p)):] {
			if _, err := far.Write(p[:min(4096, len(p))]); err != nil {
				return
			}
		}
	}()
	took := make(chan []byte, 1)
	go func() {
		p, _ := io.ReadAll(far)
		took <- p
	}()
	wrote := make(chan error, 1)
	go func() {
		_, err := s.Write(in)
		if err == nil {
			err = s.CloseWrite()
		}
		wrote <- err
	}()
	got, calm := readQuietly(t, s, len(out))
	if !bytes.Equal(got, out) || calm == 0 {
		t.Errorf("%d bytes came, %d of the reads out of the poller; want the same %d", len(got), calm, len(out))
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if p := <-took; !bytes.Equal(p, in) {
		t.Errorf("%d other bytes were taken, want %d", len(p), len(in))
	}

	s.calm()
	if !s.quiet.out {
		t.Error("it cannot be taken out of the poller")
	}
	time.AfterFunc(100*time.Millisecond, func() { far.Write([]byte("later")) })
	if err := s.fill(inputBuffer); err != nil || string(s.have) != "later" || s.quiet.out {
		t.Errorf("%q, %v, out of the poller: %v", s.have, err, s.quiet.out)
	}
	s.take(inputBuffer)
	far.Close()
	if err := s.fill(inputBuffer); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
}

// TestStreamQuietClose ends what waits out of the poller, and leaves no
// descriptor.
func TestStreamQuietClose(t *testing.T) {
	before := descriptors(t)
	for _, wait := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
		near, far := unixPair(t)
		s := newStream(near, nil, true)
		s.calm()
		ended := make(chan error, 2)
		go func() { ended <- s.fill(inputBuffer) }()
		go func() { _, err := s.Write(make([]byte, 8<<20)); ended <- err }() // more than is taken
		time.Sleep(wait)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v, want that it is closed", err)
			}
		}
		if err := s.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want that it was closed", err)
		}
		far.Close()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(all)
}

// TestGather waits in a flood of crumbs alone.
func TestGather(t *testing.T) {
	for _, test := range []struct {
		name  string
		piece int
		most  int
		times int
		gap   time.Duration
		waits bool
	}{
		{"a screenful", 2000, inputBuffer, 10, 0, false},
		{"a flood of crumbs", 4096, inputBuffer, 100, 0, true},
		{"a flood of blocks", 32 << 10, inputBuffer, 100, 0, false},
		{"what the window lets through", leastRead / 2, leastRead / 2, 100, 0, false},
		{"crumbs now and then", 4096, inputBuffer, 30, 2 * floodGap, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var g gather
			for range test.times {
				g.wait()
				time.Sleep(test.gap) // the read
				g.read(test.piece, test.most)
			}
			if waits := g.waits > 0; waits != test.waits {
				t.Errorf("it waited %d times", g.waits)
			}
		})
	}
}
