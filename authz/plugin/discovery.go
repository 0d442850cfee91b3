package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The Engine's folders for plugins, in its order.
const engineSockets = "/run/docker/plugins"

var engineSpecs = []string{"/etc/docker/plugins", "/usr/lib/docker/plugins"}

// maxSpec bounds .spec and .json files; they hold an address.
const maxSpec = 64 << 10

// place is where a plugin was found and how to speak with it.
type place struct {
	address
	tls  TLS
	from string // the file that says so, for messages; "" for the configuration
}

// errMissing is a plugin that is nowhere: it may be starting, so it is looked
// for again as long as there is time.
type errMissing struct{ name string }

func (e errMissing) Error() string {
	return fmt.Sprintf("no socket, .spec or .json file of that name in the Engine's plugin folders: start %s, or give its address", e.name)
}

// discover finds a plugin as the Engine does: a socket first, then in each
// folder the .spec before the .json, each beside its name before in a folder of
// its name. The first that exists holds, even if it cannot be read.
func discover(name, sockets string, specs []string) (place, error) {
	for _, file := range candidates(sockets, name, ".sock") {
		if info, err := os.Stat(file); err == nil && info.Mode()&os.ModeSocket != 0 {
			return place{address: address{scheme: "http", host: localHost, network: "unix", target: file}, from: file}, nil
		}
	}
	for _, dir := range specs {
		for _, ext := range []string{".spec", ".json"} {
			for _, file := range candidates(dir, name, ext) {
				if _, err := os.Stat(file); err == nil {
					return readSpec(file)
				}
			}
		}
	}
	return place{}, errMissing{name}
}

func candidates(dir, name, ext string) []string {
	return []string{filepath.Join(dir, name+ext), filepath.Join(dir, name, name+ext)}
}

func readSpec(file string) (place, error) {
	text, err := readSmall(file)
	if err != nil {
		return place{}, err
	}
	p := place{from: file}
	where := strings.TrimSpace(string(text))
	if filepath.Ext(file) == ".json" {
		if where, p.tls, err = readJSON(text); err != nil {
			return place{}, fmt.Errorf("%s: %w", file, err)
		}
	}
	if p.address, err = parseAddress(where); err != nil {
		return place{}, fmt.Errorf("%s: %w", file, err)
	}
	if p.tls != (TLS{}) && p.scheme != "https" {
		return place{}, fmt.Errorf("%s: TLSConfig has files, but %s speaks no TLS: write https://host:port", file, where)
	}
	return p, nil
}

// readJSON reads the Engine's .json form. The Engine takes any certificate where
// TLSConfig has no CAFile or says InsecureSkipVerify; here it is verified all
// the same, by the CAFile or else the system's authorities: whoever can pass for
// the plugin allows what he likes.
func readJSON(text []byte) (where string, files TLS, err error) {
	var spec struct {
		Addr      string
		TLSConfig *struct{ CAFile, CertFile, KeyFile string }
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return "", TLS{}, fmt.Errorf("%w: write {\"Addr\": \"https://host:port\", \"TLSConfig\": {\"CAFile\": \"/path\"}}", err)
	}
	if spec.TLSConfig != nil {
		files = TLS{CA: spec.TLSConfig.CAFile, Cert: spec.TLSConfig.CertFile, Key: spec.TLSConfig.KeyFile}
	}
	return spec.Addr, files, nil
}

// readSmall reads a regular file; opening a pipe could wait for ever.
func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file: write the plugin's address into one", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSpec+1))
	if err == nil && len(text) > maxSpec {
		err = errors.New(file + " is too long: it should hold an address")
	}
	return text, err
}
