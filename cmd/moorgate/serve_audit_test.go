package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

// record is one line of the audit file, by the names of the manual.
type record struct {
	Time, ID, User, Evidence, Listener, Remote, Engine, Action, Method, Path string
	Groups, Refs                                                             []string
	Decision, Rule, Reason, Error                                            string
	Status                                                                   int
	Duration                                                                 *float64 `json:"duration_ms"`
	BytesIn                                                                  int64    `json:"bytes_in"`
	BytesOut                                                                 int64    `json:"bytes_out"`
	Event                                                                    string
	Lost                                                                     int
}

// records reads the audit file.
func (s *server) records() []record {
	s.t.Helper()
	text, err := os.ReadFile(s.path("audit.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	return readRecords(s.t, text)
}

func readRecords(t testing.TB, text []byte) (all []record) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	for {
		var r record
		switch err := d.Decode(&r); {
		case err == io.EOF:
			return all
		case errors.Is(err, io.ErrUnexpectedEOF):
			return all // a line that is being written
		case err != nil:
			t.Fatalf("the audit file: %v", err)
		}
		all = append(all, r)
	}
}

// recorded waits for the one record of an id.
func (s *server) recorded(id string) record {
	s.t.Helper()
	var found []record
	await(s.t, "a record of "+id, func() bool {
		found = nil
		for _, r := range s.records() {
			if r.ID == id {
				found = append(found, r)
			}
		}
		return len(found) > 0
	})
	if len(found) > 1 {
		s.t.Errorf("%d records of %s", len(found), id)
	}
	return found[0]
}

func id(r *http.Response) string { return r.Header.Get("Moorgate-Request-Id") }

var exactTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)

func TestAudit(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, plainConfig, e.Address)
	same := func(name string, got, want record) {
		t.Helper()
		if !exactTime.MatchString(got.Time) || got.Duration == nil || *got.Duration < 0 || got.ID == "" {
			t.Errorf("%s: time %q, duration %v, id %q", name, got.Time, got.Duration, got.ID)
		}
		if !strings.HasPrefix(got.Remote, fmt.Sprintf("uid=%d gid=%d pid=%d", os.Getuid(), os.Getgid(), os.Getpid())) && got.User != "" {
			t.Errorf("%s: remote %q", name, got.Remote)
		}
		if got.Listener != "unix://"+s.path("m.sock") || got.User != "" && got.Evidence != "peer" {
			t.Errorf("%s: listener %q, evidence %q", name, got.Listener, got.Evidence)
		}
		got.Time, got.ID, got.Duration, got.Remote, got.Listener, got.Evidence, got.Groups = "", "", nil, "", "", "", nil
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	a := s.ask("m.sock", "GET", "/v1.41/containers/json?all=1")
	same("a list", s.recorded(id(a.Response)), record{User: "tester", Engine: "local", Action: "container.list", Method: "GET",
		Path: "/v1.41/containers/json", Decision: "allow", Rule: "role admin", Status: 200, BytesOut: int64(len(a.body))})
	a = s.ask("m.sock", "POST", "/v1.41/containers/web/stop?t=3")
	same("a name", s.recorded(id(a.Response)), record{User: "tester", Engine: "local", Action: "container.stop", Method: "POST",
		Path: "/v1.41/containers/web/stop", Refs: []string{"container:web"}, Decision: "allow", Rule: "role admin", Status: 204})
	a = s.ask("m.sock", "GET", "/no/where")
	same("no route", s.recorded(id(a.Response)), record{User: "tester", Method: "GET", Path: "/no/where", Decision: "deny", Reason: "page not found",
		Status: 404, BytesOut: int64(len(a.body))})
	e.Close()
	a = s.ask("m.sock", "GET", "/v1.41/info")
	got := s.recorded(id(a.Response))
	if got.Error == "" {
		t.Error("an Engine that is away: the record has no error")
	}
	got.Error = ""
	same("no Engine", got, record{User: "tester", Engine: "local", Action: "system.info", Method: "GET", Path: "/v1.41/info",
		Decision: "allow", Rule: "role admin", Status: 502, BytesOut: int64(len(a.body))})
	if info, err := os.Stat(s.path("audit.jsonl")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the audit file has %v, %v", info.Mode(), err)
	}
}

// Streams are recorded at their end, with the bytes that they carried.
func TestAuditStreams(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, plainConfig, e.Address)
	c, r, head := s.stream(101, "POST /v1.41/containers/echo/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	events, _, eventsHead := s.stream(200, "GET /v1.41/events?since=3 HTTP/1.1\r\nHost: d\r\n\r\n")
	io.WriteString(c, "hello")
	if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, eventsHead.Body, 1)
	s.recorded(id(s.ask("m.sock", "GET", "/_ping").Response)) // what is over is in the file by now
	for _, r := range s.records() {
		if r.ID == id(head) || r.ID == id(eventsHead) {
			t.Errorf("recorded before its end: %+v", r)
		}
	}
	c.CloseWrite()
	io.Copy(io.Discard, r)
	c.Close()
	events.Close()
	if r := s.recorded(id(head)); r.Status != 101 || r.BytesIn != 5 || r.BytesOut != 5 || r.Action != "container.attach" {
		t.Errorf("attach: %+v", r)
	}
	if r := s.recorded(id(eventsHead)); r.Status != 200 || r.BytesOut < 100 || r.Action != "system.events" {
		t.Errorf("events: %+v", r)
	}
}

// What callers keep secret is in no record and in no log.
func TestAuditSecrets(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, plainConfig, e.Address)
	const secret = "s3cr3t-marker"
	fields := []string{"X-Registry-Auth: " + secret, "X-Registry-Config: " + secret, "Authorization: Bearer " + secret,
		"Cookie: session=" + secret, "X-Other: " + secret}
	for _, request := range []string{
		"POST /v1.41/images/create?fromImage=busybox&tag=" + secret + "&unknown=" + secret,
		"POST /v1.41/build?buildargs=%7B%22P%22%3A%22" + secret + "%22%7D",
		"GET /no/where?token=" + secret,
		"GET /v1.41/containers/json?all=1&all=" + secret,
		"GET /v9.99/containers/json?x=" + secret,
	} {
		method, target, _ := strings.Cut(request, " ")
		s.ask("m.sock", method, target, fields...)
	}
	for _, request := range []string{
		"POST /v1.41/auth HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" + `{"username":"u","password":"` + secret + `"}`,
		"POST /v1.41/auth HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" + `{"password":"` + secret + `"`,
		"POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" + `{"Image":"x","Env":["P=` + secret + `"],"Env":[]}`,
		"GET /_ping?" + secret + " HTTP/1.1\r\nHost: " + secret + "\nX: y\r\n\r\n%.0d",
		"GET /_ping HTTP/1.1\r\nAuthorization: Bearer " + secret + "\r\nHost: d\r\nHost: e\r\n\r\n%.0d",
	} {
		_, body, _ := strings.Cut(request, "\r\n\r\n")
		c := s.dial("m.sock")
		fmt.Fprintf(c, request, len(body))
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Errorf("%q: %v", request, err)
		} else {
			s.recorded(id(resp))
		}
		c.Close()
	}
	s.signal(syscall.SIGTERM)
	s.wait()
	text, err := os.ReadFile(s.path("audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readRecords(t, text)); n != 10 {
		t.Errorf("%d records of 10 requests", n)
	}
	for line := range strings.Lines(string(text) + s.log.String()) {
		if strings.Contains(line, secret) && !strings.Contains(line, `"image:docker.io/library/busybox:`+secret+`"`) { // a tag is no secret
			t.Errorf("tells a secret: %s", line)
		}
	}
}

// A head that can be read in two ways is answered in the Engine's shape, with
// an id that finds the record.
func TestServeMalformed(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, plainConfig, e.Address)
	for name, head := range map[string]string{
		"bare line feeds": "GET /_ping HTTP/1.1\nHost: d\n\n",
		"two lengths":     "POST /v1.41/auth HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"chunks, length":  "POST /v1.41/auth HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a folded field":  "GET /_ping HTTP/1.1\r\nHost: d\r\nX: a\r\n b\r\n\r\n",
		"no host":         "GET /_ping HTTP/1.1\r\n\r\n",
		"a bad target":    "GET _ping HTTP/1.1\r\nHost: d\r\n\r\n",
		"a bad escape":    "GET /%zz HTTP/1.1\r\nHost: d\r\n\r\n",
		"no HTTP":         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"a space":         "GET /_ping HTTP/1.1\r\nHost : d\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := len(e.Requests())
			c := s.dial("m.sock")
			io.WriteString(c, head)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			a := answer{resp, string(body)}
			if a.StatusCode != 400 || strings.HasPrefix(a.message(), "not the") || a.message() == "" || err != nil {
				t.Errorf("got %d %.300s (%v)", a.StatusCode, a.body, err)
			}
			if err := a.ours(); err != nil {
				t.Error(err)
			}
			if !resp.Close {
				t.Error("the connection is to go on")
			}
			if r := s.recorded(id(resp)); r.Status != 400 || r.Decision != "deny" || r.Reason != a.message() {
				t.Errorf("recorded as %+v", r)
			}
			for _, r := range e.Requests()[before:] {
				if r.Header("User-Agent") != "moorgate" {
					t.Errorf("the Engine got %s", r.Head)
				}
			}
		})
	}
}

// An audit file that cannot be written holds nobody up; what is lost is
// counted and said.
func TestAuditStuck(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	var pipe *os.File
	s := start(t, plainConfig, e.Address, func(s *server) {
		if err := syscall.Mkfifo(s.path("audit.jsonl"), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if pipe, err = os.OpenFile(s.path("audit.jsonl"), os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pipe.Close() })
	})
	client, asked, slowest := s.client("m.sock"), 0, time.Duration(0)
	long := strings.Repeat("x", 4000) // records are large
	for end := time.Now().Add(patience); !strings.Contains(s.log.String(), "audit records are being lost"); asked++ {
		if time.Now().After(end) {
			t.Fatalf("nothing was lost after %d requests", asked)
		}
		begin := time.Now()
		resp, err := client.Get("http://docker/v1.41/containers/" + long + "/top")
		if err != nil {
			t.Fatalf("request %d was not answered: %v", asked, errors.Unwrap(err))
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		slowest = max(slowest, time.Since(begin))
	}
	if slowest > 2*time.Second {
		t.Errorf("a caller was held up for %s", slowest)
	}
	t.Logf("%d requests, the slowest took %s", asked, slowest)

	// Somebody reads again: all is there, or said to be lost.
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	pipe.SetReadDeadline(time.Now().Add(patience))
	for kept, lost := 0, 0; kept+lost < asked && lines.Scan(); {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("a torn line: %v", err)
		}
		if r.Event == "lost" {
			lost += r.Lost
		} else {
			kept++
		}
		if kept+lost == asked && (lost == 0 || kept == 0) {
			t.Errorf("%d kept, %d lost", kept, lost)
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("not all records are there or said to be lost: %v", err)
	}
	await(t, "the log tells the loss", func() bool { return strings.Contains(s.log.String(), `"audit records were lost","lost":`) })
}

func TestAuditFull(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, strings.Replace(plainConfig, "audit.jsonl", "/dev/full", 1), e.Address)
	for range 10 {
		if a := s.ask("m.sock", "GET", "/_ping"); a.body != "OK" {
			t.Errorf("got %d %.300s", a.StatusCode, a.body)
		}
	}
	await(t, "the log tells why", func() bool {
		return strings.Contains(s.log.String(), "no space left on device") && strings.Contains(s.log.String(), `"audit records were lost","lost":`)
	})
}
