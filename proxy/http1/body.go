package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// maxChunkLine bounds a chunk's size line with its extensions, and maxTrailer
// all trailer fields.
const (
	maxChunkLine = 4 << 10
	maxTrailer   = 16 << 10
	maxExcess    = 16 << 10 // of framing over what its data is worth
)

var errChunk = errors.New("malformed chunk")

// body reads one message body from a connection. Its views are of the
// connection's own buffer, so that relaying copies nothing.
type body struct {
	c       *Conn
	left    int64 // of the length or the chunk; -1: until the connection ends
	chunked bool
	crlf    bool // the chunk's own line end is still to come
	excess  int64
	done    bool
	err     error // what ended it early; nil while it goes on or ended well
	trailer http.Header
	of      message
}

// message is what a body is of: a request or an answer.
type message interface {
	more() error // waits for more of the body
	bodyEnds()   // is called once, when the last byte was taken
}

// view gives the bytes that are next, at least one, waiting for them if need
// be; io.EOF after the last. They are used by take.
func (b *body) view() ([]byte, error) {
	for {
		if v, ok := b.ready(); ok {
			return v, nil
		}
		if b.err != nil {
			return nil, b.err
		}
		if b.done {
			return nil, io.EOF
		}
		if err := b.of.more(); err != nil {
			b.stop(err)
		}
	}
}

// stop notes the end of the connection, which is the end of the body only
// where nothing else tells it.
func (b *body) stop(err error) {
	switch {
	case err == io.EOF && b.left < 0 && !b.chunked:
		b.finish()
	case err == io.EOF:
		b.err = io.ErrUnexpectedEOF
	default:
		b.err = err
	}
}

func (b *body) finish() {
	if !b.done {
		b.done = true
		b.of.bodyEnds()
	}
}

// ready gives what is in hand without waiting. It walks over chunk framing,
// so that the end is known as soon as its bytes are there.
func (b *body) ready() ([]byte, bool) {
	for !b.done && b.err == nil {
		have := b.c.have()
		if b.left < 0 && !b.chunked {
			return have, len(have) > 0
		}
		if b.left > 0 {
			return have[:min(b.left, int64(len(have)))], len(have) > 0
		}
		if !b.chunked {
			b.finish()
			return nil, false
		}
		if !b.nextChunk(have) {
			return nil, false
		}
	}
	return nil, false
}

// nextChunk reads chunk framing in hand; false where more must come first.
func (b *body) nextChunk(have []byte) bool {
	if b.crlf {
		if len(have) < 2 {
			return false
		}
		if have[0] != '\r' || have[1] != '\n' {
			b.err = errChunk
			return false
		}
		b.c.take(2)
		b.crlf = false
		have = b.c.have()
	}
	if b.trailer != nil {
		return b.readTrailer(have)
	}
	i := bytes.IndexByte(have, '\n')
	if i < 0 {
		if len(have) > maxChunkLine {
			b.err = errChunk
		}
		return false
	}
	n, ok := chunkSize(have[:i])
	if !ok {
		b.err = errChunk
		return false
	}
	b.c.take(i + 1)
	if !b.worth(i+1, n) {
		b.err = errChunk
		return false
	}
	if n == 0 {
		b.trailer = http.Header{}
		return b.readTrailer(b.c.have())
	}
	b.left, b.crlf = n, true
	return true
}

// chunkSize reads a size line without its LF. Extensions are dropped: nobody
// uses them but those who hope that two readers differ over them.
func chunkSize(line []byte) (int64, bool) {
	if len(line) < 2 || line[len(line)-1] != '\r' || len(line) > maxChunkLine {
		return 0, false
	}
	line = line[:len(line)-1]
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		for _, c := range line[i:] {
			if c < ' ' && c != '\t' || c == 0x7f {
				return 0, false
			}
		}
		line = line[:i]
	}
	if len(line) == 0 || len(line) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range line {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | int64(c-'0')
		case c|32 >= 'a' && c|32 <= 'f':
			n = n<<4 | int64(c|32-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// readTrailer reads the fields behind the last chunk.
func (b *body) readTrailer(have []byte) bool {
	if bytes.HasPrefix(have, []byte("\r\n")) {
		b.c.take(2)
		b.finish()
		return false
	}
	i := bytes.Index(have, []byte("\r\n\r\n"))
	if i < 0 {
		if len(have) > maxTrailer {
			b.err = errChunk
		}
		return false
	}
	fields, _, err := parseFields(string(have[:i+2]))
	if err != nil {
		b.err = errChunk
		return false
	}
	b.trailer = fields
	b.c.take(i + 4)
	b.finish()
	return false
}

// take marks n bytes of the view as used.
func (b *body) take(n int) {
	b.c.take(n)
	if b.left > 0 {
		if b.left -= int64(n); b.left == 0 && !b.chunked {
			b.finish()
		}
	}
}

// Read copies what comes next, of as many chunks as are in hand.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	v, err := b.view()
	if err != nil {
		return 0, err
	}
	n := 0
	for more := true; more && n < len(p); v, more = b.ready() {
		k := copy(p[n:], v)
		b.take(k)
		n += k
	}
	return n, nil
}

// span gives the bytes in hand that may be passed on as they are: chunks with
// their framing, and how much of it is data. It ends before a line that says
// more than a size, and before the last chunk. They are used by taking them off
// the connection.
func (b *body) span() (p []byte, data int64) {
	have, i := b.c.have(), 0
	for i < len(have) && b.trailer == nil {
		if b.left > 0 {
			k := min(b.left, int64(len(have)-i))
			b.left -= k
			data += k
			i += int(k)
			continue
		}
		if b.crlf {
			if len(have)-i < 2 || have[i] != '\r' || have[i+1] != '\n' {
				break
			}
			b.crlf = false
			i += 2
			continue
		}
		end := bytes.IndexByte(have[i:], '\n') + 1
		if end == 0 || bytes.IndexByte(have[i:i+end], ';') >= 0 {
			break
		}
		n, ok := chunkSize(have[i : i+end-1])
		if !ok || n == 0 || !b.worth(end, n) {
			break
		}
		b.left, b.crlf = n, true
		i += end
	}
	return have[:i], data
}

// lastChunk ends a body that has no trailer.
var lastChunk = []byte("0\r\n\r\n")

// lastBehind says whether the body's end is in hand, n bytes on, behind what span
// gave.
func (b *body) lastBehind(n int) bool {
	return b.left == 0 && !b.crlf && bytes.HasPrefix(b.c.have()[n:], lastChunk)
}

// worth counts the framing over what its data is worth: chunks of a byte each,
// with long lines, are an attack.
func (b *body) worth(line int, data int64) bool {
	b.excess = max(0, b.excess+int64(line)-16-2*data)
	return b.excess <= maxExcess
}
