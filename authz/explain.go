package authz

import (
	"context"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// Verdict is what one authorizer says of a call.
type Verdict struct {
	Name     string
	Decision Decision
	Err      error // it could not decide, which denies
	DryRun   bool  // asked, but not obeyed
}

// Explain judges a call as Middleware does and tells, beside the outcome,
// what each authorizer says, also those behind the first that denies. The
// error is what the caller would be answered; the record holds the rest.
func (c *Chain) Explain(ctx context.Context, who identity.Identity, call *router.Call) ([]Verdict, audit.Record, error) {
	var verdicts []Verdict
	watched := &Chain{dryRun: c.dryRun}
	for _, s := range c.steps {
		s.ask = watch{s.ask, func(d Decision, err error) {
			verdicts = append(verdicts, Verdict{s.name, d, err, s.dryRun})
		}}
		watched.steps = append(watched.steps, s)
	}
	rec := &audit.Record{}
	ctx = identity.NewContext(audit.NewContext(ctx, rec), &who)
	err := watched.judge(ctx, rec, call)
	rec.Fail(err)
	if !free(call) {
		for _, s := range watched.steps[len(verdicts):] {
			_, _ = s.ask.Authorize(ctx, who, call) // its verdict is noted
		}
	}
	return verdicts, *rec, err
}

// watch is an Authorizer whose decisions are noted.
type watch struct {
	Authorizer
	note func(Decision, error)
}

func (w watch) Authorize(ctx context.Context, who identity.Identity, call *router.Call) (Decision, error) {
	d, err := w.Authorizer.Authorize(ctx, who, call)
	w.note(d, err)
	return d, err
}
