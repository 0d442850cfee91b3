package owner

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"moorgate/router"
)

// fullID is the id of the n-th container.
func fullID(n int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(n), byte(n >> 8)})) }

// listed is a container as the Engine lists it.
func listed(id, name, owner string) string {
	labels := `{}`
	if owner != "" {
		labels = fmt.Sprintf(`{"moorgate.owner":%q,"moorgate.image":%q}`, owner, imageID)
	}
	return fmt.Sprintf(`{"Id":%q,"Names":["/other/%s","/%s"],"Image":"busybox","ImageID":%q,"Labels":%s}`, id, name, name, imageID, labels)
}

// inspected is a container as the Engine inspects it.
func inspected(id, name, owner string) string {
	return fmt.Sprintf(`{"Id":%q,"Name":"/%s","Image":%q,"Config":{"Image":"busybox","Labels":{"moorgate.owner":%q,"moorgate.image":%q}}}`,
		id, name, imageID, owner, imageID)
}

// live runs an Owner until the test ends, once it knows all.
func live(t testing.TB, o *Owner) *index {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if f, ok := o.Engines.(*fake); ok {
			f.cut()
		}
		<-ended
	})
	x := o.index("local")
	waitUntil(t, "the index is live", x.live.Load)
	return x
}

func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.events != nil {
		f.events.CloseWithError(errors.New("cut"))
	}
}

func waitUntil(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 10 s until %s", what)
		}
	}
}

// TestIndexEvents follows events, and asks as little as may be.
func TestIndexEvents(t *testing.T) {
	engine := newFake()
	a, b, c := fullID(1), fullID(2), fullID(3)
	engine.say("/containers/json?all=1", "["+listed(a, "a", "alice")+","+listed(b, "b", "bob")+"]")
	o := newOwner(engine)
	x := live(t, o)
	inspect := func(user, name string) (string, error) {
		call := read(t, "GET", "/containers/"+name+"/json", "")
		_, err := o.judge(t, user, call)
		return call.Name(), err
	}
	asked := len(engine.asked)
	for _, name := range []string{a, a[:12], "a"} {
		if got, err := inspect("alice", name); got != a || err != nil {
			t.Errorf("%s is sent as %s, %v", name, got, err)
		}
	}
	if len(engine.asked) != asked {
		t.Errorf("asked for what is known: %v", engine.asked[asked:])
	}
	if _, err := inspect("bob", a); status(err) != 404 {
		t.Errorf("bob: %v", err)
	}

	// One that is made is asked about once.
	engine.say("/containers/"+c+"/json", inspected(c, "c", "alice"))
	engine.happens(t, "container", "create", c, "c")
	waitUntil(t, "c is heard of", func() bool { return len(x.begins(router.Container, c)) == 1 })
	for range 3 {
		if got, err := inspect("alice", "c"); got != c || err != nil {
			t.Errorf("c is sent as %s, %v", got, err)
		}
	}
	if n := engine.times("/containers/" + c + "/json"); n != 1 {
		t.Errorf("c was asked about %d times", n)
	}

	// A name that moves is asked for, whole ids stay known.
	engine.happens(t, "container", "rename", c, "d")
	waitUntil(t, "c has no name", func() bool { o, _ := x.get(router.Container, c); return o.Name == "" })
	if _, err := inspect("alice", "c"); status(err) != 404 {
		t.Errorf("c: %v", err)
	}
	if got, err := inspect("alice", c); got != c || err != nil {
		t.Errorf("c by its id: %s, %v", got, err)
	}
	engine.happens(t, "container", "destroy", c, "d")
	waitUntil(t, "c is gone", func() bool { _, ok := x.get(router.Container, c); return !ok })
	if o, ok := x.gone(router.Container, c); !ok || o.Owner != "alice" {
		t.Error("nobody remembers whose c was")
	}
}

// TestIndexGap cuts the stream: until it is there again, names are asked for,
// and what happened in between is learnt.
func TestIndexGap(t *testing.T) {
	engine := newFake()
	a, b := fullID(1), fullID(2)
	engine.say("/containers/json?all=1", "["+listed(a, "web", "alice")+"]")
	o := newOwner(engine)
	x := live(t, o)
	// While the stream is down web is removed, and another is made of its name.
	engine.say("/containers/json?all=1", "["+listed(b, "web", "alice")+"]")
	engine.say("/containers/web/json", inspected(b, "web", "alice"))
	engine.say("/info", `{}`) // it does not come up again yet
	engine.cut()
	waitUntil(t, "the index is not live", func() bool { return !x.live.Load() })
	for _, name := range []string{"web", b[:20]} {
		call := read(t, "GET", "/containers/"+name+"/json", "")
		engine.say("/containers/"+b[:20]+"/json", inspected(b, "web", "alice"))
		if _, err := o.judge(t, "alice", call); err != nil || call.Name() != b {
			t.Errorf("%s is sent as %s, %v", name, call.Name(), err)
		}
	}
	engine.say("/info", `{"SystemTime":"2026-11-21T12:00:00Z"}`)
	waitUntil(t, "the index is live again", x.live.Load)
	if _, ok := x.get(router.Container, a); ok {
		t.Error("what went meanwhile is still there")
	}
	call := read(t, "GET", "/containers/web/json", "")
	if _, err := o.judge(t, "alice", call); err != nil || call.Name() != b {
		t.Errorf("web is sent as %s, %v", call.Name(), err)
	}
	engine.unsay("/containers/web/json")
	engine.unsay("/containers/" + b[:20] + "/json")
	since := ""
	for _, path := range engine.asked {
		if strings.HasPrefix(path, "/info") {
			since = path
		}
	}
	if since == "" {
		t.Error("the Engine's own clock was never asked for")
	}
}

// TestIndexDown: an Engine that does not answer decides nothing.
func TestIndexDown(t *testing.T) {
	o := newOwner(down{})
	for _, target := range []string{"/containers/x/json", "/networks/x", "/volumes/x", "/images/x/json"} {
		d, err := o.judge(t, "alice", read(t, "GET", target, ""))
		if d.Allow || err == nil || status(err) == 404 {
			t.Errorf("%s: %+v, %v", target, d, err)
		}
	}
	d, err := o.judge(t, "alice", read(t, "GET", "/exec/x/json", ""))
	if d.Allow || status(err) != 404 {
		t.Errorf("an exec: %+v, %v", d, err)
	}
}

// down is an Engine that is away.
type down struct{ Engines }

func (down) Get(context.Context, string, string) ([]byte, error) {
	return nil, &router.Error{Status: 502, Message: "away"}
}

// TestSwarm finds the owner of what a swarm makes: a task is its service's, a
// container is its task's if the task says so, too.
func TestSwarm(t *testing.T) {
	engine := newFake()
	a, b := fullID(1), fullID(2)
	task := func(id, container string) {
		engine.say("/tasks/"+id, fmt.Sprintf(`{"ID":%q,"ServiceID":"s1","Status":{"ContainerStatus":{"ContainerID":%q}}}`, id, container))
	}
	engine.say("/services/s1", `{"ID":"s1","Spec":{"Name":"web","Labels":{"moorgate.owner":"alice"}}}`)
	engine.say("/services/web", engine.says["/services/s1"])
	task("t1", a)
	container := func(id, task string) {
		engine.say("/containers/"+id+"/json", fmt.Sprintf(`{"Id":%q,"Name":"/x","Image":%q,"Config":{"Labels":{%q:%q}}}`, id, imageID, swarmTask, task))
	}
	container(a, "t1")
	container(b, "t1") // claims a task that runs elsewhere
	o := newOwner(engine)
	for _, test := range []struct {
		user, target string
		ok           bool
	}{
		{"alice", "/services/web", true},
		{"bob", "/services/web", false},
		{"alice", "/tasks/t1", true},
		{"bob", "/tasks/t1", false},
		{"alice", "/containers/" + a + "/json", true},
		{"bob", "/containers/" + a + "/json", false},
		{"alice", "/containers/" + b + "/json", false},
	} {
		d, err := o.judge(t, test.user, read(t, "GET", test.target, ""))
		if d.Allow != test.ok || !test.ok && status(err) != 404 {
			t.Errorf("%s %s: %+v, %v", test.user, test.target, d, err)
		}
	}
	// A service's secrets must be one's own, by both of their names.
	engine.say("/secrets/k1", `{"ID":"k1","Spec":{"Name":"key","Labels":{"moorgate.owner":"bob"}}}`)
	engine.say("/secrets/m1", `{"ID":"m1","Spec":{"Name":"mine","Labels":{"moorgate.owner":"alice"}}}`)
	engine.say("/secrets/mine", engine.says["/secrets/m1"])
	spec := func(id, name string) string {
		return fmt.Sprintf(`{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"busybox","Secrets":[{"SecretID":%q,"SecretName":%q}]}}}`, id, name)
	}
	if d, err := o.judge(t, "alice", read(t, "POST", "/services/create", spec("k1", "mine"))); d.Allow || status(err) != 404 {
		t.Errorf("bob's secret: %+v, %v", d, err)
	}
	call := read(t, "POST", "/services/create", spec("mine", "mine"))
	if d, err := o.judge(t, "alice", call); !d.Allow || err != nil {
		t.Errorf("alice's secret: %+v, %v", d, err)
	}
	if _, body := sent(t, call); !strings.Contains(body, `"SecretID":"m1","SecretName":"mine"`) {
		t.Errorf("sent %s", body)
	}
}

// thousand fills an engine with 1,000 containers of 10 users.
func thousand() *fake {
	engine := newFake()
	var all []string
	for n := range 1000 {
		all = append(all, listed(fullID(n), fmt.Sprintf("user%d-container-%d", n%10, n), fmt.Sprintf("user%d", n%10)))
	}
	engine.say("/containers/json?all=1", "["+strings.Join(all, ",")+"]")
	return engine
}

// BenchmarkAuthorize judges calls of one of 10 users who have 1,000 containers
// together. None may ask the Engine.
func BenchmarkAuthorize(b *testing.B) {
	engine := thousand()
	o := newOwner(engine)
	live(b, o)
	asked := len(engine.asked)
	for _, bench := range []struct{ name, method, target, body string }{
		{"inspect by id", "GET", "/containers/" + fullID(503) + "/json", ""},
		{"inspect by short id", "GET", "/containers/" + fullID(503)[:12] + "/json", ""},
		{"inspect by name", "GET", "/containers/user3-container-503/json", ""},
		{"exec create by id", "POST", "/containers/" + fullID(503) + "/exec", `{"Cmd":["sh"],"AttachStdout":true}`},
		{"list", "GET", "/containers/json?all=1", ""},
	} {
		b.Run(bench.name, func(b *testing.B) {
			call := read(b, bench.method, bench.target, bench.body)
			name, filters := call.Name(), call.Query.Get("filters")
			ctx := context.Background()
			who := userNamed("user3")
			b.ReportAllocs()
			for b.Loop() {
				if name != "" {
					call.SetVar("name", name)
				} else {
					call.Query.Set("filters", filters)
				}
				if d, err := o.Authorize(ctx, who, call); !d.Allow || err != nil {
					b.Fatalf("%+v, %v", d, err)
				}
			}
		})
	}
	if len(engine.asked) != asked {
		b.Errorf("the Engine was asked: %v", engine.asked[asked:])
	}
}

// BenchmarkIndexMemory reports what 1,000 containers of 10 users take.
func BenchmarkIndexMemory(b *testing.B) {
	engine := thousand()
	var before, after runtime.MemStats
	var x *index
	for b.Loop() {
		o := newOwner(engine)
		x = o.index("local")
		runtime.GC()
		runtime.ReadMemStats(&before)
		if err := x.read(context.Background()); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc), "B/1000objects")
	runtime.KeepAlive(x)
}
