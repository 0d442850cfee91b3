package main

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/proxy"
)

const (
	webAddress    = "127.0.0.1:8375"
	defaultEngine = "unix:///var/run/docker.sock"
)

// personal is the configuration without a file: one user, who may do all.
func personal() (*Config, error) {
	dir, err := runtimeDir()
	if err != nil {
		return nil, err
	}
	uid := uint32(os.Getuid())
	name := "user"
	if u, err := user.Current(); err == nil && identity.ValidUser(u.Username) {
		name = u.Username
	}
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	engine, err := personalEngine(socket)
	if err != nil {
		return nil, err
	}
	return &Config{
		personal: true,
		order:    []string{"local"},
		Engines:  map[string]proxy.EngineConfig{"local": engine},
		Listen: []Listen{
			{ListenConfig: proxy.ListenConfig{Address: socket, Mode: "0600"}, Identify: []string{"peer"}},
			{ListenConfig: proxy.ListenConfig{Address: "unix://" + filepath.Join(dir, "admin.sock"), Mode: "0600"}, Serve: []string{"admin"}},
			{ListenConfig: proxy.ListenConfig{Address: "tcp://" + webAddress}, Serve: []string{"terminal"}},
		},
		Config: identity.Config{Users: map[string]identity.User{name: {UID: &uid}}},
		Audit:  audit.Config{File: filepath.Join(dir, "audit.jsonl")},
		Log:    Log{Level: "info", Format: "console"},
	}, nil
}

// runtimeDir is the folder of personal mode's sockets, of the starting uid
// alone.
func runtimeDir() (string, error) {
	dir := "/run/moorgate"
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) { // others are to be ignored, says its specification
		dir = filepath.Join(d, "moorgate")
	} else if os.Getuid() != 0 {
		dir = filepath.Join(os.TempDir(), "moorgate-"+strconv.Itoa(os.Getuid()))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(s.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not yours: remove it, or set XDG_RUNTIME_DIR to a folder of your own", dir)
	}
	return dir, nil
}

// personalEngine is the Engine that docker itself would talk to, unless that
// is moorgate.
func personalEngine(own string) (proxy.EngineConfig, error) {
	address := os.Getenv("DOCKER_HOST")
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		address = "unix://" + filepath.Clean(path)
	}
	if address == "" || address == own {
		return proxy.EngineConfig{Address: defaultEngine}, nil
	}
	c := proxy.EngineConfig{Address: address}
	if os.Getenv("DOCKER_TLS_VERIFY") != "" && strings.HasPrefix(address, "tcp://") {
		dir := os.Getenv("DOCKER_CERT_PATH")
		if dir == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return c, fmt.Errorf("DOCKER_TLS_VERIFY without DOCKER_CERT_PATH: %w", err)
			}
			dir = filepath.Join(home, ".docker")
		}
		c.TLS = &proxy.EngineTLS{
			CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
		}
	}
	if _, err := proxy.NewEngine("local", c); err != nil {
		return c, fmt.Errorf("DOCKER_HOST: %w", err)
	}
	return c, nil
}

// greet prints what to paste.
func greet(out io.Writer, c *Config, link string) {
	host, web := c.Listen[0].Address, link+fmt.Sprintf("\n              (works once, within 15 minutes; kill -USR1 %d prints another)", os.Getpid())
	if link == "" {
		web = "none, as " + webAddress + " is taken"
	}
	fmt.Fprintf(out, `moorgate stands between you and the Engine at %s.

  export DOCKER_HOST=%s

or, to keep it:

  docker context create moorgate --docker host=%s
  docker context use moorgate

Web page:     %s
Audit record: %s
`, c.Engines["local"].Address, host, host, web, c.Audit.File)
}
