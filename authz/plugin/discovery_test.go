package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiscover lays files out and says which one holds. A path that ends in
// .sock is a socket unless it has content.
func TestDiscover(t *testing.T) {
	const https = `{"Name":"other","Addr":"https://p.example:8443/docker","TLSConfig":{"CAFile":"/ca","CertFile":"/cert","KeyFile":"/key"}}`
	tests := []struct {
		name  string
		files map[string]string // below run, etc or lib
		want  string            // file: scheme host target
		fault string
	}{
		{"a socket", map[string]string{"run/p.sock": ""}, "run/p.sock: http plugin.moby.localhost ROOT/run/p.sock", ""},
		{"a socket in a folder", map[string]string{"run/p/p.sock": ""}, "run/p/p.sock: http plugin.moby.localhost ROOT/run/p/p.sock", ""},
		{"a socket before one in a folder", map[string]string{"run/p.sock": "", "run/p/p.sock": ""}, "run/p.sock: http plugin.moby.localhost ROOT/run/p.sock", ""},
		{"a socket before a spec", map[string]string{"run/p/p.sock": "", "etc/p.spec": "tcp://a:1"}, "run/p/p.sock: http plugin.moby.localhost ROOT/run/p/p.sock", ""},
		{"no socket but a file", map[string]string{"run/p.sock": "x", "etc/p.spec": "tcp://a:1"}, "etc/p.spec: http a:1 a:1", ""},
		{"a spec", map[string]string{"etc/p.spec": " tcp://a:1\n"}, "etc/p.spec: http a:1 a:1", ""},
		{"a spec with a socket", map[string]string{"lib/p.spec": "unix:///x/y.sock"}, "lib/p.spec: http plugin.moby.localhost /x/y.sock", ""},
		{"a spec without a port", map[string]string{"etc/p.spec": "http://a"}, "etc/p.spec: http a a:80", ""},
		{"a spec with https", map[string]string{"etc/p.spec": "https://[::1]"}, "etc/p.spec: https [::1] [::1]:443", ""},
		{"spec, spec in folder, json, json in folder", map[string]string{"etc/p.spec": "tcp://a:1", "etc/p/p.spec": "tcp://a:2", "etc/p.json": https, "etc/p/p.json": https},
			"etc/p.spec: http a:1 a:1", ""},
		{"spec in folder, json, json in folder", map[string]string{"etc/p/p.spec": "tcp://a:2", "etc/p.json": https, "etc/p/p.json": https},
			"etc/p/p.spec: http a:2 a:2", ""},
		{"json, json in folder", map[string]string{"etc/p.json": https, "etc/p/p.json": `{"Addr":"tcp://a:4"}`},
			"etc/p.json: https p.example:8443 p.example:8443 /ca /cert /key", ""},
		{"json in folder", map[string]string{"etc/p/p.json": `{"Addr":"tcp://a:4"}`}, "etc/p/p.json: http a:4 a:4", ""},
		{"etc before lib", map[string]string{"etc/p/p.json": `{"Addr":"tcp://a:4"}`, "lib/p.spec": "tcp://a:5"}, "etc/p/p.json: http a:4 a:4", ""},
		{"an empty TLSConfig", map[string]string{"etc/p.json": `{"Addr":"tcp://a:4","TLSConfig":{}}`}, "etc/p.json: http a:4 a:4", ""},
		{"InsecureSkipVerify is not followed", map[string]string{"etc/p.json": `{"Addr":"https://a:4","TLSConfig":{"InsecureSkipVerify":true}}`}, "etc/p.json: https a:4 a:4", ""},
		{"nothing", map[string]string{"run/q.sock": "", "etc/q.spec": "tcp://a:1", "etc/p": "tcp://a:1"}, "", "no socket, .spec or .json file"},
		{"the first holds though it is wrong", map[string]string{"etc/p.spec": "nonsense", "etc/p.json": https}, "", `etc/p.spec: "nonsense" is no address: write unix:///path`},
		{"an empty spec", map[string]string{"etc/p.spec": ""}, "", `"" is no address`},
		{"a spec of another scheme", map[string]string{"etc/p.spec": "npipe:////./pipe/x"}, "", "is no address"},
		{"half a JSON", map[string]string{"etc/p.json": `{"Addr":`}, "", "etc/p.json: unexpected end of JSON input: write {"},
		{"no Addr", map[string]string{"etc/p.json": `{}`}, "", "etc/p.json: \"\" is no address"},
		{"TLS without https", map[string]string{"etc/p.json": `{"Addr":"tcp://a:4","TLSConfig":{"CAFile":"/ca"}}`}, "", "tcp://a:4 speaks no TLS: write https://host:port"},
		{"too long", map[string]string{"etc/p.spec": strings.Repeat("x", maxSpec+1)}, "", "is too long"},
		{"a folder", map[string]string{"etc/p.spec/x": ""}, "", "is no regular file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := sockets(t)
			for name, text := range test.files {
				lay(t, filepath.Join(root, name), text)
			}
			p, err := discover("p", filepath.Join(root, "run"), []string{filepath.Join(root, "etc"), filepath.Join(root, "lib")})
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("got %+v, %v, want %s", p, err, test.fault)
				}
				return
			}
			got := strings.TrimPrefix(p.from, root+"/") + ": " + strings.Join(strings.Fields(strings.Join([]string{p.scheme, p.host, p.target, p.tls.CA, p.tls.Cert, p.tls.Key}, " ")), " ")
			if want := strings.ReplaceAll(test.want, "ROOT", root); err != nil || got != want {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		})
	}
}

func lay(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".sock") && text == "" {
		listen(t, filepath.Dir(name), strings.TrimSuffix(filepath.Base(name), ".sock"))
		return
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
