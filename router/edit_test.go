package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// asRead says how a document's values differ from those that are read in its
// text; "" if they do not.
func asRead(d *Document) string {
	read, err := parse(d.text, d.schema)
	if err != nil {
		return err.Error()
	}
	if !slices.Equal(d.nodes, read.nodes) {
		return fmt.Sprintf("the values are\n%v, read\n%v", d.nodes, read.nodes)
	}
	if !slices.Equal(d.unknown, read.unknown) {
		return fmt.Sprintf("unknown are %v, read %v", d.unknown, read.unknown)
	}
	return ""
}

func edits(pairs ...any) (list []Edit) {
	for i := 0; i < len(pairs); i += 2 {
		var path []string
		if text := pairs[i].(string); text != "" {
			path = strings.Split(text, "/")
		}
		list = append(list, Edit{path, pairs[i+1]})
	}
	return list
}

// Many edits are one: each is made, and what they leave alone stays as written.
func TestDocumentEdit(t *testing.T) {
	for _, tt := range []struct {
		text  string
		edits []Edit
		want  string
	}{
		{`{}`, edits("HostConfig/PidsLimit", int64(1), "HostConfig/Memory", 2), `{"HostConfig":{"PidsLimit":1,"Memory":2}}`},
		{`{"HostConfig":{"Memory":5,"New":[ 1]},"Also":{}}`, edits("HostConfig/PidsLimit", 1, "HostConfig/Memory", 2, "Image", "a", "Labels/x", "y"),
			`{"Image":"a","Labels":{"x":"y"},"HostConfig":{"PidsLimit":1,"Memory":2,"New":[ 1]},"Also":{}}`},
		{`{"Labels":null,"Image":"x"}`, edits("Labels/b", "2", "Labels/a", "1"), `{"Labels":{"b":"2","a":"1"},"Image":"x"}`},
		{`{"Image":"x"}`, edits("Image", "y", "Image", "z"), `{"Image":"z"}`},
		{`{"X":{"a":1},"Y":2}`, edits("X/b", true, "Y", "é"), `{"X":{"b":true,"a":1},"Y":"é"}`},
		{`{"HostConfig":{"CapAdd":["A"]}}`, edits("HostConfig/CapAdd", []string{"B", "C"}, "HostConfig/Mounts", []any{}), `{"HostConfig":{"Mounts":[],"CapAdd":["B","C"]}}`},
		{`{"New":{"y":1},"HostConfig":{"Newer":2}}`, edits("New", nil, "HostConfig/Memory", 1), `{"New":null,"HostConfig":{"Memory":1,"Newer":2}}`},
		{`{"HostConfig":{"CapAdd":["A"]}}`, edits("HostConfig/CapAdd", "B"), `{"HostConfig":{"CapAdd":["B"]}}`}, // the Engine's spelling
		{`{"Image":"x"}`, nil, `{"Image":"x"}`},

		{`{}`, edits("HostConfig", map[string]int{"Memory": 1}, "HostConfig/Memory", 2), "!another edit writes the whole"},
		{`{}`, edits("HostConfig/Memory", 2, "HostConfig", nil), "!another edit writes a part"},
		{`{}`, edits("Image", "a", "HostConfig/Memory", "2"), "!HostConfig.Memory is a string"},
		{`{"Image":"a"}`, edits("Labels/x", "y", "Image/x/y", 1), "!writing Image.x: Image is no object"},
		{`{"Neu":1}`, edits("neu", 1), "!written twice"},
	} {
		d, err := ParseDocument([]byte(tt.text), create)
		if err != nil {
			t.Fatal(err)
		}
		err = d.Edit(tt.edits...)
		checkName(t, tt.text, string(d.Bytes()), err, tt.want)
		if err != nil && d.text != tt.text {
			t.Errorf("an edit that fails, %v, leaves %s", err, d.text)
		}
		if wrong := asRead(d); wrong != "" {
			t.Errorf("%s: %s", d.text, wrong)
		}
	}
	err := (*Document)(nil).Edit(Edit{[]string{"a"}, 1})
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 400 || !strings.Contains(e.Message, "has no body") {
		t.Errorf("editing a missing body, which is the caller's to send: %v", err)
	}
}

// Many pins of a large body cost what reading it costs, not their product.
func TestEditMany(t *testing.T) {
	const n = 20_000
	text := `{"TaskTemplate":{"ContainerSpec":{"Secrets":[` + strings.Repeat(`{"SecretID":"a"},`, n) + `{}]}}}`
	rows := Table()
	c := &Call{Route: &rows[slices.IndexFunc(rows, func(r Route) bool { return r.Action == "service.create" })]}
	var err error
	if c.Body, err = ParseDocument([]byte(text), c.Route.Of); err != nil {
		t.Fatal(err)
	}
	refs, err := c.Objects()
	if err != nil {
		t.Fatal(err)
	}
	var pins []Pin
	for _, ref := range refs {
		pins = append(pins, Pin{ref, "pinned"})
	}
	if err := c.Pin(pins); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(c.Body.text, `"pinned"`); got != n {
		t.Errorf("%d are pinned, want %d", got, n)
	}
	if wrong := asRead(c.Body); wrong != "" {
		t.Error(wrong)
	}
}

// An edited document has the values that are read in its text, without having
// been read again.
func FuzzEdit(f *testing.F) {
	choices := edits("Image", "id", "Labels/moorgate.owner", "alice", "Labels/\u00e9", "\x01", "HostConfig/Memory", int64(1)<<40, "HostConfig/CgroupnsMode", "private",
		"HostConfig/Mounts", json.RawMessage(`[{"Type":"volume","VolumeOptions":{"Labels":{"a":"b"}}}, {}]`), "NetworkingConfig/EndpointsConfig/n/NetworkID", "x",
		"Healthcheck", nil, "New/y", []int{1, 2}, "HostConfig/PortBindings", map[string][]map[string]string{"80/tcp": {{"HostPort": "1"}}}, "Env", "a=b",
		"HostConfig/LogConfig/Config/tag", "t", "HostConfig/RestartPolicy/Name", "no")
	for i, text := range []string{
		`{}`, `null`, `{"Image":"a","Labels":{},"HostConfig":{"Binds":["a:/b",""],"Memory":0}, "New" : {"x":[{}]} }`,
		`{"Labels":null,"X":{"y":{}},"HostConfig":{"NewOne":[1,{"a":"b"}],"Mounts":[{"Type":"volume","Source":"a"}],"PortBindings":{"80/tcp":null}},"Healthcheck":{"Test":["\u0041"]},"Env":["a"]}`,
		`{"NetworkingConfig":{"EndpointsConfig":{"n":{"Links":["a:b"]},"m":null}},"New":{"Y":1},"Volumes":{"/a":{"X":{}}}}`,
	} {
		f.Add(text, uint16(0xffff>>i), true)
		f.Add(text, uint16(1<<i|1<<(i+5)), false)
		for w := range uint16(5) {
			f.Add(text, w|1<<6, true)
			f.Add(text, w, true)
		}
	}
	rows := Table()
	row := &rows[slices.IndexFunc(rows, func(r Route) bool { return r.Action == "container.create" })]
	f.Fuzz(func(t *testing.T, text string, which uint16, pins bool) {
		d, err := ParseDocument([]byte(text), create)
		if err != nil {
			return
		}
		var list []Edit
		for i, e := range choices {
			if which>>i&1 == 1 {
				list = append(list, e)
			}
		}
		before := d.text
		c := &Call{Route: row, Body: d}
		var all []Pin
		if refs, err := c.Objects(); err == nil && pins {
			for i, ref := range refs {
				switch ref.At.In {
				case InBody:
					all = append(all, Pin{ref, "pinned"})
				case InBodyKey:
					// Some names are there already, or given twice: these are refused.
					all = append(all, Pin{ref, []string{fmt.Sprint("pinned", i), "n", "m", "q\"\u00e9", "pinned0"}[(i+int(which))%5]})
				}
			}
		}
		err = c.Pin(all, list...)
		if wrong := asRead(d); wrong != "" {
			t.Fatalf("%s becomes %s: %s", before, d.text, wrong)
		}
		if err != nil {
			if d.text != before {
				t.Fatalf("%v, but %s becomes %s", err, before, d.text)
			}
			return
		}
		again, err := c.Objects()
		keys := false
		for _, p := range all {
			keys = keys || p.Ref.At.In == InBodyKey
			if p.Ref.At.In == InBodyKey && !slices.ContainsFunc(again, func(r Ref) bool { return r.At.In == InBodyKey && r.Name == p.To }) {
				t.Fatalf("%s becomes %s: %q is not pinned to %q (%v)", before, d.text, p.Ref.Name, p.To, err)
			}
		}
		for _, e := range list {
			if keys && e.Path[0] == "NetworkingConfig" {
				continue // it has another key now
			}
			want, _ := json.Marshal(e.Value)
			var got, wanted any
			_ = d.Root().At(e.Path...).Decode(&got)
			_ = json.Unmarshal(want, &wanted)
			if text, isText := wanted.(string); isText && e.Path[0] == "Env" {
				wanted = []any{text}
			}
			if a, b := fmt.Sprint(got), fmt.Sprint(wanted); a != b {
				t.Fatalf("%s becomes %s: %v is %s, want %s", before, d.text, e.Path, a, b)
			}
		}
	})
}
