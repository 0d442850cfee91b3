package router

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// sent is what is sent for a call, and the call that it is read as.
func sent(t testing.TB, c *Call) (string, *Call) {
	t.Helper()
	c.PassUnknown, c.Stream = true, nil
	out, err := c.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	if err := out.Write(&wire); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	again, err := readBack(r)
	if err != nil {
		t.Fatalf("%s is refused: %v", wire.String(), err)
	}
	body := ""
	if c.Body != nil { // however its strings are escaped
		var value any
		if err := c.Body.Decode(&value); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	}
	return out.Method + " " + out.URL.RequestURI() + " " + body, again
}

// byPlace sorts refs, as filters are sorted anew when one is pinned.
func byPlace(refs []Ref) []Ref {
	refs = slices.Clone(refs)
	for i := range refs {
		refs[i].At = Place{In: refs[i].At.In, Key: refs[i].At.Key}
	}
	slices.SortFunc(refs, func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.At.In, b.At.In), cmp.Compare(a.At.Key, b.At.Key),
			cmp.Compare(a.Use, b.Use), cmp.Compare(a.Name, b.Name))
	})
	return refs
}

// pinned says what is wrong when the i-th object of a call is pinned to another
// name: that name must be in its place and nowhere else, and what was there
// before, put back, must give the request that was there before.
func pinned(t testing.TB, c *Call, i int, to string) string {
	t.Helper()
	maps.DeleteFunc(c.Query, func(_ string, values []string) bool { return len(values) == 1 && values[0] == "" })
	before, _ := sent(t, c)
	refs, err := c.Objects()
	if err != nil {
		t.Fatal(err)
	}
	ref, tag := refs[i], c.Query.Get(refs[i].At.tag)
	for j, r := range refs {
		if j != i && r.At.In == InPath && ref.At.In == InPath && r.At.Key == ref.At.Key {
			return "" // a push has its name with and without the tag
		}
	}
	if err := c.Pin([]Pin{{ref, to}}); err != nil {
		if strings.Contains(err.Error(), "is written twice") {
			return "" // the body has a key of that name
		}
		return "not pinned: " + err.Error()
	}
	after, again := sent(t, c)
	got, err := again.Objects()
	if err != nil {
		return after + " names nothing: " + err.Error()
	}
	want := slices.Clone(refs)
	want[i].Name = to
	if !slices.Equal(byPlace(got), byPlace(want)) {
		return after + " names another set of objects"
	}

	at := slices.IndexFunc(got, func(r Ref) bool {
		return r.Kind == ref.Kind && r.Name == to && r.At.In == ref.At.In && r.At.Key == ref.At.Key
	})
	old := ref.At.Text
	switch {
	case ref.At.tail != "":
		return "" // it stays
	case ref.At.tag != "" && strings.ContainsAny(old, "@:"):
		return "" // what the tag overrides is gone
	case ref.At.tag != "" && strings.ContainsAny(tag, "/@"):
		return "" // neither a tag nor a digest holds these: what stood there was no name, and is none to pin
	case ref.At.tag == "" || tag == "":
	case strings.Contains(tag, ":"):
		old += "@" + tag
	default:
		old += ":" + tag
	}
	if err := again.Pin([]Pin{{got[at], old}}); err != nil {
		return "not pinned again: " + err.Error()
	}
	if back, _ := sent(t, again); back != before {
		return after + " becomes " + back
	}
	return ""
}

// other is a name that a ref may be pinned to and is read as itself.
func other(ref Ref) string {
	const name = "pinned-to-another"
	switch ref.Kind {
	case Image, Plugin:
		return "docker.io/library/" + name + ":1"
	case HostPath:
		if len(ref.Name) > 1 && ref.Name[1] == ':' { // a drive of a Windows Engine
			return "d:/" + name
		}
		return "/" + name
	case Registry:
		if ref.At.Key == "remote" || ref.At.Key == "fromSrc" {
			return "http://" + name + ".example/some"
		}
		return name + ".example"
	}
	return name
}

// Every object that a row names can be pinned, but those in JSON in the query
// and those that the Engine has by itself.
func TestPin(t *testing.T) {
	places := 0
	for _, c := range readClaims(t) {
		refs, err := c.call(t).Objects()
		if err != nil {
			t.Fatal(err)
		}
		for i, ref := range refs {
			if ref.At.In == Nowhere {
				if key, _, _ := strings.Cut(c.text, "="); strings.Contains(ref.Name, marker) && !slices.Contains([]string{"cachefrom", "buildargs", "outputs"}, key) {
					t.Errorf("%v: %s %s stands nowhere", c, ref.Kind, ref.Name)
				}
				if err := c.call(t).Pin([]Pin{{ref, "x"}}); err == nil {
					t.Errorf("%v: pinned %s %s, which stands nowhere", c, ref.Kind, ref.Name)
				}
				continue
			}
			places++
			if wrong := pinned(t, c.call(t), i, other(ref)); wrong != "" {
				t.Errorf("%v: pinning %s %s: %s", c, ref.Kind, ref.Name, wrong)
			}
		}
	}
	if places < 300 {
		t.Errorf("only %d places", places)
	}
}

// What stands around a name stays, and still means what it meant.
func TestPinWrites(t *testing.T) {
	const create, connect = "POST /containers/create", "POST /networks/{id...}/connect"
	for _, tt := range []struct{ row, body, want string }{
		{create, `{"HostConfig":{"VolumesFrom":["/a:ro","a"],"NetworkMode":"container:/a","PidMode":"container:a"}}`,
			`{"HostConfig":{"VolumesFrom":["ID:ro","ID"],"NetworkMode":"container:ID","PidMode":"container:ID"}}`},
		{create, `{"HostConfig":{"Links":["a:b","a","/a:/web/b"]}}`, `{"HostConfig":{"Links":["ID:b","ID:a","/ID:/web/b"]}}`},
		{connect, `{"Container":"/a","EndpointConfig":{"Links":["a"]}}`, `{"Container":"ID","EndpointConfig":{"Links":["ID:a"]}}`},
		{create, `{"HostConfig":{"Binds":["data:/b:ro"],"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"o":"lowerdir=/x:/y,upperdir=z"}}}}]}}`,
			`{"HostConfig":{"Binds":["ID:/b:ro"],"Mounts":[{"Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"o":"lowerdir=ID:ID,upperdir=ID"}}}}]}}`},
		{create, `{"NetworkingConfig":{"EndpointsConfig":{ "a" : {"NetworkID":"n"}}}}`, `{"NetworkingConfig":{"EndpointsConfig":{ "ID" : {"NetworkID":"ID"}}}}`},
	} {
		table := Table()
		c := &Call{Route: &table[slices.IndexFunc(table, func(r Route) bool { return r.Method+" "+r.Pattern == tt.row })]}
		var err error
		if c.Body, err = ParseDocument([]byte(tt.body), c.Route.Of); err != nil {
			t.Fatal(err)
		}
		refs, err := c.Further()
		if err != nil {
			t.Fatal(err)
		}
		var pins []Pin
		for _, ref := range refs {
			pins = append(pins, Pin{ref, "ID"})
		}
		if err := c.Pin(pins); err != nil || string(c.Body.Bytes()) != tt.want {
			t.Errorf("%s becomes %s, %v", tt.body, c.Body.Bytes(), err)
		}
		if wrong := asRead(c.Body); wrong != "" {
			t.Errorf("%s: %s", c.Body.Bytes(), wrong)
		}
	}
}

// A pin whose place has changed since, or that collides with another edit, is
// an error that leaves the call as it was.
func TestPinFails(t *testing.T) {
	const body = `{"Image":"a","HostConfig":{"NetworkMode":"n","Binds":["v:/x"]},"NetworkingConfig":{"EndpointsConfig":{"n":{},"ID":{}}}}`
	read := func() (*Call, []Ref) {
		table := Table()
		c := &Call{Route: &table[slices.IndexFunc(table, func(r Route) bool { return r.Action == "container.create" })], Query: url.Values{"name": {"web"}}}
		var err error
		if c.Body, err = ParseDocument([]byte(body), c.Route.Of); err != nil {
			t.Fatal(err)
		}
		refs, err := c.Objects()
		if err != nil {
			t.Fatal(err)
		}
		return c, refs
	}
	for name, pin := range map[string]func(c *Call, refs []Ref) error{
		"the body was edited": func(c *Call, refs []Ref) error {
			if err := c.Body.Set("a", "Image"); err != nil {
				t.Fatal(err)
			}
			return c.Pin([]Pin{{refs[0], "x"}, {refs[1], "ID"}})
		},
		"the query was": func(c *Call, refs []Ref) error {
			c.Query.Set("name", "other")
			err := c.Pin([]Pin{{refs[1], "ID"}, {refs[0], "x"}})
			c.Query.Set("name", "web")
			return err
		},
		"the query's is gone": func(c *Call, refs []Ref) error {
			c.Query.Del("name")
			err := c.Pin([]Pin{{refs[0], "x"}})
			c.Query.Set("name", "web")
			return err
		},
		"of another call": func(c *Call, refs []Ref) error {
			ref := refs[2]
			ref.At.item = 99
			return c.Pin([]Pin{{refs[0], "x"}, {ref, "ID"}})
		},
		"twice":         func(c *Call, refs []Ref) error { return c.Pin([]Pin{{refs[0], "x"}, {refs[2], "ID"}, {refs[2], "ID"}}) },
		"an edit of it": func(c *Call, refs []Ref) error { return c.Pin([]Pin{{refs[1], "ID"}}, Edit{[]string{"Image"}, "y"}) },
		"an edit of what is it": func(c *Call, refs []Ref) error {
			return c.Pin([]Pin{{refs[2], "ID"}}, Edit{[]string{"HostConfig"}, nil})
		},
		"a key that is there": func(c *Call, refs []Ref) error { return c.Pin([]Pin{{refs[0], "x"}, {refs[len(refs)-2], "ID"}}) },
		"nowhere": func(c *Call, refs []Ref) error {
			return c.Pin([]Pin{{refs[0], "x"}, {Ref{Kind: Image, Name: "a"}, "ID"}})
		},
	} {
		c, refs := read()
		if err := pin(c, refs); err == nil {
			t.Errorf("%s: pinned", name)
		}
		if string(c.Body.Bytes()) != body || c.Query.Get("name") != "web" {
			t.Errorf("%s: the call is %v %s", name, c.Query, c.Body.Bytes())
		}
	}
	c, refs := read()
	if where := c.Where(refs[0].At) + " " + c.Where(refs[1].At) + " " + c.Where(refs[2].At) + " " + c.Where(Place{}); where != "name Image HostConfig.Binds[0] " {
		t.Errorf("the places are %s", where)
	}
}

func FuzzPin(f *testing.F) {
	for _, s := range [][2]string{
		{"/containers/create?name=/web&platform=a", `{"Image":"b@sha256:` + strings.Repeat("0", 64) + `","HostConfig":{"Binds":["a\u003a:/b","c:/a:/b","/x:/y:ro","data"],` +
			`"NetworkMode":"container:\u0061","VolumesFrom":["/a:ro","b"],"Links":["/a:/b/c"],"Mounts":[{"Type":"volume","Source":"a","VolumeOptions":{"DriverConfig":` +
			`{"Options":{"o":"lowerdir=/a:b,upperdir=c,x=/d:/e"}}}}]},"NetworkingConfig":{"EndpointsConfig":{"n\n":{"Links":["a:b"],"NetworkID":"c"},"default":null}}}`},
		{"/images/create?fromImage=a:1&tag=sha256:" + strings.Repeat("0", 64), ""}, {"/images/create?fromImage=A:&tag=2", ""}, {"/images/create?fromImage=0&tag=/", ""}, {"/images/create?fromSrc=h/f&repo=a@b&tag=2", ""},
		{"/images/a/b/push?tag=1", ""}, {"/images/get?names=a&names=cafe&names=b:1", ""}, {"/images/search?term=h:5000/a", ""},
		{"/build?t=a&t=b:1&remote=https://x/y&networkmode=container:a&session=b&buildid=c&cachefrom=[%22x%22]", ""},
		{"/events?filters=%7B%22container%22%3A%5B%22a%22%2C%22/b%22%5D%2C%22image%22%3A%7B%22x%22%3Afalse%7D%7D", ""},
		{"/plugins/pull?remote=a&name=b", `[{"Name":"mount","Value":["/a"]},{"Name":"network","Value":["b"]}]`}, {"/plugins/a/set", `["a.source=/b","c"]`},
		{"/services/create", `{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a","Secrets":[{"SecretID":"b","SecretName":"c"}]},"Networks":[{"Target":"d"}]}}`},
		{"/volumes/create", `{"Name":"é","DriverOpts":{"type":"overlay","device":"","o":"lowerdir=::,=,"}}`}, {"/auth", `{"serveraddress":"https://index.docker.io/v1/"}`},
		{"/networks/a/connect", `{"Container":"/a","EndpointConfig":{"Links":["a"]}}`}, {"/containers/a/exec", `{"Cmd":"a"}`},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, target, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.Contains(target+body, "pinned-to-another") {
			return
		}
		read := func() *Call {
			for _, method := range []string{"POST", "GET"} {
				r := httptest.NewRequest("GET", "/", strings.NewReader(body))
				r.Method, r.URL, r.ContentLength = method, u, int64(len(body))
				r.Header = http.Header{"Content-Type": {"application/json"}}
				if body == "" {
					r.Body = io.NopCloser(r.Body)
				}
				if c, err := readBack(r); err == nil && c.Upgrade == "" {
					return c
				}
			}
			return nil
		}
		c := read()
		if c == nil {
			return
		}
		refs, err := c.Objects()
		if err != nil {
			return
		}
		for i, ref := range refs {
			if ref.At.In == Nowhere {
				continue
			}
			if wrong := pinned(t, read(), i, other(ref)); wrong != "" {
				t.Errorf("%s %s: pinning %s %q: %s", target, body, ref.Kind, ref.Name, wrong)
			}
		}
	})
}

// TestPinAndEdit: keys are pinned with edits before and behind them in one pass.
func TestPinAndEdit(t *testing.T) {
	for _, list := range [][]Edit{
		nil, edits("Labels/x", "y"), edits("NetworkingConfig/EndpointsConfig/n/NetworkID", "x"), edits("Volumes", nil), edits("Labels/x", "y", "Volumes", nil, "HostConfig/Memory", int64(1)),
	} {
		const body = `{"Labels":{},"NetworkingConfig":{"EndpointsConfig":{"n":{"Links":["a:b"]},"m":null}},"Volumes":{"/a":{}}}`
		r := httptest.NewRequest("POST", "/containers/create", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		c, err := readBack(r)
		if err != nil {
			t.Fatal(err)
		}
		refs, err := c.Objects()
		if err != nil {
			t.Fatal(err)
		}
		var pins []Pin
		for _, ref := range refs {
			if ref.At.In == InBodyKey {
				pins = append(pins, Pin{ref, "id-of-" + ref.Name})
			}
		}
		if err := c.Pin(pins, list...); err != nil {
			t.Fatal(err)
		}
		networks := c.Body.Root().At("NetworkingConfig", "EndpointsConfig")
		var names []string
		for name := range networks.Members() {
			names = append(names, name)
		}
		if len(pins) != 2 || !slices.Equal(names, []string{"id-of-n", "id-of-m"}) {
			t.Errorf("with %v the networks are %q: %s", list, names, c.Body.Bytes())
		}
		if wrong := asRead(c.Body); wrong != "" {
			t.Errorf("with %v: %s", list, wrong)
		}
	}
}
