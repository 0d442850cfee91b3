package policy

import (
	"slices"

	"moorgate/router"
)

// edits are what one role makes of a call that it allows: names become the ids
// that were looked at, limits are filled in, archives are judged while they go
// up. The call stays as it is until they are made: several roles may be asked.
type edits struct {
	body []router.Edit
	path []string // room for the edits' paths
	pins []router.Pin
	rest []func(*router.Call)
	note string // what is to be told of the call beside that it is allowed
}

// set writes a value into the body, where there is one.
func (e *edits) set(value any, path ...string) { e.write(value, "", path...) }

// write is set of the member called name, if any, of the object at path.
func (e *edits) write(value any, name string, path ...string) {
	if e.body == nil {
		e.body, e.path = make([]router.Edit, 0, usualEdits), make([]string, 0, 2*usualEdits)
	}
	from := len(e.path)
	if e.path = append(e.path, path...); name != "" {
		e.path = append(e.path, name)
	}
	e.body = append(e.body, router.Edit{Path: slices.Clip(e.path[from:]), Value: value})
}

// usualEdits is how many edits room is made for: the image, and what is filled
// in of limits.
const usualEdits = 8

// pin puts an id into the place of a name, once.
func (e *edits) pin(p router.Pin) {
	if !slices.Contains(e.pins, p) {
		e.pins = append(e.pins, p)
	}
}

// do changes what is not in the body.
func (e *edits) do(change func(*router.Call)) { e.rest = append(e.rest, change) }

// commit makes all edits of a call, or none.
func (e *edits) commit(call *router.Call) error {
	body := e.body
	if call.Body == nil {
		body = nil
	}
	if len(e.pins)+len(body) > 0 {
		if err := call.Pin(e.pins, body...); err != nil {
			return err
		}
	}
	for _, change := range e.rest {
		change(call)
	}
	return nil
}
