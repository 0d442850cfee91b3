package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	headBound = 1 << 20 // like net/http's default
	bufSize   = 16 << 10
	bulkSize  = 64 << 10 // once a body is read: uploads are many small reads otherwise

	// unreadBound and linger are net/http's: an Engine that answers before it
	// has read the body reads this much more, else it closes its sending side
	// and gives the client this long to read the answer.
	unreadBound = 256 << 10
	linger      = 500 * time.Millisecond
)

// Conn is a connection with the request that is being answered. Its Read gives
// raw bytes, those already buffered first; the embedded net.Conn's would miss
// them.
type Conn struct {
	net.Conn
	Request

	engine  *Engine
	stopped chan struct{}
	number  int
	arrival *arrival
	framing framing
	body    body
	buf     []byte
	r, w    int  // buf[r:w] is unread
	ended   bool // no more requests on this connection
	stream  bool // hijacked
}

// serve answers requests until the connection ends.
func (c *Conn) serve() {
	for {
		head, err := c.readHead()
		if err != nil {
			return
		}
		r, f, ok := parse(head)
		r.ConnNumber = c.number
		c.Request, c.framing = r, f
		c.body = body{c: c, left: f.length, chunked: f.chunked}
		c.body.done = !f.chunked && f.length == 0
		c.arrival = nil
		c.engine.arrive(c)
		if !ok {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request")
			return
		}
		if c.body.done {
			c.engine.amend(c, func(r *Request) { r.BodyDone = true })
		}
		c.behaviour()(c)
		if c.ended || c.stream || !c.finishBody() || f.close {
			return
		}
	}
}

func (c *Conn) behaviour() Behaviour {
	if own := c.engine.own.Load(); own != nil {
		if b := own.find(&c.Request); b != nil {
			return b
		}
	}
	if b := exact[c.Method+" "+c.Path]; b != nil {
		return b
	}
	if b := builtin.find(&c.Request); b != nil {
		return b
	}
	return func(c *Conn) { c.Error(404, "page not found") }
}

// finishBody reads what the behaviour left of the body; false ends the
// connection.
func (c *Conn) finishBody() bool {
	if c.body.done {
		return true
	}
	if c.framing.expect && !c.body.begun {
		return false // the client may or may not send it
	}
	if n, err := io.CopyN(io.Discard, &c.body, unreadBound); n < unreadBound {
		return err == io.EOF
	}
	c.Linger()
	return false
}

// Linger closes the sending side and leaves the client the time that an Engine
// gives it to read the answer while unread bytes of its own are under way.
func (c *Conn) Linger() {
	c.ended = true
	c.CloseWrite()
	select {
	case <-time.After(linger):
	case <-c.stopped:
	}
}

// fill reads more bytes behind those in hand.
func (c *Conn) fill() error {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
		if c.buf == nil {
			c.buf = make([]byte, bufSize)
		}
	case c.w == len(c.buf) && c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	case c.w == len(c.buf):
		if len(c.buf) >= headBound {
			return errors.New("enginetest: too many bytes in hand")
		}
		c.grow(2 * len(c.buf))
	}
	n, err := c.Conn.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

func (c *Conn) grow(size int) {
	if len(c.buf) < size {
		b := make([]byte, size)
		c.w = copy(b, c.buf[c.r:c.w])
		c.r = 0
		c.buf = b
	}
}

// readHead waits for a whole head; the copy is the caller's.
func (c *Conn) readHead() ([]byte, error) {
	seen := 0
	for {
		have := c.buf[c.r:c.w]
		if i := bytes.Index(have[seen:], []byte("\r\n\r\n")); i >= 0 {
			n := seen + i + 4
			c.r += n
			return bytes.Clone(have[:n]), nil
		}
		seen = max(0, len(have)-3)
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// readLine is the next line without its end; valid until the next read.
func (c *Conn) readLine() ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.buf[c.r:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : c.r+i]
			c.r += i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// Read reads raw bytes, whatever the request's framing says.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	c.engine.note(c, p[:n])
	if err == io.EOF {
		c.engine.amend(c, func(r *Request) { r.BodyDone = true })
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.Conn.Read(p)
}

// Body is the request's body. The first read answers 100 Continue where the
// client waits for it.
func (c *Conn) Body() io.Reader { return &c.body }

// CloseWrite ends the sending side only.
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Conn.Close()
}

// Hangup cuts the connection.
func (c *Conn) Hangup() {
	c.ended = true
	c.Conn.Close()
}

// WaitGone waits until the client has closed its sending side or the whole
// connection; the connection ends then.
func (c *Conn) WaitGone() {
	c.ended = true
	for c.fill() == nil {
	}
}

// Sleep waits for d or until the Engine is closed.
func (c *Conn) Sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.stopped:
	}
}

// Hijack answers as an Engine does that takes the connection over: with 101
// where the request has an Upgrade field, else with 200 and neither length nor
// chunks. Bytes that came too early are lost, as they are to an Engine. What
// first holds is sent in the same write as the head.
func (c *Conn) Hijack(contentType, first string) {
	io.Copy(io.Discard, &c.body)
	lost := c.w - c.r
	c.engine.amend(c, func(r *Request) { r.Lost, r.BodyDone = lost, false })
	c.r = c.w
	c.stream = true
	head := "HTTP/1.1 200 OK\r\nContent-Type: " + contentType + "\r\n\r\n"
	switch {
	case c.Path == "/session" || c.Path == "/grpc": // BuildKit's
		head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	case c.framing.upgrade: // the Engine names tcp whatever was asked for
		head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: " + contentType + "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
	}
	io.WriteString(c, head+first)
}

// Head is a head as the Engine writes it, up to and with the empty line; each
// field is a whole line.
func Head(status int, contentType string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nApi-Version: %s\r\n", status, http.StatusText(status), APIVersion)
	if contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", contentType)
	}
	b.WriteString("Docker-Experimental: false\r\nOstype: linux\r\nServer: Docker/28.5.2 (linux)\r\nDate: Wed, 01 Oct 2025 12:00:00 GMT\r\n")
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n"
}

// Reply answers with a Content-Length.
func (c *Conn) Reply(status int, contentType, body string, fields ...string) {
	fields = append(fields, fmt.Sprintf("Content-Length: %d", len(body)))
	if c.framing.close || c.framing.expect && !c.body.begun {
		fields = append(fields, "Connection: close")
	}
	if c.Method == "HEAD" {
		body = ""
	}
	io.WriteString(c, Head(status, contentType, fields...)+body)
}

// JSON answers with a JSON body; like the Engine's encoder it ends with a
// newline.
func (c *Conn) JSON(status int, body string) {
	c.Reply(status, "application/json", body+"\n")
}

// Error answers in the Engine's error shape.
func (c *Conn) Error(status int, message string) {
	c.JSON(status, fmt.Sprintf(`{"message":%q}`, message))
}
