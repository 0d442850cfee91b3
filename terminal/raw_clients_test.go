package terminal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// npmClients installs other people's clients and gives their folder.
func npmClients(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/clients")); err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "ci")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("needs npm and its registry: %v\n%s", err, out)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestRawClients runs the examples of deploy/TERMINAL.md.
func TestRawClients(t *testing.T) {
	dir := npmClients(t)
	s := newTestSite(t)
	s.engine.program("shell", func(p *process) int {
		var typed bytes.Buffer
		for !strings.HasSuffix(typed.String(), "exit 5\r") {
			if _, err := io.CopyN(&typed, p.in, 1); err != nil {
				return 1
			}
		}
		fmt.Fprintf(p.out, "typed %q, 終わり", typed.String())
		return 5
	})
	address := "ws" + strings.TrimPrefix(s.url, "http") + "/api/terminal/raw?container=box&cmd=shell"
	run := func(in *os.File, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", args...)
		cmd.Dir = dir
		if in != nil {
			cmd.Stdin = in
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("node %q: %v\n%s", args, err, out)
		}
		return string(out)
	}

	shown := run(nil, "attach.js", address, "alice", "ls\rexit 5\r")
	if want := "1000 exited with 5\ntyped \"ls\\rexit 5\\r\", 終わり\n"; shown != want {
		t.Errorf("the attach addon showed %q, want %q", shown, want)
	}

	// wscat ends with its input, so that stays open until it has ended.
	in, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer keep.Close()
	wscat := filepath.Join("node_modules", "wscat", "bin", "wscat")
	shown = run(in, wscat, "--no-color", "-H", "Authorization: Bearer alice", "-c", address+"&frames=text&lines=true", "-x", "ls", "-x", "exit 5", "-w", "-1")
	if !strings.Contains(shown, `typed "ls\rexit 5\r", 終わり`) {
		t.Errorf("wscat showed %q", shown)
	}
	s.gone()
}
