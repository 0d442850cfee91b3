package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"moorgate/authz/identity"
)

// moorgateRun runs a command line with this standard input.
func moorgateRun(in io.Reader, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

// knows loads a configuration with this users: entry and asks who sends this
// Authorization header.
func knows(t *testing.T, entry, source, authorization string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "moorgate.yaml")
	text := `
listen: [{ address: "tcp://127.0.0.1:1", identify: [` + source + `] }]
engines: { local: { address: "unix:///var/run/docker.sock" } }
users: { alice: ` + entry + ` }
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := identity.New(c.Config, nil)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := d.Sources(c.Listen[0].Identify)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", authorization)
	who, err := sources[0].Identify(r)
	if err != nil {
		t.Fatal(err)
	}
	return who.User
}

func TestTokenCommand(t *testing.T) {
	stdout, stderr, err := moorgateRun(nil, "token", "--user", "alice")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`^(moorgate_[A-Za-z0-9_-]{43})\n(sha256:[0-9a-f]{64})\n$`).FindStringSubmatch(stdout)
	if lines == nil {
		t.Fatalf("printed %q", stdout)
	}
	if strings.Contains(stderr, lines[1]) || !strings.Contains(stderr, "alice: { tokens:") || !strings.Contains(stderr, `"HttpHeaders"`) {
		t.Errorf("explained %q", stderr)
	}
	if who := knows(t, `{ tokens: ["`+lines[2]+`"] }`, "token", "Bearer "+lines[1]); who != "alice" {
		t.Errorf("the token is %q's", who)
	}
	other, _, err := moorgateRun(nil, "token")
	if err != nil || other == stdout {
		t.Errorf("twice the same token: %v", err)
	}
	for _, args := range [][]string{{"token", "alice"}, {"token", "--user", "../etc"}, {"token", "--user", ""}, {"token", "--uesr", "alice"}, {"password", "hunter2"}} {
		stdout, _, err := moorgateRun(strings.NewReader(""), args...)
		var wrong usageError
		if !errors.As(err, &wrong) || stdout != "" {
			t.Errorf("%q gave %v and %q, want wrong usage", args, err, stdout)
		}
	}
}

func TestPasswordCommandFromAPipe(t *testing.T) {
	tests := []struct{ name, in, password, want string }{
		{"one line", "correct horse battery\n", "correct horse battery", ""},
		{"no line break", "correct horse battery", "correct horse battery", ""},
		{"line break of Windows", "correct horse battery\r\n", "correct horse battery", ""},
		{"first line only", "correct horse battery\nand more\n", "correct horse battery", ""},
		{"spaces count", " ö horse battery staple \n", " ö horse battery staple ", ""},
		{"nothing", "", "", "password: it is empty"},
		{"empty line", "\n", "", "password: it is empty"},
		{"too long", strings.Repeat("x", identity.MaxPassword+1) + "\n", "", "password: it is longer than 1024 bytes"},
		{"endless", strings.Repeat("x", 1<<20), "", "password: it is longer than 1024 bytes"},
		{"no UTF-8", "correct \xff horse\n", "", "password: it holds a control character"},
		{"control character", "correct\thorse\n", "", "password: it holds a control character"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, err := moorgateRun(strings.NewReader(test.in), "password")
			if test.want != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.want) || stdout != "" {
					t.Errorf("got %q, %v", stdout, err)
				}
				return
			}
			if err != nil || !strings.HasPrefix(stdout, "$argon2id$v=19$m=") || strings.Count(stdout, "\n") != 1 {
				t.Fatalf("got %q, %v", stdout, err)
			}
			if strings.Contains(stderr, "Warning") || strings.Contains(stderr, "Password:") || strings.Contains(stdout+stderr, test.password) {
				t.Errorf("said %q", stderr)
			}
			sent := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+test.password))
			if who := knows(t, `{ password: "`+strings.TrimSpace(stdout)+`" }`, "password", sent); who != "alice" {
				t.Errorf("the password is %q's", who)
			}
		})
	}
	_, stderr, err := moorgateRun(strings.NewReader("hunter2\n"), "password")
	if err != nil || !strings.HasPrefix(stderr, "Warning: 7 characters are quickly guessed: use 15 or more\n") {
		t.Errorf("a short password: %q, %v", stderr, err)
	}
}

func echoes(terminal *os.File) bool {
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO != 0
}

func TestPasswordCommandFromATerminal(t *testing.T) {
	for name, test := range map[string]struct{ first, second, want string }{
		"the same":  {"correct horse battery", "correct horse battery", ""},
		"different": {"correct horse battery", "correct horse batter", "password: the two are not the same"},
		"empty":     {"", "", "password: it is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			screen, keyboard, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer screen.Close()
			defer keyboard.Close()
			prompts, prompt := io.Pipe()
			go func() {
				buf := make([]byte, 64)
				for _, line := range []string{test.first, test.second} {
					for {
						n, err := prompts.Read(buf)
						if err != nil {
							return
						}
						if strings.HasSuffix(string(buf[:n]), ": ") {
							break
						}
					}
					for echoes(keyboard) { // the prompt comes before echo is off
						time.Sleep(time.Millisecond)
					}
					_, _ = io.WriteString(screen, line+"\n")
				}
				_, _ = io.Copy(io.Discard, prompts)
			}()
			var out bytes.Buffer
			cmd := command()
			cmd.SetArgs([]string{"password"})
			cmd.SetIn(keyboard)
			cmd.SetOut(&out)
			cmd.SetErr(prompt)
			err = cmd.Execute()
			prompt.Close()
			if test.want != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.want) || out.Len() > 0 {
					t.Errorf("got %q, %v", out.String(), err)
				}
				return
			}
			if err != nil || !strings.HasPrefix(out.String(), "$argon2id$") {
				t.Fatalf("got %q, %v", out.String(), err)
			}
			keyboard.Close() // ends what there is to read on the screen
			echoed, _ := io.ReadAll(screen)
			if strings.Contains(string(echoed), "horse") {
				t.Errorf("the terminal shows %q", echoed)
			}
		})
	}
}

// The sections and sources of credentials, as a file has them.
func TestCredentialSections(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const engines = "engines: { local: { address: \"unix:///var/run/docker.sock\" } }\n"
	load := func(text string) (*Config, error) {
		file := filepath.Join(dir, "moorgate.yaml")
		if err := os.WriteFile(file, []byte(engines+text), 0o600); err != nil {
			t.Fatal(err)
		}
		return loadConfig(file)
	}
	c, err := load(`
listen:
  - { address: "unix:///run/moorgate.sock", identify: [peer, header, oidc, password, token] }
  - { address: "tcp://127.0.0.1:2375", identify: [oidc, token, password, header] }
header: { user: X-Forwarded-User, groups: X-Forwarded-Groups, trusted: ["127.0.0.1/32", unix] }
oidc: { issuer: https://sso.example.org, client_id: moorgate, client_secret: file:secret, username_claim: preferred_username, groups_claim: groups }
`)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := c.OIDC.Secret(); err != nil || secret != "s3cret" {
		t.Errorf("the secret is %q, %v", secret, err)
	}
	for text, want := range map[string]string{
		"listen: [{ address: \"tcp://127.0.0.1:1\", identify: [header] }]":                                                                  "listen.0.identify.0: needs a section of its own: write header:",
		"listen: [{ address: \"tcp://127.0.0.1:1\", identify: [token, oidc] }]":                                                             "listen.0.identify.1: needs a section of its own: write oidc:",
		"listen: [{ address: \"unix:///x\", identify: [header] }]\nheader: { user: X-User, trusted: [\"127.0.0.1\"] }":                      "listen.0.identify.0: nobody is believed on a unix socket",
		"listen: [{ address: \"unix:///x\", identify: [header] }]\nheader: { user: X-User, trusted: [unix], roles: [x] }":                   "header.roles: is not known here",
		"listen: [{ address: \"unix:///x\", identify: [header] }]\nheader: { user: X-User, trusted: [unix, everyone] }":                     "header.trusted.1: \"everyone\" is no address",
		"listen: [{ address: \"unix:///x\", identify: [oidc] }]\noidc: { issuer: http://sso.example.org, client_id: x }":                    "oidc.issuer: anyone on the network",
		"listen: [{ address: \"unix:///x\", identify: [password] }]\nusers: { alice: { password: \"$argon2id$v=19$m=9999999,t=1,p=1$\" } }": "users.alice.password: write the line",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
