// Package owner gives everyone their own: what a user makes carries their
// name, and to others it is not there. An authorizer and reviewer of calls, it
// marks what calls make, finds every object that they name, hides what belongs
// to others, and cuts the Engine's answers down to what the caller may see.
package owner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

// The labels that tell whose an object is. Callers may set none that begins
// with Reserved.
const (
	Reserved = "moorgate."
	// Label names the user whose an object is.
	Label = Reserved + "owner"
	// sessionLabel is the id of the terminal that a container was made for.
	sessionLabel = Reserved + "session"
	// imageLabel is the id of the image that a container was made of. An image
	// is named by the hash of what it says, so none can carry a label with its
	// own id: a container whose labels come from its image has not this one.
	imageLabel = Reserved + "image"
	// sealLabel proves that an image was built or committed here: anybody may
	// bring an image in that names an owner.
	sealLabel = Reserved + "seal"
)

// Engines asks Engines and tells them. What an Engine refuses is a
// *router.Error with its status and words.
type Engines interface {
	// Get gives the JSON answer to GET path, of the Engine's newest API version.
	Get(ctx context.Context, engine, path string) ([]byte, error)
	// Stream gives the answer to GET path as it grows.
	Stream(ctx context.Context, engine, path string) (io.ReadCloser, error)
	// Post sends a JSON body and gives the answer.
	Post(ctx context.Context, engine, path string, body []byte) ([]byte, error)
}

// Quota is the most that a user's objects may have together; 0 is no bound.
type Quota struct {
	Containers        int
	Memory            int64   // bytes
	CPUs              float64 // processors
	PullsPerHour      int
	RequestsPerSecond float64
}

// Options are what an Owner goes by.
type Options struct {
	// Engines are asked about what is not known yet.
	Engines Engines
	// Names are the engines that Run watches. Others are asked each time.
	Names []string
	// Own says whether the caller sees and touches only what is theirs.
	Own func(who identity.Identity, action, engine string) bool
	// MayUse says whether the image policy lets the caller use an image that
	// the Engine has, by its names and id. Nil means that it does.
	MayUse func(ctx context.Context, who identity.Identity, engine string, names []string, id string) (bool, error)
	// Shares says whether the configuration lets the caller join a network
	// that is not theirs, by its name. Nil means none but the Engine's own.
	Shares func(who identity.Identity, engine, network string) bool
	// Quota gives the caller's bounds; nil means none.
	Quota func(who identity.Identity) Quota
	// Adopted is the file that Adopt writes; "" for none. Beside it, with
	// ".key" behind its name, is kept by what images are sealed; without, what
	// users built before a start is nobody's after it.
	Adopted string
	// Offline asks no Engine: names are taken as they are, as explain does.
	Offline bool
	// Memory is what outlives a reload; nil is a new one.
	Memory *Memory
	// Log takes what goes wrong behind the scenes; nil drops it.
	Log *zap.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Memory is what an Owner knows that no Engine could tell again. One may be
// handed from an Owner to the next, and used by both at once.
type Memory struct {
	execs   execs
	tags    tags
	locks   volumeLocks
	givings givings
	used    usage
	changes sync.Map // what may change what names mean, by engine and kind (recent.go)
	seal    [32]byte // the key that image labels are sealed with

	sealed sync.Once // keepSeal was asked
	unkept error     // why the key is not kept
}

// Owner judges calls by whose the objects are that they name, make or list.
type Owner struct {
	Options
	memory  *Memory
	adopted adoptions

	mu      sync.Mutex
	indexes map[string]*index
}

var _ authz.Reviewer = (*Owner)(nil)

// New makes an Owner. It knows nothing before Run, and asks the Engines.
func New(o Options) *Owner {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Memory == nil {
		o.Memory = NewMemory()
	}
	made := &Owner{Options: o, memory: o.Memory, indexes: map[string]*index{}}
	if o.Adopted != "" && !o.Offline {
		if err := o.Memory.keepSeal(o.Adopted + ".key"); err != nil {
			o.Log.Warn("owner: images that are built until the next start will be nobody's then", zap.Error(err))
		}
	}
	made.readAdopted()
	return made
}

// keepSeal takes the key for seals from a file, or writes it there.
func (m *Memory) keepSeal(file string) error {
	m.sealed.Do(func() {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.Write(m.seal[:])
			m.unkept = errors.Join(err, f.Close())
			return
		}
		key, readErr := os.ReadFile(file)
		switch {
		case !errors.Is(err, fs.ErrExist):
			m.unkept = fmt.Errorf("keeping the key for images: %w", err)
		case readErr != nil:
			m.unkept = fmt.Errorf("reading the key for images: %w", readErr)
		case len(key) != len(m.seal):
			m.unkept = fmt.Errorf("reading the key for images: %s has %d bytes, not %d: remove it", file, len(key), len(m.seal))
		default:
			m.seal = [32]byte(key)
		}
	})
	return m.unkept
}

// NewMemory makes an empty Memory.
func NewMemory() *Memory {
	m := &Memory{}
	_, _ = rand.Read(m.seal[:]) // it never fails
	return m
}

// Name is "owner".
func (o *Owner) Name() string { return "owner" }

// judging is one call being judged.
type judging struct {
	*Owner
	ctx   context.Context
	who   identity.Identity
	call  *router.Call
	index *index
	own   bool // the caller sees and touches only what is theirs

	pins    []router.Pin // what touch resolved
	mounts  []string     // the named volumes that a container is to mount
	driven  bool         // something is said of the drivers of these
	updated *object      // what an update replaces; nil for no update or nothing there
	source  *object      // the image that a call tags
}

func (o *Owner) judging(ctx context.Context, who identity.Identity, call *router.Call) *judging {
	return &judging{
		Owner: o, ctx: ctx, who: who, call: call, index: o.index(call.Engine),
		own: o.Own(who, call.Action, call.Engine),
	}
}

// Authorize finds what the call names and hides what is not the caller's,
// narrows what it lists, and marks what it makes. The order matters: what is
// refused has no effect, and volumes, which are made ahead, come last.
func (o *Owner) Authorize(ctx context.Context, who identity.Identity, call *router.Call) (authz.Decision, error) {
	j := o.judging(ctx, who, call)
	for _, step := range [...]func() error{
		j.rate,     // requests a second (quota_rate.go)
		j.unfaked,  // labels that only moorgate sets (stamp.go)
		j.unsettle, // what was known of images (image.go)
		j.touch,    // every object that is named (resolve.go)
		j.want,     // volumes that are mounted (volume.go), before the body is edited
		j.stamp,    // what is made (stamp.go)
		j.narrow,   // lists, prunes, events (filter.go)
		j.reserve,  // quotas (quota.go)
		j.load,     // names in archives of images (load.go)
		j.mount,    // named volumes (volume.go)
	} {
		if err := step(); err != nil {
			j.release()
			j.memory.givings.end(call)
			return decide(err)
		}
	}
	return authz.Decision{Allow: true}, nil
}

// Owns says whether an object, by whatever its Engine takes for a name, is a
// user's. What there is not is nobody's.
func (o *Owner) Owns(ctx context.Context, user, engine string, kind router.Kind, name string) (bool, error) {
	if o.Offline {
		return false, nil
	}
	j := &judging{Owner: o, ctx: ctx, who: identity.Identity{User: user}, index: o.index(engine)}
	found, err := j.find(kind, name)
	if errors.Is(err, errMissing) || errors.Is(err, errAmbiguous) {
		return false, nil
	}
	return err == nil && found.Owner == user, err
}

// refusal is an error that says why the caller may not; it is answered 403.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// decide makes a Decision of a step's error.
func decide(err error) (authz.Decision, error) {
	var no *refusal
	switch {
	case err == nil:
		return authz.Decision{Allow: true}, nil
	case errors.As(err, &no):
		return authz.Decision{Rule: "owner", Reason: no.reason}, nil
	}
	return authz.Decision{Rule: "owner"}, err
}

// status is the Engine's status in an error of Engines, 0 where it gave none.
func status(err error) int {
	var e *router.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// missing says whether an error of Engines means that there is no such object.
func missing(err error) bool { return status(err) == http.StatusNotFound }
