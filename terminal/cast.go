package terminal

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// castHeader is the first line of a recording: asciicast v2.
type castHeader struct {
	Version   int               `json:"version"`
	Width     uint16            `json:"width"`
	Height    uint16            `json:"height"`
	Timestamp int64             `json:"timestamp"` // seconds since 1970
	Title     string            `json:"title,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
}

// Codes of a recording's events.
const (
	castOutput = 'o'
	castInput  = 'i'
	castResize = 'r'
)

// cast writes the lines of a recording. Text is valid UTF-8: what a read or a
// keystroke cut off goes into the next event.
type cast struct {
	began time.Time
	tails [2]tail // of output and of input
	crlf  bool    // output has no terminal that makes CR LF of LF
	last  byte    // of the output
}

// tail is the beginning of a character.
type tail struct {
	bytes [utf8.UTFMax]byte
	n     int
}

// header gives the first line.
func (c *cast) header(size cells, title string) []byte {
	text, _ := json.Marshal(castHeader{ //nolint:errcheck // nothing in it can fail
		Version: 2, Width: size.cols, Height: size.rows, Timestamp: c.began.Unix(), Title: title,
		Env: map[string]string{"TERM": "xterm-256color"},
	})
	return append(text, '\n')
}

// event appends an event with text, or nothing while a character is incomplete.
func (c *cast) event(line []byte, at time.Time, code byte, p []byte) []byte {
	t := &c.tails[0]
	if code == castInput {
		t = &c.tails[1]
	}
	if t.n > 0 {
		p = append(append(make([]byte, 0, t.n+len(p)), t.bytes[:t.n]...), p...)
		t.n = 0
	}
	if cut := incomplete(p); cut > 0 {
		t.n = copy(t.bytes[:], p[len(p)-cut:])
		p = p[:len(p)-cut]
	}
	if len(p) == 0 {
		return line
	}
	line = c.open(line, at, code)
	line = c.quote(line, p, c.crlf && code == castOutput)
	return append(line, "]\n"...)
}

// rest appends what no character came of.
func (c *cast) rest(line []byte, at time.Time) []byte {
	for i, code := range []byte{castOutput, castInput} {
		if t := &c.tails[i]; t.n > 0 {
			line = append(append(c.open(line, at, code), `"\ufffd"`...), "]\n"...)
			t.n = 0
		}
	}
	return line
}

// resize appends a change of size.
func (c *cast) resize(line []byte, at time.Time, to cells) []byte {
	line = append(c.open(line, at, castResize), '"')
	line = append(strconv.AppendUint(line, uint64(to.cols), 10), 'x')
	return append(strconv.AppendUint(line, uint64(to.rows), 10), "\"]\n"...)
}

func (c *cast) open(line []byte, at time.Time, code byte) []byte {
	line = append(line, '[')
	line = strconv.AppendFloat(line, max(0, at.Sub(c.began).Seconds()), 'f', 6, 64)
	return append(line, ',', ' ', '"', code, '"', ',', ' ')
}

// incomplete says how many bytes at the end of p begin a character that goes
// on.
func incomplete(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		c := p[len(p)-n]
		if utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// quote appends p as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func (c *cast) quote(line, p []byte, crlf bool) []byte {
	const hex = "0123456789abcdef"
	line = append(line, '"')
	from := 0
	for i := 0; i < len(p); {
		b := p[i]
		if b >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(p[i:])
			if r == utf8.RuneError && n == 1 {
				line = append(append(line, p[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += n
			continue
		}
		if b < 0x20 || b == '"' || b == '\\' || b == 0x7f {
			line = append(line, p[from:i]...)
			switch b {
			case '"', '\\':
				line = append(line, '\\', b)
			case '\n':
				before := c.last
				if i > 0 {
					before = p[i-1]
				}
				if crlf && before != '\r' {
					line = append(line, `\r`...)
				}
				line = append(line, `\n`...)
			case '\r':
				line = append(line, `\r`...)
			case '\t':
				line = append(line, `\t`...)
			default:
				line = append(line, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
			}
			from = i + 1
		}
		i++
	}
	c.last = p[len(p)-1]
	return append(append(line, p[from:]...), '"')
}
