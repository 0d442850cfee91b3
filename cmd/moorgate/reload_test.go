package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

// edit writes s's configuration anew with one text in another's place.
func edit(t *testing.T, s *server, old, new string) {
	t.Helper()
	file := filepath.Join(s.dir, "config.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%q is not in the configuration", old)
	}
	made := filepath.Join(s.dir, "new") // as editors do
	if err := os.WriteFile(made, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(made, file); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := start(t, plainConfig, enginetest.Start(t).Address)
	status := func() int { return s.ask("m.sock", "GET", "/v1.41/containers/json").StatusCode }
	if got := status(); got != 200 {
		t.Fatalf("before: %d", got)
	}

	// A change of the file is taken without a signal.
	edit(t, s, `allow: ["*"]`, `allow: [system.info]`)
	await(t, "the right is gone", func() bool { return status() == 403 })

	// A fault keeps the old and says why.
	edit(t, s, `allow: [system.info]`, `allow: [system.infos]`)
	await(t, "the fault is told", func() bool {
		return strings.Contains(s.log.String(), "the old one stays in force") && strings.Contains(s.log.String(), "system.infos")
	})
	if got := status(); got != 403 {
		t.Errorf("with a fault: %d", got)
	}

	// So does what cannot change.
	edit(t, s, `allow: [system.infos]`, `allow: ["*"]`)
	await(t, "the right is back", func() bool { return status() == 200 })
	edit(t, s, `mode: "0600"`, `mode: "0666"`)
	await(t, "it says to restart", func() bool { return strings.Contains(s.log.String(), "restart to change them") })

	// SIGHUP reads it too.
	edit(t, s, `mode: "0666"`, `mode: "0600"`)
	s.signal(syscall.SIGHUP)
	await(t, "SIGHUP is heeded", func() bool {
		m := s.ask("admin.sock", "GET", "/metrics").body
		return strings.Contains(m, `moorgate_config_reloads_total{result="ok"} 3`) && strings.Contains(m, `moorgate_config_reloads_total{result="failed"} 2`) &&
			strings.Count(m, "moorgate_config_info{sha256=") == 1
	})
}

// TestReloadRevokes has two streams live while the configuration changes: the
// one whose right is withdrawn ends, the other goes on.
func TestReloadRevokes(t *testing.T) {
	t.Parallel()
	s := start(t, plainConfig, enginetest.Start(t).Address)
	open := func(request string) (net.Conn, *bufio.Reader) {
		c, err := net.Dial("unix", filepath.Join(s.dir, "m.sock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				return c, r
			}
		}
	}
	_, events := open("GET /v1.41/events HTTP/1.1\r\nHost: x\r\n\r\n")
	attach, echo := open("POST /v1.41/containers/echo/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")

	edit(t, s, `allow: ["*"]`, `allow: [container.attach]`)
	if _, err := io.ReadAll(events); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the events go on: %v", err)
	}
	if _, err := io.WriteString(attach, "still here\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := echo.ReadString('\n'); err != nil || line != "still here\n" {
		t.Errorf("the attach gives %q, %v", line, err)
	}
}
