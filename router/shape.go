package router

// Shape is what the Engine's type says of a value. Who has something to say of
// each field of a type can keep it by the fields' numbers, and need not look it
// up by their names in every body.
type Shape struct{ of *schema }

// Shape is what the document was read by.
func (d *Document) Shape() Shape {
	if d == nil {
		return Shape{}
	}
	return Shape{d.schema}
}

// Fields are the names of a struct's fields in the order of their numbers; none
// for what is no struct.
func (s Shape) Fields() []string {
	if !s.of.isStruct() {
		return nil
	}
	names := make([]string, len(s.of.fields))
	for i, f := range s.of.fields {
		names[i] = f.name
	}
	return names
}

// Field is the shape of a struct's field.
func (s Shape) Field(number int) Shape { return Shape{s.of.member(number)} }

// Element is the shape of a list's elements or of a map's values.
func (s Shape) Element() Shape {
	if s.of != nil && s.of.kind == mapping {
		return Shape{s.of.elem}
	}
	return Shape{s.of.element()}
}

// Field is the number of the field that v is of the object it stands in, as the
// document's Shape counts them; -1 where the Engine's type has no such field, or
// the object is no struct. A field has one spelling, so its number says as much
// as its key.
func (v Value) Field() int {
	if v.d == nil {
		return -1
	}
	return int(v.node().field) - 1
}
