package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// body decodes a request's body.
type body struct {
	c       *Conn
	left    int64 // of the body or of the chunk
	chunked bool
	inChunk bool // the chunk's CRLF is still to come
	begun   bool
	done    bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	if !b.begun {
		b.begun = true
		b.c.grow(bulkSize)
		if b.c.framing.expect {
			io.WriteString(b.c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
	}
	if b.chunked && b.left == 0 {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	if b.left == 0 {
		return 0, b.finish()
	}
	if b.c.r == b.c.w {
		if err := b.c.fill(); err != nil {
			return 0, unexpected(err)
		}
	}
	n, _ := b.c.read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.c.engine.note(b.c, p[:n])
	if b.left == 0 && !b.chunked {
		b.finish()
	}
	return n, nil
}

func (b *body) finish() error {
	b.done = true
	b.c.engine.amend(b.c, func(r *Request) { r.BodyDone = true })
	return io.EOF
}

// nextChunk reads the next chunk's size; 0 is the end, trailers read.
func (b *body) nextChunk() error {
	if b.inChunk {
		if line, err := b.c.readLine(); err != nil || len(line) != 0 {
			return errors.Join(errors.New("enginetest: chunk without its end"), err)
		}
	}
	line, err := b.c.readLine()
	if err != nil {
		return unexpected(err)
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(size), 16, 62)
	if err != nil {
		return fmt.Errorf("enginetest: chunk size %q", line)
	}
	b.left, b.inChunk = int64(n), true
	for n == 0 {
		if line, err := b.c.readLine(); err != nil || len(line) == 0 {
			return unexpected(err)
		}
	}
	return nil
}

// unexpected is err of a body that is not at its end.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// StartChunks writes the head of a chunked answer at once, as events, logs and
// wait need it; Chunk and EndChunks follow.
func (c *Conn) StartChunks(contentType string, fields ...string) {
	io.WriteString(c, Head(200, contentType, append(fields, "Transfer-Encoding: chunked")...))
}

// Chunk sends one chunk in one write.
func (c *Conn) Chunk(s string) error {
	_, err := io.WriteString(c, chunk(s))
	return err
}

// EndChunks sends the last chunk and trailer lines.
func (c *Conn) EndChunks(trailers ...string) {
	var b strings.Builder
	for _, t := range trailers {
		b.WriteString(t + "\r\n")
	}
	io.WriteString(c, "0\r\n"+b.String()+"\r\n")
}

func chunk(s string) string {
	return fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
}
