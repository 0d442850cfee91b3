package policy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
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

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

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
		content: func(name string, data []byte) error {
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

func (b *build) judge(file string, data []byte) error {
	lines, err := readDockerfile(data)
	if err != nil {
		return malformed("%.128s: %v", file, err)
	}
	s := stages{b: b, args: map[string]string{}, declared: map[string]bool{}, names: map[string]bool{}}
	for _, l := range lines {
		if err := s.instruction(l, false); err != nil {
			if _, ours := err.(*dockerfileError); ours {
				return malformed("%.128s line %d: %v", file, l.number, err)
			}
			return err
		}
	}
	return nil
}

// stages walks the instructions of a Dockerfile.
type stages struct {
	b        *build
	args     map[string]string // with a value, declared before the first FROM
	declared map[string]bool
	names    map[string]bool // of the stages that are complete, in lower case
	current  string          // the name of the stage that is not yet
	count    int
}

// instruction judges one instruction. Trigger says that it comes from an
// ONBUILD.
func (s *stages) instruction(l line, trigger bool) error {
	switch l.keyword {
	case "ARG":
		if s.count == 0 && !trigger {
			return s.declare(l.rest)
		}
	case "FROM":
		if trigger {
			return badDockerfile("ONBUILD FROM is not taken by the Engine: leave it out")
		}
		return s.from(l.rest)
	case "COPY", "ADD":
		return s.copies(l)
	case "RUN":
		if err := plain(flags(l.rest)); err != nil {
			return err
		}
		for _, flag := range flags(l.rest) {
			if strings.HasPrefix(flag, "--mount") || strings.HasPrefix(flag, "--security") || strings.HasPrefix(flag, "--network") || strings.HasPrefix(flag, "--device") {
				return badDockerfile("RUN %s needs BuildKit: leave it out", flag)
			}
		}
	case "ONBUILD":
		inner, err := splitLine(l.number, l.rest)
		if err != nil {
			return err
		}
		if inner.keyword == "ONBUILD" {
			return badDockerfile("ONBUILD ONBUILD is not taken by the Engine: leave it out")
		}
		return s.instruction(inner, true)
	}
	return nil
}

// declare keeps an argument that FROM may use; the query's value wins over the
// default.
func (s *stages) declare(rest string) error {
	for _, word := range strings.Fields(rest) {
		name, value, hasDefault := strings.Cut(word, "=")
		switch {
		case !variableName.MatchString(name):
			return badDockerfile("ARG %.64q: write a name of letters, digits and _", name)
		case s.declared[name]:
			return badDockerfile("ARG %.64s is declared twice before FROM: declare it once", name)
		}
		s.declared[name] = true
		value, err := s.expand(unquoted(value))
		if err != nil {
			return err
		}
		if given, ok := s.b.args[name]; ok {
			s.args[name] = given
		} else if hasDefault {
			s.args[name] = value
		}
	}
	return nil
}

// unquoted takes one pair of quotes off.
func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] && !strings.Contains(s[1:len(s)-1], s[:1]) {
		if s[0] == '\'' && strings.Contains(s, "$") {
			return s // not expanded there: expand refuses the quotes
		}
		return s[1 : len(s)-1]
	}
	return s
}

func (s *stages) from(rest string) error {
	if err := plain(flags(rest)); err != nil {
		return err
	}
	words := strings.Fields(rest)
	for len(words) > 0 && strings.HasPrefix(words[0], "--") {
		if !strings.HasPrefix(words[0], "--platform=") {
			return badDockerfile("FROM %.64s is not known: leave it out", words[0])
		}
		words = words[1:]
	}
	if len(words) != 1 && !(len(words) == 3 && strings.EqualFold(words[1], "as")) {
		return badDockerfile("FROM takes an image, or an image AS a name")
	}
	name, err := s.expand(words[0])
	if err != nil {
		return err
	}
	// Until a stage is complete its name means an image.
	if s.count++; s.current != "" {
		s.names[s.current] = true
	}
	s.current = ""
	if len(words) == 3 {
		s.current = strings.ToLower(words[2])
	}
	switch {
	case name == "":
		return badDockerfile("the image's name is empty: give the build argument, or write a name")
	case s.names[strings.ToLower(name)], name == "scratch":
		return nil
	}
	return s.starts(name)
}

// starts judges an image that a stage begins with, and what it makes the build
// do.
func (s *stages) starts(name string) error {
	if err := s.b.allow(name); err != nil {
		return err
	}
	id, triggers, err := s.b.base(name)
	if err != nil {
		return err
	}
	s.b.bases[name] = id
	for _, t := range triggers {
		l, err := splitLine(0, t)
		if err != nil {
			return badDockerfile("ONBUILD of %.128s: %v", name, err)
		}
		if err := s.instruction(l, true); err != nil {
			if _, ours := err.(*dockerfileError); ours {
				return badDockerfile("ONBUILD of %.128s: %v", name, err)
			}
			return err
		}
	}
	return nil
}

// copies judges COPY and ADD: other images that they copy from, and addresses
// that the Engine itself would fetch.
func (s *stages) copies(l line) error {
	all := flags(l.rest)
	if err := plain(all); err != nil {
		return err
	}
	for _, flag := range all {
		name, value, _ := strings.Cut(flag, "=")
		if name != "--from" {
			continue
		}
		if l.keyword == "ADD" || value == "" || strings.ContainsAny(value, "$\"'\\`") {
			return badDockerfile("%s %.128s: write --from=NAME without variables and quotes, in COPY", l.keyword, flag)
		}
		if isIndex(value) || s.names[strings.ToLower(value)] {
			continue
		}
		if err := s.b.allow(value); err != nil {
			return err
		}
	}
	if l.keyword != "ADD" {
		return nil
	}
	return adds(strings.Fields(l.rest)[len(all):])
}

// adds refuses addresses among the sources of ADD, and whatever could become
// one: the Engine takes quotes and escapes out and puts variables in.
func adds(words []string) error {
	var sources []string
	text := strings.Join(words, " ")
	if json.Unmarshal([]byte(text), &sources) != nil || strings.Contains(text, `\`) {
		sources = words
	}
	for _, source := range sources[:max(len(sources)-1, 0)] {
		if strings.ContainsAny(source, "$\\'\"`") {
			return badDockerfile("ADD %.128s could become an address that the Engine itself would fetch: write it without variables, quotes and escapes, or use COPY", source)
		}
		if strings.Contains(source, "://") || strings.Contains(source, "git@") {
			return badDockerfile("ADD %.128s: the Engine itself would fetch an address: put the file into the context, or fetch it in RUN", source)
		}
	}
	return nil
}

// plain refuses flags with quotes and escapes, which the Engine takes out
// before it reads them.
func plain(flags []string) error {
	for _, flag := range flags {
		if strings.ContainsAny(flag, "\"'\\`") {
			return badDockerfile("%.128s: write flags without quotes and escapes", flag)
		}
	}
	return nil
}

func isIndex(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) < 4
}

// flags are the words that begin with -- at an instruction's front.
func flags(rest string) []string {
	var all []string
	for _, word := range strings.Fields(rest) {
		if !strings.HasPrefix(word, "--") {
			break
		}
		all = append(all, word)
	}
	return all
}

// expand replaces $name, ${name}, ${name:-word} and ${name:+word}; other forms
// are refused, since Engines differ in them.
func (s *stages) expand(text string) (string, error) {
	var b strings.Builder
	for text != "" {
		before, rest, found := strings.Cut(text, "$")
		if strings.ContainsAny(before, "\"'\\`") {
			return "", badDockerfile("%.128q: write the image's name without quotes and escapes", text)
		}
		b.WriteString(before)
		if !found {
			break
		}
		var value string
		var err error
		if value, text, err = s.variable(rest); err != nil {
			return "", err
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// variable reads what stands behind a $ and gives its value and the rest.
func (s *stages) variable(text string) (value, rest string, err error) {
	inner, rest, braced := text, "", strings.HasPrefix(text, "{")
	if braced {
		var closed bool
		if inner, rest, closed = strings.Cut(text[1:], "}"); !closed || strings.Contains(inner, "$") {
			return "", "", badDockerfile("$%.128s is no variable: write ${NAME}", text)
		}
	}
	end := 0
	for end < len(inner) && (inner[end] == '_' || inner[end]|32 >= 'a' && inner[end]|32 <= 'z' || end > 0 && inner[end] >= '0' && inner[end] <= '9') {
		end++
	}
	name, after := inner[:end], inner[end:]
	if name == "" {
		return "", "", badDockerfile("$%.128s is no variable: write ${NAME}", text)
	}
	if !braced {
		return s.args[name], after, nil
	}
	word := ""
	if len(after) >= 2 {
		word = after[2:]
	}
	if strings.ContainsAny(word, "\"'\\`") {
		return "", "", badDockerfile("${%.128s}: write it without quotes and escapes", inner)
	}
	switch {
	case after == "":
		return s.args[name], rest, nil
	case strings.HasPrefix(after, ":-"):
		if s.args[name] != "" {
			return s.args[name], rest, nil
		}
		return word, rest, nil
	case strings.HasPrefix(after, ":+"):
		if s.args[name] == "" {
			return "", rest, nil
		}
		return word, rest, nil
	}
	return "", "", badDockerfile("${%.128s}: write ${NAME}, ${NAME:-word} or ${NAME:+word}", inner)
}
