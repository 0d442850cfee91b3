package authz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// Options are a Chain's.
type Options struct {
	// DryRun denies nothing and records what would be denied.
	DryRun bool
}

// Chain asks authorizers in order, all of whom must allow. An empty one denies
// everything but system.ping and system.version, which answer everyone who is
// identified without being judged.
type Chain struct {
	steps  []step
	dryRun bool
}

type step struct {
	name   string
	ask    Authorizer
	review Reviewer       // nil if it does not review
	stream StreamReviewer // nil if it does not review what grows
	dryRun bool
}

// New makes a Chain of authorizers.
func New(authorizers []Authorizer, o Options) *Chain {
	c := &Chain{dryRun: o.DryRun}
	for _, a := range authorizers {
		s := step{name: a.Name(), ask: a, dryRun: o.DryRun}
		if d, ok := a.(dryRun); ok {
			s.ask, s.dryRun = d.Authorizer, true
		}
		s.review, _ = s.ask.(Reviewer)
		s.stream, _ = s.ask.(StreamReviewer)
		c.steps = append(c.steps, s)
	}
	return c
}

// Middleware judges each call, keeps the judgement in its audit record, and
// hands on what is allowed.
func (c *Chain) Middleware(next router.Handler) router.Handler {
	return router.HandlerFunc(func(w http.ResponseWriter, r *http.Request, call *router.Call) error {
		rec := audit.From(r.Context())
		err := c.judge(r.Context(), rec, call)
		if err == nil {
			if call.Route.Reply >= router.Stream {
				rec.Stream(call.Route.Reply.String())
			}
			err = next.ServeCall(w, r, call)
		}
		rec.Fail(err)
		return err
	})
}

var errNobody = &router.Error{Status: http.StatusUnauthorized, Message: "moorgate: who are you?"}

// judge fills the record and gives nil if the call may go on.
func (c *Chain) judge(ctx context.Context, rec *audit.Record, call *router.Call) error {
	rec.Action, rec.Engine = call.Action, call.Engine
	who, ok := identity.From(ctx)
	if !ok {
		return errNobody
	}
	if free(call) {
		rec.Decision = audit.Allow
		return nil
	}
	refs, err := call.Objects()
	if err != nil {
		return err
	}
	rec.AddRefs(refs)
	j := judgement{rec: rec, who: who, call: call}
	for _, s := range c.steps {
		authorize := s.ask.Authorize
		if s.dryRun {
			authorize = s.rehearse
		}
		d, err := authorize(j.withLate(ctx, s), who, call)
		if err := j.take(s, d, err); err != nil {
			return err
		}
	}
	if err := j.take(c.last(call)); err != nil {
		return err
	}
	if rec.Decision == "" {
		rec.Decision = audit.Allow
	}
	if c.dryRun && rec.Decision == audit.WouldDeny {
		call.PassUnknown = true // as the caller wrote it
	}
	return nil
}

// last denies what no authorizer has answered for: everything if there is none,
// and query keys that this version of moorgate does not know, which would be
// left out of the request. Empty values mean nothing and may be left out.
func (c *Chain) last(call *router.Call) (step, Decision, error) {
	s := step{name: "moorgate", dryRun: c.dryRun}
	if len(c.steps) == 0 {
		return s, Decision{Rule: "no rules", Reason: "nothing is allowed here yet: configure roles"}, nil
	}
	if call.PassUnknown || len(call.Unknown) == 0 {
		return s, Decision{Allow: true}, nil
	}
	for _, key := range slices.Sorted(maps.Keys(call.Unknown)) {
		if slices.ContainsFunc(call.Unknown[key], func(v string) bool { return v != "" }) {
			return s, Decision{Rule: "unknown query", Reason: fmt.Sprintf("leave out the query key %q, which this version of moorgate does not know", key)}, nil
		}
	}
	return s, Decision{Allow: true}, nil
}

// Review asks the reviewers whether the caller may see the Engine's answer; an
// error says that they may not, and is the answer instead.
func (c *Chain) Review(ctx context.Context, call *router.Call, resp *http.Response) error {
	if free(call) {
		return nil
	}
	j := judgement{rec: audit.From(ctx), call: call}
	for _, s := range c.steps {
		review := s.reviewer(call)
		if review == nil {
			continue
		}
		if j.who.User == "" {
			who, ok := identity.From(ctx)
			if !ok {
				return errNobody
			}
			j.who = who
		}
		d, err := review(ctx, j.who, call, resp)
		if err := j.take(s, d, err); err != nil {
			return err
		}
	}
	return nil
}

// reviewer is how s reviews the answer to a call; nil if it does not.
func (s *step) reviewer(call *router.Call) func(context.Context, identity.Identity, *router.Call, *http.Response) (Decision, error) {
	switch {
	case s.review == nil:
	case s.dryRun:
		return s.rehearseReview
	case call.Route.Reply <= router.List:
		return s.review.Review
	case call.Route.Reply == router.Stream && s.stream != nil:
		return s.stream.ReviewStream
	}
	return nil
}

// judgement is one call being judged.
type judgement struct {
	rec  *audit.Record
	who  identity.Identity
	call *router.Call
}

// take keeps what one authorizer said and gives the refusal, if it is one and
// is obeyed. Of several that would deny in a dry run, the record keeps the
// first.
func (j *judgement) take(s step, d Decision, err error) error {
	if err == nil && d.Allow {
		if j.rec.Rule == "" && j.rec.Decision != audit.WouldDeny {
			j.rec.Rule, j.rec.Reason = d.Rule, d.Reason
		}
		return nil
	}
	refusal, decision := j.refuse(s, &d, err)
	switch {
	case !s.dryRun:
		j.rec.Decision = decision
	case j.rec.Decision == audit.WouldDeny:
		return nil
	default:
		j.rec.Decision = audit.WouldDeny
	}
	j.rec.Rule, j.rec.Reason = d.Rule, d.Reason
	if s.dryRun {
		if refusal.Err != nil {
			j.rec.Error = refusal.Err.Error()
		}
		return nil
	}
	return refusal
}

// refuse makes the answer to a caller who may not, and completes d.
func (j *judgement) refuse(s step, d *Decision, err error) (*router.Error, audit.Decision) {
	if d.Rule == "" {
		d.Rule = s.name
	}
	var own *router.Error
	switch {
	case err == nil:
		return &router.Error{Status: http.StatusForbidden, Message: j.text(d)}, audit.Deny
	case errors.As(err, &own) && own.Status < http.StatusInternalServerError:
		d.Reason = own.Message
		return own, audit.Deny
	case own != nil:
		d.Reason = own.Message
		return own, audit.Failed
	}
	d.Reason = s.name + " could not decide"
	return &router.Error{
		Status:  http.StatusServiceUnavailable,
		Message: j.text(d),
		Err:     fmt.Errorf("asking %s: %w", s.name, err),
	}, audit.Failed
}

// text is what a refused caller reads.
func (j *judgement) text(d *Decision) string {
	var b strings.Builder
	b.WriteString("moorgate: ")
	b.WriteString(j.who.User)
	b.WriteString(" may not ")
	b.WriteString(j.call.Action)
	s := shown(d.Subject)
	if s == "" {
		s = subject(j.call)
	}
	if s != "" {
		b.WriteByte(' ')
		b.WriteString(s)
	}
	b.WriteString(" (")
	b.WriteString(d.Rule)
	b.WriteByte(')')
	if d.Reason != "" {
		b.WriteString(": ")
		b.WriteString(d.Reason)
	}
	return b.String()
}

// maxSubject bounds how much of a name a message repeats.
const maxSubject = 256

// subject is the object that a refusal is about: the first that query or body
// bring in, else the path's.
func subject(call *router.Call) string {
	name := call.Name()
	if refs, err := call.Further(); err == nil && len(refs) > 0 {
		name = refs[0].Name
	}
	return shown(name)
}

// shown is a name as messages repeat it.
func shown(name string) string {
	if len(name) > maxSubject {
		name = name[:maxSubject] + "..."
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) || !utf8.ValidString(name) {
		return strconv.Quote(name) // a name may come from somebody else's file
	}
	return name
}

// free says whether a call answers everyone who is identified.
func free(call *router.Call) bool {
	return call.Action == "system.ping" || call.Action == "system.version"
}
