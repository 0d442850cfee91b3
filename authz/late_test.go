package authz

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// laterNo allows a call and refuses what its archive turns out to hold.
type laterNo struct{}

func (laterNo) Name() string { return "roles" }

func (laterNo) Authorize(ctx context.Context, _ identity.Identity, call *router.Call) (Decision, error) {
	call.Stream = readFunc(func([]byte) (int, error) {
		if err := Late(ctx, Decision{Rule: "role developer, images[1]", Reason: "pin a version"}); err != nil {
			return 0, err
		}
		return 0, io.EOF
	})
	return Decision{Allow: true, Rule: "role developer"}, nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestLate: a refusal while the archive goes up is answered and recorded as
// one that came before, and a dry run lets it pass.
func TestLate(t *testing.T) {
	upload := func(_ http.ResponseWriter, _ *http.Request, call *router.Call) error {
		_, err := io.ReadAll(call.Stream)
		return err
	}
	for _, dry := range []bool{false, true} {
		call := &router.Call{Action: "image.load", Route: &router.Route{Body: router.Tar}, Stream: strings.NewReader("x")}
		_, rec, err := run(New([]Authorizer{laterNo{}}, Options{DryRun: dry}), alice, call, upload)
		if rec.Rule != "role developer, images[1]" || rec.Reason != "pin a version" {
			t.Errorf("dry run %v: recorded %q, %q", dry, rec.Rule, rec.Reason)
		}
		switch {
		case dry && (err != nil || rec.Decision != audit.WouldDeny):
			t.Errorf("dry run: %v, %s", err, rec.Decision)
		case !dry && (rec.Decision != audit.Deny || err == nil || err.Error() != "moorgate: alice may not image.load (role developer, images[1]): pin a version"):
			t.Errorf("got %v, %s", err, rec.Decision)
		}
	}
	if err := Late(context.Background(), Decision{}); err == nil {
		t.Error("outside a chain it is let pass")
	}
}
