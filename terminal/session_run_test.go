package terminal

import (
	"context"
	"errors"
	"strings"
	"testing"

	"moorgate/proxy/enginetest"
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

// TestPullRefused tells in the Engine's words why a pull failed before it began,
// and what to do, as a fault of what is behind us.
func TestPullRefused(t *testing.T) {
	for _, test := range []struct {
		engine, status int
		said, hint     string
	}{
		{500, 502, "Get https://nowhere.invalid/v2/: dial tcp: lookup nowhere.invalid: no such host", "registry"},
		{404, 404, "pull access denied for nowhere/x, repository does not exist or may require 'docker login'", "docker login"},
		{403, 403, "moorgate: alice may not image.pull nowhere.invalid/x:1 (role developer, images): no rule allows it", ""},
	} {
		e := startFake(t)
		e.On("GET /images/{name...}/json", func(c *enginetest.Conn) { c.Error(404, "No such image: nowhere.invalid/x:1") })
		e.On("POST /containers/create", func(c *enginetest.Conn) { c.Error(404, "No such image: nowhere.invalid/x:1") })
		e.On("POST /images/create", func(c *enginetest.Conn) { c.JSON(test.engine, `{"message":"`+test.said+`"}`) })
		m := manager(t, e.Socket, nil)
		_, err := m.Open(t.Context(), alice, Spec{Mode: ModeRun, Image: "nowhere.invalid/x:1"})
		var known *Error
		if !errors.As(err, &known) || known.Status != test.status || !strings.Contains(known.Message, test.said) ||
			!strings.Contains(known.Hint, test.hint) || (known.Hint == "") != (test.hint == "") {
			t.Errorf("%d: %#v", test.engine, err)
		}
	}
}
