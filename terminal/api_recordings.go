package terminal

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// castSuffix is the ending of recordings.
const castSuffix = ".cast"

// listRecordings gives the caller's recordings, to administrators all.
func (s *Server) listRecordings(w http.ResponseWriter, _ *http.Request, who *identity.Identity) error {
	if !s.mayAnywhere(who, actionRecord, actionAdmin) {
		return s.may(who, actionRecord, "")
	}
	list := []Recording{}
	if all := s.manager.Recordings(); all != nil {
		user := who.User
		if s.mayAnywhere(who, actionAdmin) {
			user = ""
		}
		found, err := all.List(user)
		if err != nil {
			return fmt.Errorf("listing recordings: %w", err)
		}
		for _, r := range found {
			if s.mayHear(who, r) {
				list = append(list, r)
			}
		}
	}
	send(w, http.StatusOK, list)
	return nil
}

// mayHear says whether who may have a recording: its user and administrators
// may, as long as they have the right.
func (s *Server) mayHear(who *identity.Identity, r Recording) bool {
	engine := s.engineName(r.Engine)
	return who.User == r.User && s.options.May(who, actionRecord, engine) || s.options.May(who, actionAdmin, engine)
}

// openRecording gives the recording of the request's path. To who may not have
// it it looks as one that there is not.
func (s *Server) openRecording(r *http.Request, who *identity.Identity) (Recording, *os.File, error) {
	name := r.PathValue("file")
	gone := newError(http.StatusNotFound, "", "No such recording: %s", plainLine(cutText(name, 64)))
	all := s.manager.Recordings()
	id, cast := strings.CutSuffix(name, castSuffix)
	if all == nil || !cast && r.Method != http.MethodDelete {
		return Recording{}, nil, gone
	}
	recording, file, err := all.Open(id)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Recording{}, nil, gone
	case err != nil:
		return Recording{}, nil, fmt.Errorf("opening recording: %w", err)
	case !s.mayHear(who, recording):
		file.Close() //nolint:errcheck // it was read only
		return Recording{}, nil, gone
	}
	rec := audit.From(r.Context())
	rec.Recording, rec.Session, rec.Engine = recording.ID, recording.Session, s.engineName(recording.Engine)
	if recording.User != who.User {
		rec.Action = actionAdmin
	}
	return recording, file, nil
}

// sendRecording sends a recording, or the ranges of it that are asked for. A
// browser saves it: what programs wrote must not be shown as a page of ours.
func (s *Server) sendRecording(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	recording, file, err := s.openRecording(r, who)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was read only
	about, err := file.Stat()
	if err != nil {
		return fmt.Errorf("opening recording: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-asciicast")
	h.Set("Content-Disposition", `attachment; filename="`+recording.ID+castSuffix+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", about.ModTime(), file)
	return nil
}

func (s *Server) removeRecording(w http.ResponseWriter, r *http.Request, who *identity.Identity) error {
	recording, file, err := s.openRecording(r, who)
	if err != nil {
		return err
	}
	file.Close() //nolint:errcheck // it was read only
	if err := s.manager.Recordings().Remove(recording.ID); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing recording: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
