package owner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"moorgate/authz/identity"
	"moorgate/router"
)

// maxAnswer bounds the answers that are read whole, in bytes: to calls that
// make or change one object, and errors.
const maxAnswer = 1 << 20

// learn keeps what an answer below 300 tells of: who made what, and names that
// changed. An error takes the answer's place.
func (o *Owner) learn(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) error {
	o.memory.locks.settle(call)
	if resp.StatusCode >= 300 {
		return nil
	}
	x := o.index(call.Engine)
	switch call.Action {
	case "exec.create":
		id, err := made(resp)
		if err != nil {
			return err
		}
		o.memory.execs.made(call.Engine, id, who.User)
	case "container.create", "network.create":
		id, err := made(resp)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(call.Query.Get("name"), "/")
		if call.Route.Kind == router.Network {
			name = call.Body.Root().Get("Name").Str()
		}
		if _, ok := x.get(call.Route.Kind, id); !ok { // whose it is will be asked, as its labels have it
			x.put(&object{Kind: call.Route.Kind, ID: id, Name: name})
		}
	case "container.rename":
		x.unnamed(router.Container, call.Name())
		x.unnamed(router.Container, strings.TrimPrefix(call.Query.Get("name"), "/"))
	case "container.remove", "network.remove":
		x.removed(call.Route.Kind, call.Name())
	case "image.tag":
		return o.tagged(ctx, who, call, x)
	case "volume.create", "volume.inspect":
		return o.mineOnly(ctx, who, call, resp, x)
	}
	return nil
}

// made gives the id in the answer to a call that made an object.
func made(resp *http.Response) (string, error) {
	body, err := whole(resp)
	if err != nil {
		return "", err
	}
	said, err := router.ParseDocument(body, nil)
	if err != nil {
		return "", fmt.Errorf("the Engine says that it made something, but not in JSON: %v", err) // no fault of the caller's
	}
	id := said.Root().Get("Id").Str()
	if id == "" {
		return "", errors.New("the Engine says that it made something but not its id")
	}
	return id, nil
}

// whole reads an answer, which is then there to be read again.
func whole(resp *http.Response) ([]byte, error) {
	if resp.Body == nil {
		return nil, nil
	}
	var body []byte
	var err error
	if n := resp.ContentLength; n > 0 && n <= maxAnswer {
		body = make([]byte, n)
		_, err = io.ReadFull(resp.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Engine's answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the Engine's answer is over %d bytes", maxAnswer)
	}
	resp.Body = &reread{bytes.NewReader(body), resp.Body}
	return body, nil
}

// reread is a body that was read and is there again.
type reread struct {
	io.Reader
	io.Closer
}

// unnamed forgets what a name meant.
func (x *index) unnamed(kind router.Kind, nameOrID string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	id := nameOrID
	if named, ok := x.names[key{kind, nameOrID}]; ok {
		id = named
	}
	if o := x.objects[key{kind, id}]; o != nil {
		nameless := *o
		nameless.Name = ""
		x.set(&nameless)
	}
}

// removed forgets what was removed by its id or name.
func (x *index) removed(kind router.Kind, nameOrID string) {
	x.mu.RLock()
	id, ok := x.names[key{kind, nameOrID}]
	x.mu.RUnlock()
	if !ok {
		id = nameOrID
	}
	x.bury(kind, id)
}

// tagged remembers who gave an image its new name.
func (o *Owner) tagged(ctx context.Context, who identity.Identity, call *router.Call, x *index) error {
	name, err := router.Pull(call.Query.Get("repo"), call.Query.Get("tag"))
	if err != nil {
		return nil
	}
	found, err := x.lookup(ctx, router.Image, latest(name))
	if err == nil {
		o.memory.tags.gave(call.Engine, latest(name), found.ID, who.User)
	}
	return nil
}

// mineOnly shows a volume to its owner alone. A call to make one answers with
// the one that is there already.
func (o *Owner) mineOnly(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response, x *index) error {
	if !o.Own(who, call.Action, call.Engine) {
		return nil
	}
	body, err := whole(resp)
	if err != nil {
		return err
	}
	v, err := x.take(ctx, router.Volume, body)
	switch {
	case err != nil:
		return err
	case x.ownerOfVolume(v) == who.User:
		return nil
	case call.Action == "volume.create":
		return volumeTaken(v.ID)
	}
	return o.judging(ctx, who, call).missing(router.Ref{Kind: router.Volume, Name: call.Name()})
}
