package policy

import (
	"fmt"

	"moorgate/router"
)

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
