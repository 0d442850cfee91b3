package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// entry is one piece of an archive; a plain file where it says nothing else.
type entry struct {
	name, text, link string
	kind             byte
	records          map[string]string
}

func tarWith(t testing.TB, entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Size: int64(len(e.text)), Mode: 0o644, PAXRecords: e.records}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.kind, PAXRecords: e.records}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// through gives what comes out of an archive in which dir/Dockerfile is
// judged, and what was judged.
func through(in io.Reader) (out []byte, seen string, err error) {
	a := &archive{
		raw:     in,
		judged:  func(name string) bool { return name == "dir/Dockerfile" },
		content: func(_ string, data []byte) ([]byte, error) { seen += string(data); return data, nil },
		end:     func() error { return nil },
	}
	out, err = io.ReadAll(a)
	return out, seen, err
}

func ended(out []byte) bool { return bytes.HasSuffix(out, make([]byte, 1024)) }

func TestArchiveRefused(t *testing.T) {
	file := entry{name: "dir/Dockerfile", text: "FROM a"}
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"behind a link":                     {[]entry{{name: "dir", link: "other", kind: tar.TypeSymlink}, file}, "behind the link"},
		"behind a hard link to a link":      {[]entry{{name: "a", link: "dir", kind: tar.TypeSymlink}, {name: "b", link: "a", kind: tar.TypeLink}, {name: "b/Dockerfile", text: "FROM b"}}, "behind the link"},
		"a link in the place of its folder": {[]entry{file, {name: "dir", link: "other", kind: tar.TypeSymlink}}, "place of a folder"},
		"a hard link in its folder's place": {[]entry{file, {name: "dir", link: "other", kind: tar.TypeLink}}, "place of a folder"},
		"a file in the place of its folder": {[]entry{file, {name: "dir"}}, "place of a folder"},
		"a file in the place of the root":   {[]entry{{name: "./."}}, "place of a folder"},
		"twice":                             {[]entry{file, file}, "twice"},
		"twice, spelled otherwise":          {[]entry{file, {name: "/dir//./Dockerfile", text: "FROM b"}}, "twice"},
		"a link":                            {[]entry{{name: "dir/Dockerfile", link: "x", kind: tar.TypeSymlink}}, "is a link"},
		"a hard link":                       {[]entry{{name: "dir/Dockerfile", link: "x", kind: tar.TypeLink}}, "is a link"},
		"a hard link over it":               {[]entry{file, {name: "dir/Dockerfile", link: "x", kind: tar.TypeLink}}, "is a link"},
		"a pipe":                            {[]entry{{name: "dir/Dockerfile", kind: tar.TypeFifo}}, "is a link"},
		"a folder":                          {[]entry{{name: "dir/Dockerfile/", kind: tar.TypeDir}}, "is a folder"},
		"a device":                          {[]entry{{name: "x", kind: tar.TypeBlock}}, "device"},
		"out of it":                         {[]entry{{name: "x/../../y"}}, "leads out"},
		"up and down":                       {[]entry{{name: "dir/x/../Dockerfile"}}, "leads out"},
		"long name":                         {[]entry{{name: strings.Repeat("a/", 4096) + "a"}}, "longer"},
		"too large":                         {[]entry{{name: "dir/Dockerfile", text: strings.Repeat("#", maxJudged+1)}}, "over"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := through(bytes.NewReader(tarWith(t, c.entries...)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if ended(out) {
				t.Error("the Engine was given the archive's end")
			}
		})
	}
}

func TestArchiveWrittenAnew(t *testing.T) {
	plain := tarWith(t, entry{name: "dir/Dockerfile", text: "FROM a"})
	other := tarWith(t, entry{name: "dir/Dockerfile", text: "FROM evil"})
	squeeze := func(parts ...[]byte) []byte {
		var b bytes.Buffer
		for _, p := range parts {
			w := gzip.NewWriter(&b)
			_, _ = w.Write(p)
			_ = w.Close()
		}
		return b.Bytes()
	}
	override := []byte(nil)
	{ // the name in the record counts, not the one in the header
		long := strings.Repeat("d", 120)
		override = bytes.ReplaceAll(tarWith(t, entry{name: long, text: "FROM a"}), []byte("path="+long), []byte("path=dir/Dockerfile"+strings.Repeat("\x00", 120-14)))
	}
	for name, c := range map[string]struct {
		in   []byte
		seen string
		bad  string
	}{
		"plain":                         {in: plain, seen: "FROM a"},
		"gzip":                          {in: squeeze(plain), seen: "FROM a"},
		"gzip of two members":           {in: squeeze(plain[:600], plain[600:]), seen: "FROM a"},
		"a second archive behind":       {in: append(bytes.Clone(plain), other...), seen: "FROM a"},
		"a second compressed one":       {in: squeeze(plain, other), seen: "FROM a"},
		"absolute":                      {in: tarWith(t, entry{name: "/dir/Dockerfile", text: "FROM a"}), seen: "FROM a"},
		"with a dot":                    {in: tarWith(t, entry{name: "./dir/Dockerfile", text: "FROM a"}), seen: "FROM a"},
		"global record of a path":       {in: tarWith(t, entry{kind: tar.TypeXGlobalHeader, records: map[string]string{"path": "x"}}, entry{name: "dir/Dockerfile", text: "FROM a"}), seen: "FROM a"},
		"a record with a zero in it":    {in: override, bad: "archive"},
		"cut in a file":                 {in: plain[:514], bad: "whole"},
		"cut in a header":               {in: plain[:100], bad: "whole"},
		"cut gzip":                      {in: squeeze(plain)[:40], bad: "whole"},
		"no archive":                    {in: bytes.Repeat([]byte("no"), 600), bad: "whole"},
		"a folder replaced by a folder": {in: tarWith(t, entry{name: "dir", link: "x", kind: tar.TypeSymlink}, entry{name: "dir/", kind: tar.TypeDir}, entry{name: "dir/Dockerfile", text: "FROM a"}), seen: "FROM a"},
	} {
		t.Run(name, func(t *testing.T) {
			out, seen, err := through(bytes.NewReader(c.in))
			if c.bad != "" {
				if err == nil || !strings.Contains(err.Error(), c.bad) || ended(out) {
					t.Errorf("%v, want %s", err, c.bad)
				}
				return
			}
			if err != nil || seen != c.seen {
				t.Fatalf("judged %q, %v", seen, err)
			}
			again := ""
			r := tar.NewReader(bytes.NewReader(out))
			for {
				h, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(h.Name, "Dockerfile") {
					if h.Name != "dir/Dockerfile" {
						t.Errorf("is sent as %q", h.Name)
					}
					b, _ := io.ReadAll(r)
					again += string(b)
				}
			}
			if again != seen {
				t.Errorf("sends %q, judged %q", again, seen)
			}
		})
	}
}

func TestArchiveKeeps(t *testing.T) {
	long := strings.Repeat("d/", 100) + "x"
	out, _, err := through(bytes.NewReader(tarWith(t,
		entry{name: long, text: "y", records: map[string]string{"SCHILY.xattr.user.z": "v"}},
		entry{name: "l", link: long, kind: tar.TypeLink})))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(out))
	h, err := r.Next()
	if err != nil || h.Name != long || h.PAXRecords["SCHILY.xattr.user.z"] != "v" || h.Mode != 0o644 {
		t.Error(h, err)
	}
	if h, err = r.Next(); err != nil || h.Typeflag != tar.TypeLink || h.Linkname != long {
		t.Error(h, err)
	}
}

func TestArchiveOfSparseFile(t *testing.T) {
	// A file of old GNU's kind: its holes are read as zeros and sent as such.
	b := tarWith(t, entry{name: "dir/Dockerfile", text: "FROM a"})
	copy(b[257:], "ustar  \x00")
	b[156] = 'S'
	copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", 4, 6)) // 6 bytes at 4
	copy(b[483:], fmt.Sprintf("%011o\x00", 10))
	for i := range 8 {
		b[148+i] = ' '
	}
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	out, seen, err := through(bytes.NewReader(b))
	if err != nil || seen != "\x00\x00\x00\x00FROM a" {
		t.Fatalf("judged %q, %v", seen, err)
	}
	r := tar.NewReader(bytes.NewReader(out))
	h, err := r.Next()
	if err != nil || h.Typeflag != tar.TypeReg || h.Size != 10 {
		t.Error(h, err)
	}
}

func TestArchiveOfCallerWhoLeaves(t *testing.T) {
	gone := errors.New("connection reset")
	plain := tarWith(t, entry{name: "x", text: "y"}, entry{name: "z", text: "y"})
	for _, n := range []int{0, 100, 512, 513, 1024, 1500, 2048} {
		out, _, err := through(io.MultiReader(bytes.NewReader(plain[:n]), &failing{gone}))
		if !errors.Is(err, gone) || ended(out) && n < 2048 {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestArchiveOfManyLinks(t *testing.T) {
	var entries []entry
	for i := range 5000 {
		entries = append(entries, entry{name: fmt.Sprintf("%s%d", strings.Repeat("n", 4000), i), link: "x", kind: tar.TypeSymlink})
	}
	if _, _, err := through(bytes.NewReader(tarWith(t, entries...))); err == nil || !strings.Contains(err.Error(), "links") {
		t.Error(err)
	}
}
