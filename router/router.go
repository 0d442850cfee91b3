// Package router is the Docker Engine's API as data: one row a route, one file
// a router module of the Engine. It turns a request into a Call, read once, and
// a Call into the only request that may be sent on.
package router

import (
	"net/http"
	"slices"
)

// Kind says what sort of object a route's path, a query value or a body field
// names.
type Kind string

// The kinds of objects that the Engine's API names. System stands for the
// Engine itself: routes that name no object.
const (
	System     Kind = "system"
	Container  Kind = "container"
	Exec       Kind = "exec"
	Image      Kind = "image"
	Volume     Kind = "volume"
	Network    Kind = "network"
	Build      Kind = "build"
	Session    Kind = "session"
	Service    Kind = "service"
	Task       Kind = "task"
	Node       Kind = "node"
	Secret     Kind = "secret"
	Config     Kind = "config"
	Swarm      Kind = "swarm"
	Plugin     Kind = "plugin"
	Registry   Kind = "registry"
	Checkpoint Kind = "checkpoint"
	HostPath   Kind = "path" // a path or an address of the Engine's host
)

// Body says what a route's request body is. The zero value is no body at all:
// a request that brings one is refused.
type Body uint8

// What request bodies are.
const (
	None     Body = iota // no body
	JSON                 // one JSON value, read whole and judged; at most MaxDocument bytes
	AnyJSON              // as JSON, but the Engine takes it without a Content-Type too (/auth)
	Tar                  // an archive of any length, streamed and never held
	MaybeTar             // Tar when the query says so (import, classic build), else nothing
)

// Reply says how a route answers, which decides how the answer is relayed.
type Reply uint8

// How routes answer.
const (
	Plain  Reply = iota // one finite answer
	List                // one finite answer that lists objects of many owners
	Stream              // grows while it is read: events, logs, progress, downloads
	Hijack              // the connection becomes a raw stream
	H2C                 // the connection becomes HTTP/2 (BuildKit)
)

var (
	bodyNames  = [...]string{"none", "json", "json", "tar", "tar"}
	replyNames = [...]string{"plain", "list", "stream", "hijack", "h2c"}
)

func (b Body) String() string  { return bodyNames[b] }
func (r Reply) String() string { return replyNames[r] }

// Route is one row of the Engine's route table: all that is known of a route.
type Route struct {
	Method  string
	Pattern string // "/images/{name...}/json"; {x} is one path segment, only {x...} may hold slashes
	Action  string // "image.inspect": the name that policies, audit and metrics use
	Kind    Kind   // what the path (or the collection) names
	Body    Body
	Of      any    // for a JSON body: the zero value of the Engine's type that it decodes into
	Reply   Reply  // how it answers
	Lasts   bool   // the answer may go on for ever: events, logs, stats, wait
	Since   string // first API version; "" where every version has it

	// Query lists the query keys that the Engine reads, separated by spaces.
	// A key that may be repeated ends in "*", one whose value is the Engine's
	// filters JSON in "{}".
	Query string

	// Takes says whether one call of a MaybeTar route has a body.
	Takes func(*Call) bool

	// Refs names every further object that the query or the body brings in,
	// beside the path's own; nil when there can be none.
	Refs func(*Call) ([]Ref, error)

	// Choose picks the action of one call where the query decides it
	// (images/create pulls or imports); Others are the names it may give
	// beside Action.
	Choose func(*Call) string
	Others []string
}

// Ref is one object that a call names.
type Ref struct {
	Kind Kind
	Name string // as the caller wrote it; for images the canonical name where there is one
	Use  Use
	At   Place
}

// Use says what a call does with an object that it names. The zero value is
// that the object must be there.
type Use uint8

// What calls do with objects.
const (
	Uses        Use = iota // it must be there, or the Engine answers that it is not
	Gives                  // the name is given to an object that the call makes, or anew
	UsesOrMakes            // it is made, or fetched, if it is not there: the volume in "data:/data", what is pulled
	Matches                // a filter compares with it; nothing need be there
)

// Handler serves one Call. An error it returns is answered by Fail; where the
// answer has begun already it must be a *Broken.
type Handler interface {
	ServeCall(http.ResponseWriter, *http.Request, *Call) error
}

// HandlerFunc is a func that serves calls.
type HandlerFunc func(http.ResponseWriter, *http.Request, *Call) error

// ServeCall calls f.
func (f HandlerFunc) ServeCall(w http.ResponseWriter, r *http.Request, c *Call) error {
	return f(w, r, c)
}

// Table is the Engine's whole route table in the Engine's own order of
// registration: where two rows match, the earlier one is meant.
func Table() []Route {
	return slices.Concat(
		checkpoints, containers, images, system, volumes, build, session,
		swarm, plugins, distribution, networks, debug, grpc,
	)
}
