package terminal

import (
	"io"
	"time"
)

// holdBack is how long an owner who went away holds the process back, once the
// scrollback is full of what they have not seen: a short cut loses nothing, and
// after it the process runs on and the oldest output is dropped.
const holdBack = 30 * time.Second

// look makes the reader look again whether it may read.
func (s *Session) look() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// flow is the attachment whose acknowledgements hold the process back: the
// newest owner's, since an older one is often its own connection that nobody
// has missed yet. nil when no owner is there.
func (s *Session) flow() *Attachment {
	for i := len(s.attached) - 1; i >= 0; i-- {
		if s.attached[i].role == RoleOwner {
			return s.attached[i]
		}
	}
	return nil
}

// floor is the offset from which on output must be kept for the owner.
func (s *Session) floor() uint64 {
	a := s.flow()
	switch {
	case s.ending != nil || s.input.blocked > 0:
		return noFloor
	case a != nil:
		return a.acked
	case s.m.now().Before(s.holdUntil):
		return s.heldFrom
	}
	return noFloor
}

// ahead says how much may be read now. 0 is nothing, until something changes or
// until then at the latest, zero for never. Whoever types more than the process
// takes gets its output in any case: both waiting for the other would last for
// ever.
func (s *Session) ahead() (most int, until time.Time) {
	if s.ending != nil || s.input.blocked > 0 {
		return inputBuffer, time.Time{}
	}
	if a := s.flow(); a != nil {
		most = a.window - int(s.buffer.head-a.acked)
	} else if s.m.now().Before(s.holdUntil) {
		most, until = max(s.buffer.keep, window)-int(s.buffer.head-s.heldFrom), s.holdUntil
	} else {
		most = inputBuffer
	}
	if most <= 0 {
		return 0, until
	}
	return min(max(most, leastRead), inputBuffer), time.Time{}
}

// leastRead is what is read at once however little the window has left: what
// comes in crumbs costs more than reading past it does.
const leastRead = 16 << 10

// space waits until the reader may read, and says how much.
func (s *Session) space() int {
	for {
		s.mu.Lock()
		most, until := s.ahead()
		s.mu.Unlock()
		if most > 0 {
			return most
		}
		if until.IsZero() {
			<-s.room
			continue
		}
		late := time.NewTimer(until.Sub(s.m.now()))
		select {
		case <-s.room:
		case <-late.C:
		}
		late.Stop()
	}
}

// pump reads what the process writes until it ends; nil is a proper end.
func (s *Session) pump() error {
	for {
		if err := s.stream.fill(s.space()); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		err := s.keep()
		s.mu.Lock()
		s.touch()
		for _, a := range s.attached {
			a.poke()
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// keep puts what was read into the scrollback and the recording.
func (s *Session) keep() error {
	defer s.stream.free() // what may last, waiting for acknowledgements, comes after
	for {
		p, kind, err := s.stream.take()
		if len(p) == 0 || err != nil {
			return err
		}
		s.record.output(p)
		s.mu.Lock()
		s.buffer.add(p, kind, s.floor())
		s.mu.Unlock()
	}
}

// touch notes that something was typed or printed.
func (s *Session) touch() {
	s.active = s.m.now()
	s.warned[0] = false
}
