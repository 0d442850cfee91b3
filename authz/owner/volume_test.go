package owner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestVolumes shares a name between users in every way: nobody gets at
// another's data, and nobody hears whose it is.
func TestVolumes(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	t.Cleanup(func() { // when the containers are gone
		for _, name := range []string{"new", "third", "roots", "own"} {
			f.direct("DELETE", "/volumes/"+f.mark+name, "")
		}
	})
	data := f.volume("bob", "data")
	taken := fmt.Sprintf("Conflict. The volume name %q is already in use. You have to use another name.", data)
	for _, test := range []struct{ method, target, body string }{
		{"POST", "/volumes/create", `{"Name":"` + data + `"}`},
		{"POST", "/volumes/create", `{"Name":"` + data + `","Driver":"local","DriverOpts":{"type":"tmpfs","device":"tmpfs"}}`},
		{"POST", "/containers/create", box(`"HostConfig":{"Binds":["` + data + `:/x"]}`)},
		{"POST", "/containers/create", box(`"HostConfig":{"Binds":["` + data + `:/x:ro,nocopy"]}`)},
		{"POST", "/containers/create", box(`"HostConfig":{"Mounts":[{"Type":"volume","Source":"` + data + `","Target":"/x"}]}`)},
		{"POST", "/containers/create", box(`"HostConfig":{"Binds":["` + f.mark + `own:/y","` + data + `:/x"]}`)},
	} {
		if a := f.as("alice", test.method, test.target, test.body); a.code != 409 || a.message() != taken {
			t.Errorf("%s %s: %d %s", test.target, test.body, a.code, a.text)
		}
	}
	f.expect(f.as("alice", "GET", "/volumes/"+data, ""), 404)
	f.expect(f.as("alice", "DELETE", "/volumes/"+data+"?force=1", ""), 404)
	f.expect(f.as("bob", "GET", "/volumes/"+data, ""), 200)

	// One's own is mounted as ever, and made where it is not there.
	c := f.container("bob", "", `"HostConfig":{"Binds":["`+data+`:/x","`+f.mark+`new:/y"],"Mounts":[{"Type":"volume","Source":"`+f.mark+`third","Target":"/z","VolumeOptions":{"Labels":{"a":"b"}}}]}`)
	t.Cleanup(func() {
		f.direct("DELETE", "/volumes/"+f.mark+"new", "")
		f.direct("DELETE", "/volumes/"+f.mark+"third", "")
	})
	f.expect(f.as("bob", "GET", "/volumes/"+f.mark+"new", ""), 200)
	if a := f.as("bob", "GET", "/volumes/"+f.mark+"third", ""); a.code != 200 || !strings.Contains(a.text, `"a":"b"`) {
		t.Errorf("the volume of a mount: %d %s", a.code, a.text)
	}
	f.expect(f.as("alice", "GET", "/volumes/"+f.mark+"new", ""), 404)
	// An administrator's own hand makes volumes that are theirs, and mounts what they like.
	f.container("root", "", `"HostConfig":{"Binds":["`+data+`:/x","`+f.mark+`roots:/y"]}`)
	f.expect(f.as("bob", "GET", "/volumes/"+f.mark+"roots", ""), 404)
	f.expect(f.as("bob", "POST", "/volumes/create", `{"Name":"`+f.mark+`roots"}`), 409)

	// What stops the removal of a volume is not told unless it is one's own.
	a := f.as("bob", "DELETE", "/volumes/"+data, "")
	if a.code != 409 || !strings.Contains(a.text, c) {
		t.Errorf("bob's own container is not named: %d %s", a.code, a.text)
	}
	if strings.Count(a.text, another) != 1 {
		t.Errorf("root's container is named: %s", a.text)
	}

	// Volumes without names belong to whose container mounts them.
	anon := f.container("alice", "", `"Volumes":{"/v":{}},"HostConfig":{"Mounts":[{"Type":"volume","Target":"/w"}]}`)
	var names []string
	for _, part := range strings.Split(f.as("alice", "GET", "/containers/"+anon+"/json", "").text, `"Name":"`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); unnamed(name) {
			names = append(names, name)
		}
	}
	if len(names) != 2 {
		t.Fatalf("%d volumes without a name", len(names))
	}
	for _, name := range names {
		f.expect(f.as("alice", "GET", "/volumes/"+name, ""), 200)
		f.expect(f.as("bob", "GET", "/volumes/"+name, ""), 404)
		f.expect(f.as("bob", "POST", "/containers/create", box(`"HostConfig":{"Binds":["`+name+`:/x"]}`)), 409)
	}
}

// TestVolumeRace has alice mount a name over and over while she lets it go, and
// bob takes it as often as he can: she never mounts what is bob's.
func TestVolumeRace(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	name := f.mark + "prize"
	t.Cleanup(func() { f.direct("DELETE", "/volumes/"+name, "") })
	var all, done sync.WaitGroup
	stop := make(chan struct{})
	loop := func(do func()) {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	loop(func() { f.as("alice", "DELETE", "/volumes/"+name, "") })
	loop(func() {
		f.as("bob", "POST", "/volumes/create", `{"Name":"`+name+`"}`)
		f.as("bob", "DELETE", "/volumes/"+name, "")
	})
	mounted := 0
	all.Go(func() {
		for range 40 {
			a := f.as("alice", "POST", "/containers/create", box(`"HostConfig":{"Binds":["`+name+`:/x"]}`))
			if a.code == 409 {
				continue
			}
			if a.code != 201 {
				t.Errorf("%d %s", a.code, a.text)
				continue
			}
			mounted++
			// The container holds the volume: what it is called now is what it mounts.
			if v := f.direct("GET", "/volumes/"+name, ""); !strings.Contains(v.text, `"moorgate.owner":"alice"`) {
				t.Errorf("alice mounts %s", v.text)
			}
			f.expect(f.as("alice", "DELETE", "/containers/"+a.id(), ""), 204)
		}
	})
	all.Wait()
	close(stop)
	done.Wait()
	if mounted == 0 {
		t.Error("alice never mounted anything")
	}
}

// TestVolumeLocks: mounts share a name, a removal has it alone.
func TestVolumeLocks(t *testing.T) {
	l := &volumeLocks{}
	ctx := context.Background()
	v, w := volumeName{"local", "v"}, volumeName{"local", "w"}
	give := func(remove bool, names ...volumeName) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.give(remove, names)
	}
	if err := errors.Join(l.take(ctx, false, v), l.take(ctx, false, v)); err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() { got <- l.take(ctx, true, w, v) }()
	give(false, v)
	select {
	case <-got:
		t.Fatal("removed while it is mounted")
	case <-time.After(20 * time.Millisecond):
	}
	if err := l.take(ctx, false, w); err != nil {
		t.Errorf("who waits for one name keeps another: %v", err)
	}
	give(false, w)
	give(false, v)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := l.take(short, false, v); err == nil {
		t.Error("mounted while it is removed")
	}
	if err := l.take(ctx, true, volumeName{"local", "x"}, volumeName{"other", "v"}); err != nil {
		t.Errorf("other names wait, too: %v", err)
	}
	give(true, volumeName{"local", "x"}, volumeName{"other", "v"})
	give(true, w, v)
	if len(l.held) != 0 {
		t.Errorf("%d names are held for ever", len(l.held))
	}
}

// TestServiceVolumes: a service's tasks find volumes by name, at any time.
func TestServiceVolumes(t *testing.T) {
	o := newOwner(newFake())
	spec := func(mount string) string {
		return `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"busybox","Mounts":[` + mount + `]}}}`
	}
	for mount, allowed := range map[string]bool{
		`{"Type":"volume","Source":"data","Target":"/x"}`:  false,
		`{"Type":"cluster","Source":"data","Target":"/x"}`: false,
		`{"Type":"volume","Target":"/x"}`:                  true,
		`{"Type":"tmpfs","Target":"/x"}`:                   true,
	} {
		d, err := o.judge(t, "alice", read(t, "POST", "/services/create", spec(mount)))
		if d.Allow != allowed || err != nil && status(err) != 404 {
			t.Errorf("%s: %+v, %v", mount, d, err)
		}
	}
}
