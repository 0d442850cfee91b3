package owner

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

const cacheVolume = "/volumes/cache"

// mounts has a user make a container with fields of HostConfig, and gives how
// many volumes were made ahead. The call is over when it returns.
func (m *moving) mounts(user, host string) (made int, err error) {
	m.t.Helper()
	before := len(m.posts())
	call := read(m.t, "POST", "/containers/create", `{"Image":"app:1","HostConfig":{`+host+`}}`)
	d, err := m.Authorize(context.Background(), identity.Identity{User: user}, call)
	if err == nil && !d.Allow {
		m.t.Fatalf("%+v", d)
	}
	m.memory.locks.settle(call)
	return len(m.posts()) - before, err
}

func (m *moving) posts() []string {
	m.fake.mu.Lock()
	defer m.fake.mu.Unlock()
	return slices.Clone(m.posted)
}

// expect makes sure that so many volumes are made ahead.
func (m *moving) expect(what, user, host string, want int) {
	m.t.Helper()
	if made, err := m.mounts(user, host); made != want || err != nil {
		m.t.Errorf("%s: %d volumes are made ahead, not %d, %v", what, made, want, err)
	}
}

const (
	bind    = `"Binds":["cache:/x"]`
	mounted = `"Mounts":[{"Type":"volume","Source":"cache","Target":"/x"}]`
)

// TestVolumeRemembered makes a volume ahead where it may not be there.
func TestVolumeRemembered(t *testing.T) {
	m := newMoving(t)
	m.expect("a new one", "alice", bind, 1)
	if v := m.says[cacheVolume]; !strings.Contains(v, `"moorgate.owner":"alice"`) {
		t.Fatalf("it is not alice's: %s", v)
	}
	for _, host := range []string{bind, mounted, `"Binds":["cache:/x:ro","cache:/y"]`} {
		m.expect("one of a moment ago", "alice", host, 0)
	}
	m.expect("and a new one", "alice", `"Binds":["cache:/x","second:/y"]`, 1)
	m.expect("one of a moment ago", "root", bind, 0) // who may mount all
	if _, err := m.mounts("bob", bind); status(err) != http.StatusConflict {
		t.Errorf("bob mounts alice's: %v", err)
	}
	if n := len(m.memory.locks.held); n > 0 {
		t.Errorf("%d names are held for ever", n)
	}
	m.clock.pass(rememberFor)
	m.expect("after a second", "alice", bind, 1)
	m.x.live.Store(false)
	m.expect("without events", "alice", bind, 1)
}

// TestVolumeDrivers: the Engine compares what is said of drivers with what is
// there, and volumes without names of their own change hands.
func TestVolumeDrivers(t *testing.T) {
	m := newMoving(t)
	id := strings.Repeat("a", 64)
	m.expect("new ones", "alice", `"Binds":["cache:/x","`+id+`:/y"]`, 2)
	for _, host := range []string{
		bind + `,"VolumeDriver":"local"`,
		`"Mounts":[{"Type":"volume","Source":"cache","Target":"/x","VolumeOptions":{"DriverConfig":{"Name":"local"}}}]`,
		`"Mounts":[{"Type":"volume","Source":"cache","Target":"/x","VolumeOptions":{"DriverConfig":{"Options":{"type":"tmpfs"}}}}]`,
		`"Binds":["` + id + `:/y"]`,
		`"Mounts":[{"Type":"volume","Source":"cache","Target":"/x","VolumeOptions":{"DriverConfig":{"Name":"local"}}},{"Type":"tmpfs","Target":"/t"}]`,
	} {
		m.expect(host, "alice", host, 1)
	}
}

// TestVolumeGone: a volume that is removed is made anew, with its label.
func TestVolumeGone(t *testing.T) {
	m := newMoving(t)
	for _, removal := range []struct{ user, method, target string }{
		{"alice", "DELETE", cacheVolume},
		{"root", "DELETE", cacheVolume},
		{"alice", "POST", "/volumes/prune"},
		{"root", "POST", "/volumes/prune"},
	} {
		what := removal.user + " " + removal.method + " " + removal.target
		m.expect(what, "alice", bind, 1)
		m.expect(what, "alice", bind, 0)
		call := read(t, removal.method, removal.target, "")
		if d, err := m.Authorize(context.Background(), identity.Identity{User: removal.user}, call); !d.Allow || err != nil {
			t.Fatalf("%s: %+v, %v", what, d, err)
		}
		if removal.target == "/volumes/prune" && removal.user == "alice" { // root's mounts need not wait for it
			m.expect(what+" is under way", "root", bind, 1)
		}
		// The Engine's event of it may come any time later.
		m.unsay(cacheVolume)
		resp := &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}
		if _, err := m.Review(context.Background(), identity.Identity{User: removal.user}, call, resp); err != nil {
			t.Fatal(err)
		}
	}

	// What is removed beside moorgate is told by an event.
	m.expect("at last", "alice", bind, 1)
	m.expect("at last", "alice", bind, 0)
	m.unsay(cacheVolume)
	m.say(cacheVolume, `{"Name":"cache","Labels":{"moorgate.owner":"bob"},"CreatedAt":"2026-11-21T12:00:09Z"}`)
	count, _ := m.x.volumes.changes.settled()
	m.happens(t, "volume", "destroy", "cache", "")
	m.happens(t, "volume", "create", "cache", "")
	waitUntil(t, "its end is heard of", func() bool { c, _ := m.x.volumes.changes.settled(); return c > count })
	if _, err := m.mounts("alice", bind); status(err) != http.StatusConflict {
		t.Errorf("alice mounts what is bob's now: %v", err)
	}
}

// TestVolumeVanished: what vanished beside moorgate, with the event of it
// stuck, is missed for a moment at most.
func TestVolumeVanished(t *testing.T) {
	m := newMoving(t)
	m.expect("a new one", "alice", bind, 1)
	m.unsay(cacheVolume)
	m.clock.pass(rememberFor)
	m.expect("a moment later", "alice", bind, 1)
	if v := m.says[cacheVolume]; !strings.Contains(v, `"moorgate.owner":"alice"`) {
		t.Errorf("it is not alice's: %s", v)
	}
}

// TestVolumeTakenOver: who learns that a volume is another's by now forgets
// what was known of it.
func TestVolumeTakenOver(t *testing.T) {
	for _, target := range []string{cacheVolume, "/volumes/create"} {
		m := newMoving(t)
		m.expect("a new one", "alice", bind, 1)
		answer := `{"Name":"cache","Labels":{"moorgate.owner":"bob"},"CreatedAt":"2026-11-21T12:00:09Z"}`
		m.say(cacheVolume, answer)
		call := read(t, "GET", cacheVolume, "")
		if target == "/volumes/create" {
			call = read(t, "POST", target, `{"Name":"cache"}`)
		}
		bob := identity.Identity{User: "bob"}
		if d, err := m.Authorize(context.Background(), bob, call); !d.Allow || err != nil {
			t.Fatalf("%s: %+v, %v", target, d, err)
		}
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer))}
		if d, err := m.Review(context.Background(), bob, call, resp); !d.Allow || err != nil {
			t.Fatalf("%s: %+v, %v", target, d, err)
		}
		if _, err := m.mounts("alice", bind); status(err) != http.StatusConflict {
			t.Errorf("%s: alice mounts what is bob's now: %v", target, err)
		}
	}
}

// TestVolumeLate: an answer that was on its way when a volume went is not kept.
func TestVolumeLate(t *testing.T) {
	m := newMoving(t)
	when := m.x.volumes.asking(m.clock.now())
	m.x.happened(&change{Type: "volume", Action: "destroy"})
	m.x.volumes.keep("cache", "alice", when)
	m.say(cacheVolume, `{"Name":"cache","Labels":{"moorgate.owner":"bob"},"CreatedAt":"2026-11-21T12:00:09Z"}`)
	if _, err := m.mounts("alice", bind); status(err) != http.StatusConflict {
		t.Errorf("alice mounts what is bob's now: %v", err)
	}
}

// TestVolumeUnanswered: a call whose caller goes before its answer holds the
// names on for a while, and lets them go then.
func TestVolumeUnanswered(t *testing.T) {
	t.Parallel()
	m := newMoving(t)
	call := read(t, "POST", "/containers/create", `{"Image":"app:1","HostConfig":{`+bind+`}}`)
	ctx, gone := context.WithCancel(context.Background())
	if d, err := m.Authorize(ctx, identity.Identity{User: "alice"}, call); !d.Allow || err != nil {
		t.Fatalf("%+v, %v", d, err)
	}
	gone()
	removes := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		_, err := m.Authorize(ctx, identity.Identity{User: "alice"}, read(t, "DELETE", cacheVolume, ""))
		return err
	}
	if err := removes(4 * patience); status(err) != http.StatusConflict {
		t.Errorf("it is removed at once: %v", err)
	}
	if err := removes(2 * lockGrace); err != nil {
		t.Errorf("it is held for ever: %v", err)
	}
}

// TestVolumesEvents: volumes that the Engine makes for containers come and go
// all the time, and say nothing of those that have names.
func TestVolumesEvents(t *testing.T) {
	m := newMoving(t)
	m.expect("a new one", "alice", bind, 1)
	id := strings.Repeat("b", 64)
	for _, action := range []string{"create", "destroy"} {
		m.happens(t, "volume", action, id, "")
	}
	m.happens(t, "container", "create", fullID(1), "c")
	waitUntil(t, "c is heard of", func() bool { return len(m.x.begins(router.Container, fullID(1))) == 1 })
	m.expect("one of a moment ago", "alice", bind, 0)
	for _, action := range []string{"destroy", "something new"} {
		count, _ := m.x.volumes.changes.settled()
		m.happens(t, "volume", action, "another", "")
		waitUntil(t, fmt.Sprint(action, " is heard of"), func() bool { c, _ := m.x.volumes.changes.settled(); return c > count })
		m.expect(action, "alice", bind, 1)
	}
}
