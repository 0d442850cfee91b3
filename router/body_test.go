package router

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	asJSON    = "Content-Type: application/json"
	handshake = "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)

// rowLine spells a request of a row.
func rowLine(r Route) string {
	return r.Method + " " + patternVariable.ReplaceAllString(r.Pattern, "x")
}

// extra is what a row's requests must have beside their line.
func extra(r Route) []string {
	if strings.HasSuffix(r.Pattern, "/ws") {
		return []string{handshake}
	}
	return nil
}

// abuse.md, Query and form: a urlencoded or multipart body on any route: 415.
func TestAbuseFormBodies(t *testing.T) {
	for _, row := range Table() {
		for _, media := range []string{"application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8",
			"application/x-www-form-urlencoded; charset", "multipart/form-data; boundary=x", "multipart/form-data", "multipart/mixed; boundary=x"} {
			for _, body := range []string{"body a=b", "chunked a=b", "body {}"} {
				asked{rowLine(row), "415 body is not taken: write options in the query", append(extra(row), "Content-Type: "+media, body)}.check(t)
			}
		}
	}
	// A form of nothing says nothing.
	asked{"POST /containers/x/start", "same", []string{"Content-Type: application/x-www-form-urlencoded", "body "}}.check(t)
}

// abuse.md, HTTP: a request body on routes that have none. What repeats the
// query or says nothing is dropped.
func TestAbuseBodyWhereNone(t *testing.T) {
	rows := 0
	for _, row := range Table() {
		if row.Body != None && row.Body != MaybeTar {
			continue
		}
		rows++
		line, lines := rowLine(row), extra(row)
		if row.Body == MaybeTar {
			line += "?remote=http://x&fromImage=y"
			lines = append(lines, "unknown")
		}
		for _, body := range []string{`body {"Privileged":true}`, `chunked {"Privileged":true}`, "body x", "body []", "body 1", `body "x"`, "body {}{}",
			`body {"x":`, "body \x00", "body " + strings.Repeat(" ", 10)} {
			for _, media := range []string{asJSON, "Content-Type: application/x-tar", "X-No-Type: 1"} {
				asked{line, "400 takes no body: send none", append(lines, media, body)}.check(t)
			}
		}
		asked{line, "413 over 65536 bytes", append(lines, asJSON, "body "+strings.Repeat(" ", maxEcho+1))}.check(t)
		asked{line, "413 over 65536 bytes", append(lines, asJSON, "chunked "+strings.Repeat(" ", maxEcho+1))}.check(t)
		for _, body := range []string{"body {}", "chunked {}", "chunked ", "body null", `body {"x":null}`, "body "} {
			x := ask(t, line, append(lines, asJSON, body)...)
			switch {
			case x.call == nil:
				t.Errorf("%s with %s: %d %s", line, body, x.status, x.message)
			case x.body != "" || x.sent.ContentLength > 0 || x.sent.TransferEncoding != nil || x.sent.Header["Content-Type"] != nil:
				t.Errorf("%s with %s: sends %q %v %v", line, body, x.body, x.sent.TransferEncoding, x.sent.Header)
			case (row.Method == "POST" || row.Method == "PUT") && x.sent.Header["Content-Length"] == nil:
				t.Errorf("%s with %s: sends no Content-Length", line, body)
			}
		}
	}
	if rows < 80 {
		t.Errorf("%d rows without a body", rows)
	}
}

// What dockerode sends on such routes: its options, in query and body.
func TestReadEcho(t *testing.T) {
	for _, a := range []asked{
		{"POST /containers/x/kill?signal=HUP", "same", []string{asJSON, `body {"signal":"HUP"}`}},
		{"POST /containers/x/kill?signal=HUP", "400 takes no body", []string{asJSON, `body {"signal":"KILL"}`}},
		{"POST /containers/x/kill?signal=HUP", "400 takes no body", []string{asJSON, `body {"Signal":"HUP"}`}},
		{"POST /containers/x/kill?signal=HUP", "400 takes no body", []string{asJSON, `body {"signal":"HUP","signal":"HUP"}`}},
		{"POST /containers/x/stop?t=5", "same", []string{asJSON, `body {"t":5}`}},
		{"POST /containers/x/stop?t=5", "400 takes no body", []string{asJSON, `body {"t":5.0}`}},
		{"POST /containers/x/stop", "same", []string{asJSON, `body {"signal":""}`}},
		{"POST /containers/x/start", "400 takes no body", []string{asJSON, `body {"Privileged":true,"Binds":["/:/x"]}`}},
		{"POST /containers/x/start", "400 takes no body", []string{asJSON, `body {"HostConfig":{}}`}},
		{"POST /containers/x/attach?stream=true&stdin=false", "POST /containers/x/attach?stdin=false&stream=true",
			[]string{asJSON, `body {"stream":true,"stdin":false}`}},
		{"POST /images/create?fromImage=a&tag=1", "same", []string{asJSON, `body {"fromImage":"a","tag":"1"}`}},
		{"POST /images/create?fromImage=a", "400 takes no body", []string{asJSON, `body {"fromImage":"b"}`}},
		{`POST /images/prune?filters={"dangling":["true"]}`, "POST /images/prune?filters=%7B%22dangling%22%3A%7B%22true%22%3Atrue%7D%7D",
			[]string{asJSON, `body {"filters":{"dangling":["true"]}}`}},
		{`POST /images/prune?filters={"dangling":["true"]}`, "400 takes no body", []string{asJSON, `body {"filters":{"dangling":["false"]}}`}},
		{`POST /images/prune?filters={"dangling":["true"]}`, "400 takes no body", []string{asJSON, `body {"filters":["dangling"]}`}},
		{"GET /images/get?names=a&names=b", "same", []string{asJSON, `body {"names":["a","b"]}`}},
		{"GET /images/get?names=a&names=b", "400 takes no body", []string{asJSON, `body {"names":["a"]}`}},
		{"GET /images/get?names=a&names=b", "400 takes no body", []string{asJSON, `body {"names":"a"}`}},
		{"POST /containers/x/kill?new=1", "same", []string{asJSON, "unknown", `body {"new":1}`}},
		{"POST /containers/x/kill?new=1", "400 does not know", []string{asJSON, `body {"new":1}`}},
	} {
		if x := a.check(t); x.body != "" {
			t.Errorf("%s: sends %s", a.line, x.body)
		}
	}
}

// Where a row has a body, what SDKs write twice is left only where the Engine
// reads it.
func TestReadSaysOnce(t *testing.T) {
	for _, tt := range []struct{ line, body, sent, sentBody string }{
		{"POST /containers/create?name=a&Image=b&Tty=true&HostConfig=%7B%22Memory%22%3A5%7D&Env=%5B%22A%3DB%22%5D",
			`{"name":"a","Image":"b","Tty":true,"HostConfig":{"Memory":5},"Env":["A=B"]}`,
			"POST /containers/create?name=a", `{"Image":"b","Tty":true,"HostConfig":{"Memory":5},"Env":["A=B"]}`},
		{"POST /containers/create?name=a&platform=c", `{"Image":"b","name":"a","platform":"c"}`,
			"POST /containers/create?name=a&platform=c", `{"Image":"b"}`},
		{"POST /containers/create?name=a", `{"name":"b"}`, "POST /containers/create?name=a", `{"name":"b"}`},
		{"POST /containers/create?name=a", `{"HostConfig":{"name":"a"}}`, "POST /containers/create?name=a", `{"HostConfig":{"name":"a"}}`},
		{"POST /containers/create?Image=a", `{"Image":"b"}`, `400 does not know "Image"`, ""},
		{"POST /containers/create?HostConfig=%7B%7D", `{"HostConfig":{"Memory":5}}`, `400 does not know "HostConfig"`, ""},
		{"POST /containers/create?Image=a&Image=a", `{"Image":"a"}`, `400 does not know "Image"`, ""},
		{"POST /containers/create?Privileged=true", `{"Privileged":true}`, "400 Privileged stands at the top level", ""},
	} {
		x := asked{tt.line, tt.sent, []string{asJSON, "body " + tt.body}}.check(t)
		if x.body != tt.sentBody {
			t.Errorf("%s %s: sends %s, want %s", tt.line, tt.body, x.body, tt.sentBody)
		}
	}
}

// abuse.md, JSON bodies: host settings at the top level of create.
func TestAbuseJSONTopLevelHostSettings(t *testing.T) {
	for _, field := range []string{`"Privileged":true`, `"privileged":true`, `"PRIVILEGED":true`, `"\u0050rivileged":true`, `"Binds":["/:/x"]`,
		`"bindſ":["/:/x"]`, `"Lin\u212as":["a:b"]`, `"CapAdd":["ALL"]`, `"CapAdd":"ALL"`, `"PidMode":"host"`, `"NetworkMode":"host"`, `"MaskedPaths":[]`,
		`"SecurityOpt":["seccomp=unconfined"]`, `"Devices":[{"PathOnHost":"/dev/sda"}]`, `"Memory":5`, `"VolumesFrom":["a"]`} {
		for _, body := range []string{"{" + field + "}", `{"Image":"a",` + field + "}", `{"HostConfig":{},` + field + "}", `{"HostConfig":null,` + field + "}"} {
			asked{"POST /containers/create", "400 at the top level: write it into HostConfig", []string{asJSON, "unknown", "body " + body}}.check(t)
		}
	}
	asked{"POST /containers/create", "same", []string{asJSON, `body {"Privileged":false,"Memory":0,"Links":null}`}}.check(t)
}

// abuse.md, JSON bodies: charset and Content-Encoding lies.
func TestAbuseJSONContentType(t *testing.T) {
	const line, body = "POST /v1.41/volumes/create", `{"Name":"a"}`
	for _, a := range []asked{
		{want: "same", lines: []string{"Content-Type: application/json"}},
		{want: "same", lines: []string{"Content-Type: Application/JSON"}},
		{want: "same", lines: []string{"Content-Type: application/json; charset=utf-8"}},
		{want: "same", lines: []string{`Content-Type: application/json;charset="UTF-8"; x=y`}},
		{want: "same", lines: []string{"Content-Type: application/json", "Content-Encoding: identity"}},
		{want: "415 charset \"utf-16\" is not taken: send UTF-8", lines: []string{"Content-Type: application/json; charset=utf-16"}},
		{want: "415 charset", lines: []string{"Content-Type: application/json; charset=utf-7"}},
		{want: "415 malformed", lines: []string{"Content-Type: application/json; charset"}},
		{want: "415 malformed", lines: []string{"Content-Type: application/json; charset=utf-8; charset=utf-16"}},
		{want: "415 malformed", lines: []string{"Content-Type: application/json, text/plain"}},
		{want: "415 malformed", lines: []string{"Content-Type: ;"}},
		{want: "400 header Content-Type is written twice", lines: []string{"Content-Type: application/json", "Content-Type: text/plain"}},
		{want: "400 header Content-Type is written twice", lines: []string{"Content-Type: application/json", "Content-Type: application/json"}},
		{want: `415 Content-Type "" is not taken by POST /volumes/create: send application/json`},
		{want: `415 is not taken`, lines: []string{"Content-Type:"}},
		{want: `415 Content-Type "text/plain" is not taken`, lines: []string{"Content-Type: text/plain"}},
		{want: "415 is not taken", lines: []string{"Content-Type: application/json-patch+json"}},
		{want: "415 is not taken", lines: []string{"Content-Type: text/json"}},
		{want: "415 is not taken", lines: []string{"Content-Type: application/x-tar"}},
		{want: "415 Content-Encoding \"gzip\" is not taken: send the JSON as it is", lines: []string{asJSON, "Content-Encoding: gzip"}},
		{want: "415 Content-Encoding", lines: []string{asJSON, "Content-Encoding: identity, gzip"}},
		{want: "415 Content-Encoding", lines: []string{asJSON, "Content-Encoding: identity", "Content-Encoding: gzip"}},
	} {
		a.line = line
		for _, way := range []string{"body ", "chunked "} {
			b := a
			b.lines = append([]string{way + body}, a.lines...)
			x := b.check(t)
			if x.call != nil && (x.body != body || x.sent.Header.Get("Content-Type") != "application/json" || x.sent.ContentLength != int64(len(body)) ||
				x.sent.Header["Content-Encoding"] != nil) {
				t.Errorf("%q: sends %v %q", a.lines, x.sent.Header, x.body)
			}
		}
	}
	for _, auth := range []string{"POST /auth", "POST /images/x/push"} { // which the Engine takes without a type
		asked{auth, "same", []string{`body {"username":"a"}`}}.check(t)
		asked{auth, "415 is not taken", []string{"Content-Type: text/plain", `body {"username":"a"}`}}.check(t)
		asked{auth, "400 is not spelled", []string{`body {"Username":"a"}`}}.check(t)
	}
	asked{line, "400 Name is written twice", []string{asJSON, `body {"Name":"a","Name":"b"}`}}.check(t)
	asked{line, "400 where a value should be", []string{asJSON, `body  `}}.check(t)
	for _, none := range []string{"chunked ", "body "} { // a missing body is the Engine's to judge
		if x := ask(t, line, asJSON, none); x.call == nil || x.call.Body != nil || x.body != "" || x.sent.Header["Content-Type"] != nil {
			t.Errorf("no body: %s %q", x.message, x.body)
		}
	}
}

// Archives pass as they come, with the type that the row says.
func TestReadArchive(t *testing.T) {
	for _, row := range Table() {
		if row.Body != Tar && row.Body != MaybeTar {
			continue
		}
		line := rowLine(row)
		if row.Pattern == "/images/create" {
			line += "?fromSrc=-"
		}
		for _, media := range []string{"Content-Type: application/x-tar", "Content-Type: application/tar", "Content-Type: text/plain", "X-None: 1",
			"Content-Encoding: gzip"} {
			for _, way := range []string{"body ", "chunked "} {
				x := ask(t, line, media, way+"\x1f\x8b\x00archive")
				if x.call == nil {
					t.Errorf("%s: %s", line, x.message)
					continue
				}
				length := int64(10)
				if way == "chunked " {
					length = -1
				}
				if x.body != "\x1f\x8b\x00archive" || x.sent.Header.Get("Content-Type") != "application/x-tar" || x.call.Length != length ||
					x.sent.ContentLength != length || x.sent.Header["Content-Encoding"] != nil {
					t.Errorf("%s %s: sends %q %v", line, way, x.body, x.sent.Header)
				}
			}
		}
		asked{line, "415 malformed", []string{"Content-Type: /", "body x"}}.check(t)
	}
}

// abuse.md, HTTP: slow and large bodies are bounded in size and time: 413.
func TestAbuseBodySize(t *testing.T) {
	send := func(length int64, body io.Reader) exchange {
		r := httptest.NewRequest("POST", "/configs/create", body)
		r.ContentLength = length
		r.Header.Set("Content-Type", "application/json")
		return askMux(t, r, false)
	}
	full := `{"Data":"` + strings.Repeat("A", MaxDocument-11) + `"}`
	for name, tt := range map[string]struct {
		length int64
		body   io.Reader
		want   string
	}{
		"as long as may be":            {MaxDocument, strings.NewReader(full), ""},
		"as long as may be, chunked":   {-1, strings.NewReader(full), ""},
		"said to be longer":            {MaxDocument + 1, failing{t}, "413 over 4194304 bytes: send a smaller one"},
		"longer, chunked":              {-1, strings.NewReader(full + " "), "413 over 4194304 bytes"},
		"endless":                      {-1, endless{}, "413 over 4194304 bytes"},
		"shorter than said":            {100, strings.NewReader("{}"), "400 request body ended early: send all of it within a minute"},
		"broken":                       {-1, io.MultiReader(strings.NewReader("{}"), broken{}), "400 request body ended early"},
		"nothing of what is announced": {10, strings.NewReader(""), "400 request body ended early"},
	} {
		x := send(tt.length, tt.body)
		if got := fmt.Sprint(x.status, " ", x.message); tt.want == "" && x.call == nil ||
			tt.want != "" && (!strings.HasPrefix(got, tt.want[:3]) || !strings.Contains(got, tt.want[4:])) {
			t.Errorf("%s: %s, want %q", name, got, tt.want)
		}
	}

	// What is only announced takes no room.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		send(MaxDocument, broken{})
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 20; each > 512<<10 {
		t.Errorf("a body that never comes takes %d bytes", each)
	}
}

type failing struct{ t *testing.T }

func (f failing) Read([]byte) (int, error) {
	f.t.Error("a body that is too long is read")
	return 0, io.EOF
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("gone") }

// A JSON body must come within a minute, an archive may take for ever.
func TestReadDeadline(t *testing.T) {
	for line, want := range map[string]int{"POST /configs/create": 2, "POST /containers/x/start": 2, "POST /images/load": 0} {
		method, path, _ := strings.Cut(line, " ")
		r := httptest.NewRequest(method, path, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		w := &timed{ResponseWriter: httptest.NewRecorder()}
		mux := NewMux(Table(), HandlerFunc(func(http.ResponseWriter, *http.Request, *Call) error { return nil }))
		mux.ServeHTTP(w, r)
		if len(w.deadlines) != want {
			t.Errorf("%s: %d deadlines, want %d", line, len(w.deadlines), want)
			continue
		}
		if want > 0 && (time.Until(w.deadlines[0]) > documentTime || time.Until(w.deadlines[0]) < documentTime/2 || !w.deadlines[1].IsZero()) {
			t.Errorf("%s: deadlines %v", line, w.deadlines)
		}
	}
}

type timed struct {
	http.ResponseWriter
	deadlines []time.Time
}

func (t *timed) SetReadDeadline(at time.Time) error {
	t.deadlines = append(t.deadlines, at)
	return nil
}
