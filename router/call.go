package router

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Call is one request, read once. What is sent to the Engine is built from
// it alone (Request), so nothing that was not judged can be sent.
type Call struct {
	Route   *Route
	Action  string // Route.Action, or what Route.Choose picked
	Engine  string // the name in /engines/NAME/; "" is the default engine
	Version string // API version, "1.41"; "" means the Engine's newest, as the caller wrote none

	// Query holds the known keys, each value as it will be sent: filters are
	// re-serialised, keys that may not repeat have one value.
	Query url.Values

	// Unknown holds the query keys that this version of moorgate does not
	// know. They are sent only if an authorizer sets PassUnknown.
	Unknown     url.Values
	PassUnknown bool

	// Header holds the request headers that the Engine reads, and no others.
	Header http.Header

	// Upgrade is the protocol that the caller asked to change to, as the
	// Engine spells it ("tcp", "h2c", "websocket"); "" where it asked for none.
	Upgrade string

	Body   *Document // a JSON body; nil where the caller sent none
	Stream io.Reader // an archive; nil where the caller sent none
	Length int64     // of Stream in bytes, -1 where it is not known

	vars   []variable
	pinned []Pin
	set    struct { // what SetFilters wrote
		filters Filters
		text    string
	}
	memory *memory // nil: nothing is remembered
}

type variable struct{ name, value string }

// Var is the value of the pattern's variable {name} or {name...}, decoded; ""
// where the pattern has none of that name.
func (c *Call) Var(name string) string {
	for _, v := range c.vars {
		if v.name == name {
			return v.value
		}
	}
	return ""
}

// SetVar replaces the value of a path variable, as pinning a name to a full id
// does.
func (c *Call) SetVar(name, value string) {
	for i := range c.vars {
		if c.vars[i].name == name {
			c.vars[i].value = value
		}
	}
}

// Name is what the path names: the value of its first variable, "" where the
// path has none.
func (c *Call) Name() string {
	if len(c.vars) == 0 {
		return ""
	}
	return c.vars[0].value
}

// Bool reads a query value by the Engine's rule: "", 0, no, false and none, in
// any case and with space around, are false; all else is true.
func (c *Call) Bool(key string) bool {
	switch strings.ToLower(strings.TrimSpace(c.Query.Get(key))) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}

// UnknownKeys are the unknown query keys that have a value, sorted. Those
// without mean nothing and are left out of what is sent.
func (c *Call) UnknownKeys() []string {
	var keys []string
	for key, values := range c.Unknown {
		if slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Request is the only maker of requests to the Engine. It fails while the call
// holds query keys that nobody has vouched for. What it makes may share the
// call's Header and is not to be written to.
func (c *Call) Request(ctx context.Context) (*http.Request, error) {
	query := c.Query
	if c.PassUnknown && len(c.Unknown) > 0 {
		query = maps.Clone(c.Query)
		maps.Copy(query, c.Unknown)
	} else if keys := c.UnknownKeys(); len(keys) > 0 {
		return nil, fail(http.StatusBadRequest, "query: %s %s does not know %.256q: leave it out", c.Route.Method, c.Route.Pattern, keys[0])
	}
	path := c.Route.Pattern
	if len(c.vars) > 0 {
		path = c.Route.path(c.vars)
	}
	if c.Version != "" {
		path = "/v" + c.Version + path
	}
	r := (&http.Request{
		Method:     c.Route.Method,
		URL:        &url.URL{Opaque: path, RawQuery: query.Encode()},
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Host:       "docker",
		Header:     c.header(),
		Body:       http.NoBody,
	}).WithContext(ctx)
	switch {
	case c.Body != nil:
		r.ContentLength = int64(c.Body.Len())
		r.Body = io.NopCloser(strings.NewReader(c.Body.text))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.Body.text)), nil }
	case c.Stream != nil:
		r.ContentLength = c.Length
		r.Body = io.NopCloser(c.Stream)
	}
	return r, nil
}

// header is what is sent: Header, and what moorgate itself says of the request.
func (c *Call) header() http.Header {
	content := ""
	switch {
	case c.Body != nil:
		content = "application/json"
	case c.Stream != nil:
		content = "application/x-tar"
	case c.Upgrade == "":
		return c.Header
	}
	h := make(http.Header, len(c.Header)+3)
	maps.Copy(h, c.Header)
	if content != "" {
		h["Content-Type"] = []string{content}
	}
	if c.Upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{c.Upgrade}
	}
	return h
}

// Vars are the path's variables by name, decoded.
func (c *Call) Vars() map[string]string {
	vars := make(map[string]string, len(c.vars))
	for _, v := range c.vars {
		vars[v.name] = v.value
	}
	return vars
}
