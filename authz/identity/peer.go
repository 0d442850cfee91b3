package identity

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Peer is the process at the other end of a unix connection, as the kernel
// vouched for it when it connected.
type Peer struct {
	UID, GID uint32
	PID      int32
	Groups   []uint32 // supplementary
	text     string
}

// String is "uid=1000 gid=1000 pid=4242".
func (p *Peer) String() string {
	if p.text != "" {
		return p.text
	}
	return fmt.Sprintf("uid=%d gid=%d pid=%d", p.UID, p.GID, p.PID)
}

type peerKey struct{}

// peerEvidence is kept on a connection. The identity it leads to is remembered
// beside it, since a connection brings many requests.
type peerEvidence struct {
	peer  Peer
	err   error // credentials that could not be read
	known atomic.Pointer[peerAnswer]
}

type peerAnswer struct {
	source *peerSource
	until  time.Duration // since epoch
	who    *Identity
	err    error
}

// ConnContext is for http.Server's field of that name: it keeps the peer
// credentials of unix connections, also of wrapped ones that have a method
// NetConn() net.Conn. Of a LocalConn it keeps whose it is, and no credentials:
// both ends are moorgate itself.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	for {
		switch k := c.(type) {
		case *LocalConn:
			return withLocal(ctx, k)
		case *net.UnixConn:
			peer, err := readPeer(k)
			return withEvidence(ctx, peer, err)
		}
		w, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = w.NetConn()
	}
}

// PeerOf is the process at the other end of the unix connection that ctx
// belongs to; nil where there is none.
func PeerOf(ctx context.Context) *Peer {
	if e, ok := ctx.Value(peerKey{}).(*peerEvidence); ok && e.err == nil {
		return &e.peer
	}
	return nil
}

// WithPeer gives a connection's context the credentials p.
func WithPeer(ctx context.Context, p Peer) context.Context { return withEvidence(ctx, p, nil) }

func withEvidence(ctx context.Context, p Peer, err error) context.Context {
	p.text = p.String()
	return context.WithValue(ctx, peerKey{}, &peerEvidence{peer: p, err: err})
}

var epoch = time.Now()

// peerSource knows callers by the credentials of their unix connection.
type peerSource struct{ dir *Directory }

func (*peerSource) Name() string { return "peer" }

func (*peerSource) Ask() (how, challenge string) {
	return "connect through the unix socket (docker: DOCKER_HOST=unix://PATH)", ""
}

func (s *peerSource) Identify(r *http.Request) (*Identity, error) {
	e, _ := r.Context().Value(peerKey{}).(*peerEvidence)
	if e == nil {
		return nil, nil
	}
	now := time.Since(epoch) // half of what time.Now costs
	if a := e.known.Load(); a != nil && a.source == s && now < a.until {
		return a.who, a.err
	}
	a := &peerAnswer{source: s, until: now + nameLife}
	a.who, a.err = s.find(e)
	e.known.Store(a)
	return a.who, a.err
}

func (s *peerSource) find(e *peerEvidence) (*Identity, error) {
	if e.err != nil {
		return nil, fmt.Errorf("reading the credentials of the unix connection: %w", e.err)
	}
	p := &e.peer
	groups := make([]string, 0, 1+len(p.Groups))
	groups = append(groups, s.dir.names.group(p.GID))
	for _, gid := range p.Groups {
		if gid != p.GID {
			groups = append(groups, s.dir.names.group(gid))
		}
	}
	configured, own := s.dir.byUID[p.UID], ""
	if configured == "" {
		own = s.dir.names.user(p.UID)
	}
	uid := strconv.FormatUint(uint64(p.UID), 10)
	who, err := s.dir.find(configured, own, groups, "uid "+uid, "uid: "+uid)
	if err != nil {
		return nil, err
	}
	who.Method, who.Peer = s.Name(), p
	return who, nil
}

// nameLife is how long a name of the system, or the groups of a connection,
// are believed before they are looked up again.
const nameLife = time.Minute

// maxNames bounds how many names are kept.
const maxNames = 4096

// systemNames gives the system's names of uids and gids, each kept for
// nameLife. A gid without a name is its number.
type systemNames struct {
	lookupUser  func(uid string) (string, error)
	lookupGroup func(gid string) (string, error)
	now         func() time.Time

	mu     sync.Mutex
	users  map[uint32]systemName
	groups map[uint32]systemName
}

type systemName struct {
	name  string
	until time.Time
}

func newSystemNames() *systemNames {
	return &systemNames{
		lookupUser: func(uid string) (string, error) {
			u, err := user.LookupId(uid)
			if err != nil {
				return "", err
			}
			return u.Username, nil
		},
		lookupGroup: func(gid string) (string, error) {
			g, err := user.LookupGroupId(gid)
			if err != nil {
				return "", err
			}
			return g.Name, nil
		},
		now:    time.Now,
		users:  map[uint32]systemName{},
		groups: map[uint32]systemName{},
	}
}

func (n *systemNames) user(uid uint32) string {
	return n.name(n.users, uid, n.lookupUser, "")
}

func (n *systemNames) group(gid uint32) string {
	return n.name(n.groups, gid, n.lookupGroup, strconv.FormatUint(uint64(gid), 10))
}

func (n *systemNames) name(known map[uint32]systemName, id uint32, lookup func(string) (string, error), otherwise string) string {
	now := n.now()
	n.mu.Lock()
	k, ok := known[id]
	n.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.name
	}
	name, err := lookup(strconv.FormatUint(uint64(id), 10)) // may read files or ask a server: not under the lock
	if err != nil || name == "" {
		name = otherwise
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(known) >= maxNames {
		clear(known)
	}
	known[id] = systemName{name, now.Add(nameLife)}
	return name
}
