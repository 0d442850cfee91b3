package policy

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"moorgate/router"
)

// FuzzPattern compares the matcher with a regular expression made of the
// pattern.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][3]string{
		{"docker.io/library/*", "busybox:1", "alice"},
		{"**:latest", "ghcr.io/a/b/c:latest", "alice"},
		{"ghcr.io/acme/${user}/**", "ghcr.io/acme/alice/x/y", "alice"},
		{"ghcr.io/acme/${user}/**", "ghcr.io/acme/bob/x", "*"},
		{"localhost:5000/team-*/tool:v*", "localhost:5000/team-red/tool:v1", "a"},
		{"*/x/**/y*z:*-${user}", "quay.io/x/a/b/yz:1-bob", "bob"},
		{"quay.io/a/b@sha256:*", "quay.io/a/b@sha256:" + strings.Repeat("0", 64), ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, name, user string) {
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		canonical, err := router.Canonical(name)
		if err != nil {
			return
		}
		r := parseReference(canonical)
		match, touches := p.match(r, user)
		if match && !touches {
			t.Errorf("%q takes all of %q and nothing of it", text, canonical)
		}
		want, ok := naive(p, canonical, user)
		if ok && match != want {
			t.Errorf("%q, %q, user %q: %v, want %v", text, canonical, user, match, want)
		}
	})
}

// naive matches by a regular expression; false where none can be made.
func naive(p pattern, canonical, user string) (match, ok bool) {
	piece := func(s, any string) string {
		s = regexp.QuoteMeta(s)
		s = strings.ReplaceAll(s, `\$\{user\}`, regexp.QuoteMeta(user))
		return strings.ReplaceAll(s, `\*`, any)
	}
	if strings.Contains(p.text, "${user}") && (user == "" || strings.ContainsAny(user, "*")) {
		return false, !strings.Contains(p.text, "*") // what stays of the pattern is not the user's
	}
	var parts []string
	for i, part := range p.parts {
		one := `[^/:@]`
		if i == 0 { // a registry's port is part of it
			one = `[^/@]`
		}
		if part == "**" {
			parts = append(parts, one+`+(/[^/:@]+)*`)
			continue
		}
		parts = append(parts, piece(part, one+"*"))
	}
	const tag, digest = `(:[\w.-]+)?`, `(@[^@/]+)?`
	expression := strings.Join(parts, "/")
	switch {
	case p.digest != "":
		expression += "@" + strings.ReplaceAll(regexp.QuoteMeta(p.digest), `\*`, ".*")
	case p.tag == "*":
		expression += tag
	case p.tag != "":
		expression += ":" + piece(p.tag, `[^/]*`)
	default:
		expression += tag + digest
	}
	re, err := regexp.Compile("^(" + expression + ")$")
	return err == nil && re.MatchString(canonical), err == nil
}

// FuzzDockerfile: what is read is the same when it is written without
// continuations and comments.
func FuzzDockerfile(f *testing.F) {
	for _, seed := range []string{
		"FROM a\nRUN b \\\n # c\n\n d\n", "# escape=`\nFROM a`\nb", "# x=y\nfrom a as b", "ARG A=\"b\"\nFROM ${A:-c}", "\\\n\\\nFROM a",
		"FROM a\nONBUILD COPY --from=b / /", "\xef\xbb\xbf#escape=\\\r\nFROM a\r\n", "FROM a\nADD [\"a\",\"b\"]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = judged(string(data), map[string]string{"A": "b"})
		lines, err := readDockerfile(data)
		if err != nil {
			return
		}
		text := "\n"
		for _, l := range lines {
			if strings.HasSuffix(l.rest, `\`) || strings.ContainsAny(l.rest, "\r\n") && !bytes.ContainsRune(data, '\r') {
				return
			}
			text += l.keyword + " " + l.rest + "\n"
		}
		again, err := readDockerfile([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		same := func(a, b line) bool { return a.keyword == b.keyword && a.rest == b.rest }
		if !slices.EqualFunc(lines, again, same) {
			t.Errorf("%q reads %v, rewritten %v", data, lines, again)
		}
	})
}

// FuzzLoad: what passes reads the same when it is judged again, names and all.
func FuzzLoad(f *testing.F) {
	f.Add(tarWith(f, entry{name: "manifest.json", text: `[{"RepoTags":["a:1"]}]`}, entry{name: "l/layer.tar", text: "x"}))
	f.Add(tarWith(f, entry{name: "./repositories", text: `{"a":{"1":"x"}}`}, entry{name: "d/", kind: '5'}, entry{name: "s", link: "d", kind: '2'}))
	f.Add(tarWith(f, entry{name: "index.json", text: `{"manifests":[{"annotations":{"io.containerd.image.name":"a"}}]}`, records: map[string]string{"SCHILY.xattr.user.x": "y"}}))
	f.Add(tarWith(f, entry{kind: 'g', records: map[string]string{"path": "x"}}, entry{name: strings.Repeat("d/", 99) + "manifest.json", text: "x"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		pass := func(in []byte) (names []string, out []byte, err error) {
			out, err = io.ReadAll(io.LimitReader(judgeLoad(bytes.NewReader(in), func(name string) error {
				names = append(names, name)
				return nil
			}), 1<<22))
			return names, out, err
		}
		names, out, err := pass(data)
		if err != nil || len(out) == 1<<22 {
			return
		}
		again, twice, err := pass(out)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(names, again) || !bytes.Equal(out, twice) {
			t.Errorf("names %q, again %q; %d bytes, again %d", names, again, len(out), len(twice))
		}
	})
}
