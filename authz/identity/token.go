package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// maxToken bounds what is hashed for a caller who is not known yet.
const maxToken = 8192

type token struct {
	sum  [sha256.Size]byte
	user string
}

// tokenSource knows callers by "Authorization: Bearer TOKEN". A token anywhere
// else, as in the query, is no evidence; other schemes are other sources'.
type tokenSource struct{ dir *Directory }

func (*tokenSource) Name() string { return "token" }

func (*tokenSource) Ask() (how, challenge string) {
	return `send "Authorization: Bearer TOKEN" (docker: HttpHeaders in config.json)`, "Bearer"
}

func (s *tokenSource) Identify(r *http.Request) (*Identity, error) {
	secret, err := bearer(r.Header)
	if secret == "" || err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(secret))
	found := -1
	for i := range s.dir.tokens { // all of them, so that time tells nothing
		same := subtle.ConstantTimeCompare(sum[:], s.dir.tokens[i].sum[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return nil, errors.New("no user of this moorgate has the token that you sent: ask for a new one, made by `moorgate token`")
	}
	user := s.dir.tokens[found].user
	return &Identity{User: user, Roles: s.dir.users[user].Roles, Method: s.Name()}, nil
}

// bearer gives the request's bearer token; "" where the request has none.
func bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errors.New("there are two Authorization headers: send one")
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "bearer") {
		return "", nil
	}
	secret = strings.Trim(secret, " ")
	if secret == "" || len(secret) > maxToken || strings.ContainsAny(secret, " \t,") {
		return "", errors.New(`the Authorization header is malformed: send "Authorization: Bearer TOKEN" with one token`)
	}
	return secret, nil
}
