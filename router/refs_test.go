package router

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// marker is a name that nothing else in a call holds.
const marker = "marked-name"

// A claim is what testdata/refs.txt says of one query key, one field of a body
// or one variable of a path: the kind of object that it names, or none.
type claim struct {
	row   *Route
	where string // query, body, path
	kind  Kind   // "-" for nothing
	use   Use
	text  string // FIELD=VALUE as in the file
	sets  []setting
}

type setting struct{ field, value string }

func (c claim) String() string {
	return fmt.Sprintf("%s %s: %s %s", c.row.Method, c.row.Pattern, c.where, c.text)
}

// readClaims parses testdata/refs.txt, which says how it is written.
func readClaims(t *testing.T) (claims []claim) {
	t.Helper()
	file, err := os.ReadFile("testdata/refs.txt")
	if err != nil {
		t.Fatal(err)
	}
	table := Table()
	var rows []*Route
	heading := false
	for i, line := range strings.Split(string(file), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.HasPrefix(line, "\t") {
			if !heading {
				rows = nil
			}
			heading = true
			r := slices.IndexFunc(table, func(r Route) bool { return r.Method+" "+r.Pattern == line })
			if r < 0 {
				t.Fatalf("refs.txt:%d: the table has no row %s", i+1, line)
			}
			rows = append(rows, &table[r])
			continue
		}
		heading = false
		if len(words) < 3 || rows == nil {
			t.Fatalf("refs.txt:%d: not understood: %s", i+1, line)
		}
		fields, context := words[2:], []string(nil)
		if at := slices.Index(fields, "with"); at >= 0 {
			fields, context = fields[:at], fields[at+1:]
		}
		for _, row := range rows {
			for _, field := range fields {
				c := claim{row: row, where: words[0], kind: Kind(strings.TrimRight(words[1], "+?~")), text: field}
				c.use = Use(1 + strings.IndexByte("+?~", words[1][len(words[1])-1]))
				for _, text := range append(slices.Clone(context), field) {
					name, value, given := strings.Cut(text, "=")
					if !given {
						value = marker
					}
					c.sets = append(c.sets, setting{name, strings.ReplaceAll(value, "MARK", marker)})
				}
				claims = append(claims, c)
			}
		}
	}
	return claims
}

// call makes the call that a claim is about.
func (c claim) call(t *testing.T) *Call {
	t.Helper()
	call := &Call{Route: c.row, Action: c.row.Action, Query: url.Values{}, Header: http.Header{}}
	for _, name := range variables.FindAllStringSubmatch(c.row.Pattern, -1) {
		call.vars = append(call.vars, variable{name[1], "some"})
	}
	if call.isSocket() {
		call.Upgrade = "websocket"
		call.Header = http.Header{"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Version": {"13"}}
	}
	var body any
	for _, s := range c.sets {
		switch c.where {
		case "query":
			call.Query.Set(s.field, s.value)
			if s.field == "filters" {
				f, err := ParseFilters(s.value)
				if err != nil {
					t.Fatal(err)
				}
				call.SetFilters(f)
			}
		case "path":
			call.SetVar(s.field, s.value)
		case "body":
			body = put(t, body, s.field, s.value)
		default:
			t.Fatalf("%v: %s is none of query, body, path", c, c.where)
		}
	}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if call.Body, err = ParseDocument(text, c.row.Of); err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		for path := range call.Body.Unknown() {
			t.Errorf("%v: %s is no field of %T", c, path, c.row.Of)
		}
	}
	return call
}

var (
	variables = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)
	step      = regexp.MustCompile(`^(\[\]|\{\w*\}|\.?\w+)`)
)

// put sets the field at path: NAME of an object, [] for a list's element, {}
// for any key of a map, {NAME} for that key, {key} for the value as the key.
func put(t *testing.T, to any, path, value string) any {
	t.Helper()
	if path == "" {
		return value
	}
	part := step.FindString(path)
	rest := path[len(part):]
	if part == "[]" {
		list, _ := to.([]any)
		if list == nil {
			list = []any{nil}
		}
		list[0] = put(t, list[0], rest, value)
		return list
	}
	object, _ := to.(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	switch name := strings.Trim(part, ".{}"); {
	case part == "":
		t.Fatalf("path not understood: %s", path)
	case part == "{key}":
		object[value] = nil
	case part == "{}":
		object["any"] = put(t, object["any"], rest, value)
	default:
		object[name] = put(t, object[name], rest, value)
	}
	return object
}

// Whatever names an object is in Refs under its kind, and nothing else is.
func TestRefs(t *testing.T) {
	for _, c := range readClaims(t) {
		refs, err := c.call(t).Further()
		if err != nil {
			t.Errorf("%v: %v", c, err)
		}
		found := slices.ContainsFunc(refs, func(r Ref) bool {
			return strings.Contains(r.Name, marker) && (c.kind == "-" || r.Kind == c.kind && r.Use == c.use)
		})
		if found != (c.kind != "-") {
			t.Errorf("%v: names %s, and Refs are %v", c, c.kind, refs)
		}
	}
}

// Every query key and all text that a body may hold is claimed to name
// something or nothing: a new field of the Engine's types must be looked at.
func TestRefsAreClaimed(t *testing.T) {
	claimed := map[string]bool{}
	for _, c := range readClaims(t) {
		field, _, _ := strings.Cut(c.text, "=")
		claimed[claimKey(c.row, c.where, field)] = false
	}
	for _, row := range Table() {
		var want []string
		for _, key := range queryKeys(row) {
			want = append(want, claimKey(&row, "query", key))
		}
		if row.Of != nil {
			for _, leaf := range leaves(reflect.TypeOf(row.Of), "") {
				want = append(want, claimKey(&row, "body", leaf))
			}
		}
		for _, name := range variables.FindAllStringSubmatch(row.Pattern, -1)[min(1, strings.Count(row.Pattern, "{")):] {
			want = append(want, claimKey(&row, "path", name[1]))
		}
		for _, key := range want {
			if _, ok := claimed[key]; !ok {
				t.Errorf("%s: say in testdata/refs.txt what it names", key)
			}
			claimed[key] = true
		}
	}
	for key, real := range claimed {
		if !real {
			t.Errorf("%s: in testdata/refs.txt, but the table has no such thing", key)
		}
	}
}

var namedKey = regexp.MustCompile(`\{\w*\}`)

func claimKey(row *Route, where, field string) string {
	field = namedKey.ReplaceAllStringFunc(field, func(s string) string {
		if s == "{key}" {
			return s
		}
		return "{}"
	})
	return row.Method + " " + row.Pattern + ": " + where + " " + field
}

// leaves are the paths of all text in a type, written as put reads them.
func leaves(of reflect.Type, path string) (list []string) {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch of.Kind() {
	case reflect.String, reflect.Interface:
		return []string{path}
	case reflect.Slice, reflect.Array:
		if of.Elem().Kind() == reflect.Uint8 {
			return []string{path}
		}
		return leaves(of.Elem(), path+"[]")
	case reflect.Map:
		return append([]string{path + "{key}"}, leaves(of.Elem(), path+"{}")...)
	case reflect.Struct:
		for f := range of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name == "-" || !f.IsExported() && !f.Anonymous:
			case f.Anonymous && name == "":
				list = append(list, leaves(f.Type, path)...)
			default:
				if name == "" {
					name = f.Name
				}
				list = append(list, leaves(f.Type, strings.TrimPrefix(path+"."+name, "."))...)
			}
		}
	}
	return list
}

// What the two tables above cannot say: which of several readings a name has.
func TestRefsRead(t *testing.T) {
	for _, tt := range []struct{ row, query, body, want string }{
		{"POST /containers/create", "name=/web", `{"Image":"busybox"}`, "container web, image docker.io/library/busybox:latest"},
		{"POST /containers/create", "", `{"Image":"cafe"}`, "image cafe"}, // an id as well as a name
		{"POST /containers/create", "", `{"Image":"sha256:66"}`, "image sha256:66"},
		{"POST /containers/create", "", `{"Image":"UPPER"}`, "image UPPER"}, // the Engine's error is better
		{"POST /containers/create", "", `{"Image":"GHCR.io/a/b"}`, `! write "ghcr.io"`},
		{"POST /containers/create", "", `{"Image":""}`, ""},
		{"POST /containers/create", "", `{"HostConfig":{"Binds":["/etc:/x:ro","data:/y","/only","C:\\a:D:\\b","c:/a:/b"]}}`,
			`path /etc, volume data, path C:\a, path c:/a`},
		{"POST /containers/create", "", `{"HostConfig":{"NetworkMode":"host","PidMode":"host","VolumesFrom":["/a:ro"],"Links":["/b:/c/d"]}}`,
			"container a, container b, network host"},
		{"POST /containers/create", "", `{"HostConfig":{"NetworkMode":"default"},"NetworkingConfig":{"EndpointsConfig":{"default":{}}}}`, ""},
		{"POST /containers/create", "", `{"HostConfig":{"Mounts":[{"Type":"new","Source":"x"},{"Type":"tmpfs"}]}}`, "path x"},
		{"POST /containers/create", "", `{"Privileged":true}`, "! HostConfig"},
		{"POST /containers/create", "", `{"privileged":true,"HostConfig":{}}`, "! HostConfig"},
		{"POST /containers/create", "", `{"bindſ":["/:/x"]}`, "! HostConfig"},
		{"POST /containers/create", "", `{"MaskedPaths":[]}`, "! HostConfig"},
		{"POST /containers/create", "", `{"Memory":0,"VolumeDriver":null,"Links":null}`, ""},
		{"POST /volumes/create", "", `{"Name":"v","DriverOpts":{"type":"overlay","o":"lowerdir=/a:b,upperdir=c,x=/d,y=e","device":"none"}}`,
			"volume v, path none, path /a, path b, path c, path /d"},
		{"POST /images/create", "fromImage=busybox&repo=a&fromSrc=b", "", "image docker.io/library/busybox"},
		{"POST /images/create", "fromImage=a:1&tag=2", "", "image docker.io/library/a:2"},
		{"POST /images/create", "fromImage=A&tag=2", "", "image A:2"},
		{"POST /images/create", "fromSrc=-&repo=a", "", "image docker.io/library/a:latest"},
		{"POST /images/create", "fromSrc=h/f.tar&repo=a&tag=2", "", "image docker.io/library/a:2, registry http://h/f.tar"},
		{"GET /images/get", "names=tool&names=b:1&names=cafe", "", "image docker.io/library/tool, image docker.io/library/b:1, image cafe"},
		{"GET /images/search", "term=ubuntu", "", "registry docker.io"},
		{"GET /images/search", "term=acme/ubuntu", "", "registry docker.io"},
		{"GET /images/search", "term=h:5000/ubuntu", "", "registry h:5000"},
		{"POST /auth", "", `{}`, "registry docker.io"},
		{"POST /auth", "", `{"serveraddress":"https://index.docker.io/v1/"}`, "registry docker.io"},
		{"POST /auth", "", `{"serveraddress":"ghcr.io@evil.example/v2"}`, "registry evil.example"},
		{"POST /build", `cachefrom=["tool,b:1"]&t=c&t=d:2&remote=client-session&networkmode=container:x`, "",
			"image docker.io/library/c:latest, image docker.io/library/d:2, image docker.io/library/tool:latest, " +
				"image docker.io/library/b:1, container x"},
		{"POST /build", `buildargs={"BUILDKIT_SYNTAX":"a:1 b","X":null}&cachefrom={`, "", "image {, image docker.io/library/a:1"},
		{"POST /build", `outputs=[{"type":"image","attrs":{"name":"a,b:1","push":"true"}}]`, "",
			"image docker.io/library/a:latest, image docker.io/library/b:1"},
		{"GET /tasks", `filters={"node":["self","n"],"service":{"s":true}}`, "", "node n, service s"},
		{"GET /containers/json", `filters={"volume":["/data","v"]}`, "", "volume v"},
		{"POST /plugins/pull", "remote=acme/p", `[{"Name":"mount","Value":["/srv"]},{"Name":"capabilities","Value":["/x"]}]`,
			"plugin docker.io/acme/p:latest, path /srv"},
	} {
		table := Table()
		row := &table[slices.IndexFunc(table, func(r Route) bool { return r.Method+" "+r.Pattern == tt.row })]
		call := &Call{Route: row, Query: parseQuery(t, tt.query)}
		if tt.body != "" {
			var err error
			if call.Body, err = ParseDocument([]byte(tt.body), row.Of); err != nil {
				t.Fatal(err)
			}
		}
		refs, err := call.Further()
		var words []string
		for _, r := range refs {
			words = append(words, string(r.Kind)+" "+r.Name)
		}
		checkName(t, tt.row+"?"+tt.query+" "+tt.body, strings.Join(words, ", "), err, strings.Replace(tt.want, "! ", "!", 1))
	}
}
