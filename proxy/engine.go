// Package proxy carries Calls to Docker Engines and their answers back: the
// upstream engines, the listeners, and the relay of hijacked streams.
package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"moorgate/proxy/http1"
	"moorgate/router"
)

// EngineConfig says where an Engine is.
type EngineConfig struct {
	// Address is unix:///path or tcp://host:port.
	Address string `yaml:"address"`
	// TLS is how to reach a tcp address that wants TLS.
	TLS *EngineTLS `yaml:"tls,omitempty"`
}

// EngineTLS holds the files for TLS with an Engine, as docker's own ca.pem,
// cert.pem and key.pem.
type EngineTLS struct {
	// Cert and Key are moorgate's client certificate, where the Engine asks
	// for one.
	Cert string `yaml:"cert,omitempty"`
	// Key is the certificate's private key.
	Key string `yaml:"key,omitempty"`
	// CA verifies the Engine; the system's authorities if it is left out.
	CA string `yaml:"ca,omitempty"`
}

const (
	dialTime  = 10 * time.Second
	askTime   = 5 * time.Second
	whenUp    = 5 * time.Second // between two health checks
	whenDown  = time.Second     // the same while the Engine is away
	keepAlive = 30 * time.Second
)

// Engine is one upstream Docker Engine.
type Engine struct {
	// Name is its key in the configuration.
	Name string
	// Address is where it is, for messages.
	Address string

	transport http1.Transport
	whenUp    time.Duration
	whenDown  time.Duration
	newest    atomic.Pointer[string] // its API version, once it has told
	state     atomic.Int32           // 0 not asked yet, 1 up, 2 down
}

// NewEngine makes an Engine; it does not connect.
func NewEngine(name string, cfg EngineConfig) (*Engine, error) {
	network, address, err := ParseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	e := &Engine{Name: name, Address: cfg.Address, whenUp: whenUp, whenDown: whenDown}
	dialer := net.Dialer{Timeout: dialTime, KeepAlive: keepAlive}
	e.transport.Dial = func(ctx context.Context) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	if network == "unix" {
		// Connecting there never waits, so there is nothing to give up: neither
		// a timer nor a watch over the caller is needed.
		e.transport.Dial = func(context.Context) (net.Conn, error) {
			return new(net.Dialer).Dial(network, address)
		}
	}
	if cfg.TLS == nil {
		return e, nil
	}
	if network != "tcp" {
		return nil, fmt.Errorf("tls with %s: only tcp addresses speak TLS", cfg.Address)
	}
	conf, err := cfg.TLS.load(address)
	if err != nil {
		return nil, err
	}
	e.transport.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		t := tls.Client(c, conf)
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, err
		}
		return t, nil
	}
	return e, nil
}

func (t *EngineTLS) load(address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if t.CA != "" {
		if conf.RootCAs, err = readPool(t.CA); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
	}
	if t.Cert != "" || t.Key != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// ParseAddress reads unix:///path and tcp://host:port.
func ParseAddress(address string) (network, target string, err error) {
	scheme, rest, ok := strings.Cut(address, "://")
	switch {
	case ok && scheme == "unix" && strings.HasPrefix(rest, "/"):
		return "unix", rest, nil
	case ok && scheme == "tcp":
		u, err := url.Parse(address)
		if err == nil && u.Hostname() != "" && isPort(u.Port()) && (u.Path == "" || u.Path == "/") && u.User == nil && u.RawQuery == "" {
			return "tcp", u.Host, nil
		}
	case ok && scheme == "ssh":
		return "", "", fmt.Errorf("address %q: ssh is not spoken: forward the socket with ssh -L and write unix:///path", address)
	}
	return "", "", fmt.Errorf("address %q: write unix:///path or tcp://host:port", address)
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// Newest is the Engine's newest API version as it last told; "" while it has
// not.
func (e *Engine) Newest() string {
	if v := e.newest.Load(); v != nil {
		return *v
	}
	return ""
}

// Up says whether the last health check succeeded.
func (e *Engine) Up() bool { return e.state.Load() == 1 }

// Watch asks the Engine again and again whether it is there, until ctx ends.
// Told hears the first result and each change.
func (e *Engine) Watch(ctx context.Context, told func(e *Engine, err error)) {
	for {
		err := e.ask(ctx, "/_ping", e.learn)
		if ctx.Err() != nil {
			return
		}
		state, wait := int32(1), e.whenUp
		if err != nil {
			state, wait = 2, e.whenDown
			e.transport.CloseIdle()
		}
		if e.state.Swap(state) != state {
			told(e, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (e *Engine) learn(h http.Header) {
	if v := h.Get("Api-Version"); v != "" {
		e.newest.Store(&v)
	}
}

// Ready asks the Engine a question that it can only answer while it works: a
// ping is answered by one that is stuck, too.
func (e *Engine) Ready(ctx context.Context) error {
	return e.ask(ctx, "/containers/json?limit=1", nil)
}

func (e *Engine) ask(ctx context.Context, target string, header func(http.Header)) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	a, err := e.send(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("engine %s at %s: %w", e.Name, e.Address, err)
	}
	defer a.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("engine %s at %s: answers %s to GET %s", e.Name, e.Address, a.Status, a.Request.URL.Opaque)
	}
	if header != nil {
		header(a.Header)
	}
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		return fmt.Errorf("engine %s at %s: %w", e.Name, e.Address, err)
	}
	return nil
}

// Close closes the connections that wait for requests.
func (e *Engine) Close() { e.transport.CloseIdle() }

// tooNew refuses a version that the Engine has not got, in its own words.
func (e *Engine) tooNew(version string) error {
	newest := e.Newest()
	if version == "" || newest == "" || !router.Older(newest, version) {
		return nil
	}
	return &router.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(
		"client version %s is too new. Maximum supported API version is %s", version, newest)}
}

// away says what became of a request that got no answer.
func (e *Engine) away(ctx context.Context, err error) error {
	var refused *router.Error
	var dial *http1.DialError
	var body *http1.BodyError
	switch {
	case errors.As(err, &refused):
		return err
	case ctx.Err() != nil:
		return &router.Error{Status: statusGone, Message: "the caller has gone", Err: err}
	case errors.As(err, &body):
		return &router.Error{Status: http.StatusBadRequest, Message: "request body ended early: send all of it", Err: err}
	case errors.As(err, &dial) && errors.Is(err, os.ErrPermission):
		return &router.Error{Status: http.StatusBadGateway, Err: err,
			Message: fmt.Sprintf("moorgate: engine %s at %s does not let moorgate in: run moorgate in the socket's group", e.Name, e.Address)}
	case errors.As(err, &dial):
		return &router.Error{Status: http.StatusBadGateway, Err: err,
			Message: fmt.Sprintf("moorgate: engine %s at %s is away: start it, or mend its address: %v", e.Name, e.Address, cause(err))}
	}
	return &router.Error{Status: http.StatusBadGateway, Err: err,
		Message: fmt.Sprintf("moorgate: engine %s at %s broke off without an answer: look at its log", e.Name, e.Address)}
}

// statusGone is what records say of a caller who left before the answer, as
// the Engine's own log does.
const statusGone = 499

// cause is the innermost error: "connection refused", without the way there.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
