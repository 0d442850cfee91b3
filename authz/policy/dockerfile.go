package policy

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// line is one instruction of a Dockerfile.
type line struct {
	number  int    // of the first line of the text that it stands in
	last    int    // of the last one
	keyword string // upper case
	rest    string
}

// dockerfileError is a Dockerfile that is not understood, or that different
// Engines understand differently.
type dockerfileError struct{ text string }

func (e *dockerfileError) Error() string { return e.text }

func badDockerfile(format string, args ...interface{}) error {
	return &dockerfileError{fmt.Sprintf(format, args...)}
}

// keywords are all that the classic builder knows.
var keywords = []string{
	"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
	"ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}

var (
	directive = regexp.MustCompile(`^#[ \t]*([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(.*?)[ \t]*$`)
	// heredoc finds << but not the shell's <<<.
	heredoc = regexp.MustCompile(`(^|[^<])<<($|[^<])`)
)

var orderMark = []byte("\xef\xbb\xbf")

// readDockerfile splits a Dockerfile into instructions as the Engine does. It
// refuses what Engines of different age read differently: here-documents, a
// doubled escape at a line's end, frontends named by "# syntax".
func readDockerfile(data []byte) ([]line, error) {
	data = bytes.TrimPrefix(data, orderMark)
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, badDockerfile("is no UTF-8 text: save it as UTF-8")
	}
	var lines []line
	var joined strings.Builder
	escape, directives, start := `\`, true, 0
	for i, text := range strings.Split(string(data), "\n") {
		text = strings.TrimSuffix(text, "\r")
		if strings.ContainsFunc(text, oddSpace) {
			return nil, badDockerfile("line %d holds an odd kind of space: write plain spaces", i+1)
		}
		trimmed := strings.TrimLeft(text, " \t")
		if directives {
			m := directive.FindStringSubmatch(trimmed)
			switch {
			case m == nil:
				directives = false
			case strings.EqualFold(m[1], "syntax"):
				return nil, badDockerfile(`"# syntax=" names an image that runs in the builder: leave the line out`)
			case strings.EqualFold(m[1], "escape"):
				if m[2] != `\` && m[2] != "`" {
					return nil, badDockerfile("escape=%.16s: write \\ or `", m[2])
				}
				if i > 0 || text != trimmed { // Engines before 23 know no other directive
					return nil, badDockerfile("line %d: escape= counts for some Engines only: write it at the start of the first line, once", i+1)
				}
				escape = m[2]
				continue
			}
		}
		if strings.HasPrefix(trimmed, "#") || trimmed == "" {
			continue // within a continued line too
		}
		if joined.Len() == 0 {
			start = i + 1
		}
		end := strings.TrimRight(text, " \t")
		if strings.HasSuffix(end, escape+escape) {
			return nil, badDockerfile("line %d ends in %s%s, which Engines read differently: end it otherwise", i+1, escape, escape)
		}
		if before, continued := strings.CutSuffix(end, escape); continued {
			if joined.Len() == 0 {
				before = strings.TrimLeft(before, " \t")
			}
			joined.WriteString(before)
			continue
		}
		joined.WriteString(text)
		l, err := splitLine(start, joined.String())
		if err != nil {
			return nil, err
		}
		joined.Reset()
		l.last = i + 1
		lines = append(lines, l)
	}
	if joined.Len() > 0 {
		l, err := splitLine(start, joined.String())
		if err != nil {
			return nil, err
		}
		l.last = 1 + bytes.Count(data, []byte("\n"))
		lines = append(lines, l)
	}
	return lines, nil
}

// oddSpace finds what the Engine takes for space beside blanks and tabs.
func oddSpace(r rune) bool { return unicode.IsSpace(r) && r != ' ' && r != '\t' }

// splitLine takes the keyword off an instruction.
func splitLine(number int, text string) (line, error) {
	text = strings.Trim(text, " \t")
	i := strings.IndexAny(text, " \t")
	if i < 0 {
		i = len(text)
	}
	l := line{number: number, keyword: strings.ToUpper(text[:i]), rest: strings.Trim(text[i:], " \t")}
	if !slices.Contains(keywords, l.keyword) {
		return l, badDockerfile("line %d: %.32q is no instruction of the classic builder", number, text[:i])
	}
	if heredoc.MatchString(l.rest) && (l.keyword == "RUN" || l.keyword == "COPY" || l.keyword == "ADD" || l.keyword == "ONBUILD") {
		return l, badDockerfile("line %d holds a here-document or <<, which Engines read differently: write a file, or printf", number)
	}
	return l, nil
}
