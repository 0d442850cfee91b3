package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// ListenConfig says where callers come in.
type ListenConfig struct {
	// Address is unix:///path, tcp://host:port, or fd:// for the sockets that
	// systemd hands over: fd://3 is one of them by number, fd://NAME by its
	// FileDescriptorName, fd:// all.
	Address string `yaml:"address"`
	// Mode holds a unix socket's permissions in octal, "0660" if left out.
	// "0666" is safe: callers are known by their peer credentials.
	Mode string `yaml:"mode,omitempty"`
	// Group owns a unix socket, by name or number; moorgate's own if left out.
	Group string `yaml:"group,omitempty"`
	// TLS makes a tcp listener speak TLS.
	TLS *ListenTLS `yaml:"tls,omitempty"`
}

// ListenTLS holds a listener's certificate files.
type ListenTLS struct {
	// Cert is the server's certificate, with the chain to its authority.
	Cert string `yaml:"cert"`
	// Key is the certificate's private key.
	Key string `yaml:"key"`
	// ClientCA verifies the certificates that callers show.
	ClientCA string `yaml:"client_ca,omitempty"`
}

// Listen opens what the configuration names; more than one listener only for
// fd://.
func Listen(cfg ListenConfig) ([]net.Listener, error) {
	scheme, rest, _ := strings.Cut(cfg.Address, "://")
	var ls []net.Listener
	var err error
	switch scheme {
	case "unix":
		var l net.Listener
		if l, err = listenUnix(rest, cfg.Mode, cfg.Group); err == nil {
			ls = []net.Listener{l}
		}
	case "tcp":
		var address string
		if _, address, err = ParseAddress(cfg.Address); err == nil {
			var l net.Listener
			if l, err = net.Listen("tcp", address); err == nil {
				ls = []net.Listener{keptAlive{l}}
			}
		}
	case "fd":
		ls, err = activated(rest)
	default:
		err = fmt.Errorf("write unix:///path, tcp://host:port or fd://")
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	if cfg.TLS == nil {
		return ls, nil
	}
	conf, err := cfg.TLS.load()
	if err != nil {
		for _, l := range ls {
			l.Close()
		}
		return nil, fmt.Errorf("listening on %s: %w", cfg.Address, err)
	}
	for i, l := range ls {
		ls[i] = tls.NewListener(l, conf)
	}
	return ls, nil
}

// keptAlive probes quiet connections, so that a caller whose machine has gone
// does not keep an Engine's stream for ever.
type keptAlive struct{ net.Listener }

func (l keptAlive) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive / 2, Count: 4})
	}
	return c, err
}

func (t *ListenTLS) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("cert and key: %w", err)
	}
	conf := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"}, // HTTP/2 cannot be hijacked
	}
	if t.ClientCA != "" {
		if conf.ClientCAs, err = readPool(t.ClientCA); err != nil {
			return nil, fmt.Errorf("client_ca: %w", err)
		}
		// Other evidence may stand in for a certificate; identity decides.
		conf.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return conf, nil
}

// dirMode is of the folder that is made for a socket: its own mode is the
// socket's door.
const dirMode = 0o755

func listenUnix(path, mode, group string) (net.Listener, error) {
	perm, err := ParseMode(mode)
	if err != nil {
		return nil, err
	}
	gid, err := lookupGroup(group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, err
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	old := syscall.Umask(0o177) // nobody comes in before the mode is set
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, err
	}
	if gid >= 0 {
		err = os.Chown(path, -1, gid)
	}
	if err == nil {
		err = os.Chmod(path, perm)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// ParseMode reads octal permissions; "" is 0660.
func ParseMode(mode string) (fs.FileMode, error) {
	if mode == "" {
		return 0o660, nil
	}
	n, err := strconv.ParseUint(mode, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("mode %q is no octal permission: write it like \"0660\"", mode)
	}
	return fs.FileMode(n), nil
}

func lookupGroup(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(group); err == nil && n >= 0 {
		return n, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("group %q is not known here: make it, or write another: %w", group, err)
	}
	return strconv.Atoi(g.Gid)
}

// clearStale removes a socket that nobody listens on. Anything else that
// stands there is left alone.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and no socket: move it away, or listen elsewhere", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%s is in use: end who listens there, or listen elsewhere", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("whether %s is in use is not clear: %w", path, err)
}

// handed are systemd's sockets, by descriptor and by name. They can be asked
// for only once a process.
var handed = sync.OnceValues(func() (map[string][]net.Listener, error) {
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	ls, err := activation.Listeners()
	by := map[string][]net.Listener{}
	for i, l := range ls {
		if l == nil {
			continue // a socket of another sort
		}
		by[""] = append(by[""], l)
		by[strconv.Itoa(3+i)] = []net.Listener{l}
		if i < len(names) && names[i] != "" {
			by[names[i]] = append(by[names[i]], l)
		}
	}
	return by, err
})

func activated(which string) ([]net.Listener, error) {
	by, err := handed()
	if err != nil {
		return nil, err
	}
	if len(by[which]) == 0 {
		return nil, errors.New("systemd has handed over no such socket: start moorgate.socket, or write unix:///path")
	}
	return by[which], nil
}
