package owner

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"moorgate/authz/identity"
)

// TestClean rewords errors of Engines for alice.
func TestClean(t *testing.T) {
	a, b, gone := fullID(1), fullID(2), fullID(3)
	engine := newFake()
	engine.say("/containers/json?all=1", "["+listed(a, "a", "alice")+","+listed(b, "b", "bob")+"]")
	engine.say("/containers/"+b[:12]+"/json", inspected(b, "b", "bob"))
	engine.say("/containers/"+a[:12]+"/json", inspected(a, "a", "alice"))
	engine.say("/images/"+imageID+"/json", `{"Id":"`+imageID+`"}`)
	o := newOwner(engine)
	live(t, o)
	conflict := `Conflict. The container name "/web" is already in use%s. You have to remove (or rename) that container to be able to reuse that name.`
	by := func(id string) string { return fmt.Sprintf(conflict, ` by container "`+id+`"`) }
	for _, test := range []struct{ said, want string }{
		{by(b), fmt.Sprintf(conflict, "")},
		{by(a), by(a)},
		{by(gone), fmt.Sprintf(conflict, "")}, // of a name that is just being taken, nobody can say by whom
		{"Error when allocating new name: " + by(b), "Error when allocating new name: " + fmt.Sprintf(conflict, "")},
		{"remove data: volume is in use - [" + a + ", " + b + "]", "remove data: volume is in use - [" + a + ", another's]"},
		{"conflict: unable to remove repository reference \"x\" (must force) - container " + b[:12] + " is using its referenced image " + imageID[7:],
			"conflict: unable to remove repository reference \"x\" (must force) - container another's is using its referenced image " + imageID[7:]},
		{`network n has active endpoints (name:"a" id:"` + a[:12] + `", name:"b" id:"` + b[:12] + `")`,
			`network n has active endpoints (name:"a" id:"` + a[:12] + `", another's)`},
		{"Container " + a + " is not running", "Container " + a + " is not running"},
		{"No such container: web", "No such container: web"},
	} {
		for user, want := range map[string]string{"alice": test.want, "root": test.said} {
			body := fmt.Sprintf("{\"message\":%q}\n", test.said)
			resp := &http.Response{StatusCode: 409, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
			call := read(t, "POST", "/containers/x/start", "")
			if err := o.clean(context.Background(), identity.Identity{User: user}, call, resp); err != nil {
				t.Error(err)
			}
			text, _ := io.ReadAll(resp.Body)
			if got := (answer{409, string(text)}).message(); got != want {
				t.Errorf("%s reads\n%s\nwant\n%s", user, got, want)
			}
			if l := resp.Header.Get("Content-Length"); l != "" && l != fmt.Sprint(len(text)) {
				t.Errorf("Content-Length %s of %d", l, len(text))
			}
		}
	}
}

// TestWords: where the Engine repeats a name, it is the one that the caller
// wrote and not the id that was sent.
func TestWords(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	f.container("alice", "box", "")
	for _, test := range []struct{ method, path, body string }{
		{"POST", "/containers/{}/kill", ""},
		{"POST", "/containers/{}/pause", ""},
		{"POST", "/containers/{}/unpause", ""},
		{"POST", "/containers/{}/resize?h=1&w=1", ""},
		{"POST", "/containers/{}/exec", `{"Cmd":["true"]}`},
		{"GET", "/containers/{}/top", ""},
		{"GET", "/containers/{}/archive?path=/nope", ""},
		{"POST", "/containers/{}/rename?name=" + f.mark + "box", ""},
		{"POST", "/containers/{}/update", `{"Memory":1}`},
	} {
		path := strings.ReplaceAll(test.path, "{}", f.mark+"box")
		got, want := f.as("alice", test.method, path, test.body), f.direct(test.method, path, test.body)
		if got != want {
			t.Errorf("%s %s:\nalice got  %d %s\nthe Engine %d %s", test.method, path, got.code, got.text, want.code, want.text)
		}
	}
}
