package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// greet answers each connection of a listener with its address.
func greet(t testing.TB, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, l.Addr())
			c.Close()
		}
	}()
}

func greeted(t testing.TB, network, address string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != address {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestListenUnix(t *testing.T) {
	group := os.Getgid()
	if os.Getuid() == 0 {
		group = 12345
	}
	for _, test := range []struct {
		mode string
		want os.FileMode
	}{{"", 0o660}, {"0666", 0o666}, {"600", 0o600}} {
		path := filepath.Join(shortDir(t), "made", "s") // with the folder
		ls, err := Listen(ListenConfig{Address: "unix://" + path, Mode: test.mode, Group: strconv.Itoa(group)})
		if err != nil || len(ls) != 1 {
			t.Fatalf("%d listeners, %v", len(ls), err)
		}
		greet(t, ls[0])
		greeted(t, "unix", path)
		info, err := os.Stat(path)
		if err != nil || info.Mode() != test.want|os.ModeSocket || int(info.Sys().(*syscall.Stat_t).Gid) != group {
			t.Errorf("%q: %v, %v", test.mode, info, err)
		}
		ls[0].Close()
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the socket is left behind: %v", err)
		}
	}
}

// TestWhatStandsInTheWay: a dead socket is replaced, all else left alone.
func TestWhatStandsInTheWay(t *testing.T) {
	dir := shortDir(t)
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	ls, err := Listen(ListenConfig{Address: "unix://" + stale})
	if err != nil {
		t.Fatal(err)
	}
	greet(t, ls[0])
	greeted(t, "unix", stale)

	if _, err := Listen(ListenConfig{Address: "unix://" + stale}); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("in use: %v", err)
	}
	greeted(t, "unix", stale) // still the first one's

	file := filepath.Join(dir, "file")
	os.WriteFile(file, []byte("precious"), 0o600)
	link := filepath.Join(dir, "link")
	os.Symlink(stale, link)
	for _, path := range []string{file, dir, link} {
		if _, err := Listen(ListenConfig{Address: "unix://" + path}); err == nil || !strings.Contains(err.Error(), "no socket: move it away") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Error("the file is gone")
	}
}

func TestListenTCP(t *testing.T) {
	ls, err := Listen(ListenConfig{Address: "tcp://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	greet(t, ls[0])
	greeted(t, "tcp", ls[0].Addr().String())
	if _, err := Listen(ListenConfig{Address: "tcp://" + ls[0].Addr().String()}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestListenFaults(t *testing.T) {
	dir := shortDir(t)
	for _, test := range []struct {
		c    ListenConfig
		want string
	}{
		{ListenConfig{Address: "/run/x"}, "write unix:///path, tcp://host:port or fd://"},
		{ListenConfig{Address: "tcp://127.0.0.1"}, "write unix:///path"},
		{ListenConfig{Address: "unix://" + dir + "/s", Mode: "rw"}, `mode "rw" is no octal permission`},
		{ListenConfig{Address: "unix://" + dir + "/s", Mode: "1777"}, "is no octal permission"},
		{ListenConfig{Address: "unix://" + dir + "/s", Group: "no-such-group"}, `group "no-such-group" is not known`},
		{ListenConfig{Address: "fd://"}, "systemd has handed over no such socket"},
		{ListenConfig{Address: "tcp://127.0.0.1:0", TLS: &ListenTLS{Cert: dir + "/none", Key: dir + "/none"}}, "cert and key: "},
	} {
		if _, err := Listen(test.c); err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "listening on "+test.c.Address) {
			t.Errorf("%+v: %v", test.c, err)
		}
	}
	if _, err := os.Stat(dir + "/s"); !os.IsNotExist(err) {
		t.Error("a refused listener leaves a socket")
	}
}

// TestActivation runs itself as systemd would: with sockets from descriptor 3
// on.
func TestActivation(t *testing.T) {
	if which := os.Getenv("TEST_ACTIVATED"); which != "" {
		activatedChild(which)
		return
	}
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files, addresses = append(files, file), append(addresses, l.Addr().String())
	}
	for which, want := range map[string]string{
		"fd://":      addresses[0] + " " + addresses[1],
		"fd://3":     addresses[0],
		"fd://4":     addresses[1],
		"fd://admin": addresses[1],
		"fd://5":     "listening on fd://5: systemd has handed over no such socket: start moorgate.socket, or write unix:///path",
		"fd://other": "listening on fd://other: systemd has handed over no such socket: start moorgate.socket, or write unix:///path",
	} {
		// LISTEN_PID has to be the child's own, which a shell knows and keeps over exec.
		cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestActivation$'`, os.Args[0])
		cmd.Env = append(os.Environ(), "TEST_ACTIVATED="+which, "LISTEN_FDS=2", "LISTEN_FDNAMES=api:admin",
			"GORACE=atexit_sleep_ms=0") // the detector would pause for a second at the end
		cmd.ExtraFiles = files
		out, err := cmd.Output()
		if got, _, _ := strings.Cut(string(out), "\n"); err != nil || got != want {
			t.Errorf("%s: got %q, want %q, %v", which, got, want, err)
		}
	}
}

// activatedChild prints where it listens.
func activatedChild(which string) {
	ls, err := Listen(ListenConfig{Address: which})
	if err != nil {
		fmt.Println(err)
		return
	}
	var all []string
	for _, l := range ls {
		all = append(all, l.Addr().String())
	}
	fmt.Println(strings.Join(all, " "))
}
