package terminal

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// textCut turns a stream of bytes into pieces of valid UTF-8: a character that
// is cut by the end of a piece waits for the next one, and what is no character
// becomes U+FFFD. The zero value is ready to use.
type textCut struct {
	held [utf8.UTFMax]byte
	n    int
}

// newCuts is one for each stream: what the one leaves unfinished is not the
// other's.
func newCuts() map[byte]*textCut { return map[byte]*textCut{Stdout: {}, Stderr: {}} }

// Next gives the text that p completes. It may share p's memory.
func (t *textCut) Next(p []byte) []byte {
	if t.n > 0 {
		p = append(append(make([]byte, 0, t.n+len(p)), t.held[:t.n]...), p...)
	}
	keep := incomplete(p)
	t.n = copy(t.held[:], p[len(p)-keep:])
	return validText(p[:len(p)-keep])
}

// Rest gives what waits at the end of the stream.
func (t *textCut) Rest() []byte {
	rest := validText(t.held[:t.n])
	t.n = 0
	return rest
}

func validText(p []byte) []byte {
	if utf8.Valid(p) {
		return p
	}
	return bytes.ToValidUTF8(p, []byte("\ufffd"))
}

// errQuote says that a command's quotes are not closed.
var errQuote = errors.New("a quote is not closed: write sh -c 'echo hello', or give the words one by one")

// splitCommand cuts a command into words as a shell would, but expands nothing:
// words are parted by blanks, quotes of both sorts hold them together, and a
// backslash takes the next character as it is.
func splitCommand(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == '\'':
			if c == quote {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\\':
			if i++; i == len(line) {
				return nil, errQuote
			}
			if quote == '"' && line[i] != '"' && line[i] != '\\' {
				word.WriteByte(c)
			}
			word.WriteByte(line[i])
			begun = true
		case quote == '"' && c == quote:
			quote = 0
		case quote == '"':
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errQuote
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
