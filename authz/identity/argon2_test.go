package identity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hashOfPassword is the reference implementation's test vector: "password"
// with the salt "somesalt".
const hashOfPassword = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

func TestParseArgon(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	with := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + sum }
	tests := []struct{ name, text, want string }{
		{"reference", hashOfPassword, ""},
		{"most", with("m=1048576,t=10,p=32"), ""},
		{"too much memory", with("m=1048577,t=1,p=1"), `"m=1048577" is more than the 1048576 KiB that one password may cost`},
		{"no number that fits", with("m=99999999999999999999999,t=1,p=1"), `"m=99999999999999999999999" is more`},
		{"wraps around 32 bits", with("m=4294967552,t=2,p=1"), `"m=4294967552" is more`},
		{"too many passes", with("m=256,t=11,p=1"), `"t=11" is more than the 10 `},
		{"too many threads", with("m=65536,t=1,p=33"), `"p=33" is more`},
		{"threads wrap around 8 bits", with("m=65536,t=1,p=257"), `"p=257" is more`},
		{"too little memory", with("m=31,t=1,p=4"), "m=31 is too little memory for p=4"},
		{"no passes", with("m=256,t=0,p=1"), "write the line"},
		{"no threads", with("m=256,t=1,p=0"), "write the line"},
		{"other order", with("t=2,m=256,p=1"), "write the line"},
		{"a parameter more", with("m=256,t=2,p=1,keyid=1"), "write the line"},
		{"a parameter less", with("m=256,t=2"), "write the line"},
		{"leading zero", with("m=0256,t=2,p=1"), "write the line"},
		{"sign", with("m=+256,t=2,p=1"), "write the line"},
		{"negative", with("m=-256,t=2,p=1"), "write the line"},
		{"letters", with("m=2x,t=2,p=1"), "write the line"},
		{"old version", strings.Replace(hashOfPassword, "v=19", "v=16", 1), "this hash is not of argon2 version 19"},
		{"no version", strings.Replace(hashOfPassword, "v=19$", "", 1), "write the line"},
		{"argon2i", strings.Replace(hashOfPassword, "argon2id", "argon2i", 1), "write the line"},
		{"bcrypt", "$2y$10$abcdefghijklmnopqrstuv", "write the line"},
		{"the password", "hunter2", "write the line"},
		{"padded", hashOfPassword + "=", "the hash itself"},
		{"cut", hashOfPassword[:len(hashOfPassword)-30], "the hash itself"},
		{"short salt", "$argon2id$v=19$m=256,t=2,p=1$c2FsdA$" + sum, "the salt"},
		{"no salt", "$argon2id$v=19$m=256,t=2,p=1$$" + sum, "the salt"},
		{"no hash", "$argon2id$v=19$m=256,t=2,p=1$" + salt, "write the line"},
		{"more behind it", hashOfPassword + "$x", "write the line"},
		{"huge hash", with("m=256,t=2,p=1") + strings.Repeat("A", 1000), "the hash itself"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, err := parseArgon(test.text)
			if test.want == "" {
				if err != nil || h.String() != test.text {
					t.Errorf("got %v, %v", h, err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), sum[:8]) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}

func TestArgonMatches(t *testing.T) {
	h, err := parseArgon(hashOfPassword)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"password": true, "": false, "Password": false, "password ": false, "passwor": false} {
		if h.matches(password) != want {
			t.Errorf("matches(%q) is %v", password, !want)
		}
	}
}

func TestHashPassword(t *testing.T) {
	a, b := HashPassword("correct horse"), HashPassword("correct horse")
	if a == b {
		t.Error("two hashes have the same salt")
	}
	file := filepath.Join(t.TempDir(), "hash")
	if err := os.WriteFile(file, []byte(a+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := readPassword("file:" + file)
	if err != nil || !h.matches("correct horse") || h.matches("battery staple") {
		t.Errorf("%s does not hold its password: %v", a, err)
	}
}

func FuzzParseArgon(f *testing.F) {
	f.Add(hashOfPassword)
	f.Add("$argon2id$v=19$m=1048577,t=10,p=32$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseArgon(text)
		if err != nil {
			return
		}
		if h.String() != text {
			t.Errorf("%q is read as %q", text, h.String())
		}
		if h.memory > maxArgonMemory || h.time > maxArgonTime || h.time < 1 || h.threads < 1 {
			t.Errorf("%q may cost anything", text)
		}
	})
}
