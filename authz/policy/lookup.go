package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"moorgate/authz"
	"moorgate/router"
)

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
	var no *refusal
	if found != nil {
		if no, err = j.stored(found, name); err != nil {
			return nil, err
		}
	}
	if no != nil && maybeID(text) && !slices.Contains(found.Names, name) {
		unseen, err := j.unseen(found)
		if err != nil {
			return nil, err
		}
		if unseen {
			found, no = nil, nil
		}
	}
	if found == nil { // the Engine will say that it has none, and docker will pull it
		if isName && maybeID(text) { // by the time of the call it could be an id's beginning
			if field == "Image" {
				j.edits.set(name, field)
			} else {
				return &refusal{rule: "images", reason: fmt.Sprintf("%.128q is not there and could be an image's id: write its name with a tag", text)}, nil
			}
		}
		if isName {
			return j.canonical(name)
		}
		return &refusal{rule: "images", reason: fmt.Sprintf("%.128q is not there: name an image", text)}, nil
	}
	if no != nil {
		return no, nil
	}
	id := found.ID
	switch field {
	case "":
		if text != id && !slices.Contains(found.Names, name) {
			return &refusal{rule: "images", reason: fmt.Sprintf("%.128q could come to mean another image: write its name or its whole id", text)}, nil
		}
	case "name":
		j.edits.do(func(c *router.Call) { c.SetVar("name", id) })
	default:
		j.edits.set(id, field)
	}
	return nil, nil
}

// unseen says whether a refused image of the Engine looks missing to the caller
// wherever images are shown. To refuse it by its id would tell that it is there.
func (j *images) unseen(found *authz.Image) (bool, error) {
	others, err := j.p.others(j.ctx, j.in, router.Image, found.ID)
	if err != nil || !others {
		return false, err
	}
	may, err := j.p.MayUse(j.ctx, j.in.who, j.in.call.Engine, found.Names, found.ID)
	return !may, err
}

// stored judges an image of the Engine. Asked for by a name that it has, that
// name is judged; by its id or part of it, all its names are: one must be
// allowed and none denied.
func (j *images) stored(found *authz.Image, name string) (*refusal, error) {
	if slices.Contains(found.Names, name) {
		return j.canonical(name)
	}
	allowed := false
	no := &refusal{rule: "images", reason: "this image has no name that rules could allow: name one that has"}
	for _, n := range found.Names {
		v, err := j.role.judgeImage(j.in, n)
		switch {
		case err != nil:
			return nil, err
		case v.allow:
			allowed = true
		case v.index >= 0:
			return refuseImage(v), nil // without the name, which may be somebody's own
		default:
			no = refuseImage(v)
		}
	}
	if allowed {
		return nil, nil
	}
	return no, nil
}

// image asks an engine itself.
func (o *Options) image(ctx context.Context, engine, name string) (*authz.Image, error) {
	answer, err := o.Engines.Get(ctx, engine, authz.ImagePath(name))
	if err != nil {
		return nil, err
	}
	return authz.ReadImage(answer)
}

// look asks the Engine for an image; nil where it has none.
func (j *images) look(text string) (*authz.Image, error) {
	if _, isName := canonicalName(text); !isName && !maybeID(text) || strings.ContainsAny(text, "?#%\x00 ") {
		return nil, nil
	}
	found, err := j.p.options.Image(j.ctx, j.in.call.Engine, text)
	var e *router.Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up image %.128q: %w", text, err)
	}
	return found, nil
}

// onbuild gives an image's id and what it makes builds on it do.
func (j *images) onbuild(name string) (id string, triggers []string, err error) {
	found, err := j.look(name)
	switch {
	case err != nil:
		return "", nil, err
	case found != nil:
		return found.ID, found.OnBuild, nil
	case j.everything():
		return "", nil, nil
	}
	return "", nil, refused("image %.128q is not there, and what it makes a build do could not be judged: docker pull it first", name)
}
