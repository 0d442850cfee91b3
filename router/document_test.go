package router

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
)

// refused checks that err is a refusal with the status, and that its message
// holds part.
func refused(t *testing.T, what string, err error, status int, part string) {
	t.Helper()
	var e *Error
	switch {
	case err == nil:
		t.Errorf("%s: taken, want a refusal with %q", what, part)
	case !errors.As(err, &e) || e.Status != status:
		t.Errorf("%s: %v, want status %d", what, err, status)
	case !strings.Contains(e.Message, part):
		t.Errorf("%s: %q, want %q in it", what, e.Message, part)
	}
}

// An edit leaves everything else as it was written, unknown fields too.
func TestDocumentSet(t *testing.T) {
	type set struct {
		value any
		path  string
	}
	for _, tt := range []struct {
		text, want string
		sets       []set
	}{
		{`{"Image":"a","New":{"z":1.50,"a":[ ]}}`, `{"Image":"b","New":{"z":1.50,"a":[ ]}}`, []set{{"b", "Image"}}},
		{`{ "Image" : "a" }`, `{ "Image" : "b" }`, []set{{"b", "Image"}}},
		{`{}`, `{"Image":"b"}`, []set{{"b", "Image"}}},
		{`{"z":1}`, `{"Image":"b","z":1}`, []set{{"b", "Image"}}},
		{`null`, `{"Labels":{"a":"1"}}`, []set{{"1", "Labels/a"}}},
		{`{"Labels":null}`, `{"Labels":{"a":"1"}}`, []set{{"1", "Labels/a"}}},
		{`{"Labels":{}}`, `{"Labels":{"a":"1"}}`, []set{{"1", "Labels/a"}}},
		{`{"Labels":{"b":"2"}}`, `{"Labels":{"a":"1","b":"2"}}`, []set{{"1", "Labels/a"}}},
		{`{"Labels":{"A":"2"}}`, `{"Labels":{"a":"1","A":"2"}}`, []set{{"1", "Labels/a"}}},
		{`{"Labels":{"\u0061":"2"}}`, `{"Labels":{"\u0061":"1"}}`, []set{{"1", "Labels/a"}}},
		{`{"HostConfig":{"Memory":null}}`, `{"HostConfig":{"Memory":5}}`, []set{{5, "HostConfig/Memory"}}},
		{`{"HostConfig":{"Binds":["a"]}}`, `{"HostConfig":{"Binds":null}}`, []set{{nil, "HostConfig/Binds"}}},
		{`{}`, `{"HostConfig":{"Memory":2,"PidsLimit":1}}`, []set{{1, "HostConfig/PidsLimit"}, {2, "HostConfig/Memory"}}},
		{`{}`, `{"Labels":{"a\"\\\u0001":"é"}}`, []set{{"é", "Labels/a\"\\\x01"}}},
		{`{"HostConfig":{"CapAdd":"ALL"}}`, `{"HostConfig":{"CapDrop":["A"],"CapAdd":["ALL"]}}`, []set{{"A", "HostConfig/CapDrop"}}},
		{`{"a":1}`, `{"Image":"x"}`, []set{{map[string]string{"Image": "x"}, ""}}},

		{`{"Image":"a"}`, "!Image is no object", []set{{1, "Image/x"}}},
		{`{"HostConfig":[]}`, "!", []set{{1, "HostConfig/x"}}},
		{`{}`, "!Image is 1: write a string", []set{{1, "Image"}}},
		{`{}`, "!write Image", []set{{"a", "image"}}},
		{`{"x":{"Labels":{}}}`, "!x.Labels is written twice", []set{{"a", "x/labels"}}},
		{`{}`, "!writing Image: json: unsupported type", []set{{func() {}, "Image"}}},
	} {
		d, err := ParseDocument([]byte(tt.text), create)
		for _, s := range tt.sets {
			if err == nil {
				var path []string
				if s.path != "" {
					path = strings.Split(s.path, "/")
				}
				err = d.Set(s.value, path...)
			}
		}
		got := ""
		if err == nil {
			got = string(d.Bytes())
		}
		checkName(t, tt.text, got, err, tt.want)
	}
	if err := (*Document)(nil).Set(1, "a"); err == nil || !strings.Contains(err.Error(), "has no body") {
		t.Errorf("setting in a missing body: %v", err)
	}
	d, _ := ParseDocument([]byte(`{"Image":"a"}`), create)
	if err := d.Set(1, "Image"); err == nil || string(d.Bytes()) != `{"Image":"a"}` {
		t.Errorf("an edit that fails, %v, leaves %s", err, d.Bytes())
	}
}

func TestDocumentUnknown(t *testing.T) {
	for text, want := range map[string]string{
		`{"Image":"a","Labels":{"new":"1"}}`:                                    "",
		`{"New":{"x":{"y":1}},"Image":"a","Also":null}`:                         "New Also",
		`{"HostConfig":{"New":1,"Binds":[],"Mounts":[{},{"X":1}]}}`:             "HostConfig.New HostConfig.Mounts[1].X",
		`{"NetworkingConfig":{"EndpointsConfig":{"net":{"X":1}}}}`:              "NetworkingConfig.EndpointsConfig.net.X",
		`{"Volumes":{"/a":{"X":{}}},"HostConfig":{"\u0042inds":[],"\u0058":1}}`: "Volumes./a.X HostConfig.X",
		`{"HostConfig":{"Devices":[{"PathOnHost":"","New":1}]}}`:                "HostConfig.Devices[0].New",
		`null`: "",
	} {
		d, err := ParseDocument([]byte(text), create)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for path := range d.Unknown() {
			got = append(got, path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: unknown are %q, want %q", text, got, want)
		}
		for path, value := range d.Unknown() { // may be left early
			if value.Missing() {
				t.Errorf("%s: %s is missing", text, path)
			}
			break
		}
	}
	for range (*Document)(nil).Unknown() {
		t.Error("a missing document has unknown fields")
	}
}

func TestDocumentRemove(t *testing.T) {
	for text, want := range map[string]string{
		`{"x":1}`: `{}`, `{ "x" : 1 }`: `{  }`, `{"x":1,"Image":"a"}`: `{"Image":"a"}`, `{"Image":"a", "x":[1,{}]}`: `{"Image":"a"}`,
		`{"Tty":true,"x":1 , "Image":"a"}`: `{"Tty":true, "Image":"a"}`, `{"\u0078":1,"Image":"a"}`: `{"Image":"a"}`,
		`{"HostConfig":{"x":","}}`: `{"HostConfig":{}}`,
	} {
		d, err := ParseDocument([]byte(text), create)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range d.Unknown() {
			err = d.remove(x.i)
			break
		}
		if err != nil || string(d.Bytes()) != want {
			t.Errorf("%s without x is %s, %v, want %s", text, d.Bytes(), err, want)
		}
	}
}

func TestValue(t *testing.T) {
	d, err := ParseDocument([]byte(`{"s":"a\n","e":"","n":-5,"z":0.0,"f":1.5,"big":9223372036854775808,"t":true,"no":false,"nil":null,`+
		`"o":{"\u0061":{"b":[1,"x",{}]}},"eo":{},"l":[1],"el":[]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	root := d.Root()
	for name, want := range map[string]string{
		"s": `"a\n" str "a\n"`, "e": `"" str "" empty`, "n": "-5 int -5", "z": "0.0 empty", "f": "1.5", "big": "9223372036854775808",
		"t": "true true", "no": "false empty", "nil": "null empty null", "o": `{"\u0061":{"b":[1,"x",{}]}} object`, "eo": "{} object empty",
		"l": "[1] list", "el": "[] list empty", "gone": " empty missing",
	} {
		v := root.Get(name)
		got := v.Raw()
		for _, is := range []struct {
			yes  bool
			word string
		}{
			{v.IsString(), fmt.Sprintf("str %q", v.Str())}, {v.IsObject(), "object"}, {v.IsList(), "list"}, {v.Bool(), "true"},
			{v.Empty(), "empty"}, {v.Missing(), "missing"}, {!v.Exists() && !v.Missing(), "null"},
		} {
			if is.yes {
				got += " " + is.word
			}
		}
		if n, ok := v.Int(); ok {
			got += fmt.Sprintf(" int %d", n)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	var list []any
	if err := root.At("o", "a", "b").Decode(&list); err != nil || len(list) != 3 {
		t.Errorf("decoded %v, %v", list, err)
	}
	if v := root.At("o", "a", "b", "c", "d"); !v.Missing() || v.Decode(&list) != nil {
		t.Errorf("a path through a list gives %v", v.Raw())
	}
	for range root.Get("s").Members() {
		t.Error("a string has members")
	}
	for range root.Elements() {
		t.Error("an object has elements")
	}
	if d = nil; !d.Root().Missing() {
		t.Error("a missing document has a root")
	}
}

// plain is a Value as encoding/json decodes into any, numbers as json.Number.
func plain(v Value) any {
	switch {
	case v.IsObject():
		m := map[string]any{}
		for key, member := range v.Members() {
			m[key] = plain(member)
		}
		return m
	case v.IsList():
		list := []any{}
		for e := range v.Elements() {
			list = append(list, plain(e))
		}
		return list
	case v.IsString():
		return v.Str()
	case v.is('0'):
		return json.Number(v.Raw())
	case v.Exists():
		return v.Bool()
	}
	return nil
}

func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"Image":"a","Cmd":"b","Env":["A=b"],"Labels":{"a":"1","A":"2"}}`, `{"HostConfig":{"CapAdd":"ALL","Privileged":true,"Binds":["/:/x"]}}`,
		`{"HostConfig":{"PidMode":"host","Memory":1,"ConsoleSize":[1,2],"MaskedPaths":[],"Mounts":[{"Type":"bind","Source":"/"}]}}`,
		`{"image":"a"}`, `{"Image":"a","\u0049mage":"b"}`, `{"HostConfig":{"Bindſ":[]}}`, `{"":{"":01}}`, `{} {}`, "\ufeff{}", `null`, `[]`,
		`{"Image":"\ud83d\ude00","x":[1e5,-0,{"a":{"b":null}}]}`, `{"Image":"\ud800"}`, `{"HostConfig":{"CPURealtimePeriod":5}}`,
		`{"Healthcheck":{"Test":["NONE"],"Interval":1},"StopTimeout":1,"ExposedPorts":{"1/tcp":{}}}`, "{\"Image\":\"\xff\"}",
		`{"NetworkingConfig":{"EndpointsConfig":{"n":{"IPAMConfig":{"IPv4Address":"1"},"Links":["a:b"]}}}}`, `{"HostConfig":{"BlkioWeight":65536}}`,
		`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"1"}]},"RestartPolicy":{"Name":"no"},"Init":true}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := ParseDocument(raw, create)
		if err != nil {
			if e := new(Error); !errors.As(err, &e) || e.Status != 400 && e.Status != 413 {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		var want, got container.CreateRequest
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("the Engine refuses: %v", err)
		}
		if err := d.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s decodes otherwise than what came: %v", d.Bytes(), err)
		}
		number := json.NewDecoder(strings.NewReader(string(d.Bytes())))
		number.UseNumber()
		var tree any
		if err := number.Decode(&tree); err != nil || !reflect.DeepEqual(plain(d.Root()), tree) {
			t.Fatalf("%s reads as %v, want %v, %v", d.Bytes(), plain(d.Root()), tree, err)
		}
		sameFields(t, d.Root(), want)
	})
}

// sameFields compares what is judged with what the Engine decodes.
func sameFields(t *testing.T, root Value, want container.CreateRequest) {
	if want.Config == nil {
		want.Config = &container.Config{}
	}
	host := root.Get("HostConfig")
	if (want.HostConfig != nil) != host.Exists() {
		t.Errorf("HostConfig: %v, the Engine has %v", host.Raw(), want.HostConfig)
	}
	if want.HostConfig == nil {
		want.HostConfig = &container.HostConfig{}
	}
	list := func(v Value) (list []string) {
		if v.IsList() {
			list = []string{}
		}
		for e := range v.Elements() {
			list = append(list, e.Str())
		}
		return list
	}
	whole := func(v Value) int64 { n, _ := v.Int(); return n }
	for _, pair := range []struct{ name, got, want any }{
		{"Image", root.Get("Image").Str(), want.Image},
		{"User", root.Get("User").Str(), want.User},
		{"Tty", root.Get("Tty").Bool(), want.Tty},
		{"Env", list(root.Get("Env")), want.Env},
		{"Cmd", list(root.Get("Cmd")), []string(want.Cmd)},
		{"Entrypoint", list(root.Get("Entrypoint")), []string(want.Entrypoint)},
		{"Privileged", host.Get("Privileged").Bool(), want.HostConfig.Privileged},
		{"Binds", list(host.Get("Binds")), want.HostConfig.Binds},
		{"PidMode", host.Get("PidMode").Str(), string(want.HostConfig.PidMode)},
		{"NetworkMode", host.Get("NetworkMode").Str(), string(want.HostConfig.NetworkMode)},
		{"CapAdd", list(host.Get("CapAdd")), []string(want.HostConfig.CapAdd)},
		{"MaskedPaths", list(host.Get("MaskedPaths")), want.HostConfig.MaskedPaths},
		{"Memory", whole(host.Get("Memory")), want.HostConfig.Memory},
		{"CpuRealtimePeriod", whole(host.Get("CpuRealtimePeriod")), want.HostConfig.CPURealtimePeriod},
	} {
		if !reflect.DeepEqual(pair.got, pair.want) {
			t.Errorf("%s: judged as %#v, the Engine has %#v", pair.name, pair.got, pair.want)
		}
	}
	for key, v := range root.Get("Labels").Members() {
		if got, ok := want.Labels[key]; !ok || got != v.Str() {
			t.Errorf("label %q: judged as %q, the Engine has %q", key, v.Str(), got)
		}
	}
	n := 0
	for mount := range host.Get("Mounts").Elements() {
		if w := want.HostConfig.Mounts[n]; mount.Get("Type").Str() != string(w.Type) || mount.Get("Source").Str() != w.Source {
			t.Errorf("mount %d: judged as %s, the Engine has %v", n, mount.Raw(), w)
		}
		n++
	}
	if n != len(want.HostConfig.Mounts) {
		t.Errorf("%d mounts judged, the Engine has %d", n, len(want.HostConfig.Mounts))
	}
}

func TestNamed(t *testing.T) {
	d, err := ParseDocument([]byte(`{"Labels":{"a":"0"},"X":[{"labels":{"b":"1"}},{"Y":{"\u004cabel\u017f":{"c":"2"},"Label":{},"xLabels":{"d":"3"}}}],"LABELS2":{}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for v := range d.Named("Labels") {
		got = append(got, v.Raw())
	}
	if want := []string{`{"a":"0"}`, `{"b":"1"}`, `{"c":"2"}`}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range (*Document)(nil).Named("Labels") {
		t.Error("a body that is not there has members")
	}
}

func benchmarkBody(b testing.TB) []byte {
	raw, err := os.ReadFile("../cmd/moorgate/testdata/bench/create.json")
	if err != nil {
		b.Skip(err)
	}
	var compact bytes.Buffer // as clients send it
	if err := json.Compact(&compact, raw); err != nil {
		b.Fatal(err)
	}
	return compact.Bytes()
}

func BenchmarkDocument(b *testing.B) {
	raw := benchmarkBody(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDocument(raw, create); err != nil {
			b.Fatal(err)
		}
	}
}
