package terminal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// engine is one Engine's API as one user has it.
type engine struct {
	dial    func(context.Context) (net.Conn, error)
	prefix  string // "/engines/east", or "" for the default one
	version string // of the API, "1.41"
	minor   int    // its second number
	client  *http.Client
}

const (
	newestMinor = 47               // of the API that this package was made for
	oldestMinor = 24               // below it, exec and attach differ
	idleConn    = 5 * time.Second  // how long a connection waits for another call
	callTimeout = 60 * time.Second // for calls that take the Engine no time of their own
	maxAnswer   = 4 << 20          // bytes of a JSON answer
)

// newEngine makes a client. It dials at the first call.
func newEngine(dial func(context.Context) (net.Conn, error), name string) *engine {
	e := &engine{dial: dial}
	if name != "" {
		e.prefix = "/engines/" + url.PathEscape(name)
	}
	e.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableCompression:  true,
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     idleConn,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e
}

// close gives idle connections up.
func (e *engine) close() { e.client.CloseIdleConnections() }

// negotiate finds the version of the API to speak.
func (e *engine) negotiate(ctx context.Context) error {
	resp, err := e.do(ctx, http.MethodGet, "/_ping", nil, nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	major, minor, _ := strings.Cut(resp.Header.Get("Api-Version"), ".")
	n, err := strconv.Atoi(minor)
	if err != nil || major != "1" || n < oldestMinor {
		return newError(http.StatusBadGateway, "use Docker 18.09 or later", "the Engine speaks version %q of its API", resp.Header.Get("Api-Version"))
	}
	e.minor = min(n, newestMinor)
	e.version = "1." + strconv.Itoa(e.minor)
	return nil
}

// target is a path with the version and a query.
func (e *engine) target(path string, query url.Values) string {
	t := e.prefix
	if e.version != "" {
		t += "/v" + e.version
	}
	t += path
	if len(query) > 0 {
		t += "?" + query.Encode()
	}
	return t
}

func (e *engine) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	var data io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		data = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://docker"+e.target(path, query), data)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// do sends a request. Answers from 400 on become *Error.
func (e *engine) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	r, err := e.request(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	resp, err := e.client.Do(r)
	if err != nil {
		return nil, away(ctx, err)
	}
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified {
		defer resp.Body.Close()
		return nil, answered(resp)
	}
	return resp, nil
}

// call sends a request, with body as JSON unless it is nil, and reads the
// answer into to unless that is nil.
func (e *engine) call(ctx context.Context, method, path string, query url.Values, body, to any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := e.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return away(ctx, err)
	}
	if to == nil {
		return nil
	}
	if err := json.Unmarshal(text, to); err != nil {
		return newError(http.StatusBadGateway, "", "reading the Engine's answer to %s %s: %v", method, path, err)
	}
	return nil
}

// hijack sends a request on a connection of its own, which becomes the stream.
// ctx is for the request only.
func (e *engine) hijack(ctx context.Context, path string, query url.Values, body any, tty bool) (*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := e.request(ctx, http.MethodPost, path, query, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "tcp")
	if body == nil {
		r.Header.Set("Content-Type", "text/plain")
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return nil, away(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	s, err := shake(conn, r, tty)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		var known *Error
		if errors.As(err, &known) {
			return nil, known
		}
		return nil, away(ctx, err)
	}
	return s, nil
}

// shake asks for the upgrade. Old Engines, and those that were not asked in
// their way, answer 200 and go on the same.
func shake(conn net.Conn, r *http.Request, tty bool) (*stream, error) {
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, r)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
	case resp.StatusCode == http.StatusOK && len(resp.TransferEncoding) == 0 && resp.ContentLength < 0:
	default:
		defer resp.Body.Close()
		return nil, answered(resp)
	}
	rest := make([]byte, in.Buffered())
	if _, err := io.ReadFull(in, rest); err != nil {
		return nil, err
	}
	return newStream(conn, rest, tty), nil
}

// answered makes an *Error of an answer, in its own words.
func answered(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &said) != nil || said.Message == "" {
		if said.Message = strings.TrimSpace(string(text)); said.Message == "" {
			said.Message = resp.Status
		}
	}
	status := resp.StatusCode
	if status < 400 {
		status = http.StatusBadGateway
		said.Message = fmt.Sprintf("the Engine answered %s: %s", resp.Status, said.Message)
	}
	return &Error{Status: status, Message: said.Message, Rule: ruleOf(status, said.Message)}
}

// ruleOf finds the rule that denied a request in the words of the answer, which
// authz.Chain writes as "moorgate: USER may not ACTION SUBJECT (RULE): REASON":
// the record of what the request was for names it too. A rule may have brackets
// in its name.
func ruleOf(status int, message string) string {
	_, what, ok := strings.Cut(message, " may not ")
	if status != http.StatusForbidden || !ok || !strings.HasPrefix(message, "moorgate: ") {
		return ""
	}
	_, rule, _ := strings.Cut(what, "(")
	open := 1
	for i := range len(rule) {
		switch rule[i] {
		case '(':
			open++
		case ')':
			open--
		}
		if open == 0 {
			if rest := rule[i+1:]; rest != "" && !strings.HasPrefix(rest, ": ") {
				return ""
			}
			return rule[:i]
		}
	}
	return ""
}

// away makes an *Error of a call that got no answer.
func away(ctx context.Context, err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return newError(http.StatusGatewayTimeout, "try again", "the Engine does not answer")
	case ctx.Err() != nil:
		return newError(http.StatusServiceUnavailable, "", "given up: %v", context.Cause(ctx))
	}
	return newError(http.StatusBadGateway, "see whether the Engine runs", "the Engine cannot be reached: %v", err)
}

// pathOf makes one part of a path of a name that may hold anything.
func pathOf(name string) string { return url.PathEscape(name) }
