package policy

import (
	"encoding/json"
	"fmt"
	"net/url"

	"moorgate/router"
)

// rollback judges what a service goes back to, which is not in the body. The
// version in the query makes sure that it is what was looked at.
func (j *images) rollback() (*refusal, error) {
	call := j.in.call
	if call.Action != "service.update" || call.Query.Get("rollback") == "" {
		return nil, nil
	}
	if hidden, err := j.p.others(j.ctx, j.in, router.Service, call.Name()); hidden || err != nil {
		return nil, err
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
