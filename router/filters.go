package router

import (
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
	d, err := parse(text, filtersSchema)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "filters: %s", err.Error())
	}
	f := Filters{}
	for name, values := range d.Root().Members() {
		given := []string{}
		switch {
		case values.IsList():
			for v := range values.Elements() {
				if !v.IsString() {
					return nil, badFilter(name)
				}
				given = append(given, v.Str())
			}
		case values.IsObject():
			for v, flag := range values.Members() {
				if raw := flag.Raw(); raw != "true" && raw != "false" {
					return nil, badFilter(name)
				}
				given = append(given, v)
			}
		case values.Exists():
			return nil, badFilter(name)
		}
		slices.Sort(given)
		f[name] = slices.Compact(given)
	}
	return f, nil
}

// filtersSchema makes both levels maps: keys that differ in case differ.
var filtersSchema = &schema{kind: mapping, elem: &schema{kind: mappingOrList}}

func badFilter(name string) error {
	return fail(http.StatusBadRequest, `filters: %s is no list of strings: write {%q:["value"]}`, clip(name), clip(name))
}

// String is the JSON that is sent: the shape that every Engine since API 1.22
// takes, keys sorted.
func (f Filters) String() string {
	names := make([]string, 0, len(f))
	room := len("{}")
	for name, values := range f {
		names = append(names, name)
		room += len(name) + len(`"":{},`)
		for _, v := range values {
			room += len(v) + len(`"":true,`)
		}
	}
	slices.Sort(names)
	b := append(make([]byte, 0, room), '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(appendQuoted(b, name), ':'), '{')
		values := f[name]
		if !slices.IsSorted(values) {
			values = slices.Sorted(slices.Values(values))
		}
		for j, v := range values {
			switch {
			case j == 0:
			case v == values[j-1]:
				continue
			default:
				b = append(b, ',')
			}
			b = append(appendQuoted(b, v), ":true"...)
		}
		b = append(b, '}')
	}
	return string(append(b, '}'))
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
