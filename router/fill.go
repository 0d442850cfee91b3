package router

import "strconv"

// maxFill bounds how deep missing objects are filled, for types that hold
// themselves.
const maxFill = 12

// Filled is the JSON body as plain maps, lists, strings, bools and numbers
// (int64 where whole), with every field that the Engine's type has: what the
// caller left out or wrote as null stands there as the zero value that the
// Engine takes it for. It is nil for a route without a JSON body.
func (c *Call) Filled() any {
	if c.Route.Of == nil {
		return nil
	}
	return fill(schemaFor(c.Route.Of), c.Body.Root(), 0)
}

func fill(s *schema, v Value, depth int) any {
	if s == nil || s.kind == anything {
		return native(v)
	}
	switch s.kind {
	case structure:
		m := make(map[string]any, len(s.fields))
		for key, member := range v.Members() {
			if s.known(key) < 0 {
				m[key] = native(member)
			}
		}
		if depth < maxFill {
			for _, f := range s.fields {
				m[f.name] = fill(f.schema, v.Get(f.name), depth+1)
			}
		}
		return m
	case mapping, mappingOrList:
		m := map[string]any{}
		for key, member := range v.Members() {
			m[key] = fill(s.elem, member, depth+1)
		}
		return m
	case listing, words:
		list := []any{}
		for e := range v.Elements() {
			list = append(list, fill(s.elem, e, depth+1))
		}
		return list
	case text:
		return v.Str()
	case truth:
		return v.Bool()
	case whole, natural, number:
		if !v.Exists() {
			return int64(0)
		}
	}
	return native(v)
}

// native is a value as plain Go; nil for a missing one.
func native(v Value) any {
	switch {
	case !v.Exists():
		return nil
	case v.IsObject():
		m := map[string]any{}
		for key, member := range v.Members() {
			m[key] = native(member)
		}
		return m
	case v.IsList():
		list := []any{}
		for e := range v.Elements() {
			list = append(list, native(e))
		}
		return list
	case v.IsString():
		return v.Str()
	}
	if n, ok := v.Int(); ok {
		return n
	}
	if f, err := strconv.ParseFloat(v.Raw(), 64); err == nil {
		return f
	}
	return v.Bool()
}
