package identity

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func contextWith(ctx context.Context, key, value any) context.Context {
	return context.WithValue(ctx, key, value)
}

func directory(t testing.TB, users map[string]User, groups map[string]Group) *Directory {
	t.Helper()
	d, err := NewDirectory(users, groups)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func uid(n uint32) *uint32 { return &n }

// sumOfTest is the SHA-256 of "test".
const sumOfTest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestNewDirectoryFaults(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	if err := errors.Join(os.WriteFile(good, []byte(sumOfTest+"\n"), 0o600), os.WriteFile(bad, []byte("hunter2"), 0o600)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		users  map[string]User
		faults []string // the beginning of each
	}{
		{"none", nil, nil},
		{"fine", map[string]User{"alice": {UID: uid(0), Tokens: []string{sumOfTest}}, "b@x.org": {UID: uid(1)}}, nil},
		{"token in a file", map[string]User{"alice": {Tokens: []string{"file:" + good}}}, nil},
		{"uid twice", map[string]User{"alice": {UID: uid(7)}, "bob": {UID: uid(7)}}, []string{"users.bob.uid: uid 7 is alice already"}},
		{"certificate twice", map[string]User{"alice": {Certificate: "x"}, "bob": {Certificate: "x"}}, []string{`users.bob.certificate: certificate "x" is alice already`}},
		{"token twice", map[string]User{"alice": {Tokens: []string{sumOfTest}}, "bob": {Tokens: []string{"file:" + good}}}, []string{"users.bob.tokens.0: this token is alice's already"}},
		{"a token itself", map[string]User{"alice": {Tokens: []string{"hunter2"}}}, []string{`users.alice.tokens.0: write "sha256:"`}},
		{"upper case", map[string]User{"alice": {Tokens: []string{"sha256:" + strings.ToUpper(sumOfTest[7:])}}}, []string{"users.alice.tokens.0: write"}},
		{"short", map[string]User{"alice": {Tokens: []string{sumOfTest[:70]}}}, []string{"users.alice.tokens.0: write"}},
		{"no hex", map[string]User{"alice": {Tokens: []string{"sha256:" + strings.Repeat("g", 64)}}}, []string{"users.alice.tokens.0: what follows sha256:"}},
		{"no file", map[string]User{"alice": {Tokens: []string{"file:" + dir + "/none"}}}, []string{"users.alice.tokens.0: stat " + dir}},
		{"a directory", map[string]User{"alice": {Tokens: []string{"file:" + dir}}}, []string{"users.alice.tokens.0: " + dir + ": a file of one line"}},
		{"password in a file", map[string]User{"alice": {Password: "file:" + good}}, []string{"users.alice.password: " + good + ": write the line"}},
		{"a file with something else", map[string]User{"alice": {Tokens: []string{"file:" + bad}}}, []string{"users.alice.tokens.0: " + bad + ": write"}},
		{"password", map[string]User{"alice": {Password: "hunter2"}}, []string{"users.alice.password: write"}},
		{"name", map[string]User{"../etc": {}, "": {}, "a b": {}, "-x": {}, "a*": {}, strings.Repeat("x", 129): {}},
			[]string{"users.: ", "users.-x: ", "users.../etc: ", "users.a b: ", "users.a*: ", "users.xxx"}},
		{"all at once", map[string]User{"alice": {UID: uid(7), Password: "x"}, "bob": {UID: uid(7), Tokens: []string{"a", "b"}}},
			[]string{"users.alice.password", "users.bob.uid", "users.bob.tokens.0", "users.bob.tokens.1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewDirectory(test.users, nil)
			var got []string
			if err != nil {
				for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
					var f *Fault
					if !errors.As(e, &f) {
						t.Errorf("%v is no Fault", e)
					}
					got = append(got, e.Error())
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("a secret is shown: %v", err)
				}
			}
			if len(got) != len(test.faults) {
				t.Fatalf("got %q, want %q", got, test.faults)
			}
			for i, want := range test.faults {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got %q, want %q...", got[i], want)
				}
			}
		})
	}
}

func TestGroupWithoutName(t *testing.T) {
	if _, err := NewDirectory(nil, map[string]Group{"": {}}); err == nil {
		t.Error("a group without a name was taken")
	}
}

func TestConfigYAML(t *testing.T) {
	const text = `
users:
  alice: { uid: 0, certificate: alice, tokens: ["` + sumOfTest + `"], password: "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", roles: [developer] }
  ci: { roles: [pull-only] }
groups:
  docker-users: { roles: [developer] }
`
	var c Config
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	d := directory(t, c.Users, c.Groups)
	if d.passwords.hashes["alice"] == nil || d.byUID[0] != "alice" || d.byCN["alice"] != "alice" || len(d.tokens) != 1 || len(d.byUID) != 1 {
		t.Errorf("read as %+v", d)
	}
	for _, wrong := range []string{"users: { a: { uids: 1 } }", "users: { a: { uid: -1 } }", "groups: { g: { role: x } }"} {
		if err := yaml.UnmarshalWithOptions([]byte(wrong), &c, yaml.Strict()); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

func TestRoles(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Roles: []string{"a", "b"}}},
		map[string]Group{"x": {Roles: []string{"b", "c"}}, "y": {Roles: []string{"d"}}})
	tests := []struct {
		user   string
		groups []string
		want   string
	}{
		{"alice", nil, "a b"},
		{"alice", []string{"x", "none"}, "a b c"},
		{"bob", []string{"y", "x"}, "d b c"},
		{"bob", nil, ""},
	}
	for _, test := range tests {
		if got := strings.Join(d.Roles(test.user, test.groups), " "); got != test.want {
			t.Errorf("Roles(%s, %v) = %q, want %q", test.user, test.groups, got, test.want)
		}
	}
	if id, ok := d.Named("alice"); !ok || id.User != "alice" || !slices.Equal(id.Roles, []string{"a", "b"}) {
		t.Errorf("Named(alice) = %+v, %v", id, ok)
	}
	if _, ok := d.Named("bob"); ok {
		t.Error("Named(bob) knows somebody")
	}
}

func TestSources(t *testing.T) {
	d, err := New(Config{Header: &Header{User: "X-User", Trusted: []string{"unix"}}, OIDC: &OIDC{Issuer: "https://x", ClientID: "moorgate"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Sources(SourceNames)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range got {
		if s.Name() != SourceNames[i] {
			t.Errorf("source %d is %s, want %s", i, s.Name(), SourceNames[i])
		}
	}
	for _, names := range [][]string{{"perr"}, {"peer", "token", "peer"}, {""}} {
		if _, err := d.Sources(names); err == nil {
			t.Errorf("%q was taken", names)
		}
	}
	for _, name := range []string{"header", "oidc"} {
		if _, err := directory(t, nil, nil).Sources([]string{name}); err == nil {
			t.Errorf("%s was taken without its section", name)
		}
	}
}
