package plugin

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// Config is one plugin in the list of those that are asked.
type Config struct {
	// Plugin is its name. Without an address it is looked for as the Engine
	// does: a socket /run/docker/plugins/NAME.sock, then NAME.spec and
	// NAME.json in /etc/docker/plugins and /usr/lib/docker/plugins, each also
	// in a folder NAME.
	Plugin string `yaml:"plugin"`

	// Address says where the plugin is, so that nothing is looked for:
	// unix:///path, https://host:port, or tcp://host:port and
	// http://host:port, which are not encrypted: whoever sits on the way can
	// allow everything. Plugins that `docker plugin install` manages need it.
	Address string `yaml:"address"`

	// TLS is how to speak with an https address.
	TLS *TLS `yaml:"tls"`

	// Timeout is how long one question may take, with connecting and all
	// repetitions. A plugin that does not answer in time denies. The default
	// is 2s.
	Timeout time.Duration `yaml:"timeout"`

	// DryRun asks the plugin and records what it would deny, but does not obey
	// it.
	DryRun bool `yaml:"dry_run"`
}

// TLS holds the files for TLS with a plugin. The plugin's certificate is always
// verified.
type TLS struct {
	// CA verifies the plugin; the system's authorities if it is left out.
	CA string `yaml:"ca"`
	// Cert is moorgate's client certificate, where the plugin asks for one.
	Cert string `yaml:"cert"`
	// Key is the certificate's private key.
	Key string `yaml:"key"`
}

const defaultTimeout = 2 * time.Second

// Validate says everything that is wrong with the settings.
func (c Config) Validate() error {
	var faults []error
	if err := c.checkName(); err != nil {
		faults = append(faults, fmt.Errorf("plugin: %w", err))
	}
	if c.Timeout < 0 {
		faults = append(faults, fmt.Errorf("timeout: %s is no time: write one above 0, as 2s", c.Timeout))
	}
	scheme := ""
	if c.Address != "" {
		a, err := parseAddress(c.Address)
		if err != nil {
			faults = append(faults, fmt.Errorf("address: %w", err))
		}
		scheme = a.scheme
	}
	if c.TLS == nil {
		return errors.Join(faults...)
	}
	if scheme == "" && c.Address == "" {
		faults = append(faults, errors.New("tls: a plugin that is looked for has its TLSConfig in its .json file: give an https address, or leave tls out"))
	} else if scheme != "" && scheme != "https" {
		faults = append(faults, fmt.Errorf("tls: %s speaks no TLS: write https://host:port", c.Address))
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		faults = append(faults, errors.New("tls: cert and key belong together: give both or none"))
	}
	return errors.Join(faults...)
}

// maxName bounds names, which stand in every refusal and in the metrics.
const maxName = 128

func (c Config) checkName() error {
	switch {
	case c.Plugin == "":
		return errors.New("the name is missing: write that of the plugin's socket or file")
	case len(c.Plugin) > maxName:
		return fmt.Errorf("%.32q... is too long: write %d bytes at most", c.Plugin, maxName)
	case plain(c.Plugin, maxName) != c.Plugin:
		return fmt.Errorf("%q holds what cannot be printed: write a plain name", c.Plugin)
	case c.Address == "" && !fileName(c.Plugin):
		return fmt.Errorf("%q is no file name: write one, or give the plugin's address", c.Plugin)
	}
	return nil
}

// fileName says whether a name stays in the folder that it is looked for in.
func fileName(name string) bool {
	return name != "." && name != ".." && !strings.ContainsRune(name, '/')
}

// address is where a plugin listens.
type address struct {
	scheme  string // of HTTP
	host    string // for the URL and the Host header
	network string
	target  string
}

// localHost is what the Engine calls the host behind a unix socket.
const localHost = "plugin.moby.localhost"

func parseAddress(text string) (address, error) {
	wrong := fmt.Errorf("%q is no address: write unix:///path, https://host:port, tcp://host:port or http://host:port", text)
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return address{}, wrong
	}
	a := address{scheme: "http", host: u.Host, network: "tcp", target: u.Host}
	port := "80"
	switch u.Scheme {
	case "unix":
		if u.Host != "" || path.Clean(u.Path) == "/" || !path.IsAbs(u.Path) {
			return address{}, wrong
		}
		a.host, a.network, a.target = localHost, "unix", u.Path
		return a, nil
	case "https":
		a.scheme, port = "https", "443"
	case "tcp", "http":
	default:
		return address{}, wrong
	}
	if u.Hostname() == "" {
		return address{}, wrong
	}
	if u.Port() == "" {
		a.target = strings.TrimSuffix(u.Host, ":") + ":" + port
	} else if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
		return address{}, wrong
	}
	return a, nil
}
