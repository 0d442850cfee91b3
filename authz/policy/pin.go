package policy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"moorgate/router"
)

// images is the judging of one call's images for one role.
type images struct {
	p     *Policy
	ctx   context.Context
	in    *input
	role  *role
	edits *edits
}

// judgeImages asks the role's image policy about every image that the call
// brings in, names anew, runs, or makes the Engine ask a registry about.
func (p *Policy) judgeImages(ctx context.Context, in *input, r *role, e *edits) (*refusal, error) {
	j := &images{p: p, ctx: ctx, in: in, role: r, edits: e}
	if r.images.any && !p.needsImages(in) {
		return nil, nil
	}
	if in.refs == nil {
		refs, err := in.call.Further()
		if err != nil {
			return nil, err
		}
		in.refs = refs
	}
	for _, ref := range in.refs {
		if ref.Kind != router.Image {
			continue
		}
		if name, ok := canonicalName(ref.Name); ok && !slices.Contains(in.images, name) {
			in.images = append(in.images, name)
		}
	}
	if err := j.reveal(); err != nil {
		return nil, err
	}
	if r.images.any {
		return nil, nil
	}
	no, err := j.judge()
	if no != nil {
		no.depth = depthImages
	}
	return no, err
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
		for _, name := range found.Names {
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
	no := refuseImage(v)
	no.subject = name
	return no, nil
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
