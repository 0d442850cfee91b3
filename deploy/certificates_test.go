package deploy_test

import (
	"crypto/sha256"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"moorgate/proxy/enginetest"
)

const certificatesConfig = `
listen:
  - address: tcp://%s
    tls: { cert: server.pem, key: server-key.pem, client_ca: ca.pem }
    identify: [certificate, token]
engines:
  local: { address: %q }
users:
  alice: { certificate: alice, roles: [administrator] }
  ci: { tokens: ["sha256:%x"], roles: [administrator] }
groups:
  operators: { roles: [administrator] }
roles:
  administrator: { allow: ["*"], scope: all, images: any, containers: any }
`

// TestCertificates makes certificates with deploy/certificates and lets the
// docker CLI identify itself in every way that the README tells.
func TestCertificates(t *testing.T) {
	tools(t, "docker", "openssl", "bash")
	dir := folder(t)
	make := func(args ...string) {
		t.Helper()
		script, err := filepath.Abs("certificates")
		if err != nil {
			t.Fatal(err)
		}
		run(t, command(dir, nil, script, args...))
	}
	make("ca")
	make("server", "localhost", "127.0.0.1")
	make("client", "alice")
	make("client", "bob", "operators")
	make("client", "mallory")

	const token = "a-token-of-the-test"
	address := freePort(t)
	write(t, filepath.Join(dir, "moorgate.yaml"), fmt.Sprintf(certificatesConfig, address, enginetest.Start(t).Address, sha256.Sum256([]byte(token))))
	write(t, filepath.Join(dir, "headers/config.json"), fmt.Sprintf(`{ "HttpHeaders": { "Authorization": "Bearer %s" } }`, token))
	write(t, filepath.Join(dir, "token/ca.pem"), read(t, filepath.Join(dir, "ca.pem")))
	start(t, command(dir, nil, binary(t), "serve", "--config", "moorgate.yaml"))
	eventually(t, func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})

	custom := "DOCKER_CUSTOM_HEADERS=Authorization=Bearer " + token
	tests := []struct {
		name, certificates, config string
		env                        string
		want                       string // "" for an answer of the Engine
	}{
		{"certificate", "alice", "none", "", ""},
		{"certificate of a group's", "bob", "none", "", ""},
		{"certificate of a stranger", "mallory", "none", "", `the certificate of "mallory" is no user`},
		{"HttpHeaders", "token", "headers", "", ""},
		{"DOCKER_CUSTOM_HEADERS", "token", "none", custom, ""},
		{"a wrong token", "token", "none", custom + "x", "no user of this moorgate has the token"},
		{"two who differ", "alice", "headers", "", "certificate says that you are alice, token says ci"},
		{"nothing", "token", "none", "", "who are you?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := command(dir, []string{
				"DOCKER_HOST=tcp://" + address, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + filepath.Join(dir, test.certificates),
				"DOCKER_CONFIG=" + filepath.Join(dir, test.config), "DOCKER_CONTEXT=", test.env,
			}, "docker", "version", "--format", "{{.Server.APIVersion}}").CombinedOutput()
			if (err == nil) != (test.want == "") || !strings.Contains(string(out), test.want) {
				t.Errorf("want %q, got %v: %s", test.want, err, out)
			}
		})
	}
}

// freePort is an address on loopback that nobody listened at a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
