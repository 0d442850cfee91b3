package terminal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestOpenSession: what opens a session, and what each refusal says.
func TestOpenSession(t *testing.T) {
	s := newTestSite(t, func(o *Options) { o.PerUser = 3 })
	s.allow("guest")
	s.allow("plain", actionOpen, "exec.create")
	exec := func(more string) string { return `{"mode":"exec","container":"box","cmd":["wait"]` + more + `}` }
	tests := []struct {
		name    string
		user    string
		body    string
		status  int
		message string
	}{
		{"all fields", "alice", exec(`,"engine":"local","user":"root","workdir":"/","env":["A=b"],"tty":true,"cols":120,"rows":40,"record":false,"rm":true`), 201, ""},
		{"a command in one string", "alice", `{"mode":"exec","container":"box","cmd":"wait 'a b'","env":{"A":"b"},"cols":null,"tty":null}`, 201, ""},
		{"giant and negative sizes", "alice", exec(`,"cols":99999999999,"rows":-3`), 201, ""},
		{"too many", "alice", exec(""), 429, "terminals open"},
		{"no right", "guest", exec(""), 403, "moorgate: guest may not terminal.open on engine local"},
		{"a recording without the right", "plain", exec(`,"record":true`), 403, "plain may not terminal.record"},
		{"an unknown field", "bob", exec(`,"privileged":true`), 400, `unknown field "privileged"`},
		{"another case of a field", "bob", exec(`,"User":"root"`), 400, `unknown field "User"`},
		{"a field twice", "bob", exec(`,"cmd":["sh"]`), 400, `"cmd" stands there twice`},
		{"more behind", "bob", exec("") + "{}", 400, "behind the JSON object"},
		{"a list", "bob", "[]", 400, "no JSON object"},
		{"no JSON", "bob", "{", 400, "ends too early"},
		{"nothing", "bob", "", 400, "mode is missing"},
		{"no UTF-8", "bob", exec(",\"user\":\"\xff\""), 400, "UTF-8"},
		{"a wrong type", "bob", exec(`,"tty":"yes"`), 400, "tty cannot be a JSON string"},
		{"a wrong list", "bob", `{"mode":"exec","container":"box","cmd":[1]}`, 400, "cmd"},
		{"an open quote", "bob", `{"mode":"exec","container":"box","cmd":"sh -c 'x"}`, 400, "quote"},
		{"an unknown mode", "bob", `{"mode":"ssh","container":"box"}`, 400, `mode "ssh"`},
		{"the session's own variable", "bob", exec(`,"env":["MOORGATE_SESSION=x"]`), 400, "moorgate's own"},
		{"no container", "bob", `{"mode":"exec"}`, 400, "needs a container"},
		{"an unknown container", "bob", `{"mode":"exec","container":"nobox"}`, 404, "No such container: nobox"},
		{"an unknown engine", "bob", exec(`,"engine":"west\u001b[2J"`), 404, "no such engine: west [2J"},
		{"too large", "bob", exec(`,"user":"` + strings.Repeat("x", maxRequest) + `"`), 413, "larger than"},
	}
	for _, test := range tests {
		status, answer := s.call(test.user, "POST", "/api/terminal/sessions", test.body)
		message, _ := answer["message"].(string)
		if status != test.status || !strings.Contains(message, test.message) {
			t.Errorf("%s: %d %v, want %d %q", test.name, status, answer, test.status, test.message)
		}
		if status == http.StatusCreated {
			id, _ := answer["id"].(string)
			if len(id) < 20 || answer["socket"] != "/api/terminal/socket?session="+id || answer["expires_in"] != 30.0 || len(answer["ticket"].(string)) < 40 || len(answer) != 4 {
				t.Errorf("%s: %v", test.name, answer)
			}
		}
	}
	for name, kind := range map[string]string{"text": "text/plain", "a form": "application/x-www-form-urlencoded", "none": "", "latin": "application/json; charset=latin1"} {
		r, _ := http.NewRequest("POST", s.url+"/api/terminal/sessions", strings.NewReader(exec("")))
		r.Header.Set("Authorization", "Bearer bob")
		r.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("a body of %s: %d", name, resp.StatusCode)
		}
	}
	infos := s.server.manager.List()
	if len(infos) != 3 || infos[2].Info().Cols != maxCells || infos[2].Info().Rows != minCells || !slices.Equal(infos[1].Info().Cmd, []string{"wait", "a b"}) {
		t.Errorf("the sessions are %+v", infos)
	}
}

// TestSessions: everyone sees their own, administrators all, and a session that
// is another's looks like none.
func TestSessions(t *testing.T) {
	s := newTestSite(t)
	s.allow("guest")
	alices, _ := s.exec("alice", true, "wait")
	bobs, _ := s.exec("bob", true, "wait")
	for user, want := range map[string][]string{"alice": {alices}, "bob": {bobs}, "root": {alices, bobs}} {
		status, text := s.callRaw(user, "GET", "/api/terminal/sessions", nil)
		var list []map[string]any
		if err := json.Unmarshal(text, &list); status != 200 || err != nil {
			t.Fatalf("%s: %d %s", user, status, text)
		}
		var ids []string
		for _, l := range list {
			ids = append(ids, l["id"].(string))
			for _, key := range []string{"user", "mode", "engine", "container", "cmd", "tty", "state", "started", "idle", "viewers", "bytes", "role"} {
				if _, ok := l[key]; !ok {
					t.Errorf("the list has no %s: %v", key, l)
				}
			}
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s sees %v", user, ids)
		}
	}
	if status, _ := s.callRaw("guest", "GET", "/api/terminal/sessions", nil); status != http.StatusForbidden {
		t.Errorf("who may open none lists: %d", status)
	}
	for _, test := range []struct{ method, path string }{{"GET", ""}, {"DELETE", ""}, {"POST", "/tickets"}, {"POST", "/message"}} {
		in := map[string]any{"/tickets": `{"role":"viewer"}`, "/message": `{"text":"x"}`}[test.path]
		_, foreign := s.callRaw("bob", test.method, "/api/terminal/sessions/"+alices+test.path, in)
		guess := strings.Repeat("a", len(alices))
		status, none := s.callRaw("bob", test.method, "/api/terminal/sessions/"+guess+test.path, in)
		if status != 404 || strings.ReplaceAll(string(foreign), alices, guess) != string(none) {
			t.Errorf("%s %s: a foreign session answers %s, none %d %s", test.method, test.path, foreign, status, none)
		}
	}
	if status, answer := s.call("root", "GET", "/api/terminal/sessions/"+alices, nil); status != 200 || answer["id"] != alices || answer["role"] != "" {
		t.Errorf("an administrator: %d %v", status, answer)
	}
	for _, path := range []string{"/api/terminal/sessions/" + alices + "/kill", "/api/terminal/sessions/" + alices + "/", "/api/terminal", "/api/terminal/sessions/..%2f" + alices} {
		if status, _ := s.call("alice", "GET", path, nil); status != 404 {
			t.Errorf("GET %s: %d", path, status)
		}
	}
	if status, _ := s.call("alice", "DELETE", "/api/terminal/sessions/"+alices+"?force=1", nil); status != 400 {
		t.Errorf("an unknown parameter: %d", status)
	}
	if status, _ := s.call("alice", "DELETE", "/api/terminal/sessions/"+alices, nil); status != 204 {
		t.Errorf("DELETE: %d", status)
	}
}

// TestEvents: each thing that happens to a session is one record.
func TestEvents(t *testing.T) {
	s := newTestSite(t)
	id, ticket := s.exec("alice", true, "cat")
	owner := s.attach("alice", id, ticket, -1)
	viewer := s.attach("bob", id, s.ticket("alice", id, map[string]any{"role": "viewer", "user": "bob"}), -1)
	owner.until("viewer_joined", func() bool { return owner.notice(NoticeViewerJoined, "bob") })
	for i := range 5 {
		owner.send(frameResize, []byte{0, 90 + byte(i), 0, 30})
	}
	viewer.until("the size", func() bool { return viewer.resized == [2]uint16{94, 30} })
	viewer.conn.Close()
	owner.until("viewer_left", func() bool { return owner.notice(NoticeViewerLeft, "bob") })
	s.call("root", "DELETE", "/api/terminal/sessions/"+id+"?reason=bye", nil)
	owner.closed()

	want := []string{
		"open alice terminal.open", "attach alice terminal.open owner", "share alice terminal.share viewer for bob", "attach bob terminal.open viewer",
		"resize alice terminal.open", "detach bob terminal.open", "kill root terminal.admin admin", "close alice terminal.open admin", "detach alice terminal.open",
	}
	for range 200 {
		if len(s.events(id)) >= len(want) {
			break
		}
		pause()
	}
	got := s.events(id)
	for _, w := range want {
		if !slices.ContainsFunc(got, func(e string) bool { return strings.HasPrefix(e, w) }) {
			t.Errorf("%q is not recorded: %q", w, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the events are %q", got)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.Event == "close" && (r.ExitCode == nil || r.Duration <= 0) {
			t.Errorf("close is recorded as %+v", r)
		}
		if r.Event == "" && r.Path == "/api/terminal/socket" && (r.Session != id || r.BytesIn == 0 || r.BytesOut == 0 || r.Decision != "allow" || r.Status != 101) {
			t.Errorf("a websocket is recorded as %+v", r)
		}
		if text := fmt.Sprintf("%+v", r); strings.Contains(text, ticket) {
			t.Errorf("a ticket is in the records: %s", text)
		}
	}
}
