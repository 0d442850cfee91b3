package authz

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// says is an authorizer that gives a fixed answer and counts the questions.
type says struct {
	name  string
	d     Decision
	err   error
	asked *[]string
}

func (s says) Name() string { return s.name }

func (s says) Authorize(_ context.Context, who identity.Identity, call *router.Call) (Decision, error) {
	if s.asked != nil {
		*s.asked = append(*s.asked, s.name+" "+who.User+" "+call.Action)
	}
	return s.d, s.err
}

// reviews also answers on answers.
type reviews struct {
	says
	d   Decision
	err error
}

func (r reviews) Review(_ context.Context, who identity.Identity, call *router.Call, resp *http.Response) (Decision, error) {
	if resp == nil || who.User == "" || call == nil {
		panic("asked about nothing")
	}
	return r.d, r.err
}

var alice = &identity.Identity{User: "alice", Method: "peer"}

func pull() *router.Call {
	return &router.Call{
		Action: "image.pull",
		Engine: "east",
		Route: &router.Route{Kind: router.Image, Refs: func(*router.Call) ([]router.Ref, error) {
			return []router.Ref{{Kind: router.Image, Name: "docker.io/library/ubuntu:22.04"}, {Kind: router.Registry, Name: "docker.io"}}, nil
		}},
	}
}

func ping() *router.Call { return &router.Call{Action: "system.ping", Route: &router.Route{}} }

// run sends one call through a chain and gives what next saw, the error and
// the record.
func run(c *Chain, who *identity.Identity, call *router.Call, next router.HandlerFunc) (passed bool, rec *audit.Record, err error) {
	rec = &audit.Record{}
	ctx := audit.NewContext(context.Background(), rec)
	if who != nil {
		ctx = identity.NewContext(ctx, who)
	}
	h := c.Middleware(router.HandlerFunc(func(w http.ResponseWriter, r *http.Request, call *router.Call) error {
		passed = true
		if next != nil {
			return next(w, r, call)
		}
		return nil
	}))
	err = h.ServeCall(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil).WithContext(ctx), call)
	return passed, rec, err
}

func TestChain(t *testing.T) {
	yes := says{name: "roles", d: Decision{Allow: true, Rule: "role developer"}}
	silentYes := says{name: "owner", d: Decision{Allow: true}}
	no := says{name: "roles", d: Decision{Rule: "role developer, images[1]", Reason: "pin a version"}}
	zero := says{name: "opa"}
	broken := says{name: "opa", err: errors.New("dial: refused")}
	brokenYes := says{name: "opa", d: Decision{Allow: true}, err: errors.New("half an answer")}
	missing := says{name: "owner", err: &router.Error{Status: 404, Message: "No such image: x"}}
	away := says{name: "owner", err: &router.Error{Status: 502, Message: "the engine is away", Err: errors.New("dial")}}
	const who = "moorgate: alice may not image.pull docker.io/library/ubuntu:22.04 "
	tests := []struct {
		name    string
		chain   []Authorizer
		options Options
		status  int // 0: it passed
		message string
		record  audit.Record // Decision, Rule, Reason, Error
	}{
		{"allowed", []Authorizer{yes}, Options{}, 0, "", audit.Record{Decision: "allow", Rule: "role developer"}},
		{"the first rule is kept", []Authorizer{silentYes, yes, says{name: "x", d: Decision{Allow: true, Rule: "later"}}}, Options{}, 0, "", audit.Record{Decision: "allow", Rule: "role developer"}},
		{"denied", []Authorizer{yes, no}, Options{}, 403, who + "(role developer, images[1]): pin a version",
			audit.Record{Decision: "deny", Rule: "role developer, images[1]", Reason: "pin a version"}},
		{"the zero decision denies", []Authorizer{yes, zero}, Options{}, 403, who + "(opa)", audit.Record{Decision: "deny", Rule: "opa"}},
		{"an empty chain denies", nil, Options{}, 403, who + "(no rules): nothing is allowed here yet: configure roles",
			audit.Record{Decision: "deny", Rule: "no rules", Reason: "nothing is allowed here yet: configure roles"}},
		{"an error denies", []Authorizer{yes, broken}, Options{}, 503, who + "(opa): opa could not decide",
			audit.Record{Decision: "error", Rule: "opa", Reason: "opa could not decide", Error: "asking opa: dial: refused"}},
		{"an error beside an allowance denies", []Authorizer{brokenYes}, Options{}, 503, who + "(opa): opa could not decide",
			audit.Record{Decision: "error", Rule: "opa", Reason: "opa could not decide", Error: "asking opa: half an answer"}},
		{"a refusal of its own kind", []Authorizer{yes, missing}, Options{}, 404, "No such image: x",
			audit.Record{Decision: "deny", Rule: "owner", Reason: "No such image: x"}},
		{"a failure of its own kind", []Authorizer{away}, Options{}, 502, "the engine is away",
			audit.Record{Decision: "error", Rule: "owner", Reason: "the engine is away", Error: "dial"}},
		{"dry run", []Authorizer{no, zero, yes}, Options{DryRun: true}, 0, "",
			audit.Record{Decision: "would_deny", Rule: "role developer, images[1]", Reason: "pin a version"}},
		{"dry run with an error", []Authorizer{yes, broken}, Options{DryRun: true}, 0, "",
			audit.Record{Decision: "would_deny", Rule: "opa", Reason: "opa could not decide", Error: "asking opa: dial: refused"}},
		{"dry run that allows", []Authorizer{yes}, Options{DryRun: true}, 0, "", audit.Record{Decision: "allow", Rule: "role developer"}},
		{"dry run of none", nil, Options{DryRun: true}, 0, "", audit.Record{Decision: "would_deny", Rule: "no rules", Reason: "nothing is allowed here yet: configure roles"}},
		{"one in dry run", []Authorizer{yes, DryRun(zero)}, Options{}, 0, "", audit.Record{Decision: "would_deny", Rule: "opa"}},
		{"one in dry run, another in earnest", []Authorizer{DryRun(zero), no}, Options{}, 403, who + "(role developer, images[1]): pin a version",
			audit.Record{Decision: "deny", Rule: "role developer, images[1]", Reason: "pin a version"}},
		{"personal mode", []Authorizer{Unrestricted{}}, Options{}, 0, "", audit.Record{Decision: "allow", Rule: "personal mode"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			passed, rec, err := run(New(test.chain, test.options), alice, pull(), nil)
			if passed != (test.status == 0) || passed != (err == nil) {
				t.Fatalf("passed %v with %v", passed, err)
			}
			var refusal *router.Error
			if errors.As(err, &refusal) && (refusal.Status != test.status || refusal.Message != test.message) {
				t.Errorf("got %d %q, want %d %q", refusal.Status, refusal.Message, test.status, test.message)
			}
			if rec.Decision != test.record.Decision || rec.Rule != test.record.Rule || rec.Reason != test.record.Reason || rec.Error != test.record.Error {
				t.Errorf("the record has %q %q %q %q, want %+v", rec.Decision, rec.Rule, rec.Reason, rec.Error, test.record)
			}
			if rec.Action != "image.pull" || rec.Engine != "east" || !slices.Equal(rec.Refs, []string{"image:docker.io/library/ubuntu:22.04", "registry:docker.io"}) {
				t.Errorf("the record has %q %q %q", rec.Action, rec.Engine, rec.Refs)
			}
		})
	}
}

func TestChainAsksInOrderAndStops(t *testing.T) {
	var asked []string
	allow := func(name string) says { return says{name: name, d: Decision{Allow: true}, asked: &asked} }
	run(New([]Authorizer{allow("a"), allow("b"), says{name: "c", asked: &asked}, allow("d")}, Options{}), alice, pull(), nil)
	if got := strings.Join(asked, ", "); got != "a alice image.pull, b alice image.pull, c alice image.pull" {
		t.Errorf("asked %s", got)
	}
}

func TestChainNobody(t *testing.T) {
	for _, call := range []*router.Call{pull(), ping()} {
		passed, rec, err := run(New([]Authorizer{Unrestricted{}}, Options{DryRun: true}), nil, call, nil)
		var refusal *router.Error
		if passed || !errors.As(err, &refusal) || refusal.Status != 401 || rec.Reason != refusal.Message {
			t.Errorf("%s without an identity: passed %v, %v, reason %q", call.Action, passed, err, rec.Reason)
		}
	}
}

func TestChainPing(t *testing.T) {
	deny := New([]Authorizer{says{name: "no"}}, Options{})
	for _, action := range []string{"system.ping", "system.version"} {
		call := &router.Call{Action: action, Route: &router.Route{}}
		for _, c := range []*Chain{deny, New(nil, Options{})} {
			if passed, rec, err := run(c, alice, call, nil); !passed || err != nil || rec.Decision != audit.Allow || rec.Action != action {
				t.Errorf("%s: passed %v, %v, %+v", action, passed, err, rec)
			}
			if err := c.Review(t.Context(), call, &http.Response{}); err != nil {
				t.Errorf("reviewing %s: %v", action, err)
			}
		}
	}
}

func TestChainKeepsErrorsOfNext(t *testing.T) {
	want := errors.New("dial: refused")
	_, rec, err := run(New([]Authorizer{Unrestricted{}}, Options{}), alice, pull(), func(http.ResponseWriter, *http.Request, *router.Call) error { return want })
	if err != want || rec.Error != "dial: refused" || rec.Decision != audit.Allow {
		t.Errorf("got %v, %q, %q", err, rec.Error, rec.Decision)
	}
}

func TestChainBadRefs(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
	}{{errors.New("bad name"), 400}, {&router.Error{Status: 413, Message: "bad name"}, 413}} {
		call := &router.Call{Action: "image.pull", Route: &router.Route{Refs: func(*router.Call) ([]router.Ref, error) { return nil, test.err }}}
		passed, rec, err := run(New([]Authorizer{Unrestricted{}}, Options{}), alice, call, nil)
		var refusal *router.Error
		if passed || !errors.As(err, &refusal) || refusal.Status != test.status || rec.Reason != "bad name" {
			t.Errorf("passed %v, %v, reason %q", passed, err, rec.Reason)
		}
	}
}

func TestChainUnknownQuery(t *testing.T) {
	yes := says{name: "roles", d: Decision{Allow: true}}
	tests := []struct {
		name    string
		unknown url.Values
		chain   []Authorizer
		options Options
		pass    bool // the call passes
		unkept  bool // without what is unknown
	}{
		{"restricted", url.Values{"x": {"1"}}, []Authorizer{yes}, Options{}, false, false},
		{"an empty value", url.Values{"x": {""}}, []Authorizer{yes}, Options{}, true, true},
		{"an empty value and another", url.Values{"x": {"", "1"}}, []Authorizer{yes}, Options{}, false, false},
		{"personal mode", url.Values{"x": {"1"}}, []Authorizer{Unrestricted{}}, Options{}, true, false},
		{"dry run", url.Values{"x": {"1"}}, []Authorizer{yes}, Options{DryRun: true}, true, false},
		{"an empty value while another is in dry run", url.Values{"x": {""}}, []Authorizer{yes, DryRun(says{name: "opa"})}, Options{}, true, true},
		{"only another is in dry run", url.Values{"x": {"1"}}, []Authorizer{yes, DryRun(says{name: "opa"})}, Options{}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			call := pull()
			call.Unknown = test.unknown
			passed, _, err := run(New(test.chain, test.options), alice, call, nil)
			if passed != test.pass || passed && call.PassUnknown == test.unkept {
				t.Errorf("passed %v, with the unknown %v, %v", passed, call.PassUnknown, err)
			}
			if err != nil && !strings.Contains(err.Error(), `"x"`) {
				t.Errorf("%v does not name the key", err)
			}
		})
	}
}

func TestChainReview(t *testing.T) {
	yes := says{name: "opa", d: Decision{Allow: true}}
	tests := []struct {
		name     string
		reviewer Authorizer
		options  Options
		status   int
		decision audit.Decision
	}{
		{"no reviewer", yes, Options{}, 0, audit.Allow},
		{"allowed", reviews{yes, Decision{Allow: true}, nil}, Options{}, 0, audit.Allow},
		{"denied", reviews{yes, Decision{}, nil}, Options{}, 403, audit.Deny},
		{"broken", reviews{yes, Decision{Allow: true}, errors.New("x")}, Options{}, 503, audit.Failed},
		{"dry run", reviews{yes, Decision{}, nil}, Options{DryRun: true}, 0, audit.WouldDeny},
		{"it alone in dry run", DryRun(reviews{yes, Decision{}, nil}), Options{}, 0, audit.WouldDeny},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := New([]Authorizer{says{name: "roles", d: Decision{Allow: true}}, test.reviewer}, test.options)
			_, rec, err := run(c, alice, pull(), func(_ http.ResponseWriter, r *http.Request, call *router.Call) error {
				return c.Review(r.Context(), call, &http.Response{})
			})
			status := 0
			var refusal *router.Error
			if errors.As(err, &refusal) {
				status = refusal.Status
			}
			if status != test.status || rec.Decision != test.decision {
				t.Errorf("got %d, %v, %q, want %d, %q", status, err, rec.Decision, test.status, test.decision)
			}
		})
	}
	c := New([]Authorizer{reviews{yes, Decision{Allow: true}, nil}}, Options{})
	if err := c.Review(t.Context(), pull(), &http.Response{}); err == nil {
		t.Error("nobody may see an answer")
	}
}

func TestSubject(t *testing.T) {
	tests := []struct{ name, want string }{
		{"ubuntu", "ubuntu"},
		{"", ""},
		{"a\x1b[2J", `"a\x1b[2J"`},
		{"a\xff", `"a\xff"`},
		{strings.Repeat("x", 1000), strings.Repeat("x", maxSubject) + "..."},
	}
	for _, test := range tests {
		call := &router.Call{Route: &router.Route{Refs: func(*router.Call) ([]router.Ref, error) { return []router.Ref{{Name: test.name}}, nil }}}
		if got := subject(call); got != test.want {
			t.Errorf("subject of %.20q is %q", test.name, got)
		}
	}
}

// A refusal may say what it is about, where the call names several objects.
func TestChainSubject(t *testing.T) {
	for subject, want := range map[string]string{
		"":             "moorgate: alice may not image.pull docker.io/library/ubuntu:22.04 (r)",
		"ghcr.io/a/b":  "moorgate: alice may not image.pull ghcr.io/a/b (r)",
		"ghcr.io\na/b": `moorgate: alice may not image.pull "ghcr.io\na/b" (r)`,
	} {
		_, rec, err := run(New([]Authorizer{says{name: "roles", d: Decision{Rule: "r", Subject: subject}}}, Options{}), alice, pull(), nil)
		if err == nil || err.Error() != want || rec.Decision != audit.Deny {
			t.Errorf("%q: %v, %s", subject, err, rec.Decision)
		}
	}
}

func BenchmarkChain(b *testing.B) {
	c := New([]Authorizer{says{name: "roles", d: Decision{Allow: true, Rule: "role developer"}}}, Options{})
	h := c.Middleware(router.HandlerFunc(func(http.ResponseWriter, *http.Request, *router.Call) error { return nil }))
	r := httptest.NewRequest("GET", "/", nil)
	call := &router.Call{Action: "container.list", Route: &router.Route{Kind: router.Container}}
	rec := &audit.Record{}
	r = r.WithContext(identity.NewContext(audit.NewContext(r.Context(), rec), alice))
	b.ReportAllocs()
	for b.Loop() {
		*rec = audit.Record{}
		h.ServeCall(nil, r, call)
	}
}

// cuts reviews streams too.
type cuts struct{ reviews }

func (c cuts) ReviewStream(context.Context, identity.Identity, *router.Call, *http.Response) (Decision, error) {
	return Decision{Allow: true, Rule: "cut"}, nil
}

// TestChainReviewOfStreams: who may only see finite answers is not asked about
// one that grows, and nobody about what is no answer at all.
func TestChainReviewOfStreams(t *testing.T) {
	yes := says{name: "opa", d: Decision{Allow: true}}
	never := reviews{yes, Decision{}, errors.New("asked about a stream")}
	for _, test := range []struct {
		reviewer Authorizer
		reply    router.Reply
		fails    bool
		rule     string
	}{
		{never, router.List, true, "opa"},
		{never, router.Stream, false, ""},
		{cuts{never}, router.Stream, false, "cut"},
		{cuts{never}, router.Plain, true, "opa"},
		{cuts{never}, router.Hijack, false, ""},
		{cuts{never}, router.H2C, false, ""},
	} {
		rec := &audit.Record{}
		ctx := identity.NewContext(audit.NewContext(t.Context(), rec), alice)
		call := &router.Call{Action: "system.events", Route: &router.Route{Reply: test.reply}}
		err := New([]Authorizer{test.reviewer}, Options{}).Review(ctx, call, &http.Response{})
		if (err != nil) != test.fails || rec.Rule != test.rule {
			t.Errorf("%T of %s: %v, rule %q", test.reviewer, test.reply, err, rec.Rule)
		}
	}
}
