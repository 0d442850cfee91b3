package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
	"moorgate/proxy/http1"
)

// authority signs certificates and leaves them in a folder as docker does.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

// sign writes NAME.pem and NAME-key.pem.
func (a *authority) sign(t testing.TB, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.Subject = pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + "-key.pem": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func (a *authority) server(t testing.TB, name string) {
	a.sign(t, name, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func (a *authority) client(t testing.TB, name string) tls.Certificate {
	a.sign(t, name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pair, err := tls.LoadX509KeyPair(a.path(name+".pem"), a.path(name+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// engine runs a fake Engine that wants a client certificate of a's.
func (a *authority) engine(t testing.TB) *enginetest.Engine {
	t.Helper()
	a.server(t, "engine")
	pair, err := tls.LoadX509KeyPair(a.path("engine.pem"), a.path("engine-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"h2", "http/1.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.StartOn(t, l)
}

// sort is a door of which not everything is a unix socket.
type sort struct{ open func(t testing.TB) *door }

func everySort(t testing.TB) map[string]sort {
	a := newAuthority(t)
	a.server(t, "server")
	a.client(t, "client")
	overTLS := func(t testing.TB) *door {
		fake := a.engine(t)
		e, err := NewEngine("local", EngineConfig{Address: fake.Address, TLS: &EngineTLS{CA: a.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client-key.pem")}})
		if err != nil {
			t.Fatal(err)
		}
		return openTo(t, "tcp", fake, e, nil)
	}
	return map[string]sort{
		"unix": {func(t testing.TB) *door { return open(t, "unix") }},
		"tcp":  {func(t testing.TB) *door { return open(t, "tcp") }},
		"tcp engine": {func(t testing.TB) *door {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			fake := enginetest.StartOn(t, l)
			e, err := NewEngine("local", EngineConfig{Address: fake.Address})
			if err != nil {
				t.Fatal(err)
			}
			return openTo(t, "unix", fake, e, nil)
		}},
		"tls engine": {overTLS},
		"tls both": {func(t testing.TB) *door {
			d := overTLS(t)
			ls, err := Listen(ListenConfig{Address: "tcp://127.0.0.1:0", TLS: &ListenTLS{Cert: a.path("server.pem"), Key: a.path("server-key.pem")}})
			if err != nil {
				t.Fatal(err)
			}
			go d.server.Serve(ls[0])
			d.network, d.target = "tls", ls[0].Addr().String()
			d.roots = a.pool()
			return d
		}},
	}
}

// TestListenTLS: HTTP/1.1 alone is offered, certificates are verified where
// they are shown, and not asked for otherwise.
func TestListenTLS(t *testing.T) {
	a, foreign := newAuthority(t), newAuthority(t)
	a.server(t, "server")
	ls, err := Listen(ListenConfig{Address: "tcp://127.0.0.1:0", TLS: &ListenTLS{Cert: a.path("server.pem"), Key: a.path("server-key.pem"), ClientCA: a.path("ca.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	s := &http1.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if r.TLS == nil {
			t.Error("the request knows nothing of TLS")
		} else if len(r.TLS.VerifiedChains) > 0 {
			name = r.TLS.VerifiedChains[0][0].Subject.CommonName
		}
		w.Write([]byte(name))
	})}
	go s.Serve(ls[0])
	t.Cleanup(s.Close)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		nc, err := net.Dial("tcp", ls[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		resp, body := newCaller(t, nc).send(method + " /").answer(method)
		if told := strings.Contains(body, "an HTTP request to an HTTPS server"); resp.StatusCode != 400 || told == (method == "HEAD") {
			t.Errorf("%s in the clear: got %s %q", method, resp.Status, body)
		}
	}
	for _, test := range []struct {
		name   string
		config *tls.Config
		want   string // "" is an error
	}{
		{"no certificate", &tls.Config{}, "nobody"},
		{"a certificate", &tls.Config{Certificates: []tls.Certificate{a.client(t, "alice")}}, "alice"},
		{"of a foreign authority", &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c := foreign.client(t, "alice")
			return &c, nil // whatever the server says it takes
		}}, ""},
		{"a server's as a client's", &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(a.path("server.pem"), a.path("server-key.pem"))
			return &c, err
		}}, ""},
		{"h2 or http/1.1", &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, "nobody"},
		{"h2 alone", &tls.Config{NextProtos: []string{"h2"}}, ""},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.RootCAs = a.pool()
			nc, err := tls.Dial("tcp", ls[0].Addr().String(), test.config)
			if err != nil {
				if test.want != "" {
					t.Error(err)
				}
				return
			}
			c := newCaller(t, nc)
			if p := nc.ConnectionState().NegotiatedProtocol; p == "h2" {
				t.Error("h2 was agreed upon")
			}
			if test.want == "" {
				c.SetReadDeadline(time.Now().Add(5 * time.Second))
				if _, err := c.r.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
					t.Errorf("it goes on: %v", err)
				}
				return
			}
			if _, body := c.send("GET /").answer(); body != test.want {
				t.Errorf("got %q", body)
			}
		})
	}
}

// TestEngineTLS: an Engine is believed by its authority only, and shown
// moorgate's certificate.
func TestEngineTLS(t *testing.T) {
	a, foreign := newAuthority(t), newAuthority(t)
	fake := a.engine(t)
	a.client(t, "client")
	foreign.client(t, "client")
	for _, test := range []struct {
		name string
		tls  EngineTLS
		want string // "" is success
	}{
		{"right", EngineTLS{CA: a.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client-key.pem")}, ""},
		{"wrong authority", EngineTLS{CA: foreign.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client-key.pem")}, "certificate signed by unknown authority"},
		{"the system's authorities", EngineTLS{Cert: a.path("client.pem"), Key: a.path("client-key.pem")}, "certificate"},
		{"no client certificate", EngineTLS{CA: a.path("ca.pem")}, "engine local at "},
		{"foreign client certificate", EngineTLS{CA: a.path("ca.pem"), Cert: foreign.path("client.pem"), Key: foreign.path("client-key.pem")}, "engine local at "},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := NewEngine("local", EngineConfig{Address: fake.Address, TLS: &test.tls})
			if err != nil {
				t.Fatal(err)
			}
			d := openTo(t, "unix", fake, e, nil)
			c := d.dial(t)
			for range 2 { // the second by the kept connection
				resp, body := c.send("GET /_ping").answer()
				if test.want == "" {
					if resp.StatusCode != 200 || body != "OK" {
						t.Errorf("got %s %q", resp.Status, body)
					}
				} else if resp.StatusCode != 502 || !strings.Contains(body, test.want) {
					t.Errorf("got %s %q", resp.Status, body)
				}
			}
		})
	}
	if n := len(fake.Requests()); n != 2 {
		t.Errorf("the Engine got %d requests", n)
	}
}
