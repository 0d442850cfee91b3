package enginetest

import (
	"bytes"
	"crypto/sha256"
	"net/url"
	"strconv"
	"strings"
)

// Request is one request as it arrived.
type Request struct {
	ConnNumber int // which connection it came by, from 1

	Head    []byte // raw, with the empty line
	Method  string
	Target  string
	Version string // "1.41" of a /v1.41 prefix, else ""
	Path    string // of Target, decoded, without version prefix and query

	Body     []byte // decoded from its framing, at most 1 MiB; of a hijacked connection also the stream
	BodySize int64  // without that bound
	BodySum  [sha256.Size]byte
	BodyDone bool // the body, or the stream, came to its proper end
	Lost     int  // bytes sent before the hijack's answer, which an Engine throws away

	query string
	vars  []string // names and values in turn
}

// Header is the value of the first field called name, "" where there is none.
func (r *Request) Header(name string) string {
	if all := r.Headers(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// Headers are the values of all fields called name, in order.
func (r *Request) Headers(name string) []string {
	var all []string
	for line := range fields(r.Head) {
		if n, v, _ := bytes.Cut(line, []byte(":")); strings.EqualFold(string(n), name) {
			all = append(all, string(bytes.TrimSpace(v)))
		}
	}
	return all
}

// Query is the first value of a query key, "" where there is none.
func (r *Request) Query(key string) string {
	q, _ := url.ParseQuery(r.query)
	return q.Get(key)
}

// Var is what {name} of the behaviour's pattern matched.
func (r *Request) Var(name string) string {
	for i := 0; i < len(r.vars); i += 2 {
		if r.vars[i] == name {
			return r.vars[i+1]
		}
	}
	return ""
}

// fields yields a head's header lines, without their ends.
func fields(head []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		i := bytes.IndexByte(head, '\n')
		for rest := head[i+1:]; ; {
			i := bytes.IndexByte(rest, '\n')
			if i <= 1 { // the empty line
				return
			}
			if !yield(bytes.TrimSuffix(rest[:i], []byte("\r"))) {
				return
			}
			rest = rest[i+1:]
		}
	}
}

// framing is what a head says about its message and connection.
type framing struct {
	length  int64 // 0 where none is given
	chunked bool
	expect  bool // the client waits for 100 Continue
	close   bool
	upgrade bool // to whatever: an Engine looks for the field's presence only
}

// parse reads head, which must end with its empty line.
func parse(head []byte) (r Request, f framing, ok bool) {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	method, rest, ok1 := bytes.Cut(line, []byte(" "))
	target, proto, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok1 || !ok2 || !bytes.HasPrefix(proto, []byte("HTTP/1.")) {
		return r, f, false
	}
	r.Head, r.Method, r.Target = head, string(method), string(target)
	r.Path, r.query, _ = strings.Cut(r.Target, "?")
	r.Version, r.Path = cutVersion(r.Path)
	if strings.IndexByte(r.Path, '%') >= 0 {
		p, err := url.PathUnescape(r.Path)
		if err != nil {
			return r, f, false
		}
		r.Path = p
	}
	f.close = string(proto) == "HTTP/1.0"
	for l := range fields(head) {
		if !f.field(l) {
			return r, f, false
		}
	}
	return r, f, true
}

// field takes in one header line. The length of the name decides most of
// them at once: a ping must not cost a benchmark more than it has to.
func (f *framing) field(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return false
	}
	is := func(name string) bool { return len(name) == i && strings.EqualFold(string(line[:i]), name) }
	value := bytes.TrimSpace(line[i+1:])
	switch i {
	case len("Expect"):
		f.expect = f.expect || is("Expect") && strings.EqualFold(string(value), "100-continue")
	case len("Upgrade"):
		f.upgrade = f.upgrade || is("Upgrade")
	case len("Connection"):
		f.close = f.close || is("Connection") && strings.EqualFold(string(value), "close")
	case len("Content-Length"):
		if is("Content-Length") {
			n, err := strconv.ParseUint(string(value), 10, 62)
			f.length = int64(n)
			return err == nil
		}
	case len("Transfer-Encoding"):
		f.chunked = f.chunked || is("Transfer-Encoding")
	}
	return true
}

// cutVersion parts "/v1.41/info" into "1.41" and "/info".
func cutVersion(path string) (version, rest string) {
	if !strings.HasPrefix(path, "/v") {
		return "", path
	}
	v, rest, ok := strings.Cut(path[2:], "/")
	if !ok || v == "" || strings.Trim(v, "0123456789.") != "" {
		return "", path
	}
	return v, "/" + rest
}

type route struct {
	method   string // "" is any
	exact    string // the whole path where it has no variable
	segments []string
	do       Behaviour
}

type routes []route

func parseRoute(pattern string, b Behaviour) route {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "", pattern
	}
	if !strings.Contains(path, "{") {
		return route{method: method, exact: path, do: b}
	}
	return route{method: method, segments: strings.Split(path, "/"), do: b}
}

// find is the first route that matches r; it fills r's variables.
func (rs routes) find(r *Request) Behaviour {
	for i := range rs {
		o := &rs[i]
		if o.method != "" && o.method != r.Method {
			continue
		}
		if o.exact != "" {
			if o.exact == r.Path {
				return o.do
			}
			continue
		}
		if vars, ok := match(o.segments, strings.Split(r.Path, "/")); ok {
			r.vars = vars
			return o.do
		}
	}
	return nil
}

func match(pattern, path []string) (vars []string, ok bool) {
	for i, p := range pattern {
		name, isVar := strings.CutPrefix(p, "{")
		name = strings.TrimSuffix(name, "}")
		if long, ok := strings.CutSuffix(name, "..."); isVar && ok {
			n := len(path) - (len(pattern) - 1) // segments that are left for it
			if n < 1 {
				return nil, false
			}
			vars = append(vars, long, strings.Join(path[i:i+n], "/"))
			rest, ok := match(pattern[i+1:], path[i+n:])
			return append(vars, rest...), ok
		}
		switch {
		case i >= len(path), isVar && path[i] == "", !isVar && p != path[i]:
			return nil, false
		case isVar:
			vars = append(vars, name, path[i])
		}
	}
	return vars, len(pattern) == len(path)
}
