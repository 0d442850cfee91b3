package policy

import (
	"archive/tar"
	"testing"
)

// TestNoSetuid: nothing that is copied in may make its user another one.
func TestNoSetuid(t *testing.T) {
	capable := map[string]string{"SCHILY.xattr.security.capability": "x"}
	for name, test := range map[string]struct {
		header tar.Header
		taken  bool
	}{
		"plain file":        {tar.Header{Typeflag: tar.TypeReg, Mode: 0o755}, true},
		"setgid folder":     {tar.Header{Typeflag: tar.TypeDir, Mode: 0o2755}, true},
		"setuid file":       {tar.Header{Typeflag: tar.TypeReg, Mode: 0o4755}, false},
		"setuid hard link":  {tar.Header{Typeflag: tar.TypeLink, Mode: 0o4755}, false},
		"file capabilities": {tar.Header{Typeflag: tar.TypeReg, Mode: 0o755, PAXRecords: capable}, false},
	} {
		if err := noSetuid(&test.header); (err == nil) != test.taken {
			t.Errorf("%s: %v", name, err)
		}
	}
}
