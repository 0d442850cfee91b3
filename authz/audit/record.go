// Package audit keeps the record of every request: who asked for what, what was
// decided and why, how it ended. Records go to sinks: the JSON log is one, the
// metrics are another.
package audit

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// Decision is what was decided on a request.
type Decision string

// The decisions. A request that ended before anyone decided gets one by its
// status: 4xx is Deny, since moorgate refused it, 5xx is Failed, else Allow.
const (
	Allow     Decision = "allow"
	Deny      Decision = "deny"
	WouldDeny Decision = "would_deny" // denied, but a dry run lets it pass
	Failed    Decision = "error"      // nothing could be decided, so it was refused
)

// Event is what happened to a terminal.
type Event string

// The events of a terminal's life.
const (
	EventOpen   Event = "open"   // a session began
	EventAttach Event = "attach" // someone joined it
	EventDetach Event = "detach" // and left
	EventResize Event = "resize"
	EventShare  Event = "share" // a ticket was made for a viewer or a writer
	EventKill   Event = "kill"  // someone ended it
	EventClose  Event = "close" // it is over
)

// Record is what happened with one request, or with a terminal. That of a
// request is made by Middleware, filled by all that the request passes through,
// and given to the sinks when its handler returns; it holds no credential, no
// query and no body. One goroutine at a time may touch it.
type Record struct {
	Time     time.Time
	ID       string // the Moorgate-Request-Id of the answer
	User     string
	Groups   []string
	Evidence string // how the user is known: "peer", "certificate", "token", ...
	Listener string
	Remote   string
	Engine   string
	Action   string
	Method   string
	Path     string   // as it came, without the query
	Refs     []string // "kind:name" of each object named, see AddRef
	Decision Decision
	Rule     string
	Reason   string
	Status   int           // 0: no answer was sent
	Duration time.Duration // to the end of the answer or of the stream
	BytesIn  int64         // of the request's body, and of a hijacked stream
	BytesOut int64         // of the answer's body, and of a hijacked stream
	Error    string

	// Of terminals only.
	Session   string // the terminal's id
	Event     Event
	ExitCode  *int   // of what ran in it, where it is known
	Recording string // the id of its recording

	sinks  []Sink
	stream string
}

// Sink takes records. It may not keep one: what it needs later it copies.
type Sink interface {
	Record(*Record)
}

// StreamSink is a Sink that wants to know of live streams.
type StreamSink interface {
	Sink
	Opened(kind string)
	Closed(kind string)
}

// Bounds of what one record keeps; what is longer is cut and ends in "...".
const (
	maxPath   = 4096
	maxText   = 1024 // reasons, errors and names
	maxMethod = 32
	maxRefs   = 32
	maxRef    = 256
	maxGroups = 64
)

// bare takes users and passwords out of the URLs in a text: those that a build
// or an import is fetched from may have them.
func bare(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	return userInfo().ReplaceAllString(text, "$1***@")
}

// userInfo ends at the last @ before the path. What the Engine fetches may be
// written without a scheme.
var userInfo = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(://|^registry:)[^/?#\s"]*@`) })

// AddRef adds an object that the request names, each once, up to 32 of them of
// 256 bytes.
func (r *Record) AddRef(kind, name string) { r.addRef(kind + ":" + name) }

// AddRefs is AddRef of all that a call names.
func (r *Record) AddRefs(refs []router.Ref) {
	if r.Refs == nil && len(refs) > 0 {
		r.Refs = make([]string, 0, min(len(refs), maxRefs))
	}
	var text strings.Builder // of those with usual names, which are nearly all
	size := 0
	for _, ref := range refs[:min(len(refs), maxRefs)] {
		size += min(len(ref.Kind)+len(":")+len(ref.Name), maxRef)
	}
	text.Grow(size)
	for _, ref := range refs {
		if len(r.Refs) >= maxRefs {
			return
		}
		if len(ref.Name) > maxRef {
			r.AddRef(string(ref.Kind), ref.Name)
			continue
		}
		from := text.Len()
		text.WriteString(string(ref.Kind))
		text.WriteByte(':')
		text.WriteString(ref.Name)
		r.addRef(text.String()[from:])
	}
}

func (r *Record) addRef(text string) {
	if ref := cut(bare(text), maxRef); len(r.Refs) < maxRefs && !slices.Contains(r.Refs, ref) {
		r.Refs = append(r.Refs, ref)
	}
}

// Stream says that the request has become a stream of this kind, which lives
// until the handler returns. Only the first call counts.
func (r *Record) Stream(kind string) {
	if r.stream != "" || kind == "" {
		return
	}
	r.stream = kind
	for _, s := range r.sinks {
		if s, ok := s.(StreamSink); ok {
			s.Opened(kind)
		}
	}
}

// Fail keeps what went wrong. Of a router.Error the message is the reason if
// nothing was decided before, and what only the log may see is the error.
func (r *Record) Fail(err error) {
	if err == nil || r.Error != "" {
		return
	}
	var known *router.Error
	switch {
	case !errors.As(err, &known):
		r.Error = err.Error()
		return
	case r.Decision == "":
		if r.Reason == "" {
			r.Reason = known.Message
		}
	case r.Decision == Allow || r.Decision == WouldDeny:
		r.Error = known.Message
	}
	if known.Err != nil {
		r.Error = known.Err.Error()
	}
}

// identified keeps who the caller is.
func (r *Record) identified(who *identity.Identity) {
	r.User, r.Evidence = who.User, who.Method
	r.Groups = who.Groups[:min(len(who.Groups), maxGroups)]
	if r.Remote == "" && who.Peer != nil {
		r.Remote = who.Peer.String()
	}
}

// end completes the record and hands it to the sinks.
func (r *Record) end() {
	r.Duration = time.Since(r.Time)
	if r.Decision == "" {
		switch {
		case r.Status >= 500:
			r.Decision = Failed
		case r.Status >= 400:
			r.Decision = Deny
		default:
			r.Decision = Allow
		}
	}
	r.Reason, r.Error = bare(r.Reason), bare(r.Error)
	for _, s := range r.sinks {
		if s, ok := s.(StreamSink); ok && r.stream != "" {
			s.Closed(r.stream)
		}
		s.Record(r)
	}
}

// Emit gives a record that is of no request to the sinks. It gets the time and
// an id where it has none.
func (r *Record) Emit(sinks ...Sink) {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if r.ID == "" {
		r.ID = nextID()
	}
	for _, s := range sinks {
		s.Record(r)
	}
}

type recordKey struct{}

// From gives the record of the request that ctx belongs to. Where there is none
// it gives a record that nobody reads, so that callers need not ask.
func From(ctx context.Context) *Record {
	if r, ok := ctx.Value(recordKey{}).(*Record); ok {
		return r
	}
	return &Record{}
}

// NewContext gives a context that From finds r in, as Middleware does.
func NewContext(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}
