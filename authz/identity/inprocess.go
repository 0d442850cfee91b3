package identity

import (
	"context"
	"net/http"
)

type inProcessKey struct{}

// WithIdentity tags the context of a connection that was made inside this
// process on behalf of who, as a browser's terminal makes them. No request
// from outside can carry the tag.
func WithIdentity(ctx context.Context, who *Identity) context.Context {
	return context.WithValue(ctx, inProcessKey{}, who)
}

// InProcess is the source for connections that WithIdentity tagged. The user's
// roles are read anew from d, so a right withdrawn is gone; the evidence stays
// the one by which the user came in.
func InProcess(d *Directory) Source { return inProcessSource{d} }

type inProcessSource struct{ dir *Directory }

func (inProcessSource) Name() string { return "in-process" }

func (s inProcessSource) Identify(r *http.Request) (*Identity, error) {
	tagged, _ := r.Context().Value(inProcessKey{}).(*Identity)
	if tagged == nil {
		return nil, nil
	}
	who := *tagged
	who.Roles = s.dir.Roles(who.User, who.Groups)
	return &who, nil
}
