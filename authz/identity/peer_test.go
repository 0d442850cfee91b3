package identity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// withNames gives the directory's lookups made-up names and counts them.
func withNames(d *Directory, users, groups map[string]string, asked *int) {
	lookup := func(names map[string]string) func(string) (string, error) {
		return func(id string) (string, error) {
			*asked++
			if name, ok := names[id]; ok {
				return name, nil
			}
			return "", errors.New("unknown")
		}
	}
	d.names.lookupUser, d.names.lookupGroup = lookup(users), lookup(groups)
}

func TestPeer(t *testing.T) {
	d := directory(t, map[string]User{
		"alice": {UID: uid(1000), Roles: []string{"developer"}},
		"bob":   {},
	}, map[string]Group{"staff": {Roles: []string{"guest"}}, "empty": {}, "77": {Roles: []string{"guest"}}})
	var asked int
	withNames(d, map[string]string{"1001": "carol", "1002": "bob", "1003": "e/ve"},
		map[string]string{"50": "staff", "60": "empty", "100": "users"}, &asked)
	source := &peerSource{d}
	tests := []struct {
		name string
		ctx  context.Context
		want string
	}{
		{"no unix connection", t.Context(), ""},
		{"configured", WithPeer(t.Context(), Peer{UID: 1000, GID: 100}), "alice"},
		{"unknown", WithPeer(t.Context(), Peer{UID: 1001, GID: 100}), "!uid 1001 is no user of this moorgate: ask for a users: entry with uid: 1001"},
		{"root is nobody special", WithPeer(t.Context(), Peer{}), "!uid 0 is no user"},
		{"by its first group", WithPeer(t.Context(), Peer{UID: 1001, GID: 50}), "carol"},
		{"by another group", WithPeer(t.Context(), Peer{UID: 1001, GID: 100, Groups: []uint32{100, 50}}), "carol"},
		{"a group without roles", WithPeer(t.Context(), Peer{UID: 1001, GID: 60}), "!uid 1001 is no user"},
		{"a group without a name", WithPeer(t.Context(), Peer{UID: 1001, GID: 77}), "carol"},
		{"no name", WithPeer(t.Context(), Peer{UID: 1009, GID: 50}), `!uid 1009 is known by its groups only, and its name ""`},
		{"the name of a configured user", WithPeer(t.Context(), Peer{UID: 1002, GID: 50}), "!uid 1002 is named bob, but users: bob is not known by that: ask for uid: 1002 there"},
		{"a name that cannot be", WithPeer(t.Context(), Peer{UID: 1003, GID: 50}), "!uid 1003 is known by its groups only"},
		{"unreadable", withEvidence(t.Context(), Peer{UID: 1000}, errors.New("gone")), "!reading the credentials of the unix connection: gone"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil).WithContext(test.ctx)
			check(t, source, r, test.want)
			asked = 0
			check(t, source, r, test.want)
			if asked > 0 {
				t.Errorf("the second request of a connection asked for %d names", asked)
			}
		})
	}

	r := httptest.NewRequest("GET", "/", nil).WithContext(WithPeer(t.Context(), Peer{UID: 1000, GID: 100, PID: 7, Groups: []uint32{100, 50, 99}}))
	id, err := source.Identify(r)
	if err != nil || !slices.Equal(id.Groups, []string{"users", "staff", "99"}) || !slices.Equal(id.Roles, []string{"developer", "guest"}) {
		t.Errorf("got %+v, %v", id, err)
	}
	if got := id.Peer.String(); got != "uid=1000 gid=100 pid=7" {
		t.Errorf("the peer is %q", got)
	}

	// A new configuration is asked anew, on connections that live.
	renamed := &peerSource{directory(t, map[string]User{"alicia": {UID: uid(1000)}}, nil)}
	check(t, renamed, r, "alicia")
}

func TestSystemNamesExpire(t *testing.T) {
	d := directory(t, nil, nil)
	var asked int
	names := map[string]string{"50": "staff"}
	withNames(d, nil, names, &asked)
	now := time.Now()
	d.names.now = func() time.Time { return now }
	for range 2 {
		if got := d.names.group(50); got != "staff" || asked != 1 {
			t.Fatalf("got %q after %d lookups", got, asked)
		}
	}
	names["50"] = "crew"
	now = now.Add(nameLife + time.Second)
	if got := d.names.group(50); got != "crew" {
		t.Errorf("got %q a minute after the group was renamed", got)
	}
	for gid := range uint32(maxNames + 10) {
		d.names.group(gid)
	}
	if n := len(d.names.groups); n > maxNames {
		t.Errorf("%d names are kept", n)
	}
}

// wrapped is a connection such as a listener that counts makes.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

type wrappingListener struct{ net.Listener }

func (l wrappingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return wrapped{wrapped{c}}, err
}

func TestConnContext(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("peer credentials are Linux's")
	}
	me := uint32(os.Getuid())
	d := directory(t, map[string]User{"me": {UID: &me}}, nil)
	for _, wrap := range []bool{false, true} {
		t.Run(fmt.Sprintf("wrapped=%v", wrap), func(t *testing.T) {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			if wrap {
				l = wrappingListener{l}
			}
			var got Identity
			server := &http.Server{
				ConnContext: ConnContext,
				Handler: Require([]Source{&peerSource{d}}, failPlain)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got, _ = From(r.Context())
				})),
			}
			go server.Serve(l)
			defer server.Close()
			client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return net.Dial("unix", l.Addr().String())
			}}}
			defer client.CloseIdleConnections()
			resp, err := client.Get("http://x/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 || got.User != "me" || got.Peer == nil || got.Peer.UID != me || int(got.Peer.PID) != os.Getpid() {
				t.Fatalf("got %d, %+v, %+v", resp.StatusCode, got, got.Peer)
			}
			groups, err := os.Getgroups()
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				if !slices.Contains(got.Peer.Groups, uint32(g)) {
					t.Errorf("group %d is missing in %v", g, got.Peer.Groups)
				}
			}
			if len(got.Peer.Groups) != len(groups) {
				t.Errorf("got the groups %v, want %v", got.Peer.Groups, groups)
			}
		})
	}
}

func TestConnContextOfOthers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	r := httptest.NewRequest("GET", "/", nil)
	check(t, &peerSource{directory(t, nil, nil)}, r.WithContext(ConnContext(t.Context(), a)), "")
}

func TestConnContextClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("peer credentials are Linux's")
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	r := httptest.NewRequest("GET", "/", nil)
	check(t, &peerSource{directory(t, nil, nil)}, r.WithContext(ConnContext(t.Context(), c)), "!reading the credentials")
}

func BenchmarkPeer(b *testing.B) {
	d := directory(b, map[string]User{"alice": {UID: uid(1000), Roles: []string{"developer"}}}, nil)
	source := &peerSource{d}
	ctx := WithPeer(b.Context(), Peer{UID: 1000, GID: 1000, Groups: []uint32{4, 27, 998}})
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	b.ReportAllocs()
	for b.Loop() {
		if id, err := source.Identify(r); id == nil || err != nil {
			b.Fatal(id, err)
		}
	}
}

func BenchmarkRequirePeer(b *testing.B) {
	d := directory(b, map[string]User{"alice": {UID: uid(1000)}}, nil)
	h := Require([]Source{&peerSource{d}}, failPlain)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := From(r.Context()); !ok || !strings.HasPrefix(id.User, "alice") {
			b.Fatal(id)
		}
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil).WithContext(WithPeer(b.Context(), Peer{UID: 1000, GID: 1000}))
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
