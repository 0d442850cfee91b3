package authz

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// narrows cuts calls and answers, as an owner's rules do.
type narrows struct{ deny bool }

func (narrows) Name() string { return "narrows" }

func (narrows) Authorize(_ context.Context, _ identity.Identity, call *router.Call) (Decision, error) {
	call.SetFilters(router.Filters{"label": {"mine"}})
	call.SetVar("name", "id")
	return Decision{Allow: true}, call.Body.Set("alice", "Labels", "owner")
}

func (c narrows) Review(_ context.Context, _ identity.Identity, _ *router.Call, resp *http.Response) (Decision, error) {
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return Decision{}, err
	}
	resp.StatusCode = 404
	resp.Header.Set("X-Cut", "yes")
	resp.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(text), "theirs", "")))
	return Decision{Allow: !c.deny}, nil
}

func (c narrows) ReviewStream(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (Decision, error) {
	return c.Review(ctx, who, call, resp)
}

// closes notes whether a body was closed.
type closes struct {
	io.Reader
	closed bool
}

func (c *closes) Close() error { c.closed = true; return nil }

func TestDryRunLeavesAlone(t *testing.T) {
	table := router.Table()
	create := &table[0]
	for i := range table {
		if table[i].Action == "container.create" {
			create = &table[i]
		}
	}
	for _, test := range []struct {
		name  string
		dry   bool
		reply router.Reply
		deny  bool
		want  string // status, header, body
		said  audit.Decision
	}{
		{"in earnest", false, router.List, false, "404 yes mine,", audit.Allow},
		{"in earnest, what grows", false, router.Stream, false, "404 yes mine,", audit.Allow},
		{"list", true, router.List, false, "200  mine,theirs", audit.Allow},
		{"refused", true, router.Plain, true, "200  mine,theirs", audit.WouldDeny},
		{"what grows", true, router.Stream, true, "200  mine,theirs", audit.Allow},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := Authorizer(narrows{test.deny})
			if test.dry {
				a = DryRun(a)
			}
			c := New([]Authorizer{says{name: "roles", d: Decision{Allow: true}}, a}, Options{})
			row := *create
			row.Reply = test.reply
			body, err := router.ParseDocument([]byte(`{}`), row.Of)
			if err != nil {
				t.Fatal(err)
			}
			call := &router.Call{Route: &row, Action: row.Action, Query: url.Values{"filters": {`{"label":{"any":true}}`}}, Body: body}
			came := &closes{Reader: strings.NewReader("mine,theirs")}
			_, rec, err := run(c, alice, call, func(_ http.ResponseWriter, r *http.Request, call *router.Call) error {
				resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: came}
				if err := c.Review(r.Context(), call, resp); err != nil {
					return err
				}
				text, err := io.ReadAll(resp.Body)
				if got := strings.Join([]string{http.StatusText(resp.StatusCode), resp.Header.Get("X-Cut"), string(text)}, " "); err != nil ||
					got != strings.Replace(strings.Replace(test.want, "404", "Not Found", 1), "200", "OK", 1) {
					t.Errorf("the caller sees %q, %v, want %q", got, err, test.want)
				}
				resp.Body.Close()
				return nil
			})
			if err != nil || rec.Decision != test.said {
				t.Errorf("%v, %s, want %s", err, rec.Decision, test.said)
			}
			if narrowed := strings.Contains(call.Query.Get("filters"), "mine"); narrowed == test.dry {
				t.Errorf("the query is %v", call.Query)
			}
			if string(call.Body.Bytes()) != `{"Labels":{"owner":"alice"}}` {
				t.Errorf("the body is %s", call.Body.Bytes())
			}
			if test.dry && !came.closed {
				t.Error("the Engine's answer is not closed")
			}
		})
	}
}

// An answer that breaks off breaks off for the caller too, and one too long to
// hold goes on unjudged, whole.
func TestDryRunLongAndBroken(t *testing.T) {
	c := New([]Authorizer{DryRun(narrows{deny: true})}, Options{})
	row := router.Route{Reply: router.List}
	off := errors.New("broken off")
	for _, test := range []struct {
		body io.Reader
		n    int64
		err  error
		said audit.Decision
	}{
		{io.MultiReader(strings.NewReader("half"), broken{off}), 4, off, audit.WouldDeny},
		{io.LimitReader(zeros{}, maxRehearsed), maxRehearsed, nil, audit.WouldDeny},
		{io.LimitReader(zeros{}, maxRehearsed+5), maxRehearsed + 5, nil, ""},
		{strings.NewReader(""), 0, nil, audit.WouldDeny},
	} {
		rec := &audit.Record{}
		ctx := identity.NewContext(audit.NewContext(t.Context(), rec), alice)
		resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(test.body)}
		if err := c.Review(ctx, &router.Call{Route: &row, Action: "image.list"}, resp); err != nil {
			t.Error(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if n != test.n || !errors.Is(err, test.err) || rec.Decision != test.said {
			t.Errorf("%d bytes, %v, %q, want %d, %v, %q", n, err, rec.Decision, test.n, test.err, test.said)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
