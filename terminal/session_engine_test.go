package terminal

import (
	"strings"
	"testing"
)

func TestShell(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	id := d.container("sleep 1000")
	m := manager(t, socket, nil)
	s := open(t, m, Spec{Mode: ModeExec, Container: id, Cols: 100, Rows: 30})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	c.keys("while [ \"$(stty size)\" != '30 100' ]; do sleep 0.1; done; stty size; echo $TERM:$COLORTERM:$LANG:$((6*7))\r")
	c.waitOut("\n30 100")
	c.waitOut("xterm-256color:truecolor:C.UTF-8:42")
	c.Resize(120, 40)
	c.keys("while [ \"$(stty size)\" != '40 120' ]; do sleep 0.1; done; stty size\r")
	c.waitOut("\n40 120")
	if n := m.Terminals("alice"); n != 1 {
		t.Errorf("alice has %d terminals", n)
	}
	c.keys("sleep 500 & exit 7\r")
	e := c.exit()
	if codeOf(e) != 7 || e.Reason != ReasonExited || e.Close != 1000 || len(e.Survived) != 0 {
		t.Errorf("exit %+v with %d", e, codeOf(e))
	}
	if got := d.processes(id); strings.Contains(got, "sleep 500") {
		t.Errorf("left behind:\n%s", got)
	}
	if n := m.Terminals("alice"); n != 0 {
		t.Errorf("alice has %d terminals", n)
	}
}

func TestExitCodes(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	id := d.container("sleep 1000")
	m := manager(t, socket, nil)
	for _, test := range []struct {
		name   string
		spec   Spec
		code   int
		signal string
		fault  string
		out    string
		err    string
	}{
		{"zero", Spec{Cmd: []string{"true"}}, 0, "", "", "", ""},
		{"own", Spec{Cmd: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, TTY: no()}, 3, "", "", "out\n", "err\n"},
		{"signal", Spec{Cmd: []string{"sh", "-c", "kill -TERM $$"}, TTY: no()}, 143, "TERM", "", "", ""},
		{"not found", Spec{Cmd: []string{"no-such-command", "x"}}, 127, "", "not_found", "", ""},
		{"not runnable", Spec{Cmd: []string{"/etc"}}, 126, "", "not_runnable", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spec.Mode, test.spec.Container = ModeExec, id
			s := open(t, m, test.spec)
			c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
			e := c.exit()
			if got := codeOf(e); got != test.code && !(test.code == 127 && got == 126) || e.Signal != test.signal || e.Reason != ReasonExited {
				t.Errorf("exit %+v with %d, want %d; output %q", e, got, test.code, c.out.String())
			}
			if f := find[*Fault](c.frames); test.fault != "" && (f == nil || f.Hint == "") || test.fault == "" && f != nil {
				t.Errorf("fault %+v, want %q", f, test.fault)
			}
			if test.out != "" && (c.out.String() != test.out || c.err.String() != test.err) {
				t.Errorf("output %q and %q", c.out.String(), c.err.String())
			}
			if len(e.Survived) > 0 {
				t.Errorf("survived: %q", e.Survived)
			}
			if c.failed != nil {
				t.Error(c.failed)
			}
		})
	}
}

// TestNoShell says what to do in a container without a shell.
func TestNoShell(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("cp /bin/busybox /sleep; exec /sleep 1000")
	m := manager(t, socket, nil)
	<-open(t, m, Spec{Mode: ModeExec, Container: id, Cmd: []string{"rm", "-rf", "/bin"}}).Done()
	s := open(t, m, Spec{Mode: ModeExec, Container: id})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	e := c.exit()
	if f := find[*Fault](c.frames); f == nil || f.Code != "no_shell" || !strings.Contains(f.Hint, "distroless") || codeOf(e) < 126 || len(e.Survived) > 0 {
		t.Errorf("fault %+v, exit %+v with %d, output %q", f, e, codeOf(e), c.out.String())
	}
}

// TestFirstShell starts the first of the configured shells that is there.
func TestFirstShell(t *testing.T) {
	socket := realEngine(t)
	id := newDocker(t, socket).container("cp /bin/busybox /ash; sleep 1000")
	m := manager(t, socket, func(o *ManagerOptions) { o.Config.Shells = []string{"no-such-shell", "/ash", "sh"} })
	s := open(t, m, Spec{Mode: ModeExec, Container: id})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	c.keys("tr '\\0' ' ' < /proc/$$/cmdline; exit\r")
	c.exit()
	if out := c.out.String(); !strings.Contains(out, "/ash ") {
		t.Errorf("output %q", out)
	}
}
