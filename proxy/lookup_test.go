package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
	"moorgate/router"
)

// lookUp is an Engine to be asked.
func lookUp(t testing.TB) (*Engine, *enginetest.Engine) {
	t.Helper()
	fake := enginetest.Start(t)
	e, err := NewEngine("local", EngineConfig{Address: fake.Address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, fake
}

func said(t testing.TB, err error, status int, message string) {
	t.Helper()
	var e *router.Error
	if !errors.As(err, &e) || e.Status != status || !strings.HasPrefix(e.Message, message) {
		t.Errorf("got %v, want %d %s", err, status, message)
	}
}

func TestPost(t *testing.T) {
	e, fake := lookUp(t)
	got := map[string]string{}
	for mode, answer := range map[string]func(*enginetest.Conn){
		"made":    func(c *enginetest.Conn) { c.Reply(201, "application/json", `{"Name":"v"}`) },
		"fine":    func(c *enginetest.Conn) { c.Reply(200, "application/json", `{}`) },
		"refused": func(c *enginetest.Conn) { c.Error(409, "a volume of that name is there") },
		"later":   func(c *enginetest.Conn) { c.Reply(202, "application/json", `{}`) },
	} {
		fake.On("POST /volumes/"+mode, func(c *enginetest.Conn) {
			body, _ := io.ReadAll(c.Body())
			got[mode] = string(body)
			answer(c)
		})
	}
	if b, err := e.Post(t.Context(), "/volumes/made", []byte(`{"Name":"v"}`)); string(b) != `{"Name":"v"}` || err != nil || got["made"] != `{"Name":"v"}` {
		t.Errorf("got %s, %v for %s", b, err, got["made"])
	}
	large := `"` + strings.Repeat("l", 100<<10) + `"`
	if _, err := e.Post(t.Context(), "/volumes/fine?x=1", []byte(large)); err != nil || got["fine"] != large {
		t.Errorf("%v; %d bytes arrived", err, len(got["fine"]))
	}
	if b, err := e.Post(t.Context(), "/containers/x/start", nil); len(b) != 0 || err != nil {
		t.Errorf("204: got %q, %v", b, err)
	}
	_, err := e.Post(t.Context(), "/volumes/refused", []byte(`{}`))
	said(t, err, 409, "a volume of that name is there")
	_, err = e.Post(t.Context(), "/volumes/later", []byte(`{}`))
	said(t, err, 202, "engine local answers 202 Accepted to POST /volumes/later")
	_, err = e.Get(t.Context(), "/containers/missing/json")
	said(t, err, 404, "No such container: missing")

	all := fake.Requests()
	if head := string(all[0].Head); !strings.Contains(head, "Content-Type: application/json\r\n") || !strings.Contains(head, "Content-Length: 12\r\n") {
		t.Errorf("sent %q", head)
	}
	if head := string(all[2].Head); strings.Contains(head, "Content-Type") || !strings.Contains(head, "Content-Length: 0\r\n") {
		t.Errorf("sent %q", head)
	}
	n := len(all)
	for _, path := range []string{"/a b", "/a\r\nX: y", "/a\x00", "/a\tb", "/a?b=c d"} {
		_, err = e.Post(t.Context(), path, nil)
		said(t, err, 400, "moorgate: ")
	}
	if len(fake.Requests()) != n {
		t.Error("a path that is none was sent")
	}
	fake.Close()
	_, err = e.Post(t.Context(), "/volumes/create", []byte(`{}`))
	said(t, err, 502, "moorgate: engine local at ")
}

// TestStream: what comes is read when it comes, until either side ends it.
func TestStream(t *testing.T) {
	e, fake := lookUp(t)
	step := make(chan string)
	fake.On("GET /events", func(c *enginetest.Conn) {
		c.StartChunks("application/json")
		for s := range step {
			c.Chunk(s)
		}
		c.EndChunks()
	})
	s, err := e.Stream(t.Context(), "/events")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(s)
	for _, want := range []string{"{\"one\":1}\n", "{\"two\":2}\n"} {
		time.Sleep(10 * time.Millisecond) // longer than an answer's patience
		step <- want
		if got, err := r.ReadString('\n'); got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	close(step)
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("ended with %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.Get(t.Context(), "/containers/json"); err != nil || fake.Accepted() != 1 {
		t.Errorf("%v, by %d connections: one that ended well is kept", err, fake.Accepted())
	}

	_, err = e.Stream(t.Context(), "/containers/missing/json")
	said(t, err, 404, "No such container: missing")
	_, err = e.Stream(t.Context(), "/containers/a b/json")
	said(t, err, 400, "moorgate: ")
}

// TestStreamEnds: with its context or its Close, also beside a Read, and
// nothing is left upstream; and not well where the Engine breaks it off.
func TestStreamEnds(t *testing.T) {
	e, fake := lookUp(t)
	for name, end := range map[string]func(io.Closer, context.CancelFunc){
		"context": func(_ io.Closer, cancel context.CancelFunc) { cancel() },
		"close":   func(s io.Closer, _ context.CancelFunc) { s.Close() },
	} {
		for _, wait := range []time.Duration{0, 20 * time.Millisecond} { // before and after its patience
			ctx, cancel := context.WithCancel(t.Context())
			s, err := e.Stream(ctx, "/events")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() {
				_, err := s.Read(make([]byte, 1))
				ended <- err
			}()
			time.Sleep(wait)
			end(s, cancel)
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: reading ended with %v", name, err)
			}
			s.Close()
			fake.WaitLive(t, 0)
			cancel()
		}
	}
	s, err := e.Stream(t.Context(), "/containers/truncated-1k/export")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, err := io.ReadAll(s); err != io.ErrUnexpectedEOF || len(b) != 1<<10 {
		t.Errorf("%d bytes, then %v", len(b), err)
	}

	fake.On("GET /events", func(c *enginetest.Conn) { c.WaitGone() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := e.Stream(ctx, "/events"); !errors.Is(err, context.DeadlineExceeded) && err == nil {
		t.Errorf("a head that does not come: %v", err)
	}
}

// asked is a context that counts who waits for its end.
type asked struct {
	context.Context
	times atomic.Int32
}

func (a *asked) Done() <-chan struct{} {
	a.times.Add(1)
	return a.Context.Done()
}

// TestLookupContext: a caller is watched only during lookups that take long,
// and those end with it.
func TestLookupContext(t *testing.T) {
	e, _ := lookUp(t)
	ctx, gone := context.WithCancel(t.Context())
	caller := &asked{Context: ctx}
	for range 3 { // the first may have to dial
		caller.times.Store(0)
		if _, err := e.Get(caller, "/networks"); err != nil {
			t.Fatal(err)
		}
	}
	if n := caller.times.Load(); n > 0 {
		t.Errorf("the caller is watched, %d times", n)
	}
	time.AfterFunc(50*time.Millisecond, gone)
	begin := time.Now()
	_, err := e.Get(caller, "/containers/slow-5s/json")
	said(t, err, statusGone, "the caller has gone")
	if took := time.Since(begin); took > 3*time.Second || caller.times.Load() == 0 {
		t.Errorf("it went on for %v", took)
	}

	l := &limited{Context: t.Context(), deadline: time.Now().Add(20 * time.Millisecond)}
	defer l.end()
	if err := l.Err(); err != nil {
		t.Error(err)
	}
	time.Sleep(25 * time.Millisecond)
	if err := l.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("late: %v", err)
	}
	<-l.Done()
	if at, ok := l.Deadline(); !ok || at != l.deadline || context.Cause(l) != context.DeadlineExceeded {
		t.Errorf("%v, %v, %v", at, ok, context.Cause(l))
	}
}
