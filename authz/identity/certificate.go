package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net/http"
	"strconv"
)

// certificateSource knows callers by the common name of the client certificate
// that the TLS handshake verified.
type certificateSource struct{ dir *Directory }

func (*certificateSource) Name() string { return "certificate" }

func (*certificateSource) Ask() (how, challenge string) {
	return "show a client certificate (docker --tlsverify --tlscert cert.pem --tlskey key.pem)", ""
}

func (s *certificateSource) Identify(r *http.Request) (*Identity, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 && len(r.TLS.VerifiedChains) == 0 {
		return nil, nil
	}
	if len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil, errors.New("the certificate was not verified: the listener needs tls.client_ca")
	}
	leaf := r.TLS.VerifiedChains[0][0]
	cn, err := commonName(leaf)
	if err != nil {
		return nil, err
	}
	who, err := s.dir.find(s.dir.byCN[cn], cn, leaf.Subject.OrganizationalUnit, "the certificate of "+quoteShort(cn), "certificate: "+quoteShort(cn))
	if err != nil {
		return nil, err
	}
	who.Method = s.Name()
	return who, nil
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// commonName gives the certificate's one common name. x509 takes the last of
// several, others the first.
func commonName(c *x509.Certificate) (string, error) {
	n := 0
	for _, a := range c.Subject.Names {
		if a.Type.Equal(oidCommonName) {
			n++
		}
	}
	if n > 1 {
		return "", errors.New("the certificate has several common names: it needs one")
	}
	if c.Subject.CommonName == "" {
		return "", errors.New("the certificate has no common name: it needs the user's (CN)")
	}
	return c.Subject.CommonName, nil
}

// quoteShort makes a name from outside fit for an error message.
func quoteShort(s string) string {
	const most = 128
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}
