package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func withSections(t testing.TB, c Config) *Directory {
	t.Helper()
	d, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHeader(t *testing.T) {
	d := withSections(t, Config{
		Users:  map[string]User{"alice": {Roles: []string{"developer"}}},
		Groups: map[string]Group{"staff": {Roles: []string{"guest"}}, "empty": {}},
		Header: &Header{User: "x-forwarded-user", Groups: "X-Forwarded-Groups", Trusted: []string{"127.0.0.1/32", "10.1.0.0/16", "fd00::/64"}},
	})
	source := &headerSource{d, d.header}
	const proxy, other = "127.0.0.1:9", "10.2.0.1:9"
	type h = http.Header
	tests := []struct {
		name, remote string
		header       h
		want         string
	}{
		{"none", proxy, h{}, ""},
		{"none from elsewhere", other, h{}, ""},
		{"known", proxy, h{"X-Forwarded-User": {"alice"}}, "alice"},
		{"from a network", "10.1.255.255:9", h{"X-Forwarded-User": {"alice"}}, "alice"},
		{"from an IPv6 network", "[fd00::5]:9", h{"X-Forwarded-User": {"alice"}}, "alice"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:9", h{"X-Forwarded-User": {"alice"}}, "alice"},
		{"by a group", proxy, h{"X-Forwarded-User": {"carol"}, "X-Forwarded-Groups": {"other, staff"}}, "carol"},
		{"unknown", proxy, h{"X-Forwarded-User": {"eve"}}, `!X-Forwarded-User "eve" is no user of this moorgate`},
		{"a group without roles", proxy, h{"X-Forwarded-User": {"eve"}, "X-Forwarded-Groups": {"empty"}}, `!X-Forwarded-User "eve" is no user`},
		{"spoofed", other, h{"X-Forwarded-User": {"alice"}}, "!X-Forwarded-User is believed from the proxy only"},
		{"spoofed beside the network", "127.0.0.2:9", h{"X-Forwarded-User": {"alice"}}, "!X-Forwarded-User is believed from the proxy only"},
		{"spoofed, empty", other, h{"X-Forwarded-User": {""}}, "!X-Forwarded-User is believed from the proxy only"},
		{"spoofed groups alone", other, h{"X-Forwarded-Groups": {"staff"}}, "!X-Forwarded-Groups is believed from the proxy only"},
		{"spoofed with a claim to come through the proxy", other, h{"X-Forwarded-User": {"alice"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}, "Forwarded": {"for=127.0.0.1"}}, "!X-Forwarded-User is believed from the proxy only"},
		{"no address", "@", h{"X-Forwarded-User": {"alice"}}, "!X-Forwarded-User is believed from the proxy only"},
		{"pipe", "pipe", h{"X-Forwarded-User": {"alice"}}, "!X-Forwarded-User is believed from the proxy only"},
		{"host name", "localhost:9", h{"X-Forwarded-User": {"alice"}}, "!X-Forwarded-User is believed from the proxy only"},
		{"groups alone", proxy, h{"X-Forwarded-Groups": {"staff"}}, "!there is X-Forwarded-Groups without X-Forwarded-User"},
		{"empty", proxy, h{"X-Forwarded-User": {""}}, "!X-Forwarded-User is empty"},
		{"twice", proxy, h{"X-Forwarded-User": {"alice", "alice"}}, "!X-Forwarded-User or X-Forwarded-Groups is there twice"},
		{"another's beside", proxy, h{"X-Forwarded-User": {"alice", "bob"}}, "!X-Forwarded-User or X-Forwarded-Groups is there twice"},
		{"groups twice", proxy, h{"X-Forwarded-User": {"alice"}, "X-Forwarded-Groups": {"a", "b"}}, "!X-Forwarded-User or X-Forwarded-Groups is there twice"},
		{"joined", proxy, h{"X-Forwarded-User": {"alice, bob"}}, "!X-Forwarded-User \"alice, bob\" cannot be a user's name"},
		{"no name", proxy, h{"X-Forwarded-User": {"../alice"}}, "!X-Forwarded-User \"../alice\" cannot be a user's name"},
		{"escape sequence", proxy, h{"X-Forwarded-User": {"a\x1b[2J"}}, `!X-Forwarded-User "a\x1b[2J" cannot be`},
		{"upper case is another", proxy, h{"X-Forwarded-User": {"Alice"}}, `!X-Forwarded-User "Alice" is no user`},
		{"underscores", proxy, h{"X_forwarded_user": {"alice"}}, ""},
		{"many groups", proxy, h{"X-Forwarded-User": {"alice"}, "X-Forwarded-Groups": {strings.Repeat("g,", maxGroups+1)}}, "!X-Forwarded-User alice is in 513 groups"},
		{"a long group", proxy, h{"X-Forwarded-User": {"alice"}, "X-Forwarded-Groups": {strings.Repeat("g", maxGroupName+1)}}, "!a group's name is too long"},
		{"to be dropped", proxy, h{"X-Forwarded-User": {"alice"}, "Connection": {"close, x-forwarded-USER"}}, "!the Connection header names x-forwarded-USER"},
		{"dropped already", proxy, h{"Connection": {"X-Forwarded-Groups"}}, "!the Connection header names X-Forwarded-Groups"},
		{"connection", proxy, h{"X-Forwarded-User": {"alice"}, "Connection": {"Upgrade", "keep-alive,"}}, "alice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Header = test.remote, test.header
			check(t, source, r, test.want)
		})
	}
	r := withHeader("X-Forwarded-User", "alice")
	r.Header.Set("X-Forwarded-Groups", " staff ,,other")
	r.RemoteAddr = proxy
	id, err := source.Identify(r)
	if err != nil || !slices.Equal(id.Groups, []string{"staff", "other"}) || !slices.Equal(id.Roles, []string{"developer", "guest"}) {
		t.Errorf("got %+v, %v", id, err)
	}
	onSocket := r.WithContext(WithPeer(r.Context(), Peer{UID: 0}))
	check(t, source, onSocket, "!X-Forwarded-User is believed from the proxy only")
	unix := withSections(t, Config{Users: map[string]User{"alice": {}}, Header: &Header{User: "X-Forwarded-User", Trusted: []string{"unix"}}})
	check(t, &headerSource{unix, unix.header}, onSocket, "alice")
	check(t, &headerSource{unix, unix.header}, r, "!X-Forwarded-User is believed from the proxy only")
}

// Where header is not in the identify list, the header is nothing.
func TestHeaderElsewhereIsIgnored(t *testing.T) {
	d := withSections(t, Config{
		Users:  map[string]User{"alice": {}, "bob": {UID: uid(5)}},
		Header: &Header{User: "X-Forwarded-User", Trusted: []string{"unix", "127.0.0.1"}},
	})
	sources, err := d.Sources([]string{"peer", "token", "password"})
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range []bool{true, false} {
		r := withHeader("X-Forwarded-User", "alice")
		r.RemoteAddr = "127.0.0.1:9"
		if peer {
			r = r.WithContext(WithPeer(r.Context(), Peer{UID: 5}))
		}
		status, got := ask(sources, r)
		if peer && (status != 200 || got != "bob by peer") || !peer && (status != 401 || !strings.HasPrefix(got, "moorgate: who are you?")) {
			t.Errorf("got %d %s", status, got)
		}
	}
}

// ask gives what Require answers: the user and the method, or the refusal.
func ask(sources []Source, r *http.Request) (status int, answer string) {
	w := httptest.NewRecorder()
	Require(sources, failPlain)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := From(r.Context())
		fmt.Fprintf(w, "%s by %s", id.User, id.Method)
	})).ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestSectionFaults(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		want   []string
	}{
		{"header", Config{Header: &Header{}}, []string{`header.user: "" is no header's name`, "header.trusted: nobody is believed"}},
		{"names", Config{Header: &Header{User: "a b", Groups: "authorization", Trusted: []string{"unix"}}}, []string{`header.user: "a b" is no header's name`, "header.groups: Authorization means something else"}},
		{"the same", Config{Header: &Header{User: "X-User", Groups: "x-user", Trusted: []string{"unix"}}}, []string{"header.groups: is the header of the user's name already"}},
		{"trusted", Config{Header: &Header{User: "X-User", Trusted: []string{"0.0.0.0/0", "::/0", "10.1.2.3/8", "proxy", "127.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.0/104", "10.0.0.0/33"}}}, []string{
			"header.trusted.0: 0.0.0.0/0 is everyone", "header.trusted.1: ::/0 is everyone", "header.trusted.2: 10.1.2.3/8 is an address within a network: write 10.0.0.0/8 for the network, or 10.1.2.3/32",
			`header.trusted.3: "proxy" is no address`, `header.trusted.6: "fe80`, `header.trusted.7: "::ffff`, `header.trusted.8: "10.0.0.0/33"`}},
		{"oidc", Config{OIDC: &OIDC{}}, []string{"oidc.issuer: write the issuer's URL", "oidc.client_id: is missing"}},
		{"plain", Config{OIDC: &OIDC{Issuer: "http://sso.example.org", ClientID: "x"}}, []string{"oidc.issuer: anyone on the network could pass"}},
		{"no URL", Config{OIDC: &OIDC{Issuer: "sso.example.org", ClientID: "x"}}, []string{"oidc.issuer: write"}},
		{"query", Config{OIDC: &OIDC{Issuer: "https://sso.example.org?x", ClientID: "x"}}, []string{"oidc.issuer: write"}},
		{"secret", Config{OIDC: &OIDC{Issuer: "https://sso.example.org", ClientID: "x", ClientSecret: "file:/nowhere/secret"}}, []string{"oidc.client_secret: stat /nowhere/secret"}},
		{"fine", Config{OIDC: &OIDC{Issuer: "http://[::1]:5556/dex", ClientID: "x", ClientSecret: "s"}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.config, nil)
			var got []string
			if err != nil {
				for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
					var f *Fault
					if !errors.As(e, &f) {
						t.Errorf("%v is no Fault", e)
					}
					got = append(got, e.Error())
				}
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLacks(t *testing.T) {
	both := Config{Header: &Header{Trusted: []string{"unix", "::1"}}, OIDC: &OIDC{}}
	tests := []struct {
		c               Config
		source, network string
		want            string
	}{
		{Config{}, "header", "tcp", "needs a section of its own: write header:"},
		{Config{}, "oidc", "unix", "needs a section of its own: write oidc:"},
		{Config{}, "password", "tcp", ""},
		{both, "header", "tcp", ""},
		{both, "header", "unix", ""},
		{both, "oidc", "unix", ""},
		{Config{Header: &Header{Trusted: []string{"::1"}}}, "header", "unix", "nobody is believed on a unix socket"},
		{Config{Header: &Header{Trusted: []string{"unix"}}}, "header", "tcp", "nobody is believed on TCP"},
		{Config{Header: &Header{Trusted: []string{"unix"}}}, "header", "fd", ""},
	}
	for _, test := range tests {
		if got := test.c.Lacks(test.source, test.network); !strings.HasPrefix(got, test.want) || got != "" && test.want == "" {
			t.Errorf("Lacks(%s, %s) of %+v = %q", test.source, test.network, test.c, got)
		}
	}
}

func BenchmarkHeader(b *testing.B) {
	d := withSections(b, Config{
		Users:  map[string]User{"alice": {Roles: []string{"developer"}}},
		Groups: map[string]Group{"staff": {Roles: []string{"guest"}}},
		Header: &Header{User: "X-Forwarded-User", Groups: "X-Forwarded-Groups", Trusted: []string{"127.0.0.1/32"}},
	})
	source := &headerSource{d, d.header}
	r := withHeader("X-Forwarded-User", "alice")
	r.Header.Set("X-Forwarded-Groups", "staff,other")
	r.RemoteAddr = "127.0.0.1:9"
	b.ReportAllocs()
	for b.Loop() {
		if id, err := source.Identify(r); id == nil || err != nil {
			b.Fatal(id, err)
		}
	}
}
