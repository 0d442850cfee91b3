package plugin

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/docker/go-plugins-helpers/authorization"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// docker is a plugin made on Docker's own SDK.
type docker struct {
	req, res func(authorization.Request) authorization.Response // nil allows

	mu   sync.Mutex
	seen []authorization.Request
}

func (d *docker) AuthZReq(r authorization.Request) authorization.Response { return d.answer(d.req, r) }
func (d *docker) AuthZRes(r authorization.Request) authorization.Response { return d.answer(d.res, r) }

func (d *docker) answer(by func(authorization.Request) authorization.Response, r authorization.Request) authorization.Response {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, r)
	if by == nil {
		return authorization.Response{Allow: true}
	}
	return by(r)
}

// last gives the newest of what the plugin has seen, and how much that is.
func (d *docker) last() (authorization.Request, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.seen) == 0 {
		return authorization.Request{}, 0
	}
	return d.seen[len(d.seen)-1], len(d.seen)
}

// sockets is a folder whose name is short enough for sockets.
func sockets(t testing.TB) string {
	dir, err := os.MkdirTemp("", "plugin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// listen opens dir/name.sock.
func listen(t testing.TB, dir, name string) net.Listener {
	l, err := net.Listen("unix", filepath.Join(dir, name+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serveSDK runs a plugin in dir.
func serveSDK(t testing.TB, dir, name string, d *docker) {
	l := listen(t, dir, name)
	go authorization.NewHandler(d).Serve(l) //nolint:errcheck // it ends with its listener
}

// open makes the client of a plugin in dir.
func open(t testing.TB, c Config, o Options) *Plugin {
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if o.Specs == nil {
		o.Specs = []string{}
	}
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// engine answers calls, after the chain has reviewed the answer.
type engine struct {
	chain  *authz.Chain
	status int
	header http.Header
	body   io.Reader
	length int64

	called int
}

func (e *engine) ServeCall(w http.ResponseWriter, r *http.Request, c *router.Call) error {
	e.called++
	resp := &http.Response{StatusCode: e.status, Header: e.header, Body: io.NopCloser(e.body), ContentLength: e.length}
	if c.Route.Reply <= router.List {
		if err := e.chain.Review(r.Context(), c, resp); err != nil {
			return err
		}
	}
	for key, values := range resp.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, err := io.Copy(w, resp.Body)
	return err
}

// front is what callers talk to: the route table, the chain and an Engine.
type front struct {
	engine *engine
	mux    *router.Mux
	record audit.Record
}

func newFront(authorizers ...authz.Authorizer) *front {
	chain := authz.New(authorizers, authz.Options{})
	f := &front{engine: &engine{chain: chain}}
	f.engine.says(200, "application/json", `{}`)
	f.mux = router.NewMux(router.Table(), chain.Middleware(f.engine))
	return f
}

func (e *engine) says(status int, media, body string) {
	e.status, e.body, e.length = status, strings.NewReader(body), int64(len(body))
	e.header = http.Header{"Content-Type": {media}, "Content-Length": {strconv.Itoa(len(body))}, "Api-Version": {"1.51"}}
}

func (f *front) ask(r *http.Request) *httptest.ResponseRecorder {
	f.record = audit.Record{}
	ctx := audit.NewContext(r.Context(), &f.record)
	ctx = identity.NewContext(ctx, &identity.Identity{User: "alice", Method: "token"})
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r.WithContext(ctx))
	return w
}

// message is what an error answer says.
func message(w *httptest.ResponseRecorder) string {
	var shaped struct{ Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &shaped); err != nil {
		return "not the Engine's shape: " + w.Body.String()
	}
	return shaped.Message
}

func request(method, target, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}
