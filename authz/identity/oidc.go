package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDC says whose tokens are believed: "Authorization: Bearer" and a JWT that
// the issuer signed for moorgate. Keys are fetched from the issuer when the
// first token comes, and again when one is signed with a key not seen before;
// moorgate starts while the issuer is away, and answers its tokens with 503
// until it is back. A bearer that is no JWT of the issuer is the token
// source's, if the listener has both.
type OIDC struct {
	// Issuer is the issuer's URL, exactly as its tokens and its
	// /.well-known/openid-configuration have it.
	Issuer string `yaml:"issuer"`

	// ClientID is what moorgate is called at the issuer. Only tokens with it
	// in their audience (aud) are taken.
	ClientID string `yaml:"client_id"`

	// ClientSecret is for the login of browsers, or "file:PATH" of a file that
	// holds it. Bearers need none.
	ClientSecret string `yaml:"client_secret"`

	// UsernameClaim is the claim that holds the user's name,
	// preferred_username if left out. Whoever the issuer calls alice is
	// users: alice: choose a claim that people cannot set for themselves.
	// email counts only where the issuer does not say that it is unverified.
	UsernameClaim string `yaml:"username_claim"`

	// GroupsClaim is the claim that holds the user's groups, a list or one
	// name; none are read if it is left out.
	GroupsClaim string `yaml:"groups_claim"`
}

const defaultUsernameClaim = "preferred_username"

// Secret gives the client secret, from its file if it is in one.
func (c *OIDC) Secret() (string, error) {
	if path, ok := strings.CutPrefix(c.ClientSecret, "file:"); ok {
		return readSecret(path)
	}
	return c.ClientSecret, nil
}

// validate tells fault what is wrong.
func (c *OIDC) validate(fault func(message string, path ...string)) {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		fault("write the issuer's URL, like https://sso.example.org", "issuer")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		fault("anyone on the network could pass for the issuer: write https://", "issuer")
	}
	if c.ClientID == "" {
		fault("is missing: write what moorgate is called at the issuer", "client_id")
	}
	if _, err := c.Secret(); err != nil {
		fault(err.Error(), "client_secret")
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// maxVerifying bounds how long a request waits for the issuer.
const maxVerifying = 10 * time.Second

// oidcSource knows callers by the issuer's tokens.
type oidcSource struct {
	dir    *Directory
	tokens bool // whether the token source is beside it
}

func (*oidcSource) Name() string { return "oidc" }

func (s *oidcSource) Ask() (how, challenge string) {
	return fmt.Sprintf(`send "Authorization: Bearer" and a token that %s made for %s`, s.dir.issuer.Issuer, s.dir.issuer.ClientID), "Bearer"
}

func (s *oidcSource) Identify(r *http.Request) (*Identity, error) {
	text, err := credentials(r.Header, "Bearer")
	if text == "" || err != nil {
		return nil, err
	}
	if issuerOf(text) != s.dir.issuer.Issuer {
		if s.tokens {
			return nil, nil
		}
		return nil, fmt.Errorf("the bearer that you sent is no token of %s: get one there", s.dir.issuer.Issuer)
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxVerifying)
	defer cancel()
	token, err := s.dir.issuer.verify(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.dir.holder(token)
}

// holder gives the user whom a verified token names.
func (d *Directory) holder(token *oidc.IDToken) (*Identity, error) {
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return nil, errors.New("the claims of the token are no JSON object")
	}
	name, err := d.issuer.username(claims)
	if err != nil {
		return nil, err
	}
	groups, err := d.issuer.groups(claims)
	if err != nil {
		return nil, err
	}
	who, err := d.named(name, groups, d.issuer.UsernameClaim)
	if err != nil {
		return nil, err
	}
	who.Method, who.setting = "oidc", d.issuer.setting()
	return who, nil
}

// issuerOf gives the issuer that a JWT claims, "" for all that is no JWT. It
// says who is to judge the token, and nothing about its worth.
func issuerOf(bearer string) string {
	if strings.Count(bearer, ".") != 2 {
		return ""
	}
	_, rest, _ := strings.Cut(bearer, ".")
	payload, _, _ := strings.Cut(rest, ".")
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(data, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// username gives the name in the token. There is no second claim to fall back
// to: somebody without the first could be given a name that is another's.
func (c *OIDC) username(claims map[string]json.RawMessage) (string, error) {
	var name string
	raw, ok := claims[c.UsernameClaim]
	if !ok {
		return "", fmt.Errorf("the token has no %s: ask the issuer for the scope that has it, or name another in oidc: username_claim", c.UsernameClaim)
	}
	if json.Unmarshal(raw, &name) != nil || name == "" {
		return "", fmt.Errorf("the token's %s is no name: set oidc: username_claim: to a claim that holds one", c.UsernameClaim)
	}
	if verified, ok := claims["email_verified"]; ok && c.UsernameClaim == "email" {
		if v := strings.Trim(string(verified), `"`); v != "true" {
			return "", errors.New("the issuer has not verified the email address of the token: confirm it there")
		}
	}
	return name, nil
}

func (c *OIDC) groups(claims map[string]json.RawMessage) ([]string, error) {
	raw, ok := claims[c.GroupsClaim]
	if c.GroupsClaim == "" || !ok || string(raw) == "null" {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("the token's %s is no list of names: set oidc: groups_claim: to a claim that is", c.GroupsClaim)
	}
	return list, nil
}

// algorithms are those whose verifying key is public. What else an issuer says
// that it signs with, none and HS256 among them, is never believed.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}
