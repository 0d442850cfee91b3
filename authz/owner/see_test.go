package owner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"moorgate/authz/identity"
	"moorgate/router"
)

// world is a front with objects of alice's, of bob's, and of nobody's, one of
// each kind; the names say whose they are.
type world struct {
	*front
	alice, bob string            // users whom no other test knows
	ids        map[string]string // "alice container" and so on
}

// user is one whom no other test knows.
func (f *front) user(name string) string { return name + "." + strings.TrimSuffix(f.mark, "-") }

func (w *world) id(of string) string { return w.ids[of] }

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	f := real(t, change...)
	f.watch()
	w := &world{front: f, ids: map[string]string{}, alice: f.user("alice"), bob: f.user("bob")}
	for name, user := range map[string]string{"alice": w.alice, "bob": w.bob} {
		w.ids[name+" network"] = f.network(user, name+"-net")
		w.ids[name+" volume"] = f.volume(user, name+"-vol")
		w.ids[name+" container"] = f.container(user, name+"-box",
			`"Volumes":{"/data":{}},"Labels":{"tier":"x"},"HostConfig":{"Binds":["`+f.mark+name+`-vol:/v"]}`)
		f.expect(f.as(user, "POST", "/containers/"+w.ids[name+" container"]+"/start", ""), 204)
		w.ids[name+" anonymous"] = w.anonymous(w.ids[name+" container"])
	}
	w.ids["nobody container"] = w.unowned("/containers/create?name="+f.mark+"nobody-box", box(`"Labels":{"tier":"x"}`), "/containers/%s?force=1")
	// What its image could say, or anybody who is not kept by moorgate.
	w.ids["false container"] = w.unowned("/containers/create?name="+f.mark+"false-box",
		box(`"Labels":{"moorgate.owner":"`+w.alice+`","moorgate.image":"sha256:`+strings.Repeat("0", 64)+`"}`), "/containers/%s?force=1")
	w.ids["nobody network"] = w.unowned("/networks/create", `{"Name":"`+f.mark+`nobody-net"}`, "/networks/%s")
	w.unowned("/volumes/create", `{"Name":"`+f.mark+`nobody-vol"}`, "/volumes/"+f.mark+"nobody-vol?force=1%.0s")
	w.ids["nobody volume"] = f.mark + "nobody-vol"
	return w
}

// unowned makes what moorgate does not know of.
func (w *world) unowned(target, body, remove string) string {
	w.t.Helper()
	a := w.expect(w.direct("POST", "/v1.41"+target, body), 201)
	w.t.Cleanup(func() { w.direct("DELETE", fmt.Sprintf(remove, a.id()), "") })
	return a.id()
}

// anonymous is the volume without a name of a container.
func (w *world) anonymous(container string) string {
	w.t.Helper()
	var c struct{ Mounts []struct{ Name string } }
	w.decode(w.direct("GET", "/containers/"+container+"/json", ""), &c)
	for _, m := range c.Mounts {
		if unnamed(m.Name) {
			return m.Name
		}
	}
	w.t.Fatalf("container %s has no volume without a name", container)
	return ""
}

func (w *world) decode(a answer, to any) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(a.text), to); a.code != 200 || err != nil {
		w.t.Fatalf("answered %d %.2000s (%v)", a.code, a.text, err)
	}
}

// shows holds an answer to what is to be in it and what is not; both are names
// of objects in ids.
func (w *world) shows(a answer, shown, hidden []string) {
	w.t.Helper()
	if a.code != 200 {
		w.t.Errorf("answered %d %s", a.code, a.text)
		return
	}
	for _, of := range shown {
		if !strings.Contains(a.text, w.id(of)) {
			w.t.Errorf("does not show %s (%s): %.3000s", of, w.id(of), a.text)
		}
	}
	for _, of := range hidden {
		if strings.Contains(a.text, w.id(of)) {
			w.t.Errorf("shows %s (%s): %.3000s", of, w.id(of), a.text)
		}
	}
	if !json.Valid([]byte(a.text)) {
		w.t.Errorf("is no JSON: %.1000s", a.text)
	}
	for _, user := range []string{"bob", "nobody", "false"} {
		if len(hidden) > 0 && strings.Contains(a.text, w.mark+user) {
			w.t.Errorf("tells of %s%s: %.3000s", w.mark, user, a.text)
		}
	}
}

// disk asks again while the Engine says that it cannot look at its disk: it lets
// only one do so, and stumbles over what goes meanwhile.
func (f *front) disk(user, target string) answer {
	f.t.Helper()
	for tries := 0; ; tries++ {
		a := f.as(user, "GET", target, "")
		if !strings.Contains(target, "/system/df") || a.code < 500 && a.code != 409 || tries == 40 {
			return a
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func query(filters string) string { return url.Values{"filters": {filters}}.Encode() }

// TestLists holds every list of objects to what is the caller's.
func TestLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kinds := []string{"container", "network", "volume", "anonymous"}
	others := []string{"false container"}
	for _, kind := range kinds {
		others = append(others, "bob "+kind)
		if kind != "anonymous" {
			others = append(others, "nobody "+kind)
		}
	}
	none := []string{}
	tests := []struct {
		target string
		shown  []string
	}{
		{"/containers/json?all=1", []string{"alice container", "alice anonymous"}},
		{"/containers/json", []string{"alice container"}},
		{"/containers/json?all=1&size=1", []string{"alice container"}},
		{"/containers/json?limit=1", []string{"alice container"}},
		{"/containers/json?all=1&" + query(`{"label":["tier=x"]}`), []string{"alice container"}},
		{"/containers/json?all=1&" + query(`{"label":{"tier=x":false}}`), []string{"alice container"}},
		{"/containers/json?all=1&" + query(`{"label":["tier=y"]}`), none},
		{"/containers/json?all=1&" + query(`{"label":["moorgate.owner=`+w.bob+`"]}`), none},
		{"/containers/json?all=1&" + query(`{"label":["moorgate.owner"]}`), []string{"alice container"}},
		{"/containers/json?all=1&" + query(`{"label":["moorgate.owner=`+w.alice+`"]}`), []string{"alice container"}},
		{"/containers/json?all=1&" + query(`{"id":["`+w.id("bob container")+`"]}`), none},
		{"/containers/json?all=1&" + query(`{"name":["`+w.mark+`"]}`), []string{"alice container"}},
		{"/containers/json?all=1&" + query(`{"network":["bridge"]}`), []string{"alice container"}},
		{"/containers/json?all=1&" + query(`{"ancestor":["`+busybox+`"],"status":["running","created"]}`), []string{"alice container"}},
		{"/volumes", []string{"alice volume", "alice anonymous"}},
		{"/volumes?" + query(`{"dangling":["false"]}`), []string{"alice volume", "alice anonymous"}},
		{"/volumes?" + query(`{"name":["`+w.mark+`"]}`), []string{"alice volume"}},
		{"/volumes?" + query(`{"label":["moorgate.owner=`+w.bob+`"]}`), none},
		{"/networks", []string{"alice network"}},
		{"/networks/", []string{"alice network"}},
		{"/networks?" + query(`{"driver":["bridge"]}`), []string{"alice network"}},
		{"/networks?" + query(`{"label":["moorgate.owner=`+w.bob+`"]}`), none},
		{"/networks/bridge", []string{"alice container"}},
		{"/networks/bridge?verbose=1", []string{"alice container"}},
		{"/networks/host", none},
		{"/networks/" + w.id("alice network"), []string{"alice network"}},
		{"/system/df", []string{"alice container", "alice volume"}},
		{"/system/df?type=container", []string{"alice container"}},
		{"/system/df?type=volume", []string{"alice volume"}},
		{"/system/df?type=image&type=build-cache", none},
		{"/system/df?verbose=1", []string{"alice container", "alice volume"}},
		{"/images/json?all=1&shared-size=1", none},
		{"/images/json?manifests=1", none},
		{"/images/" + busybox + "/json", none},
		{"/images/" + busybox + "/json?manifests=1", none},
		{"/images/" + busybox + "/history", none},
		{"/info", none},
	}
	for _, version := range []string{"", "/v1.41", "/v1.44"} {
		if version == "/v1.44" && w.direct("GET", "/v1.44/_ping", "").code != 200 {
			continue
		}
		for _, test := range tests {
			t.Run(strings.ReplaceAll(version+test.target, "/", "_"), func(t *testing.T) {
				w := *w
				inner := *w.front
				inner.t = t
				w.front = &inner
				w.shows(w.disk(w.alice, version+test.target), test.shown, others)
			})
		}
	}
	// Whoever sees all does.
	all := w.expect(w.as("root", "GET", "/containers/json?all=1", ""), 200)
	w.shows(all, append([]string{"alice container"}, "bob container", "nobody container", "false container"), nil)
}

// TestCounts holds what the Engine counts to what the caller has.
func TestCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(w.alice, "idle", "")
	var info struct{ Containers, ContainersRunning, ContainersPaused, ContainersStopped, Images, NEventsListener int }
	w.decode(w.as(w.alice, "GET", "/info", ""), &info)
	if info.Containers != 2 || info.ContainersRunning != 1 || info.ContainersPaused != 0 || info.ContainersStopped != 1 || info.NEventsListener != 0 {
		t.Errorf("info: %+v", info)
	}
	w.decode(w.as(w.user("carol"), "GET", "/info", ""), &info)
	if info.Containers != 0 || info.ContainersRunning != 0 || info.ContainersStopped != 0 || info.Images == 0 {
		t.Errorf("info of one who has nothing: %+v", info)
	}
	type part struct{ ActiveCount, TotalCount, TotalSize, Reclaimable int64 }
	var df struct {
		LayersSize int64
		Images     []struct{ Containers int64 }
		Containers []struct{}
		BuildCache []struct{}
		Volumes    []struct {
			UsageData struct{ Size, RefCount int64 }
		}
		ImageUsage, ContainerUsage, VolumeUsage *part
		BuildCacheUsage                         *part
	}
	w.decode(w.disk(w.alice, "/system/df"), &df)
	if len(df.Containers) != 2 || len(df.Volumes) != 2 || len(df.BuildCache) != 0 || len(df.Images) == 0 || df.LayersSize == 0 {
		t.Errorf("df: %+v", df)
	}
	for _, image := range df.Images {
		if image.Containers != 0 && image.Containers != 2 {
			t.Errorf("df tells of %d containers of an image", image.Containers)
		}
	}
	if u := df.ContainerUsage; u != nil && (u.ActiveCount != 1 || u.TotalCount != 2) {
		t.Errorf("df: containers %+v", *u)
	}
	if u := df.VolumeUsage; u != nil && (u.ActiveCount != 2 || u.TotalCount != 2) {
		t.Errorf("df: volumes %+v", *u)
	}
	if u := df.BuildCacheUsage; u != nil && *u != (part{}) {
		t.Errorf("df: cache %+v", *u)
	}
	if u := df.ImageUsage; u != nil && (u.TotalCount != int64(len(df.Images)) || u.TotalSize != df.LayersSize || u.ActiveCount == 0) {
		t.Errorf("df: images %+v of %d", *u, len(df.Images))
	}
}

// TestAdoptedLists: what was adopted is listed though it carries no label, and
// a limit counts only what is the caller's.
func TestAdoptedLists(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/adopted"
	f := real(t, func(o *Options) { o.Adopted = file })
	alice := f.user("alice")
	id := f.expect(f.direct("POST", "/containers/create?name="+f.mark+"old", box("")), 201).id()
	t.Cleanup(func() { f.direct("DELETE", "/containers/"+id+"?force=1", "") })
	if err := Adopt(file, Adoption{Engine: "local", Kind: router.Container, ID: id, User: alice}); err != nil {
		t.Fatal(err)
	}
	f.watch()
	mine := f.container(alice, "mine", "")
	for range 3 {
		f.container(f.user("bob"), "", "")
	}
	for target, want := range map[string][]string{
		"/containers/json?all=1":                                     {mine, id},
		"/containers/json?limit=2":                                   {mine, id},
		"/containers/json?limit=1":                                   {mine},
		"/containers/json?all=1&" + query(`{"name":["`+f.mark+`"]}`): {mine, id},
		"/containers/json":                                           {},
	} {
		var list []struct{ ID string }
		if err := json.Unmarshal([]byte(f.expect(f.as(alice, "GET", target, ""), 200).text), &list); err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, c := range list {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
}

// TestImageNames: an image is seen under the names that the policy allows, and
// not at all if that is none.
func TestImageNames(t *testing.T) {
	t.Parallel()
	secret := ""
	f := real(t, func(o *Options) {
		o.MayUse = func(_ context.Context, who identity.Identity, _ string, names []string, _ string) (bool, error) {
			return !strings.Contains(names[0], secret) || who.User == "bob", nil
		}
	})
	secret = f.mark + "secret"
	f.watch()
	for _, name := range []string{secret, f.mark + "open"} {
		f.expect(f.direct("POST", "/images/"+busybox+"/tag?repo="+name+"&tag=1", ""), 201)
		t.Cleanup(func() { f.direct("DELETE", "/images/"+name+":1", "") })
	}
	hidden := f.expect(f.direct("POST", "/commit?container="+f.container("root", "src", "")+"&repo="+secret+"&tag=2", "{}"), 201).id()
	t.Cleanup(func() { f.direct("DELETE", "/images/"+hidden+"?force=1", "") })
	for _, target := range []string{"/images/json?all=1", "/images/json?digests=1&manifests=1", "/system/df", "/system/df?verbose=1", "/images/" + busybox + "/json", "/images/" + busybox + "/history"} {
		for user, sees := range map[string]bool{"alice": false, "bob": true, "root": true} {
			a := f.expect(f.disk(user, target), 200)
			if strings.Contains(a.text, secret) != sees || !strings.Contains(target, busybox) && strings.Contains(a.text, hidden) != sees {
				t.Errorf("%s: %s sees the secret: %v", target, user, !sees)
			}
			if !strings.Contains(a.text, f.mark+"open") {
				t.Errorf("%s: %s does not see what is open: %.2000s", target, user, a.text)
			}
		}
	}
}

// TestPrune: prune takes what is the caller's and nothing else.
func TestPrune(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	there := func(of, path string) bool {
		return w.direct("GET", path+w.id(of), "").code == 200
	}
	idle := w.container(w.alice, "idle", "")
	w.ids["bob idle"] = w.container(w.bob, "idle2", "")
	w.ids["alice idle"] = idle
	w.volume(w.alice, "dangling")
	w.ids["alice dangling"] = w.mark + "dangling"
	w.ids["bob dangling"] = w.volume(w.bob, "dangling2")
	w.expect(w.as(w.alice, "POST", "/containers/prune", ""), 200)
	w.expect(w.as(w.alice, "POST", "/networks/prune", ""), 200)
	if w.direct("GET", "/v1.42/_ping", "").code == 200 {
		w.expect(w.as(w.alice, "POST", "/v1.42/volumes/prune", ""), 200)
		if !there("alice dangling", "/volumes/") {
			t.Error("volume prune takes what has a name, without all")
		}
		w.expect(w.as(w.alice, "POST", "/v1.42/volumes/prune?"+query(`{"all":["true"]}`), ""), 200)
	} else {
		w.expect(w.as(w.alice, "POST", "/volumes/prune", ""), 200)
	}
	w.expect(w.as(w.alice, "POST", "/images/prune", ""), 200)
	w.expect(w.as(w.alice, "POST", "/images/prune?"+query(`{"dangling":["true"]}`), ""), 200)
	for _, of := range []string{`{"dangling":["false"]}`, `{"dangling":{"0":true}}`} {
		if a := w.as(w.alice, "POST", "/images/prune?"+query(of), ""); a.code != 403 || !strings.Contains(a.message(), "leave --all out") {
			t.Errorf("image prune of %s: %d %s", of, a.code, a.text)
		}
	}
	a := w.expect(w.as(w.alice, "POST", "/build/prune?all=1", ""), 200)
	if strings.Contains(a.text, `"SpaceReclaimed":`) && !strings.Contains(a.text, `"SpaceReclaimed":0`) {
		t.Errorf("build prune takes the cache: %s", a.text)
	}
	for of, kept := range map[string]bool{"alice idle": false, "bob idle": true, "alice container": true, "bob container": true, "nobody container": true, "false container": true} {
		if there(of, "/containers/") != kept && w.direct("GET", "/containers/"+w.id(of)+"/json", "").code == 200 != kept {
			t.Errorf("after prune %s is there: %v", of, !kept)
		}
	}
	for of, kept := range map[string]bool{"alice network": false, "bob network": true, "nobody network": true} {
		if there(of, "/networks/") != kept {
			t.Errorf("after prune %s is there: %v", of, !kept)
		}
	}
	for of, kept := range map[string]bool{"alice dangling": false, "bob dangling": true, "alice volume": true, "nobody volume": true, "bob anonymous": true} {
		if there(of, "/volumes/") != kept {
			t.Errorf("after prune %s is there: %v", of, !kept)
		}
	}
}

// TestPrunePretenders: the Engine cannot tell two who pretend from the
// caller's own, so nothing is pruned.
func TestPrunePretenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.unowned("/containers/create", box(`"Labels":{"moorgate.owner":"`+w.alice+`","moorgate.image":"x"}`), "/containers/%s?force=1")
	idle := w.container(w.alice, "idle", "")
	a := w.as(w.alice, "POST", "/containers/prune", "")
	if a.code != 403 || !strings.Contains(a.message(), "without being yours") {
		t.Errorf("prune: %d %s", a.code, a.text)
	}
	for _, id := range []string{second, idle, w.id("false container")} {
		if w.direct("GET", "/containers/"+id+"/json", "").code != 200 {
			t.Errorf("%s is gone", id)
		}
	}
	if strings.Contains(a.text, second) {
		t.Errorf("tells of another's: %s", a.text)
	}
}

// TestAnswersThatCannotBeCut: an answer that is no JSON is refused, whatever
// its status line says.
func TestAnswersThatCannotBeCut(t *testing.T) {
	for kind, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "text/plain": 502, "": 502, "application/xml": 502,
	} {
		h := http.Header{}
		h.Set("Content-Type", kind)
		err := readable(&http.Response{Header: h})
		if (err == nil) != (want == 200) || err != nil && status(err) != want {
			t.Errorf("%q: %v", kind, err)
		}
	}
	h := http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
	if err := readable(&http.Response{Header: h}); err == nil {
		t.Error("what is compressed passes")
	}
}

// TestEveryListIsCut: a route that lists objects and is not in the table of
// what is seen must be one of those that are nobody's own.
func TestEveryListIsCut(t *testing.T) {
	j := &judging{Owner: New(Options{}), index: newIndex("local", nil, nil)}
	// Of plugins and nodes nobody owns any: roles say who may list them.
	// Checkpoints are of one container, which was found to be the caller's.
	open := []string{"node.list", "plugin.list", "checkpoint.list"}
	seen := 0
	for _, row := range router.Table() {
		if row.Reply != router.List {
			continue
		}
		seen++
		cut := j.sight().of(row.Action) != nil
		if cut == slices.Contains(open, row.Action) {
			t.Errorf("%s %s (%s): cut is %v", row.Method, row.Pattern, row.Action, cut)
		}
	}
	if seen < 8 {
		t.Errorf("only %d lists in the table", seen)
	}
}
