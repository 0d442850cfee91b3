package policy

import "moorgate/router"

// edits are what one role makes of a call that it allows: names become the ids
// that were looked at, limits are filled in, archives are judged while they go
// up. The call stays as it is until they are made: several roles may be asked.
type edits struct {
	body []router.Edit
	rest []func(*router.Call)
	note string // what is to be told of the call beside that it is allowed
}

// set writes a value into the body, where there is one.
func (e *edits) set(value any, path ...string) {
	e.body = append(e.body, router.Edit{Path: path, Value: value})
}

// do changes what is not in the body.
func (e *edits) do(change func(*router.Call)) { e.rest = append(e.rest, change) }

// commit makes all edits of a call, or none.
func (e *edits) commit(call *router.Call) error {
	if call.Body != nil && len(e.body) > 0 {
		if err := call.Body.Edit(e.body...); err != nil {
			return err
		}
	}
	for _, change := range e.rest {
		change(call)
	}
	return nil
}
