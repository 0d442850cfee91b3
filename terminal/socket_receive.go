package terminal

import (
	"io"
	"sync"
	"time"

	ws "github.com/gorilla/websocket"
)

// chunks are for reading what is typed: a paste is handed on in pieces, so that
// one of a MiB takes no more memory than one of a page.
var chunks = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// receive does what the client asks for until it is gone.
func (c *socket) receive() {
	for {
		kind, body, err := c.next()
		if err != nil {
			return
		}
		if kind != ws.BinaryMessage {
			c.refuse(ws.CloseUnsupportedData, &Fault{Code: "text_frame", Message: "a text message came", Hint: "send binary messages; the first byte is the type"})
			continue
		}
		t, text, err := c.frame(body)
		if err == errLong {
			c.complain("bad_frame", "a frame is too long for its type", "")
			continue
		}
		if err != nil {
			return
		}
		if t == frameStdin {
			if c.stdin(text, body) != nil {
				return
			}
			continue
		}
		f, err := parseFrame(t, text)
		if err != nil {
			c.complain("bad_frame", err.Error(), "")
			continue
		}
		c.act(f)
	}
}

// errLong says that a frame that may not be long is.
var errLong = &errFrame{"too long"}

// frame reads the type of a message and its body; of STDIN what fits into the
// small buffer, the rest being left to read. An empty message has the type of
// one that is ignored.
func (c *socket) frame(body *message) (frameType, []byte, error) {
	n, err := io.ReadFull(body, c.small[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, nil, err
	}
	if n == 0 {
		return frameNone, nil, nil
	}
	t, text := frameType(c.small[0]), c.small[1:n]
	if err != nil || t == frameStdin {
		return t, text, nil
	}
	if !t.known() {
		_, err := io.Copy(io.Discard, body)
		return t, nil, err
	}
	rest, err := io.ReadAll(io.LimitReader(body, maxBody))
	if err != nil {
		return t, nil, err
	}
	if text = append(text[:len(text):len(text)], rest...); len(text) > maxBody {
		_, err := io.Copy(io.Discard, body)
		if err == nil {
			err = errLong
		}
		return t, nil, err
	}
	return t, text, nil
}

// stdin types what is in hand and what is left of the message.
func (c *socket) stdin(text []byte, body *message) error {
	if c.role < RoleWriter {
		c.complain("read_only", "you watch this session and cannot type", "ask its user for the role writer")
		_, err := io.Copy(io.Discard, body)
		return err
	}
	c.input(text)
	if len(text) < len(c.small)-1 {
		return nil
	}
	chunk := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(chunk)
	for {
		n, err := io.ReadFull(body, chunk[:])
		if n > 0 {
			c.input(chunk[:n])
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// input types. It may wait for the process to read, and the session sees to it
// that the process is not waiting for acknowledgements behind it meanwhile.
func (c *socket) input(p []byte) {
	if len(p) > 0 {
		_ = c.a.Input(p) // what comes after the end goes nowhere, and EXIT says so
	}
}

// act does what a frame asks for, if the role allows it.
func (c *socket) act(f clientFrame) {
	switch f.Type {
	case frameAck:
		c.a.Ack(f.Offset)
	case frameResize:
		if c.role == RoleOwner { // others fit themselves to its size
			c.resize(f.Cols, f.Rows)
		}
	case frameEOF, frameSignal:
		if c.role < RoleWriter {
			c.complain("read_only", "you watch this session and cannot type", "ask its user for the role writer")
			return
		}
		if f.Type == frameEOF {
			_ = c.a.EOF() // after the end it has been said
			return
		}
		if c.signals.take("", time.Now()) > 0 {
			c.complain("too_many", "too many signals", "wait a second")
			return
		}
		go c.signal(f.Signal)
	case frameHello:
		c.complain("bad_frame", "HELLO came a second time", "")
	}
}

// signal asks the Engine, which takes its time.
func (c *socket) signal(name string) {
	if err := c.a.Signal(name); err != nil {
		fault := faultOf(err)
		c.complain("signal", fault.Message, fault.Hint)
	}
}

// resize sets the size at once, or when the gap since the last one is over; of
// several that come meanwhile the last one counts.
func (c *socket) resize(cols, rows uint16) {
	c.sizeMu.Lock()
	defer c.sizeMu.Unlock()
	c.size = [2]uint16{cols, rows}
	if c.sizer != nil {
		return
	}
	now := time.Now()
	if wait := resizeGap - now.Sub(c.sized); wait > 0 {
		c.sizer = time.AfterFunc(wait, func() {
			c.sizeMu.Lock()
			size := c.size
			c.sizer, c.sized = nil, time.Now()
			c.sizeMu.Unlock()
			c.a.Resize(size[0], size[1])
		})
		return
	}
	c.sized = now
	c.a.Resize(cols, rows)
}
