package authz

import (
	"context"
	"net/http"

	"moorgate/authz/audit"
	"moorgate/router"
)

// Late judges what comes to light only while a call's archive goes up, after
// the call itself was allowed. A decision that denies is recorded; its error,
// nil in a dry run, is what reading the archive must fail with.
func Late(ctx context.Context, d Decision) error {
	if l, ok := ctx.Value(lateKey{}).(*late); ok {
		return l.take(d)
	}
	if d.Allow {
		return nil
	}
	return &router.Error{Status: http.StatusForbidden, Message: "moorgate: refused (" + d.Rule + "): " + d.Reason}
}

type lateKey struct{}

// late is the place in a chain where a call was allowed.
type late struct {
	judgement *judgement
	step      step
}

func (l *late) take(d Decision) error {
	if d.Allow {
		return nil
	}
	if l.judgement.rec.Decision == audit.Allow {
		l.judgement.rec.Decision = "" // it does not hold any more
	}
	return l.judgement.take(l.step, d, nil)
}

// withLate lets the authorizer of a step judge late where a call has an
// archive.
func (j judgement) withLate(ctx context.Context, s step) context.Context {
	if j.call.Stream == nil {
		return ctx
	}
	return context.WithValue(ctx, lateKey{}, &late{&j, s})
}
