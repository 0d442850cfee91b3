package policy

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"moorgate/router"
)

const (
	// maxJudged bounds a file of an archive that is judged, in bytes; it is
	// held whole.
	maxJudged = 4 << 20
	// maxLinks bounds the symbolic links of an archive, whose names are held.
	maxLinks = 100_000
	// maxName bounds a name in an archive, in bytes; longer ones no file
	// system takes.
	maxName = 4096
	// maxLinkNames bounds the names of all links together.
	maxLinkNames = 16 << 20
	// step is how much is read of an archive at a time where a reader asks for
	// less, in bytes.
	step = 64 << 10
	// ahead is what must be in hand, in bytes, for another header to be read
	// before what is ready goes up: one with its records mostly takes no more.
	ahead = 4 << 10
	// maxWindow bounds what decompressing may hold.
	maxWindow = 8 << 20
)

// archive reads a tar, compressed or not, and gives it written anew: one
// archive, canonical headers, nothing behind its end. So what was judged is
// what the Engine reads, and the end, without which the Engine takes nothing,
// is given only when all of it was judged.
type archive struct {
	raw   io.Reader
	sent  caller        // raw
	held  *bufio.Reader // sent
	in    *tar.Reader
	out   *tar.Writer
	ready written // written anew and not yet read
	open  bool    // within a file
	links map[string]bool
	names int             // bytes of the links' names
	seen  map[string]bool // judged files
	above map[string]bool // folders that judged files lie in
	err   error

	// header judges each entry's header; nil lets all pass.
	header func(*tar.Header) error
	// judged says whether a file is one that content has to see.
	judged func(name string) bool
	// content judges a file and gives what is sent for it; its error ends the
	// archive.
	content func(name string, data []byte) ([]byte, error)
	// end judges the whole.
	end func() error
	// files refuses named pipes, at which an Engine that reads files by the
	// names given in others would wait for ever.
	files bool
}

// written takes what the writer writes. The contents of a file are passing: they
// lie where the reader wants them already and are only counted.
type written struct {
	buffer  bytes.Buffer
	passing bool
	passed  int
}

func (w *written) Write(p []byte) (int, error) {
	if w.passing {
		w.passed += len(p)
		return len(p), nil
	}
	return w.buffer.Write(p)
}

// caller is what the caller sends. It keeps the error that ended it: a caller
// who left is no malformed archive.
type caller struct {
	io.Reader
	err error
}

func (c *caller) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func refused(format string, args ...interface{}) error {
	return &router.Error{Status: http.StatusForbidden, Message: "moorgate: " + fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...interface{}) error {
	return &router.Error{Status: http.StatusBadRequest, Message: "archive: " + fmt.Sprintf(format, args...)}
}

// Read gives the archive as it was judged so far, and goes on with what is in
// hand: small files would else go up in a write each.
func (a *archive) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if a.ready.buffer.Len() > 0 {
			k, _ := a.ready.buffer.Read(p[n:])
			n += k
			continue
		}
		if a.err != nil || n > 0 && a.waits() {
			break
		}
		var k int
		k, a.err = a.advance(p[n:])
		n += k
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, a.err
}

// waits says whether it may take time to go on.
func (a *archive) waits() bool {
	if a.open {
		return a.held.Buffered() == 0
	}
	return a.held.Buffered() < ahead
}

// advance brings one more piece through: n bytes of it into p, the rest behind
// what is ready. The error is io.EOF at the end.
func (a *archive) advance(p []byte) (n int, err error) {
	if a.in == nil {
		a.sent.Reader = a.raw
		a.held = bufio.NewReaderSize(&a.sent, step)
		plain, err := decompress(a.held)
		if err != nil {
			return 0, a.broken(err)
		}
		a.in, a.out = tar.NewReader(plain), tar.NewWriter(&a.ready)
		a.links, a.seen, a.above = map[string]bool{}, map[string]bool{}, map[string]bool{}
	}
	if !a.open {
		return 0, a.next()
	}
	n, err = a.in.Read(p)
	if err := a.pass(p[:n]); err != nil {
		return 0, err
	}
	switch {
	case err == io.EOF:
		a.open = false
	case err != nil:
		return n, a.broken(err)
	}
	return n, nil
}

// pass lets contents go up from where they lie. The writer only keeps count of
// them: so it knows where the file ends, and what to fill its last block with.
func (a *archive) pass(p []byte) error {
	a.ready.passing, a.ready.passed = true, 0
	_, err := a.out.Write(p)
	a.ready.passing = false
	if err == nil && a.ready.passed != len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return malformed("writing it anew: %v", err)
	}
	return nil
}

// broken is an archive that could not be read on.
func (a *archive) broken(err error) error {
	var e *router.Error
	if a.sent.err != nil || errors.As(err, &e) {
		return err
	}
	return malformed("%v: send a whole tar archive", err)
}

func (a *archive) next() error {
	h, err := a.in.Next()
	if err == io.EOF {
		if err := a.end(); err != nil {
			return err
		}
		if err := a.out.Close(); err != nil {
			return malformed("writing its end anew: %v", err)
		}
		return io.EOF
	}
	if err != nil {
		return a.broken(err)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // would change how every later header reads
	}
	name, err := a.place(h)
	if err != nil {
		return err
	}
	if a.header != nil {
		if err := a.header(h); err != nil {
			return err
		}
	}
	if a.judged(name) {
		return a.whole(h, name)
	}
	if err := a.out.WriteHeader(h); err != nil {
		return malformed("%.128q: %v", h.Name, err)
	}
	a.open = h.Typeflag == tar.TypeReg
	return nil
}

// place checks where an entry goes and makes its header canonical. Nothing may
// be written through a link: that would be another file than the one judged.
func (a *archive) place(h *tar.Header) (string, error) {
	if len(h.Name) > maxName || len(h.Linkname) > maxName {
		return "", malformed("%.128q is longer than %d bytes: write a shorter name", h.Name, maxName)
	}
	name := path.Clean(h.Name)
	if path.IsAbs(name) {
		name = path.Clean("." + name)
	}
	if name == ".." || strings.HasPrefix(name, "../") || strings.Contains("/"+h.Name+"/", "/../") || strings.ContainsRune(h.Name, 0) {
		return "", malformed("%.128q leads out of it: write names below its root", h.Name)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if a.links[dir] {
			return "", malformed("%.128q lies behind the link %.128q: send files at their own place", h.Name, dir)
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, 0, tar.TypeGNUSparse, tar.TypeCont: // 0 is how old archives write a plain file
		h.Typeflag = tar.TypeReg
	case tar.TypeDir:
		delete(a.links, name)
	case tar.TypeSymlink, tar.TypeLink: // a hard link to a symbolic link is one too
		if a.names += len(name); len(a.links) >= maxLinks || a.names > maxLinkNames {
			return "", malformed("more than %d links, or their names over %d bytes: send fewer", maxLinks, maxLinkNames)
		}
		a.links[name] = true
	case tar.TypeFifo:
		if a.files {
			return "", malformed("%.128q is a named pipe: leave it out", h.Name)
		}
	default:
		return "", malformed("%.128q is a device or of an unknown type: leave it out", h.Name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			delete(h.PAXRecords, key)
		}
	}
	h.Format, h.Name = tar.FormatPAX, name
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	} else if name == "." || a.above[name] {
		return "", malformed("%.128q takes the place of a folder: send it once", name)
	}
	return name, nil
}

// whole reads a judged file, asks about it and writes it.
func (a *archive) whole(h *tar.Header, name string) error {
	switch {
	case h.Typeflag == tar.TypeDir:
		return malformed("%.128q is a folder: send a file", name)
	case h.Typeflag != tar.TypeReg:
		return malformed("%.128q is a link: send a plain file", name)
	case a.seen[name]:
		return malformed("%.128q is there twice: send it once", name)
	case h.Size > maxJudged:
		return malformed("%.128q is over %d bytes: send a smaller one", name, maxJudged)
	}
	a.seen[name] = true
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		a.above[dir] = true
	}
	data, err := io.ReadAll(io.LimitReader(a.in, maxJudged+1))
	if err != nil {
		return a.broken(err)
	}
	if data, err = a.content(name, data); err != nil {
		return err
	}
	h.Size = int64(len(data))
	if err := a.out.WriteHeader(h); err != nil {
		return malformed("%.128q: %v", h.Name, err)
	}
	_, err = a.out.Write(data)
	return err
}

// decompress tells the compression as the Engine does, by the first bytes.
func decompress(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, malformed("gzip: %v", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(r), nil
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, malformed("zstd: %v", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return nil, malformed("xz is not read here: send it plain, or compressed by gzip or zstd")
	}
	return r, nil
}
