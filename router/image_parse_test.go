package router

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// library is parseImage as the Engine's library does it.
func library(ref string) (n imageName, err error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return n, err
	}
	n.host, n.path = reference.Domain(named), reference.Path(named)
	if tagged, ok := named.(reference.Tagged); ok {
		n.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		n.digest = digested.Digest().String()
	}
	return n, nil
}

// sameImage says how parseImage and the library differ on ref.
func sameImage(t *testing.T, ref string) (taken bool) {
	got, err := parseImage(ref)
	want, wantErr := library(ref)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q is read as %+v, %v; the Engine reads %+v, %v", ref, got, err, want, wantErr)
	}
	if err == nil && got != want {
		t.Fatalf("%q is read as %+v, the Engine reads %+v", ref, got, want)
	}
	return err == nil
}

var imageSeeds = []string{
	"", "busybox", "busybox:", ":1", "a@", "a:1@" + digestA, "a@" + digestA + ":1", "a@" + digestA + "@" + digestA,
	"index.docker.io/a", "docker.io/a", "docker.io/a/b", "index.docker.io", "docker.io/", "/a", "a/", "a//b",
	"localhost/a", "localhost:5000/a:1", "localhost:/a", "localhost:x/a", "foo_bar.x/y", "foo__bar.x/y:1", "foo_.x/y", "foo_bar:5/y",
	"FOO/a", "Foo_bar/a", "a/B", "a:B", "a/b:C/d", "-a.b/c", "a-.b/c", "a..b/c", "a.b./c", ".a/b", "a.b:5:6/c",
	"[::1]/a", "[::1]:5000/a", "[]/a.b", "[::1/a", "[g::1]/a", "[::1]x/a", "[::1]:/a", "[AF::1]/a",
	"a__b", "a___b", "a--b", "a---b", "a._b", "a.-b", "a-_b", "a_", "_a", "a.b.c", "a-", "-a",
	strings.Repeat("a", 64), strings.Repeat("A", 64), strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 247), strings.Repeat("a", 248),
	"a:" + strings.Repeat("t", 128), "a:" + strings.Repeat("t", 129), "a:.t", "a:-t", "a:_t", "a:t.-_T",
	"a@sha256:" + strings.Repeat("A", 64), "a@sha384:" + strings.Repeat("a", 96), "a@sha512:" + strings.Repeat("a", 128), "a@sha512:" + strings.Repeat("a", 64),
	"a@md5:" + strings.Repeat("a", 32), "a@sha256", "a@sha256:", "a@:" + strings.Repeat("a", 64), "a@SHA256:" + strings.Repeat("a", 64),
	"\u212a/a", "a/\u212a", "\xff/a", "a\n", "a/b\n", "\u00e9.x/a", "a:\u00e9", "a b", "a.b/c d", "sha256:" + strings.Repeat("a", 64),
}

// TestParseImage holds parseImage to the library that the Engine reads names
// with, in both directions: what the one takes the other does, and alike.
func TestParseImage(t *testing.T) {
	for _, ref := range imageSeeds {
		sameImage(t, ref)
	}
	pieces := []string{"a", "b1", "docker.io", "index.docker.io", "ghcr.io", "localhost", "library", "/", "/", "/", ":", ":", "@", ".", "-", "_", "__", "--", "A", "[", "]", "::1",
		"127.1", "443", "sha256:", "sha512:", "@" + digestA, ":v1", digestA, strings.Repeat("a", 64), strings.Repeat("b", 120), "x-", "\u00e9", "\u212a", "com", " ", "0"}
	random := rand.New(rand.NewPCG(3, 4))
	taken := 0
	for range 200_000 {
		var ref strings.Builder
		for range 1 + random.IntN(8) {
			ref.WriteString(pieces[random.IntN(len(pieces))])
		}
		if sameImage(t, ref.String()) {
			taken++
		}
	}
	if taken < 10_000 {
		t.Errorf("only %d are names", taken)
	}
}

func FuzzParseImage(f *testing.F) {
	for _, ref := range imageSeeds {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) { sameImage(t, ref) })
}
