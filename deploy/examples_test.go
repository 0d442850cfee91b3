package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestExamples checks every example configuration, with the files that it
// names.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples, error %v", len(files), err)
	}
	for _, file := range append(files, "systemd/moorgate.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) { check(t, read(t, file)) })
	}
}

// check runs `moorgate check` on a configuration, beside the files that it
// names.
func check(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "moorgate.yaml"), text)
	furnish(t, dir, text)
	cmd := command(dir, nil, binary(t), "check", "--config", "moorgate.yaml")
	if out := run(t, cmd); out != "moorgate.yaml: no faults\n" {
		t.Errorf("check says %q", out)
	}
}

var (
	pemFile    = regexp.MustCompile(`\b(cert|key|ca|client_ca): ([\w./-]+\.pem)`)
	secretFile = regexp.MustCompile(`"file:([\w./-]+)"`)
)

// furnish makes the files with relative names that a configuration names.
func furnish(t *testing.T, dir, text string) {
	t.Helper()
	cert, key := pair(t)
	for _, m := range pemFile.FindAllStringSubmatch(text, -1) {
		content := cert
		if m[1] == "key" {
			content = key
		}
		write(t, filepath.Join(dir, m[2]), content)
	}
	for i, m := range secretFile.FindAllStringSubmatch(text, -1) {
		write(t, filepath.Join(dir, m[1]), fmt.Sprintf("sha256:%064x\n", i))
	}
}

// pair is a self-signed certificate and its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	c, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", c), encode("PRIVATE KEY", k)
}

const readmeLines = 150

// TestReadme holds the README to what can be checked of it: its length, its
// links, its configurations, and the commands and targets that it names.
func TestReadme(t *testing.T) {
	text := read(t, "../README.md")
	if n := strings.Count(text, "\n"); n >= readmeLines {
		t.Errorf("%d lines: keep it under %d", n, readmeLines)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
	configurations := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(configurations) == 0 {
		t.Error("it shows no configuration")
	}
	for _, m := range configurations {
		check(t, m[1])
	}
	help := run(t, command("", nil, binary(t), "--help"))
	for _, m := range regexp.MustCompile(`\bmoorgate ((?:serve|check|explain|routes|token|password|replay|adopt|version))\b`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(help, "\n  "+m[1]+" ") {
			t.Errorf("`moorgate %s` is not a command", m[1])
		}
	}
	makefile := read(t, "../Makefile")
	for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("`make %s` is not in the Makefile", m[1])
		}
	}
}
