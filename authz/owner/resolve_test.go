package owner

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestResolve holds every way to name one's own container against the Engine.
func TestResolve(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	foreign := f.container("bob", "b", "")
	mine := f.container("alice", "a", "")
	named := f.container("alice", foreign[:12], "") // mark + the beginning of bob's id
	// Alice's container is called as bob's id begins, and as the whole of it.
	like := f.as("alice", "POST", "/containers/create?name="+foreign[:12], box(""))
	f.expect(like, 201)
	t.Cleanup(func() { f.direct("DELETE", "/containers/"+like.id()+"?force=1", "") })
	whole := f.as("alice", "POST", "/containers/create?name="+foreign, box(""))
	f.expect(whole, 201)
	t.Cleanup(func() { f.direct("DELETE", "/containers/"+whole.id()+"?force=1", "") })
	tests := []struct{ user, name, want string }{
		{"alice", mine, mine},
		{"alice", mine[:12], mine},
		{"alice", mine[:20], mine},
		{"alice", f.mark + "a", mine},
		{"alice", "%6f" + f.mark[1:] + "%61", mine},
		{"bob", "%6f" + f.mark[1:] + "%61", ""},
		{"alice", f.mark + foreign[:12], named},
		{"alice", foreign[:12], like.id()}, // a name goes before the beginning of an id
		{"bob", foreign, foreign},          // a whole id goes before a name
		{"bob", foreign[:12], foreign},     // the name is alice's, and so not there
		{"bob", foreign[:14], foreign},
		{"alice", foreign, whole.id()}, // bob's is not there
		{"bob", f.mark + "a", ""},
		{"bob", mine[:12], ""},
		{"root", mine[:12], mine},
		{"root", f.mark + "a", mine},
		{"alice", strings.ToUpper(f.mark + "a"), ""},
	}
	for _, live := range []bool{true, false} {
		for _, test := range tests {
			if !live && (test.user == "bob" && test.name == foreign[:12] || test.user == "alice" && test.name == foreign) {
				continue // nothing is known but what the Engine says, which has the other's by that name
			}
			f.index("local").live.Store(live)
			a := f.as(test.user, "GET", "/containers/"+test.name+"/json", "")
			if test.want == "" {
				if a.code != 404 {
					t.Errorf("live %t: %s names %s: %d %.80s", live, test.user, test.name, a.code, a.text)
				}
				continue
			}
			if a.code != 200 || a.id() != test.want {
				t.Errorf("live %t: %s names %s: %d %s, want %s", live, test.user, test.name, a.code, a.id(), test.want)
			}
		}
	}
}

// TestReadYourWrites renames, removes and makes anew at once, and must never
// find what had the name before.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	name := f.mark + "web"
	for i := range 8 {
		id := f.container("alice", "web", "")
		if got := f.as("alice", "GET", "/containers/"+name+"/json", "").id(); got != id {
			t.Fatalf("round %d: %s is %s, want %s", i, name, got, id)
		}
		f.expect(f.as("alice", "POST", "/containers/"+name+"/rename?name="+name+fmt.Sprint(i), ""), 204)
		f.expect(f.as("alice", "GET", "/containers/"+name+"/json", ""), 404)
		if got := f.as("alice", "GET", "/containers/"+name+fmt.Sprint(i)+"/json", "").id(); got != id {
			t.Fatalf("round %d: renamed it is %s, want %s", i, got, id)
		}
		if i%2 == 0 {
			f.expect(f.as("alice", "DELETE", "/containers/"+name+fmt.Sprint(i), ""), 204)
		}
	}
}

// TestBetween has a name change hands exactly between the judging of a call
// and its sending, where no luck is needed.
func TestBetween(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	name := f.mark + "web"
	for _, test := range []struct {
		method, path, body string
		codes              []int
	}{
		{"GET", "/containers/{}/json", "", []int{404}},
		{"POST", "/containers/{}/update", `{"CpuShares":77}`, []int{404}},
		{"POST", "/containers/{}/rename?name=" + f.mark + "stolen", "", []int{404}},
		{"DELETE", "/containers/{}?force=1", "", []int{404}},
		{"POST", "/containers/{}/start", "", []int{404}},
		{"GET", "/containers/{}/logs?stdout=1", "", []int{404}},
		{"POST", "/commit?container={}&repo=" + f.mark + "stolen", "", []int{404}},
		{"POST", "/containers/create", box(`"HostConfig":{"VolumesFrom":["{}"]}`), []int{400}},
		{"POST", "/containers/create", box(`"HostConfig":{"PidMode":"container:{}"}`), []int{400}},
	} {
		mine := f.as("alice", "POST", "/containers/create?name="+name, box(`"Volumes":{"/v":{}}`))
		f.expect(mine, 201)
		f.expect(f.as("alice", "GET", "/containers/"+name+"/json", ""), 200)
		var bobs string
		swap := func() {
			f.expect(f.direct("DELETE", "/containers/"+mine.id()+"?force=1&v=1", ""), 204)
			a := f.direct("POST", "/containers/create?name="+name, box(`"Volumes":{"/v":{}}`))
			f.expect(a, 201)
			bobs = a.id()
		}
		f.swap.Store(&swap)
		a := f.as("alice", test.method, strings.ReplaceAll(test.path, "{}", name), strings.ReplaceAll(test.body, "{}", name))
		if !slices.Contains(test.codes, a.code) || bobs == "" || strings.Contains(a.text, bobs) {
			t.Errorf("%s %s: %d %s", test.method, test.path, a.code, a.text)
		}
		after := f.direct("GET", "/containers/"+bobs+"/json", "")
		if after.code != 200 || !strings.Contains(after.text, `"Name":"/`+name+`"`) || strings.Contains(after.text, `"CpuShares":77`) {
			t.Errorf("%s %s: what is bob's is now %d %.200s", test.method, test.path, after.code, after.text)
		}
		f.direct("DELETE", "/containers/"+bobs+"?force=1&v=1", "")
	}
	// A network's name that moves, too.
	mine := f.network("alice", "net")
	c := f.container("alice", "", "")
	swap := func() {
		f.expect(f.direct("DELETE", "/networks/"+mine, ""), 204)
		f.expect(f.direct("POST", "/networks/create", `{"Name":"`+f.mark+`net"}`), 201)
	}
	t.Cleanup(func() { f.direct("DELETE", "/networks/"+f.mark+"net", "") })
	f.swap.Store(&swap)
	f.as("alice", "POST", "/networks/"+f.mark+"net/connect", `{"Container":"`+c+`"}`)
	f.as("alice", "POST", "/containers/"+c+"/start", "")
	if a := f.direct("GET", "/networks/"+f.mark+"net", ""); a.code != 200 || strings.Contains(a.text, c) {
		t.Errorf("alice's container is in another's network: %d %s", a.code, a.text)
	}
}

// TestRace lets two users hand one name to and fro as fast as they can, while
// both use it: what a user reaches is never another's.
func TestRace(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	name := f.mark + "hot"
	var all, done sync.WaitGroup
	stop := make(chan struct{})
	for _, user := range []string{"alice", "bob"} {
		all.Go(func() {
			for range 25 {
				a := f.as(user, "POST", "/containers/create?name="+name, box(`"Env":["WHOSE=`+user+`"]`))
				if a.code == 409 {
					if strings.Contains(a.text, "by container") {
						t.Errorf("%s is told who has the name: %s", user, a.text)
					}
					continue
				}
				if a.code != 201 {
					t.Errorf("%s: %d %s", user, a.code, a.text)
					continue
				}
				f.as(user, "POST", "/containers/"+name+"/rename?name="+name+user, "")
				if d := f.as(user, "DELETE", "/containers/"+a.id()+"?force=1", ""); d.code != 204 {
					t.Errorf("%s removes: %d %s", user, d.code, d.text)
				}
			}
		})
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				other := "WHOSE=bob"
				if user == "bob" {
					other = "WHOSE=alice"
				}
				if a := f.as(user, "GET", "/containers/"+name+"/json", ""); strings.Contains(a.text, other) {
					t.Errorf("%s sees %s", user, a.text)
				}
				if a := f.as(user, "POST", "/containers/"+name+"/update", `{"CpuShares":77}`); a.code != 200 && a.code != 404 && !strings.Contains(a.text, "removal") {
					t.Errorf("%s updates: %d %s", user, a.code, a.text)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	done.Wait()
}
