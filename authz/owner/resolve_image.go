package owner

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"moorgate/router"
)

// lookImage finds an image by whatever the Engine takes for one; errMissing if
// there is none. Names move from image to image, and what a build has just made
// must not be taken for what was there before: see recent.
func (j *judging) lookImage(name string) (*object, error) {
	return j.index.lookup(j.ctx, router.Image, name)
}

// image judges the use of an image that the Engine has: images are shared as
// the image policy allows, but only whoever made one, or gave it a name, may
// take it away.
func (j *judging) image(ref router.Ref) error {
	switch j.call.Action {
	case "image.inspect", "image.history", "image.attestations", "image.save", "image.tag", "image.list":
		o, err := j.seenImage(ref)
		if err != nil {
			return err
		}
		j.source = o
		if a := j.call.Action; (a == "image.inspect" || a == "image.history" || a == "image.attestations") && o.ID != ref.At.Text {
			j.pins = append(j.pins, router.Pin{Ref: ref, To: o.ID})
		}
	case "image.remove":
		return j.removesImage(ref)
	case "image.push":
		return j.pushesImage(ref)
	case "image.pull":
		return j.pullsImage(ref)
	}
	return nil
}

// seenImage finds an image that the caller may see.
func (j *judging) seenImage(ref router.Ref) (*object, error) {
	if j.call.Action == "image.save" && j.MayUse != nil && everyTag(ref.Name) {
		all, err := j.calledBy(ref.Name)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 || !hexadecimal(ref.Name) { // else it may be the beginning of an id
			return nil, j.seesTags(ref, all)
		}
	}
	o, err := j.lookImage(ref.Name)
	if errors.Is(err, errMissing) {
		return nil, j.missing(ref)
	}
	if err != nil || j.MayUse == nil || o.Owner == j.who.User {
		return o, err
	}
	may, err := j.MayUse(j.ctx, j.who, j.call.Engine, o.Names, o.ID)
	if err != nil {
		return nil, err
	}
	if !may {
		return nil, j.missing(ref)
	}
	return o, nil
}

// everyTag says whether a name, where it may mean several images, means all
// that differ from it in their tags. An id does not, but its beginning may.
func everyTag(name string) bool {
	return latest(name) != canonical(name)
}

// calledBy lists the images that a name without a tag means, each with its tags
// and digests under that name.
func (j *judging) calledBy(name string) ([]*object, error) {
	// Engines compare with the short form of Docker Hub's names.
	short := strings.TrimPrefix(strings.TrimPrefix(canonical(name), "docker.io/"), "library/")
	query := url.Values{"filters": {router.Filters{"reference": {short}}.String()}}
	answer, err := j.index.ask.Get(j.ctx, j.call.Engine, "/images/json?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var listed []told
	if err := json.Unmarshal(answer, &listed); err != nil {
		return nil, fmt.Errorf("listing images called %.128q: %w", name, err)
	}
	var all []*object
	repository := canonical(name)
	for i := range listed {
		o, labels := listed[i].object(router.Image)
		o.Owner = j.labelled(j.call.Engine, o, labels)
		o.Names = slices.DeleteFunc(o.Names, func(full string) bool {
			return !strings.HasPrefix(full, repository+":") && !strings.HasPrefix(full, repository+"@")
		})
		all = append(all, o)
	}
	return all, nil
}

// hasDigest says whether an image's name is one by its digest.
func hasDigest(name string) bool { return strings.Contains(name, "@") }

func hasTag(name string) bool { return !hasDigest(name) }

// seesTags refuses a name that means images which the caller may not see beside
// those that they may. Where they may see none there is none. An image that has
// no tag under the name, as one that was pulled by its digest, is saved as well.
func (j *judging) seesTags(ref router.Ref, all []*object) error {
	seen, hidden := 0, 0
	for _, o := range all {
		tagged := slices.ContainsFunc(o.Names, hasTag)
		for _, name := range o.Names {
			if tagged && hasDigest(name) {
				continue
			}
			may := o.Owner == j.who.User
			if !may {
				var err error
				if may, err = j.MayUse(j.ctx, j.who, j.call.Engine, []string{name}, o.ID); err != nil {
					return err
				}
			}
			if may {
				seen++
			} else {
				hidden++
			}
		}
	}
	switch {
	case seen == 0:
		return j.missing(ref)
	case hidden == 0:
		return nil
	}
	return &refusal{"without a tag this means every image of that name, and some are not for you: name a tag"}
}

// mine says whether the caller made an image or gave it this name.
func (j *judging) mine(o *object, name string) bool {
	return o.Owner == j.who.User || j.namedBy(o, name) == j.who.User
}

// namedBy says who gave an image a name; "" where nobody remembers.
func (j *judging) namedBy(o *object, name string) string {
	return j.memory.tags.owner(j.call.Engine, name, o.ID)
}

func (j *judging) removesImage(ref router.Ref) error {
	o, err := j.seenImage(ref)
	if err != nil {
		return err
	}
	name := latest(ref.Name)
	if slices.Contains(o.Names, name) && !strings.Contains(name, "@") {
		if j.mine(o, name) {
			return nil
		}
		return &refusal{"this image is shared: only who built, committed or tagged it may remove it"}
	}
	if o.Owner != j.who.User {
		return &refusal{"this image is shared: only who built or committed it may remove it; untag your own names of it instead"}
	}
	for _, name := range o.Names { // by its id all its names go
		if by := j.namedBy(o, name); by != "" && by != j.who.User {
			return &refusal{"somebody else gave this image a name, too: remove your own names of it instead"}
		}
	}
	return nil
}

func (j *judging) pushesImage(ref router.Ref) error {
	if ref.At.In == router.InPath && j.call.Query.Get("tag") != "" {
		return nil // the tag beside it says which one
	}
	name := ref.Name
	if !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		if ref.At.In == router.InPath {
			return &refusal{"without a tag every tag would be pushed, others' too: name one"}
		}
	}
	o, err := j.seenImage(ref)
	if err != nil {
		return err
	}
	if j.mine(o, latest(name)) {
		return nil
	}
	return &refusal{"this image is shared: tag it under a name of your own and push that"}
}

// pullsImage lets what is everyone's be fetched anew, but takes no name away
// from what somebody made.
func (j *judging) pullsImage(ref router.Ref) error {
	if err := j.holdImage(ref.Name); err != nil {
		return err
	}
	if everyTag(ref.Name) {
		all, err := j.calledBy(ref.Name)
		if err != nil {
			return err
		}
		for _, o := range all {
			for _, name := range o.Names {
				if hasTag(name) && j.others(o, name) {
					return taken(name)
				}
			}
		}
		return nil
	}
	o, err := j.lookImage(ref.Name)
	if errors.Is(err, errMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	if j.others(o, ref.Name) {
		return taken(ref.Name)
	}
	return nil
}

// others says whether somebody else made an image or gave it this name.
func (j *judging) others(o *object, name string) bool {
	by := j.namedBy(o, name)
	if by != "" {
		return by != j.who.User
	}
	return o.Owner != "" && o.Owner != j.who.User
}

// givesImage refuses a name that an image has which the caller did not make:
// whoever runs it by that name would run another.
func (j *judging) givesImage(ref router.Ref) error {
	if err := j.holdImage(ref.Name); err != nil {
		return err
	}
	o, err := j.lookImage(ref.Name)
	if errors.Is(err, errMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	if j.mine(o, ref.Name) {
		return nil
	}
	if j.call.Action == "image.tag" { // the same name for the same image changes nothing
		if j.source != nil && j.source.ID == o.ID {
			return nil
		}
	}
	return taken(ref.Name)
}

func taken(name string) error {
	return &refusal{"the name " + name + " is taken by an image that is not yours: use another"}
}

// latest is the canonical name that the Engine reads in a name, with the tag
// that is meant where none is written.
func latest(name string) string {
	c, err := router.Canonical(name)
	if err != nil || strings.Contains(c, "@") || strings.Contains(c[strings.LastIndexByte(c, '/')+1:], ":") {
		return canonical(name)
	}
	return c + ":latest"
}
