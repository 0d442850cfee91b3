package terminal

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"moorgate/authz/identity"
)

// Attachment is one client of a session. Next is for one goroutine; the other
// methods are for any. It lasts until Detach.
type Attachment struct {
	s       *Session
	id      string
	role    Role
	who     *identity.Identity
	remote  string
	autoAck bool
	since   time.Time
	wake    chan struct{} // there may be something for Next
	gone    chan struct{} // closed when it is no longer attached
	buf     *[maxOutput]byte
	out     Output // what Next gave last

	// Guarded by the session's mu.
	login     loginKey // zero if it came by none
	queue     []Frame
	before    []byte // the modes to restore before pos
	pos       uint64 // what comes next
	acked     uint64
	window    int
	replaying bool
	replayed  uint64 // where the replay ends
	detached  *Detached
	exited    bool
}

// Bounds of what is under way to a client.
const (
	ackEvery    = 32 << 10
	window      = 256 << 10
	wideWindow  = 512 << 10
	slowLink    = 20 * time.Millisecond // there and back: beyond it the window is wide
	maxOutput   = 64 << 10              // bytes of one Output
	maxStdin    = 64 << 10              // bytes of one STDIN frame that clients are told
	skipTo      = 64 << 10              // what who fell behind still gets
	maxQueue    = 256                   // frames beside the output; the oldest go first
	maxAttached = 64                    // in one session
)

var outputBuffers = sync.Pool{New: func() any { return new([maxOutput]byte) }}

// ID is the attachment's, unique in its session.
func (a *Attachment) ID() string { return a.id }

// Role is what the attachment may do.
func (a *Attachment) Role() Role { return a.role }

// Session is what it is attached to.
func (a *Attachment) Session() *Session { return a.s }

// push queues a frame that is not output. Of sizes the last one counts; whoever
// never reads loses the oldest notices.
func (a *Attachment) push(f Frame) {
	if _, ok := f.(*Resize); ok {
		a.queue = slices.DeleteFunc(a.queue, func(old Frame) bool { _, ok := old.(*Resize); return ok })
	}
	if len(a.queue) >= maxQueue {
		if i := slices.IndexFunc(a.queue, func(old Frame) bool { _, ok := old.(*Notice); return ok }); i >= 0 {
			a.queue = slices.Delete(a.queue, i, i+1)
		}
	}
	a.queue = append(a.queue, f)
	a.poke()
}

func (a *Attachment) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Next waits for the next frame: output that came meanwhile comes at once. It
// ends with io.EOF after Exit, with a *Detached after Detach, or with ctx's
// error.
func (a *Attachment) Next(ctx context.Context) (Frame, error) {
	if a.buf != nil {
		outputBuffers.Put(a.buf)
		a.buf, a.out.Data = nil, nil
		if a.autoAck {
			a.Ack(a.out.Offset)
		}
	}
	for {
		a.s.mu.Lock()
		f, err := a.next()
		a.s.mu.Unlock()
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-a.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// next gives the next frame, or nil if there is none yet.
func (a *Attachment) next() (Frame, error) {
	s := a.s
	switch {
	case a.detached != nil:
		return nil, a.detached
	case len(a.queue) > 0:
		f := a.queue[0]
		if a.queue = a.queue[1:]; len(a.queue) == 0 {
			a.queue = nil
		}
		return f, nil
	case a.exited:
		return nil, io.EOF
	case a.pos < s.buffer.start && a.pos-a.acked < ackEvery:
		a.skip(max(s.buffer.start, s.buffer.head-min(s.buffer.head, skipTo)))
		a.queue = append(a.queue, &Notice{Kind: NoticeSlow, Text: "This connection is slower than the output: some of it was left out."})
		return a.next()
	case len(a.before) > 0:
		p := a.before
		a.before = nil
		return &Output{Stream: Stdout, Offset: a.pos - uint64(len(p)), Data: p}, nil
	case a.replaying && a.pos >= a.replayed:
		a.replaying = false
		return &Replay{State: "end", From: a.pos}, nil
	case a.pos < s.buffer.head && a.pos >= s.buffer.start && a.pos-a.acked < uint64(a.window):
		return a.output(), nil
	case s.exit != nil && a.pos >= s.buffer.head:
		a.exited = true
		s.told = s.told || a.role == RoleOwner
		return s.exit, nil
	}
	return nil, nil
}

// output takes what there is, as far as the client's window goes.
func (a *Attachment) output() *Output {
	n := min(maxOutput, uint64(a.window)-(a.pos-a.acked))
	if a.replaying {
		n = min(n, a.replayed-a.pos)
	}
	a.buf = outputBuffers.Get().(*[maxOutput]byte)
	k, stream := a.s.buffer.read(a.pos, a.buf[:n])
	a.out = Output{Stream: stream, Offset: a.pos, Data: a.buf[:k]}
	a.pos += uint64(k)
	return &a.out
}

// Ack says that the client has parsed everything before offset. What was not
// sent cannot have been parsed and does not count.
func (a *Attachment) Ack(offset uint64) {
	a.s.mu.Lock()
	if a.autoAck {
		offset = a.pos
	}
	reader := false
	if offset > a.acked && offset <= a.pos {
		// Who is not held back by the window is not woken either: a flood's
		// acknowledgements come as fast as its frames.
		b := &a.s.buffer
		reader = b.head-a.acked >= uint64(a.window)
		sender := a.pos-a.acked >= uint64(a.window) || a.pos < b.start
		if a.acked = offset; sender {
			a.poke()
		}
	}
	a.s.mu.Unlock()
	if reader {
		a.s.look()
	}
}

// RTT says how long the way to the client and back takes: on a slow one more
// may be under way.
func (a *Attachment) RTT(d time.Duration) {
	a.s.mu.Lock()
	if a.window = window; d >= slowLink {
		a.window = wideWindow
	}
	a.s.mu.Unlock()
	a.s.look()
	a.poke()
}

// may says that the attachment's client may type, or why not.
func (a *Attachment) may() error {
	if a.role < RoleWriter {
		return newError(http.StatusForbidden, "ask the owner for a writer's link", "you watch this terminal and may not type")
	}
	return nil
}

// Input types. It returns before the process reads it, unless 4 MiB wait
// already. It fails with an *Error: of status 403 for viewers, 410 after the
// end.
func (a *Attachment) Input(p []byte) error {
	if err := a.may(); err != nil {
		return err
	}
	return a.s.send(a, p)
}

// EOF ends the input, after what Input was given. A TTY gets its end-of-file
// character. It fails with an *Error where the input cannot be ended.
func (a *Attachment) EOF() error {
	if err := a.may(); err != nil {
		return err
	}
	return a.s.eof(a)
}

// Signal sends a signal, such as INT or SIGINT, to all processes of the
// session. It returns when they have it, or with an *Error.
func (a *Attachment) Signal(name string) error {
	if err := a.may(); err != nil {
		return err
	}
	return a.s.signal(name)
}

// Resize sets the size of the terminal, clamped to 1..1000; only owners' counts.
func (a *Attachment) Resize(cols, rows uint16) {
	if a.role == RoleOwner {
		a.s.resize(a, cols, rows)
	}
}

// Detach ends the attachment: Next fails with a *Detached of this code. Whoever
// attached must detach, also after Exit.
func (a *Attachment) Detach(code int, reason string) {
	s := a.s
	s.mu.Lock()
	i := slices.Index(s.attached, a)
	if i < 0 {
		s.mu.Unlock()
		return
	}
	a.detached = &Detached{code, reason}
	close(a.gone)
	flow := s.flow() == a
	s.attached = slices.Delete(s.attached, i, i+1)
	if now := s.m.now(); flow {
		s.heldFrom, s.holdUntil = a.acked, now.Add(holdBack)
	}
	if a.role >= RoleWriter && !slices.ContainsFunc(s.attached, func(o *Attachment) bool { return o.role >= RoleWriter }) {
		s.away = s.m.now()
	}
	if a.role != RoleOwner {
		s.tell(&Notice{Kind: NoticeViewerLeft, Attachment: a.id, User: a.who.User, Role: a.role, Viewers: s.viewers()}, nil)
	}
	a.poke()
	s.mu.Unlock()
	s.look()
	s.event(Event{Kind: "detach", Who: a.who, Attachment: a.id, Role: a.role, Remote: a.remote, Since: a.since, Reason: reason})
}
