package terminal

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"moorgate/authz/identity"
)

// Session is one terminal: it lives here, and websockets are attached to it.
// One goroutine reads what the process writes; the others that it has do one
// thing and end. Everything below mu is guarded by it, and mu is never held
// while anything is waited for.
type Session struct {
	m      *Manager
	id     string
	marker string
	who    *identity.Identity
	spec   Spec // complete
	began  time.Time
	engine *engine
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	room   chan struct{} // tells the reader to look again whether it may read
	done   chan struct{} // closed when the session has ended
	clean  sync.Once
	left   []string // by clean: what could not be ended
	record *recorder

	mu        sync.Mutex
	state     string
	place     place
	stream    *stream // nil until there is a process
	buffer    scrollback
	attached  []*Attachment // the newest last
	count     int           // of attachments so far
	exit      *Exit         // once ended
	ending    *Exit         // why it is ended, once it is
	ended     time.Time
	told      bool // an owner has got Exit
	forgotten bool // it cannot be attached to any longer
	pulled    []*Notice

	heldFrom  uint64    // what the last owner had seen
	holdUntil time.Time // so long an absent owner holds the process back
	away      time.Time // since when nobody is there who types; zero: someone is
	active    time.Time // when something was typed or printed
	bytesIn   uint64
	warned    [2]bool // of idle and max

	input input
	size  size
}

// States of a session.
const (
	StateStarting = "starting" // its image is pulled, its container made
	StateRunning  = "running"
	StateEnding   = "ending"
	StateEnded    = "ended"
)

// place is where a session's process runs.
type place struct {
	container string // its id
	name      string
	image     string
	exec      string // its id; "" unless mode exec
	tty       bool
	halves    bool // the input may be closed by itself
	shell     bool // the command is a shell that was looked for
	unborn    bool // the command could not be run: nothing was started
}

// Info is what lists tell of a session.
type Info struct {
	ID        string     `json:"id"`
	User      string     `json:"user"`
	Mode      string     `json:"mode"`
	Engine    string     `json:"engine"`
	Container string     `json:"container"`      // its id
	Name      string     `json:"container_name"` // without the slash
	Image     string     `json:"image"`
	Cmd       []string   `json:"cmd"` // none: a shell
	TTY       bool       `json:"tty"`
	State     string     `json:"state"`
	Started   time.Time  `json:"started"`
	Ended     *time.Time `json:"ended,omitempty"`
	Idle      int        `json:"idle"` // seconds
	Cols      uint16     `json:"cols"`
	Rows      uint16     `json:"rows"`
	Owners    int        `json:"owners"`  // attached
	Viewers   []Watcher  `json:"viewers"` // and writers
	Bytes     uint64     `json:"bytes"`   // of output
	BytesIn   uint64     `json:"bytes_in"`
	Recording string     `json:"recording,omitempty"` // its id
	Exit      *Exit      `json:"exit,omitempty"`
}

// Watcher is someone else than the owner who is attached.
type Watcher struct {
	Attachment string    `json:"attachment"`
	User       string    `json:"user"`
	Role       Role      `json:"role"`
	Since      time.Time `json:"since"`
}

// ID is the session's: 26 characters that cannot be guessed.
func (s *Session) ID() string { return s.id }

// Who is whose session it is.
func (s *Session) Who() *identity.Identity { return s.who }

// Engine is the name of the engine.
func (s *Session) Engine() string { return s.spec.Engine }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Info tells of the session.
func (s *Session) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := Info{
		ID: s.id, User: s.who.User, Mode: s.spec.Mode, Engine: s.spec.Engine,
		Container: s.place.container, Name: s.place.name, Image: s.place.image,
		Cmd: slices.Clone(s.spec.Cmd), TTY: s.place.tty, State: s.state, Started: s.began,
		Idle: int(s.m.now().Sub(s.active).Seconds()), Cols: s.size.want.cols, Rows: s.size.want.rows,
		Viewers: []Watcher{}, Bytes: s.buffer.head, BytesIn: s.bytesIn,
		Recording: s.record.ID(), Exit: s.exit,
	}
	if i.Cmd == nil {
		i.Cmd = []string{}
	}
	for _, a := range s.attached {
		if a.role == RoleOwner {
			i.Owners++
		} else {
			i.Viewers = append(i.Viewers, a.watcher())
		}
	}
	if s.state == StateEnded {
		ended := s.ended
		i.Ended, i.Idle = &ended, 0
	}
	return i
}

// live says that the session has not ended and is not being ended.
func (s *Session) live() bool { return s.state == StateStarting || s.state == StateRunning }

// Message tells all who are attached. Control characters become spaces.
func (s *Session) Message(from, text string) {
	s.notify(&Notice{Kind: NoticeMessage, User: from, Text: line(text)}, nil)
}

// line makes one line of text that holds no control characters.
func line(text string) string {
	const most = 1 << 10
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// notify gives a frame to all who are attached but one.
func (s *Session) notify(f Frame, but *Attachment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(f, but)
}

func (s *Session) tell(f Frame, but *Attachment) {
	for _, a := range s.attached {
		if a != but {
			a.push(f)
		}
	}
}

// event tells the audit.
func (s *Session) event(e Event) {
	if s.m.o.Event == nil {
		return
	}
	e.Session = s
	if e.Who == nil {
		e.Who = s.who
	}
	s.m.o.Event(e)
}

// mark is what finds the processes of the session.
func (s *Session) mark() marked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return marked{container: s.place.container, marker: s.marker, user: s.spec.User}
}

// Signal sends a signal to all processes of the session.
func (s *Session) signal(name string) error {
	known := knownSignal(name)
	if known == "" {
		return newError(http.StatusBadRequest, "name one like TERM", "signal %q is not known", line(name))
	}
	s.mu.Lock()
	running, place := s.state == StateRunning, s.place
	s.mu.Unlock()
	if !running {
		return errOver
	}
	if s.spec.Mode == ModeExec {
		return s.mark().signal(s.ctx, s.engine, known)
	}
	return s.engine.call(s.ctx, http.MethodPost, "/containers/"+pathOf(place.container)+"/kill", map[string][]string{"signal": {"SIG" + known}}, nil, nil)
}

// errOver refuses what is for a session that goes on.
var errOver = &Error{Status: http.StatusGone, Message: "the session is over", Hint: "open another one"}
