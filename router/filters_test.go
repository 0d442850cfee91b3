package router

import (
	"errors"
	"net/url"
	"reflect"
	"slices"
	"testing"

	engine "github.com/docker/docker/api/types/filters"
)

// abuse.md, Query and form: filters in both JSON shapes, a false value still
// counts, duplicate keys inside: parse, then re-serialise.
func TestAbuseQueryFilters(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                   `{}`,
		`null`:                                 `{}`,
		`{"label":["b","a","b"]}`:              `{"label":{"a":true,"b":true}}`,
		`{"label":{"b":true,"a":false}}`:       `{"label":{"a":true,"b":true}}`,
		`{"label":[]}`:                         `{"label":{}}`,
		`{"label":{}}`:                         `{"label":{}}`,
		`{"label":null}`:                       `{"label":{}}`,
		`{"label":["a"],"name":{"x":true}}`:    `{"label":{"a":true},"name":{"x":true}}`,
		`{"label":["a"],"LABEL":["b"]}`:        `{"LABEL":{"b":true},"label":{"a":true}}`, // the Engine's map, and no known filter
		`{"label":{"a=1":true,"A=1":true}}`:    `{"label":{"A=1":true,"a=1":true}}`,
		`{"":["x"]}`:                           `{"":{"x":true}}`,
		`{"name":[""]}`:                        `{"name":{"":true}}`,
		`{"l\u0061bel":["\u0061"]}`:            `{"label":{"a":true}}`,
		` {"label" : [ "a" ] } `:               `{"label":{"a":true}}`,
		`{"label":["a"],"label":["b"]}`:        "!label is written twice",
		`{"label":["a"],"l\u0061bel":["b"]}`:   "!label is written twice",
		`{"label":{"a":true,"a":false}}`:       "!label.a is written twice",
		`{"label":["a"]}{}`:                    "!after the JSON value",
		`{"label":"a"}`:                        "!filters: label is no list of strings",
		`{"label":1}`:                          "!label is no list of strings",
		`{"label":[1]}`:                        "!label is no list of strings",
		`{"label":[null]}`:                     "!label is no list of strings",
		`{"label":[["a"]]}`:                    "!label is no list of strings",
		`{"label":{"a":"true"}}`:               "!label is no list of strings",
		`{"label":{"a":null}}`:                 "!label is no list of strings",
		`{"label":{"a":{"b":true}}}`:           "!label is no list of strings",
		`[]`:                                   "!filters: it is a list: write an object",
		`"a"`:                                  "!it is a string",
		`label=a`:                              "!filters: 'l' at byte 0 where a value should be",
		" ":                                    "!the end",
		"{\"label\":[\"\xff\"]}":               "!no UTF-8",
		`{"label":["\ud800"]}`:                 "!half a surrogate pair",
		`{"label":[` + many(100, `"%d"`) + `}`: "!, or ]",
	} {
		f, err := ParseFilters(text)
		got := ""
		if err == nil {
			got = f.String()
		}
		checkName(t, text, got, err, want)
	}
	if f, err := ParseFilters(""); f != nil || err != nil {
		t.Errorf("no filters are %v, %v", f, err)
	}
	c := &Call{Query: parseQuery(t, "")}
	f, err := c.Filters()
	if f == nil || err != nil {
		t.Fatalf("a call without filters has %v, %v", f, err)
	}
	f["label"] = append(f["label"], "moorgate.owner=a", "b", "moorgate.owner=a")
	c.SetFilters(f)
	if got := c.Query.Get("filters"); got != `{"label":{"b":true,"moorgate.owner=a":true}}` {
		t.Errorf("set filters are %s", got)
	}
}

// engineFilters are filters as the Engine reads them.
func engineFilters(text string) (Filters, error) {
	args, err := engine.FromJSON(text)
	if err != nil {
		return nil, err
	}
	f := Filters{}
	for _, key := range args.Keys() {
		f[key] = slices.Sorted(slices.Values(args.Get(key)))
	}
	return f, nil
}

func sameFilters(a, b Filters) bool {
	if len(a) != len(b) {
		return false
	}
	for key, values := range a {
		if other, ok := b[key]; !ok || !slices.Equal(values, other) {
			return false
		}
	}
	return true
}

// What is taken means to the Engine what was judged: as it came in, where the
// Engine takes that, and as it is sent.
func FuzzFilters(f *testing.F) {
	for _, seed := range []string{`{"label":["a","b"]}`, `{"label":{"a":true,"b":false}}`, `{"label":["a"],"name":{"b":true}}`, `{"a":null}`,
		`null`, `{}`, `[]`, `{"a":[],"A":[]}`, `{"a":["x"],"a":["y"]}`, `{"\u0061":["\u00e9"]}`, `{"a":[1]}`, `{"a":{"b":null}}`, `{"":[""]}`, ` `} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ours, err := ParseFilters(text)
		if err != nil {
			if e := new(Error); !errors.As(err, &e) || e.Status != 400 {
				t.Fatalf("the error is %v", err)
			}
			return
		}
		if theirs, err := engineFilters(text); err == nil && !sameFilters(ours, theirs) {
			t.Errorf("%s is judged as %v, the Engine reads %v", text, ours, theirs)
		}
		if theirs, err := engineFilters(ours.String()); err != nil || !sameFilters(ours, theirs) {
			t.Errorf("%s is sent as %s, which the Engine reads as %v, %v", text, ours, theirs, err)
		}
	})
}

// TestSetFilters remembers what was set as long as it stands, and as it is read.
func TestSetFilters(t *testing.T) {
	c := &Call{Query: url.Values{}}
	c.SetFilters(Filters{"label": {"b", "a", "b"}, "name": {"x"}})
	for range 2 {
		got, err := c.Filters()
		read, readErr := ParseFilters(c.Query.Get("filters"))
		if err != nil || readErr != nil || !reflect.DeepEqual(got, read) {
			t.Errorf("%v, %v; read %v, %v", got, err, read, readErr)
		}
		got["label"][0], got["name"] = "mine", nil // a copy
		_ = append(got["label"], "more")
	}
	if !c.Filtered("label", "a") || c.Filtered("label", "c") || c.Filtered("none", "a") {
		t.Error("the filters that were set are not seen")
	}
	c.Query.Set("filters", `{"label":{"c":true}}`)
	if got, err := c.Filters(); err != nil || !reflect.DeepEqual(got, Filters{"label": {"c"}}) || !c.Filtered("label", "c") || c.Filtered("label", "a") {
		t.Errorf("%v, %v: what was set is seen behind what stands there", got, err)
	}
	c.Query.Set("filters", `{`)
	if c.Filtered("label", "a") {
		t.Error("broken filters have values")
	}
	delete(c.Query, "filters")
	if got, _ := c.Filters(); len(got) > 0 || c.Filtered("label", "a") {
		t.Errorf("%v without filters", got)
	}
}
