package terminal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
)

// TestKill leaves no process of a session, whatever it does not to end.
func TestKill(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	m := manager(t, socket, nil)
	for _, test := range []struct {
		name, script string
		tty          bool
		user         string
	}{
		{"a shell", "exec sh", true, ""},
		{"a flood", "yes", true, ""},
		{"a job in the background", "sleep 411 & sleep 412", true, ""},
		{"one that ignores HUP", "trap '' HUP; sleep 411; sleep 412", true, ""},
		{"one that left its session", "setsid sleep 411 & setsid sh -c \"trap '' HUP TERM; sleep 412; sleep 413\" & sleep 414", true, ""},
		{"a stopped one", "sleep 411 & kill -STOP $!; wait", true, ""},
		{"no terminal", "sleep 411 & sleep 412", false, ""},
		{"another user", "sleep 411 & sleep 412", true, "1000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := d.container("sleep 1000")
			s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sh", "-c", "echo up; " + test.script}, TTY: &test.tty, User: test.user})
			other := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sleep", "500"}})
			c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
			c.waitOut("up")
			time.Sleep(100 * time.Millisecond)
			s.End(ReasonAdmin, "root", "maintenance\x1b[31m")
			e := c.exit()
			if e.Reason != ReasonAdmin || e.By != "root" || e.Message != "maintenance [31m" || e.Close != closeKilled || len(e.Survived) > 0 {
				t.Errorf("exit %+v", e)
			}
			if got := d.processes(id); got != "sleep 1000\nsleep 500" {
				t.Errorf("left behind:\n%s", got)
			}
			if state := other.Info().State; state != StateRunning {
				t.Errorf("the other session is %s", state)
			}
			other.End(ReasonAdmin, "root", "")
			<-other.Done()
		})
	}
}

// TestSurvived says what could not be ended.
func TestSurvived(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	m := manager(t, socket, nil)
	id := d.container("cp /bin/busybox /sleep; exec sleep 1000")
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"/sleep", "500"}})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	time.Sleep(200 * time.Millisecond)
	gone := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"rm", "-rf", "/bin"}})
	<-gone.Done()
	s.End(ReasonAdmin, "root", "")
	if e := c.exit(); len(e.Survived) == 0 || !strings.Contains(e.Survived[0], "no shell") {
		t.Errorf("exit %+v", e)
	}
}

// TestContainerStopped tells that from an exit.
func TestContainerStopped(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	m := manager(t, socket, nil)
	for _, mode := range []string{ModeExec, ModeAttach} {
		t.Run(mode, func(t *testing.T) {
			id := d.container("trap 'exit 9' TERM; while :; do sleep 0.1; done", `"Tty":true,"OpenStdin":true`)
			s := open(t, m, Spec{Mode: mode, Container: id})
			c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
			time.Sleep(200 * time.Millisecond)
			d.call("POST", "/containers/"+id+"/stop?t=5", "", nil)
			want := 9
			if mode == ModeExec {
				want = 137
			}
			if e := c.exit(); e.Reason != ReasonStopped || codeOf(e) != want || e.Close != 1000 || len(e.Survived) > 0 {
				t.Errorf("exit %+v, code %d", e, codeOf(e))
			}
		})
	}
}

// TestSignal sends signals to the session's processes.
func TestSignal(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"sh", "-c", "trap 'echo got; exit 4' USR1; echo up; while :; do sleep 0.1; done"}})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	c.waitOut("up")
	var known *Error
	if err := c.Signal("NONE"); !errors.As(err, &known) || known.Status != 400 {
		t.Errorf("an unknown signal: %v", err)
	}
	viewer := attach(t, s, AttachOptions{Role: RoleViewer, ResumeFrom: -1})
	if err := viewer.Signal("USR1"); !errors.As(err, &known) || known.Status != 403 {
		t.Errorf("a viewer's signal: %v", err)
	}
	if err := c.Signal("SIGUSR1"); err != nil {
		t.Fatal(err)
	}
	c.waitOut("got")
	if e := c.exit(); codeOf(e) != 4 {
		t.Errorf("exit %+v", e)
	}
}

// TestRefused gives the Engine's own words.
func TestRefused(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	stopped := d.container("exit 0")
	time.Sleep(200 * time.Millisecond)
	m := manager(t, socket, func(o *ManagerOptions) { o.Engines = func() []string { return []string{"local"} } })
	for _, test := range []struct {
		name   string
		spec   Spec
		status int
		words  string
		hint   string
	}{
		{"no mode", Spec{}, 400, "mode is missing", "exec, attach or run"},
		{"no container", Spec{Mode: ModeExec}, 400, "needs a container", ""},
		{"two things", Spec{Mode: ModeRun, Image: "x", Container: "y"}, 400, "container is not for mode run", ""},
		{"a marker", Spec{Mode: ModeExec, Container: "x", Env: []string{"MOORGATE_SESSION=x"}}, 400, "moorgate's own", ""},
		{"no variable", Spec{Mode: ModeExec, Container: "x", Env: []string{"x"}}, 400, "env holds", "NAME=VALUE"},
		{"a volume of none", Spec{Mode: ModeRun, Image: "x", Volume: "../etc"}, 400, "no whole path", ""},
		{"missing", Spec{Mode: ModeExec, Container: "no-such-thing"}, 404, "No such container", ""},
		{"missing, attached", Spec{Mode: ModeAttach, Container: "no-such-thing"}, 404, "No such container", ""},
		{"stopped", Spec{Mode: ModeExec, Container: stopped}, 409, "is not running", "start the container"},
		{"stopped, attached", Spec{Mode: ModeAttach, Container: stopped}, 409, "is not running", "start the container"},
		{"another engine", Spec{Mode: ModeExec, Container: stopped, Engine: "east"}, 404, "no such engine", ""},
		{"recorded", Spec{Mode: ModeExec, Container: stopped, Record: yes()}, 409, "nothing is recorded", ""},
		{"a bad image", Spec{Mode: ModeRun, Image: "UPPER//case"}, 400, "invalid reference format", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := m.Open(context.Background(), alice, test.spec)
			var known *Error
			if !errors.As(err, &known) || known.Status != test.status || !strings.Contains(known.Message, test.words) || !strings.Contains(known.Hint, test.hint) {
				t.Errorf("%#v", err)
			}
		})
	}
	if n := m.Terminals("alice"); n != 0 || len(m.List()) != 0 {
		t.Errorf("%d terminals are left", n)
	}
}

// TestPerUser refuses one too many, or replaces the oldest.
func TestPerUser(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	spec := Spec{Mode: ModeExec, Container: id, Cmd: []string{"sleep", "500"}}
	bob := &identity.Identity{User: "bob"}

	m := manager(t, socket, func(o *ManagerOptions) { o.Config.PerUser = 2 })
	open(t, m, spec)
	open(t, m, spec)
	var known *Error
	if _, err := m.Open(context.Background(), alice, spec); !errors.As(err, &known) || known.Status != 429 {
		t.Errorf("the third: %v", err)
	}
	if _, err := m.Open(context.Background(), bob, spec); err != nil {
		t.Errorf("bob's first: %v", err)
	}

	m = manager(t, socket, func(o *ManagerOptions) { o.Config.PerUser, o.Config.WhenFull = 1, whenFullReplace })
	first := attach(t, open(t, m, spec), AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	second := open(t, m, spec)
	if e := first.exit(); e.Close != closeReplaced || !strings.Contains(e.Message, "replaced") {
		t.Errorf("the replaced one's exit: %+v", e)
	}
	if second.Info().State != StateRunning {
		t.Error("the new one does not run")
	}
}

// TestRevoke ends the sessions of who may not have them any longer.
func TestRevoke(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("sleep 1000")
	m := manager(t, socket, nil)
	spec := Spec{Mode: ModeExec, Container: id, Cmd: []string{"sleep", "500"}}
	mine := open(t, m, spec)
	bob := &identity.Identity{User: "bob"}
	bobs, err := m.Open(context.Background(), bob, spec)
	if err != nil {
		t.Fatal(err)
	}
	c := attach(t, mine, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	watching, err := bobs.Attach(AttachOptions{Role: RoleViewer, Who: alice, ResumeFrom: -1})
	if err != nil {
		t.Fatal(err)
	}
	m.Revoke(func(who *identity.Identity, action, _ string) bool {
		return who.User != "alice" || action != "exec.start" && action != "terminal.open"
	})
	if e := c.exit(); e.Reason != ReasonRevoked || e.Close != closeForbidden {
		t.Errorf("exit %+v", e)
	}
	if bobs.Info().State != StateRunning {
		t.Error("bob's has ended too")
	}
	for {
		if _, err := watching.Next(context.Background()); err != nil {
			var d *Detached
			if !errors.As(err, &d) || d.Code != closeForbidden {
				t.Errorf("watching ended with %v", err)
			}
			break
		}
	}
}
