package owner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// bounds gives everyone the same quota.
func bounds(q Quota) func(*Options) {
	return func(o *Options) { o.Quota = func(identity.Identity) Quota { return q } }
}

// TestQuotaRace: of creates at once, as many succeed as the quota allows, and
// never is there one container more.
func TestQuotaRace(t *testing.T) {
	t.Parallel()
	f := real(t, bounds(Quota{Containers: 10, Memory: 100 << 20, CPUs: 4}))
	f.watch()
	user := f.user("alice")
	t.Cleanup(func() {
		for _, o := range f.index("local").owned(router.Container, user) {
			f.direct("DELETE", "/containers/"+o.ID+"?force=1", "")
		}
	})
	filter := "/containers/json?all=1&" + query(`{"label":["moorgate.owner=`+user+`"]}`)
	count := func() int { return strings.Count(f.direct("GET", filter, "").text, `"Id":`) }
	var made, most atomic.Int64
	for range 3 { // what is removed is there to be taken again
		var all sync.WaitGroup
		var ids sync.Map
		made.Store(0)
		for range 100 {
			all.Go(func() {
				a := f.as(user, "POST", "/containers/create", box(`"HostConfig":{"Memory":10485760,"NanoCpus":400000000}`))
				switch {
				case a.code == 201:
					made.Add(1)
					ids.Store(a.id(), true)
				case a.code != 403 || !strings.Contains(a.message(), "quota: 10 of 10 containers are there, 0 are left") &&
					!strings.Contains(a.message(), "quota: 10MiB are asked for, your containers have 100MiB of 100MiB of memory, 0B are left"):
					t.Errorf("answered %d %s", a.code, a.text)
				}
			})
		}
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for n := 0; n < 20; n++ {
				most.Store(max(most.Load(), int64(count())))
			}
		}()
		all.Wait()
		<-watched
		if n := count(); n != 10 || made.Load() != 10 || most.Load() > 10 {
			t.Fatalf("%d are there, %d were answered, there were %d, want 10", n, made.Load(), most.Load())
		}
		// Twice as many removed and made at once: never above, and ten again.
		ids.Range(func(id, _ any) bool {
			f.expect(f.as(user, "DELETE", "/containers/"+id.(string)+"?force=1", ""), 204)
			return true
		})
	}
}

// counting is an Owner before a fake Engine, that is asked and answered by
// hand.
type counting struct {
	*Owner
	t      *testing.T
	engine *fakeEngines
	now    time.Time
}

func newCounting(t *testing.T, q Quota) *counting {
	c := &counting{t: t, engine: &fakeEngines{answers: map[string]string{
		"/containers/json":                      "[]",
		"/images/" + "busybox:latest" + "/json": `{"Id":"sha256:` + strings.Repeat("1", 64) + `","RepoTags":["busybox:latest"]}`,
	}}, now: time.Unix(1e9, 0)}
	c.Owner = New(Options{
		Engines: c.engine,
		Own:     func(identity.Identity, string, string) bool { return false },
		Quota:   func(identity.Identity) Quota { return q },
		Now:     func() time.Time { return c.now },
	})
	c.index("local").live.Store(true)
	return c
}

var routes = router.Table()

// call makes a call of an action.
func (c *counting) call(action, name, body string) *router.Call {
	c.t.Helper()
	for i := range routes {
		r := &routes[i]
		if r.Action != action {
			continue
		}
		target := strings.NewReplacer("{name...}", name, "{id}", name).Replace(r.Pattern)
		if action == "image.pull" {
			target += "?fromImage=busybox&tag=1"
		}
		var got *router.Call
		mux := router.NewMux(routes, router.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request, call *router.Call) error {
			got = call
			return nil
		}))
		req, err := http.NewRequest(r.Method, target, strings.NewReader(body))
		if err != nil {
			c.t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		mux.ServeHTTP(discard{http.Header{}}, req)
		if got == nil {
			c.t.Fatalf("no call of %s", target)
		}
		got.Engine = "local"
		return got
	}
	c.t.Fatalf("no route %s", action)
	return nil
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

var alice = identity.Identity{User: "alice"}

// reserveFor asks the quota alone.
func (c *counting) ask(ctx context.Context, call *router.Call) error {
	j := c.judging(ctx, alice, call)
	if err := j.reserve(); err != nil {
		j.release()
		return err
	}
	return nil
}

func (c *counting) answer(call *router.Call, code int, body string) {
	resp := &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	c.conclude(call, resp)
}

// has makes the index and the Engine know a container.
func (c *counting) has(id, resources string) {
	c.index("local").put(&object{Kind: router.Container, ID: id, Owner: "alice", known: true})
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.engine.answers["/containers/"+id+"/json"] = fmt.Sprintf(`{"Id":%q,"Config":{"Labels":{"moorgate.owner":"alice","moorgate.image":"i"}},"Image":"i","HostConfig":{%s}}`, id, resources)
	entry := fmt.Sprintf(`{"Id":%q,"ImageID":"i","Labels":{"moorgate.owner":"alice","moorgate.image":"i"}}`, id)
	list := strings.TrimSuffix(c.engine.answers["/containers/json"], "]")
	if list != "[" {
		list += ","
	}
	c.engine.answers["/containers/json"] = list + entry + "]"
}

const create = `{"Image":"busybox","HostConfig":{%s}}`

func TestQuotaWords(t *testing.T) {
	all := Quota{Containers: 3, Memory: 1 << 30, CPUs: 2}
	tests := []struct {
		name, has, action, body string
		quota                   Quota
		want                    string // "" is allowed
	}{
		{"room", `"Memory":1048576,"NanoCpus":1000000000`, "container.create", fmt.Sprintf(create, `"Memory":1072693248,"NanoCpus":1000000000`), all, ""},
		{"memory", `"Memory":1048576,"NanoCpus":1`, "container.create", fmt.Sprintf(create, `"Memory":1073741824,"NanoCpus":1`), all,
			"quota: 1GiB are asked for, your containers have 1MiB of 1GiB of memory, 1023MiB are left: ask for less, or docker rm one"},
		{"cpus", `"Memory":1,"NanoCpus":500000000`, "container.create", fmt.Sprintf(create, `"Memory":1,"NanoCpus":1600000000`), all,
			"quota: 1.6 processors are asked for, your containers have 0.5 of 2, 1.5 are left: ask for fewer, or docker rm one"},
		{"cpus by shares of time", `"Memory":1,"CpuQuota":50000`, "container.create", fmt.Sprintf(create, `"Memory":1,"CpuQuota":320000,"CpuPeriod":200000`), all, "1.6 processors are asked for, your containers have 0.5"},
		{"no memory", "", "container.create", fmt.Sprintf(create, `"NanoCpus":1`), Quota{Memory: 1 << 20}, "write --memory"},
		{"memory 0", "", "container.create", fmt.Sprintf(create, `"Memory":0`), Quota{Memory: 1 << 20}, "write --memory"},
		{"memory below 0", "", "container.create", fmt.Sprintf(create, `"Memory":-1`), Quota{Memory: 1 << 20}, "write --memory"},
		{"no settings", "", "container.create", `{"Image":"busybox"}`, Quota{CPUs: 1}, "write --cpus"},
		{"cpus without bound", "", "container.create", fmt.Sprintf(create, `"CpuQuota":-1`), Quota{CPUs: 1}, "write --cpus"},
		{"only what is bounded", "", "container.create", fmt.Sprintf(create, ``), Quota{Containers: 1}, ""},
		{"no more", ``, "container.create", fmt.Sprintf(create, ``), Quota{Containers: 1}, "quota: 1 of 1 containers are there, 0 are left: docker rm one"},
		{"one without a limit from before", `"NanoCpus":1`, "container.create", fmt.Sprintf(create, `"Memory":1048576`), Quota{Memory: 1 << 30}, "docker update --memory it"},
		{"one without a limit of cpus", `"Memory":1`, "container.create", fmt.Sprintf(create, `"NanoCpus":1`), Quota{CPUs: 3}, "docker update --cpus it"},
		{"raised", `"Memory":536870912,"NanoCpus":1`, "container.update", `{"Memory":1073741824}`, all, ""},
		{"raised too far", `"Memory":536870912,"NanoCpus":1`, "container.update", `{"Memory":1073741825}`, all, "quota: 512MiB are asked for, your containers have 512MiB of 1GiB of memory, 512MiB are left"},
		{"left as it is", `"Memory":536870912,"NanoCpus":1`, "container.update", `{"CpuShares":5}`, all, ""},
		{"lowered", `"Memory":1073741824,"NanoCpus":1`, "container.update", `{"Memory":1048576}`, all, ""},
		{"bounded at last", ``, "container.update", `{"Memory":1048576,"NanoCpus":100}`, all, ""},
		{"unbounded again", `"Memory":1,"CpuQuota":5000`, "container.update", `{"CpuQuota":-1}`, all, "lifts the limit"},
		{"cpus raised by the period", `"Memory":1,"CpuQuota":100000`, "container.update", `{"CpuPeriod":10000}`, all, "9 processors are asked for"},
		{"cpus raised too far", `"Memory":1,"NanoCpus":1000000000`, "container.update", `{"NanoCpus":2100000000}`, all, "1.1 processors are asked for"},
		{"a service", ``, "service.create", `{"Name":"x"}`, all, "made by the swarm"},
		{"a service without bounds", ``, "service.create", `{"Name":"x"}`, Quota{PullsPerHour: 1}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCounting(t, test.quota)
			if test.has != "" || test.action != "container.create" || test.name == "no more" {
				c.has("first", test.has)
			}
			err := c.ask(t.Context(), c.call(test.action, "first", test.body))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			var no *refusal
			if err != nil && !errors.As(err, &no) {
				t.Errorf("%v is no refusal", err)
			}
		})
	}
}

// What a call holds is given back if it fails, kept if it succeeds, and kept for
// a while if nobody knows.
func TestQuotaHolds(t *testing.T) {
	c := newCounting(t, Quota{Containers: 1})
	try := func(ctx context.Context) (*router.Call, error) {
		call := c.call("container.create", "", fmt.Sprintf(create, ``))
		return call, c.ask(ctx, call)
	}
	allowed := func(ctx context.Context) *router.Call {
		t.Helper()
		call, err := try(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return call
	}
	refused := func() {
		t.Helper()
		if _, err := try(t.Context()); err == nil {
			t.Fatal("there is room for two")
		}
	}
	first := allowed(t.Context())
	refused()
	c.answer(first, 409, `{"message":"in use"}`)
	second := allowed(t.Context())
	c.answer(second, 201, `{"Id":"made"}`)
	// Neither the index nor the Engine's list knew of it when they were asked.
	c.engine.answers["/containers/json"] = "[]"
	if _, err := try(t.Context()); err != nil {
		t.Fatalf("what the Engine does not list after it was made is counted: %v", err)
	}
	c = newCounting(t, Quota{Containers: 1})
	c.answer(allowed(t.Context()), 201, `{"Id":"made"}`)
	c.has("made", "")
	refused()
	c.index("local").bury(router.Container, "made")
	c.engine.answers["/containers/json"] = "[]"
	gone, cancel := context.WithCancel(t.Context())
	allowed(gone)
	cancel()
	waitFor(t, func() bool {
		c.memory.used.mu.Lock()
		defer c.memory.used.mu.Unlock()
		return len(c.memory.used.calls) == 0
	})
	refused()
	c.now = c.now.Add(lost / 2)
	refused()
	c.now = c.now.Add(lost)
	call := allowed(t.Context())
	c.judging(t.Context(), alice, call).release()
	c.answer(allowed(t.Context()), 500, "")
	if n := len(c.memory.used.calls); n != 0 {
		t.Errorf("%d calls are left", n)
	}
	if n := len(c.memory.used.account("alice").pending); n != 0 {
		t.Errorf("%d reservations are left", n)
	}
}

// After an update the container is asked for again, whoever else is at it.
func TestQuotaAfterUpdates(t *testing.T) {
	c := newCounting(t, Quota{Memory: 100})
	c.has("box", `"Memory":10`)
	update := c.call("container.update", "box", `{"Memory":60}`)
	if err := c.ask(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	create := func(memory int) (*router.Call, error) {
		call := c.call("container.create", "", fmt.Sprintf(create, fmt.Sprintf(`"Memory":%d`, memory)))
		return call, c.ask(t.Context(), call)
	}
	if _, err := create(50); err == nil {
		t.Error("an update that is under way is not counted")
	}
	c.answer(update, 200, `{"Warnings":[]}`)
	c.engine.answers["/containers/box/json"] = strings.Replace(c.engine.answers["/containers/box/json"], `"Memory":10`, `"Memory":60`, 1)
	small, err := create(30)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create(20); err == nil || !strings.Contains(err.Error(), "have 90B of 100B of memory, 10B are left") {
		t.Errorf("beside a create that is under way: %v", err)
	}
	c.answer(small, 400, "")
	failed := c.call("container.update", "box", `{"Memory":100}`)
	if err := c.ask(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	c.answer(failed, 500, "")
	if _, err := create(40); err != nil {
		t.Errorf("an update that failed is counted: %v", err)
	}
}

// A container that the index still knows of but that is gone is not counted,
// and one that only an event told of is.
func TestQuotaAsksBeforeItRefuses(t *testing.T) {
	c := newCounting(t, Quota{Containers: 1, Memory: 10})
	c.has("old", `"Memory":10`)
	c.engine.answers["/containers/json"] = "[]"
	if err := c.ask(t.Context(), c.call("container.create", "", fmt.Sprintf(create, `"Memory":1`))); err != nil {
		t.Errorf("what is gone is counted: %v", err)
	}
	c = newCounting(t, Quota{Containers: 1})
	c.has("new", "")
	c.index("local").drop(router.Container, "new")
	c.index("local").put(&object{Kind: router.Container, ID: "new"})
	if err := c.ask(t.Context(), c.call("container.create", "", fmt.Sprintf(create, ``))); err == nil {
		t.Error("what an event told of is not counted")
	}
	c = newCounting(t, Quota{Containers: 1})
	c.has("new", "")
	c.index("local").drop(router.Container, "new")
	c.index("local").live.Store(false)
	if err := c.ask(t.Context(), c.call("container.create", "", fmt.Sprintf(create, ``))); err == nil {
		t.Error("without the index, what is there is not counted")
	}
}

func TestQuotaOfPulls(t *testing.T) {
	c := newCounting(t, Quota{PullsPerHour: 2})
	pull := func() (*router.Call, error) {
		call := c.call("image.pull", "", "")
		return call, c.ask(t.Context(), call)
	}
	for range 2 {
		if _, err := pull(); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(10 * time.Minute)
	}
	_, err := pull()
	var e *router.Error
	if !errors.As(err, &e) || e.Status != 429 || e.RetryAfter != 40*time.Minute || !strings.Contains(e.Message, "2 of 2 pulls an hour are used, 0 are left: wait 40m0s") {
		t.Fatalf("%v", err)
	}
	c.now = c.now.Add(40 * time.Minute)
	call, err := pull()
	if err != nil {
		t.Fatalf("after an hour: %v", err)
	}
	c.answer(call, 404, `{"message":"no such image"}`)
	if _, err := pull(); err != nil {
		t.Errorf("a pull that failed at once is counted: %v", err)
	}
	if _, err := pull(); err == nil {
		t.Error("three in an hour")
	}
}

func TestRequestsPerSecond(t *testing.T) {
	c := newCounting(t, Quota{RequestsPerSecond: 5})
	ask := func(user string) error {
		call := c.call("container.list", "", "")
		_, err := c.Authorize(t.Context(), identity.Identity{User: user}, call)
		return err
	}
	for n := range 5 {
		if err := ask("alice"); err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
	}
	var e *router.Error
	if err := ask("alice"); !errors.As(err, &e) || e.Status != 429 || e.RetryAfter != 200*time.Millisecond || !strings.Contains(e.Message, "5 requests a second") {
		t.Fatalf("%v", err)
	}
	if err := ask("bob"); err != nil {
		t.Errorf("alice's requests are bob's: %v", err)
	}
	c.now = c.now.Add(200 * time.Millisecond)
	if err := ask("alice"); err != nil {
		t.Errorf("after a fifth of a second: %v", err)
	}
	if err := ask("alice"); err == nil {
		t.Error("two in a fifth of a second")
	}
	c.now = c.now.Add(time.Hour)
	for n := range 6 {
		if err := ask("alice"); (err == nil) != (n < 5) {
			t.Errorf("after an hour, request %d: %v", n, err)
		}
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for 10 s")
		}
	}
}
