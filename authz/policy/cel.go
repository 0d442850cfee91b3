package policy

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"

	"moorgate/authz/identity"
	"moorgate/router"
)

// maxCost bounds one evaluation of a condition in CEL's units, about one for
// each operation: enough to look at every element of a large body, too little
// to hold a processor.
const maxCost = 200_000

// environment declares what conditions may speak of; made when a condition is
// first compiled, since it costs milliseconds.
var environment = sync.OnceValue(func() *cel.Env {
	env, err := cel.NewEnv(
		cel.Variable("user", cel.StringType),
		cel.Variable("groups", cel.ListType(cel.StringType)),
		cel.Variable("roles", cel.ListType(cel.StringType)),
		cel.Variable("action", cel.StringType),
		cel.Variable("engine", cel.StringType),
		cel.Variable("vars", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("query", cel.MapType(cel.StringType, cel.ListType(cel.StringType))),
		cel.Variable("body", cel.DynType),
		cel.Variable("refs", cel.ListType(cel.MapType(cel.StringType, cel.StringType))),
		cel.Variable("images", cel.ListType(cel.StringType)),
		cel.Variable("now", cel.TimestampType),
		cel.Variable("terminals", cel.IntType),
	)
	if err != nil {
		panic(err) // the declarations above are constant
	}
	return env
})

// condition is a CEL expression that gives a bool.
type condition struct{ program cel.Program }

func compile(text string) (*condition, error) {
	ast, issues := environment().Compile(text)
	if all := issues.Errors(); len(all) > 0 {
		first := all[0]
		return nil, fmt.Errorf("%s at character %d", strings.ReplaceAll(first.Message, "\n", " "), first.Location.Column()+1)
	}
	if ast.OutputType() != cel.BoolType && ast.OutputType() != cel.DynType {
		return nil, fmt.Errorf("gives %s: write a condition that is true or false", ast.OutputType())
	}
	program, err := environment().Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	return &condition{program}, nil
}

// eval says whether the condition holds.
func (c *condition) eval(in *input) (bool, error) {
	out, _, err := c.program.Eval(in)
	if err != nil {
		return false, err
	}
	holds, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("gives %v, which is neither true nor false", out.Value())
	}
	return holds, nil
}

// input is a call as conditions see it; what is costly is made when first
// asked for.
type input struct {
	who    identity.Identity
	call   *router.Call
	now    time.Time
	refs   []router.Ref
	images []string // canonical names of all images that the call names

	terminals func(user string) int
	body      interface{}
	hasBody   bool
}

// ResolveName gives a variable's value; it is cel.Activation's.
func (in *input) ResolveName(name string) (interface{}, bool) {
	switch name {
	case "user":
		return in.who.User, true
	case "groups":
		return orEmpty(in.who.Groups), true
	case "roles":
		return orEmpty(in.who.Roles), true
	case "action":
		return in.call.Action, true
	case "engine":
		return in.call.Engine, true
	case "vars":
		return in.call.Vars(), true
	case "query":
		return map[string][]string(in.call.Query), true
	case "body":
		if !in.hasBody {
			in.body, in.hasBody = in.call.Filled(), true
		}
		return in.body, true
	case "refs":
		refs := make([]map[string]string, len(in.refs))
		for i, r := range in.refs {
			refs[i] = map[string]string{"kind": string(r.Kind), "name": r.Name}
		}
		return refs, true
	case "images":
		return orEmpty(in.images), true
	case "now":
		return in.now, true
	case "terminals":
		if in.terminals == nil {
			return 0, true
		}
		return in.terminals(in.who.User), true
	}
	return nil, false
}

// Parent gives none: there is one scope.
func (in *input) Parent() cel.Activation { return nil }

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
