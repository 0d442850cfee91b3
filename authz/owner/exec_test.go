package owner

import (
	"fmt"
	"testing"
)

// TestExecs: an exec is its creator's, also in a container that is not.
func TestExecs(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	c := f.container("alice", "box", "")
	f.expect(f.as("alice", "POST", "/containers/"+c+"/start", ""), 204)
	create := func(user string) string {
		return f.expect(f.as(user, "POST", "/containers/"+f.mark+"box/exec", `{"Cmd":["true"]}`), 201).id()
	}
	alices, roots := create("alice"), create("root")
	for _, test := range []struct {
		user, id string
		code     int
	}{
		{"alice", alices, 200}, {"alice", roots, 404}, {"bob", alices, 404}, {"bob", roots, 404},
		{"root", alices, 200}, {"root", roots, 200}, {"alice", alices[:12], 404},
	} {
		if a := f.as(test.user, "GET", "/exec/"+test.id+"/json", ""); a.code != test.code {
			t.Errorf("%s looks at %s: %d %s, want %d", test.user, test.id[:12], a.code, a.text, test.code)
		}
		if test.code == 404 {
			f.expect(f.as(test.user, "POST", "/exec/"+test.id+"/start", `{"Detach":true}`), 404)
			f.expect(f.as(test.user, "POST", "/exec/"+test.id+"/resize?h=1&w=1", ""), 404)
		}
	}
	f.expect(f.as("alice", "POST", "/exec/"+alices+"/start", `{"Detach":true}`), 200)
}

// TestRemembered forgets a user's oldest first, and nobody else's.
func TestRemembered(t *testing.T) {
	var r remembered
	r.keep("b", "bob", 3)
	for i := range 10 {
		r.keep(fmt.Sprint(i), "alice", 3)
		r.keep(fmt.Sprint(i), "alice", 3)
	}
	for key, want := range map[string]string{"b": "bob", "9": "alice", "7": "alice", "6": "", "0": "", "x": ""} {
		if got := r.owner(key); got != want {
			t.Errorf("%s is %q's, want %q", key, got, want)
		}
	}
	r.keep("9", "bob", 3) // what has another owner since
	for i := range 5 {
		r.keep(fmt.Sprint("more", i), "alice", 3)
	}
	if got := r.owner("9"); got != "bob" {
		t.Errorf("9 is %q's", got)
	}
	if len(r.by) != 5 {
		t.Errorf("%d are remembered", len(r.by))
	}
}
