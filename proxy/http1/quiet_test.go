package http1

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

// quietPair gives a connection that may leave the poller, and its other end.
func quietPair(t *testing.T) (*Conn, *net.UnixConn) {
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
	c := NewConn(a)
	c.quiet = new(quiet)
	t.Cleanup(func() { c.Close(); b.Close() })
	return c, b.(*net.UnixConn)
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(p) //nolint:errcheck // never fails
	return p
}

// TestQuiet reads a flood and writes a paste out of the poller, byte by byte as
// they were sent, and waits in it when the flood is over.
func TestQuiet(t *testing.T) {
	c, far := quietPair(t)
	out, in := randomBytes(8<<20), randomBytes(2<<20)
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
		_, err := c.Write(in)
		if err == nil {
			err = c.CloseWrite()
		}
		wrote <- err
	}()
	var got []byte
	calm := 0
	for len(got) < len(out) {
		if c.calm(); c.quiet.out {
			calm++
		}
		if err := c.fill(bufferSize); err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
		got = append(got, c.have()...)
		c.drop()
	}
	if !bytes.Equal(got, out) || calm == 0 {
		t.Errorf("%d bytes came, %d of the reads out of the poller; want the same %d", len(got), calm, len(out))
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if p := <-took; !bytes.Equal(p, in) {
		t.Errorf("%d other bytes were taken, want %d", len(p), len(in))
	}

	if c.calm(); !c.quiet.out {
		t.Error("it cannot be taken out of the poller")
	}
	time.AfterFunc(100*time.Millisecond, func() { far.Write([]byte("later")) })
	if err := c.fill(bufferSize); err != nil || string(c.have()) != "later" || c.quiet.out {
		t.Errorf("%q, %v, out of the poller: %v", c.have(), err, c.quiet.out)
	}
	c.drop()
	c.calm()
	far.Close()
	if err := c.fill(bufferSize); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
	if c.rouse(); c.quiet.out || !c.waitGone() {
		t.Error("its end cannot be waited for in the poller")
	}
}

// TestQuietClose ends what waits out of the poller, and leaves no descriptor.
func TestQuietClose(t *testing.T) {
	before := descriptors(t)
	for _, wait := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
		c, far := quietPair(t)
		c.calm()
		ended := make(chan error, 2)
		go func() { ended <- c.fill(bufferSize) }()
		go func() { _, err := c.Write(make([]byte, 8<<20)); ended <- err }() // more than is taken
		time.Sleep(wait)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v, want that it is closed", err)
			}
		}
		if err := c.Close(); !errors.Is(err, net.ErrClosed) {
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

// TestNearFlood relays a flood of crumbs to a caller in this process, and what
// it types, both to the byte, and both ends end.
func TestNearFlood(t *testing.T) {
	engine, far := quietPair(t)
	engine.quiet = nil // Run's
	caller, user := quietPair(t)
	caller.quiet = nil
	s := &Stream{Near: true, caller: caller, engine: engine}
	ran := make(chan [2]int64, 1)
	go func() {
		in, out := s.Run()
		ran <- [2]int64{in, out}
	}()
	out, in := randomBytes(16<<20), randomBytes(1<<20)
	go func() {
		for p := out; len(p) > 0; p = p[min(4096, len(p)):] {
			if _, err := far.Write(p[:min(4096, len(p))]); err != nil {
				return
			}
		}
	}()
	typed := make(chan []byte, 1)
	go func() {
		p, _ := io.ReadAll(far)
		typed <- p
		far.Close()
	}()
	wrote := make(chan error, 1)
	got := make([]byte, len(out))
	half := len(out) / 2
	_, err := io.ReadFull(user, got[:half])
	go func() { // into the flood
		_, err := user.Write(in)
		wrote <- err
	}()
	if err == nil {
		_, err = io.ReadFull(user, got[half:])
	}
	if err != nil || !bytes.Equal(got, out) {
		t.Fatalf("%v, or other bytes came", err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	user.CloseWrite()
	if p := <-typed; !bytes.Equal(p, in) {
		t.Errorf("%d other bytes were typed, want %d", len(p), len(in))
	}
	if n, err := user.Read(got); err != io.EOF {
		t.Errorf("%d bytes, %v, want the end", n, err)
	}
	user.Close()
	select {
	case n := <-ran:
		if n != [2]int64{int64(len(in)), int64(len(out))} {
			t.Errorf("%d bytes were counted", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("the relay goes on")
	}
	if engine.quiet == nil {
		t.Error("the Engine's connection was not for leaving the poller")
	}
}
