package router

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// What a call names is remembered only as long as all that it was read from
// stands there: each of these changes makes another answer.
func TestReading(t *testing.T) {
	changes := map[string]func(*Call) error{
		"nothing":           func(*Call) error { return nil },
		"the body":          func(c *Call) error { return c.Body.Set("other", "Image") },
		"another body":      func(c *Call) (err error) { c.Body, err = ParseDocument([]byte(`{}`), c.Route.Of); return err },
		"no body":           func(c *Call) error { c.Body = nil; return nil },
		"a copy that edits": func(c *Call) error { d := *c.Body; c.Body = &d; return d.Set("other", "Image") },
		"the query":         func(c *Call) error { c.Query.Set("name", "other"); return nil },
		"a value in place":  func(c *Call) error { c.Query["name"][0] = "other"; return nil },
		"another query":     func(c *Call) error { c.Query = url.Values{"name": {"web", "db"}}; return nil },
		"a key less":        func(c *Call) error { c.Query.Del("name"); return nil },
		"a key for another": func(c *Call) error { c.Query = url.Values{"platform": {"web"}}; return nil },
		"a pin": func(c *Call) error {
			refs, err := c.Objects()
			if err != nil {
				return err
			}
			return c.Pin([]Pin{{refs[1], "ID"}})
		},
	}
	for name, change := range changes {
		c := readCall(t, "POST", "/containers/create?name=web", `{"Image":"a:1","HostConfig":{"Binds":["data:/d"]}}`)
		for range 2 { // the second reading may be remembered, the third must not
			if refs, err := c.Objects(); err != nil || len(refs) != 3 || refs[0].Name != "web" {
				t.Fatalf("%s: %v, %v", name, refs, err)
			}
		}
		if err := change(c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, gotErr := c.Objects()
		plain := *c
		plain.memory = nil
		want, wantErr := plain.Objects()
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(gotErr, wantErr) {
			t.Errorf("%s: %v, %v, read anew %v, %v", name, got, gotErr, want, wantErr)
		}
		if further, _ := c.Further(); len(further) != len(got) {
			t.Errorf("%s: %d further of %d", name, len(further), len(got))
		}
	}

	c := readCall(t, "POST", "/networks/a/connect", `{"Container":"b"}`)
	objects := func() (names string) {
		refs, _ := c.Objects()
		for _, r := range refs {
			names += r.Name + " "
		}
		_ = append(refs, Ref{Name: "of a caller"})
		return names
	}
	first := objects()
	c.SetVar("id", "c")
	if second := objects(); first != "a b " || second != "c b " {
		t.Errorf("%q, then %q", first, second)
	}
	if further, err := c.Further(); err != nil || len(further) != 1 || further[0].Name != "b" {
		t.Errorf("further are %v, %v", further, err)
	}
}

func readCall(t testing.TB, method, target, body string) (call *Call) {
	t.Helper()
	mux := NewMux(Table(), HandlerFunc(func(_ http.ResponseWriter, _ *http.Request, c *Call) error {
		call = c
		return nil
	}))
	mux.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) { t.Fatal(err) }
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	mux.ServeHTTP(httptest.NewRecorder(), r)
	return call
}
