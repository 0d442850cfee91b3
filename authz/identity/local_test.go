package identity

import (
	"context"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocal(t *testing.T) {
	d := directory(t, map[string]User{"alice": {Roles: []string{"developer"}}}, map[string]Group{"staff": {Roles: []string{"guest"}}})
	source := Local(d)
	r := httptest.NewRequest("GET", "/", nil)
	if id, err := source.Identify(r); id != nil || err != nil {
		t.Fatalf("a request of nobody's gave %v, %v", id, err)
	}
	made := &Identity{User: "alice", Method: "peer", Peer: &Peer{UID: 1000}, Groups: []string{"staff"}, Roles: []string{"admin"}}
	for _, c := range []net.Conn{NewLocalConn(unixPair(t), made), wrapped{NewLocalConn(unixPair(t), made)}} {
		ctx := ConnContext(t.Context(), c)
		id, err := source.Identify(r.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if id.User != "alice" || id.Method != "session" || id.Peer != nil || strings.Join(id.Groups, " ") != "staff" || strings.Join(id.Roles, " ") != "developer guest" {
			t.Errorf("got %+v: the roles must be those of today", id)
		}
		if made.Roles[0] != "admin" || made.Method != "peer" {
			t.Error("who it was made for was written to")
		}
		// Both ends are this process: its uid is nobody's evidence.
		if PeerOf(ctx) != nil {
			t.Error("it has a peer")
		}
		if id, err := (&peerSource{dir: d}).Identify(r.WithContext(ctx)); id != nil || err != nil {
			t.Errorf("by its peer it is %v, %v", id, err)
		}
	}
}

// TestLocalCannotBeSaid: no listener can be told to know callers so, and no
// connection from outside is such a one.
func TestLocalCannotBeSaid(t *testing.T) {
	d := directory(t, map[string]User{"alice": {}}, nil)
	if _, err := d.Sources([]string{Local(d).Name()}); err == nil {
		t.Error("an identify list may name it")
	}
	r := httptest.NewRequest("GET", "/", nil)
	for _, field := range []string{"Session", "Moorgate-Session", "X-Forwarded-User", "Cookie", "Authorization"} {
		r.Header.Set(field, "alice")
	}
	for _, c := range []net.Conn{unixPair(t), wrapped{unixPair(t)}} {
		if id, err := Local(d).Identify(r.WithContext(ConnContext(context.Background(), c))); id != nil || err != nil {
			t.Errorf("a connection from outside is %v's, %v", id, err)
		}
	}
}

// unixPair is an end of a unix connection.
func unixPair(t *testing.T) *net.UnixConn {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}
