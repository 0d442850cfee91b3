package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// rotated is a file that is renamed when it is full: to NAME.1, which was
// renamed to NAME.2, and so on.
type rotated struct {
	name string
	max  int64
	keep int

	file    *os.File // nil after a failure: the next Write opens it again
	size    int64
	endless bool // no regular file: a pipe or a device is never renamed
}

func (f *rotated) open(mode os.FileMode) error {
	// Without O_NONBLOCK a pipe that nobody reads would be waited for.
	file, err := os.OpenFile(f.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, mode)
	if errors.Is(err, syscall.ENXIO) {
		return fmt.Errorf("%s is a pipe that nobody reads: start its reader first", f.name)
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.size, f.endless = file, info.Size(), !info.Mode().IsRegular()
	return nil
}

// Write writes whole lines; none is split between two files.
func (f *rotated) Write(p []byte) (written int, err error) {
	if f.file == nil {
		if err := f.open(0o600); err != nil {
			return 0, err
		}
	}
	for len(p) > 0 {
		part := p
		if !f.endless && f.size+int64(len(p)) > f.max {
			part = p[:f.fit(p)]
		}
		if len(part) == 0 {
			if err := f.rotate(); err != nil {
				return written, err
			}
			continue
		}
		n, err := f.file.Write(part)
		written += n
		f.size += int64(n)
		if err != nil {
			f.Close()
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

// fit is how many bytes of p, in whole lines, still go into the file. One line
// goes into an empty file however long it is.
func (f *rotated) fit(p []byte) int {
	room := max(f.max-f.size, 0)
	if room < int64(len(p)) {
		if n := bytes.LastIndexByte(p[:room], '\n') + 1; n > 0 || f.size > 0 {
			return n
		}
		if n := bytes.IndexByte(p, '\n') + 1; n > 0 {
			return n
		}
	}
	return len(p)
}

// rotate renames the files and begins a new one with the old one's mode.
func (f *rotated) rotate() error {
	mode := os.FileMode(0o600)
	info, err := f.file.Stat()
	if err == nil {
		mode = info.Mode().Perm()
	}
	f.Close()
	// If somebody else renamed the file already, there is nothing to rename.
	if now, statErr := os.Lstat(f.name); err == nil && statErr == nil && os.SameFile(info, now) {
		for i := f.keep; i > 1; i-- {
			// Some of them are not there yet.
			if err := os.Rename(f.numbered(i-1), f.numbered(i)); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		if err := os.Rename(f.name, f.numbered(1)); err != nil {
			return err
		}
	}
	if err := f.open(mode); err != nil {
		return err
	}
	return f.file.Chmod(mode) // whatever the umask took away
}

func (f *rotated) numbered(i int) string { return fmt.Sprintf("%s.%d", f.name, i) }

func (f *rotated) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
