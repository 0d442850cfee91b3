package terminal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Recording is what is known of one recording. It stands in a file beside it.
type Recording struct {
	ID        string     `json:"id"`
	Session   string     `json:"session"`
	User      string     `json:"user"`
	Mode      string     `json:"mode"`
	Engine    string     `json:"engine,omitempty"`
	Container string     `json:"container"`
	Name      string     `json:"container_name,omitempty"`
	Image     string     `json:"image"`
	Cmd       []string   `json:"cmd,omitempty"`
	Started   time.Time  `json:"started"`
	Ended     *time.Time `json:"ended,omitempty"` // nil while it is written, and after a crash
	Seconds   float64    `json:"seconds"`
	Bytes     int64      `json:"bytes"` // of the file
	Input     bool       `json:"input"` // what was typed is in it
	Cols      uint16     `json:"cols"`
	Rows      uint16     `json:"rows"`
	ExitCode  *int       `json:"exit_code,omitempty"`
}

// Recordings are those of a folder: a folder for each user in it, named by the
// user's hash, and in that two files for each recording, named by its id.
type Recordings struct {
	dir string
	now func() time.Time

	mu   sync.Mutex
	live map[string]*recorder
}

const (
	fileSuffix = ".cast"
	noteSuffix = ".json"
)

func openRecordings(dir string, now func() time.Time) (*Recordings, error) {
	if err := privateDir(dir); err != nil {
		return nil, fmt.Errorf("the folder of the recordings: %w", err)
	}
	return &Recordings{dir: dir, now: now, live: map[string]*recorder{}}, nil
}

// of is the folder of a user. A hash is a safe name whatever users are called.
func (r *Recordings) of(user string) string {
	sum := sha256.Sum256([]byte(user))
	return filepath.Join(r.dir, hex.EncodeToString(sum[:16]))
}

func (r *Recordings) path(i Recording, suffix string) string {
	return filepath.Join(r.of(i.User), i.ID+suffix)
}

// create makes the files of a recording that begins.
func (r *Recordings) create(rec *recorder) (*os.File, error) {
	if err := os.MkdirAll(r.of(rec.info.User), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(r.path(rec.info, fileSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := r.note(rec.info); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	r.mu.Lock()
	r.live[rec.info.ID] = rec
	r.mu.Unlock()
	return f, nil
}

// note writes what is known of a recording.
func (r *Recordings) note(i Recording) error { return writeJSON(r.path(i, noteSuffix), i) }

// ended says that a recording is not written any longer.
func (r *Recordings) ended(rec *recorder) {
	r.mu.Lock()
	delete(r.live, rec.info.ID)
	r.mu.Unlock()
}

// List gives the recordings of a user, or of all for "", the newest first.
func (r *Recordings) List(user string) ([]Recording, error) {
	dirs := []string{r.of(user)}
	if user == "" {
		entries, err := os.ReadDir(r.dir)
		if err != nil {
			return nil, err
		}
		dirs = dirs[:0]
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(r.dir, e.Name()))
			}
		}
	}
	list := []Recording{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, e := range entries {
			id, ok := strings.CutSuffix(e.Name(), noteSuffix)
			if !ok {
				continue
			}
			if i, err := r.read(dir, id); err == nil { // else it was removed meanwhile, or is none of ours
				list = append(list, i)
			}
		}
	}
	slices.SortFunc(list, func(a, b Recording) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// read reads what is known of a recording in a user's folder.
func (r *Recordings) read(dir, id string) (i Recording, err error) {
	text, err := os.ReadFile(filepath.Join(dir, id+noteSuffix))
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, err
	}
	if i.ID != id || r.of(i.User) != dir {
		return i, fmt.Errorf("recording %s is in the wrong place", id)
	}
	info, err := os.Lstat(r.path(i, fileSuffix))
	if err != nil {
		return i, err
	}
	i.Bytes = info.Size()
	if i.Ended == nil { // the file's own times tell
		i.Seconds = max(0, info.ModTime().Sub(i.Started).Seconds())
	}
	return i, nil
}

// Find gives what is known of a recording; os.ErrNotExist if there is none of
// that id, which may be anything.
func (r *Recordings) Find(id string) (Recording, error) {
	if !isID(id) {
		return Recording{}, os.ErrNotExist
	}
	found, err := filepath.Glob(filepath.Join(escapeGlob(r.dir), "*", id+noteSuffix))
	if err != nil {
		return Recording{}, err
	}
	for _, path := range found {
		if i, err := r.read(filepath.Dir(path), id); err == nil {
			return i, nil
		}
	}
	return Recording{}, os.ErrNotExist
}

// isID says that a text is one that newID could have made.
func isID(id string) bool {
	return len(id) == 26 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// Open gives a recording and its file; os.ErrNotExist if there is none of that
// id, which may be anything. One that is being written is as long as it is then.
func (r *Recordings) Open(id string) (Recording, *os.File, error) {
	i, err := r.Find(id)
	if err != nil {
		return i, nil, err
	}
	r.mu.Lock()
	rec := r.live[id]
	r.mu.Unlock()
	if rec != nil {
		rec.flush()
	}
	f, err := os.Open(r.path(i, fileSuffix))
	return i, f, err
}

// Remove deletes a recording; os.ErrNotExist if there is none of that id. One
// that is being written ends; where it must be, it is refused with an *Error.
func (r *Recordings) Remove(id string) error {
	i, err := r.Find(id)
	if err != nil {
		return err
	}
	r.mu.Lock()
	rec := r.live[id]
	r.mu.Unlock()
	if rec != nil {
		if rec.must {
			return newError(http.StatusConflict, "end the terminal first", "the recording is being written")
		}
		if rec.finish(nil) {
			rec.s.notify(rec.s.recordingNotice(false, "The recording has ended: it was removed."), nil)
		}
	}
	return r.erase(i)
}

// erase removes the files of a recording.
func (r *Recordings) erase(i Recording) error {
	err := os.Remove(r.path(i, fileSuffix))
	if e := os.Remove(r.path(i, noteSuffix)); err == nil {
		err = e
	}
	return err
}

// expire removes the recordings that ended before a time.
func (r *Recordings) expire(before time.Time) error {
	all, err := r.List("")
	if err != nil {
		return err
	}
	var faults []error
	for _, i := range all {
		r.mu.Lock()
		live := r.live[i.ID] != nil
		r.mu.Unlock()
		ended := i.Started.Add(time.Duration(i.Seconds * float64(time.Second)))
		if i.Ended != nil {
			ended = *i.Ended
		}
		if !live && ended.Before(before) {
			faults = append(faults, r.erase(i))
		}
	}
	return errors.Join(faults...)
}
