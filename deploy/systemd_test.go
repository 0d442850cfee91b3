package deploy_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

const service, socketUnit = "systemd/moorgate.service", "systemd/moorgate.socket"

// installed is where the units expect the binary.
const installed = "/usr/local/bin/moorgate"

// exposure is the most that `systemd-analyze security` may find, in tenths; up
// to 20 it is content.
const exposure = "20"

func TestUnitsVerify(t *testing.T) {
	tools(t, "systemd-analyze")
	out, err := verify(t, "")
	if err != nil || strings.Contains(out, "moorgate") {
		t.Errorf("%v\n%s", err, out)
	}
	// Faults do show this way.
	if out, _ := verify(t, "\n[Service]\nProtectSytem=strict\n"); !strings.Contains(out, "ProtectSytem") {
		t.Errorf("a misspelt setting was not found:\n%s", out)
	}
}

// verify verifies the units, with the binary where it was built and the
// addition at the service's end.
func verify(t *testing.T, addition string) (string, error) {
	dir := t.TempDir()
	text := strings.ReplaceAll(read(t, service), installed, binary(t))
	write(t, filepath.Join(dir, "moorgate.service"), text+addition)
	write(t, filepath.Join(dir, "moorgate.socket"), read(t, socketUnit))
	out, err := command(dir, nil, "systemd-analyze", "verify", "./moorgate.service", "./moorgate.socket").CombinedOutput()
	return string(out), err
}

func TestUnitSecurity(t *testing.T) {
	tools(t, "systemd-analyze")
	run(t, command("systemd", nil, "systemd-analyze", "security", "--offline=true", "--threshold="+exposure, "./moorgate.service"))
}

// What the activated process runs as: a user without a name, in a group that
// may open the Engine's socket.
const unitUser, engineGroup = 46711, 46712

// TestSocketActivation runs the service's command line with the example
// configuration, socket-activated, in a root of its own where all is where the
// units say.
func TestSocketActivation(t *testing.T) {
	tools(t, "systemd-socket-activate", "chroot")
	if os.Getuid() != 0 {
		lacking(t, "changing the root needs root")
	}
	root := folder(t)
	engine := unitRoot(t, root)
	notes := notified(t, root)

	socket := filepath.Join(root, setting(t, socketUnit, "ListenStream"))
	args := []string{
		"--listen=" + socket, "--fdname=" + setting(t, socketUnit, "FileDescriptorName"), "--setenv=NOTIFY_SOCKET=/run/notify",
		"chroot", fmt.Sprintf("--userspec=%d:%d", unitUser, unitUser), fmt.Sprintf("--groups=%d", engineGroup), root,
	}
	cmd := exec.Command("systemd-socket-activate", append(args, strings.Fields(setting(t, service, "ExecStart"))...)...)
	start(t, cmd)
	eventually(t, func() error { _, err := os.Stat(socket); return err })

	if got, err := get(socket, "/_ping"); err != nil || got != "OK" {
		t.Fatalf("/_ping says %q, %v", got, err)
	}
	if n := len(engine.Requests()); n == 0 {
		t.Error("the Engine was not asked")
	}
	if got := <-notes; got != "READY=1" {
		t.Errorf("the first word to systemd is %q", got)
	}
	if got, err := get(filepath.Join(root, "run/moorgate/admin.sock"), "/healthz"); err != nil || got != "ok\n" {
		t.Errorf("/healthz says %q, %v", got, err)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if got := <-notes; got != "STOPPING=1" {
		t.Errorf("the last word to systemd is %q", got)
	}
	if record := read(t, filepath.Join(root, "var/log/moorgate/audit.jsonl")); !strings.Contains(record, `"action":"system.ping"`) {
		t.Errorf("the audit record has no ping:\n%s", record)
	}
}

// unitRoot furnishes a root folder: the binary, the example configuration, an
// Engine, the folders that systemd makes, and a group docker-users in which
// this process is.
func unitRoot(t *testing.T, root string) *enginetest.Engine {
	t.Helper()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"run/moorgate", "var/log/moorgate", "var/lib/moorgate", "var/run", "usr/local/bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(dir) == "moorgate" {
			if err := os.Chown(filepath.Join(root, dir), unitUser, unitUser); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Link(binary(t), filepath.Join(root, installed)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "etc/moorgate/moorgate.yaml"), read(t, "systemd/moorgate.yaml"))
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")
	write(t, filepath.Join(root, "etc/group"), fmt.Sprintf("docker-users:x:%d:\n", os.Getgid()))

	path := filepath.Join(root, "var/run/docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(path, 0, engineGroup), os.Chmod(path, 0o660)); err != nil {
		t.Fatal(err)
	}
	return enginetest.StartOn(t, l)
}

// notified gives what is said to systemd at /run/notify.
func notified(t *testing.T, root string) <-chan string {
	t.Helper()
	path := filepath.Join(root, "run/notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	notes := make(chan string, 8)
	go func() {
		defer close(notes)
		_ = c.SetReadDeadline(time.Now().Add(2 * patience))
		for buffer := make([]byte, 4096); ; {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			notes <- string(buffer[:n])
		}
	}()
	return notes
}

// setting is the value of a key that a unit has once.
func setting(t *testing.T, unit, key string) string {
	t.Helper()
	found := ""
	for line := range strings.Lines(read(t, unit)) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			if found != "" {
				t.Fatalf("%s has two of %s", unit, key)
			}
			found = strings.TrimSpace(value)
		}
	}
	if found == "" {
		t.Fatalf("%s has no %s", unit, key)
	}
	return found
}

// TestSysusers makes the service's user as systemd-sysusers would.
func TestSysusers(t *testing.T) {
	tools(t, "systemd-sysusers")
	root := t.TempDir()
	write(t, filepath.Join(root, "usr/lib/sysusers.d/moorgate.conf"), read(t, "systemd/moorgate.sysusers"))
	write(t, filepath.Join(root, "etc/group"), "docker:x:106:\n")
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")
	if os.Getuid() != 0 {
		lacking(t, "making users needs root")
	}
	run(t, command("", nil, "systemd-sysusers", "--root="+root))
	if got, err := os.ReadFile(filepath.Join(root, "etc/group")); errors.Is(err, fs.ErrNotExist) || !strings.Contains(string(got), "docker:x:106:moorgate") {
		t.Errorf("%v\n%s", err, got)
	}
	if user := setting(t, service, "User"); !strings.Contains(read(t, filepath.Join(root, "etc/passwd")), "\n"+user+":") {
		t.Errorf("there is no user %s", user)
	}
}
