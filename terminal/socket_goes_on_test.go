package terminal

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/proxy/http1"
)

const socketEndpoint = "/api/terminal/socket"

// alsoBy serves the site's page by another HTTP server, which serve starts, and
// tells when the handlers of a websocket have returned, the audit's among them.
func (s *testSite) alsoBy(serve func(net.Listener, http.Handler)) (returned chan struct{}) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := s.server.Handler(Listener{Address: "tcp://" + l.Addr().String(), Sources: []identity.Source{bearer{}}, API: http.NotFoundHandler()})
	if err != nil {
		s.t.Fatal(err)
	}
	recorded := audit.Middleware("test", s)(h)
	returned = make(chan struct{}, 1)
	serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded.ServeHTTP(w, r)
		if r.URL.Path == socketEndpoint {
			returned <- struct{}{}
		}
	}))
	s.url = "http://" + l.Addr().String()
	return returned
}

// requests gives the records of requests for a path.
func (s *testSite) requests(path string) (all []audit.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.records {
		if r.Path == path && r.Event == "" {
			all = append(all, r)
		}
	}
	return all
}

// TestSocketGoesOn: on moorgate's own server a terminal's websocket goes on once
// all its handlers have returned; on another it is served within them. On both it
// echoes, and is recorded once, when it ends.
func TestSocketGoesOn(t *testing.T) {
	for _, test := range []struct {
		name   string
		serve  func(*testing.T, net.Listener, http.Handler)
		goesOn bool
	}{
		{"moorgate's server", func(t *testing.T, l net.Listener, h http.Handler) {
			server := &http1.Server{Handler: h}
			go server.Serve(l) //nolint:errcheck // ends with the test
			t.Cleanup(server.Close)
		}, true},
		{"net/http's server", func(t *testing.T, l net.Listener, h http.Handler) {
			server := httptest.NewUnstartedServer(h)
			server.Listener.Close()
			server.Listener = l
			server.Start()
			t.Cleanup(server.Close)
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newTestSite(t)
			returned := s.alsoBy(func(l net.Listener, h http.Handler) { test.serve(t, l, h) })
			t.Cleanup(func() { // before the server, which waits for its handlers
				ctx, cancel := context.WithTimeout(context.Background(), clientTime)
				defer cancel()
				s.server.manager.Shutdown(ctx)
			})
			id, ticket := s.exec("alice", true, "cat")
			c := s.attach("alice", id, ticket, -1)
			within := clientTime
			if !test.goesOn {
				within = 200 * time.Millisecond // it must not return at all
			}
			isOver := false
			select {
			case <-returned:
				isOver = true
			case <-time.After(within):
			}
			if isOver != test.goesOn {
				t.Fatalf("the handlers have returned while the websocket lives: %v, want %v", isOver, test.goesOn)
			}
			c.typeText("both ways")
			c.untilText("both ways")
			if n := len(s.requests(socketEndpoint)); n != 0 {
				t.Fatalf("%d records of a websocket that goes on", n)
			}

			c.conn.Close()
			for end := time.Now().Add(clientTime); len(s.requests(socketEndpoint)) == 0; pause() {
				if time.Now().After(end) {
					t.Fatal("the websocket is not recorded")
				}
			}
			if !test.goesOn {
				<-returned
			}
			time.Sleep(100 * time.Millisecond) // for a second one
			all := s.requests(socketEndpoint)
			if len(all) != 1 {
				t.Fatalf("%d records of one websocket", len(all))
			}
			r := all[0]
			if r.User != "alice" || r.Session != id || r.Decision != audit.Allow || r.Status != http.StatusSwitchingProtocols ||
				r.BytesIn < int64(len("both ways")) || r.BytesOut < int64(len("both ways")) || r.Error != "" {
				t.Errorf("recorded as %+v", r)
			}
		})
	}
}
