package router

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// Filters are the values of the Engine's filters query, by filter name.
type Filters map[string][]string

// ParseFilters reads the filters JSON in both shapes that the Engine takes,
// {"label":["a"]} and {"label":{"a":true}}. In the second a value counts
// whatever stands beside it, false too. Duplicate keys are refused.
func ParseFilters(text string) (Filters, error) {
	if text == "" {
		return nil, nil
	}
	d, err := parseDocument([]byte(text), filtersSchema)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "filters: %s", message(err))
	}
	if !d.Root().IsObject() && d.Root().Exists() {
		return nil, fail(http.StatusBadRequest, `filters: %.32s is no object: write {"name":["value"]}`, text)
	}
	f := Filters{}
	for name, values := range d.Root().Members() {
		list := []string{}
		switch {
		case values.IsList():
			for v := range values.Elements() {
				if !v.IsString() {
					return nil, badFilter(name)
				}
				list = append(list, v.Str())
			}
		case values.IsObject():
			for v, flag := range values.Members() {
				if raw := flag.Raw(); raw != "true" && raw != "false" {
					return nil, badFilter(name)
				}
				list = append(list, v)
			}
		case values.Exists():
			return nil, badFilter(name)
		}
		slices.Sort(list)
		f[name] = slices.Compact(list)
	}
	return f, nil
}

// filtersSchema makes both levels maps: keys that differ in case differ.
var filtersSchema = &schema{kind: mapping, elem: &schema{kind: mappingOrList}}

func badFilter(name string) error {
	return fail(http.StatusBadRequest, `filters: %s is no list of strings: write {%q:["value"]}`, clip(name), clip(name))
}

func message(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Message
	}
	return err.Error()
}

// String is the JSON that is sent: the shape that every Engine since API 1.22
// takes, keys sorted.
func (f Filters) String() string {
	shape := make(map[string]map[string]bool, len(f))
	for name, values := range f {
		set := make(map[string]bool, len(values))
		for _, v := range values {
			set[v] = true
		}
		shape[name] = set
	}
	b, _ := json.Marshal(shape) // strings and bools always marshal
	return string(b)
}

// Filters are the call's filters, never nil.
func (c *Call) Filters() (Filters, error) {
	f, err := ParseFilters(c.Query.Get("filters"))
	if f == nil {
		f = Filters{}
	}
	return f, err
}

// SetFilters replaces the call's filters.
func (c *Call) SetFilters(f Filters) { c.Query.Set("filters", f.String()) }

var _ fmt.Stringer = Filters{}
