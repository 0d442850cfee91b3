package router

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// readBack parses one request and gives the Call, or what refused it.
func readBack(r *http.Request) (c *Call, err error) {
	mux := *table
	mux.Next = HandlerFunc(func(_ http.ResponseWriter, _ *http.Request, call *Call) error {
		c = call
		return nil
	})
	mux.Fail = func(_ http.ResponseWriter, _ *http.Request, e error) { err = e }
	mux.ServeHTTP(httptest.NewRecorder(), r)
	return c, err
}

// sameCall says how what is sent for a call reads, to us and to the Engine,
// otherwise than the call; "" if it reads the same.
func sameCall(t testing.TB, m *matcher, c *Call) string {
	t.Helper()
	c.PassUnknown = true
	out, err := c.Request(t.Context())
	if err != nil {
		return "no request: " + err.Error()
	}
	var wire bytes.Buffer
	if err := out.Write(&wire); err != nil {
		return "not written: " + err.Error()
	}
	sent, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire.Bytes())))
	if err != nil {
		return "not readable: " + err.Error()
	}
	body, err := io.ReadAll(sent.Body)
	if err != nil {
		return "body not readable: " + err.Error()
	}
	if c.Body != nil && string(body) != string(c.Body.Bytes()) || c.Body == nil && len(body) > 0 {
		return "another body: " + string(body)
	}

	// The Engine.
	if !clean(sent.URL.Path) {
		return "not clean: " + sent.URL.Path
	}
	row, vars, _ := m.engine.ask(sent.Method, sent.URL.Path)
	want := c.Vars()
	if c.Version != "" {
		want["version"] = c.Version
	}
	if row != m.index[c.Route.Method+" "+c.Route.Pattern] || !maps.Equal(vars, want) {
		return "the Engine takes another row or name for " + sent.RequestURI
	}
	query, err := url.ParseQuery(sent.URL.RawQuery)
	if err != nil {
		return "the Engine refuses the query: " + err.Error()
	}
	both := maps.Clone(c.Query)
	maps.Copy(both, c.Unknown)
	if query.Encode() != both.Encode() {
		return "the Engine reads another query: " + sent.URL.RawQuery
	}

	// Ourselves, for whom it must be canonical already.
	sent.Body, sent.Host = io.NopCloser(bytes.NewReader(body)), "docker"
	again, err := readBack(sent)
	if err != nil {
		return "refused the second time: " + err.Error()
	}
	again.PassUnknown = true
	twice, err := again.Request(t.Context())
	if err != nil {
		return "no second request: " + err.Error()
	}
	if twice.Method != out.Method || twice.URL.RequestURI() != out.URL.RequestURI() || !reflect.DeepEqual(twice.Header, out.Header) ||
		twice.ContentLength != out.ContentLength {
		return "sent otherwise the second time: " + twice.URL.RequestURI()
	}
	if again.Route != c.Route || again.Action != c.Action || again.Version != c.Version || again.Upgrade != c.Upgrade ||
		!slices.Equal(again.vars, c.vars) || !reflect.DeepEqual(again.Query, c.Query) {
		return "read otherwise the second time"
	}
	return ""
}

// What is rebuilt is canonical: it parses back to the same call, and to the
// Engine means the same row, names and query.
func TestRequestReadsBack(t *testing.T) {
	m := newMatcher(t)
	random := rand.New(rand.NewPCG(3, 4))
	queries := []string{"", "?all=1&x=%00", "?filters=%7B%22a%22%3A%5B%22b%22%5D%7D&force=1&t=%ff&t=+", "?new=a&new=%26&name=%2F"}
	taken := 0
	for range 3000 {
		method, path := randomPath(random)
		query := queries[random.IntN(len(queries))]
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query[min(1, len(query)):]}
		r.Header.Set("User-Agent", "test")
		c, err := readBack(r)
		if err != nil {
			continue
		}
		taken++
		if d := sameCall(t, m, c); d != "" {
			t.Errorf("%s %q%s: %s", method, path, query, d)
		}
	}
	if taken < 300 {
		t.Errorf("only %d of the requests are taken", taken)
	}
}

func FuzzCall(f *testing.F) {
	for _, s := range []struct{ method, target, body string }{
		{"GET", "/v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%22%5D%7D", ""},
		{"GET", "/containers/%252e%252e/json", ""}, {"GET", "/services/%252e%252e", ""}, {"GET", "/images/a%2Fb:c@d/json?platform=%FF", ""},
		{"DELETE", "/containers/a%20b+c;d=e/checkpoints/%E4%B8%96", ""}, {"OPTIONS", "/v01.41.0/x/%25", ""}, {"OPTIONS", "/", ""},
		{"POST", "/v1.041/containers/create?name=a&Image=b", `{"Image":"b","name":"a","HostConfig":{"CapAdd":"ALL"}}`},
		{"POST", "/containers/x/exec", `{"\u0064etachKeys":"a"}`}, {"POST", "/containers/x/start?checkpoint=a%26b", `{}`},
		{"POST", "/images/create?fromImage=a&tag=b", `{"fromImage":"a"}`}, {"POST", "/images/load?quiet=1", "tar"},
		{"POST", "/containers/a/exec/b/start", ""}, {"GET", "/networks/a/", ""}, {"GET", "/debug/pprof/symbol?0x1", ""}, {"POST", "/session?a=;", ""},
	} {
		f.Add(s.method, s.target, s.body)
	}
	m := newMatcher(f)
	f.Fuzz(func(t *testing.T, method, target, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL, r.ContentLength = method, u, int64(len(body))
		r.Header = http.Header{"User-Agent": {"test"}, "Content-Type": {"application/json"}}
		c, err := readBack(r)
		if err != nil {
			return
		}
		c.Stream = nil // an archive is read once
		if d := sameCall(t, m, c); d != "" {
			t.Errorf("%s %q %s: %s", method, target, body, d)
		}
	})
}

func TestCallNames(t *testing.T) {
	x := ask(t, "DELETE /v1.41/containers/a%20b/checkpoints/c")
	c := x.call
	if c == nil {
		t.Fatal(x.message)
	}
	if c.Name() != "a b" || c.Var("name") != "a b" || c.Var("checkpoint") != "c" || c.Var("id") != "" ||
		!maps.Equal(c.Vars(), map[string]string{"name": "a b", "checkpoint": "c"}) {
		t.Errorf("names: %q %q %v", c.Name(), c.Var("checkpoint"), c.Vars())
	}
	c.SetVar("name", "id/?%")
	c.SetVar("nothing", "x")
	if r, err := c.Request(t.Context()); err != nil || r.URL.RequestURI() != "/v1.41/containers/id%2F%3F%25/checkpoints/c" {
		t.Errorf("pinned: %v, %v", r.URL, err)
	}
	if ask(t, "GET /info").call.Name() != "" {
		t.Error("a path that names nothing has a name")
	}
}

// abuse.md, Query and form: booleans by the Engine's rule.
func TestAbuseQueryBooleans(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "0": false, "no": false, "false": false, "none": false, "None": false, "FALSE": false, "+false+": false, "%09NO%0A": false,
		"1": true, "true": true, "off": true, "n": true, "f": true, "F": true, "-1": true, "00": true, "null": true, "no.": true,
	} {
		x := ask(t, "DELETE /containers/x?force="+value)
		if x.call == nil || x.call.Bool("force") != want {
			t.Errorf("force=%s: want %v, %s", value, want, x.message)
		}
	}
	if x := ask(t, "DELETE /containers/x"); x.call.Bool("force") {
		t.Error("a missing force is true")
	}
}

// A request may be made more than once, and what is done to it stays out of
// the call.
func TestRequestTwice(t *testing.T) {
	c := ask(t, "POST /exec/x/start", "Upgrade: tcp", "Accept: a", asJSON, `body {"Tty":true}`).call
	first, err := c.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Header.Set("Accept", "b")
	first.Header["Accept"][0] = "c"
	_, _ = io.ReadAll(first.Body)
	second, err := c.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(second.Body)
	again, _ := second.GetBody()
	if more, _ := io.ReadAll(again); string(body) != `{"Tty":true}` || string(more) != string(body) || second.Header.Get("Accept") != "a" ||
		c.Header["Connection"] != nil || c.Header["Content-Type"] != nil {
		t.Errorf("the second request is %v %q, the call's header %v", second.Header, body, c.Header)
	}
	if second.Context() != t.Context() {
		t.Error("another context")
	}
}

func TestUnknownKeys(t *testing.T) {
	c := &Call{Route: &Table()[0], Unknown: url.Values{"b": {"", "1"}, "a": {"2"}, "empty": {"", ""}, "none": nil}}
	if got := c.UnknownKeys(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("unknown keys are %v", got)
	}
	if _, err := c.Request(t.Context()); err == nil || !strings.Contains(err.Error(), `does not know "a": leave it out`) {
		t.Errorf("a request with unknown keys: %v", err)
	}
}

func BenchmarkMux(b *testing.B) {
	create := benchmarkBody(b)
	for _, bench := range []struct {
		name, method, target string
		body                 []byte
	}{
		{"ping", "GET", "/_ping", nil},
		{"list", "GET", "/v1.41/containers/json?all=1&filters=%7B%22label%22%3A%7B%22a%3Db%22%3Atrue%7D%7D", nil},
		{"inspect", "GET", "/v1.41/images/docker.io/library/busybox:latest/json", nil},
		{"create", "POST", "/v1.41/containers/create?name=worker", create},
	} {
		b.Run(bench.name, func(b *testing.B) {
			mux := NewMux(Table(), HandlerFunc(func(_ http.ResponseWriter, r *http.Request, c *Call) error {
				_, err := c.Request(r.Context())
				return err
			}))
			mux.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) { b.Fatal(err) }
			r := httptest.NewRequest(bench.method, bench.target, nil)
			r.Header = http.Header{"User-Agent": {"Docker-Client/28.5.2 (linux)"}, "Accept-Encoding": {"gzip"}, "Content-Type": {"application/json"}}
			body := bytes.NewReader(bench.body)
			w := &answer{}
			b.ReportAllocs()
			for b.Loop() {
				if bench.body != nil {
					body.Reset(bench.body)
					r.Body, r.ContentLength = io.NopCloser(body), int64(len(bench.body))
				}
				mux.ServeHTTP(w, r)
			}
		})
	}
}
