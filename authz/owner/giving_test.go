package owner

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"moorgate/router"
)

// TestGiving: a name that one call is giving to an image is not free for
// another user's until that call is answered.
func TestGiving(t *testing.T) {
	const name = "/images/busybox/tag?repo=mine&tag=1"
	for _, test := range []struct {
		first, user, second string
		refused             bool
	}{
		{name, "bob", name, true},
		{name, "alice", name, false},
		{name, "root", name, true},
		{name, "bob", "/images/busybox/tag?repo=mine&tag=2", false},
		{name, "bob", "/images/create?fromImage=mine&tag=1", true},
		{name, "bob", "/images/create?fromImage=mine", true}, // every tag
		{"/images/create?fromImage=mine", "bob", name, true},
		{"/images/create?fromImage=mine&tag=1", "bob", "/images/create?fromImage=mine&tag=1", false}, // the same for both
		{"/build?t=other&t=mine:1", "bob", name, true},
		{"/images/create?fromSrc=-&repo=mine&tag=1", "bob", "/build?t=mine:1", true},
	} {
		engine := newFake()
		engine.say("/images/json?filters=%7B%22reference%22%3A%7B%22mine%22%3Atrue%7D%7D", `[]`)
		o := newOwner(engine)
		ask := func(user, target string) (*router.Call, error) {
			body := ""
			if strings.HasPrefix(target, "/build") || strings.Contains(target, "fromSrc") {
				body = archive
			}
			call := read(t, "POST", target, body)
			_, err := o.judge(t, user, call)
			return call, err
		}
		first, err := ask("alice", test.first)
		if err != nil {
			t.Fatalf("%s: %v", test.first, err)
		}
		if _, err := ask(test.user, test.second); (status(err) == 409) != test.refused {
			t.Errorf("%s meanwhile, %s: %v", test.second, test.user, err)
		}
		o.gaveNames(context.Background(), first)
		if _, err := ask(test.user, test.second); err != nil {
			t.Errorf("%s afterwards, %s: %v", test.second, test.user, err)
		}
	}
}

// TestGivingEnds: an answer that grows holds the names until it has been read.
func TestGivingEnds(t *testing.T) {
	o := newOwner(newFake())
	call := read(t, "POST", "/build?t=mine:1", archive)
	if _, err := o.judge(t, "alice", call); err != nil {
		t.Fatal(err)
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte("built")))}
	if _, err := o.ReviewStream(context.Background(), userNamed("alice"), call, resp); err != nil {
		t.Fatal(err)
	}
	again := func() error {
		_, err := o.judge(t, "bob", read(t, "POST", "/build?t=mine:1", archive))
		return err
	}
	if err := again(); status(err) != 409 {
		t.Errorf("while the build goes on: %v", err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// TestSlowBuild: a build does not take at its end a name that another got
// since it began.
func TestSlowBuild(t *testing.T) {
	t.Parallel()
	f := real(t)
	app := f.mark + "slow:1"
	t.Cleanup(func() { f.direct("DELETE", "/images/"+app+"?force=1", "") })
	built := make(chan string)
	go func() {
		built <- f.build("alice", "nocache=1&t="+app, "FROM "+busybox+"\nRUN sleep 3\nENV BY=alice\n")
	}()
	f.until("the build holds its name", func() bool {
		f.memory.givings.mu.Lock()
		defer f.memory.givings.mu.Unlock()
		return len(f.memory.givings.calls) > 0
	})
	if said := f.build("bob", "t="+app, "FROM "+busybox+"\nENV BY=bob\n"); !strings.HasPrefix(said, "409") {
		t.Errorf("bob builds meanwhile: %s", said)
	}
	if said := <-built; !strings.Contains(said, "Successfully") {
		t.Errorf("alice's build: %s", said)
	}
	if said := f.build("bob", "t="+app, "FROM "+busybox+"\nENV BY=bob\n"); !strings.HasPrefix(said, "403") {
		t.Errorf("bob builds afterwards: %s", said)
	}
}

// TestClaimByLoad: an archive gives names only to what it brings: one that
// fails, or whose images are gone again, keeps nobody's name.
func TestClaimByLoad(t *testing.T) {
	t.Parallel()
	f := real(t)
	app := f.mark + "claimed:1"
	t.Cleanup(func() { f.direct("DELETE", "/images/"+app+"?force=1", "") })
	r, err := http.NewRequest("POST", f.server.URL+"/v1.41/images/load",
		bytes.NewReader(archiveOf("manifest.json", `[{"Config":"c.json","RepoTags":["`+app+`"],"Layers":[]}]`)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-User", "alice")
	r.Header.Set("Content-Type", "application/x-tar")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if said := f.build("bob", "t="+app, "FROM "+busybox+"\nENV BY=bob\n"); !strings.Contains(said, "Successfully") {
		t.Fatalf("bob builds: %s", said)
	}
	f.expect(f.as("alice", "POST", "/images/"+busybox+"/tag?repo="+f.mark+"claimed&tag=1", ""), 403)
	f.expect(f.as("alice", "DELETE", "/images/"+app, ""), 403)
	f.expect(f.as("bob", "DELETE", "/images/"+app, ""), 200)
}

// TestGivingNetworks: below API 1.44 an Engine makes two networks of one name
// if it is asked at once.
func TestGivingNetworks(t *testing.T) {
	o := newOwner(newFake())
	create := func(user, name string) (*router.Call, error) {
		call := read(t, "POST", "/networks/create", `{"Name":"`+name+`"}`)
		_, err := o.judge(t, user, call)
		return call, err
	}
	first, err := create("alice", "web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := create("bob", "web"); status(err) != 409 || err.Error() != "network with name web already exists" {
		t.Errorf("another's at once: %v", err)
	}
	if _, err := create("bob", "web2"); err != nil {
		t.Errorf("another name: %v", err)
	}
	resp := &http.Response{StatusCode: 500, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"message":"no room"}`))}
	if _, err := o.Review(context.Background(), userNamed("alice"), first, resp); err != nil {
		t.Fatal(err)
	}
	if _, err := create("bob", "web"); err != nil {
		t.Errorf("after the first has failed: %v", err)
	}
}
