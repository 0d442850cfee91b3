package authz

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"

	"moorgate/authz/identity"
	"moorgate/router"
)

// maxRehearsed is the longest answer in bytes of which a step in dry run says
// whether it may be seen: it is held in memory, so that it can be sent as it
// came. Of a longer one nothing is said.
const maxRehearsed = 16 << 20

// DryRun makes a Chain ask a and record what it would deny, but not obey it:
// what it does to the call's path and query, and to the answer, is undone. What
// it writes into a body stays, so that what is made in a dry run is labelled.
func DryRun(a Authorizer) Authorizer { return dryRun{a} }

type dryRun struct{ Authorizer }

// rehearse asks s about a call and undoes what it did.
func (s *step) rehearse(ctx context.Context, who identity.Identity, call *router.Call) (Decision, error) {
	query, vars := maps.Clone(call.Query), call.Vars()
	d, err := s.ask.Authorize(ctx, who, call)
	call.Query = query
	for name, value := range vars {
		call.SetVar(name, value)
	}
	return d, err
}

// rehearseReview asks s about an answer and undoes what it did. What grows is
// not asked about: its verdict could only come with the answer's end.
func (s *step) rehearseReview(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (Decision, error) {
	if call.Route.Reply > router.List {
		return Decision{Allow: true}, nil
	}
	whole := resp.Body
	if whole == nil {
		whole = http.NoBody
	}
	read, err := io.ReadAll(io.LimitReader(whole, maxRehearsed+1))
	again := func() io.Reader {
		if err != nil {
			return io.MultiReader(bytes.NewReader(read), broken{err})
		}
		return bytes.NewReader(read)
	}
	if len(read) > maxRehearsed {
		resp.Body = body{io.MultiReader(again(), whole), whole}
		return Decision{Allow: true}, nil
	}
	kept := *resp
	resp.Header = resp.Header.Clone()
	resp.Body = io.NopCloser(again())
	d, refusal := s.review.Review(ctx, who, call, resp)
	*resp = kept
	if len(read) > 0 || err != nil {
		resp.Body = body{again(), whole}
	}
	return d, refusal
}

// body is an answer's, read from elsewhere.
type body struct {
	io.Reader
	io.Closer
}

// broken is the end of an answer that the Engine broke off.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
