package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/proxy"
)

// configs copies the files of testdata/config/KIND beside the certificates and
// secrets that they name.
func configs(t *testing.T, kind string) []string {
	dir := t.TempDir()
	certificates(t, dir)
	write(t, dir, "token", "sha256:"+strings.Repeat("1", 64)+"\n")
	write(t, dir, "password", "$argon2id$v=19$m=65536,t=3,p=1$"+strings.Repeat("A", 22)+"$"+strings.Repeat("A", 43)+"\n")
	files, err := filepath.Glob("testdata/config/" + kind + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = write(t, dir, filepath.Base(file), string(text))
	}
	return files
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestConfigGood(t *testing.T) {
	for _, file := range configs(t, "good") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, err := loadConfig(file); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConfigBad expects of each file the faults that its first lines tell:
// # want: LINE:COLUMN: path: message
func TestConfigBad(t *testing.T) {
	for _, file := range configs(t, "bad") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if w, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSuffix(w, "\n"))
				}
			}
			_, err = loadConfig(file)
			if err == nil {
				t.Fatal("no fault was found")
			}
			head, rest, _ := strings.Cut(err.Error(), ":\n")
			rest = strings.ReplaceAll(rest, file+":", "")
			got := strings.Split(strings.ReplaceAll(rest, filepath.Dir(file)+"/", ""), "\n")
			if !slices.Equal(got, want) {
				t.Errorf("got\n# want: %s\nwant\n# want: %s", strings.Join(got, "\n# want: "), strings.Join(want, "\n# want: "))
			}
			if noun := strings.Contains(head, " faults "); noun != (len(want) > 1) {
				t.Errorf("%d faults are announced by %q", len(want), head)
			}
		})
	}
}

func TestConfigValues(t *testing.T) {
	var full string
	for _, file := range configs(t, "good") {
		if filepath.Base(file) == "full.yaml" {
			full = file
		}
	}
	c, err := loadConfig(full)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(full)
	in := func(name string) string { return filepath.Join(dir, name) }
	mode, err := proxy.ParseMode(c.Listen[0].Mode)
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"the engines keep their order", c.order, []string{"local", "east", "west"}},
		{"a mode is octal", mode, os.FileMode(0o666)},
		{"listener's files", *c.Listen[1].TLS, proxy.ListenTLS{Cert: in("server.pem"), Key: in("server-key.pem"), ClientCA: in("ca.pem")}},
		{"engine's files", *c.Engines["east"].TLS, proxy.EngineTLS{Cert: in("server.pem"), Key: in("server-key.pem"), CA: in("ca.pem")}},
		{"audit file", c.Audit.File, in("audit.jsonl")},
		{"token file", c.Users["alice"].Tokens[1], "file:" + in("token")},
		{"password file", c.Users["alice"].Password, "file:" + in("password")},
		{"drain", c.drain(), time.Duration(0)},
		{"dry run", c.DryRun, true},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: got %v, want %v (%v)", test.what, test.got, test.want, err)
		}
	}
}

func TestConfigKeepsAbsoluteNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"-", "/var/log/moorgate/audit.jsonl"} {
		c, err := loadConfig(write(t, dir, "c.yaml", smallConfig+"audit: { file: \""+name+"\" }\n"))
		if err != nil || c.Audit.File != name {
			t.Errorf("%s became %v, %v", name, c, err)
		}
	}
}

func TestConfigMark(t *testing.T) {
	if _, err := loadConfig(write(t, t.TempDir(), "c.yaml", string(byteOrderMark)+smallConfig)); err != nil {
		t.Errorf("behind a byte order mark: %v", err)
	}
}

const smallConfig = `listen: [{ address: unix:///run/moorgate/docker.sock, identify: [peer] }]
engines: { local: { address: unix:///var/run/docker.sock } }
`

// FuzzConfig: any text is a configuration or has faults, each with its place;
// none is told twice.
func FuzzConfig(f *testing.F) {
	for _, pattern := range []string{"good", "bad"} {
		files, err := filepath.Glob("testdata/config/" + pattern + "/*.yaml")
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds: %v", err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("file")) || bytes.Contains(text, []byte("/")) && bytes.Contains(text, []byte("tls")) {
			return // would read files of this machine, a device maybe
		}
		c, err := loadConfig(write(t, dir, "c.yaml", string(text)))
		if (c == nil) == (err == nil) {
			t.Fatalf("gave %v and %v", c, err)
		}
		if err == nil {
			if len(c.Listen) == 0 || len(c.order) != len(c.Engines) || len(c.order) == 0 {
				t.Fatalf("took a configuration that cannot run: %+v", c)
			}
			return
		}
		lines := strings.Split(err.Error(), "\n")
		for i, line := range lines {
			if strings.TrimSpace(line) == "" || slices.Contains(lines[:i], line) {
				t.Fatalf("a line is empty or told twice:\n%s", err)
			}
		}
	})
}
