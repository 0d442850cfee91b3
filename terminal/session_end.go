package terminal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Reasons of Exit.
const (
	ReasonExited  = "exited"
	ReasonKilled  = "killed"
	ReasonStopped = "container_stopped"
	ReasonIdle    = "idle"
	ReasonMax     = "max"
	ReasonAdmin   = "admin"
	ReasonRevoked = "revoked"
)

// closeCodes are those of the websocket for each reason.
var closeCodes = map[string]int{
	ReasonExited: 1000, ReasonStopped: 1000, ReasonKilled: closeKilled, ReasonAdmin: closeKilled,
	ReasonIdle: closeIdle, ReasonMax: closeMax, ReasonRevoked: closeForbidden,
}

// Close codes of websockets that have no name of ours.
const (
	closeGoingAway   = 1001
	closeEngineError = 1011
)

// Times of an end.
const (
	lastOutput  = time.Second            // for output after everything was ended
	codeWait    = 3 * time.Second        // for an exit code after the output ended
	codePause   = 5 * time.Millisecond   // between two looks, and twice so much after each
	codePauses  = 100 * time.Millisecond // at most
	stopWait    = 300 * time.Millisecond // for a container to be known as stopped
	tidyTimeout = 30 * time.Second
)

// End ends the session and everything that was started in it: reason is one of
// Exit's, by is who did it, message is for the users. It returns at once.
func (s *Session) End(reason, by, message string) {
	s.stop(Exit{Reason: reason, By: by, Message: line(message), Close: closeCodes[reason]})
}

func (s *Session) stop(why Exit) {
	s.mu.Lock()
	if !s.live() {
		s.mu.Unlock()
		return
	}
	s.ending = &why
	starting := s.state == StateStarting
	s.state = StateEnding
	out := s.stream
	s.mu.Unlock()
	s.look()
	s.event(Event{Kind: "kill", By: why.By, Reason: why.Reason})
	if starting {
		s.cancel() // who starts it sees that and calls fail
		return
	}
	go func() {
		s.tidy()
		if s.spec.Mode != ModeAttach { // whose process goes on
			select {
			case <-s.done:
			case <-time.After(lastOutput): // what goes on writing could not be ended
			}
		}
		out.Close()
	}()
}

// run is the life of the session's process.
func (s *Session) run() {
	err := s.pump()
	exit := Exit{Reason: ReasonExited, Close: closeCodes[ReasonExited]}
	s.mu.Lock()
	ended := s.ending
	s.mu.Unlock()
	if err != nil && ended == nil {
		s.notify(&Fault{Code: "engine", Message: "the connection to the Engine broke", Hint: "open the terminal again", Fatal: true}, nil)
		exit = Exit{Reason: ReasonKilled, By: "moorgate", Message: "the connection to the Engine broke", Close: closeEngineError}
		s.m.log("reading a terminal's output", s, err)
	}
	if err == nil {
		exit.Code, exit.Reason = s.outcome()
		exit.Close = closeCodes[exit.Reason]
	}
	if exit.Reason != ReasonStopped {
		s.tidy()
		if err == nil && (exit.Code == nil || *exit.Code == 128+9) { // it went on without its output, or its container was stopping
			exit.Code, exit.Reason = s.outcome()
		}
	} else if s.spec.Mode == ModeRun {
		s.tidy()
		exit.Reason = ReasonExited // its end is the container's
	}
	s.finish(exit)
}

// outcome asks how the process ended. A code of nil is not known.
func (s *Session) outcome() (code *int, reason string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), codeWait)
	defer cancel()
	s.mu.Lock()
	p := s.place
	s.mu.Unlock()
	pause := codePause
	for s.spec.Mode == ModeExec {
		state, err := inspectExec(ctx, s.engine, p.exec)
		if err != nil || !state.Running {
			code = state.ExitCode
			s.mu.Lock()
			s.place.unborn = state.unborn()
			s.mu.Unlock()
			break
		}
		if ctx.Err() != nil {
			return nil, ReasonExited
		}
		time.Sleep(pause)
		pause = min(2*pause, codePauses)
	}
	// An exec dies of KILL when its container stops, shortly before the Engine
	// knows that it has; a container of run may only seem to run on.
	if s.spec.Mode == ModeExec && code != nil && *code != 128+9 {
		return code, ReasonExited
	}
	patience := stopWait
	if s.spec.Mode == ModeRun {
		patience = codeWait
	}
	late := time.Now().Add(patience)
	c, err := inspectContainer(ctx, s.engine, p.container)
	for err == nil && c.State.Running && time.Now().Before(late) {
		time.Sleep(pause)
		pause = min(2*pause, codePauses)
		c, err = inspectContainer(ctx, s.engine, p.container)
	}
	switch {
	case missing(err):
		return code, ReasonStopped
	case err != nil || c.State.Running:
		return code, ReasonExited
	case s.spec.Mode != ModeExec:
		code = &c.State.ExitCode
	}
	return code, ReasonStopped
}

// tidy ends everything that was started in the session, once.
func (s *Session) tidy() {
	s.clean.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), tidyTimeout)
		defer cancel()
		e := s.m.cleaner(s)
		defer e.close()
		s.mu.Lock()
		p := s.place
		s.mu.Unlock()
		var left []string
		switch s.spec.Mode {
		case ModeExec:
			if p.exec != "" && !p.unborn {
				left = s.mark().end(ctx, e)
			}
		case ModeRun:
			left = removeContainer(ctx, e, p.container, p.shell, *s.spec.RM)
		}
		s.left = left
	})
}

// removeContainer stops a container of run and removes it, with its unnamed
// volumes. Shells ignore TERM, and end with HUP.
func removeContainer(ctx context.Context, e *engine, id string, shell, remove bool) (survived []string) {
	if id == "" {
		return nil
	}
	path := "/containers/" + pathOf(id)
	query := url.Values{"t": {stopSeconds}}
	if shell && e.minor >= stopSignalMinor {
		query.Set("signal", "SIGHUP")
	}
	err := e.call(ctx, http.MethodPost, path+"/stop", query, nil, nil)
	if remove {
		err = e.call(ctx, http.MethodDelete, path, url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
		if conflicts(err) { // another removes it
			err = nil
		}
	}
	if err != nil && !missing(err) {
		return []string{"the container " + id[:min(len(id), 12)] + ": " + err.Error()}
	}
	return nil
}

func conflicts(err error) bool {
	var known *Error
	return errors.As(err, &known) && known.Status == http.StatusConflict
}

// fail ends a session that did not start.
func (s *Session) fail(err error) {
	known := &Error{Status: http.StatusInternalServerError, Message: "the terminal could not be opened"}
	if !errors.As(err, &known) {
		s.m.log("opening a terminal", s, err)
	}
	s.mu.Lock()
	ended := s.ending != nil
	s.mu.Unlock()
	code := closeEngineError
	if known.Status == http.StatusForbidden {
		code = closeForbidden
	}
	if !ended {
		s.notify(&Fault{Code: "not_opened", Message: known.Message, Hint: known.Hint, Fatal: true}, nil)
	}
	s.tidy()
	s.finish(Exit{Reason: ReasonKilled, By: "moorgate", Message: known.Message, Close: code})
}

// finish is the end.
func (s *Session) finish(exit Exit) {
	s.mu.Lock()
	if s.ending != nil { // whoever ended it says why
		code := exit.Code
		exit = *s.ending
		exit.Code = code
	}
	if exit.Code != nil {
		exit.Signal = signalOf(*exit.Code)
		if f := notRun(*exit.Code, s.buffer.head, s.spec.Cmd, s.place.shell); f != nil && exit.Reason == ReasonExited {
			s.tell(f, nil)
		}
	}
	exit.Survived = s.left
	s.state, s.exit, s.ended = StateEnded, &exit, s.m.now()
	s.input.data = nil
	out := s.stream
	s.stream = nil
	for _, a := range s.attached {
		a.poke()
	}
	s.mu.Unlock()
	if out != nil {
		out.Close()
	}
	s.cancel()
	s.engine.close()
	s.record.close(exit.Code)
	s.m.state.remove(s)
	s.event(Event{Kind: "close", By: exit.By, Reason: exit.Reason, ExitCode: exit.Code, Recording: s.record.ID()})
	close(s.done)
}
