package policy

import "moorgate/router"

// readyTerm is a term made ready for values of one shape: what is to be made of
// an object's field stands under the field's number.
type readyTerm struct {
	judge  func(j *asks, name string, v router.Value) *refusal
	each   *readyTerm
	object bool                  // its members have verdicts, and one that has none is refused
	fields []*readyTerm          // nil for one that has none
	others map[string]*readyTerm // of members that the shape does not have
}

// pass is the ready one of terms that let everything pass.
var pass = &readyTerm{}

// of makes a term ready, once for each shape.
func (t *term) of(shape router.Shape) *readyTerm {
	if made, ok := t.made.Load(shape); ok {
		return made.(*readyTerm)
	}
	made := t.make(shape)
	t.made.Store(shape, made)
	return made
}

func (t *term) make(shape router.Shape) *readyTerm {
	if t == free {
		return pass
	}
	v := &readyTerm{judge: t.judge, object: t.members != nil}
	if t.each != nil {
		v.each = t.each.of(shape.Element())
	}
	fields := shape.Fields()
	known := map[string]bool{}
	v.fields = make([]*readyTerm, len(fields))
	for i, name := range fields {
		known[name] = true
		if sub, ok := t.members[name]; ok {
			v.fields[i] = sub.of(shape.Field(i))
		}
	}
	for name, sub := range t.members {
		if known[name] {
			continue
		}
		if v.others == nil {
			v.others = map[string]*readyTerm{}
		}
		v.others[name] = sub.of(router.Shape{})
	}
	return v
}

// member is the verdict on a member; nil if there is none.
func (t *readyTerm) member(key string, v router.Value) *readyTerm {
	if i := v.Field(); i >= 0 && i < len(t.fields) {
		return t.fields[i]
	}
	return t.others[key]
}

// walk judges a value and all in it, in the order written.
func (j *asks) walk(t *readyTerm, name string, v router.Value) *refusal {
	if t.judge != nil {
		if no := t.judge(j, name, v); no != nil {
			return no
		}
	}
	if t.each != nil {
		for element := range v.Elements() {
			if no := j.walk(t.each, name, element); no != nil {
				return no
			}
		}
		for key, member := range v.Members() {
			if no := j.walk(t.each, key, member); no != nil {
				return no
			}
		}
	}
	if !t.object {
		return nil
	}
	for key, member := range v.Members() {
		if !member.Exists() {
			continue // the Engine takes null for a field that is not there
		}
		sub := t.member(key, member)
		switch {
		case sub == pass || sub == nil && (j.pass || member.Empty()):
		case sub == nil:
			return refuse("containers.unknown_fields", "%.128s is not known here: leave it out", key)
		default:
			if no := j.walk(sub, key, member); no != nil {
				return no
			}
		}
	}
	return nil
}
