package terminal

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestRun makes a container for the session, and removes it.
func TestRun(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	m := manager(t, socket, nil)
	t.Cleanup(func() { d.call("DELETE", "/volumes/"+volumeName("alice")+"?force=1", "", nil) })
	s := open(t, m, Spec{Mode: ModeRun, Image: busybox, Cols: 90, Rows: 25, Volume: "/home/me", Workdir: "/home/me"})
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	container := s.Info().Container
	c.keys("while [ \"$(stty size)\" != '25 90' ]; do sleep 0.1; done; stty size; echo kept > ~/file; pwd; echo $HOME:$TERM\r")
	c.waitOut("\n25 90")
	c.waitOut("/home/me:xterm-256color")
	c.keys("exit 6\r")
	if e := c.exit(); codeOf(e) != 6 || e.Reason != ReasonExited || len(e.Survived) > 0 {
		t.Errorf("exit %+v, code %d", e, codeOf(e))
	}
	if status := d.call("GET", "/containers/"+container+"/json", "", nil); status != 404 {
		t.Errorf("the container is there still: %d", status)
	}

	again := open(t, m, Spec{Mode: ModeRun, Image: busybox, Cmd: []string{"cat", "/v/file"}, Volume: "/v", TTY: no()})
	c = attach(t, again, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	if e := c.exit(); codeOf(e) != 0 || c.out.String() != "kept\n" {
		t.Errorf("exit %+v, output %q, errors %q", e, c.out.String(), c.err.String())
	}

	kept := open(t, m, Spec{Mode: ModeRun, Image: busybox, RM: no()})
	c = attach(t, kept, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	kept.End(ReasonKilled, "alice", "")
	container = kept.Info().Container
	t.Cleanup(func() { d.call("DELETE", "/containers/"+container+"?force=1", "", nil) })
	if e := c.exit(); e.Reason != ReasonKilled {
		t.Errorf("exit %+v", e)
	}
	var state containerState
	if status := d.call("GET", "/containers/"+container+"/json", "", &state); status != 200 || state.State.Running {
		t.Errorf("the container that is kept: %d, %+v", status, state)
	}
}

// TestRunRefused removes what was made, and says why it did not start.
func TestRunRefused(t *testing.T) {
	socket := realEngine(t)
	d := newDocker(t, socket)
	m := manager(t, socket, nil)
	command := "no-such-command-" + newID()
	_, err := m.Open(context.Background(), alice, Spec{Mode: ModeRun, Image: busybox, Cmd: []string{command}})
	var known *Error
	if !errors.As(err, &known) || !strings.Contains(known.Message, command) || known.Hint == "" {
		t.Errorf("%#v", err)
	}
	_, err = m.Open(context.Background(), alice, Spec{Mode: ModeRun, Image: "127.0.0.1:1/none:1"})
	if !errors.As(err, &known) || known.Status < 400 {
		t.Errorf("an image that cannot be pulled: %#v", err)
	}
	var list []struct{ Command string }
	d.call("GET", "/containers/json?all=1", "", &list)
	for _, c := range list {
		if strings.Contains(c.Command, command) {
			t.Errorf("%v is left behind", c)
		}
	}
}
