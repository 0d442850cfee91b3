package terminal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Protocol is the websocket subprotocol of terminals.
const Protocol = "moorgate.terminal.v1"

// frameType is the first byte of every message.
type frameType byte

// The frames of the protocol. Types that are not listed are ignored, so that
// later versions can add some.
const (
	frameStdin     frameType = 0x00 // to the server: bytes
	frameStdout    frameType = 0x01 // to the client: u64 offset of the first byte, bytes
	frameStderr    frameType = 0x02 // the same, without a TTY only
	frameResize    frameType = 0x03 // both: u16 columns, u16 rows
	frameEOF       frameType = 0x04 // to the server: the end of stdin
	frameSignal    frameType = 0x05 // to the server: signalBody
	frameAck       frameType = 0x10 // to the server: u64, parsed up to this offset
	frameHello     frameType = 0x11 // to the server, first: helloBody
	frameWelcome   frameType = 0x12 // to the client, first: JSON
	frameReplay    frameType = 0x13 // to the client: JSON
	frameExit      frameType = 0x14 // to the client, last: JSON
	frameError     frameType = 0x15 // to the client: Fault
	frameNotice    frameType = 0x16 // to the client: JSON
	frameHeartbeat frameType = 0x1F // to the client: u64 milliseconds since 1970
	frameNone      frameType = 0xFF // stands for a message without a type; never sent
)

// known says whether clients may send frames of this type.
func (t frameType) known() bool {
	switch t {
	case frameStdin, frameResize, frameEOF, frameSignal, frameAck, frameHello:
		return true
	}
	return false
}

// Close codes of the protocol, beside those of websockets themselves.
const (
	closeReplaced  = 4000
	closeBadTicket = 4001
	closeForbidden = 4003
	closeGone      = 4004
	closeIdle      = 4008
	closeMax       = 4009
	closeKilled    = 4010
	closeTooMany   = 4013
)

// Bounds of what clients send.
const (
	maxMessage = 1<<20 + 1 // a STDIN frame with a MiB in it
	maxBody    = 4 << 10   // of any other frame
	minCells   = 1
	maxCells   = 1000 // columns or rows
)

// helloBody is what the client says first.
type helloBody struct {
	ResumeFrom int64     `json:"resume_from"` // the next offset that it wants; -1: whatever there is
	Cols       cellCount `json:"cols"`
	Rows       cellCount `json:"rows"`
}

// signalBody names a signal, with or without SIG before it.
type signalBody struct {
	Signal string `json:"signal"`
}

// clientFrame is one message of the client, but for STDIN, which is streamed.
type clientFrame struct {
	Type       frameType
	Cols, Rows uint16 // RESIZE and HELLO, clamped
	Offset     uint64 // ACK
	Hello      helloBody
	Signal     string
}

// errFrame says that a frame of a known type is not as the protocol has it.
type errFrame struct{ why string }

func (e *errFrame) Error() string { return e.why }

func badFrame(format string, args ...any) error { return &errFrame{fmt.Sprintf(format, args...)} }

// parseFrame reads a message whose first byte was t. Bodies of unknown types
// are not looked at.
func parseFrame(t frameType, body []byte) (clientFrame, error) {
	f := clientFrame{Type: t}
	switch t {
	case frameResize:
		if len(body) != 4 {
			return f, badFrame("RESIZE has %d bytes: send 4, columns and rows", len(body))
		}
		f.Cols = clamp(int64(binary.BigEndian.Uint16(body)))
		f.Rows = clamp(int64(binary.BigEndian.Uint16(body[2:])))
	case frameEOF:
		if len(body) != 0 {
			return f, badFrame("EOF has %d bytes: send none", len(body))
		}
	case frameAck:
		if len(body) != 8 {
			return f, badFrame("ACK has %d bytes: send 8, the offset", len(body))
		}
		f.Offset = binary.BigEndian.Uint64(body)
	case frameHello:
		f.Hello.ResumeFrom = -1
		if err := decodeBody(body, &f.Hello); err != nil {
			return f, badFrame("HELLO: %v", err)
		}
		f.Cols, f.Rows = uint16(f.Hello.Cols), uint16(f.Hello.Rows)
	case frameSignal:
		var s signalBody
		if err := decodeBody(body, &s); err != nil {
			return f, badFrame("SIGNAL: %v", err)
		}
		f.Signal = strings.TrimPrefix(strings.ToUpper(s.Signal), "SIG")
		if f.Signal == "" || len(f.Signal) > 16 || strings.Trim(f.Signal, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") != "" {
			return f, badFrame(`SIGNAL: name one, as in {"signal":"TERM"}`)
		}
	}
	return f, nil
}

// decodeBody reads the one JSON object of a frame. Keys that are not known are
// left alone: they may be a later version's.
func decodeBody(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(into); err != nil {
		return plainJSONError(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("send one JSON object and nothing after it")
	}
	return nil
}

// plainJSONError says what is wrong with JSON without naming Go's types.
func plainJSONError(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		if kind.Field == "" {
			return fmt.Errorf("a JSON %s: send an object", kind.Value)
		}
		return fmt.Errorf("%s cannot be a %s", kind.Field, kind.Value)
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.Is(err, io.EOF):
		return errors.New("it is empty: send a JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON ends too early")
	}
	return err
}

// clamp brings a number of columns or rows into the range of terminals.
func clamp(n int64) uint16 { return uint16(min(max(n, minCells), maxCells)) }

// clampOrNone is clamp where 0 means that the client knows no size.
func clampOrNone(n int64) uint16 {
	if n == 0 {
		return 0
	}
	return clamp(n)
}

// outputHead is what stands before the bytes of STDOUT and STDERR.
func outputHead(t frameType, offset uint64) [9]byte {
	var h [9]byte
	h[0] = byte(t)
	binary.BigEndian.PutUint64(h[1:], offset)
	return h
}

// jsonFrame makes a frame with a JSON body, without the escapes that are for
// HTML only.
func jsonFrame(t frameType, body any) []byte {
	var b bytes.Buffer
	b.WriteByte(byte(t))
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		panic("terminal: a frame that cannot be JSON: " + err.Error()) // only our own types come here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
