package plugin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// BenchmarkCreate is what plugins that allow everything, in this process, add to a
// create of 4 KB: the questions before it and those on its answer.
func BenchmarkCreate(b *testing.B) {
	body := `{"Image":"busybox","Cmd":["sleep","60"],"Env":["X=` + strings.Repeat("x", 4000) + `"],"HostConfig":{"Memory":1048576}}`
	const created = `{"Id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","Warnings":[]}`
	for _, n := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("plugins=%d", n), func(b *testing.B) {
			dir := sockets(b)
			all := []authz.Authorizer{authz.Unrestricted{}}
			for i := range n {
				name := fmt.Sprint("p", i)
				a := &agreeable{}
				a.serve(b, listen(b, dir, name))
				all = append(all, open(b, Config{Plugin: name}, Options{Sockets: dir}))
			}
			chain := authz.New(all, authz.Options{})
			engine := &engine{chain: chain}
			h := chain.Middleware(engine)
			var call *router.Call
			mux := router.NewMux(router.Table(), router.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request, c *router.Call) error {
				call = c
				return nil
			}))
			r := request("POST", "/v1.41/containers/create?name=web", body)
			mux.ServeHTTP(httptest.NewRecorder(), r)
			if call == nil {
				b.Fatal("no call")
			}
			ctx := identity.NewContext(context.Background(), &alice)
			b.ReportAllocs()
			for b.Loop() {
				engine.says(201, "application/json", created)
				w := httptest.NewRecorder()
				if err := h.ServeCall(w, r.WithContext(audit.NewContext(ctx, &audit.Record{})), call); err != nil || w.Code != 201 {
					b.Fatal(w.Code, err)
				}
			}
		})
	}
}

// BenchmarkQuestion is the making of a question and the reading of its answer,
// without the way there.
func BenchmarkQuestion(b *testing.B) {
	d, err := router.ParseDocument([]byte(`{"Image":"busybox","Env":["X=`+strings.Repeat("x", 4000)+`"]}`), nil)
	if err != nil {
		b.Fatal(err)
	}
	call := &router.Call{Route: &router.Route{Method: "POST", Pattern: "/containers/create", Body: router.JSON}, Body: d,
		Header: http.Header{"User-Agent": {"Docker-Client/28"}, "Accept-Encoding": {"gzip"}}}
	raw := []byte(`{"Allow":true,"Msg":""}` + "\n")
	b.ReportAllocs()
	for b.Loop() {
		q, err := ask(context.Background(), alice, call)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := q.encode(); err != nil {
			b.Fatal(err)
		}
		if a, err := parseAnswer(raw); err != nil || !a.allow {
			b.Fatal(a, err)
		}
	}
}
