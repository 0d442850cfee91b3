package terminal

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// The modes of a session.
const (
	ModeExec   = "exec"   // a command or a shell in a container that runs
	ModeAttach = "attach" // the container's own process
	ModeRun    = "run"    // a container made for the session
)

// Spec is what a session shall be, as callers ask for it.
type Spec struct {
	Mode      string   `json:"mode"`
	Engine    string   `json:"engine,omitempty"`    // "": the default one
	Container string   `json:"container,omitempty"` // exec and attach
	Image     string   `json:"image,omitempty"`     // run
	Cmd       []string `json:"cmd,omitempty"`       // none: a shell that is there
	User      string   `json:"user,omitempty"`
	Workdir   string   `json:"workdir,omitempty"`
	Env       []string `json:"env,omitempty"`  // NAME=VALUE
	TTY       *bool    `json:"tty,omitempty"`  // true if left out; attach: as the container has it
	Cols      uint16   `json:"cols,omitempty"` // 0: 80 and 24, or as an attached container has it
	Rows      uint16   `json:"rows,omitempty"`
	// Record asks for a recording; nil and false leave it to the configuration,
	// which may record anyway.
	Record *bool `json:"record,omitempty"`
	// RM removes the container of run at the end; true if left out. It is
	// stopped either way.
	RM *bool `json:"rm,omitempty"`
	// Volume is the folder of run's container that holds the user's own
	// volume, which outlives the session; "" for none. HOME names it unless Env
	// says otherwise.
	Volume string `json:"volume,omitempty"`
}

// Bounds of a Spec.
const (
	maxArgs     = 256
	maxArgBytes = 64 << 10
	defaultCols = 80
	defaultRows = 24
)

// Error says why a session was not opened, or what cannot be done with it.
type Error struct {
	Status  int    // of the HTTP answer
	Message string // the Engine's, the policy's or our own words, for the user
	Hint    string // what to do about it; "" if the message says so
	Rule    string // that denies it, for the audit record; "" where none does
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

func newError(status int, hint, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// complete checks a Spec and fills in what is left out.
func (s Spec) complete() (Spec, error) {
	bad := func(hint, format string, args ...any) (Spec, error) {
		return s, newError(http.StatusBadRequest, hint, format, args...)
	}
	switch s.Mode {
	case ModeExec, ModeAttach:
		if s.Container == "" {
			return bad("name a container", "mode %s needs a container", s.Mode)
		}
		if s.Image != "" || s.Volume != "" {
			return bad("leave them out, or use mode run", "image and volume are for mode run")
		}
	case ModeRun:
		if s.Image == "" {
			return bad("name an image", "mode run needs an image")
		}
		if s.Container != "" {
			return bad("leave it out, or use mode exec", "container is not for mode run")
		}
	case "":
		return bad("write exec, attach or run", "mode is missing")
	default:
		return bad("write exec, attach or run", "mode %q is not known", s.Mode)
	}
	if s.Mode == ModeAttach && (len(s.Cmd) > 0 || s.User != "" || s.Workdir != "" || len(s.Env) > 0 || s.TTY != nil) {
		return bad("leave them out, or use mode exec", "cmd, user, workdir, env and tty are the container's own in mode attach")
	}
	if len(s.Cmd) > 0 && s.Cmd[0] == "" {
		return bad("name a command, or leave cmd out for a shell", "cmd starts with an empty word")
	}
	size := 0
	for _, arg := range slices.Concat(s.Cmd, s.Env) {
		if size += len(arg); strings.ContainsRune(arg, 0) {
			return bad("take it out", "cmd or env holds a NUL character")
		}
	}
	if size > maxArgBytes || len(s.Cmd) > maxArgs || len(s.Env) > maxArgs {
		return bad("send at most 256 words and 64 KiB of each", "cmd or env is too long")
	}
	for _, e := range s.Env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return bad("write NAME=VALUE", "env holds %q", e)
		}
		if name == markerName {
			return bad("leave it out", "%s is moorgate's own", markerName)
		}
	}
	if s.Volume != "" && (!path.IsAbs(s.Volume) || path.Clean(s.Volume) != s.Volume || s.Volume == "/") {
		return bad("write a folder like /home/me", "volume %q is no whole path", s.Volume)
	}
	if s.TTY == nil {
		yes := true
		s.TTY = &yes
	}
	if s.RM == nil {
		yes := true
		s.RM = &yes
	}
	switch {
	case s.Cols != 0 && s.Rows != 0:
		s.Cols, s.Rows = clamp(int64(s.Cols)), clamp(int64(s.Rows))
	case s.Mode == ModeAttach: // it has one, which others may be using
		s.Cols, s.Rows = 0, 0
	default:
		s.Cols, s.Rows = defaultCols, defaultRows
	}
	return s, nil
}
