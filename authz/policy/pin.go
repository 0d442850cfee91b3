package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"moorgate/authz"
	"moorgate/router"
)

// pins are the edits of a call whose images were judged: names become the ids
// that were looked at, archives are judged while they go up.
type pins struct {
	edits []func(*router.Call) error
}

func (p *pins) add(edit func(*router.Call) error) { p.edits = append(p.edits, edit) }

func (p *pins) commit(call *router.Call) error {
	for _, edit := range p.edits {
		if err := edit(call); err != nil {
			return err
		}
	}
	return nil
}

// images is the judging of one call's images for one role.
type images struct {
	p    *Policy
	ctx  context.Context
	in   *input
	role *role
	pins pins
}

// judgeImages asks the role's image policy about every image that the call
// brings in, names anew, runs, or makes the Engine ask a registry about.
func (p *Policy) judgeImages(ctx context.Context, in *input, r *role) (*pins, *refusal, error) {
	j := &images{p: p, ctx: ctx, in: in, role: r}
	if r.images.any && !p.needsImages(in) {
		return &j.pins, nil, nil
	}
	if in.refs == nil && in.call.Route.Refs != nil {
		refs, err := in.call.Route.Refs(in.call)
		if err != nil {
			return nil, nil, err
		}
		in.refs = refs
	}
	for _, ref := range in.refs {
		if name, ok := canonicalName(ref.Name); ok && ref.Kind == router.Image && !slices.Contains(in.images, name) {
			in.images = append(in.images, name)
		}
	}
	if err := j.reveal(); err != nil {
		return nil, nil, err
	}
	if r.images.any {
		return &j.pins, nil, nil
	}
	no, err := j.judge()
	if no != nil {
		no.depth = depthImages
	}
	return &j.pins, no, err
}

// reveal adds the names of images that a container is to be made of by their
// ids: conditions on names would not see them.
func (j *images) reveal() error {
	if j.in.call.Action != "container.create" {
		return nil
	}
	for _, text := range j.names() {
		if !maybeID(text) {
			continue
		}
		found, err := j.look(text)
		if err != nil {
			return err
		}
		if found == nil {
			continue
		}
		for _, name := range found.names() {
			if !slices.Contains(j.in.images, name) {
				j.in.images = append(j.in.images, name)
			}
		}
	}
	return nil
}

// needsImages says whether a rule may want the images of a call that are not
// judged: the rules of all the caller's roles are asked.
func (p *Policy) needsImages(in *input) bool {
	return slices.ContainsFunc(in.who.Roles, func(name string) bool {
		r := p.roles[name]
		return r != nil && len(r.rules) > 0
	})
}

func (j *images) judge() (*refusal, error) {
	call := j.in.call
	switch call.Action {
	case "buildkit.session", "buildkit.grpc":
		if j.everything() {
			return nil, nil
		}
		return &refusal{rule: "images", reason: "BuildKit could pull any image here: build with DOCKER_BUILDKIT=0 docker build, or ask for a role whose images allow everything"}, nil
	case "container.create":
		return j.create()
	case "image.pull":
		return j.all(j.names())
	case "image.import", "container.commit":
		return j.named()
	case "image.tag":
		return first(func() (*refusal, error) { return j.source(call.Name(), "name") }, j.named)
	case "image.push":
		if tag := call.Query.Get("tag"); tag == "" {
			return j.name(call.Name())
		}
		return j.named()
	case "image.build":
		return j.build()
	case "image.load":
		return j.load()
	case "service.create", "service.update":
		return first(j.noIDs, j.rollback, j.named)
	case "distribution.inspect":
		return j.newName(call.Name())
	case "plugin.pull", "plugin.upgrade", "plugin.create", "plugin.privileges", "plugin.push":
		if call.Action == "plugin.push" {
			return j.name(call.Name())
		}
		return j.plugins()
	case "image.search", "system.auth":
		return j.registries()
	}
	return nil, nil
}

// first runs checks until one refuses.
func first(checks ...func() (*refusal, error)) (*refusal, error) {
	for _, check := range checks {
		if no, err := check(); no != nil || err != nil {
			return no, err
		}
	}
	return nil, nil
}

// everything says whether the role's list takes in every image whatever
// happens.
func (j *images) everything() bool {
	rules := j.role.images.rules
	return len(rules) > 0 && rules[0].allow && rules[0].pattern.text == "**" && rules[0].when == nil
}

// refuseImage makes a refusal of a verdict.
func refuseImage(v verdict) *refusal {
	rule := "images"
	if v.index >= 0 {
		rule = "images[" + strconv.Itoa(v.index) + "]"
	}
	why := v.why
	if why == "" {
		why = "this image is refused: use another"
	}
	return &refusal{rule: rule, reason: why}
}

// canonical judges a canonical name.
func (j *images) canonical(name string) (*refusal, error) {
	v, err := j.role.judgeImage(j.in, name)
	if err != nil || v.allow {
		return nil, err
	}
	return refuseImage(v), nil
}

// name judges a name that a caller wrote and that must be one.
func (j *images) name(text string) (*refusal, error) {
	name, ok := canonicalName(text)
	if !ok {
		return &refusal{rule: "images", reason: fmt.Sprintf("%.128q is no image name that rules can be asked about: write REGISTRY/NAME:TAG", text)}, nil
	}
	return j.canonical(name)
}

// names are the image references of query and body.
func (j *images) names() []string {
	var names []string
	for _, ref := range j.in.refs {
		if ref.Kind == router.Image {
			names = append(names, ref.Name)
		}
	}
	return names
}

// newName judges a name that is about to be given; without a tag it is given
// as latest.
func (j *images) newName(text string) (*refusal, error) {
	if name, ok := canonicalName(text); ok && parseReference(name).repository() {
		text = name + ":latest"
	}
	return j.name(text)
}

func (j *images) all(names []string) (*refusal, error) {
	for _, n := range names {
		if no, err := j.name(n); no != nil || err != nil {
			return no, err
		}
	}
	return nil, nil
}

// named judges the names that a call gives anew or that nodes will pull, and
// refuses what the Engine would fetch from an address.
func (j *images) named() (*refusal, error) {
	return first(func() (*refusal, error) { return j.all(j.names()) }, j.remotes, j.plugins)
}

// remotes refuses addresses that the Engine would fetch from.
func (j *images) remotes() (*refusal, error) {
	for _, ref := range j.in.refs {
		if ref.Kind == router.Registry {
			return &refusal{rule: "images", reason: fmt.Sprintf("the Engine would fetch %.128q and nobody could judge what comes: send it yourself", ref.Name)}, nil
		}
	}
	return nil, nil
}

func (j *images) plugins() (*refusal, error) {
	for _, ref := range j.in.refs {
		if ref.Kind != router.Plugin {
			continue
		}
		if no, err := j.name(ref.Name); no != nil || err != nil {
			return no, err
		}
	}
	return nil, nil
}

// noIDs refuses what the Engine may take for the beginning of an id where
// nobody looks it up: a node whose pull fails runs what it has.
func (j *images) noIDs() (*refusal, error) {
	for _, name := range j.names() {
		if maybeID(name) {
			return &refusal{rule: "images", reason: fmt.Sprintf("%.128q could be an image's id: write its name with a tag", name)}, nil
		}
	}
	return nil, nil
}

// maybeID says whether the Engine may take a name for the beginning of an id.
func maybeID(name string) bool {
	return strings.HasPrefix(name, "sha256:") || name != "" && strings.Trim(name, "0123456789abcdef") == ""
}

// rollback judges what a service goes back to, which is not in the body. The
// version in the query makes sure that it is what was looked at.
func (j *images) rollback() (*refusal, error) {
	call := j.in.call
	if call.Action != "service.update" || call.Query.Get("rollback") == "" {
		return nil, nil
	}
	answer, err := j.p.options.Engines.Get(j.ctx, call.Engine, "/services/"+url.PathEscape(call.Name()))
	if err != nil {
		return nil, fmt.Errorf("looking up service %.128q: %w", call.Name(), err)
	}
	var service struct {
		PreviousSpec struct {
			TaskTemplate struct {
				ContainerSpec struct{ Image string }
				PluginSpec    struct{ Remote string }
			}
		}
	}
	if err := json.Unmarshal(answer, &service); err != nil {
		return nil, fmt.Errorf("looking up service %.128q: the Engine's answer makes no sense: %w", call.Name(), err)
	}
	for _, name := range []string{service.PreviousSpec.TaskTemplate.ContainerSpec.Image, service.PreviousSpec.TaskTemplate.PluginSpec.Remote} {
		if name == "" {
			continue
		}
		if maybeID(name) {
			return &refusal{rule: "images", reason: fmt.Sprintf("the service would go back to %.128q, which could be an image's id: update it to a name", name)}, nil
		}
		if no, err := j.newName(name); no != nil || err != nil {
			return no, err
		}
	}
	return nil, nil
}

// registries judges the hosts that the Engine would call.
func (j *images) registries() (*refusal, error) {
	for _, ref := range j.in.refs {
		if ref.Kind != router.Registry {
			continue
		}
		ok, err := j.registry(ref.Name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return &refusal{rule: "images", reason: fmt.Sprintf("no rule allows an image of registry %.128q: use another", ref.Name)}, nil
		}
	}
	return nil, nil
}

// registry says whether an allowing rule could match an image of a host that
// no rule before it denies altogether.
func (j *images) registry(host string) (bool, error) {
	for i, rule := range j.role.images.rules {
		p := rule.pattern
		if p.parts[0] != "**" && !globUser(p.parts[0], j.in.who.User, host) {
			continue
		}
		whole := p.parts[len(p.parts)-1] == "**" && len(p.parts) <= 2 && p.tag == "" && p.digest == ""
		if !rule.allow && !whole {
			continue
		}
		if rule.when != nil {
			holds, err := rule.when.eval(j.in)
			if err != nil {
				return false, fmt.Errorf("images[%d].when: %w", i, err)
			}
			if !holds {
				continue
			}
		}
		return rule.allow, nil
	}
	return false, nil
}

// create judges the images that a container is made of, and pins them.
func (j *images) create() (*refusal, error) {
	root := j.in.call.Body.Root()
	image := root.Get("Image").Str()
	if image == "" {
		return &refusal{rule: "images", reason: "a container without an image could be filled with anything: name an image"}, nil
	}
	if no, err := j.source(image, "Image"); no != nil || err != nil {
		return no, err
	}
	for mount := range root.At("HostConfig", "Mounts").Elements() {
		if mount.Get("Type").Str() != "image" {
			continue
		}
		if no, err := j.source(mount.Get("Source").Str(), ""); no != nil || err != nil {
			return no, err
		}
	}
	return nil, nil
}

// source judges an image that is, or will be, in the Engine: by any name, id
// or prefix. The id that was judged is what the call names from then on: field
// says where, "name" being the path, "" a field that stays as it is.
func (j *images) source(text, field string) (*refusal, error) {
	found, err := j.look(text)
	if err != nil {
		return nil, err
	}
	name, isName := canonicalName(text)
	if isName && !strings.Contains(name, "@") && parseReference(name).tag == "" {
		name += ":latest"
	}
	if found == nil { // the Engine will say that it has none, and docker will pull it
		if isName && maybeID(text) { // by the time of the call it could be an id's beginning
			if field == "Image" {
				j.pins.add(func(c *router.Call) error { return c.Body.Set(name, field) })
			} else {
				return &refusal{rule: "images", reason: fmt.Sprintf("%.128q is not there and could be an image's id: write its name with a tag", text)}, nil
			}
		}
		if isName {
			return j.canonical(name)
		}
		return &refusal{rule: "images", reason: fmt.Sprintf("%.128q is not there: name an image", text)}, nil
	}
	if no, err := j.stored(found, name); no != nil || err != nil {
		return no, err
	}
	id := found.ID
	switch field {
	case "":
		if text != id && !slices.Contains(found.names(), name) {
			return &refusal{rule: "images", reason: fmt.Sprintf("%.128q could come to mean another image: write its name or its whole id", text)}, nil
		}
	case "name":
		j.pins.add(func(c *router.Call) error { c.SetVar("name", id); return nil })
	default:
		j.pins.add(func(c *router.Call) error { return c.Body.Set(id, field) })
	}
	return nil, nil
}

// stored judges an image of the Engine. Asked for by a name that it has, that
// name is judged; by its id or part of it, all its names are: one must be
// allowed and none denied.
func (j *images) stored(found *storedImage, name string) (*refusal, error) {
	names := found.names()
	if slices.Contains(names, name) {
		return j.canonical(name)
	}
	allowed := false
	no := &refusal{rule: "images", reason: "this image has no name that rules could allow: name one that has"}
	for _, n := range names {
		v, err := j.role.judgeImage(j.in, n)
		switch {
		case err != nil:
			return nil, err
		case v.allow:
			allowed = true
		case v.index >= 0:
			return refuseImage(v), nil
		default:
			no = refuseImage(v)
		}
	}
	if allowed {
		return nil, nil
	}
	return no, nil
}

// storedImage is what the Engine says of an image.
type storedImage struct {
	ID          string `json:"Id"`
	RepoTags    []string
	RepoDigests []string
	Config      struct{ OnBuild []string }
}

func (s *storedImage) names() []string {
	var names []string
	for _, n := range append(slices.Clone(s.RepoTags), s.RepoDigests...) {
		if canonical, ok := canonicalName(n); ok && n != "<none>:<none>" {
			names = append(names, canonical)
		}
	}
	return names
}

// look asks the Engine for an image; nil where it has none.
func (j *images) look(text string) (*storedImage, error) {
	if _, isName := canonicalName(text); !isName && !maybeID(text) || strings.ContainsAny(text, "?#%\x00 ") {
		return nil, nil
	}
	answer, err := j.p.options.Engines.Get(j.ctx, j.in.call.Engine, "/images/"+escapePath(text)+"/json")
	var e *router.Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up image %.128q: %w", text, err)
	}
	var found storedImage
	if err := json.Unmarshal(answer, &found); err != nil {
		return nil, fmt.Errorf("looking up image %.128q: the Engine's answer makes no sense: %w", text, err)
	}
	if !strings.HasPrefix(found.ID, "sha256:") {
		return nil, fmt.Errorf("looking up image %.128q: the Engine's answer has no image id", text)
	}
	return &found, nil
}

func escapePath(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// load lets an archive go up judged.
func (j *images) load() (*refusal, error) {
	if j.in.call.Stream == nil {
		return nil, nil
	}
	j.pins.add(func(c *router.Call) error {
		c.Stream, c.Length = judgeLoad(c.Stream, j.allow(j.loaded)), -1
		return nil
	})
	return nil, nil
}

// loaded judges a name in an archive. A digest there is only said, not
// computed, so it proves nothing.
func (j *images) loaded(name string) (*refusal, error) {
	if strings.Contains(name, "@") {
		return &refusal{rule: "images", reason: "a digest cannot be given as a name: save the image under NAME:TAG"}, nil
	}
	return j.newName(name)
}

// build judges the names that a build uses and gives, and lets its context go
// up judged.
func (j *images) build() (*refusal, error) {
	call := j.in.call
	if call.Query.Get("version") == "2" && !j.everything() {
		return &refusal{rule: "images", reason: "BuildKit could pull any image here: build with DOCKER_BUILDKIT=0 docker build, or ask for a role whose images allow everything"}, nil
	}
	if no, err := j.named(); no != nil || err != nil {
		return no, err
	}
	if no, err := j.noIDs(); no != nil || err != nil {
		return no, err
	}
	if remote := call.Query.Get("remote"); remote != "" && !j.everything() {
		return &refusal{rule: "images", reason: fmt.Sprintf("remote=%.64q brings a context that nobody could judge: send it as the body", remote)}, nil
	}
	if call.Bool("pull") && !j.everything() {
		return &refusal{rule: "images", reason: "pull=1 would build on an image that nobody has looked at: docker pull it first and leave --pull out"}, nil
	}
	if call.Stream == nil {
		return nil, nil
	}
	b, no, err := newBuild(call)
	if no != nil || err != nil {
		return no, err
	}
	j.pins.add(func(c *router.Call) error {
		b.allow, b.base = j.allow(func(name string) (*refusal, error) { return j.source(name, "") }), j.onbuild
		c.Stream, c.Length = judgeBuild(c.Stream, b), -1
		return nil
	})
	return nil, nil
}

// allow gives the judge of names that come in an archive; its error is the
// answer to the caller.
func (j *images) allow(judge func(name string) (*refusal, error)) func(name string) error {
	return func(name string) error {
		no, err := judge(name)
		if err != nil {
			return err
		}
		if no == nil {
			return nil
		}
		if canonical, ok := canonicalName(name); ok {
			name = canonical
		}
		return authz.Late(j.ctx, authz.Decision{
			Rule:   "role " + j.role.name + ", " + no.rule,
			Reason: fmt.Sprintf("%.256s: %s", name, no.reason),
		})
	}
}

// onbuild gives an image's id and what it makes builds on it do.
func (j *images) onbuild(name string) (id string, triggers []string, err error) {
	found, err := j.look(name)
	switch {
	case err != nil:
		return "", nil, err
	case found != nil:
		return found.ID, found.Config.OnBuild, nil
	case j.everything():
		return "", nil, nil
	}
	return "", nil, refused("image %.128q is not there, and what it makes a build do could not be judged: docker pull it first", name)
}
