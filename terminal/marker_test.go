package terminal

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndScript ends processes with every shell that images have, also those
// that hide the marker and those that ignore HUP, and no others.
func TestEndScript(t *testing.T) {
	for _, shell := range [][]string{{"bash"}, {"dash"}, {"busybox", "sh"}, {"zsh"}} {
		t.Run(shell[0], func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell[0]); err != nil {
				t.Skip(err)
			}
			marker := markerName + "=" + newID()
			start := func(marker string, script ...string) *exec.Cmd {
				c := exec.Command(script[0], script[1:]...)
				c.Env = append(os.Environ(), "NEWLINES=a\nb", marker)
				c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
				return c
			}
			mine := start(marker, "sh", "-c", "trap '' HUP; env -i sleep 111 & sleep 112 & wait; wait")
			other := start(markerName+"="+newID(), "sleep", "113")
			ended := make(chan error, 1)
			go func() { ended <- mine.Wait() }()
			time.Sleep(200 * time.Millisecond)

			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			args := append(shell[1:], "-c", endScript, "sh", marker)
			c := exec.CommandContext(ctx, shell[0], args...)
			var errs strings.Builder
			c.Stderr = &errs
			out, err := c.Output()
			if err != nil || string(out) != "done\n" || errs.Len() > 0 {
				t.Errorf("it said %q and %q, %v", out, errs.String(), err)
			}
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("the process goes on")
			}
			if n := group(t, mine.Process.Pid); n != 0 {
				t.Errorf("%d processes of its session go on", n)
			}
			if err := other.Process.Signal(syscall.Signal(0)); err != nil || group(t, other.Process.Pid) != 1 {
				t.Errorf("another's process has ended: %v", err)
			}
		})
	}
}

// group counts the processes of a group that are no zombies.
func group(t *testing.T, id int) (n int) {
	t.Helper()
	out, err := exec.Command("ps", "-e", "-o", "pgid=,stat=").Output()
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == strconv.Itoa(id) && !strings.HasPrefix(f[1], "Z") {
			n++
		}
	}
	return n
}

func TestSignalNames(t *testing.T) {
	for name, want := range map[string]string{"TERM": "TERM", "SIGTERM": "TERM", "sigint": "INT", "": "", "0": "", "KILL; rm": "", "-9": ""} {
		if got := knownSignal(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for code, want := range map[int]string{0: "", 1: "", 128: "", 129: "HUP", 130: "INT", 137: "KILL", 143: "TERM", 159: "SYS", 160: "", 255: ""} {
		if got := signalOf(code); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}
