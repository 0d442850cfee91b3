package terminal

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fetch gets a path with a header, and gives the answer and its body.
func (s *testSite) fetch(user, method, path, header, value string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.URL.Opaque = path // as it is written
	r.Header.Set("Authorization", "Bearer "+user)
	if header != "" {
		r.Header.Set(header, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return resp, b.String()
}

func TestRecordings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recordings")
	s := newTestSite(t, func(o *Options) { o.Record = &RecordConfig{Dir: dir, Who: []string{"always"}} })
	s.allow("carol", actionOpen, "exec.create")
	for name, text := range map[string]string{"secret.cast": "no recording", "secret": "nor this"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(dir), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id, ticket := s.open("alice", map[string]any{"mode": "exec", "container": "box", "cmd": []string{"cat"}, "record": true})
	c := s.attach("alice", id, ticket, -1)
	if !c.welcome.Recording {
		t.Error("WELCOME tells of no recording")
	}
	c.until("the notice", func() bool { return c.notice(NoticeRecording, "") })
	c.typeText("recorded words")
	c.untilText("recorded words")
	s.call("alice", "DELETE", "/api/terminal/sessions/"+id, nil)
	c.closed()

	list := func(user string) (all []Recording) {
		t.Helper()
		status, text := s.callRaw(user, "GET", "/api/terminal/recordings", nil)
		if err := json.Unmarshal(text, &all); status != 200 || err != nil {
			t.Fatalf("%s: %d %s", user, status, text)
		}
		return all
	}
	if len(list("alice")) != 1 || len(list("bob")) != 0 || len(list("root")) != 1 {
		t.Fatalf("alice sees %v, bob %v, root %v", list("alice"), list("bob"), list("root"))
	}
	if status, _ := s.callRaw("carol", "GET", "/api/terminal/recordings", nil); status != http.StatusForbidden {
		t.Errorf("without the right: %d", status)
	}
	r := list("alice")[0]
	if r.Session != id || r.User != "alice" || len(r.ID) < 20 || r.Started.IsZero() {
		t.Errorf("the list has %+v", r)
	}
	path := "/api/terminal/recordings/" + r.ID + ".cast"
	resp, text := s.fetch("alice", "GET", path, "", "")
	h := resp.Header
	if resp.StatusCode != 200 || h.Get("Content-Type") != "application/x-asciicast" || h.Get("Content-Disposition") != `attachment; filename="`+r.ID+`.cast"` ||
		!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; sandbox") || h.Get("X-Content-Type-Options") != "nosniff" ||
		h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", resp.StatusCode, h)
	}
	head, _, _ := strings.Cut(text, "\n")
	if !strings.Contains(head, `"version":2`) && !strings.Contains(head, `"version": 2`) || !strings.Contains(text, "recorded words") {
		t.Errorf("the recording is %q", text)
	}
	if resp, part := s.fetch("root", "GET", path, "Range", "bytes=2-11"); resp.StatusCode != 206 || part != text[2:12] {
		t.Errorf("a range: %d %q", resp.StatusCode, part)
	}
	if resp, none := s.fetch("alice", "HEAD", path, "", ""); resp.StatusCode != 200 || none != "" || resp.ContentLength != int64(len(text)) {
		t.Errorf("HEAD: %d %d", resp.StatusCode, resp.ContentLength)
	}

	guess := "/api/terminal/recordings/" + strings.Repeat("a", len(r.ID)) + ".cast"
	_, foreign := s.fetch("bob", "GET", path, "", "")
	respNone, none := s.fetch("bob", "GET", guess, "", "")
	if respNone.StatusCode != 404 || strings.ReplaceAll(foreign, r.ID, strings.Repeat("a", len(r.ID))) != none {
		t.Errorf("another's recording answers %s, none %s", foreign, none)
	}
	for _, name := range []string{
		"../secret.cast", "..%2fsecret.cast", "%2e%2e%2fsecret.cast", "..%5csecret.cast", "%2e%2e/secret.cast", ".cast", "..cast", "...cast", "%00.cast",
		r.ID, r.ID + ".cast.cast", r.ID + "%00.cast", r.ID + ".json", "./" + r.ID + ".cast", "%2e%2f" + r.ID + ".cast", "*.cast",
		strings.ToUpper(r.ID) + ".cast", "/" + r.ID + ".cast", strings.Repeat("a", 5000) + ".cast",
	} {
		for _, method := range []string{"GET", "DELETE"} {
			if method == "DELETE" && name == r.ID {
				continue
			}
			resp, body := s.fetch("root", method, "/api/terminal/recordings/"+name, "", "")
			if resp.StatusCode != 404 || strings.Contains(body, "no recording") || len(body) > 500 {
				t.Errorf("%s %.60s: %d %.100s", method, name, resp.StatusCode, body)
			}
		}
	}
	for _, test := range []struct {
		user   string
		status int
	}{{"bob", 404}, {"carol", 404}, {"alice", 204}, {"alice", 404}} {
		if resp, body := s.fetch(test.user, "DELETE", path, "", ""); resp.StatusCode != test.status {
			t.Errorf("%s deletes: %d %s", test.user, resp.StatusCode, body)
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, r.ID+"*")); err != nil || len(files) != 0 {
		t.Errorf("what is left of it: %v %v", files, err)
	}
}

// TestRecordingsOff: a server that records nothing has none.
func TestRecordingsOff(t *testing.T) {
	s := newTestSite(t)
	if status, text := s.callRaw("alice", "GET", "/api/terminal/recordings", nil); status != 200 || strings.TrimSpace(string(text)) != "[]" {
		t.Errorf("%d %s", status, text)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if resp, _ := s.fetch("root", method, "/api/terminal/recordings/x.cast", "", ""); resp.StatusCode != 404 {
			t.Errorf("%s: %d", method, resp.StatusCode)
		}
	}
}
