package policy

import (
	"archive/tar"

	"moorgate/router"
)

// copyTo lets an archive go up plain and written anew, without devices and
// without names that lead elsewhere. Engines before 29.5.1 decompress by
// programs that they look for in the container, and run them as the host's
// root.
func (j *asks) copyTo() *refusal {
	if j.call.Stream == nil {
		return nil
	}
	j.edits.do(func(c *router.Call) {
		c.Stream, c.Length = &archive{
			raw:    c.Stream,
			header: noSetuid,
			judged: func(string) bool { return false },
			end:    func() error { return nil },
		}, -1
	})
	return nil
}

// setuid are the bits of a file's mode that make who runs it another user.
const setuid = 0o6000

// noSetuid refuses files by which a container's user becomes its root: who
// commands run as would not hold.
func noSetuid(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir && h.Mode&setuid != 0 { // of a hard link too: its mode becomes the file's
		return refused("%.128q is setuid or setgid: chmod it in the container, or leave it out", h.Name)
	}
	if _, ok := h.PAXRecords["SCHILY.xattr.security.capability"]; ok {
		return refused("%.128q has capabilities of its own: leave them out", h.Name)
	}
	return nil
}
