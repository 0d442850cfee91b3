package owner

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
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
	// maxBetween bounds what stands between the contents of two files, in bytes:
	// headers with their records, and a list of names.
	maxBetween = maxList + 4<<20
	// keepBetween is the room for that which is kept from file to file.
	keepBetween = 64 << 10
	// packed is what is read at a time of an archive that is packed, in bytes.
	packed = 32 << 10
)

// load lets an archive of images go up whose names are free or the caller's:
// who runs an image by its name must not come to run another.
func (j *judging) load() error {
	if !j.own || j.Offline || j.call.Action != "image.load" || j.call.Stream == nil {
		return nil
	}
	l := newLoading(j.call.Stream, j.loads)
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

// loading is an archive of images, unpacked, that is read along while it goes
// up: nothing of it is given out before the names in it have been judged, and
// its end only where it is a whole archive. Contents are read to where they go
// up from, and nothing is held but what stands between them.
type loading struct {
	from    arriving
	plain   io.Reader // from, unpacked; nil at first
	archive *tar.Reader
	along   along
	open    bool // within a file
	judge   func(name string) error
	judged  map[string]bool
	err     error
}

// arriving is what the caller sends. It keeps the error that ended it: who has
// left, or was refused by another, has sent no bad archive.
type arriving struct {
	io.Reader
	err error
}

func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		a.err = err
	}
	return n, err
}

// along is what the reader of an archive reads from. It keeps what stands
// between contents, to go up as it came; of contents it only counts the bytes.
type along struct {
	plain    io.Reader
	between  bytes.Buffer
	contents bool
	counted  int
}

func (a *along) Read(p []byte) (int, error) {
	n, err := a.plain.Read(p)
	if a.contents {
		a.counted += n
		return n, err
	}
	if a.between.Len()+n > maxBetween {
		return 0, badArchive(fmt.Sprintf("over %d bytes stand between two files", maxBetween), nil)
	}
	a.between.Write(p[:n])
	return n, err
}

func newLoading(from io.Reader, judge func(name string) error) *loading {
	return &loading{from: arriving{Reader: from}, judge: judge, judged: map[string]bool{}}
}

func (l *loading) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for n == 0 && l.along.between.Len() == 0 {
		if l.err != nil {
			return 0, l.err
		}
		if n, err = l.advance(p); err == nil {
			continue
		}
		if l.err = err; !errors.Is(err, io.EOF) {
			l.along.between = bytes.Buffer{} // of an archive that is refused
			return 0, err
		}
	}
	if n > 0 {
		return n, nil
	}
	n, _ = l.along.between.Read(p)
	if l.along.between.Len() == 0 && l.along.between.Cap() > keepBetween {
		l.along.between = bytes.Buffer{}
	}
	return n, nil
}

// advance reads and judges one more piece: n bytes of contents, which are in p,
// or what stands between them. The error is io.EOF at the end.
func (l *loading) advance(p []byte) (n int, err error) {
	switch {
	case l.plain == nil:
		l.plain, err = unpack(&l.from)
		l.along.plain, l.archive = l.plain, tar.NewReader(&l.along)
	case l.open:
		n, err = l.contents(p)
	default:
		err = l.next()
	}
	if l.from.err != nil {
		err = l.from.err
	}
	return n, err
}

// contents reads of a file, right to where it goes up from.
func (l *loading) contents(p []byte) (int, error) {
	l.along.contents, l.along.counted = true, 0
	n, err := l.archive.Read(p)
	l.along.contents = false
	if n != l.along.counted {
		return 0, badArchive("a file in it has holes: send what docker save made", nil)
	}
	if errors.Is(err, io.EOF) {
		l.open = false
		return n, nil
	}
	return n, broken(err)
}

// next reads on to the next file, and judges the names in it if it is one that
// names images.
func (l *loading) next() error {
	h, err := l.archive.Next()
	if errors.Is(err, io.EOF) {
		return l.end()
	}
	if err != nil {
		return broken(err)
	}
	name := path.Base(path.Clean(h.Name))
	if !nameLists[name] || h.Typeflag == tar.TypeDir {
		l.open = true
		return nil
	}
	if h.Typeflag != tar.TypeReg || h.Size > maxList {
		return badArchive(fmt.Sprintf("%.128q is no plain file of at most %d bytes", h.Name, maxList), nil)
	}
	text, err := io.ReadAll(l.archive)
	if err != nil {
		return broken(err)
	}
	return judgeList(text, name == "repositories", l.judged, l.judge)
}

// end reads what stands behind the archive's end, which is nothing to an Engine
// and does not go up, so that the caller is heard out.
func (l *loading) end() error {
	if _, err := io.Copy(io.Discard, l.plain); err != nil {
		return broken(err)
	}
	if _, err := io.Copy(io.Discard, &l.from); err != nil { // behind what was packed
		return err
	}
	return io.EOF
}

// broken is an archive that cannot be read on; nil if err is.
func broken(err error) error {
	var known *router.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return badArchive("it is no whole tar archive: send what docker save made", err)
}

// nameLists are the files of an archive that name its images. Engines take them by
// these names, wherever a link may lead.
var nameLists = map[string]bool{"manifest.json": true, "repositories": true, "index.json": true}

// unpack undoes the packing that an Engine undoes, too, as far as is known here.
func unpack(raw io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(raw, 16) // for a look; contents pass it by
	head, _ := b.Peek(6)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		z, err := gzip.NewReader(bufio.NewReaderSize(b, packed))
		if err != nil {
			return nil, badArchive("its gzip cannot be read", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(bufio.NewReaderSize(b, packed)), nil
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
