package router

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// exchange is one request through the front door: what would be sent to the
// Engine, or how it was answered instead.
type exchange struct {
	call *Call // nil where it was refused
	sent *http.Request
	body string // that is sent

	status  int
	message string
}

// ask sends a request: its method and target, then header lines. A line
// "body TEXT" is its body, "chunked TEXT" a body of unknown length, "unknown"
// lets unknown query keys pass as for unrestricted callers.
func ask(t testing.TB, line string, lines ...string) exchange {
	t.Helper()
	var head strings.Builder
	head.WriteString(line + " HTTP/1.1\r\nHost: box\r\n")
	body, pass := "", false
	for _, l := range lines {
		if l == "unknown" {
			pass = true
		} else if text, ok := strings.CutPrefix(l, "body "); ok {
			fmt.Fprintf(&head, "Content-Length: %d\r\n", len(text))
			body = text
		} else if text, ok := strings.CutPrefix(l, "chunked "); ok {
			head.WriteString("Transfer-Encoding: chunked\r\n")
			body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text)
			if text == "" {
				body = "0\r\n\r\n"
			}
		} else {
			head.WriteString(l + "\r\n")
		}
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head.String() + "\r\n" + body)))
	if err != nil {
		t.Fatalf("%s: the test's own request cannot be read: %v", line, err)
	}
	return askMux(t, r, pass)
}

var table = NewMux(Table(), nil)

func askMux(t testing.TB, r *http.Request, pass bool) (x exchange) {
	t.Helper()
	mux := *table
	mux.Next = HandlerFunc(func(w http.ResponseWriter, r *http.Request, c *Call) error {
		if _, err := c.Objects(); err != nil { // as the chain does before anyone is asked
			return err
		}
		x.call, c.PassUnknown = c, pass
		out, err := c.Request(r.Context())
		if err != nil {
			x.call = nil
			return err
		}
		var wire bytes.Buffer
		if err := out.Write(&wire); err != nil {
			t.Fatalf("%s %s: writing: %v", r.Method, r.URL, err)
		}
		if x.sent, err = http.ReadRequest(bufio.NewReader(&wire)); err != nil {
			t.Fatalf("%s %s: what is sent cannot be read: %v", r.Method, r.URL, err)
		}
		text, err := io.ReadAll(x.sent.Body)
		if err != nil {
			t.Fatalf("%s %s: what is sent cannot be read: %v", r.Method, r.URL, err)
		}
		x.body = string(text)
		return nil
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if x.call == nil {
		var said map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
			t.Fatalf("%s %s: answered %q: %v", r.Method, r.URL, w.Body, err)
		}
		x.status, x.message = w.Code, said["message"]
	}
	return x
}

// A line of the tables: the request, and what is sent for it, or the status
// and a part of the message of its answer; "same" where it is sent as it came.
type asked struct {
	line, want string
	lines      []string
}

func (a asked) check(t *testing.T) exchange {
	t.Helper()
	x := ask(t, a.line, a.lines...)
	want := a.want
	if want == "same" {
		want = a.line
	}
	if want[0] >= '0' && want[0] <= '9' {
		status, part, _ := strings.Cut(want, " ")
		if x.call != nil {
			t.Errorf("%s: taken, want %s", a.line, want)
		} else if strconv.Itoa(x.status) != status || !strings.Contains(x.message, part) {
			t.Errorf("%s: %d %s, want %s", a.line, x.status, x.message, want)
		}
		return x
	}
	if x.call == nil {
		t.Errorf("%s: %d %s, want it sent as %s", a.line, x.status, x.message, want)
	} else if got := x.sent.Method + " " + x.sent.RequestURI; got != want {
		t.Errorf("%s: sent as %s, want %s", a.line, got, want)
	}
	return x
}

// abuse.md, HTTP: odd version spellings are refused or treated exactly as the
// rebuilt canonical request.
func TestAbuseHTTPVersions(t *testing.T) {
	const tooOld, noVersion = "400 is too old. Minimum supported API version is 1.24, please upgrade", "400 is no API version: write it like 1.41"
	for _, a := range []asked{
		{line: "GET /info", want: "same"},
		{line: "GET /v1.41/info", want: "same"},
		{line: "GET /v1.24/info", want: "same"},
		{line: "GET /v9.99/info", want: "same"}, // the Engine says what it has
		{line: "GET /v01.41/info", want: "GET /v1.41/info"},
		{line: "GET /v1.041/info", want: "GET /v1.41/info"},
		{line: "GET /v0001.0000000000041/info", want: "GET /v1.41/info"},
		{line: "GET /v1.41.0/info", want: "GET /v1.41/info"},
		{line: "GET /v1.41.0.00/info", want: "GET /v1.41/info"},
		{line: "GET /v1.41./info", want: "GET /v1.41/info"},
		{line: "GET /v1.41.../info", want: "GET /v1.41/info"},
		{line: "GET /v2/info", want: "GET /v2.0/info"},
		{line: "GET /v1%2e41/info", want: "GET /v1.41/info"},
		{line: "GET /%76%31.41/info", want: "GET /v1.41/info"},
		{line: "GET /v1.41.1/info", want: noVersion},
		{line: "GET /v1..41/info", want: noVersion},
		{line: "GET /v1.99999/info", want: noVersion},
		{line: "GET /v1." + strings.Repeat("4", 4000) + "/info", want: noVersion},
		{line: "GET /v" + strings.Repeat("9", 40) + "/info", want: noVersion},
		{line: "GET /v1.23/info", want: tooOld},
		{line: "GET /v1.9/info", want: tooOld},
		{line: "GET /v1/info", want: tooOld},
		{line: "GET /v0.99/info", want: tooOld},
		{line: "GET /v./info", want: tooOld},
		{line: "GET /v.41/info", want: tooOld},
		{line: "POST /v1.23/containers/x/start", want: tooOld},
		{line: "OPTIONS /v1.23/x", want: tooOld},
		{line: "GET /V1.41/info", want: "404 page not found"},
		{line: "GET /v1.41", want: "404 page not found"},
		{line: "GET /v1.41/", want: "404 page not found"},
		{line: "GET /v/info", want: "404 page not found"},
		{line: "GET /v1.41a/info", want: "404 page not found"},
		{line: "GET /v-1.41/info", want: "404 page not found"},
		{line: "GET /v1.41%00/info", want: "404 page not found"},
		{line: "GET /v1.41/v1.41/info", want: "404 page not found"},
		{line: "GET /v1.41/v1.23/info", want: "404 page not found"},
		{line: "POST /v1.24/containers/prune", want: "400 POST /containers/prune requires minimum API version 1.25"},
		{line: "POST /v1.024/containers/prune", want: "400 requires minimum API version 1.25"},
		{line: "PUT /v1.41/volumes/x", want: "400 PUT /volumes/{name:.*} requires minimum API version 1.42"},
		{line: "POST /v1.25/containers/prune", want: "same"},
		{line: "POST /containers/prune", want: "same"},
	} {
		a.check(t)
	}
}

// abuse.md, HTTP: absolute-form targets, //, /./, %2e, %2F between segments,
// %00, ;params, trailing slash, control characters.
func TestAbuseHTTPPaths(t *testing.T) {
	const unclean, none = "400 is not clean: write it without //, /./ and /../", "404 page not found"
	for _, a := range []asked{
		{line: "GET http://box/v1.41/info", want: "GET /v1.41/info"},
		{line: "GET http://evil:1/containers/a/json?size=1", want: "GET /containers/a/json?size=1"},
		{line: "GET http://evil", want: unclean},
		{line: "GET http:/info", want: "GET /info"},
		{line: "GET //info", want: unclean},
		{line: "GET //evil/info", want: unclean},
		{line: "GET /v1.41//info", want: unclean},
		{line: "GET /info//", want: unclean},
		{line: "GET /./info", want: unclean},
		{line: "GET /info/.", want: unclean},
		{line: "GET /info/..", want: unclean},
		{line: "GET /containers/../info", want: unclean},
		{line: "GET /containers/%2e%2e/info", want: unclean},
		{line: "GET /containers/%2E/json", want: unclean},
		{line: "GET /services/%2e%2e", want: unclean},
		{line: "GET /containers/a%2f..%2fb/json", want: unclean},
		{line: "GET /containers/a%2f%2fb/json", want: unclean},
		{line: "GET /containers//json", want: unclean},
		{line: "GET /containers%2Fjson", want: "GET /containers/json"},
		{line: "GET /v1.41%2Finfo", want: "GET /v1.41/info"},
		{line: "GET /%63ontainers/json", want: "GET /containers/json"},
		{line: "GET /containers/%252e%252e/json", want: "same"}, // a name of percent signs
		{line: "GET /services/%252e%252e", want: "same"},
		{line: "GET /services/%2e%2e%2e", want: "GET /services/..."},
		{line: "GET /services/a%2Fb", want: none},
		{line: "GET /containers/a%252Fb/json", want: "same"},
		{line: "GET /images/docker.io%2Flibrary%2Fbusybox:1/json", want: "GET /images/docker.io/library/busybox:1/json"},
		{line: "GET /images/busybox@sha256:aa/json", want: "same"},
		{line: "POST /containers/a/exec/b/start", want: "same"}, // starts the container "a/exec/b", as in the Engine
		{line: "GET /containers/a;b=c/json", want: "GET /containers/a%3Bb=c/json"},
		{line: "GET /info;x=1", want: none},
		{line: "GET /info#x", want: none},
		{line: "GET /containers/a#b/json", want: "GET /containers/a%23b/json"},
		{line: "GET /containers/%E4%B8%96%20b%21/json", want: "GET /containers/%E4%B8%96%20b%21/json"},
		{line: "GET /containers/世/json", want: "GET /containers/%E4%B8%96/json"},
		{line: "GET /containers/a+b&c=d$:@/json", want: "same"},
		{line: "GET /info/", want: none},
		{line: "GET /containers/json/", want: none},
		{line: "GET /networks/", want: "same"},
		{line: "GET /networks/x/", want: "same"},
		{line: "GET /volumes/", want: "400 GET /volumes/{name...}: the path names nothing: write a name in it"},
		{line: "DELETE /containers/", want: "400 names nothing"},
		{line: "GET /containers/%00/json", want: `400 GET /containers/{name...}/json: name "\x00" holds control characters or no UTF-8: write a plain name`},
		{line: "GET /containers/a%0ab/json", want: none}, // no name of the Engine's holds it
		{line: "GET /services/a%0ab", want: "400 control characters"},
		{line: "GET /containers/a%1b[2J/json", want: "400 control characters"},
		{line: "GET /containers/a%7f/json", want: "400 control characters"},
		{line: "GET /containers/a%c2%9b/json", want: "400 control characters"},
		{line: "GET /containers/%ff/json", want: "400 no UTF-8"},
		{line: "GET /containers/%c0%80/json", want: "400 no UTF-8"},
		{line: "GET /containers/" + strings.Repeat("a", 9000) + "%00/json", want: "400 name"},
		{line: "DELETE /info", want: none},
		{line: "HEAD /info", want: none},
		{line: "get /info", want: none},
		{line: "FOO /info", want: none},
		{line: "PATCH /containers/x/json", want: none},
		{line: "GET /", want: none},
		{line: "POST /containers/x/copy", want: none},
		{line: "OPTIONS /anything/at/all", want: "same"},
		{line: "OPTIONS /", want: "same"},
		{line: "OPTIONS *", want: unclean},
		{line: "PRI *", want: unclean},
		{line: "CONNECT info", want: unclean},
	} {
		x := a.check(t)
		if len(x.message) > 600 {
			t.Errorf("%.40s: the answer has %d bytes", a.line, len(x.message))
		}
	}
}

// The engine's name is the first part of the path, once.
func TestReadEngine(t *testing.T) {
	for _, a := range []asked{
		{line: "GET /engines/east/v1.41/info", want: "GET /v1.41/info"},
		{line: "GET /engines/east/containers/a/b/json", want: "GET /containers/a/b/json"},
		{line: "GET /engines%2Feast%2Finfo", want: "GET /info"},
		{line: "GET /engines/east", want: "404 page not found"},
		{line: "GET /engines/east/", want: "404 page not found"},
		{line: "GET /engines/", want: "404 page not found"},
		{line: "GET /engines", want: "404 page not found"},
		{line: "GET /engines//info", want: "400 is not clean"},
		{line: "GET /engines/../info", want: "400 is not clean"},
		{line: "GET /engines/east/engines/west/info", want: "404 page not found"},
		{line: "GET /v1.41/engines/east/info", want: "404 page not found"},
		{line: "GET /Engines/east/info", want: "404 page not found"},
	} {
		if x := a.check(t); x.call != nil && x.call.Engine != "east" {
			t.Errorf("%s: engine %q", a.line, x.call.Engine)
		}
	}
	if x := ask(t, "GET /info"); x.call.Engine != "" {
		t.Errorf("engine %q without a prefix", x.call.Engine)
	}
}

// abuse.md, Query and form: duplicate keys, unknown keys, bad escapes, ;.
func TestAbuseQueryStrict(t *testing.T) {
	unknown := []string{"unknown"}
	for _, a := range []asked{
		{line: "POST /images/create?fromImage=a&tag=b", want: "same"},
		{line: "POST /images/create?tag=b&fromImage=a", want: "POST /images/create?fromImage=a&tag=b"},
		{line: "POST /images/create?&&fromImage=a&", want: "POST /images/create?fromImage=a"},
		{line: "POST /images/create?", want: "POST /images/create"},
		{line: "POST /images/create?fromImage=a&fromImage=b", want: "400 query: fromImage is written twice: write it once"},
		{line: "POST /images/create?fromImage=a&fromImage=a", want: "400 fromImage is written twice"},
		{line: "POST /images/create?fromImage&fromImage=a", want: "400 fromImage is written twice"},
		{line: "POST /images/create?fromImage=a&%66romImage=b", want: "400 fromImage is written twice"},
		{line: "POST /images/create?fromImage=a;tag=b", want: "400 holds a semicolon"},
		{line: "POST /images/create?;", want: "400 holds a semicolon"},
		{line: "POST /images/create?fromImage=a%3Bb", want: "same"},
		{line: "POST /images/create?fromImage=%", want: `400 query: "fromImage=%" has a bad escape: write % as %25`},
		{line: "POST /images/create?%zz=a", want: "400 bad escape"},
		{line: "POST /images/create?fromImage=%u0041", want: "400 bad escape"},
		{line: "POST /images/create?fromImage=a%00", want: "400 NUL"},
		{line: "POST /images/create?fromImage%00=a", want: "400 NUL"},
		{line: "POST /images/create?message=a+b%0A%C3%BC%FF", want: "same"},
		{line: "POST /images/create?message=a%20b%2bc=d?e#f", want: "POST /images/create?message=a+b%2Bc%3Dd%3Fe%23f"},
		{line: "POST /images/create?fromimage=a", want: `400 query: POST /images/create does not know "fromimage": leave it out`},
		{line: "POST /images/create?FromImage=a&fromImage=b", want: `400 does not know "FromImage"`},
		{line: "POST /images/create?new=", want: "POST /images/create"},
		{line: "POST /images/create?new", want: "POST /images/create"},
		{line: "POST /images/create?=a", want: `400 does not know ""`},
		{line: "POST /images/create?new=1&new=2&fromImage=a", want: "POST /images/create?fromImage=a&new=1&new=2", lines: unknown},
		{line: "POST /images/create?new=&=", want: "POST /images/create?=&new=", lines: unknown},
		{line: "POST /images/create?fromImage=a&fromImage=b", want: "400 fromImage is written twice", lines: unknown},
		{line: "POST /images/create?token=x;y", want: "400 semicolon", lines: unknown},
		{line: "GET /info?new=%1b%5b", want: `400 does not know "new"`},
		{line: "GET /images/get?names=a&names=b&names=a", want: "same"},
		{line: "POST /build?t=a&t=b&remote=x&dockerfile=a&dockerfile=b", want: "400 dockerfile is written twice"},
		{line: "POST /commit?changes=A&changes=B&container=x", want: "same"},
		{line: "GET /containers/json?all=1", want: "same"},
		{line: `GET /containers/json?filters={"label":["a"]}`, want: "GET /containers/json?filters=%7B%22label%22%3A%7B%22a%22%3Atrue%7D%7D"},
		{line: `GET /containers/json?filters={"label":{"a":false}}`, want: "GET /containers/json?filters=%7B%22label%22%3A%7B%22a%22%3Atrue%7D%7D"},
		{line: "GET /containers/json?filters=", want: "same"},
		{line: `GET /containers/json?filters={"a":["b"],"a":["c"]}`, want: "400 filters: a is written twice"},
		{line: `GET /containers/json?filters={}&filters={}`, want: "400 filters is written twice"},
		{line: `GET /containers/json?filters=[]`, want: "400 filters: it is a list"},
		{line: "GET /images/get?" + strings.Repeat("names=a&", maxPairs) + "names=a", want: "400 more than 10000 keys and values"},
	} {
		a.check(t)
	}
	x := ask(t, "GET /images/get?"+strings.Repeat("names=a&", maxPairs))
	if x.call == nil || len(x.call.Query["names"]) != maxPairs {
		t.Errorf("a long list: %s", x.message)
	}
}

// What is taken reads the same with the Engine's parser, and is sent as it.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"a=b", "names=a&names=b", "platform=x&platform=y", "%6eames=1", "x=;", "=", "&&a", "a=%zz", "a=%00", "+=+", "names",
		`names={"a"}`, "a=b=c", "%3b=1", "\xff=%ff", "names=a#b", "?names=?", "a=1&a=2"} {
		f.Add(seed)
	}
	row := table.tree.rows[endpoint{"GET", "/images/get"}][0]
	f.Fuzz(func(t *testing.T, raw string) {
		c := &Call{Route: &row.Route}
		if c.readQuery(raw, row) != nil {
			return
		}
		want, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q is taken, the Engine's parser says %v", raw, err)
		}
		got := url.Values{}
		for _, values := range []url.Values{c.Query, c.Unknown} {
			for key, list := range values {
				got[key] = append(got[key], list...)
			}
		}
		if got.Encode() != want.Encode() {
			t.Fatalf("%q reads as %v, want %v", raw, got, want)
		}
		c.PassUnknown = true
		r, err := c.Request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sent, err := url.ParseQuery(r.URL.RawQuery); err != nil || sent.Encode() != want.Encode() {
			t.Fatalf("%q is sent as %q, %v", raw, r.URL.RawQuery, err)
		}
	})
}

// Found is told the call before it is read, Fail gets what is wrong with it.
func TestMuxTells(t *testing.T) {
	var found, failed string
	mux := NewMux(Table(), HandlerFunc(func(http.ResponseWriter, *http.Request, *Call) error { return errNotFound }))
	mux.Found = func(_ *http.Request, c *Call) { found = c.Action }
	mux.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err.Error() }
	for target, want := range map[string][2]string{
		"/v1.41/containers/json":            {"container.list", "page not found"},
		"/v1.41/containers/json?all=1&all=": {"container.list", "query: all is written twice: write it once"},
		"/nothing":                          {"", "page not found"},
	} {
		found, failed = "", ""
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
		if found != want[0] || failed != want[1] {
			t.Errorf("%s: found %q, failed %q, want %q", target, found, failed, want)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"1.24", "1.24", false}, {"1.9", "1.24", true}, {"1.100", "1.24", false}, {"2.0", "1.41", false}, {"0.99", "1.0", true}} {
		if got := Older(tt.a, tt.b); got != tt.want {
			t.Errorf("Older(%s, %s) is %v", tt.a, tt.b, got)
		}
	}
}
