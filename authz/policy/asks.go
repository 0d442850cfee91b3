package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"moorgate/router"
)

// asks is the judging of what one call asks for, for one role.
type asks struct {
	ctx   context.Context
	p     *Policy
	in    *input
	call  *router.Call
	role  *role
	rules *ContainerRules

	has   resources // what was met on the way
	edits *edits
	pass  bool  // what this version does not know may be sent
	err   error // of a look-up on the way
}

// judgeAsks judges what a call asks of the Engine's host. The edits are what
// the role makes of it: private namespaces, limits, the id that was looked at.
//
// Containers, volumes and networks that the call names, in "container:" modes,
// VolumesFrom, Links, mounts and endpoints, are let pass here: whose they are
// is for an authorizer that knows owners.
func (p *Policy) judgeAsks(ctx context.Context, in *input, r *role, e *edits) (no *refusal, err error) {
	j := &asks{ctx: ctx, p: p, in: in, call: in.call, role: r, rules: &r.containers.Rules, edits: e}
	no = j.judge()
	if j.err != nil {
		return nil, j.err
	}
	if no != nil {
		no.depth = depthAsks
		return no, nil
	}
	if j.pass {
		e.do(func(c *router.Call) { c.PassUnknown = true })
	}
	return nil, nil
}

func (j *asks) judge() *refusal {
	if j.role.containers.Any {
		j.pass = true
		return j.execUser()
	}
	j.pass = j.rules.UnknownFields
	if no := j.unknown(); no != nil {
		return no
	}
	if body, ok := bodies[j.call.Action]; ok {
		if no := j.walk(body.of(j.call.Body.Shape()), "body", j.call.Body.Root()); no != nil {
			return no
		}
	}
	if special, ok := specials[j.call.Action]; ok {
		return special(j)
	}
	return nil
}

// bodies are the verdicts on JSON bodies by action. A body that is not here has
// nothing that reaches the host beyond what its action's name says.
var bodies = map[string]*term{
	"container.create":  containerCreate,
	"container.update":  containerUpdate,
	"container.commit":  containerConfig,
	"exec.create":       execCreate,
	"exec.start":        execStart,
	"service.create":    serviceSpec,
	"service.update":    serviceSpec,
	"volume.create":     volumeCreate,
	"volume.update":     volumeUpdate,
	"network.create":    networkCreate,
	"network.connect":   networkConnect,
	"checkpoint.create": checkpointCreate,
}

// specials judge what is not in a body, or only the whole of it tells.
var specials = map[string]func(*asks) *refusal{
	"container.create":  (*asks).createContainer,
	"container.update":  (*asks).updateContainer,
	"container.start":   (*asks).startContainer,
	"container.copy_to": (*asks).copyTo,
	"checkpoint.list":   (*asks).checkpoints,
	"checkpoint.remove": (*asks).checkpoints,
	"exec.create":       (*asks).execUser,
	"image.build":       (*asks).build,
	"network.connect":   (*asks).joins,
	"plugin.pull":       (*asks).plugin,
	"plugin.upgrade":    (*asks).plugin,
	"plugin.create":     (*asks).plugin,
	"plugin.set":        (*asks).plugin,
	"service.create":    (*asks).limitService,
	"service.update":    (*asks).updateService,
}

// term is what is to be made of one value. The zero term lets it pass.
type term struct {
	judge   func(j *asks, name string, v router.Value) *refusal
	members terms // of an object: each has its own, and one that has none is refused
	each    *term // of a list's elements or a map's values

	made sync.Map // router.Shape to *readyTerm
}

// terms are the verdicts on an object's members. The Engine's types have no
// field that is not among them: a test holds it.
type terms map[string]*term

var free = &term{}

func by(judge func(*asks, string, router.Value) *refusal) *term { return &term{judge: judge} }

// all gives the fields named in words one term.
func all(t *term, words string) terms {
	made := terms{}
	for name := range strings.FieldsSeq(words) {
		made[name] = t
	}
	return made
}

// with joins terms; later ones win.
func (t terms) with(more ...terms) terms {
	made := terms{}
	for _, m := range append([]terms{t}, more...) {
		for name, term := range m {
			made[name] = term
		}
	}
	return made
}

// unset refuses everything but the empty value; why ends the sentence that
// begins with the field and its value, and says what to do.
func unset(why string) *term {
	return by(func(_ *asks, name string, v router.Value) *refusal {
		if v.Empty() {
			return nil
		}
		return refuse("containers", "%s %s %s", name, shown(v), why)
	})
}

// oneOf lets only some texts pass.
func oneOf(why string, texts ...string) *term {
	return by(func(_ *asks, name string, v router.Value) *refusal {
		s := v.Str()
		for _, text := range texts {
			if s == text {
				return nil
			}
		}
		return refuse("containers", "%s %s %s", name, shown(v), why)
	})
}

// unknown refuses fields and query keys that this version does not know: the
// Engine may.
func (j *asks) unknown() *refusal {
	if j.call.Action == "container.create" && j.in.refs == nil {
		// Reading what it names also finds host settings at the top level.
		if j.in.refs, j.err = j.call.Further(); j.err != nil {
			return nil
		}
	}
	if j.pass {
		return nil
	}
	for path, v := range j.call.Body.Unknown() {
		if !v.Empty() {
			return refuse("containers.unknown_fields", "%.128s is not known here: leave it out", path)
		}
	}
	if len(j.call.Unknown) == 0 {
		return nil
	}
	for _, key := range j.call.UnknownKeys() {
		return refuse("containers.unknown_fields", "query key %.128q is not known here: leave it out", key)
	}
	return nil
}

// plugin refuses: a plugin is a process of the host with what it is granted,
// and so is one whose settings name other folders and devices.
func (j *asks) plugin() *refusal {
	return refuse("containers", "a plugin may be granted all of the host: ask for a role with containers: any")
}

// get asks the Engine and reads its answer.
func (j *asks) get(path string, to any) error {
	if j.p.options.Engines == nil {
		return fmt.Errorf("GET %s: there is no Engine to ask", path)
	}
	answer, err := j.p.options.Engines.Get(j.ctx, j.call.Engine, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, to); err != nil {
		return fmt.Errorf("GET %s: the Engine's answer makes no sense: %w", path, err)
	}
	return nil
}

func refuse(rule, format string, args ...any) *refusal {
	return &refusal{rule: rule, reason: fmt.Sprintf(format, args...)}
}

// maxShown bounds what a refusal quotes of a value.
const maxShown = 96

// shown is a value as refusals quote it.
func shown(v router.Value) string {
	if raw := v.Raw(); len(raw) > maxShown {
		return strings.ToValidUTF8(raw[:maxShown], "") + "…"
	}
	return v.Raw()
}
