package load

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Ping is the cheapest request.
var Ping = Request("GET", "/v1.41/_ping", "", "")

// Process is a server under measurement.
type Process struct {
	Name, Socket string

	cmd     *exec.Cmd
	log     string
	started time.Time
	exited  chan struct{}
}

// Start runs cmd, which shall answer at socket, with env besides the caller's
// environment; what it prints goes to the file log.
func Start(name, socket, log string, cmd *exec.Cmd, env ...string) (*Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	for _, v := range os.Environ() { // no Engine or home of the user's may be reached
		if !strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "DOCKER_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a run that is cut short leaves none behind
	p := &Process{Name: name, Socket: socket, cmd: cmd, log: log, started: time.Now(), exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { cmd.Wait(); close(p.exited) }()
	return p, nil
}

// Ready waits for the first good answer and returns how long after the start
// that was.
func (p *Process) Ready() (time.Duration, error) {
	var err error
	for running := true; running && time.Since(p.started) < 10*time.Second; {
		if _, err = Ask(p.Socket, Ping); err == nil {
			return time.Since(p.started), nil
		}
		select {
		case <-p.exited:
			running = false
		case <-time.After(200 * time.Microsecond):
		}
	}
	out, _ := os.ReadFile(p.log)
	return 0, fmt.Errorf("%s (%s) does not answer a ping at %s: %w\nIts output:\n%s", p.Name, p.cmd, p.Socket, err, out)
}

// Stop kills the process.
func (p *Process) Stop() {
	p.cmd.Process.Kill()
	<-p.exited
}

// CPU is what the process has used so far, user and system.
func (p *Process) CPU() (time.Duration, error) {
	// The kernel's clock of another process (clock_getcpuclockid(3)) counts
	// nanoseconds; /proc/PID/stat counts ticks of 10 ms, 1 % of a round.
	const schedClock = 2
	clock := uintptr(^p.cmd.Process.Pid<<3 | schedClock)
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, fmt.Errorf("CPU clock of %s: %w", p.Name, errno)
	}
	return time.Duration(ts.Nano()), nil
}

// Memory is the resident KiB, once the process has come to rest. It asks
// smaps_rollup: the counters of status may be off by some hundred KiB.
func (p *Process) Memory() (int64, error) {
	time.Sleep(500 * time.Millisecond)
	return p.kib("smaps_rollup", "Rss:")
}

// Peak is the highest resident KiB since ResetPeak.
func (p *Process) Peak() (int64, error) { return p.kib("status", "VmHWM:") }

// ResetPeak begins a new measurement of Peak.
func (p *Process) ResetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

func (p *Process) kib(file, field string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) > 1 && string(f[0]) == field {
			return strconv.ParseInt(string(f[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s of %s has no %s", file, p.Name, field)
}

// OpenFiles sees to it that this process and those it starts may have n files
// open.
func OpenFiles(n int) error {
	// Go raises its own limit by itself, but gives children what it was
	// started with unless it is set once by hand.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if limit.Cur < uint64(n) {
		return fmt.Errorf("%d open files are needed, the limit is %d: raise it with `ulimit -Hn`", n, limit.Max)
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// Machine names what the figures hang on: cores, kernel.
func Machine() string {
	var uts syscall.Utsname
	syscall.Uname(&uts)
	var release strings.Builder
	for _, c := range uts.Release {
		if c == 0 {
			break
		}
		release.WriteByte(byte(c))
	}
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	for line := range strings.Lines(string(cpus)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
		}
	}
	return fmt.Sprintf("%d cores (%s), Linux %s", bytes.Count(cpus, []byte("processor\t:")), model, release.String())
}
