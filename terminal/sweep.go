package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"moorgate/authz/identity"
)

// stateDir keeps a file for each session that has started something: after a
// crash they say what must be ended. A nil one keeps nothing.
type stateDir struct {
	dir  string
	lock *os.File // held as long as the process lives
	old  []string // the files of sessions that are gone
}

// leftover is what a session must not leave behind. It holds no more than
// ending it takes.
type leftover struct {
	User      string   `json:"user"`
	Groups    []string `json:"groups,omitempty"`
	Engine    string   `json:"engine,omitempty"` // as its path has it
	Mode      string   `json:"mode"`
	Container string   `json:"container"` // id, or the name that run gave it
	Marker    string   `json:"marker"`
	As        string   `json:"as,omitempty"` // whom the command runs as
	Remove    bool     `json:"remove,omitempty"`
}

const leftoverSuffix = ".session.json"

// openState takes the folder for this process alone.
func openState(dir string) (*stateDir, error) {
	if dir == "" {
		return nil, nil
	}
	if err := privateDir(dir); err != nil {
		return nil, fmt.Errorf("the folder of the sessions' state: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the folder of the sessions' state: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("the folder of the sessions' state, %s, is used by another moorgate: give each its own", dir)
	}
	old, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*"+leftoverSuffix))
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &stateDir{dir: dir, lock: lock, old: old}, nil
}

// escapeGlob makes a path that Glob takes as it is.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// privateDir makes a folder that is nobody else's.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

func (d *stateDir) close() {
	if d != nil {
		d.lock.Close()
	}
}

func (d *stateDir) path(s *Session) string { return filepath.Join(d.dir, s.marker+leftoverSuffix) }

// write notes what a session is about to start.
func (d *stateDir) write(s *Session) {
	if d == nil {
		return
	}
	s.mu.Lock()
	l := leftover{
		User: s.who.User, Groups: s.who.Groups, Engine: s.engine.prefix, Mode: s.spec.Mode,
		Container: s.place.container, Marker: s.marker, As: s.spec.User, Remove: *s.spec.RM,
	}
	if l.Container == "" {
		l.Container = s.place.name
	}
	s.mu.Unlock()
	if err := writeJSON(d.path(s), l); err != nil {
		s.m.log("noting what a crash would leave behind", s, err)
	}
}

func (d *stateDir) remove(s *Session) {
	if d == nil {
		return
	}
	if err := os.Remove(d.path(s)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.m.log("forgetting a session that ended", s, err)
	}
}

// writeJSON writes a file of 0600 at once or not at all.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		os.Remove(temporary)
		return err
	}
	return os.Rename(temporary, path)
}

// After a crash the Engine may still be starting too.
const (
	sweepTries = 10
	sweepPause = 3 * time.Second
)

// sweep ends what sessions of an earlier process left behind: only what their
// files name.
func (m *Manager) sweep() {
	if m.state == nil {
		return
	}
	for _, path := range m.state.old {
		for try := 0; ; try++ {
			what, err := m.sweepOne(path)
			if err == nil {
				break
			}
			if try == sweepTries {
				m.o.Log.Warn("ending what a session left behind before a restart", zap.String("user", what.User), zap.String("container", what.Container), zap.Error(err))
				break // the file stays for the next start
			}
			select {
			case <-time.After(sweepPause):
			case <-m.stop:
				return
			}
		}
	}
}

func (m *Manager) sweepOne(path string) (what leftover, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return what, err
	}
	if err := json.Unmarshal(text, &what); err != nil || what.User == "" || what.Container == "" || len(what.Marker) < 26 {
		m.o.Log.Warn("a session's state is no JSON of moorgate's: removed", zap.String("file", path))
		return what, os.Remove(path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), tidyTimeout)
	defer cancel()
	who := &identity.Identity{User: what.User, Groups: what.Groups, Method: "session"}
	e := newEngine(func(ctx context.Context) (net.Conn, error) { return m.o.CleanUp(ctx, who) }, "")
	e.prefix = what.Engine
	defer e.close()
	if err := e.negotiate(ctx); err != nil {
		return what, err
	}
	var left []string
	switch what.Mode {
	case ModeExec:
		left = marked{container: what.Container, marker: what.Marker, user: what.As}.end(ctx, e)
	case ModeRun:
		left = removeContainer(ctx, e, what.Container, false, what.Remove)
	}
	if len(left) > 0 {
		return what, newError(http.StatusConflict, "", "%s", strings.Join(left, "; "))
	}
	m.o.Log.Info("ended what a session left behind before a restart", zap.String("user", what.User), zap.String("container", what.Container))
	return what, os.Remove(path)
}
