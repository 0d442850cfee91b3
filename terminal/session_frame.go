package terminal

import "fmt"

// Role is what an attachment may do.
type Role int

// The roles. The zero Role may nothing.
const (
	_          Role = iota
	RoleViewer      // sees
	RoleWriter      // sees and types
	RoleOwner       // sees, types, sets the size, holds the process back
)

var roleNames = [...]string{RoleViewer: "viewer", RoleWriter: "writer", RoleOwner: "owner"}

func (r Role) String() string {
	if r > 0 && int(r) < len(roleNames) {
		return roleNames[r]
	}
	return "nobody"
}

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads owner, writer or viewer.
func (r *Role) UnmarshalText(text []byte) error {
	for i, name := range roleNames {
		if name != "" && name == string(text) {
			*r = Role(i)
			return nil
		}
	}
	return fmt.Errorf("role %q is not known: write owner, writer or viewer", text)
}

// Frame is one thing that an attachment is told: *Welcome first, then *Output,
// *Replay, *Resize, *Fault and *Notice, and *Exit last.
type Frame interface{ frame() }

// Welcome says what the attachment is attached to.
type Welcome struct {
	Session    string   `json:"session"`
	Attachment string   `json:"attachment"`
	Role       Role     `json:"role"`
	User       string   `json:"user"` // whose session it is
	Container  string   `json:"container"`
	Cmd        []string `json:"cmd"`
	TTY        bool     `json:"tty"`
	Window     int      `json:"window"`    // bytes that may wait for an ACK
	AckEvery   int      `json:"ack_every"` // bytes
	Start      uint64   `json:"start"`     // the oldest offset that is kept
	Offset     uint64   `json:"offset"`    // of the next byte that is sent
	Epoch      int64    `json:"epoch"`     // when the session began, in milliseconds since 1970: offsets count from there
	Recording  bool     `json:"recording"`
	Limits     Limits   `json:"limits"`
}

// Limits are a session's, in seconds; 0 is none.
type Limits struct {
	Grace int `json:"grace"`
	Idle  int `json:"idle"`
	Max   int `json:"max"`
	Stdin int `json:"stdin"` // bytes of one STDIN frame
}

// Streams of Output.
const (
	Stdout byte = 1
	Stderr byte = 2
)

// Output is what the process wrote. Data is valid until the next Next.
type Output struct {
	Stream byte
	Offset uint64 // of the first byte
	Data   []byte
}

// Replay brackets output that is older than the attachment. The terminal must
// not answer what it finds between begin and end.
type Replay struct {
	State     string `json:"state"` // begin, end
	From      uint64 `json:"from"`
	Truncated bool   `json:"truncated"` // begin: what was before From is lost
}

// Resize is the size that the terminal has.
type Resize struct{ Cols, Rows uint16 }

// Exit is how the session ended.
type Exit struct {
	Code     *int     `json:"code"`               // nil where the Engine does not say
	Signal   string   `json:"signal,omitempty"`   // such as KILL, where the code tells of one
	Reason   string   `json:"reason"`             // exited, killed, container_stopped, idle, max, admin, revoked
	By       string   `json:"by,omitempty"`       // who ended it
	Message  string   `json:"message,omitempty"`  // what they say
	Survived []string `json:"survived,omitempty"` // what goes on nevertheless, in words

	// Close is the close code of the websocket.
	Close int `json:"-"`
}

// Fault is something that went wrong.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Fatal   bool   `json:"fatal"`

	rule string // that denied it, for the audit record
}

// Kinds of Notice.
const (
	NoticePull         = "pull"
	NoticeIdleWarning  = "idle_warning"
	NoticeViewerJoined = "viewer_joined"
	NoticeViewerLeft   = "viewer_left"
	NoticeMessage      = "message"
	NoticeRecording    = "recording"
	NoticeSlow         = "slow"
)

// Notice is news that stand beside the terminal, not in it.
type Notice struct {
	Kind string `json:"kind"`
	Text string `json:"text,omitempty"` // in English

	// Of pull: a line for each layer.
	ID      string `json:"id,omitempty"`
	Status  string `json:"status,omitempty"`
	Current int64  `json:"current,omitempty"` // bytes
	Total   int64  `json:"total,omitempty"`

	// Of idle_warning: seconds to the end, and whether it is idle or max.
	Seconds int    `json:"seconds,omitempty"`
	Limit   string `json:"limit,omitempty"`

	// Of viewer_joined, viewer_left and message: who, and how many are there.
	Attachment string `json:"attachment,omitempty"`
	User       string `json:"user,omitempty"`
	Role       Role   `json:"role,omitzero"`
	Viewers    int    `json:"viewers,omitempty"`

	// Of recording.
	On *bool `json:"on,omitempty"`
}

func (*Welcome) frame() {}
func (*Output) frame()  {}
func (*Replay) frame()  {}
func (*Resize) frame()  {}
func (*Exit) frame()    {}
func (*Fault) frame()   {}
func (*Notice) frame()  {}

// Detached is the error of Next for an attachment that the server ended while
// the session goes on.
type Detached struct {
	Code   int // close code of the websocket
	Reason string
}

func (d *Detached) Error() string { return d.Reason }
