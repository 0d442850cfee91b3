package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// outSize is how much of an answer is gathered before it is written: most
// answers are smaller and leave in one write.
const outSize = 16 << 10

// bulk is what is written past the buffer rather than copied into it.
const bulk = 8 << 10

var outs = sync.Pool{New: func() any { b := make([]byte, 0, outSize+1024); return &b }}

// response answers one request.
type response struct {
	c       *serverConn
	method  string      // the request's
	minor   int         // of its protocol
	header  http.Header // nil before the first Header
	body    *requestBody
	ctx     requestContext
	out     *[]byte // nil while nothing is held back
	status  int
	length  int64 // announced; -1 where it is not known
	written int64 // of the body
	close   bool
	upgrade bool // was asked for: bytes of another protocol may follow
	chunked bool
	begun   bool // the head is in out or beyond
	sent    bool // some of it has left
	ended   bool // the last chunk is written
	failed  error
	goesOn  func() error // what Continue was given

	// mu orders the 100 Continue that a reading goroutine sends with the
	// answer.
	mu      sync.Mutex
	expects bool
}

func newResponse(c *serverConn, r *http.Request, f framing) *response {
	w := &response{c: c, method: r.Method, minor: r.ProtoMinor, length: -1, close: f.close}
	w.ctx = requestContext{Context: c.ctx, w: w}
	if f.chunked || f.length > 0 {
		w.expects = r.Header["Expect"] != nil && r.ProtoMinor == 1
		w.body = &requestBody{w: w, body: body{c: c.Conn, chunked: f.chunked, left: max(f.length, 0)}}
		w.body.of = w.body
		c.readAlways()
		r.Body = w.body
	} else {
		w.ctx.body = true
	}
	return w
}

// release ends what the request holds.
func (w *response) release() {
	w.ctx.end()
	if w.out != nil {
		outs.Put(w.out)
		w.out = nil
	}
}

// bodyRead says whether the whole request was taken off the connection.
func (w *response) bodyRead() bool { return w.body == nil || w.body.done }

// skipBody takes what is left of a body as far as it is in hand already: a
// refusal of a short one need not cost its connection.
func (w *response) skipBody() {
	if w.body == nil || w.expects {
		return
	}
	for {
		v, ok := w.body.ready()
		if !ok {
			return
		}
		w.body.take(len(v))
	}
}

// Header is made when it is first asked for, unless there is one from TakeHeader.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header, 8)
	}
	return w.header
}

// TakeHeader makes h the answer's header and adds what that had before, which h
// goes before. It is for a header that was read from an Engine and is to be
// passed on: it need not be copied field by field. It is true where h was
// taken, which is always.
func (w *response) TakeHeader(h http.Header) bool {
	for key, values := range w.header {
		if h[key] == nil {
			h[key] = values
		}
	}
	w.header = h
	return true
}

// Status is the answer's status, 0 before WriteHeader.
func (w *response) Status() int { return w.status }

func (w *response) WriteHeader(status int) {
	if w.begun || w.c.hijacked || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.mu.Lock()
	w.close = w.close || w.expects // the body was not asked for, so it may come or not
	w.begun, w.expects = true, false
	w.mu.Unlock()
	w.status = status
	if cl := w.header["Content-Length"]; len(cl) == 1 {
		if n, err := strconv.ParseInt(cl[0], 10, 64); err == nil && n >= 0 {
			w.length = n
		}
	}
}

// bodyless says whether the answer has no body whatever its fields say.
func (w *response) bodyless() bool {
	return w.method == http.MethodHead || w.status < 200 || w.status == http.StatusNoContent || w.status == http.StatusNotModified
}

// begin puts the head in front of what is held back. Final means that this is
// the whole body.
func (w *response) begin(final bool) {
	held := w.out
	w.out = nil
	if held == nil {
		w.writeHead(0, final)
		return
	}
	w.writeHead(len(*held), final)
	w.piece(*held)
	outs.Put(held)
}

// buffer is out, made if need be.
func (w *response) buffer() []byte {
	if w.out == nil {
		w.out = outs.Get().(*[]byte)
		*w.out = (*w.out)[:0]
	}
	return *w.out
}

// writeHead puts the head into out. Final means that all of the body is known
// to be n bytes.
func (w *response) writeHead(n int, final bool) {
	h := w.Header()
	if c := h["Connection"]; c != nil { // what a handler may say there
		w.close = w.close || names(c, "close")
		delete(h, "Connection")
	}
	delete(h, "Transfer-Encoding")
	length := w.length
	switch {
	case w.bodyless():
		if w.status == http.StatusNoContent || w.status < 200 {
			delete(h, "Content-Length")
		}
	case length >= 0:
	case final && (w.minor == 0 || !hasTrailers(h)):
		length = int64(n)
		w.length = length
		h["Content-Length"] = []string{strconv.Itoa(n)}
	case w.minor == 1:
		w.chunked = true
	default: // ends with the connection
		w.close = true
	}
	b := append(w.buffer(), "HTTP/1."...)
	b = append(b, '0'+byte(w.minor), ' ')
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(w.status)...)
	b = append(b, "\r\n"...)
	b = appendFields(b, h)
	if h["Date"] == nil {
		b = append(append(append(b, "Date: "...), now()...), "\r\n"...)
	}
	if w.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if w.close {
		b = append(b, "Connection: close\r\n"...)
	} else if w.minor == 0 {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	*w.out = append(b, "\r\n"...)
	w.sent = true
}

func hasTrailers(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

var crlf = []byte("\r\n")

// appendFields writes the fields of a head; trailers are kept for the end.
func appendFields(b []byte, h http.Header) []byte {
	for name, values := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		for _, v := range values {
			b = append(append(b, name...), ": "...)
			at := len(b)
			b = append(b, v...)
			if strings.IndexByte(v, '\n') >= 0 || strings.IndexByte(v, '\r') >= 0 {
				unbreak(b[at:]) // a handler's own value must not end the line
			}
			b = append(b, "\r\n"...)
		}
	}
	return b
}

// unbreak makes one line of what may be several.
func unbreak(b []byte) {
	for i, c := range b {
		if c == '\r' || c == '\n' {
			b[i] = ' '
		}
	}
}

// FlushError writes what is held back; the head, if nothing has been sent.
func (w *response) FlushError() error {
	if w.c.hijacked {
		return http.ErrHijacked
	}
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if !w.sent {
		w.begin(false)
	}
	w.push()
	return w.failed
}

// Flush is FlushError for http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// finish ends the answer; false where it is not whole and the connection must
// be cut.
func (w *response) finish() bool {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	w.ctx.stopWatch()
	w.skipBody()
	if !w.sent {
		w.close = w.close || !w.bodyRead()
		w.begin(true)
	}
	if w.chunked && !w.ended {
		*w.out = append(w.buffer(), "0\r\n"...)
		trailer := http.Header{}
		for key, values := range w.header {
			if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok {
				trailer[name] = values
			}
		}
		*w.out = append(appendFields(*w.out, trailer), "\r\n"...)
	}
	w.push()
	short := w.length >= 0 && w.written < w.length && !w.bodyless()
	return w.failed == nil && !short
}

// abort cuts an answer so that it cannot pass for a whole one.
func (w *response) abort() {
	w.ctx.stopWatch()
	if w.sent {
		w.push() // what is there arrives; its end does not
	}
	if w.sent && !w.chunked && w.length < 0 && !w.bodyless() {
		w.c.reset()
	}
	w.release()
}

// Continue has f go on with the answer once the handler has returned; the
// answer ends when f does, and is cut if f fails. It is for streams: while one
// waits, a handler would hold its stack, which is most of a quiet stream's
// memory, and the request. It is true where f was taken, which is always.
func (w *response) Continue(f func() error) bool {
	w.goesOn = f
	return true
}

// unbuffered is the least that bufio takes. The bytes in hand are the
// connection's own, so those who hijack need no buffer, and 8 KiB for each stream
// would be more than everything else that begins it.
const unbuffered = 16

// Hijack hands the connection over, with the bytes in hand still to be read
// from it.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.c.hijacked || w.sent {
		return nil, nil, errors.New("http1: hijack after the answer has begun")
	}
	w.ctx.stopWatch()
	w.c.hijacked = true
	w.c.SetDeadline(time.Time{})
	c := w.c.Conn
	return c, bufio.NewReadWriter(bufio.NewReaderSize(c, unbuffered), bufio.NewWriterSize(c, unbuffered)), nil
}

// EnableFullDuplex is always on: reading goes on while the answer is written.
func (w *response) EnableFullDuplex() error { return nil }

// SetReadDeadline bounds reading the request's body.
func (w *response) SetReadDeadline(t time.Time) error {
	w.c.notWithin()
	return w.c.SetReadDeadline(t)
}

// SetWriteDeadline bounds writing the answer.
func (w *response) SetWriteDeadline(t time.Time) error { return w.c.SetWriteDeadline(t) }

// continue100 asks the caller who waits for it to send the body.
func (w *response) continue100() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.expects {
		return nil
	}
	w.expects = false
	_, err := io.WriteString(w.c.Conn, "HTTP/1.1 100 Continue\r\n\r\n")
	return err
}

// requestBody is a request's body; reading asks for it where the caller waits
// to be asked.
type requestBody struct {
	body
	w *response
}

func (b *requestBody) more() error { return b.w.c.fill(bufferSize) }
func (b *requestBody) bodyEnds()   { b.w.ctx.bodyDone() }

func (b *requestBody) Read(p []byte) (int, error) {
	if err := b.w.continue100(); err != nil {
		return 0, err
	}
	return b.body.Read(p)
}

// Close leaves the rest unread.
func (b *requestBody) Close() error { return nil }

// clock is the Date of answers, made once a second.
var clock struct {
	sync.Mutex
	second atomic.Int64
	text   atomic.Pointer[string]
}

func now() string {
	t := time.Now()
	if clock.second.Load() != t.Unix() {
		clock.Lock()
		text := t.UTC().Format(http.TimeFormat)
		clock.text.Store(&text)
		clock.second.Store(t.Unix())
		clock.Unlock()
	}
	return *clock.text.Load()
}
