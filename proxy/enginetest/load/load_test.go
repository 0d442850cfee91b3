package load

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

func TestRate(t *testing.T) {
	e := enginetest.Start(t)
	list := Request("GET", "/v1.41/containers/json", "", "")
	size := int64(len(enginetest.List))
	for _, fresh := range []bool{false, true} {
		r := Rate{Socket: e.Socket, Connections: 3, For: 30 * time.Millisecond, Request: list, Fresh: fresh, Status: 200, Size: size}
		n, took, err := r.Run()
		if err != nil || n == 0 || took < r.For {
			t.Errorf("fresh %t: %d answers in %v, %v", fresh, n, took, err)
		}
		e.WaitLive(t, 0)
	}
	if _, _, err := (Rate{Socket: e.Socket, Connections: 1, For: time.Second, Request: list, Status: 200, Size: size + 1}).Run(); err == nil {
		t.Error("an answer of the wrong size was counted")
	}
}

func TestWrongAnswers(t *testing.T) {
	e := enginetest.Start(t)
	for _, path := range []string{"/containers/truncated-64k/export", "/containers/truncated/json", "/containers/hangup/json", "/containers/missing/json"} {
		if b, err := Ask(e.Socket, Request("GET", path, "", "")); err == nil {
			t.Errorf("%s: %d bytes and no error", path, len(b))
		}
	}
	if b, err := Ask(e.Socket, Request("GET", "/containers/trailers-64k/export", "", "")); err != nil || len(b) != 64<<10 {
		t.Errorf("trailers: %d bytes, %v", len(b), err)
	}
}

// One byte less than a stream's size must be missed, in either direction.
func TestBulk(t *testing.T) {
	e := enginetest.Start(t)
	const size = 1<<20 + 1
	for name, do := range map[string]func(string, int64) error{"Source": Source, "Sink": Sink, "Download": Download, "Upload": Upload} {
		if err := do(e.Socket, size); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.On("/containers/{name}/export", func(c *enginetest.Conn) {
		c.StartChunks("application/x-tar")
		c.Chunk(strings.Repeat("x", size-1))
		c.EndChunks()
	})
	e.On("/containers/{name}/attach", func(c *enginetest.Conn) {
		c.Hijack("", "")
		io.CopyN(c, enginetest.Content(size-1), size-1)
		c.CloseWrite()
	})
	for name, do := range map[string]func(string, int64) error{"Source": Source, "Download": Download} {
		if do(e.Socket, size) == nil {
			t.Errorf("%s: a missing byte was not missed", name)
		}
	}
}

func TestStreams(t *testing.T) {
	e := enginetest.Start(t)
	for _, idle := range Idle {
		closeAll, err := Streams(e.Socket, idle.Request, idle.Status, 20)
		if err != nil {
			t.Fatalf("%s: %v", idle.Work, err)
		}
		e.WaitLive(t, 20)
		closeAll()
		e.WaitLive(t, 0)
	}
}

func TestPlain(t *testing.T) {
	e := enginetest.Start(t)
	l, err := net.Listen("unix", filepath.Join(filepath.Dir(e.Socket), "p"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go Plain(l, e.Socket)
	socket := l.Addr().String()
	if b, err := Ask(socket, Ping); err != nil || string(b) != "OK" {
		t.Errorf("ping: %q, %v", b, err)
	}
	if err := Upload(socket, 1<<20); err != nil {
		t.Error(err)
	}
	if err := Sink(socket, 1<<20); err != nil {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	table := Table{Targets: []string{"direct", "plain", "moorgate"}}
	for _, v := range []float64{3, 1, 200} {
		table.Add("ping", "requests/s", "direct", v)
	}
	table.Add("ping", "requests/s", "moorgate", 1.5)
	table.Add("ping", "CPU µs each", "plain", 80)
	table.Add("ping", "CPU µs each", "moorgate", 20)
	want := strings.TrimPrefix(`
| work | unit        | direct | plain | moorgate | moorgate/direct | moorgate/plain |
| ---- | ----------- | -----: | ----: | -------: | --------------: | -------------: |
| ping | requests/s  |   3.00 |     – |     1.50 |          0.50 × |              – |
|      | CPU µs each |      – |  80.0 |     20.0 |               – |         0.25 × |
`, "\n")
	if got := table.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
