package router

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
)

// segment is a part of a pattern: literal text, then a variable unless name
// is "".
type segment struct {
	literal string
	name    string
	slashes bool // {name...}: any text without a newline, slashes and nothing at all too
}

// row is a Route made ready for matching and reading.
type row struct {
	Route
	segments []segment
	vars     int // how many of the segments are variables
	keys     map[string]keyKind
	schema   *schema
}

type keyKind uint8

const (
	single keyKind = iota + 1
	repeated
	filters
)

func newRow(r Route) *row {
	w := &row{Route: r, keys: map[string]keyKind{}}
	for rest := r.Pattern; rest != ""; {
		literal, after, variable := strings.Cut(rest, "{")
		s := segment{literal: literal}
		if variable {
			s.name, rest, _ = strings.Cut(after, "}")
			s.name, s.slashes = strings.CutSuffix(s.name, "...")
			w.vars++
		} else {
			rest = ""
		}
		w.segments = append(w.segments, s)
	}
	for _, key := range strings.Fields(r.Query) {
		kind := single
		if k, ok := strings.CutSuffix(key, "*"); ok {
			key, kind = k, repeated
		} else if k, ok := strings.CutSuffix(key, "{}"); ok {
			key, kind = k, filters
		}
		w.keys[key] = kind
	}
	if r.Of != nil {
		w.schema = schemaFor(r.Of)
	}
	return w
}

// match finds the variables of path; false where the row does not match. A
// variable takes as much as it can, as the Engine's regular expressions do.
func (w *row) match(path string) ([]variable, bool) {
	var values [maxVars]string
	if !matchSegments(w.segments, path, values[:]) {
		return nil, false
	}
	if w.vars == 0 {
		return nil, true
	}
	vars := make([]variable, 0, w.vars)
	for _, s := range w.segments {
		if s.name != "" {
			vars = append(vars, variable{s.name, values[len(vars)]})
		}
	}
	return vars, true
}

// maxVars is how many variables a pattern has at most.
const maxVars = 2

// matchSegments puts the variables' values into the first of values.
func matchSegments(segments []segment, path string, values []string) bool {
	if len(segments) == 0 {
		return path == ""
	}
	s := segments[0]
	path, ok := strings.CutPrefix(path, s.literal)
	if !ok {
		return false
	}
	if s.name == "" {
		return matchSegments(segments[1:], path, values)
	}
	var end, least int
	if s.slashes {
		if end = strings.IndexByte(path, '\n'); end < 0 {
			end = len(path)
		}
	} else {
		if end = strings.IndexByte(path, '/'); end < 0 {
			end = len(path)
		}
		least = 1
	}
	next := ""
	if len(segments) > 1 {
		next = segments[1].literal
	}
	for ; end >= least; end-- {
		if next != "" { // only where the literal behind it stands can it end
			if end = strings.LastIndex(path[:min(len(path), end+len(next))], next); end < least {
				return false
			}
		} else if end < len(path) {
			return false
		}
		values[0] = path[:end]
		if matchSegments(segments[1:], path[end:], values[1:]) {
			return true
		}
	}
	return false
}

// path builds the path that the row's pattern and the variables spell,
// percent-encoded.
func (r *Route) path(vars []variable) string {
	var b strings.Builder
	b.Grow(len(r.Pattern) + 64) // an id
	rest := r.Pattern
	for _, v := range vars {
		literal, after, _ := strings.Cut(rest, "{")
		name, tail, _ := strings.Cut(after, "}")
		b.WriteString(literal)
		if strings.HasSuffix(name, "...") {
			escapeSlashy(&b, v.value)
		} else {
			b.WriteString(url.PathEscape(v.value))
		}
		rest = tail
	}
	b.WriteString(rest)
	return b.String()
}

func escapeSlashy(b *strings.Builder, name string) {
	for {
		part, rest, more := strings.Cut(name, "/")
		b.WriteString(url.PathEscape(part))
		if !more {
			return
		}
		b.WriteByte('/')
		name = rest
	}
}

// endpoint is what chi finds: a method and one of its patterns.
type endpoint struct{ method, pattern string }

// tree finds rows: chi finds the ones of a method and a literal path or
// prefix, table order and the rows' own patterns decide among them.
type tree struct {
	chi  *chi.Mux
	rows map[endpoint][]*row
	pool sync.Pool // of *chi.Context
}

func newTree(table []Route) *tree {
	t := &tree{chi: chi.NewRouter(), rows: map[endpoint][]*row{}}
	t.pool.New = func() any { return chi.NewRouteContext() }
	for _, r := range table {
		pattern := r.Pattern
		if i := strings.IndexByte(pattern, '{'); i >= 0 {
			pattern = pattern[:i] + "*"
		}
		key := endpoint{r.Method, pattern}
		if t.rows[key] == nil {
			t.chi.Method(r.Method, pattern, http.NotFoundHandler())
		}
		t.rows[key] = append(t.rows[key], newRow(r))
	}
	return t
}

// find gives the row that a decoded path without its version means.
func (t *tree) find(method, path string) (*row, []variable) {
	rctx := t.pool.Get().(*chi.Context)
	defer t.pool.Put(rctx)
	rctx.Reset()
	pattern := t.chi.Find(rctx, method, path)
	if pattern == "" {
		return nil, nil
	}
	for _, w := range t.rows[endpoint{method, pattern}] {
		if vars, ok := w.match(path); ok {
			return w, vars
		}
	}
	return nil, nil
}

// splitVersion takes /v1.41 from the front of a decoded path. The Engine's
// pattern is /v{version:[0-9.]+} and then a slash.
func splitVersion(path string) (version, rest string) {
	if !strings.HasPrefix(path, "/v") {
		return "", path
	}
	end := 2
	for end < len(path) && (path[end] == '.' || path[end] >= '0' && path[end] <= '9') {
		end++
	}
	if end == 2 || end == len(path) || path[end] != '/' {
		return "", path
	}
	return path[2:end], path[end:]
}

// clean says whether the Engine would take the path as it is: one that has
// //, /./ or /../ in it, it answers with a redirect.
func clean(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for rest := path[1:]; ; {
		part, tail, more := strings.Cut(rest, "/")
		if part == "." || part == ".." || part == "" && more {
			return false
		}
		if !more {
			return true
		}
		rest = tail
	}
}

// printable says whether a path variable holds text that a name can hold.
func printable(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
