package owner

import (
	"context"
	"net/http"
	"time"

	"moorgate/authz"
	"moorgate/router"
)

// maxRecentNames bounds how many names an image may have that is remembered.
const maxRecentNames = 256

// foundImage is an image as the Engine told of it.
type foundImage struct {
	image  *authz.Image
	object *object
}

// Image finds out about an image that an engine has, by any name, id or
// prefix. What is not there is an error of Engines. While the Engine's events
// come in, an answer is remembered for a moment.
//
// Whoever judges by it must send the id on, and not the name: by the time of
// the call the name may mean another.
func (o *Owner) Image(ctx context.Context, engine, name string) (*authz.Image, error) {
	if !askable(name) {
		return nil, &router.Error{Status: http.StatusNotFound, Message: "No such image: " + name}
	}
	found, err := o.index(engine).image(ctx, name)
	return found.image, err
}

func (x *index) image(ctx context.Context, name string) (foundImage, error) {
	if found, ok := x.images.get(name, x.now()); ok {
		return found, nil
	}
	when := x.images.asking(x.now())
	answer, err := x.ask.Get(ctx, x.engine, authz.ImagePath(name))
	if err != nil {
		return foundImage{}, err
	}
	image, err := authz.ReadImage(answer)
	if err != nil {
		return foundImage{}, err
	}
	o := &object{Kind: router.Image, ID: image.ID, Names: image.Names, known: true}
	o.Owner = x.owner(x.engine, o, image.Labels)
	x.put(o)
	found := foundImage{image, o}
	if len(image.Names) <= maxRecentNames {
		x.images.keep(name, found, when)
	}
	return found, nil
}

// changesImages says whether a call may change which images there are, or what
// they are called: any that is not known to leave them alone.
func changesImages(c *router.Call) bool {
	if reads := c.Route.Method == http.MethodGet || c.Route.Method == http.MethodHead; reads && c.Route.Reply < router.Hijack {
		return false
	}
	switch c.Route.Kind {
	case router.Container, router.Exec, router.Network, router.Volume, router.Secret, router.Config, router.Task, router.Node, router.Checkpoint:
	default:
		return true
	}
	refs, err := c.Further()
	if err != nil {
		return true
	}
	for _, ref := range refs { // a commit gives a name
		if (ref.Kind == router.Image || ref.Kind == router.Plugin) && (ref.Use == router.Gives || ref.Use == router.UsesOrMakes) {
			return true
		}
	}
	return false
}

// unsettle keeps answers about images from being believed while the call may
// change what they say: from now, before it is sent, until its answer has gone
// out, and a moment longer, as an Engine may go on whose caller has gone.
func (j *judging) unsettle() error {
	if j.Offline || !changesImages(j.call) {
		return nil
	}
	c := j.memory.changed(j.call.Engine, router.Image)
	c.begin()
	context.AfterFunc(j.ctx, func() {
		c.happened()
		time.AfterFunc(rememberFor, c.end)
	})
	return nil
}
