package policy

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"moorgate/authz"
	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/router"
)

// suite is one file of calls and what should become of them.
type suite struct {
	Users  map[string][]string // the roles of each
	Roles  map[string]Role
	Engine []struct { // the images that the Engine has
		ID      string
		Names   []string
		Digests []string
		OnBuild []string
	}
	Containers map[string]string // id to the Engine's JSON
	Terminals  map[string]int
	Now        string
	Calls      []call
}

// call is one request. Want is "allow", "deny TEXT" where TEXT is a part of
// the refusal, or "STATUS TEXT".
type call struct {
	Who, Do, Want string
	Body          string            // JSON
	Archive       map[string]string // a tar of these files
	Sends         string            // a part of the request that goes to the Engine
}

func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no suites", err)
	}
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s suite
		if err := yaml.UnmarshalWithOptions(text, &s, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		total += len(s.Calls)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) { s.run(t) })
	}
	if total < 200 {
		t.Errorf("%d calls, want 200 or more", total)
	}
}

func (s *suite) run(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	if s.Now != "" {
		var err error
		if now, err = time.Parse(time.RFC3339, s.Now); err != nil {
			t.Fatal(err)
		}
	}
	p, err := New(s.Roles, Options{
		Engines:   s,
		Terminals: func(user string) int { return s.Terminals[user] },
		Now:       func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range s.Calls {
		t.Run(fmt.Sprintf("%d_%s_%s", i+1, c.Who, c.Do), func(t *testing.T) {
			status, answer, sent := s.ask(t, p, c)
			want, text, _ := strings.Cut(c.Want, " ")
			switch want {
			case "allow":
				if status != http.StatusOK {
					t.Fatalf("refused with %d: %s", status, answer)
				}
				if !strings.Contains(sent, c.Sends) {
					t.Errorf("sends\n%s\nwithout %s", sent, c.Sends)
				}
				return
			case "deny":
				want = "403"
			}
			if status == http.StatusOK {
				t.Fatalf("allowed, and sends\n%s", sent)
			}
			if fmt.Sprint(status) != want || !strings.Contains(answer, text) {
				t.Errorf("answers %d %s, want %s", status, answer, c.Want)
			}
			if who, _, ok := strings.Cut(text, " may not"); ok && who != c.Who {
				t.Errorf("the refusal speaks of %s", who)
			}
		})
	}
}

// ask sends a call through the chain and gives what would have been sent.
func (s *suite) ask(t *testing.T, p *Policy, c call) (status int, answer, sent string) {
	method, target, _ := strings.Cut(c.Do, " ")
	var body io.Reader = strings.NewReader(c.Body)
	kind := "application/json"
	if c.Archive != nil {
		body, kind = archiveOf(t, c.Archive), "application/x-tar"
	}
	r := httptest.NewRequest(method, target, body)
	r.Header.Set("Content-Type", kind)
	who := identity.Identity{User: c.Who, Roles: s.Users[c.Who], Method: "token"}
	ctx := identity.NewContext(audit.NewContext(context.Background(), &audit.Record{}), &who)
	chain := authz.New([]authz.Authorizer{p}, authz.Options{})
	mux := router.NewMux(router.Table(), chain.Middleware(router.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request, call *router.Call) error {
			out, err := call.Request(r.Context())
			if err != nil {
				return err
			}
			b, err := io.ReadAll(out.Body)
			sent = fmt.Sprintf("%s %s\n%s", out.Method, out.URL.RequestURI(), b)
			return err
		})))
	mux.Found = func(_ *http.Request, call *router.Call) {
		if call.Engine == "" {
			call.Engine = "local"
		}
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r.WithContext(ctx))
	var e struct{ Message string }
	_ = json.Unmarshal(w.Body.Bytes(), &e)
	return w.Code, e.Message, sent
}

func archiveOf(t *testing.T, files map[string]string) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// Get answers as the Engine would that has the suite's images and containers.
func (s *suite) Get(_ context.Context, _, path string) ([]byte, error) {
	missing := &router.Error{Status: http.StatusNotFound, Message: "No such object"}
	if id, ok := strings.CutPrefix(path, "/containers/"); ok {
		id = strings.TrimSuffix(id, "/json")
		for full, text := range s.Containers {
			if strings.HasPrefix(full, id) {
				return []byte(text), nil
			}
		}
		return nil, missing
	}
	name := strings.TrimSuffix(strings.TrimPrefix(path, "/images/"), "/json")
	for _, image := range s.Engine {
		hex := strings.TrimPrefix(image.ID, "sha256:")
		match := strings.HasPrefix(hex, strings.TrimPrefix(name, "sha256:"))
		canonical, err := router.Canonical(name)
		for _, n := range append(image.Names, image.Digests...) {
			have, _ := router.Canonical(n)
			match = match || err == nil && (have == canonical || have == canonical+":latest")
		}
		if match {
			return json.Marshal(map[string]interface{}{
				"Id": image.ID, "RepoTags": image.Names, "RepoDigests": image.Digests,
				"Config": map[string]interface{}{"OnBuild": image.OnBuild},
			})
		}
	}
	return nil, missing
}
