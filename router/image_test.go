package router

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func parseQuery(t *testing.T, text string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// A want that begins with "!" is a part of the error.
func checkName(t *testing.T, call, got string, err error, want string) {
	t.Helper()
	part, fails := strings.CutPrefix(want, "!")
	switch {
	case fails && err == nil:
		t.Errorf("%s = %q, want an error with %q", call, got, part)
	case fails && !strings.Contains(err.Error(), part):
		t.Errorf("%s: error %q, want %q in it", call, err, part)
	case !fails && (err != nil || got != want):
		t.Errorf("%s = %q, %v, want %q", call, got, err, want)
	}
}

func TestCanonical(t *testing.T) {
	for ref, want := range map[string]string{
		"busybox":                              "docker.io/library/busybox",
		"busybox:1.36":                         "docker.io/library/busybox:1.36",
		"docker.io/busybox":                    "docker.io/library/busybox",
		"index.docker.io/library/busybox":      "docker.io/library/busybox",
		"index.docker.io/busybox:1":            "docker.io/library/busybox:1",
		"acme/tool":                            "docker.io/acme/tool",
		"ghcr.io/acme/tool:v1":                 "ghcr.io/acme/tool:v1",
		"localhost/tool":                       "localhost/tool",
		"localhost:5000/tool":                  "localhost:5000/tool",
		"registry:443/tool":                    "registry:443/tool", // without the port it would be a path on Docker Hub
		"ghcr.io:80/acme/tool":                 "ghcr.io:80/acme/tool",
		"10.0.0.7:5000/tool":                   "10.0.0.7:5000/tool",
		"[::1]:5000/tool":                      "[::1]:5000/tool",
		"busybox@" + digestA:                   "docker.io/library/busybox@" + digestA,
		"busybox:1.36@" + digestA:              "docker.io/library/busybox@" + digestA,
		"cafe":                                 "docker.io/library/cafe",
		"library/sha256:aa":                    "docker.io/library/sha256:aa",
		"docker.io/library/library/busybox":    "docker.io/library/library/busybox",
		"xn--bcher-kva.example/tool":           "xn--bcher-kva.example/tool",
		"":                                     "!is no image name",
		"Busybox":                              "!is no image name",
		"a//b":                                 "!is no image name",
		"ghcr.io./acme/tool":                   "!is no image name",
		"https://ghcr.io/acme/tool":            "!is no image name",
		strings.Repeat("a", 64):                "!is no image name",
		digestA:                                "!this is an id",
		"sha256:aaaa":                          "!this is an id",
		"GHCR.io/acme/tool":                    `!upper-case letters; write "ghcr.io"`,
		"Docker.io/library/busybox":            `!upper-case letters; write "docker.io"`,
		"Foo/bar":                              `!upper-case letters; write "foo"`,
		"docker.io:443/library/busybox":        `!write "docker.io"`,
		"ghcr.io:443/acme/tool":                `!write "ghcr.io"`,
		"localhost:443/tool":                   `!write "localhost"`,
		"ghcr.io:0443/acme/tool":               `!begins with 0; write "ghcr.io:443"`,
		"localhost:05000/tool":                 `!begins with 0; write "localhost:5000"`,
		"localhost:70000/tool":                 "!port over 65535",
		"registry-1.docker.io/library/busybox": `!another name of Docker Hub; write "docker.io"`,
		"registry.hub.docker.com/library/a":    `!another name of Docker Hub; write "docker.io"`,
		"127.1/tool":                           "!odd form",
		"127.0.0.01:5000/tool":                 "!odd form",
		"2130706433:5000/tool":                 "!odd form",
		"0x7f.0x1/tool":                        "!odd form",
		"[0:0:0:0:0:0:0:1]:5000/tool":          "!odd form; write [::1]",
		"[::ffff:7f00:1]:5000/tool":            "!odd form; write 127.0.0.1",
	} {
		got, err := Canonical(ref)
		checkName(t, "Canonical("+ref+")", got, err, want)
	}
}

// Names in their usual form are read as the library reads them, and those that
// it refuses are not in it.
func TestUsual(t *testing.T) {
	pieces := []string{"a", "b1", "docker.io", "index.docker.io", "ghcr.io", "localhost", "library", "/", "/", "/", ":", ":", "@", "@", ".", "-", "_", "__", "--", "A",
		"127.1", "10.0.0.7", "443", "5000", "sha256", digestA, strings.Repeat("a", 64), strings.Repeat("b", 190), "x-", "é", "v1.2", "com"}
	random := rand.New(rand.NewPCG(1, 2))
	usuals := 0
	for range 200_000 {
		var ref string
		for range 1 + random.IntN(7) {
			ref += pieces[random.IntN(len(pieces))]
		}
		name, ok := usual(ref)
		if !ok {
			continue
		}
		usuals++
		if want, err := parsed(ref); err != nil || want != name {
			t.Fatalf("%q is usual %q, but read %q, %v", ref, name, want, err)
		}
		named, err := reference.ParseNormalizedNamed(ref)
		if err != nil {
			t.Fatal(err)
		}
		tagged, err := reference.WithTag(named, "v-1.0")
		if err != nil {
			t.Fatal(err)
		}
		want := tagged.Name() + ":v-1.0"
		if digested, ok := tagged.(reference.Digested); ok {
			want = tagged.Name() + "@" + digested.Digest().String()
		}
		if got, err := Pull(ref, "v-1.0"); err != nil || got != want {
			t.Fatalf("Pull(%q, v-1.0) = %q, %v, the Engine pulls %q", ref, got, err, want)
		}
	}
	if usuals < 10_000 {
		t.Errorf("only %d are usual", usuals)
	}
}

func BenchmarkCanonical(b *testing.B) {
	for _, ref := range []string{"busybox", "ghcr.io/acme/tool:v1", "localhost:5000/acme/tool:v1"} {
		b.Run(ref, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Canonical(ref); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestPull(t *testing.T) {
	for _, tt := range []struct{ from, tag, want string }{
		{"busybox", "", "docker.io/library/busybox"}, // every tag
		{"busybox:", "", "docker.io/library/busybox"},
		{"busybox:1", "", "docker.io/library/busybox:1"},
		{"busybox", "latest", "docker.io/library/busybox:latest"},
		{"busybox:", "2", "docker.io/library/busybox:2"},
		{"busybox:1", "2", "docker.io/library/busybox:2"},
		{"busybox", digestA, "docker.io/library/busybox@" + digestA},
		{"busybox:1", digestA, "docker.io/library/busybox@" + digestA},
		{"busybox@" + digestB, digestA, "docker.io/library/busybox@" + digestA},
		{"busybox@" + digestB, "", "docker.io/library/busybox@" + digestB},
		{"busybox@" + digestB, "2", "docker.io/library/busybox@" + digestB},
		{"localhost:5000/a:", "", "localhost:5000/a"},
		{"cafe", "1", "docker.io/library/cafe:1"},
		{"", "", "!is no image name"},
		{":", "1", "!is no image name"},
		{"busybox::", "", "!is no image name"},
		{"busybox", "a/b", "!is no tag"},
		{"busybox", "sha256:aa", "!is no image name"},
		{digestA, "", "!this is an id"},
		{"GHCR.io/a", "1", "!upper-case"},
		{"GHCR.io/a", digestA, "!upper-case"},
	} {
		got, err := Pull(tt.from, tt.tag)
		checkName(t, "Pull("+tt.from+", "+tt.tag+")", got, err, tt.want)
	}
}

// What Canonical returns is what the Engine's parser reads, the tag beside a
// digest left out, and stays what it is when read again.
func FuzzCanonical(f *testing.F) {
	for _, ref := range []string{
		"busybox", "index.docker.io/busybox:1", "localhost:5000/a/b:c", "a:1@" + digestA, "ghcr.io:443/a", "FOO/a", "[::1]/a",
		"docker.io/library/sha256:aa", "127.1/a", "a/b-c_d.e:F_.-1", "docker.io/a", "a.b/c__d", "sha256@" + digestA, "a.docker.io/b", "localhost/a",
	} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		got, err := Canonical(ref)
		if err != nil {
			return
		}
		named, err := reference.ParseNormalizedNamed(ref)
		if err != nil {
			t.Fatalf("Canonical(%q) = %q, which the Engine does not read: %v", ref, got, err)
		}
		want := named.String()
		if digested, ok := named.(reference.Digested); ok {
			want = named.Name() + "@" + digested.Digest().String()
		}
		if got != want {
			t.Fatalf("Canonical(%q) = %q, the Engine reads %q", ref, got, want)
		}
		if name, ok := usual(ref); ok {
			if slow, err := parsed(ref); err != nil || slow != name {
				t.Fatalf("%q is plain %q, but read %q, %v", ref, name, slow, err)
			}
		}
		if again, err := Canonical(got); err != nil || again != got {
			t.Fatalf("Canonical(%q) = %q, read again %q, %v", ref, got, again, err)
		}
	})
}
