package terminal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTicket(t *testing.T) {
	now := time.Now()
	store := newTickets(func() time.Time { return now })
	give := func() string {
		t.Helper()
		text, err := store.Give(grant{User: "alice", Session: "s1", Role: RoleWriter})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	tests := []struct {
		name          string
		user, session string
		text          func(string) string
		after         time.Duration
		ok            bool
	}{
		{name: "its own", user: "alice", session: "s1", ok: true},
		{name: "at the last moment", user: "alice", session: "s1", after: ticketLife - time.Millisecond, ok: true},
		{name: "too late", user: "alice", session: "s1", after: ticketLife},
		{name: "another user", user: "bob", session: "s1"},
		{name: "another session", user: "alice", session: "s2"},
		{name: "no user", session: "s1"},
		{name: "a prefix", user: "alice", session: "s1", text: func(s string) string { return s[:len(s)-1] }},
		{name: "with more behind", user: "alice", session: "s1", text: func(s string) string { return s + "A" }},
		{name: "none", user: "alice", session: "s1", text: func(string) string { return "" }},
		{name: "one character changed", user: "alice", session: "s1", text: func(s string) string {
			if s[0] == 'A' {
				return "B" + s[1:]
			}
			return "A" + s[1:]
		}},
	}
	for _, test := range tests {
		text := give()
		shown := text
		if test.text != nil {
			shown = test.text(text)
		}
		now = now.Add(test.after)
		role, ok := store.Take(shown, test.user, test.session)
		if ok != test.ok || ok && role != RoleWriter {
			t.Errorf("%s: %v, %v", test.name, role, ok)
		}
		if shown == text {
			if _, again := store.Take(text, "alice", "s1"); again {
				t.Errorf("%s: the ticket works a second time", test.name)
			}
		}
	}
}

// TestTicketRace: of many that show one ticket at the same time one gets in.
func TestTicketRace(t *testing.T) {
	store := newTickets(time.Now)
	for range 50 {
		text, err := store.Give(grant{User: "alice", Session: "s", Role: RoleOwner})
		if err != nil {
			t.Fatal(err)
		}
		var in atomic.Int32
		var wait sync.WaitGroup
		for range 16 {
			wait.Go(func() {
				if _, ok := store.Take(text, "alice", "s"); ok {
					in.Add(1)
				}
			})
		}
		wait.Wait()
		if in.Load() != 1 {
			t.Fatalf("%d got in", in.Load())
		}
	}
}

// TestTicketBounds: one user cannot use the store up, nor can all of them grow
// it without end.
func TestTicketBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTickets(time.Now)
		var mine []string
		for range maxTicketsPerUser + 1 {
			text, err := store.Give(grant{User: "alice", Session: "s"})
			if err != nil {
				t.Fatal(err)
			}
			mine = append(mine, text)
		}
		if _, ok := store.Take(mine[0], "alice", "s"); ok {
			t.Error("the oldest of too many still works")
		}
		if _, ok := store.Take(mine[1], "alice", "s"); !ok {
			t.Error("one within the bound was dropped")
		}
		for range 3 * maxTickets {
			if _, err := store.Give(grant{User: "alice", Session: "s"}); err != nil {
				t.Fatal(err)
			}
		}
		if len(store.held) > maxTicketsPerUser || len(store.line) > 2*maxTickets {
			t.Errorf("%d are held, %d in line", len(store.held), len(store.line))
		}
		full := false
		for i := range 2 * maxTickets {
			if _, err := store.Give(grant{User: fmt.Sprint("user", i), Session: "s"}); err != nil {
				full = true
				break
			}
		}
		if !full || len(store.held) > maxTickets {
			t.Errorf("full: %v with %d tickets", full, len(store.held))
		}
		time.Sleep(ticketLife)
		if _, err := store.Give(grant{User: "bob", Session: "s"}); err != nil || len(store.held) != 1 || len(store.user) != 1 || len(store.line) != 1 {
			t.Errorf("%v: %d tickets of %d users are held when all ended", err, len(store.held), len(store.user))
		}
	})
}
