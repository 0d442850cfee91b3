package owner

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// clock is one that stands until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// moving is an Engine whose image app:1 moves, and an Owner that follows it.
type moving struct {
	*fake
	*Owner
	clock *clock
	t     testing.TB
	x     *index
}

const (
	movingName = "app:1"
	movingPath = "/images/app:1/json"
)

func newMoving(t testing.TB, change ...func(*Options)) *moving {
	m := &moving{fake: newFake(), clock: &clock{at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}, t: t}
	m.points(1)
	m.Owner = newOwner(m.fake, append(change, func(o *Options) { o.Now = m.clock.now })...)
	m.x = live(t, m.Owner)
	return m
}

func numbered(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// points gives the name to the n-th image.
func (m *moving) points(n int) {
	m.say(movingPath, fmt.Sprintf(`{"Id":%q,"RepoTags":[%q]}`, numbered(n), movingName))
}

// means is which image the name means to whoever judges now.
func (m *moving) means() int {
	m.t.Helper()
	image, err := m.Image(context.Background(), "local", movingName)
	if err != nil {
		if status(err) == 404 {
			return 0
		}
		m.t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(image.ID, "sha256:%x", &n); err != nil {
		m.t.Fatal(err)
	}
	return n
}

func (m *moving) want(what string, n int) {
	m.t.Helper()
	if got := m.means(); got != n {
		m.t.Errorf("%s: the name means image %d, not %d", what, got, n)
	}
}

// remembered makes sure that what is asked next need not be asked of the Engine.
func (m *moving) remembered(what string) {
	m.t.Helper()
	m.means()
	before := m.times(movingPath)
	m.means()
	if m.times(movingPath) != before {
		m.t.Errorf("%s: nothing is remembered", what)
	}
}

// under begins a call of a user and gives what ends it.
func (m *moving) under(user string, call *router.Call) (end func()) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m.t.Cleanup(cancel)
	if d, err := m.Authorize(ctx, identity.Identity{User: user}, call); !d.Allow || err != nil {
		m.t.Fatalf("%s: %+v, %v", call.Action, d, err)
	}
	return cancel
}

// TestImageRemembered asks for an image once a second, for all who judge.
func TestImageRemembered(t *testing.T) {
	m := newMoving(t)
	for range 5 {
		m.want("asked again", 1)
		call := read(t, "POST", "/containers/create", `{"Image":"`+movingName+`"}`)
		m.under("alice", call)
		if _, body := sent(t, call); !strings.Contains(body, `"Image":"`+numbered(1)+`"`) {
			t.Errorf("the id is not sent: %s", body)
		}
	}
	if n := m.times(movingPath); n != 1 {
		t.Errorf("the Engine was asked %d times", n)
	}
}

// TestImageAge: events may be late or stuck in a connection that lives.
func TestImageAge(t *testing.T) {
	m := newMoving(t)
	m.want("at first", 1)
	m.points(2)
	m.clock.pass(rememberFor - time.Millisecond)
	m.want("in the last moment", 1)
	m.clock.pass(time.Millisecond)
	m.want("after a second", 2)
	m.points(3)
	m.clock.pass(-time.Hour)
	m.want("when the clock was put back", 3)
}

// TestImageEvents: what happens beside moorgate is told by events.
func TestImageEvents(t *testing.T) {
	m := newMoving(t)
	n := 1
	for _, action := range []string{"tag", "untag", "delete", "pull", "load", "import", "prune", "create", "something new"} {
		m.remembered(action)
		n++
		m.points(n)
		before, _ := m.x.images.changes.settled()
		m.happens(t, "image", action, numbered(n), movingName)
		waitUntil(t, action+" is heard of", func() bool { count, _ := m.x.images.changes.settled(); return count > before })
		m.want(action, n)
	}
	m.remembered("afterwards")
	for _, action := range []string{"tag", "untag", "delete", "pull", "load", "import", "prune", "create"} {
		if !slices.Contains(watched["event"], action) {
			t.Errorf("image events %s are not asked for", action)
		}
	}
	m.happens(t, "container", "create", fullID(1), "c")
	waitUntil(t, "c is heard of", func() bool { return len(m.x.begins(router.Container, fullID(1))) == 1 })
	m.points(99)
	m.want("a container says nothing of images", n)
}

// TestImageCalls: while a call is under way that may change images nothing is
// remembered, nor is it believed afterwards what was there before.
func TestImageCalls(t *testing.T) {
	m := newMoving(t)
	n := 1
	for _, row := range []struct{ method, target, body string }{
		{"POST", "/images/create?fromImage=app&tag=1", ""},
		{"POST", "/images/create?fromSrc=-&repo=app&tag=1", archive},
		{"POST", "/images/load", archive},
		{"POST", "/build?t=app:1", archive},
		{"POST", "/commit?container=c&repo=app&tag=1", ""},
		{"POST", "/images/busybox/tag?repo=app&tag=1", ""},
		{"DELETE", "/images/app:1", ""},
		{"POST", "/images/prune", ""},
		{"POST", "/plugins/pull?remote=app:1", "[]"},
		{"POST", "/services/create", `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"app:1"}}}`},
		{"POST", "/session", ""},
		{"POST", "/swarm/leave", ""},
	} {
		what := row.method + " " + row.target
		m.remembered(what)
		end := m.under("root", read(t, row.method, row.target, row.body))
		for range 2 { // what is asked for meanwhile is not kept
			n++
			m.points(n)
			m.want(what+" is under way", n)
		}
		count, _ := m.x.images.changes.settled()
		end()
		waitUntil(t, "the call is over", func() bool { c, _ := m.x.images.changes.settled(); return c > count })
		n++
		m.points(n)
		m.want(what+" is just over", n)
		m.memory.changed("local", router.Image).end() // the moment is over
	}
	m.remembered("afterwards")
}

// TestImageCallOver: a moment after the last call memory begins anew.
func TestImageCallOver(t *testing.T) {
	m := newMoving(t)
	one := m.under("root", read(t, "POST", "/images/load", archive))
	two := m.under("root", read(t, "POST", "/images/load", archive))
	one()
	time.Sleep(rememberFor + 200*time.Millisecond)
	m.want("two is under way", 1)
	m.points(2)
	m.want("two is under way", 2)
	two()
	waitUntil(t, "both are over", func() bool { _, ok := m.x.images.changes.settled(); return ok })
	m.remembered("afterwards")
}

// TestImageLate: an answer that was on its way when something changed is not
// kept, whatever it was.
func TestImageLate(t *testing.T) {
	var m *moving
	for name, change := range map[string]func(){
		"an event": func() { m.x.happened(&change{Type: "image", Action: "tag"}) },
		"a call":   func() { m.under("root", read(t, "POST", "/images/load", archive)) },
		"a call that is over": func() {
			c := m.memory.changed("local", router.Image)
			c.begin()
			c.end()
		},
		"the end of events": func() { m.x.lose() },
		"the beginning of events, of which some were missed": func() { m.x.live.Store(true) },
		"the end and beginning of events":                    func() { m.x.lose(); m.x.live.Store(true) },
	} {
		m = newMoving(t)
		m.x.live.Store(!strings.HasPrefix(name, "the beginning"))
		var once sync.Once
		m.fake.answered = func(path string) {
			if path == movingPath {
				once.Do(func() { m.points(2); change() })
			}
		}
		m.want(name, 1)
		m.want(name+", asked again", 2)
	}
}

// TestImageGone: what an Engine does not have is asked for each time.
func TestImageGone(t *testing.T) {
	m := newMoving(t)
	m.unsay(movingPath)
	m.want("at first", 0)
	m.points(1)
	m.want("when it is there", 1)
}

// TestImageStream: without events nothing is remembered, and nothing of before
// when they come in again, perhaps of another Engine.
func TestImageStream(t *testing.T) {
	m := newMoving(t)
	m.remembered("at first")
	m.fake.mu.Lock()
	old := m.fake.events
	m.fake.mu.Unlock()
	m.cut()
	waitUntil(t, "the end is noticed", func() bool { return !m.x.live.Load() })
	for n := 2; n < 4; n++ {
		m.points(n)
		m.want("without events", n)
	}
	waitUntil(t, "events come in again", func() bool {
		m.fake.mu.Lock()
		defer m.fake.mu.Unlock()
		return m.fake.events != old && m.x.live.Load()
	})
	m.points(4)
	m.want("with events again", 4)
	m.remembered("with events again")
}

// TestImageUnwatched: an Owner that does not run asks each time.
func TestImageUnwatched(t *testing.T) {
	m := &moving{fake: newFake(), t: t}
	m.Owner = newOwner(m.fake)
	for n := range 3 {
		m.points(n + 1)
		m.want("nobody watches", n+1)
	}
}

// several are Engines of different content.
type several map[string]*fake

func (s several) Get(ctx context.Context, engine, path string) ([]byte, error) {
	return s[engine].Get(ctx, engine, path)
}

func (s several) Stream(ctx context.Context, engine, path string) (io.ReadCloser, error) {
	return s[engine].Stream(ctx, engine, path)
}

func (s several) Post(ctx context.Context, engine, path string, body []byte) ([]byte, error) {
	return s[engine].Post(ctx, engine, path, body)
}

// TestImageEngines: each Engine has its own.
func TestImageEngines(t *testing.T) {
	all := several{"local": newFake(), "other": newFake()}
	for i, name := range []string{"local", "other"} {
		all[name].say(movingPath, fmt.Sprintf(`{"Id":%q,"RepoTags":[%q]}`, numbered(i+1), movingName))
	}
	o := newOwner(all, func(o *Options) { o.Names = []string{"local", "other"} })
	live(t, o)
	t.Cleanup(func() { all["local"].cut(); all["other"].cut() })
	waitUntil(t, "the other is live", o.index("other").live.Load)
	for range 2 {
		for i, name := range []string{"local", "other"} {
			image, err := o.Image(context.Background(), name, movingName)
			if err != nil || image.ID != numbered(i+1) {
				t.Errorf("%s: %+v, %v", name, image, err)
			}
		}
	}
	o.memory.changed("local", router.Image).begin()
	for range 2 {
		for name, times := range map[string]int{"local": 0, "other": 1} {
			_, _ = o.Image(context.Background(), name, movingName)
			if n := all[name].times(movingPath); n == 1 != (times == 1) {
				t.Errorf("%s was asked %d times", name, n)
			}
		}
	}
}

// TestImageReload: a call that began before a reload may change what is
// remembered after it.
func TestImageReload(t *testing.T) {
	m := newMoving(t)
	end := m.under("root", read(t, "POST", "/images/load", archive))
	next := newMoving(t, func(o *Options) { o.Memory = m.memory })
	next.want("under way", 1)
	next.points(2)
	next.want("under way", 2)
	count, _ := next.x.images.changes.settled()
	end()
	waitUntil(t, "it is over", func() bool { c, _ := next.x.images.changes.settled(); return c > count })
	next.points(3)
	next.want("over", 3)
}

// TestImageAdopted: whose an image is, is not remembered beyond its adoption.
func TestImageAdopted(t *testing.T) {
	file := t.TempDir() + "/adopted"
	m := newMoving(t, func(o *Options) { o.Adopted = file })
	look := func() string {
		o, err := m.x.lookup(context.Background(), router.Image, movingName)
		if err != nil {
			t.Fatal(err)
		}
		return o.Owner
	}
	if got := look(); got != "" {
		t.Fatalf("it is %s's", got)
	}
	if err := Adopt(file, Adoption{Engine: "local", Kind: router.Image, ID: numbered(1), User: "alice"}); err != nil {
		t.Fatal(err)
	}
	m.readAdopted()
	if got := look(); got != "alice" {
		t.Errorf("it is %q's, not alice's", got)
	}
}

// TestRecentBounds: nobody can make it grow.
func TestRecentBounds(t *testing.T) {
	m := newMoving(t)
	r := &m.x.images
	for i := range 3 * maxRecent {
		r.keep(fmt.Sprint(i), foundImage{}, r.asking(m.clock.now()))
	}
	if n := len(r.said); n == 0 || n > maxRecent {
		t.Errorf("%d names are remembered", n)
	}
	long := strings.Repeat("x", maxRecentName+1)
	r.keep(long, foundImage{}, r.asking(m.clock.now()))
	if _, ok := r.get(long, m.clock.now()); ok {
		t.Error("so is a long one")
	}
	tags := make([]string, maxRecentNames+1)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"app:%d"`, i)
	}
	m.say(movingPath, fmt.Sprintf(`{"Id":%q,"RepoTags":[%s]}`, numbered(1), strings.Join(tags, ",")))
	m.want("of many names", 1)
	m.points(2)
	m.want("of many names", 2)
}

// leaving are the actions that leave images alone, beside those that only read.
var leaving = []string{
	"checkpoint.create", "checkpoint.remove",
	"config.create", "config.remove", "config.update",
	"container.attach", "container.copy_to", "container.create", "container.exec", "container.kill", "container.pause",
	"container.prune", "container.remove", "container.rename", "container.resize", "container.restart", "container.start",
	"container.stop", "container.unpause", "container.update", "container.wait", "exec.create", "exec.resize", "exec.start",
	"network.connect", "network.create", "network.disconnect", "network.prune", "network.remove",
	"node.remove", "node.update", "secret.create", "secret.remove", "secret.update",
	"volume.create", "volume.prune", "volume.remove", "volume.update",
}

// TestChangesImages tries every row of the table: one that is new changes
// images until somebody says that it does not.
func TestChangesImages(t *testing.T) {
	for _, row := range router.Table() {
		how := owned[row.Method+" "+row.Pattern]
		target := variable.ReplaceAllString(row.Pattern, "x")
		if row.Pattern == "/{anyroute...}" {
			continue
		}
		query := how.query
		if row.Action == "container.commit" {
			query += "&repo=x"
		}
		c := read(t, row.Method, target+"?"+query, how.body)
		reads := row.Method == "GET" || row.Method == "HEAD"
		if want := !reads && !slices.Contains(leaving, c.Action); changesImages(c) != want {
			t.Errorf("%s %s, %s: may change images: %v, want %v", row.Method, row.Pattern, c.Action, !want, want)
		}
	}
}
