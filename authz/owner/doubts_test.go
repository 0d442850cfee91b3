package owner

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"moorgate/authz/identity"
	"moorgate/router"
)

// TestExact: a list that the Engine's filter has cut goes on as it comes, but
// not while a container may be in it that only says that it is the caller's.
func TestExact(t *testing.T) {
	mine, fresh, faked := fullID(1), fullID(2), fullID(3)
	pretends := `{"Id":"` + faked + `","Names":["/faked"],"Image":"busybox","ImageID":"` + imageID + `","Labels":{"moorgate.owner":"alice"}}`
	for _, test := range []struct {
		name   string
		listed string // when the index began
		fresh  string // what the Engine says of a container that only an event told of; "" for none
		target string
		exact  bool
	}{
		{"all as they say", listed(mine, "a", "alice"), "", "/containers/json?all=1", true},
		{"with a filter of the caller's", listed(mine, "a", "alice"), "", `/containers/json?filters={"label":["x"]}`, true},
		{"one pretends", listed(mine, "a", "alice") + "," + pretends, "", "/containers/json?all=1", false},
		{"with a limit", listed(mine, "a", "alice"), "", "/containers/json?limit=1", false},
		{"a new one is bob's", listed(mine, "a", "alice"), inspected(fresh, "n", "bob"), "/containers/json?all=1", true},
		{"a new one is alice's", listed(mine, "a", "alice"), inspected(fresh, "n", "alice"), "/containers/json?all=1", true},
		{"a new one pretends", listed(mine, "a", "alice"), strings.Replace(inspected(fresh, "n", "alice"), `"moorgate.image":"`, `"moorgate.image":"x`, 1), "/containers/json?all=1", false},
		{"a new one cannot be asked about", listed(mine, "a", "alice"), "no JSON", "/containers/json?all=1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			engine := newFake()
			engine.say("/containers/json?all=1", "["+test.listed+"]")
			o := newOwner(engine)
			x := live(t, o)
			if test.fresh != "" {
				engine.say("/containers/"+fresh+"/json", test.fresh)
				x.put(&object{Kind: router.Container, ID: fresh, Name: "n"})
			}
			call := read(t, "GET", test.target, "")
			if d, err := o.judge(t, "alice", call); !d.Allow || err != nil {
				t.Fatal(d, err)
			}
			body := io.NopCloser(strings.NewReader("[" + test.listed + "]"))
			resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
			if d, err := o.Review(t.Context(), identity.Identity{User: "alice"}, call, resp); !d.Allow || err != nil {
				t.Fatal(d, err)
			}
			if exact := resp.Body == body; exact != test.exact {
				t.Errorf("goes on as it is: %v", exact)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || !test.exact && strings.Contains(string(text), faked) {
				t.Errorf("%v: %s", err, text)
			}
		})
	}
}

// TestDoubtsEnd: what is gone, and what adopted ones say, is not held against a
// list for ever.
func TestDoubtsEnd(t *testing.T) {
	x := newIndex("local", newFake(), nil)
	x.put(&object{Kind: router.Container, ID: "a", known: true, claim: "alice"})
	x.put(&object{Kind: router.Container, ID: "b"})
	x.put(&object{Kind: router.Network, ID: "n"})
	if len(x.doubts) != 2 || x.undoubted(t.Context(), "alice") {
		t.Errorf("%v", x.doubts)
	}
	x.drop(router.Container, "a")
	x.put(&object{Kind: router.Container, ID: "b", known: true, claim: "bob", Owner: "bob"})
	if len(x.doubts) != 0 || !x.undoubted(t.Context(), "alice") {
		t.Errorf("%v", x.doubts)
	}
}
