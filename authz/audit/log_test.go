package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// ids gives the ids of the records in a file, "lost N" for a line that says so.
func ids(t *testing.T, text string) (ids []string) {
	t.Helper()
	for text := range strings.Lines(text) {
		if text == "\n" {
			continue
		}
		var l struct {
			Time      time.Time
			ID, Event string
			Lost      int
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil || l.Time.IsZero() {
			t.Fatalf("%v in %q", err, text)
		}
		if l.Event == "lost" {
			l.ID = fmt.Sprint("lost ", l.Lost)
		}
		ids = append(ids, l.ID)
	}
	return ids
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := NewLog(Config{File: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				rec := full()
				rec.ID = fmt.Sprint(w, "-", i)
				l.Record(rec)
			}
		})
	}
	wg.Wait()
	closeLog(t, l)
	seen := map[string]bool{}
	for _, id := range ids(t, read(t, name)) {
		seen[id] = true
	}
	if len(seen) != writers*each || l.Lost() != 0 {
		t.Errorf("%d of %d records are in the file, %d lost", len(seen), writers*each, l.Lost())
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	l.Record(full())
	if l.Lost() != 1 {
		t.Errorf("a record after Close: %d lost, want 1", l.Lost())
	}
}

func TestLogIsWrittenSoon(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := NewLog(Config{File: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeLog(t, l)
	for range 3 {
		before := len(read(t, name))
		l.Record(full())
		deadline := time.Now().Add(5 * time.Second)
		for len(read(t, name)) == before {
			if time.Now().After(deadline) {
				t.Fatal("the record is not in the file after 5 s")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// slowDisk holds writes back while it is locked, and fails the first ones.
type slowDisk struct {
	mu      sync.Mutex
	text    strings.Builder
	fails   int // so many writes
	partial int // bytes that a failing one still writes
	entered chan struct{}
}

func (d *slowDisk) Write(p []byte) (int, error) {
	select {
	case d.entered <- struct{}{}:
	default:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails > 0 {
		d.fails--
		n, _ := d.text.Write(p[:min(d.partial, len(p))])
		return n, errors.New("no space left")
	}
	return d.text.Write(p)
}

func (d *slowDisk) Close() error { return nil }

func named(id string) *Record { return &Record{Time: time.Unix(1, 0), ID: id} }

func TestLogNeverWaits(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	disk := &slowDisk{entered: make(chan struct{}, 1)}
	size := len(named("q0").appendJSON(nil))
	l := newLog(disk, zap.New(core), 3*size)

	disk.mu.Lock() // the disk hangs
	l.Record(named("w0"))
	<-disk.entered
	for i := range 5 {
		l.Record(named(fmt.Sprint("q", i)))
	}
	if l.Lost() != 2 {
		t.Errorf("%d lost, want 2", l.Lost())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close with a hanging disk: %v", err)
	}
	disk.mu.Unlock()

	closeLog(t, l)
	if got := strings.Join(ids(t, disk.text.String()), " "); got != "w0 q0 q1 q2 lost 2" {
		t.Errorf("the file holds %q", got)
	}
	if logged.FilterMessage("audit records are being lost").Len() != 1 || logged.FilterMessage("audit records were lost").Len() != 1 {
		t.Errorf("the log says %v", logged.All())
	}
}

func TestLogFailingDisk(t *testing.T) {
	one := len(named("a").appendJSON(nil))
	tests := []struct {
		name    string
		partial int
		torn    bool
		want    string
		lost    int64
	}{
		{"nothing written", 0, false, "c lost 2", 2},
		{"amid a line", 10, true, "c lost 2", 2},
		{"a whole line", one, false, "a c lost 1", 1},
		{"amid the second", one + 10, true, "a c lost 1", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			disk := &slowDisk{fails: 1, partial: test.partial, entered: make(chan struct{}, 1)}
			l := newLog(disk, nil, maxQueue)
			l.mu.Lock() // both come in one batch
			l.queue = named("b").appendJSON(named("a").appendJSON(nil))
			l.mu.Unlock()
			signal(l.wake)
			<-disk.entered
			l.Record(named("c"))
			closeLog(t, l)

			var whole strings.Builder
			torn := false
			for text := range strings.Lines(disk.text.String()) {
				if json.Valid([]byte(text)) {
					whole.WriteString(text)
				} else {
					torn = true
				}
			}
			if got := strings.Join(ids(t, whole.String()), " "); got != test.want || torn != test.torn || l.Lost() != test.lost {
				t.Errorf("the file holds %q, want %q (torn %v); Lost() is %d", got, test.want, torn, l.Lost())
			}
		})
	}
}

func TestLogRotates(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chmod(name, 0o662)); err != nil { // beyond any usual umask
		t.Fatal(err)
	}
	f := &rotated{name: name, max: 10, keep: 2}
	if err := f.open(0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		write string
		want  [4]string // the file, .1, .2, .3
	}{
		{"one\n", [4]string{"one\n"}},
		{"two\n", [4]string{"one\ntwo\n"}},
		{"three\n", [4]string{"three\n", "one\ntwo\n"}},
		{"a\nlong\nlist\nof\n", [4]string{"of\n", "long\nlist\n", "three\na\n"}},
		{"longer than ten\n", [4]string{"longer than ten\n", "of\n", "long\nlist\n"}},
		{"x\n", [4]string{"x\n", "longer than ten\n", "of\n"}},
	}
	for _, step := range steps {
		if n, err := f.Write([]byte(step.write)); n != len(step.write) || err != nil {
			t.Fatalf("writing %q: %d, %v", step.write, n, err)
		}
		for i, want := range step.want {
			file := name
			if i > 0 {
				file = f.numbered(i)
			}
			got, err := os.ReadFile(file)
			if string(got) != want || (want == "") != (err != nil) {
				t.Errorf("after %q %s holds %q, %v, want %q", step.write, filepath.Base(file), got, err, want)
			}
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o662 {
		t.Errorf("the mode is %v after a rename, want the one that it had", info.Mode())
	}

	// Somebody else renamed it: what is there now is not renamed once more.
	if err := errors.Join(os.Rename(name, name+".theirs"), os.WriteFile(name, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("123456789\n")); err != nil {
		t.Fatal(err)
	}
	if got := read(t, name) + read(t, f.numbered(1)); got != "123456789\nlonger than ten\n" {
		t.Errorf("the files hold %q", got)
	}

	// It was lost: the next write begins anew.
	f.Close()
	if _, err := f.Write([]byte("z\n")); err != nil || !strings.HasSuffix(read(t, name), "z\n") {
		t.Errorf("after a failure: %v", err)
	}
}

func TestNewLogFaults(t *testing.T) {
	tests := []struct {
		config Config
		want   string
	}{
		{Config{}, "file: name a file"},
		{Config{File: "/dev/null/none/x"}, "file: making its folder"},
		{Config{File: "-", MaxSize: 100, Keep: -1}, "max_size: 100B is too small: write 64KiB or more\nkeep: -1"},
	}
	for _, test := range tests {
		if l, err := NewLog(test.config, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v gave %v, %v", test.config, l, err)
		}
	}
}

func TestLogToStandardError(t *testing.T) {
	l, err := NewLog(Config{File: "-"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	if _, err := os.Stderr.Stat(); err != nil {
		t.Errorf("standard error was closed: %v", err)
	}
}

func TestConfigYAML(t *testing.T) {
	tests := []struct {
		text string
		want Config
		ok   bool
	}{
		{"{ file: x, max_size: 2MiB, keep: 3 }", Config{"x", 2 << 20, 3}, true},
		{"{ file: x, max_size: 1048576 }", Config{"x", 1 << 20, 0}, true},
		{"{ max_size: big }", Config{}, false},
		{"{ max_size: -1 }", Config{}, false},
		{"{ files: x }", Config{}, false},
	}
	for _, test := range tests {
		var c Config
		err := yaml.UnmarshalWithOptions([]byte(test.text), &c, yaml.Strict())
		if (err == nil) != test.ok || test.ok && c != test.want {
			t.Errorf("%s is read as %+v, %v", test.text, c, err)
		}
	}
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Close() error                { return nil }

// BenchmarkLog is what a request pays for its line, with a disk that keeps up.
func BenchmarkLog(b *testing.B) {
	l := newLog(nowhere{}, nil, maxQueue)
	rec := full()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			l.Record(rec)
			if i%500 == 0 {
				runtime.Gosched() // as requests do: the writer wants a processor too
			}
		}
	})
	b.StopTimer()
	closeLog(b, l)
	b.ReportMetric(float64(l.Lost())/float64(b.N), "lost/op")
}

// TestLogPipe: a pipe without a reader is a fault, not something to wait for.
func TestLogPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewLog(Config{File: name}, nil); err == nil || !strings.Contains(err.Error(), "nobody reads") {
		t.Errorf("got %v", err)
	}
}
