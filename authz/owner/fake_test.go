package owner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

// fake is an Engine that says what a test has it say, and counts what it is
// asked.
type fake struct {
	mu     sync.Mutex
	says   map[string]string // by path; what is not there is a 404
	asked  []string
	posted []string
	events *io.PipeWriter // of the last stream

	answered func(path string) // called when an answer is on its way; may be nil
}

func newFake() *fake {
	return &fake{says: map[string]string{
		"/info":                  `{"SystemTime":"2026-11-21T12:00:00Z"}`,
		"/version":               `{"ApiVersion":"1.41"}`,
		"/containers/json?all=1": `[]`,
		"/networks":              `[]`,
		"/images/json?all=1":     `[]`,
		"/services":              `[]`,
		"/secrets":               `[]`,
		"/configs":               `[]`,
		"/images/busybox/json":   `{"Id":"` + imageID + `","RepoTags":["busybox:latest"]}`,
		"/images/docker.io/library/busybox:latest/json": `{"Id":"` + imageID + `","RepoTags":["busybox:latest"]}`,
		"/images/busybox:latest/json":                   `{"Id":"` + imageID + `","RepoTags":["busybox:latest"]}`,
	}}
}

const imageID = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

func (f *fake) Get(_ context.Context, _, path string) ([]byte, error) {
	f.mu.Lock()
	f.asked = append(f.asked, path)
	text, ok := f.says[path]
	answered := f.answered
	f.mu.Unlock()
	if answered != nil {
		answered(path)
	}
	if ok {
		return []byte(text), nil
	}
	return nil, &router.Error{Status: 404, Message: "no such thing: " + path}
}

func (f *fake) Stream(ctx context.Context, engine, path string) (io.ReadCloser, error) {
	if !strings.HasPrefix(path, "/events") {
		answer, err := f.Get(ctx, engine, path)
		return io.NopCloser(bytes.NewReader(answer)), err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, w := io.Pipe()
	f.events = w
	return r, nil
}

// Post makes volumes, as the Engine does: one that is there comes back as it is.
func (f *fake) Post(_ context.Context, _, path string, body []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.posted = append(f.posted, path+" "+string(body))
	var v newVolume
	if err := json.Unmarshal(body, &v); path != "/volumes/create" || err != nil {
		return nil, fmt.Errorf("nobody should post %s: %v", path, err)
	}
	if _, ok := f.says["/volumes/"+v.Name]; !ok {
		labels, _ := json.Marshal(v.Labels)
		f.says["/volumes/"+v.Name] = fmt.Sprintf(`{"Name":%q,"Labels":%s,"CreatedAt":"2026-11-21T12:00:01Z"}`, v.Name, labels)
	}
	return []byte(f.says["/volumes/"+v.Name]), nil
}

func (f *fake) say(path, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.says[path] = text
}

func (f *fake) unsay(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.says, path)
}

func (f *fake) times(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, p := range f.asked {
		if p == path {
			n++
		}
	}
	return n
}

// happens sends an event.
func (f *fake) happens(t testing.TB, kind, action, id, name string) {
	t.Helper()
	f.mu.Lock()
	w := f.events
	f.mu.Unlock()
	if _, err := fmt.Fprintf(w, `{"Type":%q,"Action":%q,"Actor":{"ID":%q,"Attributes":{"name":%q}}}`+"\n", kind, action, id, name); err != nil {
		t.Fatal(err)
	}
}

// newOwner makes an Owner over engines for tests; root sees all.
func newOwner(engines Engines, change ...func(*Options)) *Owner {
	o := Options{
		Engines: engines, Names: []string{"local"},
		Own: func(who identity.Identity, _, _ string) bool { return who.User != "root" },
	}
	for _, c := range change {
		c(&o)
	}
	return New(o)
}

// archive is the body of a request that brings an archive.
const archive = "an archive"

// read makes the Call of a request.
func read(t testing.TB, method, target, body string) *router.Call {
	t.Helper()
	var got *router.Call
	mux := router.NewMux(router.Table(), router.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request, c *router.Call) error {
		got = c
		return nil
	}))
	r := httptest.NewRequest(method, target, nil)
	r.Header = http.Header{}
	if body != "" {
		r = httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	if body == archive {
		r.Header.Set("Content-Type", "application/x-tar")
	}
	if strings.Contains(target, "/attach/ws") {
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if got == nil {
		t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
	got.Engine = "local"
	return got
}

// judge asks an Owner about a call.
func (o *Owner) judge(t testing.TB, user string, call *router.Call) (authz.Decision, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return o.Authorize(ctx, identity.Identity{User: user}, call)
}

// sent is the query and the body that a call is sent with.
func sent(t testing.TB, call *router.Call) (query map[string][]string, body string) {
	t.Helper()
	if call.Body != nil {
		body = string(call.Body.Bytes())
	}
	return call.Query, body
}

func userNamed(name string) identity.Identity { return identity.Identity{User: name, Method: "test"} }
