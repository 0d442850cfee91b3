package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/router"
)

func TestFail(t *testing.T) {
	cause := errors.New("dial unix: refused")
	away := &router.Error{Status: 502, Message: "the engine is away", Err: cause}
	tests := []struct {
		name          string
		record        Record
		err           error
		reason, error string
	}{
		{"none", Record{}, nil, "", ""},
		{"undecided", Record{}, &router.Error{Status: 400, Message: "bad"}, "bad", ""},
		{"undecided with a cause", Record{}, away, "the engine is away", "dial unix: refused"},
		{"allowed", Record{Decision: Allow, Reason: "r"}, &router.Error{Status: 502, Message: "away"}, "r", "away"},
		{"allowed with a cause", Record{Decision: Allow}, away, "", "dial unix: refused"},
		{"wrapped", Record{Decision: Allow}, fmt.Errorf("forwarding: %w", away), "", "dial unix: refused"},
		{"denied", Record{Decision: Deny, Reason: "pin a version"}, &router.Error{Status: 403, Message: "moorgate: ..."}, "pin a version", ""},
		{"another error", Record{}, cause, "", "dial unix: refused"},
		{"the first holds", Record{Error: "first"}, cause, "", "first"},
	}
	for _, test := range tests {
		r := test.record
		r.Fail(test.err)
		if r.Reason != test.reason || r.Error != test.error {
			t.Errorf("%s: reason %q, error %q, want %q, %q", test.name, r.Reason, r.Error, test.reason, test.error)
		}
	}
}

func TestAddRefBounds(t *testing.T) {
	var r Record
	r.AddRef("image", "a")
	r.AddRef("image", "a")
	if len(r.Refs) != 1 {
		t.Errorf("one object is kept as %q", r.Refs)
	}
	r.Refs = nil
	for i := range 2 * maxRefs {
		r.AddRef("image", fmt.Sprint(i)+strings.Repeat("x", 1000))
	}
	if len(r.Refs) != maxRefs || len(r.Refs[0]) != maxRef {
		t.Errorf("%d refs of %d bytes", len(r.Refs), len(r.Refs[0]))
	}
}

// TestNoCredentials: an address that the Engine fetches from may have some.
func TestNoCredentials(t *testing.T) {
	for _, test := range []struct{ kind, name, want string }{
		{"registry", "https://me:sekret@example.org/x.git#main", "registry:https://***@example.org/x.git#main"},
		{"registry", "http://me:se@kret@example.org", "registry:http://***@example.org"},
		{"registry", "me:sekret@example.org/x", "registry:***@example.org/x"},
		{"registry", "https://example.org/a@b", "registry:https://example.org/a@b"},
		{"image", "docker.io/library/a@sha256:00", "image:docker.io/library/a@sha256:00"},
		{"image", "http://me:sekret@host/x:1", "image:http://***@host/x:1"},
	} {
		var r Record
		r.AddRefs([]router.Ref{{Kind: router.Kind(test.kind), Name: test.name}})
		r.Reason = fmt.Sprintf("the Engine would fetch %q", "https://me:sekret@example.org/x")
		r.Error = `Get "https://me:sekret@example.org/x": refused`
		r.end()
		if line := string(r.appendJSON(nil)); r.Refs[0] != test.want || strings.Contains(line, "kret") {
			t.Errorf("%s %s is recorded as %s", test.kind, test.name, line)
		}
	}
}

// TestAddRefs adds what AddRef does, one by one.
func TestAddRefs(t *testing.T) {
	long := strings.Repeat("é", maxRef)
	for _, refs := range [][]router.Ref{
		nil,
		{{Kind: router.Image, Name: "a"}, {Kind: router.Image, Name: "a"}, {Kind: router.Volume, Name: "a"}, {Kind: router.Volume}},
		{{Kind: router.Image, Name: long}, {Kind: router.Image, Name: long[:maxRef]}, {Kind: router.Image, Name: "b"}},
		slices.Repeat([]router.Ref{{Kind: router.Network, Name: "n"}, {Kind: router.Network, Name: "m"}}, 2*maxRefs),
		func() (all []router.Ref) {
			for i := range 2 * maxRefs {
				all = append(all, router.Ref{Kind: router.HostPath, Name: fmt.Sprint("/", i)})
			}
			return all
		}(),
	} {
		var one, all Record
		for range 2 {
			for _, ref := range refs {
				one.AddRef(string(ref.Kind), ref.Name)
			}
			all.AddRefs(refs)
		}
		if !slices.Equal(one.Refs, all.Refs) {
			t.Errorf("%.200q, one by one %.200q", all.Refs, one.Refs)
		}
	}
}

func TestFromNowhere(t *testing.T) {
	From(t.Context()).AddRef("a", "b") // must not panic
	r := &Record{}
	if From(NewContext(t.Context(), r)) != r {
		t.Error("the record of the context is not found")
	}
}

// seen is a sink that keeps copies.
type seen []Record

func (s *seen) Record(r *Record) { *s = append(*s, *r) }

func TestEmit(t *testing.T) {
	var a, b seen
	(&Record{Session: "s", Event: EventOpen}).Emit(&a, &b)
	(&Record{ID: "of a request", Time: time.Unix(1, 0)}).Emit(&a)
	if len(a) != 2 || len(b) != 1 || a[0].ID == "" || a[0].Time.IsZero() || a[0].ID != b[0].ID {
		t.Errorf("the sinks got %+v and %+v", a, b)
	}
	if a[1].ID != "of a request" || a[1].Time.Unix() != 1 {
		t.Errorf("what was known is lost: %+v", a[1])
	}
}
