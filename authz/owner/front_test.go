package owner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/proxy"
	"moorgate/router"
)

// busybox is the image of deploy/engine.
const busybox = "moorgate.test/busybox:1"

// anEngine asks one Engine over a connection of its own.
type anEngine struct{ *proxy.Engine }

func (e anEngine) Get(ctx context.Context, _, path string) ([]byte, error) {
	return e.Engine.Get(ctx, path)
}

func (e anEngine) Stream(ctx context.Context, _, path string) (io.ReadCloser, error) {
	return e.Engine.Stream(ctx, path)
}

func (e anEngine) Post(ctx context.Context, _, path string, body []byte) ([]byte, error) {
	return e.Engine.Post(ctx, path, body)
}

// front is moorgate with an Owner alone, before an Engine. The header X-User
// says who calls; "root" and "admin" see all, everyone else their own.
type front struct {
	*Owner
	t      testing.TB
	server *httptest.Server
	engine *proxy.Engine
	swap   *atomic.Pointer[func()] // runs between the judging of a call and its sending
	mark   string                  // a part of every name, which no other test uses
}

var fronts atomic.Int64

func newFront(t testing.TB, address string, change ...func(*Options)) *front {
	t.Helper()
	engine, err := proxy.NewEngine("local", proxy.EngineConfig{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Engines: anEngine{engine},
		Names:   []string{"local"},
		Own:     func(who identity.Identity, _, _ string) bool { return who.User != "root" && who.User != "admin" },
	}
	for _, c := range change {
		c(&o)
	}
	f := &front{Owner: New(o), swap: &atomic.Pointer[func()]{}, t: t, engine: engine, mark: fmt.Sprintf("ot%d-%d-", os.Getpid(), fronts.Add(1))}
	chain := authz.New([]authz.Authorizer{f.Owner, between{f}}, authz.Options{})
	mux := router.NewMux(router.Table(), chain.Middleware(proxy.Forward(proxy.PickFrom([]*proxy.Engine{engine}), chain.Review)))
	mux.Found = func(_ *http.Request, c *router.Call) { c.Engine = "local" }
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := &identity.Identity{User: r.Header.Get("X-User"), Method: "test"}
		r.Header.Del("X-User")
		mux.ServeHTTP(w, r.WithContext(identity.NewContext(r.Context(), who)))
	}))
	t.Cleanup(f.server.Close)
	t.Cleanup(engine.Close)
	return f
}

// between lets a test act when a call has been judged and is not yet sent.
type between struct{ *front }

func (between) Name() string { return "between" }

func (b between) Authorize(context.Context, identity.Identity, *router.Call) (authz.Decision, error) {
	if do := b.swap.Swap(nil); do != nil {
		(*do)()
	}
	return authz.Decision{Allow: true}, nil
}

// real is a front before the Engine that the environment names.
func real(t testing.TB, change ...func(*Options)) *front {
	t.Helper()
	address := os.Getenv("MOORGATE_ENGINE")
	if address == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MOORGATE_ENGINE is not set: CI runs these tests by make test")
		}
		t.Skip("needs a Docker Engine of its own: run make test, which starts one")
	}
	return newFront(t, address, change...)
}

// watch runs the Owner until the test ends, and waits until it knows all.
func (f *front) watch() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); f.Run(ctx) }()
	f.t.Cleanup(func() { cancel(); <-ended })
	f.until("the index is live", func() bool { return f.index("local").live.Load() })
}

func (f *front) until(what string, holds func() bool) {
	f.t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("waited 20 s until %s", what)
		}
	}
}

// answer is what a caller gets.
type answer struct {
	code int
	text string
}

// message is the text of an error, or the whole answer.
func (a answer) message() string {
	var said struct{ Message string }
	if json.Unmarshal([]byte(a.text), &said) == nil && said.Message != "" {
		return said.Message
	}
	return strings.TrimSpace(a.text)
}

func (a answer) id() string {
	var said struct{ ID string }
	_ = json.Unmarshal([]byte(a.text), &said)
	return said.ID
}

// as sends one request as a user; a body that is none is "".
func (f *front) as(user, method, target, body string) answer {
	f.t.Helper()
	return send(f.t, http.DefaultClient, f.server.URL, user, method, target, body)
}

// direct asks the Engine itself.
func (f *front) direct(method, target, body string) answer {
	f.t.Helper()
	return send(f.t, socketClient(f.engine.Address), "http://docker", "", method, target, body)
}

func send(t testing.TB, client *http.Client, base, user, method, target, body string) answer {
	t.Helper()
	r, err := http.NewRequest(method, base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.Header.Set("X-User", user)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return answer{resp.StatusCode, string(text)}
}

func socketClient(address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(address, "unix://"))
		},
	}}
}

// container makes a container that is removed when the test ends.
func (f *front) container(user, name, fields string) string {
	f.t.Helper()
	query := ""
	if name != "" {
		query = "?name=" + f.mark + name
	}
	a := f.as(user, "POST", "/v1.41/containers/create"+query, box(fields))
	if a.code != 201 {
		f.t.Fatalf("%s makes container %s: %d %s", user, name, a.code, a.text)
	}
	id := a.id()
	f.t.Cleanup(func() { f.direct("DELETE", "/containers/"+id+"?force=1&v=1", "") })
	return id
}

// box is the body of a container that sleeps, with further fields.
func box(fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return `{"Image":"` + busybox + `","Cmd":["sleep","300"],"StopSignal":"KILL"` + fields + `}`
}

func (f *front) network(user, name string) string {
	f.t.Helper()
	a := f.as(user, "POST", "/v1.41/networks/create", `{"Name":"`+f.mark+name+`"}`)
	if a.code != 201 {
		f.t.Fatalf("%s makes network %s: %d %s", user, name, a.code, a.text)
	}
	id := a.id()
	f.t.Cleanup(func() { f.direct("DELETE", "/networks/"+id, "") })
	return id
}

func (f *front) volume(user, name string) string {
	f.t.Helper()
	a := f.as(user, "POST", "/v1.41/volumes/create", `{"Name":"`+f.mark+name+`"}`)
	if a.code != 201 {
		f.t.Fatalf("%s makes volume %s: %d %s", user, name, a.code, a.text)
	}
	f.t.Cleanup(func() { f.direct("DELETE", "/volumes/"+f.mark+name, "") })
	return f.mark + name
}

// expect fails the test unless an answer has one of the statuses.
func (f *front) expect(a answer, codes ...int) answer {
	f.t.Helper()
	if !slices.Contains(codes, a.code) {
		f.t.Fatalf("answered %d %s, want %v", a.code, a.text, codes)
	}
	return a
}
