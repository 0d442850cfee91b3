package policy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"moorgate/router"
)

// build is a classic build whose context is judged while it goes up.
type build struct {
	dockerfile string            // its path in the context, cleaned
	args       map[string]string // build arguments of the query

	// allow judges an image that the build is made from, as written.
	allow func(name string) error
	// base gives the id of an image and its ONBUILD instructions. An image
	// that the Engine has yet to pull is an error: nobody knows its
	// instructions.
	base func(name string) (id string, triggers []string, err error)

	bases map[string]string // what was judged: name to id
}

const defaultDockerfile = "Dockerfile"

// newBuild reads what of the query decides which images a build uses.
func newBuild(call *router.Call) (*build, *refusal, error) {
	b := &build{dockerfile: defaultDockerfile, args: map[string]string{}, bases: map[string]string{}}
	if name := call.Query.Get("dockerfile"); name != "" {
		b.dockerfile = strings.TrimPrefix(path.Clean("/"+name), "/")
	}
	text := call.Query.Get("buildargs")
	if text == "" {
		return b, nil, nil
	}
	d, err := router.ParseDocument([]byte(text), map[string]*string{})
	if err != nil {
		return nil, nil, &router.Error{Status: 400, Message: fmt.Sprintf("query: buildargs: %v", err)}
	}
	for name, value := range d.Root().Members() {
		if value.Exists() {
			b.args[name] = value.Str()
		}
	}
	if _, ok := b.args["BUILDKIT_SYNTAX"]; ok {
		return nil, &refusal{rule: "images", reason: "BUILDKIT_SYNTAX names an image that would run in the builder: leave it out"}, nil
	}
	return b, nil, nil
}

// judgeBuild gives a build context in place of body, with every image that its
// Dockerfile uses asked of b.allow.
func judgeBuild(body io.Reader, b *build) io.Reader {
	found := false
	return &archive{
		raw:    body,
		judged: b.isDockerfile,
		content: func(name string, data []byte) ([]byte, error) {
			found = true
			return b.judge(name, data)
		},
		end: func() error {
			if !found {
				return malformed("holds no plain file %.128q: send the Dockerfile at that path", b.dockerfile)
			}
			return b.unmoved()
		},
	}
}

// unmoved refuses a build whose images were replaced while its context went up:
// a caller could send the Dockerfile first and wait with the rest.
func (b *build) unmoved() error {
	for name, judged := range b.bases {
		id, _, err := b.base(name)
		if err != nil {
			return err
		}
		if id != judged {
			return &router.Error{Status: http.StatusConflict, Message: fmt.Sprintf("image %.128q was replaced while the build context was sent: build again", name)}
		}
	}
	return nil
}

// isDockerfile says whether the Engine may take the file for the Dockerfile:
// where it finds no "Dockerfile" it takes "dockerfile".
func (b *build) isDockerfile(name string) bool {
	return name == b.dockerfile || b.dockerfile == defaultDockerfile && name == "dockerfile"
}

// judge gives a Dockerfile that begins its stages with the images that were
// judged, by their ids: the Engine looks at a name when it comes to the stage,
// and a caller could give it to another image until then.
func (b *build) judge(file string, data []byte) ([]byte, error) {
	lines, err := readDockerfile(data)
	if err != nil {
		return nil, malformed("%.128s: %v", file, err)
	}
	text := bytes.Split(bytes.TrimPrefix(data, orderMark), []byte("\n"))
	s := stages{b: b, args: map[string]string{}, declared: map[string]bool{}, names: map[string]bool{}}
	for _, l := range lines {
		if err := s.instruction(l, false); err != nil {
			if _, ours := err.(*dockerfileError); ours {
				return nil, malformed("%.128s line %d: %v", file, l.number, err)
			}
			return nil, err
		}
		if s.pinned != "" {
			clear(text[l.number-1 : l.last])
			text[l.number-1], s.pinned = []byte(s.pinned), ""
		}
	}
	return bytes.Join(text, []byte("\n")), nil
}
