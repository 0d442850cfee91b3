package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// maxToken bounds what is hashed for a caller who is not known yet. A token of
// an issuer that lists a hundred groups is 8 KiB.
const maxToken = 16 << 10

type token struct {
	sum  [sha256.Size]byte
	user string
}

// NewToken makes a token and the line that stands for it in the configuration.
func NewToken() (token, line string) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	token = "moorgate_" + base64.RawURLEncoding.EncodeToString(random[:])
	return token, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token)))
}

// tokenSource knows callers by "Authorization: Bearer TOKEN". A token anywhere
// else, as in the query, is no evidence; other schemes are other sources'.
type tokenSource struct {
	dir    *Directory
	issuer string // whose bearers are for the oidc source beside this one; "" for none
}

func (*tokenSource) Name() string { return "token" }

func (*tokenSource) Ask() (how, challenge string) {
	return `send "Authorization: Bearer TOKEN" (docker: HttpHeaders in config.json)`, "Bearer"
}

func (s *tokenSource) Identify(r *http.Request) (*Identity, error) {
	secret, err := credentials(r.Header, "Bearer")
	if secret == "" || err != nil {
		return nil, err
	}
	if s.issuer != "" && issuerOf(secret) == s.issuer {
		return nil, nil
	}
	who, err := s.dir.Token(secret)
	if err == errToken && s.issuer != "" {
		err = fmt.Errorf("%s, and it is none of %s%s", nobodysToken, s.issuer, newToken)
	}
	return who, err
}

const (
	nobodysToken = "no user of this moorgate has the token that you sent"
	newToken     = ": ask for a new one, made by `moorgate token`"
)

var errToken = errors.New(nobodysToken + newToken)

// Token gives the identity of the user whose token it is.
func (d *Directory) Token(secret string) (*Identity, error) {
	if len(secret) > maxToken {
		return nil, fmt.Errorf("a token has at most %d bytes", maxToken)
	}
	sum := sha256.Sum256([]byte(secret))
	found := -1
	for i := range d.tokens { // all of them, so that time tells nothing
		same := subtle.ConstantTimeCompare(sum[:], d.tokens[i].sum[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return nil, errToken
	}
	user := d.tokens[found].user
	return &Identity{User: user, Roles: d.users[user].Roles, Method: "token", setting: sum}, nil
}

// credentials gives what the request's Authorization header holds in a scheme;
// "" where it has none or another scheme's.
func credentials(h http.Header, scheme string) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("there are two Authorization headers: send one")
	}
	sent, secret, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(sent, scheme) {
		return "", nil
	}
	secret = strings.Trim(secret, " ")
	if secret == "" || len(secret) > maxToken || strings.ContainsAny(secret, " \t,") {
		return "", fmt.Errorf(`the Authorization header is malformed: send "Authorization: %s" and one credential, of at most %d bytes`, scheme, maxToken)
	}
	return secret, nil
}
