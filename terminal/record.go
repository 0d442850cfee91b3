package terminal

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moorgate/authz/identity"
)

// Bounds of a recording.
const (
	recordEvery = time.Second // what was recorded is in the file after
	recordChunk = 64 << 10    // or when so much waits
	maxRecorded = 1 << 30     // bytes of one file: beyond it the recording ends as on a full disk
)

// recorder writes one recording as it happens. A nil one records nothing.
type recorder struct {
	tapes *Recordings
	s     *Session
	must  bool // the configuration wants it: without it the session ends
	over  atomic.Bool

	mu      sync.Mutex
	info    Recording
	file    *os.File // nil once it ended
	written int64
	waiting []byte
	timer   *time.Timer
	cast    cast
}

// records says whether a session must be recorded, and whether it is.
func (m *Manager) records(who *identity.Identity, spec Spec) (must, want bool, err error) {
	want = spec.Record != nil && *spec.Record
	c := m.o.Config.Record
	if c == nil {
		if want {
			err = newError(http.StatusConflict, "leave record out, or ask an administrator for the setting terminal.record", "nothing is recorded here")
		}
		return false, false, err
	}
	roles := who.Roles
	if m.o.Roles != nil {
		roles = m.o.Roles(who)
	}
	must = slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(c.Who, role) })
	return must, must || want, nil
}

// start begins a recording.
func (r *Recordings) start(s *Session, must bool) (*recorder, error) {
	rec := &recorder{
		tapes: r, s: s, must: must,
		info: Recording{
			ID: newID(), Session: s.id, User: s.who.User, Mode: s.spec.Mode, Engine: s.spec.Engine,
			Container: s.spec.Container, Image: s.spec.Image, Cmd: s.spec.Cmd, Started: s.began,
			Input: s.m.o.Config.Record.Input, Cols: s.size.want.cols, Rows: s.size.want.rows,
		},
		cast: cast{began: s.began},
	}
	title := strings.Join(append([]string{s.spec.Container + s.spec.Image}, s.spec.Cmd...), " ")
	size := s.size.want
	if size.cols == 0 {
		size = cells{defaultCols, defaultRows}
	}
	rec.waiting = rec.cast.header(size, line(title))
	var err error
	if rec.file, err = r.create(rec); err != nil {
		return nil, err
	}
	if err := rec.put(); err != nil {
		rec.file.Close()
		r.erase(rec.info) //nolint:errcheck // the first error is the one that counts
		return nil, err
	}
	return rec, nil
}

// ID is the recording's; "" for none.
func (r *recorder) ID() string {
	if r == nil {
		return ""
	}
	return r.info.ID
}

// at says where the session is, once that is known.
func (r *recorder) at(p place) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info.Container, r.info.Name, r.info.Image = p.container, p.name, p.image
	r.cast.crlf = !p.tty
	if r.file != nil {
		r.tapes.note(r.info) //nolint:errcheck // what the metadata lack is no loss of a recording
	}
}

func (r *recorder) output(p []byte) { r.text(castOutput, p) }

func (r *recorder) input(p []byte) {
	if r != nil && r.info.Input {
		r.text(castInput, p)
	}
}

func (r *recorder) text(code byte, p []byte) {
	r.add(func(line []byte, now time.Time) []byte { return r.cast.event(line, now, code, p) })
}

func (r *recorder) resize(to cells) {
	r.add(func(line []byte, now time.Time) []byte { return r.cast.resize(line, now, to) })
}

// add appends a line, which is in the file a second later at most.
func (r *recorder) add(line func([]byte, time.Time) []byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	if r.file == nil {
		r.mu.Unlock()
		return
	}
	r.waiting = line(r.waiting, r.s.m.now())
	var err error
	switch {
	case len(r.waiting) >= recordChunk:
		err = r.put()
	case len(r.waiting) > 0 && r.timer == nil:
		r.timer = time.AfterFunc(recordEvery, r.flush)
	}
	r.mu.Unlock()
	r.broke(err)
}

// flush writes what waits.
func (r *recorder) flush() {
	r.mu.Lock()
	err := r.put()
	r.mu.Unlock()
	r.broke(err)
}

var errTooLong = errors.New("the recording has reached 1 GiB")

// put writes what waits, or nothing of it: a recording ends with a whole line.
func (r *recorder) put() error {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.file == nil || len(r.waiting) == 0 {
		return nil
	}
	if r.written+int64(len(r.waiting)) > maxRecorded {
		return errTooLong
	}
	n, err := r.file.Write(r.waiting)
	if err != nil {
		if n > 0 {
			r.file.Truncate(r.written) //nolint:errcheck // the first error is the one that counts
		}
		return err
	}
	r.written += int64(n)
	if r.waiting = r.waiting[:0]; cap(r.waiting) > recordChunk/4 {
		r.waiting = nil // a session that waits keeps no buffer
	}
	return nil
}

// broke ends the recording after an error: where the configuration wants one,
// the session ends with it, since filling the disk must not be a way around it.
// Otherwise its users are told.
func (r *recorder) broke(err error) {
	if err == nil || !r.finish(nil) {
		return
	}
	r.s.m.log("writing a recording", r.s, err)
	const text = "The recording has ended: it cannot be written any longer."
	r.s.notify(r.s.recordingNotice(false, text), nil)
	if r.must {
		r.s.stop(Exit{Reason: ReasonKilled, By: "moorgate", Message: "this terminal must be recorded, and the recording cannot be written", Close: closeKilled})
	}
}

// finish closes the file. It says whether it was open.
func (r *recorder) finish(code *int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return false
	}
	now := r.s.m.now()
	r.waiting = r.cast.rest(r.waiting, now)
	r.put() //nolint:errcheck // what could be written is
	r.file.Close()
	r.file, r.waiting = nil, nil
	r.over.Store(true)
	r.info.Ended, r.info.ExitCode = &now, code
	r.info.Seconds = now.Sub(r.info.Started).Seconds()
	r.tapes.ended(r)
	return true
}

// close ends the recording with its session.
func (r *recorder) close(code *int) {
	if r != nil && r.finish(code) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := r.tapes.note(r.info); err != nil {
			r.s.m.log("closing a recording", r.s, err)
		}
	}
}

// discard takes back the recording of a session that was not opened.
func (r *recorder) discard() {
	if r != nil && r.finish(nil) {
		r.tapes.erase(r.info) //nolint:errcheck // there is nothing in it
	}
}

// recordingNotice tells users whether they are recorded.
func (s *Session) recordingNotice(on bool, text string) *Notice {
	if on {
		text = "This terminal is recorded: you and the administrators can see the recording."
		if s.record.info.Input {
			text = "This terminal is recorded, and so is what you type: you and the administrators can see the recording."
		}
	}
	return &Notice{Kind: NoticeRecording, On: &on, Text: text}
}

// on says that a recording goes on.
func (r *recorder) on() bool { return r != nil && !r.over.Load() }
