package terminal

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
)

// notice says whether a notice of this kind about this user came.
func (c *testClient) notice(kind, user string) bool {
	return slices.ContainsFunc(c.notices, func(n map[string]any) bool { return n["kind"] == kind && (user == "" || n["user"] == user) })
}

// TestRoles: what each role may do, asked at every frame.
func TestRoles(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "cat")
	owner := s.attach("alice", id, ticket, -1)
	owner.typeText("before ")
	owner.untilText("before")

	viewer := s.attach("bob", id, s.ticket("alice", id, map[string]any{"role": "viewer", "user": "bob"}), -1)
	if viewer.welcome.Role != RoleViewer || viewer.welcome.User != "alice" {
		t.Errorf("the viewer's WELCOME %+v", viewer.welcome)
	}
	viewer.untilText("before ")
	owner.until("viewer_joined", func() bool { return owner.notice(NoticeViewerJoined, "bob") })
	for _, f := range []func(){
		func() { viewer.typeText("rm -rf /") },
		func() { viewer.typeText("\x1b[0n") }, // as a terminal answers a query
		func() { viewer.send(frameStdin, []byte(strings.Repeat("x", 100<<10))) },
		func() { viewer.send(frameEOF, nil) },
		func() { viewer.send(frameSignal, []byte(`{"signal":"KILL"}`)) },
		func() { viewer.send(frameResize, []byte{0, 10, 0, 10}) },
	} {
		f()
	}
	viewer.until("a complaint", func() bool { return len(viewer.faults) > 0 })
	if f := viewer.faults[0]; f.Code != "read_only" || f.Fatal {
		t.Errorf("the viewer was told %+v", f)
	}

	owner.typeText("after")
	owner.untilText("before after")
	viewer.untilText("before after")
	if got := viewer.out.String(); got != "before after" {
		t.Errorf("the viewer typed: %q", got)
	}
	info := s.server.manager.List()[0].Info()
	if info.State != StateRunning || info.Cols != 80 || info.Rows != 24 || info.BytesIn != uint64(len("before after")) {
		t.Errorf("the viewer changed the session: %+v", info)
	}
}

// TestShare: who may have which ticket, and that it works for no one else.
func TestShare(t *testing.T) {
	s := newTestSite(t)
	s.allow("carol", actionOpen, "exec.create")
	id, ticket := s.exec("alice", true, "cat")
	path := "/api/terminal/sessions/" + id + "/tickets"
	tests := []struct {
		name   string
		user   string
		body   any
		status int
	}{
		{"owner for oneself", "alice", map[string]any{"role": "owner"}, 201},
		{"viewer for oneself", "alice", map[string]any{"role": "viewer"}, 201},
		{"owner for another", "alice", map[string]any{"role": "owner", "user": "bob"}, 403},
		{"no role", "alice", map[string]any{}, 400},
		{"no body", "alice", nil, 400},
		{"an unknown role", "alice", map[string]any{"role": "root"}, 400},
		{"the role in capitals", "alice", map[string]any{"role": "Owner"}, 400},
		{"a number", "alice", map[string]any{"role": 3}, 400},
		{"an unknown field", "alice", map[string]any{"role": "viewer", "for": "bob"}, 400},
		{"another case of the field", "alice", `{"Role":"owner"}`, 400},
		{"twice", "alice", `{"role":"viewer","role":"owner"}`, 400},
		{"a name with an escape sequence", "alice", map[string]any{"role": "viewer", "user": "b\x1b[2Job"}, 400},
		{"another's session", "bob", map[string]any{"role": "viewer"}, 404},
		{"another's session as owner", "bob", map[string]any{"role": "owner"}, 404},
		{"an administrator watches", "root", map[string]any{"role": "viewer"}, 201},
		{"an administrator types", "root", map[string]any{"role": "writer"}, 403},
		{"an administrator as owner", "root", map[string]any{"role": "owner"}, 403},
		{"an administrator shares", "root", map[string]any{"role": "viewer", "user": "bob"}, 403},
		{"viewer for another", "alice", map[string]any{"role": "viewer", "user": "bob"}, 201},
		{"the invited comes back", "bob", map[string]any{"role": "viewer"}, 201},
		{"and wants more", "bob", map[string]any{"role": "writer"}, 403},
		{"and shares it", "bob", map[string]any{"role": "viewer", "user": "carol"}, 403},
		{"still not others", "carol", map[string]any{"role": "viewer"}, 404},
		{"writer for another", "alice", map[string]any{"role": "writer", "user": "bob"}, 201},
		{"who then may", "bob", map[string]any{"role": "writer"}, 201},
	}
	for _, test := range tests {
		status, answer := s.call(test.user, "POST", path, test.body)
		if status != test.status {
			t.Errorf("%s: %d %v, want %d", test.name, status, answer, test.status)
		}
		if status == http.StatusCreated && (answer["expires_in"] != 30.0 || answer["session"] != id || answer["socket"] != "/api/terminal/socket?session="+id) {
			t.Errorf("%s: %v", test.name, answer)
		}
	}
	mine := s.ticket("alice", id, map[string]any{"role": "viewer", "user": "bob"})
	if code, _ := s.socket("alice", id, mine).closed(); code != closeBadTicket {
		t.Errorf("a ticket for bob in alice's hands: close %d", code)
	}

	s.allow("alice", actionOpen, "exec.create")
	if status, _ := s.call("alice", "POST", path, map[string]any{"role": "viewer", "user": "dave"}); status != http.StatusForbidden {
		t.Errorf("sharing without the right: %d", status)
	}
	for i := range maxInvited {
		s.server.shares.invite(id, fmt.Sprint("user", i), RoleViewer)
	}
	s.allow("alice", actionOpen, actionShare, "exec.create")
	if status, _ := s.call("alice", "POST", path, map[string]any{"role": "viewer", "user": "dave"}); status != http.StatusTooManyRequests {
		t.Errorf("sharing with one too many: %d", status)
	}
	_ = ticket
}

// TestShareWriter: a writer types, and what is typed reaches everyone; who
// leaves is told to the others.
func TestShareWriter(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "cat")
	owner := s.attach("alice", id, ticket, -1)
	writer := s.attach("bob", id, s.ticket("alice", id, map[string]any{"role": "writer", "user": "bob"}), -1)
	writer.typeText("hello from bob")
	owner.untilText("hello from bob")
	writer.untilText("hello from bob")
	if status, list := s.callRaw("bob", "GET", "/api/terminal/sessions", nil); status != 200 || !strings.Contains(string(list), `"role":"writer"`) {
		t.Errorf("the invited's list: %d %s", status, list)
	}
	writer.conn.Close()
	owner.until("viewer_left", func() bool { return owner.notice(NoticeViewerLeft, "bob") })

	if status, _ := s.call("root", "POST", "/api/terminal/sessions/"+id+"/message", map[string]any{"text": "going down\x1b[2J soon"}); status != http.StatusNoContent {
		t.Errorf("message: %d", status)
	}
	owner.until("message", func() bool { return owner.notice(NoticeMessage, "root") })
	if n := owner.notices[len(owner.notices)-1]; n["text"] != "going down [2J soon" {
		t.Errorf("the message is %v", n)
	}
	for _, test := range []struct {
		user   string
		body   any
		status int
	}{
		{"alice", map[string]any{"text": "to my viewers"}, 204},
		{"bob", map[string]any{"text": "hi"}, 403},
		{"carol", map[string]any{"text": "hi"}, 404},
		{"root", map[string]any{"text": " \n "}, 400},
		{"root", map[string]any{"text": strings.Repeat("x", maxLine+1)}, 400},
		{"root", map[string]any{"message": "hi"}, 400},
	} {
		if status, answer := s.call(test.user, "POST", "/api/terminal/sessions/"+id+"/message", test.body); status != test.status {
			t.Errorf("%s says %.60v: %d %v, want %d", test.user, test.body, status, answer, test.status)
		}
	}
	for i := range messageBurst + 2 {
		status, _ := s.call("root", "POST", "/api/terminal/sessions/"+id+"/message", map[string]any{"text": "again"})
		if i > messageBurst && status != http.StatusTooManyRequests {
			t.Errorf("message %d at once: %d", i, status)
		}
	}
}

// TestShareRevoked: who lost a right loses what it gave, and the session goes
// on.
func TestShareRevoked(t *testing.T) {
	for _, user := range []string{"alice", "bob"} { // the one shares, the other watches
		s := newTestSite(t)
		id, ticket := s.exec("alice", true, "cat")
		owner := s.attach("alice", id, ticket, -1)
		viewer := s.attach("bob", id, s.ticket("alice", id, map[string]any{"role": "viewer", "user": "bob"}), -1)
		watching := s.attach("root", id, s.ticket("root", id, map[string]any{"role": "viewer"}), -1)
		if user == "alice" {
			s.allow("alice", actionOpen, "exec.create", "exec.start")
		} else {
			s.allow("bob")
		}
		s.server.Revoke(func(who *identity.Identity, action, _ string) bool { return s.may(who.User, action) })
		if code, _ := viewer.closed(); code != closeForbidden {
			t.Errorf("%s lost the right, and the viewer got %d", user, code)
		}
		owner.typeText("still here")
		owner.untilText("still here")
		watching.untilText("still here")
	}
}

// TestSlowViewer: one that reads nothing holds back neither the process nor its
// owner, and finds its way again with REPLAY.
func TestSlowViewer(t *testing.T) {
	s := newTestSite(t)
	s.engine.program("flood", func(p *process) int {
		line := []byte(strings.Repeat("0123456789", 10) + "\r\n")
		for range 20 << 20 / len(line) {
			if _, err := p.out.Write(line); err != nil {
				return 1
			}
		}
		fmt.Fprint(p.out, "the end")
		<-p.Done()
		return 0
	})
	id, ticket := s.exec("alice", true, "flood")
	viewer := s.attach("bob", id, s.ticket("alice", id, map[string]any{"role": "viewer", "user": "bob"}), -1)
	viewer.noAcks, viewer.keep = true, false
	owner := s.attach("alice", id, ticket, -1)
	owner.keep = false
	began := time.Now()
	owner.until("20 MB", func() bool { return owner.next >= 20<<20/102*102 })
	t.Logf("20 MB took %v", time.Since(began))

	viewer.keep = true
	viewer.until("a window of output", func() bool { return viewer.next >= 200<<10 })
	if err := viewer.ack(); err != nil {
		t.Fatal(err)
	}
	viewer.noAcks = false
	viewer.untilText("the end")
	if !viewer.notice(NoticeSlow, "") {
		t.Error("the viewer was not told that it missed something")
	}
	viewer.until("the end of REPLAY", func() bool {
		return slices.ContainsFunc(viewer.replays, func(r Replay) bool { return r.Truncated }) && viewer.replays[len(viewer.replays)-1].State == "end"
	})
	if viewer.out.Len() > 2<<20 {
		t.Errorf("the viewer got %d bytes", viewer.out.Len())
	}
}
