package terminal

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// cells is a terminal's size.
type cells struct{ cols, rows uint16 }

// size is the terminal's size as it shall be and as it is. A goroutine brings
// the one to the other; of many sizes in a row the Engine hears the last.
type size struct {
	want, have cells
	setting    bool
	nudge      bool // set another size first, so that the process draws anew
	nudged     time.Time
}

// Resizing fails while the Engine is still starting the process.
const (
	resizeTries = 10
	resizePause = 10 * time.Millisecond // and so much more after each
	nudgeEvery  = time.Second           // a repaint is not asked for more often
	nudgePause  = 30 * time.Millisecond // so long the other size lasts
	startPolls  = 100                   // of resizePause, until an exec runs
)

// resize sets the size that an owner's terminal has.
func (s *Session) resize(by *Attachment, cols, rows uint16) {
	to := cells{clamp(int64(cols)), clamp(int64(rows))}
	s.mu.Lock()
	if s.size.want == to || !s.live() {
		s.mu.Unlock()
		return
	}
	s.size.want = to
	s.tell(&Resize{to.cols, to.rows}, by)
	s.fit()
	s.mu.Unlock()
	s.record.resize(to)
}

// repaint makes the process draw its screen anew.
func (s *Session) repaint() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.m.now(); now.Sub(s.size.nudged) >= nudgeEvery {
		s.size.nudged = now
		s.size.nudge = true
		s.fit()
	}
}

// fit starts setting the size, if it is not as wanted and nobody is at it.
func (s *Session) fit() {
	if s.state == StateRunning && s.place.tty && s.size.want.cols > 0 && !s.size.setting && (s.size.nudge || s.size.want != s.size.have) {
		s.size.setting = true
		go s.setSize()
	}
}

func (s *Session) setSize() {
	s.awaitStart()
	for {
		s.mu.Lock()
		if s.state != StateRunning || !s.size.nudge && s.size.want == s.size.have {
			s.size.setting = false
			s.mu.Unlock()
			return
		}
		to, nudge := s.size.want, s.size.nudge
		if s.size.nudge = false; nudge {
			if to.rows--; to.rows == 0 {
				to.rows = 2
			}
		}
		s.mu.Unlock()
		err := s.setTo(to)
		s.mu.Lock()
		s.size.have = to
		s.mu.Unlock()
		if nudge && err == nil {
			s.pause(nudgePause)
		} else if err == nil {
			s.event(Event{Kind: "resize", Cols: to.cols, Rows: to.rows})
		}
	}
}

// setTo tells the Engine.
func (s *Session) setTo(to cells) (err error) {
	s.mu.Lock()
	path := "/containers/" + pathOf(s.place.container) + "/resize"
	if s.place.exec != "" {
		path = "/exec/" + pathOf(s.place.exec) + "/resize"
	}
	s.mu.Unlock()
	query := url.Values{"w": {strconv.Itoa(int(to.cols))}, "h": {strconv.Itoa(int(to.rows))}}
	for i := range resizeTries {
		if err = s.engine.call(s.ctx, http.MethodPost, path, query, nil, nil); err == nil || s.ctx.Err() != nil {
			return err
		}
		s.pause(time.Duration(i+1) * resizePause)
	}
	return err
}

// awaitStart waits until an exec runs: before that, the Engine would let a
// resize wait for 10 s.
func (s *Session) awaitStart() {
	s.mu.Lock()
	exec, seen := s.place.exec, s.buffer.head > 0
	s.mu.Unlock()
	for range startPolls {
		if exec == "" || seen || s.ctx.Err() != nil {
			return
		}
		if state, err := inspectExec(s.ctx, s.engine, exec); err != nil || state.Running || state.ExitCode != nil {
			return
		}
		s.pause(resizePause)
	}
}

// pause waits, but not beyond the session.
func (s *Session) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}
