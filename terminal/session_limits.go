package terminal

import (
	"fmt"
	"slices"
	"time"
)

// Times of the watch over all sessions. One ticker does for them: a session
// that waits costs no timer.
const (
	watchEvery   = time.Second
	watchOften   = 10 * time.Millisecond // at most, where limits are short
	warnBefore   = time.Minute
	lingerTold   = 30 * time.Second // an ended session stays, once an owner knows of its end
	lingerMost   = 16               // ended sessions of a user; the oldest go first
	expireEvery  = time.Hour
	warningParts = 4 // the warning comes no earlier than after 3/4 of a limit
)

// watch ends what has reached a limit, until Shutdown.
func (m *Manager) watch() {
	c := m.o.Config
	every := watchEvery
	for _, limit := range []time.Duration{c.Grace, c.Idle, c.Max} {
		if limit > 0 {
			every = min(every, max(limit/8, watchOften))
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var expired time.Time
	for {
		now := m.now()
		m.check(now)
		if c.Record != nil && c.Record.Keep > 0 && now.Sub(expired) >= expireEvery {
			expired = now
			if err := m.tapes.expire(now.Add(-c.Record.Keep)); err != nil {
				m.o.Log.Warn("removing old recordings: " + err.Error())
			}
		}
		select {
		case <-tick.C:
		case <-m.stop:
			return
		}
	}
}

// check looks at all sessions.
func (m *Manager) check(now time.Time) {
	ended := map[string][]*Session{}
	for _, s := range m.unsorted() {
		if s.check(now) {
			ended[s.who.User] = append(ended[s.who.User], s)
		}
	}
	for _, list := range ended {
		slices.SortFunc(list, func(a, b *Session) int { return b.ended.Compare(a.ended) })
		for i, s := range list {
			if i >= lingerMost || s.lingered(now) {
				m.forget(s)
			}
		}
	}
}

// lingered says that nobody will ask for an ended session any longer.
func (s *Session) lingered(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	linger := lingerTold
	if !s.told {
		linger = max(linger, s.m.o.Config.Grace)
	}
	return now.Sub(s.ended) >= linger
}

func (m *Manager) forget(s *Session) {
	m.mu.Lock()
	delete(m.sessions, s.id)
	if mine := m.users[s.who.User]; mine != nil {
		if delete(mine, s); len(mine) == 0 {
			delete(m.users, s.who.User)
		}
	}
	m.mu.Unlock()
	s.mu.Lock()
	s.forgotten = true
	s.mu.Unlock()
}

// check ends the session if it has reached a limit, and warns before. It says
// whether it has ended.
func (s *Session) check(now time.Time) (ended bool) {
	c := s.m.o.Config
	s.mu.Lock()
	if !s.live() {
		defer s.mu.Unlock()
		return s.state == StateEnded
	}
	idle, age, away := now.Sub(s.active), now.Sub(s.began), time.Duration(0)
	if !s.away.IsZero() {
		away = now.Sub(s.away)
	}
	reason, message := "", ""
	switch {
	case c.Max > 0 && age >= c.Max:
		reason, message = ReasonMax, "terminals last at most "+words(c.Max)
	case c.Idle > 0 && idle >= c.Idle:
		reason, message = ReasonIdle, "nothing was typed or printed for "+words(c.Idle)
	case c.Grace > 0 && away >= c.Grace:
		reason, message = ReasonIdle, "nobody came back within "+words(c.Grace)
	default:
		s.warn(0, ReasonIdle, c.Idle, idle, "Type something: this terminal is idle and ends in %s.")
		s.warn(1, ReasonMax, c.Max, age, "This terminal has reached its age and ends in %s.")
	}
	s.mu.Unlock()
	if reason != "" {
		s.End(reason, "moorgate", message)
	}
	return false
}

// warn tells all that a limit is near, once.
func (s *Session) warn(which int, limit string, of, reached time.Duration, text string) {
	left := of - reached
	if of <= 0 || s.warned[which] || left > min(warnBefore, of/warningParts) {
		return
	}
	s.warned[which] = true
	seconds := int((left + time.Second - 1) / time.Second)
	s.tell(&Notice{Kind: NoticeIdleWarning, Limit: limit, Seconds: seconds, Text: fmt.Sprintf(text, words(time.Duration(seconds)*time.Second))}, nil)
}

// words writes a duration as people say it.
func words(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / unit.size; n > 0 && d%unit.size == 0 {
			if n == 1 {
				return "1 " + unit.name
			}
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}
