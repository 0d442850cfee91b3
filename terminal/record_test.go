package terminal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
)

// recordings gives options that record developers.
func recordings(dir string, change func(*RecordConfig)) func(*ManagerOptions) {
	return func(o *ManagerOptions) {
		o.Config.Record = &RecordConfig{Dir: dir, Who: []string{"developer"}}
		if change != nil {
			change(o.Config.Record)
		}
	}
}

// played gives what a recording shows.
func played(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Play(t.Context(), bytes.NewReader(text), &out, PlayOptions{Speed: 1e6}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestRecord writes a recording as it happens: a second later it is there,
// whatever happens then.
func TestRecord(t *testing.T) {
	f := startFake(t)
	dir := filepath.Join(t.TempDir(), "recordings")
	m := manager(t, f.Socket, recordings(dir, nil))
	s := open(t, m, execSpec)
	p := f.program()
	c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
	c.waitFor("the notice", func() bool {
		n := find[*Notice](c.frames)
		return n != nil && n.Kind == NoticeRecording && *n.On && strings.Contains(n.Text, "recorded")
	})
	if w := c.frames[0].(*Welcome); !w.Recording || s.Info().Recording == "" {
		t.Errorf("welcome %+v, info %+v", w, s.Info())
	}
	c.keys("secret")
	io.WriteString(p, "out \xe4\xb8")
	io.WriteString(p, "\xad\r\n")
	c.Resize(100, 40)
	c.waitOut("中")
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*.cast"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	deadline := time.Now().Add(20 * time.Second)
	for played(t, files[0]) != "out 中\r\n" {
		if time.Now().After(deadline) {
			t.Fatalf("the recording shows %q", played(t, files[0]))
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(files[0])
	if bytes.Contains(text, []byte("secret")) || !bytes.Contains(text, []byte(`"r", "100x40"`)) || !bytes.Contains(text, []byte(`"title":"box program"`)) {
		t.Errorf("recording %s", text)
	}
	for _, path := range []string{dir, filepath.Dir(files[0]), files[0], strings.TrimSuffix(files[0], ".cast") + ".json"} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	p.end()
	c.exit()
	<-s.Done()
	deadline = time.Now().Add(10 * time.Second)
	for {
		list, err := m.Recordings().List("alice")
		if err == nil && len(list) == 1 && list[0].Ended != nil && list[0].ExitCode != nil {
			if r := list[0]; r.User != "alice" || r.Session != s.ID() || r.ID != s.Info().Recording || r.Name != "box" || r.Image != "busybox" || r.Bytes != int64(len(text)) || r.Input {
				t.Errorf("%+v", r)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v", list, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestRecordWho records those whom the configuration names, and who asks.
func TestRecordWho(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, recordings(t.TempDir(), func(c *RecordConfig) { c.Input = true }))
	guest := &identity.Identity{User: "guest", Roles: []string{"guest"}}
	for _, test := range []struct {
		name   string
		who    *identity.Identity
		record *bool
		want   bool
	}{
		{"must", alice, nil, true},
		{"must, and will not", alice, no(), true},
		{"need not", guest, nil, false},
		{"will", guest, yes(), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := execSpec
			spec.Record = test.record
			s, err := m.Open(t.Context(), test.who, spec)
			if err != nil {
				t.Fatal(err)
			}
			p := f.program()
			c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
			c.keys("typed")
			id := s.Info().Recording
			if test.want != (id != "") {
				t.Fatalf("recording %q", id)
			}
			p.end()
			c.exit()
			if test.want {
				_, file, err := m.Recordings().Open(id)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				deadline := time.Now().Add(10 * time.Second)
				var text []byte
				for !bytes.Contains(text, []byte(`"i", "typed"`)) && time.Now().Before(deadline) {
					more, _ := io.ReadAll(file)
					text = append(text, more...)
				}
				if !bytes.Contains(text, []byte(`"i", "typed"`)) {
					t.Errorf("recording %s", text)
				}
			}
		})
	}
}

// TestRecordFull ends the recording when the disk is full, and the session with
// it where it must be recorded.
func TestRecordFull(t *testing.T) {
	f := startFake(t)
	m := manager(t, f.Socket, recordings(t.TempDir(), nil))
	for _, must := range []bool{true, false} {
		who := &identity.Identity{User: "guest"}
		if must {
			who = alice
		}
		spec := execSpec
		spec.Record = yes()
		s, err := m.Open(t.Context(), who, spec)
		if err != nil {
			t.Fatal(err)
		}
		p := f.program()
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		s.record.mu.Lock()
		s.record.file.Close()
		s.record.file = full
		s.record.mu.Unlock()
		c := attach(t, s, AttachOptions{Role: RoleOwner, ResumeFrom: -1})
		io.WriteString(p, "output")
		c.waitFor("the notice", func() bool {
			n := find[*Notice](c.frames)
			return n != nil && n.Kind == NoticeRecording && n.On != nil && !*n.On
		})
		if must {
			go func() { time.Sleep(100 * time.Millisecond); p.end() }()
			if e := c.exit(); e.Reason != ReasonKilled || !strings.Contains(e.Message, "must be recorded") {
				t.Errorf("exit %+v", e)
			}
		} else {
			io.WriteString(p, " goes on")
			c.waitOut("goes on")
			p.end()
		}
	}
}

// TestRecordIndex finds recordings by their ids only, and their users' only.
func TestRecordIndex(t *testing.T) {
	f := startFake(t)
	dir := t.TempDir()
	clock := newClock()
	m := manager(t, f.Socket, func(o *ManagerOptions) {
		recordings(dir, nil)(o)
		o.Now = clock.now
	})
	ids := map[string]string{}
	for _, user := range []string{"alice", "../../bob", "x/*"} {
		s, err := m.Open(t.Context(), &identity.Identity{User: user, Roles: []string{"developer"}}, execSpec)
		if err != nil {
			t.Fatal(err)
		}
		f.program().end()
		<-s.Done()
		ids[user] = s.Info().Recording
		for s.record.on() { // closed soon after
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond)
		clock.pass(time.Hour)
	}
	r := m.Recordings()
	for user, id := range ids {
		list, err := r.List(user)
		if err != nil || len(list) != 1 || list[0].ID != id || list[0].User != user {
			t.Errorf("%s: %+v, %v", user, list, err)
		}
		info, file, err := r.Open(id)
		if err != nil || info.User != user {
			t.Errorf("%s: %+v, %v", user, info, err)
			continue
		}
		file.Close()
	}
	if list, err := r.List(""); err != nil || len(list) != 3 || list[0].User != "x/*" || list[2].User != "alice" {
		t.Errorf("all: %+v, %v", list, err)
	}
	if list, err := r.List("nobody"); err != nil || list == nil || len(list) != 0 {
		t.Errorf("nobody's: %+v, %v", list, err)
	}
	id := ids["alice"]
	outside := filepath.Join(dir, "..", "outside")
	os.MkdirAll(outside, 0o700)
	os.WriteFile(filepath.Join(outside, id+".json"), []byte(`{"id":"`+id+`"}`), 0o600)
	for _, bad := range []string{"", ".", "..", "*", id[:25], id + "x", id[:25] + "*", "../" + id, strings.ToUpper(id), id[:25] + "\x00", "[a-z]" + id[5:], strings.Repeat("a", 26)} {
		if _, _, err := r.Open(bad); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: %v", bad, err)
		}
		if err := r.Remove(bad); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("removing %q: %v", bad, err)
		}
	}
	if err := r.Remove(ids["x/*"]); err != nil {
		t.Error(err)
	}
	if _, _, err := r.Open(ids["x/*"]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}

	live := open(t, m, execSpec)
	p := f.program()
	var known *Error
	if err := r.Remove(live.Info().Recording); !errors.As(err, &known) || known.Status != 409 {
		t.Errorf("removing one that must be written: %v", err)
	}
	clock.pass(1000 * time.Hour)
	if err := r.expire(clock.now().Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	if list, _ := r.List(""); len(list) != 1 || list[0].ID != live.Info().Recording {
		t.Errorf("after they expired: %+v", list)
	}
	p.end()
}

// TestRecordDir refuses what is no folder.
func TestRecordDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := NewManager(ManagerOptions{Config: Config{Record: &RecordConfig{Dir: file}}.complete()}); err == nil {
		t.Error("a file was taken for the folder of the recordings")
	}
}
