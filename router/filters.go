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

// Filters are the call's filters, never nil. They are a copy.
func (c *Call) Filters() (Filters, error) {
	if f := c.lastFilters(); f != nil {
		own := make(Filters, len(f))
		for name, values := range f {
			own[name] = slices.Clone(values)
		}
		return own, nil
	}
	f, err := ParseFilters(c.Query.Get("filters"))
	if f == nil {
		f = Filters{}
	}
	return f, err
}

// SetFilters replaces the call's filters; f is the call's from then on.
func (c *Call) SetFilters(f Filters) {
	for name, values := range f { // as they will be read
		slices.Sort(values)
		f[name] = slices.Compact(values)
	}
	c.set.filters, c.set.text = f, f.String()
	c.Query.Set("filters", c.set.text)
}

// lastFilters are those that SetFilters wrote, if they still stand.
func (c *Call) lastFilters() Filters {
	if list := c.Query["filters"]; c.set.filters != nil && len(list) == 1 && list[0] == c.set.text {
		return c.set.filters
	}
	return nil
}

// Filtered says whether a filter has a value.
func (c *Call) Filtered(name, value string) bool {
	f := c.lastFilters()
	if f == nil {
		var err error
		if f, err = ParseFilters(c.Query.Get("filters")); err != nil {
			return false
		}
	}
	return slices.Contains(f[name], value)
}

var _ fmt.Stringer = Filters{}
