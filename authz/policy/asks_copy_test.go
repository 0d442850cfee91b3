package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

// tarOf makes an archive of headers, each file holding its own name.
func tarOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, h.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCopyTo(t *testing.T) {
	good := tarOf(t, tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o2755}, tar.Header{Name: "d/a", Mode: 0o755},
		tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../up"})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(good)
	_ = z.Close()
	tests := []struct {
		name string
		sent []byte
		why  string // "": goes up
	}{
		{"plain", good, ""},
		{"gzip", packed.Bytes(), ""},
		{"xz", []byte("\xfd7zXZ\x00 and so on"), "xz"},
		{"up", tarOf(t, tar.Header{Name: "../a"}), "leads out"},
		{"device", tarOf(t, tar.Header{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}), "device"},
		{"through a link", tarOf(t, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, tar.Header{Name: "l/passwd"}), "link"},
		{"setuid", tarOf(t, tar.Header{Name: "su", Mode: 0o4755}), "setuid"},
		{"setgid", tarOf(t, tar.Header{Name: "su", Mode: 0o2755}), "setgid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			call := callOf(t, "PUT", "/v1.41/containers/x/archive?path=/", "")
			call.Stream, call.Length = bytes.NewReader(test.sent), int64(len(test.sent))
			if d, err := decide(t, plainRole, call); err != nil || !d.Allow {
				t.Fatalf("%+v %v", d, err)
			}
			got, err := io.ReadAll(call.Stream)
			if test.why != "" {
				if err == nil || !strings.Contains(err.Error(), test.why) {
					t.Errorf("%v, want an error that says %q", err, test.why)
				}
				return
			}
			if err != nil || call.Length != -1 {
				t.Fatalf("length %d: %v", call.Length, err)
			}
			var names []string
			r := tar.NewReader(bytes.NewReader(got))
			for h, err := r.Next(); err == nil; h, err = r.Next() {
				names = append(names, h.Name)
			}
			if strings.Join(names, " ") != "d/ d/a d/l" {
				t.Errorf("%q", names)
			}
		})
	}
}
