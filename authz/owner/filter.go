package owner

import (
	"net/url"
	"slices"
	"strconv"

	"moorgate/router"
)

// narrow lets the Engine itself leave out what is not the caller's, as far as
// it can. It makes lists cheap; what is seen of them is decided when they come
// (review.go), so a filter that lets too much pass shows nothing. What is
// pruned is decided here alone.
func (j *judging) narrow() error {
	if !j.own {
		return nil
	}
	switch j.call.Action {
	case "container.list":
		return j.containers()
	case "service.list":
		return j.swarmList(router.Service)
	case "secret.list":
		return j.swarmList(router.Secret)
	case "config.list":
		return j.swarmList(router.Config)
	case "container.prune":
		return j.pruneContainers()
	case "volume.prune", "network.prune":
		return j.filter("label", j.label())
	case "image.prune":
		return j.pruneImages()
	case "build.prune":
		// The cache is nobody's own: this is the id of none of it. To refuse
		// would break docker system prune behind what it has done already.
		return j.filter("id", "moorgate-none")
	}
	return nil
}

// labels says whether all that is the caller's of a kind carries the label, so
// that the Engine's filter finds it.
func (j *judging) labels(kind router.Kind) bool {
	if j.adopted.any(j.call.Engine, j.who.User, kind) {
		return false
	}
	// The containers of services are made by the Engine.
	return kind != router.Container || j.Offline || j.index.live.Load() && len(j.index.owned(router.Service, j.who.User)) == 0
}

// filter puts a value to a filter of the call's.
func (j *judging) filter(name, value string) error {
	f, err := j.call.Filters()
	if err != nil {
		return err
	}
	f[name] = append(f[name], value)
	j.call.SetFilters(f)
	return nil
}

// swarmList adds the label filter. The caller's own ones hold beside it, but
// the swarm keeps only one of several for the same label: one for the owner is
// left as it is, and what comes is cut anyway.
func (j *judging) swarmList(kind router.Kind) error {
	f, err := j.call.Filters()
	if err != nil {
		return err
	}
	for _, given := range f["label"] {
		if len(given) > len(Label) && given[:len(Label)+1] == Label+"=" {
			return nil
		}
	}
	if j.labels(kind) {
		f["label"] = append(f["label"], j.label())
		j.call.SetFilters(f)
	}
	return nil
}

// containers narrows the list of containers. A limit is held here, as the
// Engine would count to it what is not seen.
func (j *judging) containers() error {
	if j.labels(router.Container) {
		if err := j.filter("label", j.label()); err != nil {
			return err
		}
	}
	limit, err := strconv.Atoi(j.call.Query.Get("limit"))
	if err != nil || limit <= 0 || j.Offline {
		return nil // the Engine's to say
	}
	j.call.Query.Del("limit")
	j.call.Query.Set("all", "1") // as a limit does
	j.memory.used.note(j.ctx, j.call, &pending{limit: limit})
	return nil
}

// pruneImages lets only images go that nobody gave a name, of the caller's.
func (j *judging) pruneImages() error {
	f, err := j.call.Filters()
	if err != nil {
		return err
	}
	for _, v := range f["dangling"] {
		if v == "0" || v == "false" {
			return &refusal{"images that have a name may be in others' use: leave --all out, or docker rmi NAME"}
		}
	}
	if len(f["dangling"]) == 0 {
		f["dangling"] = []string{"true"}
	}
	f["label"] = append(f["label"], j.label())
	j.call.SetFilters(f)
	return nil
}

// pruneContainers lets only the caller's containers go. Containers made beside
// moorgate may carry the caller's label from their image; those that do are
// kept out by the image that they claim to be of.
func (j *judging) pruneContainers() error {
	f, err := j.call.Filters()
	if err != nil {
		return err
	}
	f["label"] = append(f["label"], j.label(), imageLabel)
	if !j.Offline {
		claims, err := j.pretenders()
		if err != nil {
			return err
		}
		if len(claims) > 1 || len(claims) == 1 && len(f["label!"]) > 0 {
			return &refusal{"some containers carry your name without being yours, and the Engine could not tell them from yours: docker rm yours by name, or ask an administrator to look at the label " + Label}
		}
		for _, claim := range claims {
			f["label!"] = append(f["label!"], imageLabel+"="+claim)
		}
	}
	j.call.SetFilters(f)
	return nil
}

// pretenders are the images that containers claim to be of that would be
// pruned with the caller's but are not the caller's.
func (j *judging) pretenders() (claims []string, err error) {
	query := url.Values{"all": {"1"}, "filters": {router.Filters{
		"label":  {j.label(), imageLabel},
		"status": {"created", "exited", "dead"},
	}.String()}}
	s := j.sight()
	err = j.through(j.ctx, j.call.Engine, "/containers/json?"+query.Encode(), func(v value) ([]byte, error) {
		seen, err := s.container(v)
		if seen != nil || err != nil {
			return nil, err
		}
		f, err := v.pick("Labels")
		if err != nil {
			return nil, err
		}
		given, err := reserved(f[0])
		if err != nil {
			return nil, err
		}
		if claim := given[imageLabel]; !slices.Contains(claims, claim) {
			claims = append(claims, claim)
		}
		return nil, nil
	})
	return claims, err
}
