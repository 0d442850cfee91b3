// Package authz decides: it asks authorizers, in order, whether a caller may do
// what a call asks for, and whether the answer may be seen.
package authz

import (
	"context"
	"net/http"

	"moorgate/authz/identity"
	"moorgate/router"
)

// Decision says whether a caller may. The zero value denies.
type Decision struct {
	Allow  bool
	Rule   string // what decided, for the caller and the record: "role developer, images[1]"
	Reason string // why, and what to do instead

	// Subject is what a refusal is about, where that is not what the call's
	// query or body names first.
	Subject string
}

// Authorizer judges calls.
type Authorizer interface {
	// Name is what records and messages call it.
	Name() string

	// Authorize says whether who may make the call. It may narrow the call,
	// never widen it. An error denies: a router.Error below 500 is a refusal
	// of its own kind (404 for what must look missing, 429 for too much), and
	// every other error says that the authorizer could not decide.
	Authorize(ctx context.Context, who identity.Identity, call *router.Call) (Decision, error)
}

// Reviewer is an Authorizer that also judges the Engine's finite answers,
// before the caller sees any of them.
type Reviewer interface {
	Authorizer

	// Review says whether who may see resp. Errors are as in Authorize.
	Review(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (Decision, error)
}

// StreamReviewer is a Reviewer that also judges answers that grow
// (router.Stream), of which nothing may have come yet.
type StreamReviewer interface {
	Reviewer

	// ReviewStream says whether who may see resp, from its status and header.
	// To cut what it carries it puts a reader of its own in the Body's place,
	// as proxy.Review says; it must not read here.
	ReviewStream(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (Decision, error)
}

// Unrestricted allows everything, also what this version of moorgate does not
// know. It is for personal mode, whose only caller owns the Engine anyway.
type Unrestricted struct{}

// Name is "personal mode".
func (Unrestricted) Name() string { return "personal mode" }

// Authorize allows.
func (u Unrestricted) Authorize(_ context.Context, _ identity.Identity, call *router.Call) (Decision, error) {
	call.PassUnknown = true
	return Decision{Allow: true, Rule: u.Name()}, nil
}
