package router

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The schema has exactly the names that encoding/json takes, at every depth
// of every row's type, and no two of a struct that fold to one.
func TestSchemaNames(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type, *schema)
	walk = func(of reflect.Type, s *schema) {
		for of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if seen[of] {
			return
		}
		seen[of] = true
		switch of.Kind() {
		case reflect.Map:
			if of.Key().Kind() != reflect.String || reflect.PointerTo(of.Key()).Implements(textUnmarshaler) {
				t.Errorf("%v: keys that are no plain strings", of)
			}
			walk(of.Elem(), s.elem)
		case reflect.Slice, reflect.Array:
			if s.elem == nil {
				t.Errorf("%v: no element", of)
				return
			}
			walk(of.Elem(), s.elem)
		case reflect.Struct:
			if s.kind != structure {
				t.Errorf("%v: decodes itself, so nothing is known of its fields", of)
				return
			}
			folds := map[string]bool{}
			for _, f := range s.fields {
				if folds[fold(f.name)] {
					t.Errorf("%v: two fields fold to %s", of, f.name)
				}
				folds[fold(f.name)] = true
				d := json.NewDecoder(strings.NewReader(`{` + quote(f.name) + `:null}`))
				d.DisallowUnknownFields()
				if err := d.Decode(reflect.New(of).Interface()); err != nil {
					t.Errorf("%v: encoding/json does not know %s: %v", of, f.name, err)
				}
			}
			names := 0
			for _, f := range reflect.VisibleFields(of) {
				tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if !f.IsExported() || tag == "-" || f.Anonymous && tag == "" {
					continue
				}
				if tag == "" {
					tag = f.Name
				}
				i := s.known(tag)
				if i < 0 {
					t.Errorf("%v: %s is not known", of, tag)
					continue
				}
				names++
				walk(f.Type, s.fields[i].schema)
			}
			if names != len(s.fields) {
				t.Errorf("%v: %d names, %d fields", of, names, len(s.fields))
			}
		}
	}
	for _, r := range Table() {
		if r.Of != nil {
			walk(reflect.TypeOf(r.Of), schemaFor(r.Of))
		}
	}
}

// fold puts together what encoding/json, like strings.EqualFold, does.
func TestFold(t *testing.T) {
	for _, pair := range [][2]string{{"Binds", "bindſ"}, {"Links", "lin\u212aS"}, {"straße", "STRAßE"}, {"σς", "ΣΣ"}, {"a", "b"}, {"ſ", "k"}, {"İ", "i"}} {
		if got, want := fold(pair[0]) == fold(pair[1]), strings.EqualFold(pair[0], pair[1]); got != want {
			t.Errorf("fold of %q and %q: equal %v, want %v", pair[0], pair[1], got, want)
		}
	}
	for r := rune(0); r < 0x3000; r++ {
		for _, c := range "ksKS" {
			if a, b := string(r), string(c); (fold(a) == fold(b)) != strings.EqualFold(a, b) {
				t.Errorf("fold of %q and %q", a, b)
			}
		}
	}
}

// What the Engine's types do not have today, and may tomorrow.
func TestSchemaOfAnyType(t *testing.T) {
	type base struct{ A, B int8 }
	type odd struct {
		*base
		B      string `json:"b2"`
		Quoted int    `json:",omitempty,string"`
		Any    any
		Self   *odd
		Time   time.Time
		Many   map[string][]map[string]bool
		hidden int
		Skip   int `json:"-"`
	}
	for text, want := range map[string]string{
		`{"A":1,"B":127,"b2":"x"}`:              "",
		`{"B":128}`:                             "at most 8 bits",
		`{"Quoted":"5"}`:                        "",
		`{"Any":{"x":[1,"a",null]}}`:            "",
		`{"Any":{"x":1,"X":2}}`:                 "Any.X is written twice",
		`{"Self":{"Self":{"Self":{"A":"x"}}}}`:  "Self.Self.Self.A is a string",
		`{"Time":"2020-01-01T00:00:00Z"}`:       "",
		`{"Many":{"a":[{"b":true,"B":false}]}}`: "",
		`{"Many":{"a":[{"b":true},{"b":1}]}}`:   "Many.a[1].b is 1: write true or false",
		`{"hidden":1,"Skip":2,"skip":3}`:        "skip is written twice",
		`{"hidden":1,"Skip":2}`:                 "",
		`{"quoted":"5"}`:                        "write Quoted",
	} {
		document{text, odd{hidden: 1}, want}.check(t)
	}
}
