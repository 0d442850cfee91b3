package router

import (
	"encoding/csv"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// actions are all that a row may be called: the names that people write into
// allow and deny.
var actions = func() (list []string) {
	for object, verbs := range map[string]string{
		"container": "list create inspect top logs changes export stats resize start stop restart kill update rename " +
			"pause unpause attach wait remove prune copy_from copy_to commit",
		"exec":         "create start resize inspect",
		"image":        "list inspect history attestations pull import build push tag remove search prune save load",
		"volume":       "list create inspect update remove prune",
		"network":      "list inspect create connect disconnect remove prune",
		"system":       "ping version info events df auth",
		"build":        "prune cancel",
		"buildkit":     "session grpc",
		"distribution": "inspect",
		"service":      "list create inspect update remove logs",
		"task":         "list inspect logs",
		"node":         "list inspect update remove",
		"secret":       "list create inspect update remove",
		"config":       "list create inspect update remove",
		"swarm":        "inspect init join leave update unlock unlock_key",
		"plugin":       "list inspect privileges pull create enable disable set upgrade push remove",
		"checkpoint":   "list create remove",
		"debug":        "vars pprof",
	} {
		for verb := range strings.FieldsSeq(verbs) {
			list = append(list, object+"."+verb)
		}
	}
	return list
}()

// lists are the rows whose answer holds objects of many owners.
var lists = []string{
	"/containers/json", "/images/json", "/system/df", "/volumes", "/services", "/nodes", "/tasks", "/secrets",
	"/configs", "/plugins", "/networks", "/networks/",
}

// fact is one line of routes.tsv: what the Engine registers, in its order.
type fact struct{ module, method, path, since, kind, body string }

func facts(t testing.TB) (list []fact) {
	t.Helper()
	f, err := os.Open("testdata/routes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines[1:] {
		note := strings.HasPrefix(l[0], "(") || strings.HasSuffix(l[2], "/copy") // what the Engine does beside its table
		if !note {
			list = append(list, fact{l[0], l[1], l[2], l[3], l[6], l[7]})
		}
	}
	return list
}

var slashy = regexp.MustCompile(`\{(\w+):\.[*+]\}`)

func TestTableIsTheEngines(t *testing.T) {
	want, got := facts(t), Table()
	if len(want) != 122 || len(got) != 122 {
		t.Fatalf("%d facts and %d rows, want 122 of each", len(want), len(got))
	}
	for i, f := range want {
		row := got[i]
		pattern := slashy.ReplaceAllString(f.path, "{$1...}")
		if row.Method != f.method || row.Pattern != pattern || row.Since != f.since {
			t.Errorf("row %d of %s: %s %s since %q, want %s %s since %q",
				i, f.module, row.Method, row.Pattern, row.Since, f.method, pattern, f.since)
			continue
		}
		if bodies := f.bodies(); !slices.Contains(bodies, row.Body) {
			t.Errorf("%s %s: body %v, want one of %v for %q", row.Method, row.Pattern, row.Body, bodies, f.body)
		}
		if replies := f.replies(); !slices.Contains(replies, row.Reply) {
			t.Errorf("%s %s: reply %v, want one of %v for %q", row.Method, row.Pattern, row.Reply, replies, f.kind)
		}
	}
}

func (f fact) bodies() []Body {
	switch {
	case strings.Contains(f.body, "or tar"), strings.Contains(f.body, "or none"):
		return []Body{MaybeTar}
	case strings.HasPrefix(f.body, "tar"):
		return []Body{Tar}
	case strings.Contains(f.body, "content type not checked"), strings.Contains(f.body, "old clients"):
		return []Body{AnyJSON}
	case strings.HasPrefix(f.body, "json:"):
		return []Body{JSON}
	}
	return []Body{None}
}

func (f fact) replies() []Reply {
	http2 := strings.HasPrefix(f.body, "h2c") || strings.HasPrefix(f.body, "grpc")
	switch {
	case f.kind == "hijack" && http2:
		return []Reply{H2C}
	case f.kind == "hijack":
		return []Reply{Hijack}
	case f.kind == "stream", f.kind == "download":
		return []Reply{Stream}
	case f.kind == "upload":
		return []Reply{Plain, Stream} // some answer with progress
	case f.method == "GET" && slices.Contains(lists, f.path):
		return []Reply{List}
	}
	return []Reply{Plain}
}

func TestTableRowsAreWhole(t *testing.T) {
	kinds := []Kind{System, Container, Exec, Image, Volume, Network, Build, Session, Service, Task, Node, Secret, Config,
		Swarm, Plugin, Registry, Checkpoint, HostPath}
	seen := map[string]bool{}
	used := map[string]bool{}
	for _, row := range Table() {
		name := row.Method + " " + row.Pattern
		if seen[name] {
			t.Errorf("%s: two rows", name)
		}
		seen[name] = true
		for _, action := range append([]string{row.Action}, row.Others...) {
			used[action] = true
			if !slices.Contains(actions, action) {
				t.Errorf("%s: action %q is in no list of actions", name, action)
			}
		}
		if (row.Choose == nil) != (row.Others == nil) {
			t.Errorf("%s: Choose and Others belong together", name)
		}
		if !slices.Contains(kinds, row.Kind) {
			t.Errorf("%s: kind %q", name, row.Kind)
		}
		if json := row.Body == JSON || row.Body == AnyJSON; json != (row.Of != nil) {
			t.Errorf("%s: body %v with the type %T", name, row.Body, row.Of)
		}
		keys := queryKeys(row)
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			t.Errorf("%s: query keys are not sorted or not unique: %v", name, keys)
		}
		for key := range strings.FieldsSeq(row.Query) {
			if strings.HasSuffix(key, "{}") != (key == "filters{}") {
				t.Errorf("%s: query key %s: filters and only they are written filters{}", name, key)
			}
		}
	}
	for _, action := range actions {
		if !used[action] {
			t.Errorf("action %q has no row", action)
		}
	}
}

// queryKeys are the bare keys of a row.
func queryKeys(r Route) (keys []string) {
	for key := range strings.FieldsSeq(r.Query) {
		keys = append(keys, strings.TrimSuffix(strings.TrimSuffix(key, "*"), "{}"))
	}
	return keys
}

func TestImagesCreatePullsOrImports(t *testing.T) {
	for query, want := range map[string]string{
		"fromImage=busybox":           "image.pull",
		"fromImage=busybox&fromSrc=-": "image.pull",
		"fromSrc=-":                   "image.import",
		"fromImage=&fromSrc=-":        "image.import",
		"":                            "image.import",
	} {
		if got := pullOrImport(&Call{Query: parseQuery(t, query)}); got != want {
			t.Errorf("POST /images/create?%s is %s, want %s", query, got, want)
		}
	}
}
