package identity

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func certificate(cn string, ous ...string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{
		CommonName:         cn,
		OrganizationalUnit: ous,
		Names:              []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: cn}},
	}}
}

func TestCertificate(t *testing.T) {
	d := directory(t, map[string]User{
		"alice": {Certificate: "Alice Smith", Roles: []string{"developer"}},
		"bob":   {},
	}, map[string]Group{"staff": {Roles: []string{"guest"}}, "empty": {}})
	source := &certificateSource{d}
	twoNames := certificate("Alice Smith")
	twoNames.Subject.Names = append(twoNames.Subject.Names, twoNames.Subject.Names[0])
	verified := func(c *x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
	}
	tests := []struct {
		name string
		tls  *tls.ConnectionState
		want string
	}{
		{"no TLS", nil, ""},
		{"no certificate", &tls.ConnectionState{}, ""},
		{"known", verified(certificate("Alice Smith")), "alice"},
		{"not verified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate("Alice Smith")}}, "!the certificate was not verified"},
		{"unknown", verified(certificate("eve")), `!the certificate of "eve" is no user of this moorgate: ask for a users: entry with certificate: "eve"`},
		{"unknown in a group", verified(certificate("carol", "staff")), "carol"},
		{"unknown in a group without roles", verified(certificate("carol", "empty")), `!the certificate of "carol" is no user`},
		{"a user's name, but not by certificate", verified(certificate("bob", "staff")), `!the certificate of "bob" is named bob, but users: bob is not known by that`},
		{"a name that is no user's", verified(certificate("../etc", "staff")), `!the certificate of "../etc" is known by its groups only`},
		{"no name", verified(certificate("")), "!the certificate has no common name"},
		{"two names", verified(twoNames), "!the certificate has several"},
		{"long name", verified(certificate(strings.Repeat("x", 5000))), `!the certificate of "xxx`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.TLS = test.tls
			check(t, source, r, test.want)
		})
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.TLS = verified(certificate("Alice Smith", "staff", "other"))
	id, err := source.Identify(r)
	if err != nil || strings.Join(id.Groups, " ") != "staff other" || strings.Join(id.Roles, " ") != "developer guest" {
		t.Errorf("got %+v, %v: the units are groups, and groups give roles", id, err)
	}
}

// check asks the source and compares: a user, "" for no evidence, or "!" and
// the beginning of the error.
func check(t *testing.T, source Source, r *http.Request, want string) {
	t.Helper()
	id, err := source.Identify(r)
	message, wrong := strings.CutPrefix(want, "!")
	switch {
	case wrong:
		if err == nil || !strings.HasPrefix(err.Error(), message) {
			t.Errorf("got %+v, %v, want the error %q", id, err, message)
		} else if len(err.Error()) > 1000 {
			t.Errorf("the error is %d bytes long", len(err.Error()))
		}
	case err != nil:
		t.Errorf("got the error %v, want %q", err, want)
	case want == "":
		if id != nil {
			t.Errorf("got %+v, want no evidence", id)
		}
	case id == nil || id.User != want || id.Method != source.Name():
		t.Errorf("got %+v, want %s by %s", id, want, source.Name())
	}
}
