package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"

	"moorgate/proxy/enginetest"
)

// TestManyAtOnce: hijacks and event streams by the hundred live side by side,
// and leave nothing behind when their callers go.
func TestManyAtOnce(t *testing.T) {
	const hijacks, streams = 200, 1000
	d := open(t, "unix")
	d.dial(t).send("GET /_ping").answer() // what is made once is made
	d.engine.Close()
	d.fake.WaitLive(t, 0)
	before := runtime.NumGoroutine()

	var mu sync.Mutex
	var all []*caller
	var begun sync.WaitGroup
	begin := func(n int, one func(i int) *caller) {
		for part := range 8 {
			begun.Go(func() {
				for i := part; i < n; i += 8 {
					c := one(i)
					mu.Lock()
					all = append(all, c)
					mu.Unlock()
				}
			})
		}
	}
	begin(streams, func(i int) *caller {
		c := d.dial(t).send("GET /v1.41/events?since=1")
		if line, err := c.r.ReadString('}'); err != nil {
			t.Errorf("event %d: %q, %v", i, line, err)
		}
		return c
	})
	begin(hijacks, func(i int) *caller {
		c := d.attach(t, "1.41", "echo", upgrade, "Upgrade: tcp")
		c.rawHead()
		text := fmt.Sprint("stream ", i)
		c.write(text)
		c.expect(text)
		return c
	})
	begun.Wait()
	if n := d.fake.Live(); n != hijacks+streams {
		t.Errorf("%d live connections", n)
	}
	if resp, _ := d.dial(t).send("GET /_ping", "Connection: close").answer(); resp.StatusCode != 200 {
		t.Errorf("one more got %s", resp.Status)
	}
	for _, c := range all {
		c.Close()
	}
	d.engine.Close() // the ping's
	d.fake.WaitLive(t, 0)
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before })
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, before %d", after, before)
	}
}

// TestLargeDownloads arrive byte for byte, however they are framed, through
// each sort of connection.
func TestLargeDownloads(t *testing.T) {
	const n = 4<<20 + 5
	want := sha256.New()
	io.Copy(want, enginetest.Content(n))
	for name, s := range everySort(t) {
		t.Run(name, func(t *testing.T) {
			d := s.open(t)
			for _, mode := range []string{"", "length-", "plain-"} {
				resp := d.dial(t).send(fmt.Sprintf("GET /v1.41/containers/%s%d/export", mode, n)).head()
				got := sha256.New()
				if k, err := io.Copy(got, resp.Body); err != nil || k != n || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
					t.Errorf("%s: %d bytes, %v", mode, k, err)
				}
				if (resp.ContentLength == n) != (mode == "length-") {
					t.Errorf("%s: length %d", mode, resp.ContentLength)
				}
			}
		})
	}
}
