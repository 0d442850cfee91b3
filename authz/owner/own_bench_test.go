package owner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// BenchmarkContainerListOwn is of 50 KB that are all the caller's.
func BenchmarkContainerListOwn(b *testing.B) {
	var all []string
	for i := range 40 {
		all = append(all, listedContainer(i, "user0"))
	}
	text := "[" + strings.Join(all, ",") + "]\n"
	o := New(Options{Engines: &fakeEngines{answers: map[string]string{"/containers/json": "[]"}}, Own: func(identity.Identity, string, string) bool { return true }})
	call := &router.Call{Action: "container.list", Engine: "local"}
	room := make([]byte, 32<<10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text))}
		if err := o.judging(b.Context(), identity.Identity{User: "user0"}, call).cut(resp, nil); err != nil {
			b.Fatal(err)
		}
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, room); err != nil || int(n) < len(text)-2 {
			b.Fatal(n, len(text), err)
		}
		resp.Body.Close()
	}
}

// BenchmarkInspect is what judging a call of one container costs.
func BenchmarkInspect(b *testing.B) {
	o := New(Options{Engines: &fakeEngines{answers: map[string]string{}}, Own: func(identity.Identity, string, string) bool { return true }})
	x := o.index("local")
	for i := range 1000 {
		x.put(&object{Kind: router.Container, ID: fmt.Sprintf("%064x", i*7919), Name: fmt.Sprintf("box-%d", i), Owner: "user0", known: true})
	}
	x.live.Store(true)
	who := identity.Identity{User: "user0"}
	mux := router.NewMux(router.Table(), router.HandlerFunc(func(_ http.ResponseWriter, r *http.Request, call *router.Call) error {
		call.Engine = "local"
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if d, err := o.Authorize(ctx, who, call); !d.Allow || err != nil {
			b.Error(d, err)
		}
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody}
		if d, err := o.Review(ctx, who, call, resp); !d.Allow || err != nil {
			b.Error(d, err)
		}
		return nil
	}))
	r := httptest.NewRequest("GET", "/v1.41/containers/box-7/json", nil)
	r.Header = http.Header{}
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		mux.ServeHTTP(w, r)
	}
}

// BenchmarkCreate is what ownership adds to a container that mounts volumes of
// the caller's and is made of an image that was asked for a moment ago.
func BenchmarkCreate(b *testing.B) {
	text, err := os.ReadFile("../../cmd/moorgate/testdata/bench/create.json")
	if err != nil {
		b.Fatal(err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, text); err != nil {
		b.Fatal(err)
	}
	engine := newFake()
	engine.say("/networks", `[{"Id":"`+fullID(1)+`","Name":"shop_default","Labels":{"moorgate.owner":"alice"}}]`)
	engine.say("/images/registry.example.com/shop/worker:2.14.1/json", `{"Id":"`+imageID+`","RepoTags":["registry.example.com/shop/worker:2.14.1"]}`)
	now := time.Now()
	o := newOwner(engine, func(o *Options) { o.Now = func() time.Time { return now } })
	live(b, o)
	who := identity.Identity{User: "alice"}
	request := httptest.NewRequest("POST", "/v1.41/containers/create?name=shop-worker-1", nil)
	request.Header = http.Header{"Content-Type": {"application/json"}}
	request.ContentLength = int64(body.Len())
	var call *router.Call
	mux := router.NewMux(router.Table(), router.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request, c *router.Call) error {
		call = c
		c.Engine = "local"
		return nil
	}))
	read := func() {
		request.Body = io.NopCloser(bytes.NewReader(body.Bytes()))
		mux.ServeHTTP(httptest.NewRecorder(), request)
	}
	made := `{"Id":"` + fullID(2) + `","Warnings":[]}`
	create := func() {
		if d, err := o.Authorize(context.Background(), who, call); !d.Allow || err != nil {
			b.Fatal(d, err)
		}
		resp := &http.Response{StatusCode: 201, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(made))}
		if d, err := o.Review(context.Background(), who, call, resp); !d.Allow || err != nil {
			b.Fatal(d, err)
		}
	}
	read()
	create()
	asked := len(engine.asked) + len(engine.posted)
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read()
		}
	})
	b.Run("read and judged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read()
			create()
		}
	})
	if more := len(engine.asked) + len(engine.posted) - asked; more > 0 {
		b.Errorf("the Engine was asked %d times more", more)
	}
}
