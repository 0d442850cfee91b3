package plugin

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		text   string
		faults []string // one a line
	}{
		{"plugin: opa-docker-authz", nil},
		{"{plugin: opa, timeout: 500ms, dry_run: true}", nil},
		{"{plugin: opa, address: unix:///run/opa.sock}", nil},
		{"{plugin: org/opa:1, address: tcp://127.0.0.1:8181}", nil},
		{"{plugin: opa, address: http://opa}", nil},
		{"{plugin: opa, address: https://opa:8443, tls: {ca: ca.pem}}", nil},
		{"{plugin: opa, address: https://opa:8443, tls: {ca: ca.pem, cert: c.pem, key: k.pem}}", nil},
		{"{plugin: ''}", []string{"plugin: the name is missing"}},
		{"{plugin: ../x}", []string{`plugin: "../x" is no file name`}},
		{"{plugin: ..}", []string{`plugin: ".." is no file name`}},
		{"{plugin: org/opa}", []string{`plugin: "org/opa" is no file name: write one, or give the plugin's address`}},
		{`{plugin: "a\nb"}`, []string{`plugin: "a\nb" holds what cannot be printed`}},
		{"{plugin: " + strings.Repeat("x", 129) + "}", []string{"is too long"}},
		{"{plugin: opa, timeout: -1s}", []string{"timeout: -1s is no time"}},
		{"{plugin: opa, address: /run/opa.sock}", []string{`address: "/run/opa.sock" is no address: write unix:///path, https://host:port`}},
		{"{plugin: opa, address: unix://run/opa.sock}", []string{"address: "}},
		{"{plugin: opa, address: unix:///}", []string{"address: "}},
		{"{plugin: opa, address: 'tcp://:8080'}", []string{"address: "}},
		{"{plugin: opa, address: 'tcp://a:99999'}", []string{"address: "}},
		{"{plugin: opa, address: 'https://u:p@a'}", []string{"address: "}},
		{"{plugin: opa, address: 'ssh://a'}", []string{"address: "}},
		{"{plugin: opa, tls: {ca: ca.pem}}", []string{"tls: a plugin that is looked for has its TLSConfig in its .json file"}},
		{"{plugin: opa, address: tcp://a:1, tls: {ca: ca.pem}}", []string{"tls: tcp://a:1 speaks no TLS: write https://host:port"}},
		{"{plugin: '', timeout: -1s, address: ssh://a, tls: {cert: c.pem}}", []string{"plugin: ", "timeout: ", "address: ", "tls: cert and key belong together"}},
	}
	for _, test := range tests {
		var c Config
		if err := yaml.UnmarshalWithOptions([]byte(test.text), &c, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", test.text, err)
		}
		var lines []string
		if err := c.Validate(); err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(test.faults) {
			t.Errorf("%s: got %q, want %q", test.text, lines, test.faults)
			continue
		}
		for i, want := range test.faults {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: got %q, want %q", test.text, lines[i], want)
			}
		}
	}
}

func TestNew(t *testing.T) {
	p, err := New(Config{Plugin: "opa"}, Options{})
	if err != nil || p.timeout != 2*time.Second || p.Name() != "plugin opa" {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := New(Config{Plugin: "opa", Address: "nowhere"}, Options{}); err == nil {
		t.Error("a plugin without an address")
	}
	_, err = New(Config{Plugin: "opa", Address: "https://a", TLS: &TLS{CA: "missing.pem"}}, Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "plugin opa: tls: ca: ") {
		t.Errorf("a CA that is missing: %v", err)
	}
}
