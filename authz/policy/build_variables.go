package policy

import (
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

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
