package owner

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/router"
)

// follow reads the events that a user sees until the test ends.
func (w *world) follow(user, filters string) <-chan string {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", w.server.URL+"/events?"+query(filters), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-User", user)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		w.t.Fatalf("events: %s", resp.Status)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

// until collects events up to one that says all of words.
func until(t *testing.T, lines <-chan string, words ...string) string {
	t.Helper()
	var all []string
	for {
		select {
		case line, more := <-lines:
			if !more {
				t.Fatalf("the events end: %s", all)
			}
			all = append(all, line)
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return strings.Join(all, "\n")
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no event says %q; those that came:\n%s", words, strings.Join(all, "\n"))
		}
	}
}

// busy does one of everything to what has a user's mark, and ends it all.
func (w *world) busy(user, name string) (ids []string) {
	w.t.Helper()
	do := func(method, target, body string) string {
		var a answer
		if user == "" {
			a = w.direct(method, target, body)
		} else {
			a = w.as(user, method, target, body)
		}
		if a.code >= 300 {
			w.t.Errorf("%s: %s %s: %d %s", name, method, target, a.code, a.text)
		}
		return a.id()
	}
	n := do("POST", "/networks/create", `{"Name":"`+w.mark+name+`"}`)
	do("POST", "/volumes/create", `{"Name":"`+w.mark+name+`"}`)
	c := do("POST", "/containers/create?name="+w.mark+name, box(`"HostConfig":{"Binds":["`+w.mark+name+`:/v"]}`))
	do("POST", "/networks/"+n+"/connect", `{"Container":"`+c+`"}`)
	do("POST", "/containers/"+c+"/start", "")
	do("POST", "/containers/"+c+"/rename?name="+w.mark+name+"2", "")
	e := do("POST", "/containers/"+c+"/exec", `{"Cmd":["true"]}`)
	do("POST", "/exec/"+e+"/start", `{"Detach":true}`)
	do("POST", "/containers/"+c+"/kill", "")
	do("DELETE", "/containers/"+c+"?force=1&v=1", "")
	do("DELETE", "/networks/"+n, "")
	do("DELETE", "/volumes/"+w.mark+name, "")
	return []string{c, n, w.mark + name}
}

// TestEvents: what happens to the caller's objects is told, and what happens to
// others' is not, as it happens and afterwards.
func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := time.Now().Unix()
	lines := w.follow(w.alice, `{}`)
	all := w.follow("root", `{}`)
	byLabel := w.follow(w.alice, `{"type":["container"],"label":["moorgate.owner"]}`)
	mine := w.busy(w.alice, "hers")
	others := append(w.busy(w.bob, "bobs"), w.busy("", "nobodys")...)
	end := w.volume(w.alice, "end")
	live := until(t, lines, end, `"create"`)
	hidden := append(others, w.id("bob container"), w.id("bob volume"), w.id("nobody container"), w.id("false container"), w.mark+"bobs", w.mark+"nobodys", w.bob)
	hides := func(name, text string) {
		t.Helper()
		for _, id := range hidden {
			if strings.Contains(text, id) {
				t.Errorf("%s: tells of %s:\n%s", name, id, text)
			}
		}
	}
	hides("live", live)
	seen := actions(t, live, mine)
	for _, action := range []string{
		"container create", "container start", "container rename", "container exec_create", "container exec_start", "container kill", "container die", "container destroy",
		"network create", "network connect", "network disconnect", "network destroy", "volume create", "volume mount", "volume unmount", "volume destroy",
	} {
		if !slices.Contains(seen, action) {
			t.Errorf("no %s among %v", action, seen)
		}
	}
	span := fmt.Sprintf("events?since=%d&until=%d", began, time.Now().Unix())
	for _, version := range []string{"/", "/v1.41/"} {
		past := w.expect(w.as(w.alice, "GET", version+span, ""), 200).text
		hides("past", past)
		seen, kept := actions(t, past, mine), actions(t, w.direct("GET", version+span, "").text, mine) // the Engine keeps few
		for _, action := range kept {
			if !slices.Contains(seen, action) {
				t.Errorf("%s: no %s among %v", version, action, seen)
			}
		}
	}
	until(t, byLabel, mine[0], `"destroy"`)
	text := until(t, all, end, `"create"`) // one who sees all does
	for _, id := range others {
		if !strings.Contains(text, id) {
			t.Errorf("root does not see %s", id)
		}
	}
}

// actions are what events tell of some objects.
func actions(t *testing.T, text string, ids []string) (all []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e happening
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if slices.Contains(ids, e.Actor.ID) {
			action, _, _ := strings.Cut(e.Action, ":")
			all = append(all, e.Type+" "+action)
		}
	}
	return all
}

// TestEventsBegin: the head of the answer does not wait for an event.
func TestEventsBegin(t *testing.T) {
	t.Parallel()
	w := &world{front: real(t)}
	w.watch()
	lines := w.follow(w.user("dora"), `{"type":["container","network","volume"]}`) // images are shared
	select {
	case line := <-lines:
		t.Errorf("told of %s", line)
	case <-time.After(50 * time.Millisecond):
	}
}

// TestEventsOfThePast: what an event itself says makes nobody an owner unless it
// proves it, and a volume's name is believed for as long as the volume lives.
func TestEventsOfThePast(t *testing.T) {
	const image = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	o := New(Options{Engines: &fakeEngines{answers: map[string]string{
		"/volumes/data": `{"Name":"data","CreatedAt":"2026-01-01T10:00:00Z","Labels":{"moorgate.owner":"alice"}}`,
	}}})
	x := o.index("local")
	x.put(&object{Kind: router.Container, ID: "gone", Owner: "alice", known: true})
	x.bury(router.Container, "gone")
	x.put(&object{Kind: router.Container, ID: "mine", Owner: "alice", known: true})
	x.put(&object{Kind: router.Container, ID: "bobs", Owner: "bob", known: true})
	x.put(&object{Kind: router.Network, ID: "net", Name: "net", Owner: "alice", known: true})
	j := &judging{Owner: o, ctx: context.Background(), index: x, own: true, call: &router.Call{Engine: "local"}}
	j.who.User = "alice"
	s := j.sight()
	const noon, ten = 1767268800, 1767261600
	labels := func(owner, of, image string) string {
		return fmt.Sprintf(`{"moorgate.owner":%q,"moorgate.image":%q,"image":%q}`, owner, of, image)
	}
	tests := []struct {
		kind, action, id, attributes string
		at                           int64
		seen                         bool
	}{
		{"container", "die", "mine", `{}`, noon, true},
		{"container", "die", "bobs", labels("alice", image, image), noon, false},
		{"container", "die", "gone", `{}`, noon, true},
		{"container", "die", "other", labels("alice", image, image), noon, true},
		{"container", "die", "other", labels("bob", image, image), noon, false},
		{"container", "die", "other", labels("alice", image, "busybox"), noon, false},
		{"container", "die", "other", labels("alice", "busybox", "busybox"), noon, false},
		{"container", "die", "other", labels("alice", "sha256:01", "sha256:01"), noon, false},
		{"container", "die", "other", labels("alice", "", ""), noon, false},
		{"container", "die", "other", `{"moorgate.owner":"alice"}`, noon, false},
		{"container", "prune", "", `{"reclaimed":"5"}`, noon, false},
		{"network", "connect", "net", `{"name":"net","container":"mine"}`, noon, true},
		{"network", "connect", "net", `{"name":"net","container":"bobs"}`, noon, false},
		{"network", "connect", "b", `{"name":"bridge","container":"mine"}`, noon, true},
		{"network", "connect", "b", `{"name":"bridge","container":"bobs"}`, noon, false},
		{"network", "connect", "b", `{"name":"bobnet","container":"mine"}`, noon, false},
		{"network", "create", "b", `{"name":"bridge"}`, noon, false},
		{"network", "destroy", "b", `{"name":"bobnet"}`, noon, false},
		{"volume", "create", "data", `{}`, noon, true},
		{"volume", "create", "data", `{}`, ten, true},
		{"volume", "destroy", "data", `{}`, ten - 60, false},
		{"volume", "mount", "data", `{"container":"mine"}`, noon, true},
		{"volume", "mount", "data", `{"container":"bobs"}`, noon, false},
		{"volume", "create", "other", `{}`, noon, false},
		{"image", "pull", "busybox:1", `{"name":"busybox"}`, noon, true},
		{"image", "delete", image, `{"name":"` + image + `"}`, noon, false},
		{"service", "update", "s", `{}`, noon, false},
		{"daemon", "reload", "d", `{"name":"host"}`, noon, false},
		{"node", "update", "d", `{}`, noon, false},
		{"plugin", "enable", "d", `{}`, noon, false},
		{"builder", "prune", "", `{}`, noon, false},
		{"later", "begins", "x", labels("alice", image, image), noon, false},
	}
	for _, test := range tests {
		line := fmt.Sprintf(`{"Type":%q,"Action":%q,"Actor":{"ID":%q,"Attributes":%s},"time":%d}`, test.kind, test.action, test.id, test.attributes, test.at)
		seen, err := s.event(value{raw: []byte(line)})
		if err != nil || (seen != nil) != test.seen {
			t.Errorf("%s: seen %v, %v", line, seen != nil, err)
		}
	}
	if _, err := s.event(value{raw: []byte(`[]`)}); err == nil {
		t.Error("what is no event passes")
	}
}
