package authz

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// keep is a sink that keeps a copy of the last record.
type keep struct{ last audit.Record }

func (k *keep) Record(r *audit.Record) { k.last = *r }

// TestFrontDoor sends requests through all layers that come before the Engine:
// the request left, the answer and the record right.
func TestFrontDoor(t *testing.T) {
	var user uint32 = 1000
	directory, err := identity.NewDirectory(map[string]identity.User{"alice": {UID: &user}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := directory.Sources([]string{"peer"})
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(w http.ResponseWriter, r *http.Request, status int, message string) {
		audit.Fail(w, r, &router.Error{Status: status, Message: message})
	}
	chain := New([]Authorizer{says{name: "roles", d: Decision{Rule: "role guest", Reason: "ask for more"}}}, Options{})
	next := router.HandlerFunc(func(w http.ResponseWriter, _ *http.Request, _ *router.Call) error {
		_, err := w.Write([]byte("OK"))
		return err
	})
	sink := &keep{}
	mux := router.NewMux(router.Table(), chain.Middleware(next))
	mux.Found, mux.Fail = audit.Found, audit.Fail
	api := audit.Middleware("front", sink)(identity.Require(sources, refuse)(mux))

	tests := []struct {
		method, path string
		uid          uint32
		status       int
		answer       string // text, or the message of an error; "" is the router's own
		record       audit.Record
	}{
		{"GET", "/_ping", 1000, 200, "OK", audit.Record{User: "alice", Action: "system.ping", Decision: audit.Allow}},
		{"GET", "/_ping", 1001, 401, "moorgate: peer: uid 1001 is no user of this moorgate: ask for a users: entry with uid: 1001",
			audit.Record{Decision: audit.Deny, Reason: "moorgate: peer: uid 1001 is no user of this moorgate: ask for a users: entry with uid: 1001"}},
		{"POST", "/v1.41/containers/web/stop", 1000, 403, "moorgate: alice may not container.stop web (role guest): ask for more",
			audit.Record{User: "alice", Action: "container.stop", Decision: audit.Deny, Rule: "role guest", Reason: "ask for more", Refs: []string{"container:web"}}},
		{"GET", "/v1.41/containers/json", 1000, 403, "moorgate: alice may not container.list (role guest): ask for more",
			audit.Record{User: "alice", Action: "container.list", Decision: audit.Deny, Rule: "role guest", Reason: "ask for more"}},
		{"GET", "/v1.41/containers/json?all=1&all=0", 1000, 400, "", audit.Record{User: "alice", Action: "container.list", Decision: audit.Deny}},
		{"GET", "/nowhere", 1000, 404, "page not found", audit.Record{User: "alice", Decision: audit.Deny}},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, nil)
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r.WithContext(identity.WithPeer(r.Context(), identity.Peer{UID: test.uid})))
			answer := w.Body.String()
			var shaped struct{ Message string }
			if w.Code >= 400 {
				if err := json.Unmarshal(w.Body.Bytes(), &shaped); err != nil || w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%q is not the Engine's shape: %v", answer, err)
				}
				answer = shaped.Message
			}
			if w.Code != test.status || test.answer != "" && answer != test.answer {
				t.Errorf("got %d %q, want %d %q", w.Code, answer, test.status, test.answer)
			}
			got := sink.last
			if got.User != test.record.User || got.Action != test.record.Action || got.Decision != test.record.Decision || got.Rule != test.record.Rule ||
				got.Status != test.status || strings.Join(got.Refs, " ") != strings.Join(test.record.Refs, " ") || !strings.HasPrefix(test.path, got.Path) {
				t.Errorf("the record is %+v", got)
			}
			if got.Status >= 400 && got.Reason == "" {
				t.Error("a refusal without a reason")
			}
			if test.record.Reason != "" && got.Reason != test.record.Reason {
				t.Errorf("the reason is %q, want %q", got.Reason, test.record.Reason)
			}
			if w.Header().Get("Moorgate-Request-Id") != got.ID || got.ID == "" {
				t.Errorf("the ids are %q and %q", w.Header().Get("Moorgate-Request-Id"), got.ID)
			}
		})
	}
}
