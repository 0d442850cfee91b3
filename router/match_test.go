package router

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

// engineMux is the Engine's own router: gorilla/mux with its default settings
// and the Engine's patterns, each with and without a version, in its order.
type engineMux struct {
	*mux.Router
	row  int // what the last request reached
	vars map[string]string
}

func newEngineMux(t testing.TB) *engineMux {
	e := &engineMux{Router: mux.NewRouter()}
	for i, f := range facts(t) {
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { e.row, e.vars = i, mux.Vars(r) })
		e.Path("/v{version:[0-9.]+}" + f.path).Methods(f.method).Handler(handler)
		e.Path(f.path).Methods(f.method).Handler(handler)
	}
	return e
}

// ask gives the row's index, -1 for none, and the variables; redirects is what
// the Engine does with a path that is not clean.
func (e *engineMux) ask(method, path string) (row int, vars map[string]string, redirects bool) {
	w := &answer{}
	e.row, e.vars = -1, nil
	e.ServeHTTP(w, &http.Request{Method: method, URL: &url.URL{Path: path}})
	return e.row, e.vars, w.status == http.StatusMovedPermanently
}

// answer keeps the status only.
type answer struct {
	header http.Header
	status int
}

func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }
func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// matcher compares our matching with the Engine's.
type matcher struct {
	engine *engineMux
	tree   *tree
	index  map[string]int // of a row's method and pattern
}

func newMatcher(t testing.TB) *matcher {
	m := &matcher{engine: newEngineMux(t), tree: newTree(Table()), index: map[string]int{}}
	for i, r := range Table() {
		m.index[r.Method+" "+r.Pattern] = i
	}
	return m
}

// differ says how the two differ; "" if they don't. Row is the Engine's.
func (m *matcher) differ(method, path string) (row int, difference string) {
	want, wantVars, redirects := m.engine.ask(method, path)
	if clean(path) == redirects {
		return -1, fmt.Sprintf("clean is %v and the Engine redirects: %v", clean(path), redirects)
	}
	if redirects {
		return -1, ""
	}
	got, gotVars := -1, map[string]string{}
	version, rest := splitVersion(path)
	if version != "" {
		gotVars["version"] = version
	}
	w, vars := m.tree.find(method, rest)
	if w != nil {
		got = m.index[w.Method+" "+w.Pattern]
		for _, v := range vars {
			gotVars[v.name] = v.value
		}
	}
	if got != want || got >= 0 && !maps.Equal(gotVars, wantVars) {
		return want, fmt.Sprintf("row %d %q, the Engine takes row %d %q", got, gotVars, want, wantVars)
	}
	return want, ""
}

var matchSeeds = []struct{ method, path string }{
	{"GET", "/v1.41/containers/json"}, {"GET", "/containers/json"}, {"HEAD", "/_ping"}, {"POST", "/containers/create"},
	{"GET", "/containers/a/exec/b/json"}, {"POST", "/containers/a/exec/b/start"}, {"GET", "/networks/create"},
	{"GET", "/networks"}, {"GET", "/networks/"}, {"GET", "/networks/a/"}, {"GET", "/volumes/"}, {"GET", "/volumes/a/b/"},
	{"GET", "/images/docker.io/library/busybox:latest/json"}, {"GET", "/images/json/json"}, {"GET", "/images//json"},
	{"POST", "/images/a/push/tag"}, {"POST", "/images/a/tag/push"}, {"DELETE", "/images/a/json"}, {"GET", "/images/get/get"},
	{"DELETE", "/containers/a/checkpoints/b"}, {"DELETE", "/containers/a/b/checkpoints/c"}, {"DELETE", "/containers/a/checkpoints/b/c"},
	{"DELETE", "/containers/checkpoints/checkpoints/checkpoints"}, {"DELETE", "/containers//checkpoints/b"},
	{"DELETE", "/containers/a\n/checkpoints/b\n"}, {"GET", "/containers/a\n/json"}, {"GET", "/containers/a/json\n"},
	{"GET", "/containers/\x00/json"}, {"GET", "/containers/%2F/json"}, {"GET", "/services/\n"}, {"GET", "/services/ü%"},
	{"GET", "/containers/\xff/json"}, {"GET", "/debug/pprof/"}, {"GET", "/debug/pprof"}, {"GET", "/debug/pprof/heap"},
	{"GET", "/debug/pprof/heap/"}, {"GET", "/debug/pprof/cmdline"}, {"GET", "/./info"}, {"GET", "/../info"}, {"GET", "/info/."},
	{"GET", "/info/.."}, {"GET", "//info"}, {"GET", "/info//"}, {"GET", "/info/"}, {"GET", ""}, {"GET", "/"}, {"GET", "info"},
	{"GET", "/.../json"}, {"GET", "/containers/.../json"}, {"GET", "/v1.41"}, {"GET", "/v1.41/"}, {"GET", "/v/info"},
	{"GET", "/v./info"}, {"GET", "/v../info"}, {"GET", "/v1..41/info"}, {"GET", "/v1.41./info"}, {"GET", "/V1.41/info"},
	{"GET", "/v1.41/v1.41/info"}, {"GET", "/v1.41x/info"}, {"GET", "/v-1/info"}, {"GET", "/v١/info"}, {"OPTIONS", "/"},
	{"OPTIONS", "/v1.41/x/y"}, {"OPTIONS", "/v1.41"}, {"OPTIONS", "/v1.41/v1.42/x"}, {"OPTIONS", "/a\nb"}, {"OPTIONS", "*"},
	{"DELETE", "/info"}, {"HEAD", "/info"}, {"get", "/info"}, {"FOO", "/info"}, {"CONNECT", "/info"}, {"TRACE", "/info"},
	{"POST", "/containers/x/copy"}, {"GET", "/v1.41/containers/v1.41/containers/json"},
}

// abuse.md, HTTP: absolute-form targets, //, /./, %2F between segments,
// trailing slash, odd version spellings: never another meaning than the
// Engine's.
func TestMatchIsTheEngines(t *testing.T) {
	m := newMatcher(t)
	for _, s := range matchSeeds {
		if _, d := m.differ(s.method, s.path); d != "" {
			t.Errorf("%s %q: %s", s.method, s.path, d)
		}
	}
	reached := map[int]int{}
	random := rand.New(rand.NewPCG(1, 2))
	const paths = 6000
	for range paths {
		method, path := randomPath(random)
		row, d := m.differ(method, path)
		if d != "" {
			t.Errorf("%s %q: %s", method, path, d)
		}
		reached[row]++
	}
	if len(reached) != len(Table())+1 { // and those that reach none
		t.Errorf("the paths reach %d rows of %d", len(reached)-1, len(Table()))
	}
	if none := reached[-1]; none < paths/10 || none > paths*9/10 {
		t.Errorf("of %d paths %d reach no row: too few or too many to say much", paths, none)
	}
}

var (
	pathNames = []string{"web", "a/b", "docker.io/library/x:1", "x@sha256:ab", "json", "create", "a/json", "prune", "%2F", "a%2Fb",
		"%2e%2e", "a\nb", "\n", "a\x00b", ".", "..", "a/../b", "...", "a..b", "ünï", "世界/x", "\xff", "a b", "checkpoints",
		"x/checkpoints/y", "v1.41", "exec/b", "a/", "/a", "", "a;b=c", "get", "attach/ws", "archive"}
	pathVersions = []string{"", "", "/v1.41", "/v1.41", "/v1.41.0", "/v01.041", "/v.", "/v..", "/v1..41", "/v", "/V1.41", "/v1.41/v1.41",
		"/v1.4a", "/v99999999999999999999", "/v1.41\n", "/v1.41/", "/."}
	patternVariable = regexp.MustCompile(`\{[^}]*\}`)
)

// randomPath spells a row's pattern with names that try the matcher, and
// breaks every third in one place.
func randomPath(random *rand.Rand) (method, path string) {
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	table := Table()
	row := table[random.IntN(len(table))]
	path = pick(pathVersions) + patternVariable.ReplaceAllStringFunc(row.Pattern, func(string) string { return pick(pathNames) })
	method = row.Method
	if random.IntN(8) == 0 {
		method = pick([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"})
	}
	if random.IntN(3) > 0 {
		return method, path
	}
	at := random.IntN(len(path) + 1)
	switch random.IntN(6) {
	case 0:
		path += "/"
	case 1:
		path = path[:at] + "/" + path[at:]
	case 2:
		path = path[:at] + pick([]string{".", "/./", "/../", "//", "\n", "\x00", "%", "\u2028", "v1.41", "a"}) + path[at:]
	case 3:
		path = path[:at] + path[min(at+1, len(path)):]
	case 4:
		path = path[:at] + strings.ToUpper(path[at:])
	default:
		segments := strings.Split(path, "/")
		path += "/" + pick(segments)
	}
	return method, path
}

func FuzzMatch(f *testing.F) {
	for _, s := range matchSeeds {
		f.Add(s.method, s.path)
	}
	m := newMatcher(f)
	f.Fuzz(func(t *testing.T, method, path string) {
		if _, d := m.differ(method, path); d != "" {
			t.Errorf("%s %q: %s", method, path, d)
		}
	})
}

// A name is escaped so that decoding gives every byte of it back, and only
// slashes of a name that may hold them stay.
func TestPathEscapesEveryByte(t *testing.T) {
	slashy, plain := &Route{Pattern: "/images/{name...}/json"}, &Route{Pattern: "/services/{id}"}
	for c := range 256 {
		name := "a" + string([]byte{byte(c)}) + "b"
		for _, r := range []*Route{slashy, plain} {
			text := r.path([]variable{{"name", name}})
			for i := range len(text) {
				if text[i] <= ' ' || text[i] >= 0x7f || strings.IndexByte(`?#;"<>\^{|}`+"`", text[i]) >= 0 {
					t.Errorf("byte %#x is spelled %q in %q", c, text[i], text)
				}
			}
			decoded, err := url.PathUnescape(text)
			if want := strings.NewReplacer("{name...}", name, "{id}", name).Replace(r.Pattern); err != nil || decoded != want {
				t.Errorf("byte %#x: %q decodes to %q, %v; want %q", c, text, decoded, err, want)
			}
		}
	}
	if got := plain.path([]variable{{"id", "a/b"}}); got != "/services/a%2Fb" {
		t.Errorf("a slash in a plain variable: %q", got)
	}
	if got := slashy.path([]variable{{"name", "a/b"}}); got != "/images/a/b/json" {
		t.Errorf("a slash in a slashy variable: %q", got)
	}
}
