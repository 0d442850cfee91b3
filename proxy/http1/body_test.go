package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

// cannedMessage is one that a canned connection gives.
type cannedMessage struct {
	c     *Conn
	ended *int
}

func (m cannedMessage) more() error { return m.c.fill(bufferSize) }
func (m cannedMessage) bodyEnds()   { *m.ended++ }

// readChunked reads a chunked body at most step bytes at a time.
func readChunked(data []byte, step int) (text, left []byte, trailer http.Header, err error) {
	c := NewConn(&canned{data: data, step: step})
	b := &body{c: c, chunked: true, of: cannedMessage{c, new(int)}}
	text, err = io.ReadAll(b)
	return text, rest(c), b.trailer, err
}

// passed takes chunks as they are.
type passed struct {
	bytes.Buffer
	data int64
	last bool
}

func (p *passed) WriteChunks(b []byte, data int64, last bool) error {
	if p.last {
		return errors.New("something follows the last chunk")
	}
	p.Write(b)
	p.data += data
	p.last = last
	return nil
}

// passChunked passes a chunked body on with its framing, read at most step
// bytes at a time.
func passChunked(data []byte, step int) (p passed, left []byte, err error) {
	c := NewConn(&canned{data: data, step: step})
	a := &Answer{c: c, ctx: context.Background()}
	a.body = body{c: c, chunked: true, of: a}
	err = a.CopyTo(&p, func() error { return nil })
	return p, rest(c), err
}

func TestChunks(t *testing.T) {
	long := strings.Repeat("x", maxChunkLine)
	tests := []struct {
		name, in string
		want     string // "!" means refused
		left     string
	}{
		{"none", "0\r\n\r\nnext", "", "next"},
		{"some", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nnext", "abcde", "next"},
		{"capitals and zeros", "00A\r\n0123456789\r\n000\r\n\r\n", "0123456789", ""},
		{"extension", "3;a=\"b\"\r\nabc\r\n0;x\r\n\r\n", "abc", ""},
		{"trailers", "1\r\na\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\nnext", "a", "next"},

		{"cut in size", "3", "!", ""},
		{"cut in data", "3\r\nab", "!", ""},
		{"cut before last chunk", "3\r\nabc\r\n", "!", ""},
		{"cut in last chunk", "0\r\n", "!", ""},
		{"cut in trailers", "0\r\nX-A: 1\r\n", "!", ""},
		{"no size", "\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"only an extension", ";a\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"no number", "g\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"sign", "+3\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"negative", "-3\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"prefix", "0x3\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"space before", " 3\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"space behind", "3 \r\nabc\r\n0\r\n\r\n", "!", ""},
		{"space before extension", "3 ;a\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"16 digits", "0000000000000003\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"overflow", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"LF behind size", "3\nabc\r\n0\r\n\r\n", "!", ""},
		{"LF in extension", "3;a\nb\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"CR in extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"LF behind data", "3\r\nabc\n0\r\n\r\n", "!", ""},
		{"no end of data", "3\r\nabc0\r\n\r\n", "!", ""},
		{"data too long", "3\r\nabcd\r\n0\r\n\r\n", "!", ""},
		{"LF behind last chunk", "0\n\r\n", "!", ""},
		{"LF behind trailer", "0\r\nX: 1\n\r\n", "!", ""},
		{"folded trailer", "0\r\nX: 1\r\n 2\r\n\r\n", "!", ""},
		{"trailer without colon", "0\r\nX\r\n\r\n", "!", ""},
		{"huge extension", "3;" + long + "\r\nabc\r\n0\r\n\r\n", "!", ""},
		{"endless size line", strings.Repeat("0", 64<<10), "!", ""},
		{"endless trailers", "0\r\n" + strings.Repeat("X: 1\r\n", 8<<10) + "\r\n", "!", ""},
		{"a byte a chunk", strings.Repeat("1\r\na\r\n", 10_000) + "0\r\n\r\n", strings.Repeat("a", 10_000), ""},
		{"long extensions on short chunks", strings.Repeat("1;"+long[:4000]+"\r\na\r\n", 5) + "0\r\n\r\n", "!", ""},
	}
	for _, test := range tests {
		for _, step := range []int{1, 3, 1 << 20} {
			t.Run(fmt.Sprintf("%s by %d", test.name, step), func(t *testing.T) {
				got, left, _, err := readChunked([]byte(test.in), step)
				if test.want == "!" {
					if err == nil {
						t.Errorf("read as %q", got)
					}
				} else if err != nil || string(got) != test.want || string(left) != test.left {
					t.Errorf("got %q, left %q, %v", got, left, err)
				}
			})
		}
	}
}

func TestTrailersAreRead(t *testing.T) {
	_, _, trailer, err := readChunked([]byte("0\r\nx-a: 1\r\nX-B:  2\r\n\r\n"), 1)
	if err != nil || trailer.Get("X-A") != "1" || trailer.Get("X-B") != "2" {
		t.Errorf("%v, %v", trailer, err)
	}
}

// TestBodyEnds tells a body that is cut from one that ends.
func TestBodyEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		left int64
		in   string
		want string
		err  error
	}{
		{"length", 3, "abcd", "abc", nil},
		{"length cut", 3, "ab", "ab", io.ErrUnexpectedEOF},
		{"to the end", -1, "abcd", "abcd", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := 0
			c := NewConn(&canned{data: []byte(test.in), step: 1})
			b := &body{c: c, left: test.left, of: cannedMessage{c, &ended}}
			got, err := io.ReadAll(b)
			if string(got) != test.want || err != test.err || (ended == 1) != (err == nil) || ended > 1 {
				t.Errorf("got %q, %v, ended %d times", got, err, ended)
			}
			if _, err := b.Read(make([]byte, 1)); err == nil {
				t.Error("there is something behind the end")
			}
		})
	}
}

// TestPassedChunks: framing that is plain passes to the byte, the rest is
// written anew, and what is malformed never passes for a whole body.
func TestPassedChunks(t *testing.T) {
	large := "8000\r\n" + strings.Repeat("l", 0x8000) + "\r\n"
	for _, test := range []struct{ name, in, want string }{
		{"none", "0\r\n\r\n", ""},
		{"plain", "3\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX: 1\r\n\r\n", "3\r\nabc\r\n00A\r\n0123456789\r\n"},
		{"large", strings.Repeat(large, 3) + "0\r\n\r\n", strings.Repeat(large, 3)},
		{"extensions", "3\r\nabc\r\n2;a=\"b\"\r\nde\r\n1;x\r\nf\r\n1\r\ng\r\n0;x\r\n\r\n", "3\r\nabc\r\n2\r\nde\r\n1\r\nf\r\n1\r\ng\r\n"},
		{"cut", "3\r\nabc\r\n3\r\na", "!3\r\nabc\r\n3\r\na"},
		{"no last", "3\r\nabc\r\n", "!3\r\nabc\r\n"},
		{"malformed data", "3\r\nabcd\r\n0\r\n\r\n", "!3\r\nabc"},
		{"malformed size", "3\r\nabc\r\n+3\r\nabc\r\n0\r\n\r\n", "!3\r\nabc\r\n"},
		{"LF behind size", "3\r\nabc\r\n3\nabc\r\n0\r\n\r\n", "!3\r\nabc\r\n"},
	} {
		for _, step := range []int{1, 7, len(test.in)} {
			got, _, err := passChunked([]byte(test.in), step)
			want, cut := strings.CutPrefix(test.want, "!")
			if got.String() != want || (err != nil) != cut {
				t.Errorf("%s by %d: got %.200q, %v", test.name, step, got.String(), err)
			}
		}
	}
	tiny := strings.Repeat("1;"+strings.Repeat("x", 100)+"\r\na\r\n", 1000)
	if _, _, err := passChunked([]byte(tiny+"0\r\n\r\n"), 4096); err == nil {
		t.Error("chunks that are mostly framing pass")
	}
}

// FuzzChunked holds that chunks that are taken are read as net/http reads
// them, to the same last byte; and that those that are passed on are the same
// body to the next reader, or no whole one.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\nGET /", "3;a\r\nabc\r\n0\r\nX: 1\r\n\r\nGET /", "00A;\r\n0123456789\r\n0\r\n\r\n",
		"3 \r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "1\r\na\r\n1\r\nb\r\n0;x=\"\\\"\"\r\n\r\n", "fffffffffffffff\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, left, trailer, err := readChunked(data, len(data))
		if got1, left1, _, err1 := readChunked(data, 1); (err == nil) != (err1 == nil) || err == nil && (!bytes.Equal(got, got1) || !bytes.Equal(left, left1)) {
			t.Fatalf("read byte by byte it is another body: %q %q, %v %v", got, got1, err, err1)
		}
		for _, step := range []int{1, 5, len(data)} {
			p, left1, err1 := passChunked(data, step)
			if (err == nil) != (err1 == nil) || err == nil && !bytes.Equal(left, left1) {
				t.Fatalf("passed on by %d: %v instead of %v, left %q instead of %q", step, err1, err, left1, left)
			}
			if p.last && (err1 != nil || len(trailer) > 0) {
				t.Fatalf("passed on by %d as ended, with trailer %v, %v", step, trailer, err1)
			}
			text, _, _, err2 := readChunked(append(p.Bytes(), "0\r\n\r\n"...), len(data)+5)
			if err == nil && (err2 != nil || !bytes.Equal(text, got) || p.data != int64(len(got))) {
				t.Fatalf("passed on by %d as %q, which is %q, %v", step, p.Bytes(), text, err2)
			}
			if _, _, _, err2 := readChunked(p.Bytes(), len(data)); err2 == nil {
				t.Fatalf("passed on with an end: %q", p.Bytes())
			}
		}
		if err != nil {
			return
		}
		buffered := bufio.NewReaderSize(bytes.NewReader(data), len(data)+maxChunkLine)
		want, err := io.ReadAll(httputil.NewChunkedReader(buffered))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %q, it is %q, %v", got, want, err)
		}
		after, _ := io.ReadAll(buffered) // with the trailers, which NewChunkedReader leaves
		if after, ok := bytes.CutPrefix(after, []byte("\r\n")); ok {
			if !bytes.Equal(left, after) {
				t.Errorf("left %q, it is %q", left, after)
			}
		} else if _, after, _ := bytes.Cut(after, []byte("\r\n\r\n")); !bytes.Equal(left, after) {
			t.Errorf("left %q, it is %q", left, after)
		}
	})
}
