package owner

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
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
		{"a taken name, and much behind the end", append(archiveOf("manifest.json", `[{"RepoTags":["busybox:latest"]}]`), make([]byte, 1<<20)...), true},
		{"more records than a file needs", crowded(100), true},
		{"records of a file", crowded(2), false},
		{"a file with holes", holed(), true},
	} {
		up := test.text
		if !test.fails && strings.HasPrefix(test.name, "packed") { // goes up as it was judged
			z, err := gzip.NewReader(bytes.NewReader(up))
			if err == nil {
				up, err = io.ReadAll(z)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, reader := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader, iotest.DataErrReader} {
			got, err := io.ReadAll(newLoading(reader(bytes.NewReader(test.text)), judge))
			if (err != nil) != test.fails {
				t.Errorf("%s: %v", test.name, err)
			}
			if !test.fails && !bytes.Equal(got, up) {
				t.Errorf("%s: %d bytes of %d went up", test.name, len(got), len(up))
			}
			if test.fails && (bytes.HasSuffix(got, make([]byte, 1024)) || bytes.Contains(got, []byte("busybox")) && test.name != "by a link") {
				t.Errorf("%s: its end or the name went up", test.name)
			}
		}
	}
}

// crowded has a file with n megabytes of records in front.
func crowded(n int) []byte {
	var b bytes.Buffer
	for range n {
		w := tar.NewWriter(&b) // its end is not written
		_ = w.WriteHeader(&tar.Header{Name: "x", PAXRecords: map[string]string{"X.y": strings.Repeat("z", 1<<20-1024)}})
		b.Truncate(b.Len() - 512) // of the file itself
	}
	return append(b.Bytes(), archiveOf("manifest.json", `[{"RepoTags":["mine:1"]}]`)...)
}

// holed is an archive of a file of old GNU's kind: six bytes behind a hole.
func holed() []byte {
	b := archiveOf("l.tar", "FROM a")
	copy(b[257:], "ustar  \x00")
	b[156] = 'S'
	copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", 4, 6))
	copy(b[483:], fmt.Sprintf("%011o\x00", 10))
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// What is behind an archive's end may be anything, and does not go up.
func TestLoadingEnds(t *testing.T) {
	text := archiveOf("manifest.json", `[{"RepoTags":["mine:1"]}]`)
	behind := archiveOf("manifest.json", `[{"RepoTags":["busybox:latest"]}]`)
	from := bytes.NewReader(append(bytes.Clone(text), behind...))
	got, err := io.ReadAll(newLoading(from, func(string) error { return nil }))
	if err != nil || !bytes.Equal(got, text) || from.Len() > 0 {
		t.Errorf("%d bytes of %d went up, %d are unread, %v", len(got), len(text), from.Len(), err)
	}
}

// Of an archive whose sender leaves, or whom another judge refuses, the error is
// that, and nothing behind it goes up.
func TestLoadingBreaksOff(t *testing.T) {
	gone := errors.New("connection reset")
	text := archiveOf("l.tar", strings.Repeat("x", 3000), "manifest.json", `[{"RepoTags":["mine:1"]}]`)
	for n := range len(text) {
		from := io.MultiReader(bytes.NewReader(text[:n]), iotest.ErrReader(gone))
		got, err := io.ReadAll(newLoading(from, func(string) error { return nil }))
		if !errors.Is(err, gone) || !bytes.HasPrefix(text, got) {
			t.Fatalf("after %d bytes: %d go up, %v", n, len(got), err)
		}
	}
}

// FuzzLoading: what goes up is what came, up to the archive's end, and names the
// images that were judged and no others.
func FuzzLoading(f *testing.F) {
	f.Add(archiveOf("l.tar", strings.Repeat("x", 700), "manifest.json", `[{"RepoTags":["mine:1"]}]`), uint16(100))
	f.Add(archiveOf("repositories", `{"a":{"1":"x"}}`, "d/index.json", `{"manifests":[{"annotations":{"io.containerd.image.name":"a:2"}}]}`, "s", "->d"), uint16(512))
	f.Add(gzipped(archiveOf("manifest.json", `[{"RepoTags":["mine:1"]}]`)), uint16(1))
	f.Add(crowded(1), uint16(3000))
	f.Add(holed(), uint16(7))
	f.Fuzz(func(t *testing.T, text []byte, piece uint16) {
		var judged []string
		got, err := readBy(newLoading(bytes.NewReader(text), func(name string) error {
			judged = append(judged, name)
			return nil
		}), int(piece)+1)
		if err != nil {
			return
		}
		if packed := len(text) > 2 && (text[0] == 0x1f || text[0] == 'B'); !packed && !bytes.HasPrefix(text, got) {
			t.Fatalf("%d bytes go up that did not come", len(got))
		}
		named := map[string]bool{}
		for archive := tar.NewReader(bytes.NewReader(got)); ; {
			h, err := archive.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("what goes up is no archive: %v", err)
			}
			inside, err := io.ReadAll(archive)
			if err != nil {
				t.Fatalf("what goes up is no archive: %v", err)
			}
			if base := path.Base(path.Clean(h.Name)); nameLists[base] && h.Typeflag != tar.TypeDir {
				if err := judgeList(inside, base == "repositories", named, func(string) error { return nil }); err != nil {
					t.Fatalf("names that were not judged go up: %v", err)
				}
			}
		}
		slices.Sort(judged)
		if want := slices.Sorted(maps.Keys(named)); !slices.Equal(judged, want) {
			t.Fatalf("judged %q, went up %q", judged, want)
		}
	})
}

// readBy reads in pieces of n bytes.
func readBy(r io.Reader, n int) (all []byte, err error) {
	for p := make([]byte, n); ; {
		k, err := r.Read(p)
		if all = append(all, p[:k]...); err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
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
	for _, text := range [][]byte{saved, gzipped(saved)} { // what one has loaded may be loaded again
		if a := load("bob", text); a.code != 200 || !strings.Contains(a.text, "Loaded image") {
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
