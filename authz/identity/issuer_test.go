package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"
)

func TestOIDCWhileTheIssuerIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var mu sync.Mutex
	var logged []string
	d, err := New(Config{Users: map[string]User{"alice": {Tokens: []string{sumOf("hers")}}},
		OIDC: &OIDC{Issuer: "http://" + address + mockoidc.IssuerBase, ClientID: "x"}},
		func(err error) { mu.Lock(); defer mu.Unlock(); logged = append(logged, err.Error()) })
	if err != nil {
		t.Fatalf("moorgate cannot start without the issuer: %v", err)
	}
	sources, err := d.Sources([]string{"oidc", "token"})
	if err != nil {
		t.Fatal(err)
	}
	payload := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"iss":%q}`, d.issuer.Issuer)))
	for range 3 {
		w := httptest.NewRecorder()
		Require(sources, failPlain)(http.NotFoundHandler()).ServeHTTP(w, bearing("e30."+payload+".e30"))
		want := "moorgate: oidc: " + d.issuer.Issuer + " does not answer, so that your token cannot be verified: try again in 1s\n"
		if w.Code != 503 || w.Body.String() != want || w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
			t.Fatalf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
		if status, got := ask(sources, bearing("hers")); status != 200 {
			t.Fatalf("tokens are refused meanwhile: %s", got)
		}
	}
	mu.Lock()
	if len(logged) != 1 || !strings.Contains(logged[0], "connection refused") {
		t.Errorf("logged %q: it should be asked once, then left alone for a while", logged)
	}
	mu.Unlock()

	p := startProvider(t, address)
	p.with(func() { p.ClientID = "x" })
	eventually(t, func() bool {
		id, _ := sources[0].Identify(bearing(p.token(t, nil)))
		return id != nil
	})

	// The issuer goes away again: keys that are known verify on, unknown ones cannot be fetched.
	p.with(func() { p.down = true })
	check(t, sources[0], bearing(p.token(t, nil)), "alice")
	next, err := mockoidc.RandomKeypair(2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := next.SignJWT(p.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	var no *Refusal
	if _, err := sources[0].Identify(bearing(text)); !errors.As(err, &no) || no.Status != 503 {
		t.Errorf("an unknown key while the issuer is away: %v", err)
	}
	d.issuer.mu.Lock()
	d.issuer.until = time.Time{} // what is known is old
	d.issuer.mu.Unlock()
	for range 3 {
		check(t, sources[0], bearing(p.token(t, nil)), "alice")
	}
}

func TestOIDCWhileTheIssuerHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	d := withSections(t, Config{OIDC: &OIDC{Issuer: server.URL, ClientID: "x"}})
	payload := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"iss":%q}`, server.URL)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := (&oidcSource{dir: d}).Identify(bearing("e30." + payload + ".e30").WithContext(ctx))
	var no *Refusal
	if !errors.As(err, &no) || no.Status != 503 {
		t.Errorf("got %v", err)
	}
	if d.issuer.client.Timeout <= 0 || d.issuer.client.Timeout > maxVerifying {
		t.Errorf("a question may take %s", d.issuer.client.Timeout)
	}
}

// Everything that is no good answer is the issuer's failure and its reason is logged.
func TestOIDCBadIssuers(t *testing.T) {
	var answer http.HandlerFunc
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	defer server.Close()
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "it answers 500"},
		{"HTML", says("<html>"), "failed to decode"},
		{"another issuer", says(`{"issuer":"https://other.example.org"}`), "did not match"},
		{"keys over plain HTTP", says(fmt.Sprintf(`{"issuer":%q,"jwks_uri":"http://keys.example.org/"}`, server.URL)), "its jwks_uri"},
		{"no keys", says(fmt.Sprintf(`{"issuer":%q}`, server.URL)), "its jwks_uri"},
		{"keys in a file", says(fmt.Sprintf(`{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, server.URL)), "its jwks_uri"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for chunk := make([]byte, 64<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "longer than 1048576 bytes"},
		{"redirect to plain HTTP", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://keys.example.org/", http.StatusFound)
		}, "it redirects to http://keys"},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "it redirects to"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer = test.answer
			var logged error
			d, err := New(Config{OIDC: &OIDC{Issuer: server.URL, ClientID: "x"}}, func(err error) { logged = err })
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.issuer.ready(t.Context())
			var no *Refusal
			if !errors.As(err, &no) || no.Status != 503 || logged == nil || !strings.Contains(logged.Error(), test.want) {
				t.Errorf("got %v, logged %v, want %s", err, logged, test.want)
			}
		})
	}
}

func TestOIDCBacksOff(t *testing.T) {
	d := withSections(t, Config{OIDC: &OIDC{Issuer: "http://127.0.0.1:1", ClientID: "x"}})
	now := time.Now()
	d.issuer.now = func() time.Time { return now }
	var waits []string
	for range 9 {
		if _, err := d.issuer.ready(t.Context()); err == nil {
			t.Fatal("it answers")
		}
		d.issuer.mu.Lock()
		waits = append(waits, d.issuer.delay.String())
		now = d.issuer.until
		d.issuer.mu.Unlock()
	}
	if got := strings.Join(waits, " "); got != "1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s" {
		t.Errorf("it waited %s", got)
	}
}

// Strangers cannot make moorgate flood the issuer, and get the same answer.
func TestOIDCKeysAreFetchedSparingly(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	source := &oidcSource{dir: p.directory(t)}
	check(t, source, bearing(p.token(t, nil)), "alice")
	forged := p.token(t, nil)
	forged = forged[:len(forged)-8] + "AAAAAAAA"
	for range 10 * keysBurst {
		check(t, source, bearing(forged), "!the token is refused: failed to verify signature")
	}
	if n := p.fetches(); n > keysBurst+1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	check(t, source, bearing(p.token(t, nil)), "alice")
}
