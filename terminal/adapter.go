package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	ws "github.com/gorilla/websocket"

	"moorgate/authz/identity"
)

// runTime is how long a client of the newline-JSON protocol may take for its
// first message.
const runTime = 30 * time.Second

// jsonLine is a message of the newline-JSON protocol: run, resize and stdin come
// in, stdout and stderr go out.
type jsonLine struct {
	Type   string    `json:"type"`
	Width  cellCount `json:"width,omitempty"`
	Height cellCount `json:"height,omitempty"`
	Data   string    `json:"data,omitempty"`
}

// lined is a client of the newline-JSON protocol.
type lined struct {
	plain
	decoder *json.Decoder
	budget  int64 // bytes that one line may still have
}

// serveJSON is GET /api/terminal/json: a session over one JSON object a line,
// for pages that were made for that.
func (s *Server) serveJSON(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	spec, _, err := querySpec(r)
	if err != nil {
		return err
	}
	if !ws.IsWebSocketUpgrade(r) {
		return newError(http.StatusUpgradeRequired, "open it as a websocket", "this is a websocket")
	}
	l := &lined{plain: plain{wire: upgrade(w, r, ""), server: s}}
	if l.wire == nil {
		return nil
	}
	defer l.count(w)
	defer l.end()
	l.say = l.sayLines()
	l.decoder = json.NewDecoder(&messages{lined: l})
	l.until = time.Now().Add(runTime)
	first, err := l.line()
	l.until = time.Time{}
	if err != nil || first.Type != "run" {
		l.tell(`the first line is no {"type":"run","width":80,"height":24}`)
		l.close(ws.CloseProtocolError, "the first line is no run")
		l.drain()
		return nil
	}
	spec.Cols, spec.Rows = uint16(first.Width), uint16(first.Height)
	if l.open(r, who, spec) {
		l.serve(r.Context(), l.receive)
	}
	return nil
}

// sayLines sends one line a message.
func (l *lined) sayLines() func(byte, []byte) error {
	l.cuts = newCuts()
	names := map[byte]string{Stdout: "stdout", Stderr: "stderr"}
	return func(stream byte, data []byte) error {
		for len(data) > 0 {
			n := min(len(data), maxPiece)
			text := l.cuts[stream].Next(data[:n])
			data = data[n:]
			if len(text) == 0 {
				continue
			}
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			if err := e.Encode(jsonLine{Type: names[stream], Data: string(text)}); err != nil {
				return err
			}
			if err := l.write(ws.TextMessage, b.Bytes(), nil); err != nil {
				return err
			}
		}
		return nil
	}
}

// Bounds of the newline-JSON protocol.
const maxLineBytes = 2 << 20 // of one line: a MiB of input, escaped

// errLineTooLong ends a websocket whose line does not end.
var errLineTooLong = errors.New("a line is longer than 2 MiB")

// messages is what comes in, as one stream: a line may be cut anywhere, and
// need not end with a newline.
type messages struct {
	*lined
	body io.Reader
}

func (m *messages) Read(p []byte) (int, error) {
	if m.budget <= 0 {
		return 0, errLineTooLong
	}
	for {
		if m.body == nil {
			_, body, err := m.next()
			if err != nil {
				return 0, err
			}
			m.body = body
		}
		n, err := m.body.Read(p)
		m.budget -= int64(n)
		if err == io.EOF {
			m.body, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// line waits for a line.
func (l *lined) line() (jsonLine, error) {
	var got jsonLine
	l.budget = maxLineBytes
	err := l.decoder.Decode(&got)
	return got, err
}

// receive waits for a line and does what it says.
func (l *lined) receive() error {
	got, err := l.line()
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.As(err, &kind):
		l.tell("a line is no JSON object", plainJSONError(err).Error())
		l.close(ws.CloseInvalidFramePayloadData, "a line is no JSON object")
		return err
	case errors.Is(err, errLineTooLong):
		l.close(ws.CloseMessageTooBig, err.Error())
		return err
	case err != nil:
		return err
	}
	switch got.Type {
	case "resize":
		if got.Width > 0 && got.Height > 0 {
			l.a.Resize(uint16(got.Width), uint16(got.Height))
		}
	case "stdin":
		_ = l.a.Input([]byte(got.Data)) // what comes after the end goes nowhere
	}
	return nil
}
