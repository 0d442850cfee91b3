package terminal

import (
	"errors"
	"net/http"
	"strconv"

	ws "github.com/gorilla/websocket"
)

// closeNames are the codes that ERROR has before these close codes.
var closeNames = map[int]string{
	ws.CloseGoingAway:         "going",
	ws.CloseInternalServerErr: "engine",
	closeReplaced:             "replaced",
	closeBadTicket:            "bad_ticket",
	closeForbidden:            "forbidden",
	closeGone:                 "gone",
	closeIdle:                 "idle",
	closeMax:                  "max",
	closeKilled:               "killed",
	closeTooMany:              "too_many",
}

// closeCodeOf is the close code for an error; session is the one that it is
// about, or nil.
func closeCodeOf(err error, session *Session) int {
	var e *Error
	if !errors.As(err, &e) {
		return ws.CloseInternalServerErr
	}
	switch {
	case e.Status == http.StatusGone && session != nil:
		if exit := session.Info().Exit; exit != nil && exit.Close >= closeReplaced {
			return exit.Close
		}
		return closeGone
	case e.Status == http.StatusGone || e.Status == http.StatusNotFound:
		return closeGone
	case e.Status == http.StatusTooManyRequests:
		return closeTooMany
	case e.Status < 500:
		return closeForbidden
	}
	return ws.CloseInternalServerErr
}

// faultOf is what a client is told of an error. What is not meant for users
// stays here.
func faultOf(err error) *Fault {
	var e *Error
	if !errors.As(err, &e) {
		return &Fault{Code: "internal", Message: "moorgate: internal error: see its log"}
	}
	return &Fault{Code: closeNames[closeCodeOf(err, nil)], Message: e.Message, Hint: e.Hint, rule: e.Rule}
}

// exitWords say how a session ended.
func exitWords(e *Exit) string {
	words := ""
	switch e.Reason {
	case ReasonExited:
		words = "exited"
	case ReasonStopped:
		words = "the container stopped"
	case ReasonIdle:
		words = "nothing was typed or printed for too long"
	case ReasonMax:
		words = "it was open for the longest time allowed"
	case ReasonKilled, ReasonAdmin:
		words = "ended"
		if e.By != "" {
			words += " by " + e.By
		}
	case ReasonRevoked:
		words = "the right to it was withdrawn"
	default:
		words = "ended"
	}
	if e.Reason == ReasonExited && e.Code != nil {
		words += " with " + strconv.Itoa(*e.Code)
	}
	if e.Message != "" {
		words += ": " + e.Message
	}
	return words
}

// afterwards is the close code behind an EXIT, which has told the reason: that
// all is in order, unless the client is to come back, or has another terminal
// instead, of which EXIT knows nothing.
func (e *Exit) afterwards() int {
	if e.Close > closeReplaced {
		return ws.CloseNormalClosure
	}
	return e.Close
}
