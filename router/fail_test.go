package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestFail(t *testing.T) {
	for _, tt := range []struct {
		err     error
		status  int
		message string
		retry   string
	}{
		{errNotFound, 404, "page not found", ""},
		{&Error{Status: 403, Message: `a "b" <c> & d` + "\n\x1b\u2028"}, 403, `a "b" <c> & d` + "\n\x1b\u2028", ""},
		{fmt.Errorf("judging: %w", &Error{Status: 429, Message: "later", RetryAfter: 1500 * time.Millisecond}), 429, "later", "2"},
		{&Error{Status: 502, Message: "engine is away", Err: errors.New("dial /secret")}, 502, "engine is away", ""},
		{errors.New("dial /secret"), 500, "moorgate: internal error: see its log", ""},
		{&Error{Message: "no status"}, 500, "no status", ""},
		{&Error{Status: 400, Message: "a\xffb"}, 400, "a\ufffdb", ""},
	} {
		w := httptest.NewRecorder()
		Fail(w, nil, tt.err)
		var body map[string]string
		err := json.Unmarshal(w.Body.Bytes(), &body)
		if w.Code != tt.status || err != nil || len(body) != 1 || body["message"] != tt.message || w.Header().Get("Retry-After") != tt.retry {
			t.Errorf("%v: %d %q %v, %v", tt.err, w.Code, w.Body, w.Header(), err)
		}
		if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) ||
			w.Body.Bytes()[w.Body.Len()-1] != '\n' || w.Header().Get("Server") != "" {
			t.Errorf("%v: not in the Engine's shape: %q %v", tt.err, w.Body, w.Header())
		}
	}
}

// What the log keeps is in the error's text, and what is wrapped is found.
func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	if err := (&Error{Message: "said", Err: cause}); err.Error() != "said: cause" || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	if err := (&Error{Message: "said"}); err.Error() != "said" {
		t.Errorf("%v", err)
	}
	if err := (&Broken{cause}); err.Error() != "answer cut short: cause" || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

// An answer that has begun is cut, however deep its error lies.
func TestFailCutsBrokenAnswers(t *testing.T) {
	defer func() {
		if r := recover(); r != http.ErrAbortHandler {
			t.Errorf("recovered %v", r)
		}
	}()
	Fail(httptest.NewRecorder(), nil, fmt.Errorf("relay: %w", &Broken{errors.New("gone")}))
	t.Error("not cut")
}
