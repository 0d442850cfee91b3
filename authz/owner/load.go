package owner

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"moorgate/authz"
	"moorgate/router"
)

const (
	// maxNames bounds the names that one archive gives.
	maxNames = 256
	// maxList bounds a list of names in an archive, in bytes.
	maxList = 4 << 20
	// chunk is how much of an archive is held back at most, in bytes.
	chunk = 64 << 10
)

// load lets an archive of images go up whose names are free or the caller's:
// who runs an image by its name must not come to run another.
func (j *judging) load() error {
	if !j.own || j.Offline || j.call.Action != "image.load" || j.call.Stream == nil {
		return nil
	}
	l := newLoading(j.call.Stream, j.loads)
	context.AfterFunc(j.ctx, func() { _ = l.to.CloseWithError(errRefused) }) // of an archive that nobody reads to its end
	j.call.Stream, j.call.Length = l, -1
	return nil
}

// loads judges one name in an archive.
func (j *judging) loads(name string) error {
	ref := router.Ref{Kind: router.Image, Name: name, Use: router.Gives}
	err := j.givesImage(ref)
	var no *refusal
	if errors.As(err, &no) {
		return authz.Late(j.ctx, authz.Decision{Rule: "owner", Reason: no.reason})
	}
	return err
}

// loading is an archive that is read along while it goes up. What was read last
// is held back until all before it has been judged, so an Engine never has the
// whole of an archive that is refused.
type loading struct {
	from    io.Reader
	to      *io.PipeWriter
	verdict chan error
	buffers [2][]byte
	n       int    // chunks read
	held    []byte // judged when more is asked for
	ready   []byte // to be given out
	err     error
}

func newLoading(from io.Reader, judge func(name string) error) *loading {
	r, w := io.Pipe()
	l := &loading{from: from, to: w, verdict: make(chan error, 1)}
	l.buffers[0], l.buffers[1] = make([]byte, chunk), make([]byte, chunk)
	go func() {
		err := readNames(r, judge)
		l.verdict <- err
		_ = r.CloseWithError(errRefused)
	}()
	return l
}

var errRefused = errors.New("the archive is refused")

func (l *loading) Read(p []byte) (int, error) {
	for len(l.ready) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.next()
	}
	n := copy(p, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}

// next reads and judges a chunk, and lets the one before it go.
func (l *loading) next() {
	buffer := l.buffers[l.n%2]
	n, err := l.from.Read(buffer)
	if n > 0 {
		l.n++
		if _, broken := l.to.Write(buffer[:n]); broken != nil {
			l.err = <-l.verdict
			if l.err == nil {
				l.err = broken
			}
			return
		}
		l.ready, l.held = l.held, buffer[:n]
	}
	switch {
	case errors.Is(err, io.EOF):
		_ = l.to.Close()
		if l.err = <-l.verdict; l.err == nil {
			l.ready = append(bytes.Clone(l.ready), l.held...)
			l.held, l.err = nil, io.EOF
		} else {
			l.ready = nil
		}
	case err != nil:
		_ = l.to.CloseWithError(err)
		l.ready, l.err = nil, err
	}
}

// nameLists are the files of an archive that name its images. Engines take them by
// these names, wherever a link may lead.
var nameLists = map[string]bool{"manifest.json": true, "repositories": true, "index.json": true}

// readNames reads an archive to its end and judges every name that it could
// give.
func readNames(raw io.Reader, judge func(name string) error) error {
	plain, err := unpack(raw)
	if err != nil {
		return err
	}
	judged := map[string]bool{}
	for archive := tar.NewReader(plain); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return badArchive("it is no whole tar archive: send what docker save made", err)
		}
		if !nameLists[path.Base(path.Clean(h.Name))] || h.Typeflag == tar.TypeDir {
			continue
		}
		if h.Typeflag != tar.TypeReg || h.Size > maxList {
			return badArchive(fmt.Sprintf("%.128q is no plain file of at most %d bytes", h.Name, maxList), nil)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return badArchive("it is no whole tar archive: send what docker save made", err)
		}
		keyed := path.Base(path.Clean(h.Name)) == "repositories"
		if err := judgeList(text, keyed, judged, judge); err != nil {
			return err
		}
	}
	// What stands behind the end is nothing to an Engine, and read to the end.
	if _, err = io.Copy(io.Discard, plain); err == nil && plain != raw {
		_, err = io.Copy(io.Discard, raw)
	}
	return err
}

// unpack undoes the packing that an Engine undoes, too, as far as is known here.
func unpack(raw io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(raw, 16)
	head, _ := b.Peek(6)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, badArchive("its gzip cannot be read", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(b), nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}), bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) > 3 && head[0]>>4 == 5 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return nil, badArchive("its packing is not read here: send it plain or with gzip", nil)
	}
	return b, nil
}

func badArchive(what string, err error) error {
	return &router.Error{Status: 400, Message: "images/load: " + what, Err: err}
}

// judgeList judges every text in a list that could be a name, whatever stands
// around it. Keyed is a list like repositories, where names and tags are keys;
// elsewhere keys are the names of fields.
func judgeList(text []byte, keyed bool, judged map[string]bool, judge func(name string) error) error {
	names := map[string]bool{}
	var walk func(d *json.Decoder, above string, depth int) error
	walk = func(d *json.Decoder, above string, depth int) error {
		t, err := d.Token()
		if err != nil {
			return err
		}
		if depth > 64 {
			return errors.New("it is too deep")
		}
		switch t := t.(type) {
		case string:
			names[t] = true
		case json.Delim:
			for d.More() {
				key := above
				if t == '{' {
					k, err := d.Token()
					if err != nil {
						return err
					}
					key, _ = k.(string)
					if keyed {
						names[key] = true
						names[above+":"+key] = true
					}
				}
				if err := walk(d, key, depth+1); err != nil {
					return err
				}
			}
			_, err = d.Token()
		}
		return err
	}
	if err := walk(json.NewDecoder(bytes.NewReader(text)), "", 0); err != nil {
		return badArchive("its list of names is no JSON", err)
	}
	for name := range names {
		canonical, err := router.Canonical(name)
		if err != nil || strings.Contains(canonical, "@") || !strings.Contains(canonical[strings.LastIndexByte(canonical, '/')+1:], ":") || judged[canonical] {
			continue
		}
		if judged[canonical] = true; len(judged) > maxNames {
			return badArchive(fmt.Sprintf("it has over %d names", maxNames), nil)
		}
		if err := judge(canonical); err != nil {
			return err
		}
	}
	return nil
}
