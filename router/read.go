package router

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// MinVersion is the oldest API version that is served: below it the Engine
// takes host settings in the body of a container's start.
const MinVersion = "1.24"

// maxPairs is how many keys and values a query may have: the Engine's own
// library takes no more.
const maxPairs = 10000

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
	made := &struct {
		Call
		memory
	}{}
	c := &made.Call
	c.memory = &made.memory
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
	if err := c.readBody(w, r, row); err != nil || c.Body == nil {
		return err
	}
	return c.sayOnce(row)
}

// readVersion brings the version to the one spelling that is sent. The Engine
// compares component by component, a missing one as 0.
func (c *Call) readVersion() error {
	if c.Version == "" {
		return nil
	}
	written := c.Version
	var parts [2]int
	i := 0
	for text, rest, more := "", written, true; more; {
		text, rest, more = strings.Cut(rest, ".")
		n, err := strconv.Atoi(text)
		if err != nil && text != "" || n > 9999 || i > 1 && n != 0 {
			return fail(http.StatusBadRequest, "client version %.32s is no API version: write it like 1.41", written)
		}
		if i < 2 {
			parts[i] = n
		}
		i++
	}
	var b [16]byte
	text := append(strconv.AppendInt(b[:0], int64(parts[0]), 10), '.')
	if text = strconv.AppendInt(text, int64(parts[1]), 10); string(text) != written { // it is, nearly always
		c.Version = string(text)
	}
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
	pairs := 0
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if pairs++; pairs > maxPairs {
			return bad("more than %d keys and values: send fewer", maxPairs)
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
