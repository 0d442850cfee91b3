package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// kept is a sink that keeps copies.
type kept struct {
	mu      sync.Mutex
	records []Record
	live    map[string]int
	arrived chan struct{}
}

func newKept() *kept { return &kept{live: map[string]int{}, arrived: make(chan struct{}, 1000)} }

func (k *kept) Record(r *Record) {
	k.mu.Lock()
	k.records = append(k.records, *r)
	k.mu.Unlock()
	k.arrived <- struct{}{}
}

func (k *kept) Opened(kind string) { k.count(kind, 1) }
func (k *kept) Closed(kind string) { k.count(kind, -1) }

func (k *kept) count(kind string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.live[kind] += n
}

// last waits for one record.
func (k *kept) last(t *testing.T) Record {
	t.Helper()
	select {
	case <-k.arrived:
	case <-time.After(10 * time.Second):
		t.Fatal("no record after 10 s")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.records[len(k.records)-1]
}

// front serves a handler behind Middleware, on a real connection.
func front(t *testing.T, h http.HandlerFunc) (*httptest.Server, *kept) {
	k := newKept()
	s := httptest.NewUnstartedServer(Middleware("test", k)(h))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s, k
}

func TestMiddleware(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		body    string
		want    Record // Status, Decision, BytesIn, BytesOut, Error, Reason, User
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, "", Record{Status: 200, Decision: Allow}},
		{"write", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }, "", Record{Status: 200, Decision: Allow, BytesOut: 5}},
		{"write string", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, "", Record{Status: 200, Decision: Allow, BytesOut: 5}},
		{"copy", func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("hello")) }, "", Record{Status: 200, Decision: Allow, BytesOut: 5}},
		{"read from", func(w http.ResponseWriter, _ *http.Request) {
			w.(io.ReaderFrom).ReadFrom(struct{ io.Reader }{strings.NewReader("hello")})
		}, "", Record{Status: 200, Decision: Allow, BytesOut: 5}},
		{"echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, "abc", Record{Status: 200, Decision: Allow, BytesIn: 3, BytesOut: 3}},
		{"body not read", func(w http.ResponseWriter, r *http.Request) {}, "abc", Record{Status: 200, Decision: Allow}},
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "", Record{Status: 204, Decision: Allow}},
		{"the first status holds", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); w.WriteHeader(500) }, "", Record{Status: 204, Decision: Allow}},
		{"early hints are no status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) }, "", Record{Status: 404, Decision: Deny}},
		{"refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, "", Record{Status: 400, Decision: Deny}},
		{"failed", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "", Record{Status: 502, Decision: Failed}},
		{"decided", func(w http.ResponseWriter, r *http.Request) { From(r.Context()).Decision = Allow; w.WriteHeader(502) }, "", Record{Status: 502, Decision: Allow}},
		{"flush", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(500) }, "", Record{Status: 200, Decision: Allow}},
		{"controller", func(w http.ResponseWriter, _ *http.Request) {
			c := http.NewResponseController(w)
			if err := c.Flush(); err != nil {
				panic(err)
			}
			if err := c.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				panic(err)
			}
			if err := c.EnableFullDuplex(); err != nil {
				panic(err)
			}
		}, "", Record{Status: 200, Decision: Allow}},
		{"an error", func(w http.ResponseWriter, r *http.Request) {
			Fail(w, r, &router.Error{Status: 415, Message: "send JSON"})
		}, "", Record{Status: 415, Decision: Deny, BytesOut: int64(len(`{"message":"send JSON"}`)) + 1, Reason: "send JSON"}},
		{"told who it is", func(w http.ResponseWriter, _ *http.Request) {
			w.(interface{ Identified(*identity.Identity) }).Identified(&identity.Identity{User: "alice", Method: "peer"})
		}, "", Record{Status: 200, Decision: Allow, User: "alice"}},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("oh") }, "", Record{Status: 0, Decision: Failed, Error: "panic: oh"}},
		{"panic when decided", func(_ http.ResponseWriter, r *http.Request) {
			From(r.Context()).Decision = Allow
			var m map[string]int
			//lint:ignore SA5000 the panic is what is tested
			m["x"] = 1
		}, "", Record{Status: 0, Decision: Failed, Error: "panic: assignment to entry in nil map"}},
		{"abort", func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("hello"))
			panic(http.ErrAbortHandler)
		}, "", Record{Status: 200, Decision: Allow, BytesOut: 5, Error: "the answer was cut short"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, k := front(t, test.handler)
			var body io.Reader
			if test.body != "" {
				body = strings.NewReader(test.body)
			}
			req, err := http.NewRequest("POST", s.URL+"/v1.41/x%2Fy?token=secret", body)
			if err != nil {
				t.Fatal(err)
			}
			before := time.Now()
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			got := k.last(t)
			if got.Status != test.want.Status || got.Decision != test.want.Decision || got.BytesIn != test.want.BytesIn ||
				got.BytesOut != test.want.BytesOut || got.Error != test.want.Error || got.Reason != test.want.Reason || got.User != test.want.User {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if got.Method != "POST" || got.Path != "/v1.41/x%2Fy" || got.Listener != "test" || got.Remote == "" {
				t.Errorf("got %+v", got)
			}
			if strings.Contains(fmt.Sprintf("%+v", got), "secret") {
				t.Errorf("the query is in the record: %+v", got)
			}
			if got.Time.Before(before.Truncate(time.Microsecond)) || got.Duration <= 0 || got.Duration > time.Since(before) {
				t.Errorf("began %v, took %v", got.Time, got.Duration)
			}
			if err == nil && resp.Header.Get("Moorgate-Request-Id") != got.ID {
				t.Errorf("the answer has the id %q, the record %q", resp.Header.Get("Moorgate-Request-Id"), got.ID)
			}
		})
	}
}

func TestPanicGoesOn(t *testing.T) {
	for _, v := range []any{"oh", http.ErrAbortHandler} {
		h := Middleware("test")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(v) }))
		func() {
			defer func() {
				if got := recover(); got != v {
					t.Errorf("recovered %v, want %v", got, v)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
	}
}

func TestHijack(t *testing.T) {
	for _, status := range []int{101, 200} {
		proceed := make(chan struct{})
		s, k := front(t, func(w http.ResponseWriter, r *http.Request) {
			From(r.Context()).Stream("hijack")
			conn, buf, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(buf, "HTTP/1.1 %d X\r\n\r\nhello", status)
			buf.Flush()
			if status != 101 {
				w.WriteHeader(status)
			}
			w.(interface{ CountHijacked(in, out int64) }).CountHijacked(7, 5)
			<-proceed
		})
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /exec/x/start HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatal(err)
		}
		k.mu.Lock()
		if len(k.records) != 0 || k.live["hijack"] != 1 {
			t.Errorf("while it lives: %d records, %v streams", len(k.records), k.live)
		}
		k.mu.Unlock()
		close(proceed)
		if got := k.last(t); got.Status != status || got.BytesIn != 7 || got.BytesOut != 5 || k.live["hijack"] != 0 {
			t.Errorf("got %+v, %v streams", got, k.live)
		}
	}
}

func TestStreamCountsOnce(t *testing.T) {
	k := newKept()
	r := &Record{sinks: []Sink{k}}
	r.Stream("")
	r.Stream("events")
	r.Stream("logs")
	if k.live["events"] != 1 || len(k.live) != 1 {
		t.Errorf("live: %v", k.live)
	}
	r.end()
	if k.live["events"] != 0 {
		t.Errorf("live after the end: %v", k.live)
	}
}

// TestLateUse holds that a body read after its handler returned, as transports
// do, does not reach another request.
func TestLateUse(t *testing.T) {
	var bodies []io.ReadCloser
	h := Middleware("test")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { bodies = append(bodies, r.Body) }))
	for i := range 2 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(fmt.Sprint("body ", i))))
	}
	for i, b := range bodies {
		if got, _ := io.ReadAll(b); string(got) != fmt.Sprint("body ", i) {
			t.Errorf("body %d reads %q", i, got)
		}
	}
}

func TestNoBodyStaysNone(t *testing.T) {
	h := Middleware("test")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			t.Error("a request without a body got one: it would be sent chunked")
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Body = http.NoBody
	h.ServeHTTP(httptest.NewRecorder(), r)
}

func TestIDsAreUnique(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				id := nextID()
				mu.Lock()
				if seen[id] || len(id) > 30 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
					t.Errorf("id %q", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestContextPassesThrough(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	h := Middleware("test")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != "kept" {
			t.Error("a value of the outer context is lost")
		}
		inner, stop := context.WithTimeout(r.Context(), time.Minute)
		defer stop()
		cancel()
		<-inner.Done()
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
}

func TestIdentifiedBounds(t *testing.T) {
	var r Record
	r.identified(&identity.Identity{User: "a", Groups: slices.Repeat([]string{"g"}, 1000), Peer: &identity.Peer{UID: 1, GID: 2, PID: 3}})
	if len(r.Groups) != maxGroups || r.Remote != "uid=1 gid=2 pid=3" {
		t.Errorf("%d groups, remote %q", len(r.Groups), r.Remote)
	}
	r = Record{Remote: "1.2.3.4:5"}
	r.identified(&identity.Identity{User: "a", Peer: &identity.Peer{}})
	if r.Remote != "1.2.3.4:5" {
		t.Errorf("remote %q", r.Remote)
	}
	if remote("@") != "" {
		t.Error("an unnamed unix socket has a name")
	}
}

type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) WriteHeader(int)             {}
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkMiddleware(b *testing.B) {
	answer := bytes.Repeat([]byte("x"), 100)
	metrics := NewMetrics()
	h := Middleware("test", metrics)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		From(r.Context()).Action = "container.list"
		w.WriteHeader(200)
		w.Write(answer)
	}))
	r := httptest.NewRequest("GET", "/v1.41/containers/json", nil)
	w := &nullWriter{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

// continuer is a server that lets answers outlive their handlers.
type continuer struct {
	nullWriter
	goesOn func() error
}

func (c *continuer) Continue(f func() error) bool {
	c.goesOn = f
	return true
}

// TestContinue: the record is made when the answer is over, with what became of
// it; and when the handler returns where nothing goes on.
func TestContinue(t *testing.T) {
	for _, test := range []struct {
		name  string
		does  func() error
		fault string
	}{
		{"ends", func() error { return nil }, ""},
		{"is cut", func() error { return errors.New("broken off") }, "broken off"},
		{"panics", func() error { panic("oh") }, "panic: oh"},
	} {
		k, w := newKept(), &continuer{nullWriter: nullWriter{http.Header{}}}
		h := Middleware("l", k)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			From(r.Context()).Stream("stream")
			if !w.(interface{ Continue(func() error) bool }).Continue(func() error {
				io.WriteString(w, "late")
				return test.does()
			}) {
				t.Error("not taken")
			}
		}))
		h.ServeHTTP(w, httptest.NewRequest("GET", "/events", nil))
		if len(k.records) != 0 || k.live["stream"] != 1 {
			t.Errorf("%s: while it goes on: %d records, %v streams", test.name, len(k.records), k.live)
		}
		func() {
			defer func() { recover() }()
			if err := w.goesOn(); (err != nil) != (test.fault != "") {
				t.Errorf("%s: gave %v", test.name, err)
			}
		}()
		if got := k.last(t); got.Error != test.fault || got.BytesOut != 4 || got.Status != 200 || len(k.records) != 1 || k.live["stream"] != 0 {
			t.Errorf("%s: got %+v, %v streams", test.name, got, k.live)
		}
	}

	s, k := front(t, func(w http.ResponseWriter, _ *http.Request) {
		if w.(interface{ Continue(func() error) bool }).Continue(func() error { return nil }) {
			t.Error("taken by a server that cannot")
		}
		io.WriteString(w, "at once")
	})
	if _, err := http.Get(s.URL); err != nil {
		t.Fatal(err)
	}
	if got := k.last(t); got.BytesOut != 7 {
		t.Errorf("got %+v", got)
	}
}

// TestWriteChunks counts the data and not its framing.
func TestWriteChunks(t *testing.T) {
	s, k := front(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := w.(interface {
			WriteChunks([]byte, int64, bool) error
		}).WriteChunks([]byte("1\r\na\r\n"), 1, false); err != http.ErrNotSupported {
			t.Errorf("a server that cannot says %v", err)
		}
		io.WriteString(w, "ok")
	})
	if _, err := http.Get(s.URL); err != nil {
		t.Fatal(err)
	}
	if got := k.last(t); got.BytesOut != 2 {
		t.Errorf("got %+v", got)
	}
	w := &chunked{nullWriter: nullWriter{http.Header{}}}
	Middleware("l", k)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		if err := w.(interface {
			WriteChunks([]byte, int64, bool) error
		}).WriteChunks([]byte("2\r\nab\r\n"), 2, true); err != nil {
			t.Error(err)
		}
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got := k.last(t); got.BytesOut != 2 || w.text != "2\r\nab\r\n" {
		t.Errorf("got %+v, %q", got, w.text)
	}
}

// chunked takes chunks as they are.
type chunked struct {
	nullWriter
	text string
}

func (c *chunked) WriteChunks(p []byte, _ int64, _ bool) error {
	c.text += string(p)
	return nil
}

// taker is a ResponseWriter and a context as http1's are.
type taker struct {
	*httptest.ResponseRecorder
	context.Context
	values map[any]any
	header http.Header
}

func (t *taker) TakeHeader(h http.Header) bool { t.header = h; return true }
func (t *taker) Value(key any) any             { return t.values[key] }

func (t *taker) SetValue(key, value any) bool {
	if t.values[key] != nil {
		return false
	}
	t.values[key] = value
	return true
}

// TestTaken: with a server that can, neither the request nor the header is
// copied, and the answer has its id all the same.
func TestTaken(t *testing.T) {
	k := newKept()
	w := &taker{ResponseRecorder: httptest.NewRecorder(), Context: t.Context(), values: map[any]any{}}
	r := httptest.NewRequest("GET", "/", nil).WithContext(w)
	engines := http.Header{"Server": {"Docker"}}
	Middleware("test", k)(http.HandlerFunc(func(w http.ResponseWriter, inner *http.Request) {
		if inner != r {
			t.Error("the request was copied")
		}
		From(inner.Context()).Action = "system.ping"
		if !w.(interface{ TakeHeader(http.Header) bool }).TakeHeader(engines) {
			t.Error("the header was not taken")
		}
		w.WriteHeader(200)
	})).ServeHTTP(w, r)
	rec := k.last(t)
	if rec.Action != "system.ping" || w.header.Get(requestID) != rec.ID || w.header.Get("Server") != "Docker" {
		t.Errorf("got %+v, %v", rec, w.header)
	}
}
