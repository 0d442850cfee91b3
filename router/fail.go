package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Error is a refusal or a failure that is answered in the Engine's shape.
type Error struct {
	Status     int           // of the answer
	Message    string        // what the caller reads
	Err        error         // what only the log keeps; may be nil
	RetryAfter time.Duration // for 429 and 503; rounded up to seconds, 0 for none
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Broken is the failure of an answer that has begun: it cannot be said any
// more, only the connection can be cut so that what was sent does not pass for
// the whole.
type Broken struct{ Err error }

func (b *Broken) Error() string { return "answer cut short: " + b.Err.Error() }

func (b *Broken) Unwrap() error { return b.Err }

func fail(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// Fail answers an error as the Engine does: {"message": "..."} with the
// error's status, 500 for one that is no *Error, whose text stays in the log.
// For a *Broken it panics with http.ErrAbortHandler.
func Fail(w http.ResponseWriter, _ *http.Request, err error) {
	var broken *Broken
	if errors.As(err, &broken) {
		panic(http.ErrAbortHandler)
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Status: http.StatusInternalServerError, Message: "moorgate: internal error: see its log", Err: err}
	}
	status := e.Status
	if status < 400 { // left out: never pass for an answer of the Engine
		status = http.StatusInternalServerError
	}
	body, _ := json.Marshal(map[string]string{"message": e.Message}) // strings always marshal
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller who has gone needs no answer
}

// errNotFound is what the Engine says of every path and method it does not
// know.
var errNotFound = fail(http.StatusNotFound, "page not found")
