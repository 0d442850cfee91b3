package terminal

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	ws "github.com/gorilla/websocket"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// plain is a client that knows nothing of the protocol: its websocket is one
// session, which lasts as long as the websocket.
type plain struct {
	*wire
	server  *Server
	session *Session
	a       *Attachment

	lines bool // a message of text is a line, with the key Enter behind it

	// say sends output, or words of our own, to the client.
	say  func(stream byte, p []byte) error
	cuts map[byte]*textCut // of a client of text, for stdout and stderr apart
}

// serveRaw is GET /api/terminal/raw: what the process writes comes in binary
// messages, or with frames=text in text messages that never cut a character;
// whatever comes in is typed. With lines=true Enter is typed behind each text
// message, for clients like wscat that send lines without their ends.
func (s *Server) serveRaw(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	spec, query, err := querySpec(r, "frames", "lines")
	if err != nil {
		return err
	}
	frames := query.Get("frames")
	if frames != "" && frames != "text" && frames != "binary" {
		return newError(http.StatusBadRequest, "write text or binary", "query parameter frames=%s", plainLine(cutText(frames, 64)))
	}
	lines, err := strconv.ParseBool(cmp.Or(query.Get("lines"), "false"))
	if err != nil {
		return newError(http.StatusBadRequest, "write true or false", "query parameter lines=%s", plainLine(cutText(query.Get("lines"), 64)))
	}
	if !ws.IsWebSocketUpgrade(r) {
		return newError(http.StatusUpgradeRequired, "open it as a websocket, as with wscat", "this is a websocket")
	}
	p := &plain{wire: upgrade(w, r, ""), server: s, lines: lines}
	if p.wire == nil {
		return nil
	}
	defer p.count(w)
	defer p.end()
	if p.say = p.sayBinary; frames == "text" {
		p.say = p.sayText()
	}
	if p.open(r, who, spec) {
		p.serve(r.Context(), p.typed)
	}
	return nil
}

func (p *plain) sayBinary(_ byte, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), maxPiece)
		if err := p.write(ws.BinaryMessage, data[:n], nil); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// sayText sends text messages.
func (p *plain) sayText() func(byte, []byte) error {
	p.cuts = newCuts()
	return func(stream byte, data []byte) error {
		text := p.cuts[stream].Next(data)
		if len(text) == 0 {
			return nil
		}
		return p.write(ws.TextMessage, text, nil)
	}
}

// open starts the session. If it is refused the client is told why, in words
// and by the close code.
func (p *plain) open(r *http.Request, who *identity.Identity, spec Spec) bool {
	rec := audit.From(r.Context())
	session, err := p.server.open(r, who, spec)
	if err == nil {
		p.session = session
		p.a, err = p.server.attach(r, session, AttachOptions{
			Role: RoleOwner, Who: who, Remote: rec.Remote, ResumeFrom: -1, Cols: spec.Cols, Rows: spec.Rows, AutoAck: true,
		})
	}
	if err == nil {
		rec.Decision = audit.Allow
		rec.Stream("terminal")
		return true
	}
	if session != nil {
		session.End(ReasonKilled, who.User, "")
	}
	fault, code := faultOf(err), closeCodeOf(err, nil)
	rec.Decision, rec.Reason, rec.Rule = audit.Deny, fault.Message, fault.rule
	if code == ws.CloseInternalServerErr {
		rec.Decision = audit.Failed
	}
	p.tell(fault.Message, fault.Hint)
	p.close(code, fault.Message)
	p.drain()
	return false
}

// tell shows a line of our own in the terminal.
func (p *plain) tell(words ...string) {
	line := plainLine(strings.Trim(strings.Join(words, ": "), ": "))
	if !strings.HasPrefix(line, "moorgate: ") {
		line = "moorgate: " + line
	}
	_ = p.say(Stderr, []byte(line+"\r\n")) // who is gone needs no words
}

// serve moves output until either side ends, and the session with it; receive
// waits for input and hands it on.
func (p *plain) serve(ctx context.Context, receive func() error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.rtt = p.a.RTT
	p.live()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.send(ctx)
	}()
	for receive() == nil {
	}
	p.session.End(ReasonKilled, p.session.Who().User, "")
	cancel()
	p.drain()
	p.end() // a write that hangs ends too
	<-done
	p.a.Detach(ws.CloseNormalClosure, "its websocket ended")
}

// typed waits for a message and types it.
func (p *plain) typed() error {
	kind, body, err := p.next()
	if err != nil {
		return err
	}
	chunk := chunks.Get().(*[32 << 10]byte)
	defer chunks.Put(chunk)
	for {
		n, err := body.Read(chunk[:])
		if n > 0 {
			_ = p.a.Input(chunk[:n]) // what comes after the end goes nowhere
		}
		if err == io.EOF {
			if p.lines && kind == ws.TextMessage {
				_ = p.a.Input([]byte("\r"))
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// send gives the client the session's output, and the news that it cannot see
// elsewhere.
func (p *plain) send(ctx context.Context) {
	for {
		f, err := p.a.Next(ctx)
		if err != nil {
			p.bye(ctx, err)
			return
		}
		switch f := f.(type) {
		case *Output:
			err = p.say(f.Stream, f.Data)
		case *Notice:
			if words := noticeWords(f); words != "" {
				p.tell(words)
			}
		case *Fault:
			p.tell(f.Message, f.Hint)
		case *Exit:
			p.exit(f)
			return
		}
		if err != nil {
			_ = p.conn.Close() // who does not take what is sent is cut; the reader ends
			return
		}
	}
}

// exit says goodbye with the exit code in the reason.
func (p *plain) exit(e *Exit) {
	for stream, cut := range p.cuts {
		if rest := cut.Rest(); len(rest) > 0 {
			_ = p.say(stream, rest) // as in tell
		}
	}
	if e.Close != ws.CloseNormalClosure || len(e.Survived) > 0 {
		words := []string{exitWords(e)}
		if len(e.Survived) > 0 {
			words = append(words, "still running", strings.Join(e.Survived, "; "))
		}
		p.tell(words...)
	}
	p.close(e.Close, exitWords(e))
}

func (p *plain) bye(ctx context.Context, err error) {
	var detached *Detached
	switch {
	case ctx.Err() != nil: // the reader has ended
	case errors.As(err, &detached):
		p.tell(detached.Reason)
		p.close(detached.Code, detached.Reason)
	case err == io.EOF:
		p.close(ws.CloseNormalClosure, "")
	default:
		p.tell(faultOf(err).Message)
		p.close(ws.CloseInternalServerErr, faultOf(err).Message)
	}
}

// noticeWords are what a client without the protocol is shown of a notice.
func noticeWords(n *Notice) string {
	switch n.Kind {
	case NoticePull:
		if n.Total > 0 { // a bar that moves is not for lines
			return ""
		}
		return strings.TrimSpace(n.ID + " " + n.Status + " " + n.Text)
	case NoticeMessage:
		return n.User + ": " + n.Text
	case NoticeIdleWarning, NoticeRecording:
		return n.Text
	}
	return ""
}
