package terminal

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"moorgate/authz/identity"
)

// AttachOptions say who attaches and where they left off.
type AttachOptions struct {
	Role       Role
	Who        *identity.Identity
	Remote     string
	ResumeFrom int64  // the next offset that is wanted; -1: whatever there is
	Cols, Rows uint16 // of an owner's terminal; 0 if not known
	// AutoAck is for clients that send no acknowledgements: what Next gave is
	// acknowledged by the following Next.
	AutoAck bool

	login loginKey // by which a browser came; the attachment ends with it
}

// Attach joins the session. It fails with an *Error: 403 without a role, 410
// when the session is over and forgotten, 429 when too many are there.
func (s *Session) Attach(o AttachOptions) (*Attachment, error) {
	if o.Role < RoleViewer || o.Role > RoleOwner || o.Who == nil {
		return nil, newError(http.StatusForbidden, "", "attaching needs a role")
	}
	a := &Attachment{
		s: s, role: o.Role, who: o.Who, remote: o.Remote, autoAck: o.AutoAck, login: o.login, window: window, since: s.m.now(),
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	s.mu.Lock()
	if len(s.attached) >= maxAttached {
		s.mu.Unlock()
		return nil, newError(http.StatusTooManyRequests, "close one of them", "%d are attached already", maxAttached)
	}
	if s.forgotten {
		s.mu.Unlock()
		return nil, errOver
	}
	s.count++
	a.id = strconv.Itoa(s.count)
	truncated := a.resume(o.ResumeFrom)
	a.greet()
	s.attached = append(s.attached, a)
	if a.role != RoleOwner {
		w := a.watcher()
		s.tell(&Notice{Kind: NoticeViewerJoined, Attachment: w.Attachment, User: w.User, Role: w.Role, Viewers: s.viewers()}, a)
	}
	if a.role >= RoleWriter {
		s.away = time.Time{}
	}
	running := s.state == StateRunning
	s.mu.Unlock()
	s.look()

	s.event(Event{Kind: "attach", Who: a.who, Attachment: a.id, Role: a.role, Remote: a.remote})
	if a.role == RoleOwner && o.Cols > 0 && o.Rows > 0 {
		s.resize(a, o.Cols, o.Rows)
	}
	if truncated && running {
		s.repaint()
	}
	return a, nil
}

// greet queues what an attachment is told first.
func (a *Attachment) greet() {
	s := a.s
	recording := s.record.on()
	a.queue = append([]Frame{&Welcome{
		Session: s.id, Attachment: a.id, Role: a.role, User: s.who.User,
		Container: s.place.title(), Cmd: s.command(), TTY: s.place.tty,
		Window: a.window, AckEvery: ackEvery, Start: s.buffer.start, Offset: a.pos - uint64(len(a.before)),
		Epoch: s.began.UnixMilli(), Recording: recording, Limits: s.m.limits(),
	}}, a.queue...)
	var news []Frame
	if recording {
		news = append(news, s.recordingNotice(true, ""))
	}
	if a.role != RoleOwner && s.size.want.cols > 0 {
		news = append(news, &Resize{s.size.want.cols, s.size.want.rows})
	}
	for _, other := range s.attached {
		if other.role != RoleOwner {
			w := other.watcher()
			news = append(news, &Notice{Kind: NoticeViewerJoined, Attachment: w.Attachment, User: w.User, Role: w.Role, Viewers: s.viewers()})
		}
	}
	if s.state == StateStarting {
		for _, n := range s.pulled {
			news = append(news, n)
		}
	}
	a.queue = slices.Insert(a.queue, 1, news...)
}

// resume finds where to begin, and says whether something is lost before it.
func (a *Attachment) resume(from int64) (truncated bool) {
	b := &a.s.buffer
	switch at := uint64(max(from, 0)); {
	case from < 0 || at > b.head: // an offset of another session's, perhaps
		a.pos = 0
	default:
		a.pos = at
	}
	a.acked = a.pos
	if a.pos < b.start {
		a.skip(b.start)
		return true
	}
	if a.pos < b.head {
		a.queue = append(a.queue, &Replay{State: "begin", From: a.pos})
		a.replaying, a.replayed = true, b.head
	}
	return false
}

// skip goes on at the first good place from at on, with the modes restored that
// the terminal has there. What restores them takes the offsets before that
// place, so that the client's count goes on by itself.
func (a *Attachment) skip(at uint64) {
	if a.replaying {
		a.queue = append(a.queue, &Replay{State: "end", From: a.pos})
	}
	b := &a.s.buffer
	had := a.pos > 0
	at, modes := b.cut(at)
	a.before = modes.restore()
	if had && !modes.alternate() {
		a.before = append(a.before, "\r\n"...) // what is there may end amid a line
	}
	a.before = a.before[:min(uint64(len(a.before)), at)]
	a.pos, a.acked = at, at
	a.queue = append(a.queue, &Replay{State: "begin", From: at - uint64(len(a.before)), Truncated: true})
	a.replaying, a.replayed = true, b.head
}

// title is how the container is called.
func (p place) title() string {
	if p.name != "" {
		return p.name
	}
	return p.container
}

// command is what users asked for; a shell that was looked for has no name.
func (s *Session) command() []string {
	if s.spec.Cmd == nil {
		return []string{}
	}
	return s.spec.Cmd
}

func (s *Session) viewers() (n int) {
	for _, a := range s.attached {
		if a.role != RoleOwner {
			n++
		}
	}
	return n
}

func (a *Attachment) watcher() Watcher {
	return Watcher{Attachment: a.id, User: a.who.User, Role: a.role, Since: a.since}
}
