package identity

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
)

// provider is an OIDC provider that counts who fetches its keys.
type provider struct {
	*mockoidc.MockOIDC
	mu      sync.Mutex // the keys change while it serves
	fetched int
	down    bool
}

func (p *provider) fetches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetched
}

// with changes the provider while it serves nobody.
func (p *provider) with(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func startProvider(t testing.TB, address string) *provider {
	t.Helper()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{MockOIDC: m}
	err = m.AddMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if r.URL.Path == mockoidc.JWKSEndpoint {
				p.fetched++
			}
			if p.down {
				http.Error(w, "down", http.StatusBadGateway)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(l, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Server.Close() })
	return p
}

func (p *provider) directory(t testing.TB) *Directory {
	return withSections(t, p.config())
}

func (p *provider) config() Config {
	return Config{
		Users:  map[string]User{"alice": {Tokens: []string{sumOf("her token")}, Roles: []string{"developer"}}},
		Groups: map[string]Group{"engineering": {Roles: []string{"guest"}}},
		OIDC:   &OIDC{Issuer: p.Issuer(), ClientID: p.ClientID, GroupsClaim: "groups"},
	}
}

// login gets a token as a browser does: authorization code and all.
func (p *provider) login(t testing.TB, user *mockoidc.MockUser) (idToken string) {
	t.Helper()
	p.QueueUser(user)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(p.AuthorizationEndpoint() + "?" + url.Values{
		"scope": {"openid profile email groups"}, "state": {"s"}, "client_id": {p.ClientID},
		"response_type": {"code"}, "redirect_uri": {"http://127.0.0.1/callback"},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(resp.Status, err)
	}
	resp, err = client.PostForm(p.TokenEndpoint(), url.Values{
		"client_id": {p.ClientID}, "client_secret": {p.ClientSecret}, "grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.IDToken == "" {
		t.Fatal(resp.Status, err)
	}
	return answer.IDToken
}

// token signs claims, which change those of a good token; nil takes one away.
func (p *provider) token(t testing.TB, changed jwt.MapClaims) string {
	t.Helper()
	text, err := p.Keypair.SignJWT(p.claims(changed))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *provider) claims(changed jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": p.Issuer(), "aud": p.ClientID, "sub": "1", "preferred_username": "alice",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(claims, changed)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func bearing(token string) *http.Request { return withHeader("Authorization", "Bearer "+token) }

func TestOIDC(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	d := p.directory(t)
	source := &oidcSource{dir: d}

	jane := p.login(t, &mockoidc.MockUser{Subject: "7", PreferredUsername: "jane.doe", Email: "jane@example.com", Groups: []string{"design", "engineering"}})
	for range 3 {
		check(t, source, bearing(jane), "jane.doe")
	}
	id, err := source.Identify(bearing(jane))
	if err != nil || !slices.Equal(id.Groups, []string{"design", "engineering"}) || !slices.Equal(id.Roles, []string{"guest"}) {
		t.Errorf("got %+v, %v", id, err)
	}
	if n := p.fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times for 4 requests", n)
	}
	check(t, source, bearing(p.login(t, &mockoidc.MockUser{Subject: "8", PreferredUsername: "alice"})), "alice")
	check(t, source, bearing(p.login(t, &mockoidc.MockUser{Subject: "9", PreferredUsername: "eve"})), `!preferred_username "eve" is no user of this moorgate`)

	// The issuer changes its keys while we run.
	next, err := mockoidc.RandomKeypair(2048)
	if err != nil {
		t.Fatal(err)
	}
	old := p.Keypair
	p.with(func() { p.Keypair = next })
	check(t, source, bearing(jane), "jane.doe") // the old key is still cached: nothing said that it is gone
	check(t, source, bearing(p.login(t, &mockoidc.MockUser{Subject: "8", PreferredUsername: "alice"})), "alice")
	if n := p.fetches(); n != 2 {
		t.Errorf("the keys were fetched %d times after they changed once", n)
	}
	check(t, source, bearing(jane), "!the token is refused: failed to verify signature")

	// A key that is withdrawn without a new token is gone when discovery is old.
	p.with(func() { p.Keypair = old })
	d.issuer.mu.Lock()
	d.issuer.until = time.Time{}
	d.issuer.mu.Unlock()
	eventually(t, func() bool { id, _ := source.Identify(bearing(jane)); return id != nil })
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 200 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it did not come about")
}

func TestOIDCRefuses(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	d := p.directory(t)
	d.issuer.ready(t.Context())
	source := &oidcSource{dir: d}
	check(t, source, bearing(p.token(t, nil)), "alice")

	sign := func(method jwt.SigningMethod, key any, header map[string]any) string {
		token := jwt.NewWithClaims(method, p.claims(nil))
		token.Header["kid"], _ = p.Keypair.KeyID()
		maps.Copy(token.Header, header)
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	public, err := x509.MarshalPKIXPublicKey(p.Keypair.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	forger, err := mockoidc.RandomKeypair(2048)
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := forger.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	good := p.token(t, nil)
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	root := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":9999999999,"preferred_username":"root"}`, p.Issuer(), p.ClientID)))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	hour := time.Hour
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	refused := "!the token is refused: "

	tests := []struct{ name, token, want string }{
		{"alg none", sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), refused + "oidc: malformed jwt"},
		{"alg none with a signature", none + "." + body + "." + signature, refused + "oidc: malformed jwt"},
		{"HMAC with the public key", sign(jwt.SigningMethodHS256, public, nil), refused + "oidc: malformed jwt"},
		{"HMAC with the public key as PEM", sign(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), nil), refused + "oidc: malformed jwt"},
		{"an algorithm that the issuer does not use", sign(jwt.SigningMethodRS512, p.Keypair.PrivateKey, nil), refused + "oidc: malformed jwt"},
		{"another's key", sign(jwt.SigningMethodRS256, forger.PrivateKey, nil), refused + "failed to verify signature"},
		{"a key of its own", sign(jwt.SigningMethodRS256, forger.PrivateKey, map[string]any{"jwk": set.Keys[0]}), refused + "failed to verify signature"},
		{"a key elsewhere", sign(jwt.SigningMethodRS256, forger.PrivateKey, map[string]any{"jku": "http://127.0.0.1:1/keys", "kid": "x"}), refused + "failed to verify signature"},
		{"other claims", head + "." + root + "." + signature, refused + "failed to verify signature"},
		{"no signature", head + "." + body + ".", refused},
		{"signature cut", good[:len(good)-4], refused},
		{"another's audience", p.token(t, jwt.MapClaims{"aud": "other"}), refused + "oidc: expected audience"},
		{"several audiences", p.token(t, jwt.MapClaims{"aud": []string{"other", p.ClientID}}), "alice"},
		{"no audience", p.token(t, jwt.MapClaims{"aud": nil}), refused + "oidc: expected audience"},
		{"expired", p.token(t, jwt.MapClaims{"exp": at(-hour)}), "!the token was good until "},
		{"for ever", p.token(t, jwt.MapClaims{"exp": nil}), "!the token was good until "},
		{"not yet", p.token(t, jwt.MapClaims{"nbf": at(hour)}), refused + "oidc: current time"},
		{"another issuer", p.token(t, jwt.MapClaims{"iss": "https://other.example.org"}), "!the bearer that you sent is no token of " + p.Issuer()},
		{"almost the issuer", p.token(t, jwt.MapClaims{"iss": p.Issuer() + "/"}), "!the bearer that you sent is no token of"},
		{"no issuer", p.token(t, jwt.MapClaims{"iss": nil}), "!the bearer that you sent is no token of"},
		{"opaque", "her token"[4:], "!the bearer that you sent is no token of"},
		{"no JSON", "a.b.c", "!the bearer that you sent is no token of"},
		{"no name", p.token(t, jwt.MapClaims{"preferred_username": nil, "email": "alice"}), "!the token has no preferred_username"},
		{"a number", p.token(t, jwt.MapClaims{"preferred_username": 7}), "!the token's preferred_username is no name"},
		{"null", p.token(t, jwt.MapClaims{"preferred_username": json.RawMessage("null")}), "!the token's preferred_username is no name"},
		{"a list", p.token(t, jwt.MapClaims{"preferred_username": []string{"alice"}}), "!the token's preferred_username is no name"},
		{"empty", p.token(t, jwt.MapClaims{"preferred_username": ""}), "!the token's preferred_username is no name"},
		{"no name of a user", p.token(t, jwt.MapClaims{"preferred_username": "*"}), `!preferred_username "*" cannot be a user's name`},
		{"another case", p.token(t, jwt.MapClaims{"preferred_username": nil, "Preferred_Username": "alice"}), "!the token has no preferred_username"},
		{"groups of the wrong kind", p.token(t, jwt.MapClaims{"groups": map[string]any{"engineering": true}}), "!the token's groups is no list"},
		{"one group", p.token(t, jwt.MapClaims{"preferred_username": "carol", "groups": "engineering"}), "carol"},
		{"null groups", p.token(t, jwt.MapClaims{"groups": json.RawMessage("null")}), "alice"},
		{"many groups", p.token(t, jwt.MapClaims{"groups": make([]string, maxGroups+1)}), "!preferred_username alice is in 513 groups"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check(t, source, bearing(test.token), test.want)
		})
	}
	check(t, source, withHeader("Authorization"), "")
	check(t, source, withHeader("Authorization", basic("alice:x")), "")
	check(t, source, withHeader("Authorization", "Bearer "+good, "Bearer "+good), "!there are two")
}

func TestOIDCEmail(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	c := p.config()
	c.OIDC.UsernameClaim = "email"
	c.Users = map[string]User{"alice@example.com": {}}
	source := &oidcSource{dir: withSections(t, c)}
	for verified, want := range map[any]string{true: "alice@example.com", "true": "alice@example.com", nil: "alice@example.com", false: "!the issuer has not verified", "false": "!the issuer has not verified", 1: "!the issuer has not verified"} {
		check(t, source, bearing(p.token(t, jwt.MapClaims{"email": "alice@example.com", "email_verified": verified})), want)
	}
}

// A bearer is the issuer's or it is a token: neither source takes the other's
// for wrong, and what is neither's is refused.
func TestOIDCBesideToken(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	d := withSections(t, func() Config {
		c := p.config()
		c.Users["bob"] = User{Tokens: []string{sumOf("a.b.c")}}
		return c
	}())
	jwts, opaque := p.token(t, nil), "moorgate_x"
	d.tokens = append(d.tokens, token{sum: mustSum(t, sumOf(opaque)), user: "alice"})
	other := p.token(t, jwt.MapClaims{"iss": "https://other.example.org"})
	forged := jwts[:len(jwts)-8] + "AAAAAAAA"
	tests := []struct {
		identify string
		bearer   string
		status   int
		want     string
	}{
		{"token oidc", opaque, 200, "alice by token"},
		{"token oidc", "a.b.c", 200, "bob by token"},
		{"token oidc", jwts, 200, "alice by oidc"},
		{"token oidc", "wrong", 401, "moorgate: token: no user of this moorgate has the token that you sent, and it is none of " + p.Issuer()},
		{"token oidc", other, 401, "moorgate: token: no user"},
		{"token oidc", forged, 401, "moorgate: oidc: the token is refused"},
		{"oidc token", opaque, 200, "alice by token"},
		{"oidc token", jwts, 200, "alice by oidc"},
		{"oidc token", "wrong", 401, "moorgate: token: no user"},
		{"oidc token", other, 401, "moorgate: token: no user"},
		{"oidc token", forged, 401, "moorgate: oidc: the token is refused"},
		{"oidc", opaque, 401, "moorgate: oidc: the bearer that you sent is no token of"},
		{"oidc", jwts, 200, "alice by oidc"},
		{"token", opaque, 200, "alice by token"},
		{"token", jwts, 401, "moorgate: token: no user of this moorgate has the token that you sent: ask"},
		{"password", jwts, 401, "moorgate: who are you?"},
	}
	for _, test := range tests {
		sources, err := d.Sources(strings.Fields(test.identify))
		if err != nil {
			t.Fatal(err)
		}
		if status, got := ask(sources, bearing(test.bearer)); status != test.status || !strings.HasPrefix(got, test.want) {
			t.Errorf("[%s] and %.20s...: %d %s, want %d %s", test.identify, test.bearer, status, got, test.status, test.want)
		}
	}
}

func mustSum(t *testing.T, line string) [32]byte {
	t.Helper()
	sum, err := parseTokenSum(line)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestOIDCSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{"s3cret": "s3cret", "file:" + file: "s3cret", "": ""} {
		if got, err := (&OIDC{ClientSecret: setting}).Secret(); got != want || err != nil {
			t.Errorf("%q is %q, %v", setting, got, err)
		}
	}
}

func FuzzIssuerOf(f *testing.F) {
	f.Add("e30.eyJpc3MiOiJ4In0.e30")
	f.Fuzz(func(t *testing.T, text string) {
		if iss := issuerOf(text); iss != "" && strings.Count(text, ".") != 2 {
			t.Errorf("%q is no JWT, and is %q's", text, iss)
		}
	})
}

func BenchmarkOIDC(b *testing.B) {
	p := startProvider(b, "127.0.0.1:0")
	source := &oidcSource{dir: p.directory(b)}
	r := bearing(p.login(b, &mockoidc.MockUser{Subject: "7", PreferredUsername: "alice", Groups: []string{"design", "engineering"}}))
	if id, err := source.Identify(r); id == nil || err != nil { // asks the issuer
		b.Fatal(id, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if id, err := source.Identify(r); id == nil || err != nil {
			b.Fatal(id, err)
		}
	}
}
