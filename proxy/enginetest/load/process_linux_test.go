package load

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startSelf starts the test binary, to run the calling test as a child.
func startSelf(t *testing.T) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir := t.TempDir()
	return Start("self", filepath.Join(dir, "s"), filepath.Join(dir, "log"), exec.Command(self, "-test.run=^"+t.Name()+"$"), "LOAD_CHILD=1")
}

func TestProcessFigures(t *testing.T) {
	if os.Getenv("LOAD_CHILD") != "" {
		hog := make([]byte, 32<<20)
		for i := range hog {
			hog[i] = 1
		}
		for used := (syscall.Rusage{}); used.Utime.Nano() < int64(120*time.Millisecond); {
			syscall.Getrusage(syscall.RUSAGE_SELF, &used)
		}
		time.Sleep(time.Minute)
		return
	}
	p, err := startSelf(t)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.ResetPeak(); err != nil {
		t.Fatal(err)
	}
	var cpu time.Duration
	for end := time.Now().Add(30 * time.Second); cpu < 100*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		if cpu, err = p.CPU(); err != nil || time.Now().After(end) {
			t.Fatalf("CPU %v, %v", cpu, err)
		}
	}
	if now, err := p.Memory(); err != nil || now < 32<<10 {
		t.Errorf("memory %d KiB, %v; it holds 32 MiB", now, err)
	}
	if peak, err := p.Peak(); err != nil || peak < 32<<10 {
		t.Errorf("peak %d KiB, %v", peak, err)
	}
}

func TestProcessThatEnds(t *testing.T) {
	if os.Getenv("LOAD_CHILD") != "" {
		t.Fatal("no socket today")
	}
	p, err := startSelf(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ready(); err == nil || !strings.Contains(err.Error(), "no socket today") {
		t.Errorf("Ready says %v; it must show what the process said", err)
	}
	p.Stop()
}
