package terminal

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/proxy/enginetest"
)

// TestShared lets viewers see, writers type and owners set the size, and tells
// all who is there.
func TestShared(t *testing.T) {
	f := startFake(t)
	events := make(chan Event, 100)
	m := manager(t, f.Socket, func(o *ManagerOptions) { o.Event = func(e Event) { events <- e } })
	s := open(t, m, execSpec)
	p := f.program()
	owner := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1, Cols: 100, Rows: 30, Remote: "1.2.3.4"})
	bob := &identity.Identity{User: "bob"}
	viewer := attach(t, s, AttachOptions{Role: RoleViewer, Who: bob, ResumeFrom: -1, Cols: 10, Rows: 10})
	writer := attach(t, s, AttachOptions{Role: RoleWriter, Who: bob, ResumeFrom: -1})

	owner.waitFor("both", func() bool {
		n := find[*Notice](owner.frames)
		return n != nil && n.Kind == NoticeViewerJoined && n.User == "bob" && n.Role == RoleWriter && n.Viewers == 2
	})
	viewer.waitFor("the size", func() bool { r := find[*Resize](viewer.frames); return r != nil && *r == Resize{100, 30} })
	i := s.Info()
	if i.Owners != 1 || len(i.Viewers) != 2 || i.Viewers[0].User != "bob" || i.Cols != 100 || i.Rows != 30 {
		t.Errorf("info %+v", i)
	}

	var known *Error
	for _, err := range []error{viewer.Input([]byte("x")), viewer.EOF(), viewer.Signal("KILL")} {
		if !errors.As(err, &known) || known.Status != 403 {
			t.Errorf("a viewer: %v", err)
		}
	}
	viewer.Resize(5, 5)
	writer.Resize(6, 6)
	if err := writer.Input([]byte("typed")); err != nil {
		t.Fatal(err)
	}
	typed := make([]byte, 5)
	if _, err := io.ReadFull(p, typed); err != nil || string(typed) != "typed" {
		t.Errorf("%q, %v", typed, err)
	}
	owner.Resize(0, 65535)
	viewer.waitFor("the new size", func() bool { return *find[*Resize](viewer.frames) == Resize{1, 1000} })
	if find[*Resize](owner.frames) != nil {
		t.Error("the owner is told its own size")
	}
	s.Message("root", "a\nline\x1b[2J")
	viewer.waitFor("the message", func() bool {
		n := find[*Notice](viewer.frames)
		return n.Kind == NoticeMessage && n.User == "root" && n.Text == "a line [2J"
	})
	writer.cut()
	viewer.waitFor("the writer's going", func() bool {
		n := find[*Notice](viewer.frames)
		return n.Kind == NoticeViewerLeft && n.Attachment == writer.ID() && n.Viewers == 1
	})
	kinds := map[string]int{}
	until := func(kind string) {
		t.Helper()
		for kinds[kind] == 0 {
			select {
			case e := <-events:
				kinds[e.Kind]++
				if e.Kind == "attach" && e.Role == RoleOwner && e.Remote != "1.2.3.4" || e.Kind == "attach" && e.Role != RoleOwner && e.Who != bob {
					t.Errorf("event %+v", e)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("no event %s after %v", kind, kinds)
			}
		}
	}
	until("resize")
	p.f.mu.Lock()
	p.f.code = 130
	p.f.mu.Unlock()
	p.end()
	for _, c := range []*client{owner, viewer} {
		if e := c.exit(); codeOf(e) != 130 || e.Signal != "INT" {
			t.Errorf("exit %+v", e)
		}
	}
	owner.cut()
	viewer.cut()
	until("close")
	for len(events) > 0 {
		kinds[(<-events).Kind]++
	}
	if kinds["open"] != 1 || kinds["attach"] != 3 || kinds["detach"] != 3 {
		t.Errorf("events %v", kinds)
	}
}

// TestAfterEnd gives the last output and the exit to who comes back in time.
func TestAfterEnd(t *testing.T) {
	f := startFake(t)
	clock := newClock()
	m := manager(t, f.Socket, func(o *ManagerOptions) { o.Now = clock.now })
	s := open(t, m, execSpec)
	p := f.program()
	io.WriteString(p, "last words")
	p.end()
	<-s.Done()
	if n := m.Terminals("alice"); n != 0 {
		t.Errorf("alice has %d terminals", n)
	}
	m.check(clock.now().Add(lingerTold))
	if _, ok := m.Get(s.ID()); !ok {
		t.Fatal("the session is gone before its owner knows of its end")
	}
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	if c.exit(); c.out.String() != "last words" {
		t.Errorf("output %q", c.out.String())
	}
	if err := c.Input([]byte("x")); err != errOver {
		t.Errorf("typing after the end: %v", err)
	}
	m.check(clock.now().Add(lingerTold))
	if _, ok := m.Get(s.ID()); ok {
		t.Error("the session is there still")
	}
	if _, err := s.Attach(AttachOptions{Role: RoleOwner, Who: alice, ResumeFrom: -1}); err != errOver {
		t.Errorf("attaching: %v", err)
	}
}

// TestLimits ends sessions that reach a limit, with a warning before.
func TestLimits(t *testing.T) {
	f := startFake(t)
	for _, test := range []struct {
		name   string
		config Config
		attach bool
		pass   []time.Duration // between looks; before the last one nothing may end
		warn   string
		reason string
		close  int
	}{
		{"grace", Config{Grace: time.Minute, Idle: time.Hour}, false, []time.Duration{59 * time.Second, time.Second}, "", ReasonIdle, closeIdle},
		{"no grace needed", Config{Grace: time.Minute, Idle: time.Hour}, true, []time.Duration{59 * time.Minute, time.Minute}, ReasonIdle, ReasonIdle, closeIdle},
		{"idle", Config{Idle: 8 * time.Minute}, true, []time.Duration{7*time.Minute + time.Second, 59 * time.Second}, ReasonIdle, ReasonIdle, closeIdle},
		{"max", Config{Max: time.Hour, Idle: 2 * time.Hour}, true, []time.Duration{59*time.Minute + time.Second, 59 * time.Second}, ReasonMax, ReasonMax, closeMax},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := newClock()
			m := manager(t, f.Socket, func(o *ManagerOptions) {
				o.Config, o.Now = test.config.complete(), clock.now
				o.Config.PerUser = 100
			})
			s := open(t, m, execSpec)
			p := f.program()
			var c *client
			if test.attach {
				c = attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
			}
			for i, d := range test.pass {
				if state := s.Info().State; state != StateRunning {
					t.Fatalf("%s before look %d", state, i)
				}
				clock.pass(d)
				m.check(clock.now())
				if c != nil && i == 0 {
					c.waitFor("a warning", func() bool {
						n := find[*Notice](c.frames)
						return n != nil && n.Kind == NoticeIdleWarning && n.Limit == test.warn && n.Seconds > 0 && n.Seconds <= 60
					})
				}
			}
			p.end()
			<-s.Done()
			if e := s.Info().Exit; e.Reason != test.reason || e.Close != test.close || e.Message == "" {
				t.Errorf("exit %+v", e)
			}
		})
	}
}

// TestActive does not end what is not idle.
func TestActive(t *testing.T) {
	f := startFake(t)
	clock := newClock()
	m := manager(t, f.Socket, func(o *ManagerOptions) { o.Now = clock.now; o.Config.Idle = time.Minute })
	s := open(t, m, execSpec)
	p := f.program()
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	for i := range 10 {
		clock.pass(50 * time.Second)
		m.check(clock.now())
		if i%2 == 0 {
			c.keys("x")
		} else {
			io.WriteString(p, "y")
			c.waitFor("y", func() bool { return c.out.Len() == i/2+1 })
		}
	}
	if i := s.Info(); i.State != StateRunning || i.Idle > 0 || i.BytesIn != 5 {
		t.Errorf("info %+v", i)
	}
	warnings := 0
	for _, f := range c.frames {
		if n, ok := f.(*Notice); ok && n.Kind == NoticeIdleWarning {
			warnings++
		}
	}
	if warnings != 10 {
		t.Errorf("%d warnings, want one each time", warnings)
	}
}

// TestPull tells how a pull goes, and then runs.
func TestPull(t *testing.T) {
	for _, test := range []struct{ name, last, fault string }{
		{"done", `{"status":"Status: Downloaded newer image"}`, ""},
		{"failed", `{"errorDetail":{"message":"toomanyrequests"},"error":"toomanyrequests"}`, "toomanyrequests"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := startFake(t)
			release := make(chan struct{})
			pulled := false
			e.On("GET /images/{name...}/json", func(c *enginetest.Conn) {
				if pulled {
					c.JSON(200, `{"Config":{"Env":["LANG=de_DE.UTF-8"]}}`)
				} else {
					c.Error(404, "No such image: ghcr.io/acme/tool:1")
				}
			})
			var query string
			e.On("POST /images/create", func(c *enginetest.Conn) {
				query = "fromImage=" + c.Query("fromImage") + "&tag=" + c.Query("tag")
				c.StartChunks("application/json")
				c.Chunk(`{"status":"Pulling fs layer","progressDetail":{},"id":"a1"}` + "\r\n")
				c.Chunk(`{"status":"Downloading","progressDetail":{"current":5,"total":10},"id":"a1"}` + "\r\n")
				<-release
				pulled = true
				c.Chunk(test.last + "\r\n")
				c.EndChunks()
			})
			var body string
			e.On("POST /containers/create", func(c *enginetest.Conn) {
				text, _ := io.ReadAll(c.Body())
				body = string(text)
				c.JSON(201, `{"Id":"made"}`)
			})
			order := make(chan string, 10)
			e.On("POST /containers/{name}/attach", func(c *enginetest.Conn) {
				order <- "attach"
				c.Hijack("application/vnd.docker.raw-stream", "hello")
				c.CloseWrite()
				c.WaitGone()
			})
			e.On("POST /containers/{name}/start", func(c *enginetest.Conn) { order <- "start"; c.Reply(204, "", "") })
			e.On("GET /containers/{name}/json", func(c *enginetest.Conn) {
				c.JSON(200, `{"Id":"made","State":{"Running":false,"ExitCode":3}}`)
			})
			m := manager(t, e.Socket, nil)
			s := open(t, m, Spec{Mode: ModeRun, Image: "ghcr.io/acme/tool:1", Cmd: []string{"x"}})
			if i := s.Info(); i.State != StateStarting {
				t.Errorf("info %+v", i)
			}
			c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
			c.waitFor("progress", func() bool {
				n := find[*Notice](c.frames)
				return n != nil && n.Kind == NoticePull && n.ID == "a1" && n.Current == 5 && n.Total == 10
			})
			close(release)
			exit := c.exit()
			if query != "fromImage=ghcr.io/acme/tool&tag=1" {
				t.Errorf("pulled %s", query)
			}
			if test.fault != "" {
				if f := find[*Fault](c.frames); f == nil || !strings.Contains(f.Message, test.fault) || !f.Fatal || exit.Close != closeEngineError {
					t.Errorf("fault %+v, exit %+v", f, exit)
				}
				return
			}
			if codeOf(exit) != 3 || c.out.String() != "hello" || <-order != "attach" || <-order != "start" {
				t.Errorf("exit %+v, output %q", exit, c.out.String())
			}
			if !strings.Contains(body, `"Image":"ghcr.io/acme/tool:1"`) || strings.Contains(body, "LANG=C") || strings.Contains(body, "Labels") || !strings.Contains(body, markerName) {
				t.Errorf("created with %s", body)
			}
		})
	}
}

// TestShutdown ends all sessions, and opens none after.
func TestShutdown(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, nil)
	s := open(t, m, execSpec)
	p := f.program()
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	go func() { time.Sleep(50 * time.Millisecond); p.end() }()
	m.Shutdown(t.Context())
	if e := c.exit(); e.Close != closeGoingAway {
		t.Errorf("exit %+v", e)
	}
	var known *Error
	if _, err := m.Open(t.Context(), alice, execSpec); !errors.As(err, &known) || known.Status != 503 {
		t.Errorf("opening: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) != 1 || !strings.Contains(f.calls[0], markerName+"="+s.marker) {
		t.Errorf("the marker's exec was %q", f.calls)
	}
}
