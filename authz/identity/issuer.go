package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	// discoveryLife is how long what the issuer said of itself is believed;
	// keys that it withdrew are gone after that.
	discoveryLife = time.Hour
	// How long moorgate waits before it asks an issuer that did not answer
	// again: twice as long every time.
	firstRetry, lastRetry = time.Second, time.Minute

	issuerTimeout = 10 * time.Second // of one request to the issuer
	maxIssuerBody = 1 << 20          // of one answer

	// Tokens signed with unknown keys make moorgate fetch the keys: so many
	// times at once, and once more every so often. In between, what the last
	// keys do not verify is wrong.
	keysEvery, keysBurst = 3 * time.Second, 10
)

// issuer verifies tokens with what the issuer says of itself, asked when first
// needed.
type issuer struct {
	OIDC
	client *http.Client
	log    func(error)
	now    func() time.Time

	mu     sync.Mutex
	said   *discovered   // nil until the issuer answered
	until  time.Time     // when it is to be asked again, also after a failure
	delay  time.Duration // until the next try after a failure
	asking chan struct{} // closed when the question under way is answered; nil for none
}

// discovered is what an issuer says of itself.
type discovered struct {
	*oidc.IDTokenVerifier
	endpoint oauth2.Endpoint
	scopes   []string // those it knows
}

func newIssuer(c OIDC, log func(error)) *issuer {
	if c.UsernameClaim == "" {
		c.UsernameClaim = defaultUsernameClaim
	}
	i := &issuer{OIDC: c, log: log, now: time.Now}
	i.client = &http.Client{
		Timeout:   issuerTimeout,
		Transport: &issuerTransport{http.DefaultTransport},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 || !i.secure(r.URL) {
				return fmt.Errorf("it redirects to %s", r.URL.Redacted())
			}
			return nil
		},
	}
	return i
}

// secure says whether the issuer's keys may come from u: not over plain HTTP
// unless that is how the issuer itself is reached.
func (i *issuer) secure(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

// verify gives the claims of a token that the issuer signed for moorgate and
// that is still good.
func (i *issuer) verify(ctx context.Context, text string) (*oidc.IDToken, error) {
	v, err := i.ready(ctx)
	if err != nil {
		return nil, err
	}
	var away *awayError
	token, err := v.Verify(context.WithValue(ctx, awayKey{}, &away), text)
	var expired *oidc.TokenExpiredError
	switch {
	case err == nil:
		return token, nil
	case away != nil:
		i.log(fmt.Errorf("oidc: fetching keys of %s: %w", i.Issuer, away.error))
		return nil, i.away(firstRetry)
	case ctx.Err() != nil:
		return nil, i.away(firstRetry)
	case errors.As(err, &expired):
		return nil, fmt.Errorf("the token was good until %s: get a new one", expired.Expiry.UTC().Format(time.RFC3339))
	}
	return nil, fmt.Errorf("the token is refused: %.300s", err)
}

func (i *issuer) away(retry time.Duration) error {
	retry = max(retry, time.Second).Round(time.Second)
	return &Refusal{Status: http.StatusServiceUnavailable, RetryAfter: retry,
		Message: fmt.Sprintf("%s does not answer, so that your token cannot be verified: try again in %s", i.Issuer, retry)}
}

// ready gives what the issuer said, and asks it if it said nothing yet or if
// that is old; the old is used until there is new.
func (i *issuer) ready(ctx context.Context) (*discovered, error) {
	i.mu.Lock()
	if i.asking == nil && !i.now().Before(i.until) {
		i.asking = make(chan struct{})
		go i.ask()
	}
	v, asking, until := i.said, i.asking, i.until
	i.mu.Unlock()
	switch {
	case v != nil:
		return v, nil
	case asking == nil:
		return nil, i.away(until.Sub(i.now()))
	}
	select {
	case <-asking:
	case <-ctx.Done():
		return nil, i.away(firstRetry)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.said == nil {
		return nil, i.away(i.until.Sub(i.now()))
	}
	return i.said, nil
}

// ask has no caller's context: what it learns is for all.
func (i *issuer) ask() {
	v, err := i.discover()
	if err != nil {
		i.log(fmt.Errorf("oidc: asking %s about itself: %w", i.Issuer, err))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err == nil {
		i.said, i.delay, i.until = v, 0, i.now().Add(discoveryLife)
	} else {
		i.delay = min(max(2*i.delay, firstRetry), lastRetry)
		i.until = i.now().Add(i.delay)
	}
	close(i.asking)
	i.asking = nil
}

func (i *issuer) discover() (*discovered, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.Background(), i.client), issuerTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, i.Issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		Scopes     []string `json:"scopes_supported"`
	}
	if err := provider.Claims(&said); err != nil {
		return nil, err
	}
	if u, err := url.Parse(said.Keys); err != nil || !i.secure(u) {
		return nil, fmt.Errorf("its jwks_uri %s is not https", quoteShort(said.Keys))
	}
	c := &oidc.Config{ClientID: i.ClientID, Now: i.now}
	for _, a := range said.Algorithms {
		if slices.Contains(algorithms, a) {
			c.SupportedSigningAlgs = append(c.SupportedSigningAlgs, a)
		}
	}
	// The key set fetches with a client of its own, whose fetches are counted.
	client := *i.client
	client.Transport = &rationed{client.Transport, newLimiter(keysEvery, keysBurst)}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &client), said.Keys)
	return &discovered{oidc.NewVerifier(i.Issuer, keySet{keys}, c), provider.Endpoint(), said.Scopes}, nil
}

// awayError is a failure of the issuer, not of the token.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

type awayKey struct{}

// keySet tells verify, which the library gives the text of errors only,
// whether it was the issuer that failed.
type keySet struct{ *oidc.RemoteKeySet }

func (k keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, jwt)
	switch {
	case errors.Is(err, errRationed):
		return nil, errors.New("no key of the issuer made its signature")
	case err != nil:
		if to, ok := ctx.Value(awayKey{}).(**awayError); ok {
			errors.As(err, to)
		}
	}
	return payload, err
}

// issuerTransport reads whole answers, up to a bound, and takes everything but
// an answer for the issuer's failure.
type issuerTransport struct{ http.RoundTripper }

func (t *issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, &awayError{err}
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return nil, &awayError{errors.New("it answers " + resp.Status)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxIssuerBody+1))
	if err != nil {
		return nil, &awayError{err}
	}
	if len(body) > maxIssuerBody {
		return nil, &awayError{fmt.Errorf("its answer is longer than %d bytes", maxIssuerBody)}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// rationed keeps strangers from making moorgate flood the issuer.
type rationed struct {
	http.RoundTripper
	limit *limiter
}

var errRationed = errors.New("the keys were fetched a moment ago")

func (t *rationed) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.limit.take("") > 0 {
		return nil, errRationed
	}
	return t.RoundTripper.RoundTrip(r)
}
