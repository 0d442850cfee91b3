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

// held says whether the reader must wait, and until when at the latest; zero is
// until something changes. Whoever types more than the process takes gets its
// output in any case: both waiting for the other would last for ever.
func (s *Session) held() (bool, time.Time) {
	if s.ending != nil || s.input.blocked > 0 {
		return false, time.Time{}
	}
	if a := s.flow(); a != nil {
		return s.buffer.head-a.acked >= uint64(a.window), time.Time{}
	}
	full := s.buffer.head-s.heldFrom >= uint64(max(s.buffer.keep, window))
	return full && s.m.now().Before(s.holdUntil), s.holdUntil
}

// space waits until the reader may read, and gives it room.
func (s *Session) space() []byte {
	for {
		s.mu.Lock()
		held, until := s.held()
		if !held {
			p := s.buffer.room()
			s.mu.Unlock()
			return p
		}
		s.mu.Unlock()
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
		p := s.space()
		n, kind, err := s.stream.Read(p)
		if n > 0 {
			s.mu.Lock()
			s.buffer.commit(n, kind)
			s.buffer.trim(s.floor())
			s.touch()
			for _, a := range s.attached {
				a.poke()
			}
			s.mu.Unlock()
			s.record.output(p[:n])
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// touch notes that something was typed or printed.
func (s *Session) touch() {
	s.active = s.m.now()
	s.warned[0] = false
}
