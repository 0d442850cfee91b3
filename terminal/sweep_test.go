package terminal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSweep ends what a crash left behind, and nothing else.
func TestSweep(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	id := d.container("sleep 1000")
	dir := filepath.Join(t.TempDir(), "state")
	first := manager(t, socket, func(o *ManagerOptions) { o.State = dir })
	command := []string{"sh", "-c", "trap '' HUP; sleep 411 & sleep 412"}
	exec := open(t, first, Spec{Mode: ModeExec, Container: id, Cmd: command})
	run := open(t, first, Spec{Mode: ModeRun, Image: busybox, Cmd: []string{"sleep", "500"}})
	// As a crash leaves it: the files of sessions that nobody has any longer.
	crashed := filepath.Join(t.TempDir(), "crashed")
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(crashed, "broken"+leftoverSuffix), []byte(`{"user":`), 0o600)
	stays := open(t, first, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sleep", "413"}})
	if text, err := os.ReadFile(first.state.path(exec)); err != nil || !strings.Contains(string(text), `"user":"alice"`) {
		t.Errorf("noted %s, %v", text, err)
	}
	if _, err := NewManager(ManagerOptions{State: dir, Dial: dialTo(socket), Config: Config{}.complete()}); err == nil || !strings.Contains(err.Error(), "another moorgate") {
		t.Errorf("a second manager of the same folder: %v", err)
	}

	second := manager(t, socket, func(o *ManagerOptions) { o.State = crashed })
	deadline := time.Now().Add(30 * time.Second)
	for {
		left, _ := filepath.Glob(filepath.Join(crashed, "*"+leftoverSuffix))
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v are left", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := d.processes(id); got != "sleep 1000\nsleep 413" {
		t.Errorf("left behind:\n%s", got)
	}
	if status := d.call("GET", "/containers/"+run.Info().Container+"/json", "", nil); status != 404 {
		t.Errorf("the container is there still: %d", status)
	}
	if state := stays.Info().State; state != StateRunning {
		t.Errorf("the session that goes on is %s", state)
	}
	second.Shutdown(t.Context())
	first.Shutdown(t.Context())
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+leftoverSuffix)); len(left) != 0 {
		t.Errorf("%v are left of sessions that ended", left)
	}
	if got := d.processes(id); got != "sleep 1000" {
		t.Errorf("left behind:\n%s", got)
	}
	if _, err := openState(dir); err != nil {
		t.Errorf("the folder after Shutdown: %v", err)
	}
}
