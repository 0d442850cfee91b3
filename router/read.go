package router

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MinVersion is the oldest API version that is served: below it the Engine
// takes host settings in the body of a container's start.
const MinVersion = "1.24"

const (
	// documentTime is how long a caller may take to send a JSON body.
	documentTime = time.Minute
	// maxEcho bounds a body on a route that has none; one that only repeats
	// the query is let pass.
	maxEcho = 64 << 10
)

// Mux reads requests: it finds the row, makes the Call and hands it on. It
// knows every route of the Engine and answers 404 to all else.
type Mux struct {
	// Next serves the calls.
	Next Handler
	// Found is told each call as soon as its row is known, before its query
	// and body are read, so that refusals can be recorded by name; may be nil.
	Found func(*http.Request, *Call)
	// Fail answers errors; nil means the package's Fail.
	Fail func(http.ResponseWriter, *http.Request, error)

	tree *tree
}

// NewMux makes a Mux of a table.
func NewMux(table []Route, next Handler) *Mux {
	return &Mux{Next: next, tree: newTree(table)}
}

func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := m.serve(w, r)
	if err == nil {
		return
	}
	if m.Fail != nil {
		m.Fail(w, r, err)
		return
	}
	Fail(w, r, err)
}

func (m *Mux) serve(w http.ResponseWriter, r *http.Request) error {
	c, row, err := m.tree.open(r)
	if err != nil {
		return err
	}
	if m.Found != nil {
		m.Found(r, c)
	}
	if err := c.read(w, r, row); err != nil {
		return err
	}
	return m.Next.ServeCall(w, r, c)
}

// open finds the row and its variables.
func (t *tree) open(r *http.Request) (*Call, *row, error) {
	path := r.URL.Path
	if !clean(path) {
		return nil, nil, fail(http.StatusBadRequest, "path %.256q is not clean: write it without //, /./ and /../", path)
	}
	c := &Call{}
	if rest, ok := strings.CutPrefix(path, "/engines/"); ok {
		name, _, ok := strings.Cut(rest, "/")
		if !ok {
			return nil, nil, errNotFound
		}
		c.Engine, path = name, rest[len(name):]
	}
	version, path := splitVersion(path)
	row, vars := t.find(r.Method, path)
	if row == nil {
		return nil, nil, errNotFound
	}
	c.Route, c.Action, c.vars = &row.Route, row.Action, vars
	c.Version = version
	return c, row, nil
}

// read fills the call from the rest of the request.
func (c *Call) read(w http.ResponseWriter, r *http.Request, row *row) error {
	if err := c.readVersion(); err != nil {
		return err
	}
	for _, v := range c.vars {
		if v.value == "" && c.Route.Method != http.MethodOptions {
			return fail(http.StatusBadRequest, "%s %s: the path names nothing: write a %s in it", r.Method, c.Route.Pattern, v.name)
		}
		if !printable(v.value) {
			return fail(http.StatusBadRequest, "%s %s: %s %.256q holds control characters or no UTF-8: write a plain name", r.Method, c.Route.Pattern, v.name, v.value)
		}
	}
	if err := c.readQuery(r.URL.RawQuery, row); err != nil {
		return err
	}
	if c.Route.Choose != nil {
		c.Action = c.Route.Choose(c)
	}
	if err := c.readHeader(r); err != nil {
		return err
	}
	return c.readBody(w, r, row)
}

// readVersion brings the version to the one spelling that is sent. The Engine
// compares component by component, a missing one as 0.
func (c *Call) readVersion() error {
	if c.Version == "" {
		return nil
	}
	written := c.Version
	var parts [2]int
	for i, text := range strings.Split(written, ".") {
		n, err := strconv.Atoi(text)
		if err != nil && text != "" || n > 9999 || i > 1 && n != 0 {
			return fail(http.StatusBadRequest, "client version %.32s is no API version: write it like 1.41", written)
		}
		if i < 2 {
			parts[i] = n
		}
	}
	c.Version = fmt.Sprintf("%d.%d", parts[0], parts[1])
	if Older(c.Version, MinVersion) {
		return fail(http.StatusBadRequest, "client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", c.Version, MinVersion)
	}
	if since := c.Route.Since; since != "" && Older(c.Version, since) {
		pattern := strings.ReplaceAll(c.Route.Pattern, "...}", ":.*}")
		return fail(http.StatusBadRequest, "%s %s requires minimum API version %s", c.Route.Method, pattern, since)
	}
	return nil
}

// Older says whether API version a is older than b; both as "1.41".
func Older(a, b string) bool {
	aMajor, aMinor, _ := strings.Cut(a, ".")
	bMajor, bMinor, _ := strings.Cut(b, ".")
	if aMajor != bMajor {
		return number10(aMajor) < number10(bMajor)
	}
	return number10(aMinor) < number10(bMinor)
}

func number10(s string) int {
	n, _ := strconv.Atoi(s) // only digits come here
	return n
}

// readQuery parses strictly: what one reader could take otherwise than another
// is refused.
func (c *Call) readQuery(raw string, row *row) error {
	c.Query = url.Values{}
	if raw == "" {
		return nil
	}
	bad := func(format string, args ...any) error {
		return fail(http.StatusBadRequest, "query: "+format, args...)
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if strings.Contains(pair, ";") {
			return bad("%.64q holds a semicolon: separate keys by & and write ; in a value as %%3B", pair)
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err != nil || err2 != nil {
			return bad("%.64q has a bad escape: write %% as %%25", pair)
		}
		if strings.ContainsRune(key, 0) || strings.ContainsRune(value, 0) {
			return bad("%.64q holds a NUL character", pair)
		}
		kind, known := row.keys[key]
		switch {
		case !known:
			if c.Unknown == nil {
				c.Unknown = url.Values{}
			}
			c.Unknown[key] = append(c.Unknown[key], value)
		case kind == repeated:
			c.Query[key] = append(c.Query[key], value)
		case c.Query[key] != nil:
			return bad("%s is written twice: write it once", key)
		default:
			if kind == filters && value != "" {
				f, err := ParseFilters(value)
				if err != nil {
					return err
				}
				value = f.String()
			}
			c.Query[key] = []string{value}
		}
	}
	return nil
}

// The request headers that the Engine reads. All others stay here: the
// caller's credentials for moorgate, what describes one hop, and what no
// handler looks at.
var (
	sentOnce = []string{
		"Accept", "Accept-Encoding", "User-Agent", "X-Registry-Auth", "X-Registry-Config",
		"Traceparent", "Tracestate", "Baggage",
	}
	sentPrefixes = []string{"X-Meta-", "X-Docker-Expose-Session-"}
	sentToSocket = []string{"Sec-Websocket-Key", "Sec-Websocket-Version", "Origin"}
)

func (c *Call) readHeader(r *http.Request) error {
	c.Header = make(http.Header, 4)
	for key, values := range r.Header {
		repeats := false
		if !slices.Contains(sentOnce, key) {
			repeats = slices.ContainsFunc(sentPrefixes, func(p string) bool { return strings.HasPrefix(key, p) })
			if !repeats {
				continue
			}
		}
		if len(values) > 1 && !repeats && key != "Accept" && key != "Accept-Encoding" {
			return fail(http.StatusBadRequest, "header %s is written twice: write it once", key)
		}
		c.Header[key] = values
	}
	if len(r.Header["Upgrade"]) == 0 {
		if c.isSocket() {
			return errNoSocket
		}
		return nil
	}
	switch {
	case c.isSocket():
		return c.readHandshake(r)
	case c.Route.Reply == Hijack:
		c.Upgrade = "tcp" // the Engine looks only for the header and answers tcp to any
	case c.Route.Reply == H2C:
		c.Upgrade = "h2c"
	}
	return nil
}

// isSocket says whether the route is the Engine's own websocket.
func (c *Call) isSocket() bool { return strings.HasSuffix(c.Route.Pattern, "/attach/ws") }

var errNoSocket = fail(http.StatusBadRequest, "this route is a websocket: send a websocket handshake, version 13")

// readHandshake checks what the Engine does not: its own answer to a broken
// handshake is no HTTP and leaves a handler behind, and it lets pages of any
// origin in.
func (c *Call) readHandshake(r *http.Request) error {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !hasToken(r.Header["Connection"], "upgrade") ||
		r.Header.Get("Sec-Websocket-Version") != "13" || err != nil || len(key) != 16 {
		return errNoSocket
	}
	if origin := r.Header["Origin"]; len(origin) > 0 {
		u, err := url.Parse(origin[0])
		if err != nil || len(origin) > 1 || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return fail(http.StatusForbidden, "moorgate: origin %.256q is not this host: open the websocket from a page of %s", origin[0], r.Host)
		}
	}
	for _, key := range sentToSocket {
		if values := r.Header[key]; len(values) > 0 {
			if len(values) > 1 {
				return errNoSocket
			}
			c.Header[key] = values
		}
	}
	c.Upgrade = "websocket"
	return nil
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}

func (c *Call) readBody(w http.ResponseWriter, r *http.Request, row *row) error {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	media := ""
	if t := r.Header.Get("Content-Type"); t != "" {
		var err error
		if media, _, err = mime.ParseMediaType(t); err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
			return fail(http.StatusUnsupportedMediaType, "Content-Type %.128q is malformed: send application/json or an archive", t)
		}
	}
	if media == "application/x-www-form-urlencoded" || strings.HasPrefix(media, "multipart/") {
		return fail(http.StatusUnsupportedMediaType, "a %s body is not taken: write options in the query", media)
	}
	switch c.Route.Body {
	case Tar:
		c.Stream, c.Length = r.Body, r.ContentLength
		return nil
	case MaybeTar:
		if c.Route.Takes(c) {
			c.Stream, c.Length = r.Body, r.ContentLength
			return nil
		}
		return c.readEcho(w, r)
	case JSON, AnyJSON:
		if media != "application/json" && !(media == "" && c.Route.Body == AnyJSON) {
			return fail(http.StatusUnsupportedMediaType, "Content-Type %.128q is not taken by %s %s: send application/json", r.Header.Get("Content-Type"), r.Method, c.Route.Pattern)
		}
		if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
			return fail(http.StatusUnsupportedMediaType, "Content-Encoding %.64q is not taken: send the JSON as it is", e)
		}
		raw, err := readAll(w, r, MaxDocument)
		if err != nil || len(raw) == 0 {
			return err
		}
		c.Body, err = parseDocument(raw, row.schema)
		return err
	}
	return c.readEcho(w, r)
}

// readEcho reads the body on a route that has none. SDKs send {} there, or the
// options of the query once more; both say nothing, so they are dropped.
// Anything else is refused.
func (c *Call) readEcho(w http.ResponseWriter, r *http.Request) error {
	raw, err := readAll(w, r, maxEcho)
	if err != nil || len(raw) == 0 {
		return err
	}
	d, err := parseDocument(raw, nil)
	if err == nil && (d.Root().IsObject() || !d.Root().Exists()) && c.echoes(d) {
		return nil
	}
	return fail(http.StatusBadRequest, "%s %s takes no body: send none", r.Method, c.Route.Pattern)
}

// echoes says whether a body repeats what the query says and nothing else.
func (c *Call) echoes(d *Document) bool {
	for key, v := range d.Root().Members() {
		want := v.Raw()
		if v.IsString() {
			want = v.Str()
		}
		if v.Exists() && c.Query.Get(key) != want && c.Unknown.Get(key) != want {
			return false
		}
	}
	return true
}

// readAll reads a body of at most max bytes, within documentTime.
func readAll(w http.ResponseWriter, r *http.Request, max int64) ([]byte, error) {
	tooLarge := fail(http.StatusRequestEntityTooLarge, "request body is over %d bytes: send a smaller one", max)
	if r.ContentLength > max {
		return nil, tooLarge
	}
	deadline := http.NewResponseController(w)
	if deadline.SetReadDeadline(time.Now().Add(documentTime)) == nil {
		defer deadline.SetReadDeadline(time.Time{})
	}
	var raw []byte
	var err error
	if r.ContentLength > 0 {
		raw = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, raw)
	} else {
		raw, err = io.ReadAll(io.LimitReader(r.Body, max+1))
	}
	switch {
	case err != nil:
		return nil, &Error{Status: http.StatusBadRequest, Message: "request body ended early: send all of it within a minute", Err: err}
	case int64(len(raw)) > max:
		return nil, tooLarge
	}
	return raw, nil
}
