package identity

import (
	"context"
	"net"
	"net/http"
)

// LocalConn is the server's end of a connection that was made inside this
// process on behalf of a user, as a browser's terminal makes them. What is
// sent on it cannot change whose it is.
type LocalConn struct {
	*net.UnixConn
	who *Identity
}

// NewLocalConn makes c one of who's.
func NewLocalConn(c *net.UnixConn, who *Identity) *LocalConn { return &LocalConn{c, who} }

type localKey struct{}

// Local is the source for the connections of this process: it knows callers by
// whom a LocalConn was made for. The user's roles are read anew from d, so a
// right withdrawn is gone.
func Local(d *Directory) Source { return localSource{d} }

type localSource struct{ dir *Directory }

func (localSource) Name() string { return "session" }

func (s localSource) Identify(r *http.Request) (*Identity, error) {
	made, _ := r.Context().Value(localKey{}).(*Identity)
	if made == nil {
		return nil, nil
	}
	who := *made
	who.Method, who.Peer = s.Name(), nil
	who.Roles = s.dir.Roles(who.User, who.Groups)
	return &who, nil
}

// withLocal gives a connection's context whose it is.
func withLocal(ctx context.Context, c *LocalConn) context.Context {
	return context.WithValue(ctx, localKey{}, c.who)
}
