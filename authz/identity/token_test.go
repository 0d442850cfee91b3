package identity

import (
	"crypto/sha256"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func sumOf(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }

func TestToken(t *testing.T) {
	d := directory(t, map[string]User{
		"alice": {Tokens: []string{sumOf("one"), sumOf("two")}, Roles: []string{"developer"}},
		"bob":   {Tokens: []string{sumOf("three")}},
	}, nil)
	source := &tokenSource{dir: d}
	tests := []struct {
		name    string
		headers []string
		want    string // the user, "" for no evidence, or the beginning of the error after "!"
	}{
		{"none", nil, ""},
		{"right", []string{"Bearer one"}, "alice"},
		{"her other", []string{"Bearer two"}, "alice"},
		{"his", []string{"Bearer three"}, "bob"},
		{"scheme in any case", []string{"bEARER one"}, "alice"},
		{"wrong", []string{"Bearer four"}, "!no user of this moorgate has the token"},
		{"a prefix", []string{"Bearer on"}, "!no user"},
		{"the sum itself", []string{"Bearer " + sumOf("one")}, "!no user"},
		{"two headers", []string{"Bearer one", "Bearer one"}, "!there are two"},
		{"two of different sort", []string{"Basic eA==", "Bearer one"}, "!there are two"},
		{"basic is another's", []string{"Basic eA=="}, ""},
		{"no scheme", []string{"one"}, ""},
		{"empty", []string{"Bearer "}, "!the Authorization header is malformed"},
		{"scheme alone", []string{"Bearer"}, "!the Authorization header is malformed"},
		{"two tokens", []string{"Bearer one two"}, "!the Authorization header is malformed"},
		{"joined headers", []string{"Bearer one, Bearer two"}, "!the Authorization header is malformed"},
		{"tab", []string{"Bearer one\tx"}, "!the Authorization header is malformed"},
		{"huge", []string{"Bearer " + strings.Repeat("x", maxToken+1)}, "!the Authorization header is malformed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/?token=one&access_token=one&Authorization=Bearer+one", nil)
			r.Header["Authorization"] = test.headers
			check(t, source, r, test.want)
		})
	}
}

func TestTokenOfNobody(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer one")
	check(t, &tokenSource{dir: directory(t, nil, nil)}, r, "!no user")
}

func BenchmarkToken(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("users=%d", n), func(b *testing.B) {
			users := map[string]User{}
			for i := range n {
				users[fmt.Sprint("u", i)] = User{Tokens: []string{sumOf(fmt.Sprint(i))}}
			}
			source := &tokenSource{dir: directory(b, users, nil)}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer 0")
			b.ReportAllocs()
			for b.Loop() {
				if id, err := source.Identify(r); id == nil || err != nil {
					b.Fatal(id, err)
				}
			}
		})
	}
}
