package owner

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"moorgate/authz/identity"
)

// dockerfile is the context of a build.
func dockerfile(text string) *bytes.Buffer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(text))})
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return &b
}

func (f *front) build(user, query, text string) string {
	f.t.Helper()
	r, err := http.NewRequest("POST", f.server.URL+"/v1.41/build?"+query, dockerfile(text))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("X-User", user)
	r.Header.Set("Content-Type", "application/x-tar")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	var said bytes.Buffer
	_, _ = said.ReadFrom(resp.Body)
	return resp.Status + " " + said.String()
}

// TestImages: images are shared, but only who made one or named it takes that
// away, and names that others rely on stay what they are.
func TestImages(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	app := f.mark + "app"
	if said := f.build("alice", "t="+app+":1", "FROM "+busybox+"\nLABEL moorgate.owner=bob moorgate.seal=x\nENV A=1\n"); !strings.Contains(said, "Successfully") {
		t.Fatal(said)
	}
	t.Cleanup(func() { f.direct("DELETE", "/images/"+app+":1?force=1", "") })
	own := func(user, method, target string, codes ...int) {
		t.Helper()
		if a := f.as(user, method, target, ""); len(codes) == 1 && a.code != codes[0] {
			t.Errorf("%s: %s %s: %d %s, want %d", user, method, target, a.code, a.text, codes[0])
		}
	}
	own("bob", "GET", "/images/"+app+":1/json", 200)
	own("bob", "DELETE", "/images/"+app+":1", 403)
	own("bob", "DELETE", "/images/"+app+":1?force=1", 403)
	own("bob", "POST", "/images/"+busybox+"/tag?repo="+app+"&tag=1", 403) // the name is alice's
	own("bob", "POST", "/images/"+busybox+"/tag?repo=docker.io/library/"+app+"&tag=1", 403)
	if said := f.build("bob", "t="+app+":1", "FROM "+busybox+"\n"); !strings.HasPrefix(said, "403") {
		t.Errorf("bob builds under alice's name: %s", said)
	}
	if said := f.build("bob", "t="+busybox, "FROM "+busybox+"\nENV EVIL=1\n"); !strings.HasPrefix(said, "403") {
		t.Errorf("bob builds under everyone's name: %s", said)
	}
	c := f.container("bob", "", "")
	own("bob", "POST", "/commit?container="+c+"&repo="+app+"&tag=1", 403)
	own("bob", "POST", "/commit?container="+c+"&repo=busybox", 403)
	own("bob", "POST", "/images/create?fromSrc=-&repo="+app+"&tag=1", 403)
	own("bob", "POST", "/images/create?fromImage="+app+"&tag=1", 403)
	own("bob", "POST", "/images/create?fromImage="+app, 403) // every tag, alice's among them
	own("bob", "DELETE", "/images/"+busybox, 403)
	own("bob", "POST", "/images/"+busybox+"/push", 403)
	own("bob", "POST", "/images/moorgate.test/busybox/push", 403)

	// A name of one's own for what is shared can be given and taken away.
	own("bob", "POST", "/images/"+busybox+"/tag?repo="+f.mark+"bobs&tag=1", 201)
	t.Cleanup(func() { f.direct("DELETE", "/images/"+f.mark+"bobs:1", "") })
	own("alice", "DELETE", "/images/"+f.mark+"bobs:1", 403)
	own("alice", "POST", "/images/"+app+":1/tag?repo="+f.mark+"bobs&tag=1", 403)
	own("bob", "DELETE", "/images/"+f.mark+"bobs:1", 200)
	// Alice's image with a name that bob gave it goes name by name.
	own("bob", "POST", "/images/"+app+":1/tag?repo="+f.mark+"bobs&tag=2", 201)
	t.Cleanup(func() { f.direct("DELETE", "/images/"+f.mark+"bobs:2", "") })
	id := f.as("alice", "GET", "/images/"+app+":1/json", "").id()
	own("alice", "DELETE", "/images/"+id+"?force=1", 403)
	own("bob", "DELETE", "/images/"+f.mark+"bobs:2", 200)
	own("alice", "DELETE", "/images/"+app+":1", 200)
	own("root", "GET", "/images/"+busybox+"/json", 200)
}

// TestMayUse: an image that the policy does not allow is not there.
func TestMayUse(t *testing.T) {
	engine := newFake()
	o := newOwner(engine, func(o *Options) {
		o.MayUse = func(_ context.Context, who identity.Identity, _ string, names []string, id string) (bool, error) {
			return who.User == "bob" && len(names) == 1 && names[0] == "docker.io/library/busybox:latest" && id == imageID, nil
		}
	})
	for _, test := range []struct {
		user, target, missing string
	}{
		{"bob", "/images/busybox/json", ""},
		{"alice", "/images/busybox/json", "no such image: busybox: No such image: busybox:latest"},
		{"alice", "/images/busybox/history", "No such image: busybox:latest"},
		{"alice", "/images/busybox:latest/get", "No such image: busybox:latest"},
		{"root", "/images/busybox/json", ""},
	} {
		call := read(t, "GET", test.target, "")
		d, err := o.judge(t, test.user, call)
		if test.missing == "" {
			if !d.Allow || err != nil {
				t.Errorf("%s %s: %+v %v", test.user, test.target, d, err)
			}
			if test.user != "root" && call.Name() != imageID {
				t.Errorf("%s is sent as %s", test.target, call.Name())
			}
			continue
		}
		if status(err) != 404 || !strings.HasSuffix(err.Error(), test.missing) {
			t.Errorf("%s %s: %+v %v", test.user, test.target, d, err)
		}
	}
}

// TestSavedWithoutTag: a name without a tag means all images that are called so,
// by a digest alone too, and one of none that the caller may see is of none.
func TestSavedWithoutTag(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	tagged := `{"Id":"` + imageID + `","RepoTags":["app:1"],"RepoDigests":["app` + digest + `"]}`
	hidden := `{"Id":"` + fullID(2) + `","RepoTags":["app:2"]}`
	pulled := `{"Id":"` + fullID(3) + `","RepoTags":["<none>:<none>"],"RepoDigests":["app` + digest + `"]}`
	cafe := func(listed string) string { return strings.ReplaceAll(listed, "app", "cafe") }
	for _, test := range []struct {
		name, listed string
		want         int // 200 stands for what goes to the Engine
	}{
		{"allowed", tagged, 200},
		{"one is hidden", tagged + "," + hidden, 403},
		{"one that has a digest alone is hidden", tagged + "," + pulled, 403},
		{"hidden", hidden, 404},
		{"hidden, with a digest alone", pulled, 404},
		{"none", "", 404},
	} {
		engine := newFake()
		engine.say("/images/json?filters=%7B%22reference%22%3A%7B%22app%22%3Atrue%7D%7D", "["+test.listed+"]")
		engine.say("/images/json?filters=%7B%22reference%22%3A%7B%22cafe%22%3Atrue%7D%7D", "["+cafe(test.listed)+"]")
		o := newOwner(engine, func(o *Options) {
			o.MayUse = func(_ context.Context, _ identity.Identity, _ string, names []string, _ string) (bool, error) {
				return slices.Contains(names, "docker.io/library/app:1") || slices.Contains(names, "docker.io/library/cafe:1"), nil
			}
		})
		for _, target := range []string{"/images/app/get", "/images/get?names=app", "/images/cafe/get", "/images/get?names=cafe"} {
			d, err := o.judge(t, "alice", read(t, "GET", target, ""))
			got := status(err)
			switch {
			case d.Allow:
				got = 200
			case err == nil:
				got = 403
			}
			if got != test.want {
				t.Errorf("%s, %s: %d %+v %v, want %d", target, test.name, got, d, err, test.want)
			}
		}
	}
}

// TestImageMoves moves a name over and over through moorgate: whoever makes a
// container right behind gets what it means by then. Moved beside moorgate it is
// followed within a moment.
func TestImageMoves(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	name := f.mark + "moving"
	ids := make([]string, 2)
	for i := range ids {
		box := f.container("alice", fmt.Sprintf("from%d", i), "")
		a := f.expect(f.as("alice", "POST", fmt.Sprintf("/commit?container=%s&repo=%skeep%d", box, f.mark, i), ""), 201)
		ids[i] = a.id()
		t.Cleanup(func() { f.direct("DELETE", "/images/"+ids[i]+"?force=1", "") })
	}
	t.Cleanup(func() { f.direct("DELETE", "/images/"+name, "") })
	madeOf := func() string {
		a := f.expect(f.as("alice", "POST", "/v1.41/containers/create", `{"Image":"`+name+`","Cmd":["true"]}`), 201)
		defer f.direct("DELETE", "/containers/"+a.id(), "")
		var c struct{ Image string }
		if err := json.Unmarshal([]byte(f.direct("GET", "/containers/"+a.id()+"/json", "").text), &c); err != nil {
			t.Fatal(err)
		}
		return c.Image
	}
	for i := range 20 {
		want := ids[i%2]
		f.expect(f.as("alice", "POST", "/images/"+want+"/tag?repo="+name, ""), 201)
		for range 2 {
			if got := madeOf(); got != want {
				t.Fatalf("round %d: made of %s, not of %s", i, got, want)
			}
		}
	}
	f.expect(f.as("alice", "DELETE", "/images/"+name, ""), 200)
	if a := f.as("alice", "POST", "/v1.41/containers/create", `{"Image":"`+name+`"}`); a.code != 404 {
		t.Errorf("it is gone: %d %s", a.code, a.text)
	}

	settled := func() bool { _, ok := f.index("local").images.changes.settled(); return ok }
	for i := range 4 {
		f.until("names are remembered", settled)
		f.expect(f.direct("POST", "/images/"+ids[i%2]+"/tag?repo="+name, ""), 201)
		f.until("the new one is meant", func() bool { return madeOf() == ids[i%2] })
	}
}
