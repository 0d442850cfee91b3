package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// The docker CLI can't tell moorgate from the Engine behind it. Every script in testdata/conformance runs
// twice on one Engine, once straight and once through moorgate; each command's exit code, stdout and stderr
// must be the same, but for what differs from run to run anyway (see normal). README.md there tells how
// scripts are written.

func TestConformance(t *testing.T) { testScripts(t, "testdata/conformance/docker/*.txt") }

// TestCompose and TestBuildx do the same with the CLI's plugins.
func TestCompose(t *testing.T) { testScripts(t, "testdata/conformance/plugins/compose.txt") }
func TestBuildx(t *testing.T)  { testScripts(t, "testdata/conformance/plugins/buildx.txt") }

const (
	commandTimeout = 30 * time.Second       // more than any command of the scripts takes, on a loaded machine
	keysTimeout    = 15 * time.Second       // until an awaited text shows on a terminal
	settle         = 300 * time.Millisecond // until a new size has reached the program, which may draw anew what is being typed
)

func testScripts(t *testing.T, pattern string) {
	l := newLab(t)
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts at %s (%v)", pattern, err)
	}
	var scripts []*script
	for _, file := range files {
		scripts = append(scripts, readScript(t, file, l.kind))
	}
	// Parallel subtests begin when all others have ended: those that must be alone are.
	slots := make(chan struct{}, 2)
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			if !s.alone {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
			}
			direct, through := l.run(t, s, l.engine), l.run(t, s, l.through)
			first := s.differ(direct, through)
			// Some output depends on what the Engine or the CLI happened to be doing: a difference counts
			// when it shows again, and is told of in any case.
			second := first
			if slices.ContainsFunc(first, func(d string) bool { return d != "" }) {
				direct, through = l.run(t, s, l.engine), l.run(t, s, l.through)
				second = s.differ(direct, through)
			}
			for i, step := range s.steps {
				if step.compared {
					t.Run(step.command, func(t *testing.T) { step.report(t, direct[i], through[i], first[i], second[i]) })
				}
			}
		})
	}
}

func (s *step) report(t *testing.T, direct, through outcome, first, second string) {
	t.Logf("%s\ntook %v, through moorgate %v", s.command, direct.took, through.took)
	switch {
	case first != "" && second != "":
		t.Error(second)
	case first+second != "":
		t.Logf("differed once:\n%s", first+second)
	default:
		t.Log(last(direct.String(), 2000))
	}
}

// A lab is an Engine, a way to it through moorgate, and a docker CLI.
type lab struct {
	engine, through string // addresses
	kind            string // debian or current
	netns           string // the Engine's network namespace, "" when it is this one
	path            string // PATH with the CLI's directory first
	plugins         string // directory of CLI plugins
}

func newLab(t *testing.T) *lab {
	engine := os.Getenv("MOORGATE_ENGINE")
	if engine == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MOORGATE_ENGINE is not set: CI runs these tests by make test")
		}
		t.Skip("needs a Docker Engine of its own: run make test, which starts one")
	}
	l := &lab{engine: engine, kind: os.Getenv("MOORGATE_ENGINE_KIND"), netns: os.Getenv("MOORGATE_ENGINE_NETNS")}
	script := func(args ...string) string {
		command := exec.Command("../../deploy/engine", args...)
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("deploy/engine %s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	bin := t.TempDir()
	if err := os.Symlink(script("cli"), filepath.Join(bin, "docker")); err != nil {
		t.Fatal(err)
	}
	l.path = bin + ":" + os.Getenv("PATH")
	l.plugins = filepath.Join(script("plugins"), "cli-plugins")

	labels, err := l.command(t.Context(), "docker info --format '{{.Labels}}'", t.TempDir(), l.engine).CombinedOutput()
	if err != nil || !strings.Contains(string(labels), "moorgate.test=yes") {
		t.Fatalf("the Engine at %s is not one of deploy/engine's, and these tests remove things: %s", l.engine, labels)
	}
	// Two runs on one Engine would trip over each other. The lock ends with this process.
	lock, err := os.Create(filepath.Join(os.TempDir(), "moorgate-conformance-"+l.kind+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if l.through = os.Getenv("MOORGATE_TEST_SOCKET"); l.through == "" {
		l.through = startMoorgate(t, l.engine)
	} else if !strings.Contains(l.through, "://") {
		l.through = "unix://" + l.through
	}
	return l
}

// startMoorgate builds moorgate and serves in personal mode until the test ends.
func startMoorgate(t *testing.T, engine string) string {
	dir := t.TempDir()
	binary := filepath.Join(t.TempDir(), "moorgate")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building moorgate: %v\n%s", err, out)
	}
	var log bytes.Buffer
	serve := exec.Command(binary, "serve")
	serve.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "DOCKER_HOST="+engine)
	serve.Stdout, serve.Stderr = &log, &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ended := wait(serve)
	t.Cleanup(func() {
		serve.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("moorgate did not end on SIGTERM")
			serve.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("moorgate's log:\n%s", last(log.String(), 16<<10))
		}
	})
	socket := filepath.Join(dir, "moorgate", "docker.sock")
	await(t, ended, func() bool { return dials("unix", socket) })
	return "unix://" + socket
}

// wait returns a channel that is closed when a process has ended.
func wait(c *exec.Cmd) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		c.Wait()
		close(ended)
	}()
	return ended
}

// await returns when ready does, or fails the test when the process ends before.
func await(t *testing.T, ended <-chan struct{}, ready func() bool) {
	t.Helper()
	for range 200 {
		if ready() {
			return
		}
		select {
		case <-ended:
			t.Fatal("it ended before it was ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("not ready after 10 s")
}

func dials(network, address string) bool {
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// command is a shell command as the lab's user would type it.
func (l *lab) command(ctx context.Context, text, dir, address string) *exec.Cmd {
	c := exec.CommandContext(ctx, "sh", "-c", text)
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+l.path, "DOCKER_HOST="+address, "HOME="+dir,
		"DOCKER_CONFIG="+filepath.Join(dir, ".docker"), "DOCKER_CLI_HINTS=false", "LC_ALL=C", "TERM=xterm")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 2 * time.Second // for what a killed command left running with our pipes
	return c
}

// A script is one file of testdata/conformance.
type script struct {
	name     string
	alone    bool // touches what other scripts see
	registry bool // needs registries at localhost:5000 and, with a password, :5001
	steps    []*step
}

// A step is one command.
type step struct {
	command  string
	compared bool // else set-up or clearing away
	terminal bool
	exit     int    // the exit code that the Engine itself must give; -1 for any
	only     string // the kind of Engine it is for
	sorted   bool   // lines come in any order
	numbers  bool   // numbers differ from run to run
	names    bool   // names are the Engine's own invention
	code     bool   // only the exit code is compared
	keys     []keys
}

// keys are typed when a text is seen on the terminal.
type keys struct{ wait, typed string }

var stepLine = regexp.MustCompile(`^(?:\[([^]]*)\] )?([$%-]) (.*)$`)

// readScript reads what a script has for this kind of Engine.
func readScript(t *testing.T, file, kind string) *script {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
	bad := func(n int, why string) { t.Fatalf("%s:%d: %s", file, n+1, why) }
	for n, line := range strings.Split(string(text), "\n") {
		match := stepLine.FindStringSubmatch(line)
		switch {
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "#"):
		case line == "! alone":
			s.alone = true
		case line == "! registry":
			s.registry = true
		case strings.HasPrefix(line, "    "):
			wait, typed, ok := strings.Cut(line[4:], "|")
			if !ok || len(s.steps) == 0 || !s.steps[len(s.steps)-1].terminal {
				bad(n, "keys are TEXT | KEYS and follow a % line")
			}
			last := s.steps[len(s.steps)-1]
			last.keys = append(last.keys, keys{strings.TrimSuffix(wait, " "), strings.TrimPrefix(typed, " ")})
		case match == nil:
			bad(n, "not a command: "+line)
		default:
			st := &step{command: match[3], compared: match[2] != "-", terminal: match[2] == "%"}
			for _, note := range strings.Fields(strings.ReplaceAll(match[1], ",", " ")) {
				if err := st.note(note); err != nil {
					bad(n, err.Error())
				}
			}
			if st.only == "" || st.only == kind {
				s.steps = append(s.steps, st)
			}
		}
	}
	return s
}

// note applies one word of the brackets before a command.
func (s *step) note(word string) (err error) {
	switch word {
	case "debian", "current":
		s.only = word
	case "sorted":
		s.sorted = true
	case "numbers":
		s.numbers = true
	case "names":
		s.names = true
	case "code":
		s.code = true
	case "any":
		s.exit = -1
	default:
		if s.exit, err = strconv.Atoi(word); err != nil {
			return fmt.Errorf("[%s] is no known note", word)
		}
	}
	return nil
}

// outcome is what a command did.
type outcome struct {
	exit           int
	stdout, stderr string
	took           time.Duration
}

// run runs a script at an address, in a directory of its own.
func (l *lab) run(t *testing.T, s *script, address string) []outcome {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/conformance/files")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, ".docker")
	if err := errors.Join(os.Mkdir(config, 0o700), os.Symlink(l.plugins, filepath.Join(config, "cli-plugins"))); err != nil {
		t.Fatal(err)
	}
	if s.registry {
		defer l.registry(t, dir, "5000", "registry.yml")()
		defer l.registry(t, dir, "5001", "registry-password.yml")()
	}
	own := strings.NewReplacer(address, "<engine>", strings.TrimPrefix(address, "unix://"), "<engine>", dir, "<dir>")
	outcomes := make([]outcome, len(s.steps))
	for i, step := range s.steps {
		out := l.step(t, step, dir, address)
		out.stdout, out.stderr = step.normal(own.Replace(out.stdout)), step.normal(own.Replace(out.stderr))
		outcomes[i] = out
	}
	return outcomes
}

func (l *lab) step(t *testing.T, s *step, dir, address string) outcome {
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	c := l.command(ctx, s.command, dir, address)
	var out outcome
	var err error
	start := time.Now()
	if s.terminal {
		out.stdout, err = onTerminal(c, s.keys)
	} else {
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		err = c.Run()
		out.stdout, out.stderr = stdout.String(), stderr.String()
	}
	out.exit, out.took = c.ProcessState.ExitCode(), time.Since(start)
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		out.exit = 128 + int(status.Signal()) // as shells say it
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		out.stderr += fmt.Sprintf("\n[test: %v, %v]", err, ctx.Err())
	}
	return out
}

// onTerminal runs a command on a terminal of 24 lines and 80 columns and types keys.
func onTerminal(c *exec.Cmd, all []keys) (string, error) {
	c.SysProcAttr = nil // a terminal's process leads a session, and so a group, anyway
	tty, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return "", err
	}
	defer tty.Close()
	var mu sync.Mutex
	var screen bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			mu.Lock()
			screen.Write(buf[:n])
			mu.Unlock()
			if err != nil { // EIO once the last process has closed it
				return
			}
		}
	}()
	seen := 0 // of screen, when the last keys were typed
	var trouble string
	for i, k := range all {
		deadline := time.Now().Add(keysTimeout)
		for trouble == "" {
			mu.Lock()
			shows := strings.Contains(oneLine(screen.String()[seen:]), k.wait)
			mu.Unlock()
			if shows {
				break
			}
			if time.Now().After(deadline) {
				trouble = fmt.Sprintf("\n[test: waited in vain for %q]", k.wait)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if trouble != "" {
			c.Cancel()
			break
		}
		if i == 0 { // the terminal's first size is still on its way
			time.Sleep(settle)
		}
		mu.Lock()
		seen = screen.Len()
		mu.Unlock()
		k.press(tty)
	}
	err = c.Wait()
	select {
	case <-read:
	case <-time.After(2 * time.Second): // something still holds the terminal open
	}
	mu.Lock()
	defer mu.Unlock()
	return screen.String() + trouble, err
}

var drawing = regexp.MustCompile("\x1b(\\[[0-9;?]*[A-Za-z]|[()=>][0-9A-B]?)") // colours and cursor movements

// oneLine is a piece of the screen as keys await it.
func oneLine(s string) string {
	return strings.Join(strings.Fields(drawing.ReplaceAllString(s, "")), " ")
}

var (
	control = regexp.MustCompile(`\^[@-_]`)
	resize  = regexp.MustCompile(`^\(resize (\d+)x(\d+)\)$`)
)

// press types: ^X is a control key, (resize 30x100) makes the terminal so large, all else ends with Enter.
func (k keys) press(tty *os.File) {
	if size := resize.FindStringSubmatch(k.typed); size != nil {
		rows, _ := strconv.Atoi(size[1])
		columns, _ := strconv.Atoi(size[2])
		pty.Setsize(tty, &pty.Winsize{Rows: uint16(rows), Cols: uint16(columns)})
		time.Sleep(settle)
		return
	}
	typed := control.ReplaceAllStringFunc(k.typed, func(s string) string { return string(rune(s[1] - '@')) })
	if typed == k.typed {
		typed += "\r"
	}
	io.WriteString(tty, typed)
}

// registry serves a registry where the Engine finds it at localhost, and returns what ends it.
func (l *lab) registry(t *testing.T, dir, port, config string) func() {
	args := []string{"docker-registry", "serve", config}
	if l.netns != "" {
		args = append([]string{"nsenter", "--net=" + l.netns, "--"}, args...)
	}
	c := exec.Command(args[0], args[1:]...)
	c.Dir = dir
	if err := c.Start(); err != nil {
		t.Fatalf("starting a registry: %v", err)
	}
	ended := wait(c)
	probe := func() bool { return dials("tcp", "localhost:"+port) }
	if l.netns != "" {
		probe = func() bool {
			return exec.Command("nsenter", "--net="+l.netns, "--", "sh", "-c", "curl -s http://localhost:"+port+"/").Run() == nil
		}
	}
	await(t, ended, probe)
	return func() {
		c.Process.Kill()
		<-ended
	}
}

// differ tells for each step what is wrong with its outcomes, or "".
func (s *script) differ(direct, through []outcome) []string {
	wrong := make([]string, len(s.steps))
	for i, step := range s.steps {
		a, b := direct[i], through[i]
		if step.code {
			a, b = outcome{exit: a.exit}, outcome{exit: b.exit}
		}
		switch diff := diff(a.String(), b.String()); {
		case !step.compared:
		case diff != "":
			wrong[i] = "- direct, + through moorgate:\n" + diff
		case step.exit >= 0 && a.exit != step.exit:
			wrong[i] = fmt.Sprintf("the Engine itself exits with %d, the script says %d\n%s", a.exit, step.exit, a)
		}
	}
	return wrong
}

func (o outcome) String() string {
	return fmt.Sprintf("exit code %d\n%s\nstderr:\n%s\n", o.exit, o.stdout, o.stderr)
}

// varying is what differs between any two runs, and what stands for it when outputs are compared.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{drawing, ""},
	{regexp.MustCompile(`\r+\n`), "\n"},
	{regexp.MustCompile(`(?m)^time=.* msg="Can't .* tar.*: io: read/write on closed pipe"\n`), ""}, // docker cp, refused while it still sends
	{regexp.MustCompile(`\bcontainerd-mount\d+`), "<mount>"},
	{regexp.MustCompile(`SWMTKN-1-[0-9a-z-]+`), "<token>"},
	{regexp.MustCompile(`SWMKEY-1-[0-9A-Za-z+/]+`), "<key>"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "<id>"},
	{regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`), "<mac>"},
	{regexp.MustCompile(`(\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d)?( [A-Z]{3,4})?\b`), "<time>"},
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d <time>( \d{4})?`), "<time>"},
	{regexp.MustCompile(`(About |Less than )?\b(an?|\d+) (second|minute|hour)s?( ago)?\b`), "<while>"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ns|µs|ms|s)\b`), "<while>"},
	{regexp.MustCompile(`\b\d+(\.\d+)? ?([kKMGT]i?)?B\b`), "<size>"},
	{regexp.MustCompile(`\b(10|172|192|169)\.\d+\.\d+\.\d+\b`), "<ip>"},
	{regexp.MustCompile(`:(3[2-9]|[45]\d|6[0-5])\d{3}\b`), ":<port>"}, // ephemeral ports
	{regexp.MustCompile(`(/ #[ \r]*)+`), "/ # "},                      // a shell repeats its prompt when the terminal gets its size
	{regexp.MustCompile(` {2,}`), "  "},                               // columns are as wide as their widest id
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
}

var (
	shortID  = regexp.MustCompile(`\b([0-9a-z]{12}|[0-9a-z]{25})\b`) // of containers and images, and of all that swarm makes
	digits   = regexp.MustCompile(`\d+(\.\d+)?`)
	invented = regexp.MustCompile(`\b[a-z]+_[a-z]+\d?\b`)
)

func (s *step) normal(out string) string {
	for _, v := range varying {
		out = v.what.ReplaceAllString(out, v.as)
	}
	out = shortID.ReplaceAllString(out, "<id>") // words of twelve letters too, on both sides
	if s.numbers {
		out = digits.ReplaceAllString(out, "<n>")
	}
	if s.names {
		out = invented.ReplaceAllString(out, "<name>")
	}
	out = strings.TrimRight(out, "\n")
	if s.sorted {
		lines := strings.Split(out, "\n")
		slices.Sort(lines)
		out = strings.Join(lines, "\n")
	}
	return out
}

// diff prints the lines that differ, those of a with - and those of b with +, or nothing.
func diff(a, b string) string {
	if a == b {
		return ""
	}
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	// common[i][j] is how many lines x[i:] and y[j:] have in common, in order.
	common := make([][]int, len(x)+1)
	for i := range common {
		common[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(x) || j < len(y); {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			fmt.Fprintf(&out, "  %s\n", x[i])
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "- %s\n", x[i])
			i++
		default:
			fmt.Fprintf(&out, "+ %s\n", y[j])
			j++
		}
	}
	return out.String()
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }
