package terminal

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	ws "github.com/gorilla/websocket"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// helloTime is how long a client may take for its HELLO.
const helloTime = 5 * time.Second

// Rates of what a client may ask for.
const (
	resizeGap    = 50 * time.Millisecond // between two sizes: dragging a window sends dozens a second
	signalBurst  = 8
	signalEvery  = 500 * time.Millisecond // each is a request to the Engine
	complainGap  = time.Second            // between two complaints about frames
	ticketPrefix = "ticket."
)

// socket is one client of the protocol.
type socket struct {
	*wire
	server *Server
	a      *Attachment
	role   Role
	small  [512]byte // for short frames; long ones borrow a buffer

	signals    *pace
	complainMu sync.Mutex
	complained time.Time

	sizeMu sync.Mutex
	size   [2]uint16
	sized  time.Time
	sizer  *time.Timer // runs while a size waits to be set
}

// serveSocket is GET /api/terminal/socket: it joins a websocket to a session.
// Whatever a ticket is needed for is told over the websocket, since browsers
// show no page why one could not be opened.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	query, err := readQuery(r, []string{"session"})
	if err != nil {
		return err
	}
	if !ws.IsWebSocketUpgrade(r) {
		return newError(http.StatusUpgradeRequired, "open it as a websocket", "this is a websocket")
	}
	offered := ws.Subprotocols(r)
	if !slices.Contains(offered, Protocol) {
		return newError(http.StatusBadRequest, "offer the subprotocols "+Protocol+" and ticket.TICKET", "the subprotocol %s is not offered", Protocol)
	}
	c := &socket{wire: upgrade(w, r, Protocol), server: s, signals: newPace(signalBurst, signalEvery)}
	if c.wire == nil {
		return nil
	}
	over := func() { c.end(); c.count(w) }
	goesOn := false
	defer func() {
		if !goesOn {
			over()
		}
	}()
	rec := audit.From(r.Context())
	fault, code := c.joinAside(r, who, query.Get("session"), offered)
	if fault != nil {
		rec.Decision, rec.Reason = audit.Deny, fault.Message
		if rec.Rule = fault.rule; rec.Rule == "" && code == closeForbidden {
			rec.Rule = fault.Code
		}
		c.refuse(code, fault)
		c.drain()
		return nil
	}
	rec.Decision = audit.Allow
	rec.Stream("terminal")
	ctx := r.Context()
	// Once all handlers have returned, where the server can: their stacks would
	// be half of what a quiet session holds.
	if k, ok := w.(interface{ Continue(func() error) bool }); ok {
		goesOn = k.Continue(func() error {
			defer over()
			c.serve(ctx)
			return nil
		})
	}
	if !goesOn {
		c.serve(ctx)
	}
	return nil
}

// ticketOf gives the one ticket that is offered. Tickets are base64url
// themselves; who encodes one again is understood.
func ticketOf(offered []string) string {
	ticket := ""
	for _, p := range offered {
		text, ok := strings.CutPrefix(p, ticketPrefix)
		if !ok {
			continue
		}
		if ticket != "" {
			return "" // which one is meant?
		}
		ticket = text
	}
	if len(ticket) > ticketLength {
		inner, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(ticket, "="))
		if err != nil {
			return ""
		}
		ticket = string(inner)
	}
	return ticket
}

// joinAside joins on a stack of its own. This one stays as long as the
// websocket: what join needs of it, for JSON and the like, would double it.
func (c *socket) joinAside(r *http.Request, who *identity.Identity, session string, offered []string) (fault *Fault, code int) {
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		fault, code = c.join(r, who, session, offered)
	}()
	if p := <-panicked; p != nil {
		panic(p) // where the server catches it
	}
	return fault, code
}

// join uses the ticket up, asks for the rights again, waits for HELLO and
// attaches. It gives what to tell the client and the close code if that fails.
func (c *socket) join(r *http.Request, who *identity.Identity, session string, offered []string) (*Fault, int) {
	s := c.server
	role, ok := s.tickets.Take(ticketOf(offered), who.User, session)
	if !ok {
		return &Fault{Code: "bad_ticket", Message: "the ticket is used up, too old, or for another session or user",
			Hint: "ask for a new one: POST /api/terminal/sessions/ID/tickets"}, closeBadTicket
	}
	live, ok := s.manager.Get(session)
	if !ok {
		return &Fault{Code: "gone", Message: "the session is over", Hint: "open a new one"}, closeGone
	}
	rec := audit.From(r.Context())
	rec.Session, rec.Engine = session, s.engineName(live.Engine())
	if err := s.mayAttach(who, live, role); err != nil {
		return faultOf(err), closeForbidden
	}
	hello, fault := c.hello()
	if fault != nil {
		return fault, ws.CloseProtocolError
	}
	c.role = role
	a, err := s.attach(r, live, AttachOptions{
		Role: role, Who: who, Remote: rec.Remote, ResumeFrom: hello.Hello.ResumeFrom, Cols: hello.Cols, Rows: hello.Rows,
	})
	if err != nil {
		return faultOf(err), closeCodeOf(err, live)
	}
	c.a = a
	return nil, 0
}

// attach attaches the caller of r, for as long as the login by which it came lasts.
func (s *Server) attach(r *http.Request, session *Session, o AttachOptions) (*Attachment, error) {
	o.login = loginOf(r)
	a, err := session.Attach(o)
	if err == nil && o.login != (loginKey{}) && !s.logins.lives(o.login) { // it ended meanwhile
		a.Detach(closeForbidden, signedOut)
	}
	return a, err
}

// mayAttach asks for the rights of the session's user and of who attaches,
// as they are at this moment.
func (s *Server) mayAttach(who *identity.Identity, session *Session, role Role) error {
	engine, of := session.Engine(), session.Who()
	if err := s.may(who, actionOpen, engine); err != nil {
		return err
	}
	switch {
	case role == RoleOwner:
		return s.may(who, modeActions[session.Info().Mode], engine)
	case who.User != of.User && s.shares.role(session.ID(), who.User) < role:
		return s.may(who, actionAdmin, engine) // an administrator watches
	}
	return s.may(of, actionShare, engine)
}

// hello waits for the first frame.
func (c *socket) hello() (clientFrame, *Fault) {
	fault := func(format string, args ...any) (clientFrame, *Fault) {
		return clientFrame{}, &Fault{Code: "hello", Message: fmt.Sprintf(format, args...), Hint: `send HELLO first: 0x11 and {"resume_from":-1,"cols":80,"rows":24}`}
	}
	c.until = time.Now().Add(helloTime)
	kind, body, err := c.next()
	if err != nil {
		return fault("no HELLO came within %v", helloTime)
	}
	if kind != ws.BinaryMessage {
		return fault("a text message came before HELLO")
	}
	t, text, err := c.frame(body)
	c.until = time.Time{}
	if err != nil || t != frameHello {
		return fault("the first frame is no HELLO")
	}
	f, err := parseFrame(t, text)
	if err != nil {
		return fault("%v", err)
	}
	return f, nil
}

// serve moves frames until either side ends.
func (c *socket) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.rtt = c.a.RTT
	c.beats = heartbeat
	c.live()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.send(ctx)
	}()
	c.receive()
	c.a.Detach(ws.CloseNormalClosure, "its websocket ended")
	cancel()
	c.drain()
	c.end() // a write that hangs ends too
	<-done
	c.sizeMu.Lock()
	defer c.sizeMu.Unlock()
	if c.sizer != nil {
		c.sizer.Stop()
	}
}

func heartbeat() []byte {
	h := outputHead(frameHeartbeat, uint64(time.Now().UnixMilli()))
	return h[:]
}

// send gives the client what the session has for it.
func (c *socket) send(ctx context.Context) {
	for {
		f, err := c.a.Next(ctx)
		if err == nil {
			if err = c.sendFrame(f); err == nil {
				if exit, ok := f.(*Exit); ok {
					c.close(exit.afterwards(), exitWords(exit))
					return
				}
				continue
			}
			_ = c.conn.Close() // who does not take what is sent is cut; the reader ends
			return
		}
		var detached *Detached
		switch {
		case ctx.Err() != nil: // the reader has ended
		case errors.As(err, &detached):
			c.refuse(detached.Code, &Fault{Code: closeNames[detached.Code], Message: detached.Reason})
		case err == io.EOF:
			c.close(ws.CloseNormalClosure, "")
		default:
			c.refuse(ws.CloseInternalServerErr, faultOf(err))
		}
		return
	}
}

func (c *socket) sendFrame(f Frame) error {
	switch f := f.(type) {
	case *Output:
		return c.sendOutput(f)
	case *Welcome:
		return c.write(ws.BinaryMessage, jsonFrame(frameWelcome, f), nil)
	case *Replay:
		return c.write(ws.BinaryMessage, jsonFrame(frameReplay, f), nil)
	case *Resize:
		b := [5]byte{byte(frameResize)}
		binary.BigEndian.PutUint16(b[1:], f.Cols)
		binary.BigEndian.PutUint16(b[3:], f.Rows)
		return c.write(ws.BinaryMessage, b[:], nil)
	case *Exit:
		return c.write(ws.BinaryMessage, jsonFrame(frameExit, f), nil)
	case *Fault:
		return c.write(ws.BinaryMessage, jsonFrame(frameError, f), nil)
	case *Notice:
		return c.write(ws.BinaryMessage, jsonFrame(frameNotice, f), nil)
	}
	return nil
}

func (c *socket) sendOutput(o *Output) error {
	t := frameStdout
	if o.Stream == Stderr {
		t = frameStderr
	}
	for offset, data := o.Offset, o.Data; len(data) > 0; {
		n := min(len(data), maxPiece)
		head := outputHead(t, offset)
		if err := c.write(ws.BinaryMessage, head[:], data[:n]); err != nil {
			return err
		}
		offset, data = offset+uint64(n), data[n:]
	}
	return nil
}

// refuse tells the client what went wrong and says goodbye.
func (c *socket) refuse(code int, f *Fault) {
	f.Fatal = true
	_ = c.write(ws.BinaryMessage, jsonFrame(frameError, f), nil)
	c.close(code, f.Message)
}

// complain tells the client of a frame that was dropped, now and then.
func (c *socket) complain(code, message, hint string) {
	c.complainMu.Lock()
	now := time.Now()
	soon := now.Sub(c.complained) < complainGap
	if !soon {
		c.complained = now
	}
	c.complainMu.Unlock()
	if !soon {
		_ = c.write(ws.BinaryMessage, jsonFrame(frameError, &Fault{Code: code, Message: message, Hint: hint}), nil)
	}
}

// count tells the audit's record what the websocket carried.
func (c *wire) count(w http.ResponseWriter) {
	if counter, ok := w.(interface{ CountHijacked(in, out int64) }); ok {
		counter.CountHijacked(c.meter.read, c.out.Load())
	}
}
