package owner

import (
	"context"
	"mime"
	"net/http"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

var _ authz.StreamReviewer = (*Owner)(nil)

// Review keeps what the answer tells of what was made, and cuts it down to what
// the caller may see.
func (o *Owner) Review(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (authz.Decision, error) {
	p, err := o.answered(ctx, who, call, resp)
	if err == nil {
		err = o.judging(ctx, who, call).cut(resp, p)
	}
	return decide(err)
}

// answered is what every answer goes through, whether it grows or not.
func (o *Owner) answered(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (*pending, error) {
	p := o.conclude(call, resp)
	if err := o.learn(ctx, who, call, resp); err != nil {
		return nil, err
	}
	if call.Route.Reply != router.Stream || resp.StatusCode >= http.StatusBadRequest {
		o.gaveNames(ctx, call)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return p, o.clean(ctx, who, call, resp)
	}
	return p, nil
}

// ReviewStream cuts events. Of the other streams each is of one object, which
// was found to be the caller's, or tells how a call goes along that may give
// names to images.
func (o *Owner) ReviewStream(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) (authz.Decision, error) {
	if _, err := o.answered(ctx, who, call, resp); err != nil {
		return decide(err)
	}
	o.untilGiven(ctx, call, resp)
	if call.Action != "system.events" || resp.StatusCode != http.StatusOK || !o.Own(who, call.Action, call.Engine) {
		return decide(nil)
	}
	if err := readable(resp); err != nil {
		return decide(err)
	}
	resp.Body = cutLines(resp.Body, o.events(ctx, call.Engine))
	return decide(nil)
}

// cut puts a body in the answer's place of which only what is the caller's is
// seen.
func (j *judging) cut(resp *http.Response, p *pending) error {
	if !j.own || resp.StatusCode != http.StatusOK || j.exact(p) {
		return nil
	}
	s := j.sight()
	if p != nil && p.limit > 0 {
		s.limit = p.limit
	}
	seen := s.of(j.call.Action)
	if seen == nil {
		return nil
	}
	if err := readable(resp); err != nil {
		return err
	}
	resp.Body = cut(resp.Body, seen)
	return nil
}

// of is what is seen of the answer to an action; nil where it is of one object
// that is the caller's, or of nobody's.
func (s *sight) of(action string) *shape {
	list := func(judge func(value) ([]byte, error)) *shape { return &shape{each: &shape{judge: judge}} }
	switch action {
	case "container.list":
		return list(s.container)
	case "volume.list":
		return &shape{members: map[string]*shape{"Volumes": list(s.volume), "Warnings": {}}}
	case "network.list":
		return list(s.network)
	case "network.inspect":
		return &shape{judge: s.network}
	case "image.list":
		return list(s.image)
	case "image.inspect":
		return &shape{judge: s.one}
	case "image.history":
		return list(s.layer)
	case "service.list":
		return list(s.specified(router.Service))
	case "task.list":
		return list(s.task)
	case "secret.list":
		return list(s.specified(router.Secret))
	case "config.list":
		return list(s.specified(router.Config))
	case "system.df":
		return s.df()
	case "system.info":
		return &shape{judge: s.info}
	}
	return nil
}

// one is an image that is inspected: whether it may be was decided before.
func (s *sight) one(v value) ([]byte, error) {
	seen, err := s.image(v)
	if seen == nil && err == nil {
		return edit(v.raw, map[string][]byte{"RepoTags": []byte("[]"), "RepoDigests": []byte("[]"), "Manifests": nil})
	}
	return seen, err
}

// readable refuses answers that cannot be cut, rather than let them pass.
func readable(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch kind {
	case "application/json", "application/jsonl", "application/x-ndjson", "application/json-seq":
		if resp.Header.Get("Content-Encoding") == "" {
			return nil
		}
	}
	return &router.Error{
		Status:  http.StatusBadGateway,
		Message: "moorgate: the Engine's answer is no JSON, and what in it is yours cannot be told: look at its log",
	}
}
