package plugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 1 << 20
	// maxHead bounds its head.
	maxHead = 64 << 10
	// maxExcerpt is how much of an answer that cannot be used is logged.
	maxExcerpt = 256

	// maxConns bounds how many questions a plugin is asked at a time, so that a
	// burst of requests does not overrun the backlog of its socket; the others
	// wait, within their own deadline.
	maxConns = 128
	idleTime = time.Minute

	// mediaType is what the Engine accepts from plugins; it is all that it
	// says in a question's head.
	mediaType = "application/vnd.docker.plugins.v1.2+json"
)

// endpoint is a plugin at one place, with the connections to it.
type endpoint struct {
	place
	transport *http.Transport
}

// newEndpoint does not connect. Limit bounds connecting, which net/http carries
// on with after a question has been given up.
func newEndpoint(p place, limit time.Duration) (*endpoint, error) {
	dialer := net.Dialer{Timeout: limit}
	network, target := p.network, p.target
	e := &endpoint{place: p, transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, target)
		},
		Protocols:              new(http.Protocols),
		DisableCompression:     true, // a compressed answer could be of any size
		TLSHandshakeTimeout:    limit,
		MaxResponseHeaderBytes: maxHead,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns,
		IdleConnTimeout:        idleTime,
		WriteBufferSize:        16 << 10, // a usual question in one write
	}}
	e.transport.Protocols.SetHTTP1(true)
	if p.scheme != "https" {
		return e, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.tls.CA != "" {
		pem, err := os.ReadFile(p.tls.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no PEM certificate", p.tls.CA)
		}
	}
	if p.tls.Cert != "" || p.tls.Key != "" {
		cert, err := tls.LoadX509KeyPair(p.tls.Cert, p.tls.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	e.transport.TLSClientConfig = conf
	return e, nil
}

// brokenError is a connection that failed before a byte of an answer came: the
// question may be asked again.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

func (e *brokenError) Unwrap() error { return e.err }

// post asks one question and gives the body of a 200. It goes to the transport
// and not through an http.Client, so no redirect is followed and no proxy of
// the environment is asked.
func (e *endpoint) post(ctx context.Context, method string, question []byte) ([]byte, error) {
	var begun atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { begun.Store(true) }})
	r := (&http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: e.scheme, Host: e.host, Path: "/" + method},
		Host:   e.host,
		Header: http.Header{"Accept": {mediaType}},
		Body:   http.NoBody,
	}).WithContext(ctx)
	if len(question) > 0 {
		r.ContentLength = int64(len(question))
		r.Body = io.NopCloser(bytes.NewReader(question))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(question)), nil }
	}
	resp, err := e.transport.RoundTrip(r)
	if err != nil {
		return nil, e.broken(ctx, err, begun.Load())
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, errors.New("it switches protocols though nobody asked it to")
	}
	raw, err := readAnswer(ctx, resp)
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d to /%s: %s", resp.StatusCode, method, excerpt(raw))
	}
	return raw, err
}

// broken says what became of a question that got no answer.
func (e *endpoint) broken(ctx context.Context, err error, begun bool) error {
	var untrusted *tls.CertificateVerificationError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &untrusted):
		return fmt.Errorf("%w: give the authority that signed it (tls: ca, or CAFile in the .json file)", err)
	case begun:
		return fmt.Errorf("no HTTP answer: %s", plain(err.Error(), maxWords))
	}
	return &brokenError{fmt.Errorf("no answer: %w", err)}
}

// readAnswer reads a body to its end and no further than maxAnswer.
func readAnswer(ctx context.Context, resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxAnswer {
		return nil, fmt.Errorf("its answer is over %d bytes", maxAnswer)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case len(raw) > maxAnswer:
		return nil, fmt.Errorf("its answer is over %d bytes", maxAnswer)
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("its answer ends early: %s", plain(err.Error(), maxWords))
	}
	return raw, nil
}

// excerpt is what a plugin says of its failure: the Err of an answer in the
// protocol's shape, else the text as it is.
func excerpt(raw []byte) string {
	if d, err := parse(raw, nil); err == nil {
		if text := d.Root().Get("Err").Str(); text != "" {
			return plain(text, maxWords)
		}
	}
	return plain(strings.TrimSpace(string(raw)), maxExcerpt)
}

// at says where the plugin is, for messages.
func (e *endpoint) at() string {
	if e.network == "unix" {
		return "unix://" + e.target
	}
	return e.scheme + "://" + e.target
}

func (e *endpoint) close() { e.transport.CloseIdleConnections() }
