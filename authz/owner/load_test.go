package owner

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// archiveOf makes a tar archive of files; one whose text begins with -> is a
// link.
func archiveOf(files ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}
		if to, ok := strings.CutPrefix(files[i+1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		_ = w.WriteHeader(h)
		if h.Size > 0 {
			_, _ = io.WriteString(w, files[i+1])
		}
	}
	_ = w.Close()
	return b.Bytes()
}

func gzipped(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}

// TestLoading: an archive that gives a taken name never goes up whole.
func TestLoading(t *testing.T) {
	layer := strings.Repeat("0123456789abcdef", 20<<10)
	taken := &refusal{"taken"}
	judge := func(name string) error {
		if name == "docker.io/library/busybox:latest" {
			return taken
		}
		return nil
	}
	for _, test := range []struct {
		name  string
		text  []byte
		fails bool
	}{
		{"a free name", archiveOf("l.tar", layer, "manifest.json", `[{"RepoTags":["mine:1"],"Layers":["l.tar"]}]`), false},
		{"no name", archiveOf("manifest.json", `[{"RepoTags":null}]`, "l.tar", layer), false},
		{"a taken name", archiveOf("l.tar", layer, "manifest.json", `[{"RepoTags":["mine:1","busybox:latest"]}]`), true},
		{"first in the archive", archiveOf("manifest.json", `[{"RepoTags":["busybox:latest"]}]`, "l.tar", layer), true},
		{"in a second list", archiveOf("manifest.json", `[]`, "manifest.json", `[{"RepoTags":["busybox:latest"]}]`), true},
		{"in a second key", archiveOf("manifest.json", `[{"RepoTags":["busybox:latest"],"repotags":[]}]`), true},
		{"spelled out", archiveOf("./manifest.json", `[{"RepoTags":["docker.io/library/busybox:latest"]}]`), true},
		{"behind a link", archiveOf("d", "->.", "d/manifest.json", `[{"RepoTags":["busybox:latest"]}]`), true},
		{"by a link", archiveOf("x", `[{"RepoTags":["busybox:latest"]}]`, "manifest.json", "->x"), true},
		{"the old list", archiveOf("repositories", `{"busybox":{"latest":"1"}}`), true},
		{"an OCI index", archiveOf("index.json", `{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/library/busybox:latest"}}]}`), true},
		{"packed", gzipped(archiveOf("l.tar", layer, "manifest.json", `[{"RepoTags":["busybox:latest"]}]`)), true},
		{"packed, free", gzipped(archiveOf("l.tar", layer, "manifest.json", `[{"RepoTags":["mine:1"]}]`)), false},
		{"packed otherwise", []byte("\x28\xb5\x2f\xfd and so on"), true},
		{"no archive", []byte(strings.Repeat("no archive", 200)), true},
		{"half an archive", archiveOf("l.tar", layer)[:4096], true},
	} {
		for _, reader := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader} {
			got, err := io.ReadAll(newLoading(reader(bytes.NewReader(test.text)), judge))
			if (err != nil) != test.fails {
				t.Errorf("%s: %v", test.name, err)
			}
			if !test.fails && !bytes.Equal(got, test.text) {
				t.Errorf("%s: %d bytes of %d went up", test.name, len(got), len(test.text))
			}
			if test.fails && len(got) >= len(test.text) {
				t.Errorf("%s: all of it went up", test.name)
			}
		}
	}
}

// TestLoad loads images under names of one's own, and others'.
func TestLoad(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	load := func(user string, text []byte) answer {
		r, err := http.NewRequest("POST", f.server.URL+"/v1.41/images/load", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User", user)
		r.Header.Set("Content-Type", "application/x-tar")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		said, _ := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, string(said)}
	}
	f.expect(f.direct("POST", "/images/"+busybox+"/tag?repo="+f.mark+"new&tag=1", ""), 201)
	saved := []byte(f.direct("GET", "/images/"+f.mark+"new:1/get", "").text)
	f.expect(f.direct("DELETE", "/images/"+f.mark+"new:1", ""), 200)
	for range 2 { // what one has loaded may be loaded again
		if a := load("bob", saved); a.code != 200 || !strings.Contains(a.text, "Loaded image") {
			t.Fatalf("bob loads: %d %s", a.code, a.text)
		}
	}
	t.Cleanup(func() { f.direct("DELETE", "/images/"+f.mark+"new:1", "") })
	if a := load("alice", saved); a.code != 403 {
		t.Errorf("alice loads over bob's: %d %s", a.code, a.text)
	}
	theirs := []byte(f.direct("GET", "/images/"+busybox+"/get", "").text)
	if a := load("bob", theirs); a.code != 403 {
		t.Errorf("bob loads over everyone's: %d %s", a.code, a.text)
	}
	f.expect(f.as("alice", "DELETE", "/images/"+f.mark+"new:1", ""), 403)
	f.expect(f.as("bob", "DELETE", "/images/"+f.mark+"new:1", ""), 200)
}
