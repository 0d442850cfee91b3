package owner

import (
	"bytes"

	"moorgate/router"
)

// image is an image, in a list or alone: it is seen under those of its names
// that the image policy allows, and by whoever owns it. Which containers use
// it is cut to the caller's.
func (s *sight) image(v value) ([]byte, error) {
	seen, err := s.imageSeen(v)
	if seen == nil || err != nil {
		return nil, err
	}
	f, err := pick(seen, "Containers", "Manifests", "Id")
	if err != nil {
		return nil, err
	}
	changes := map[string][]byte{}
	if number(f[0]) > 0 {
		id, err := text(f[2])
		if err != nil {
			return nil, err
		}
		n, err := s.use(id)
		if err != nil {
			return nil, err
		}
		changes["Containers"] = counted(n)
	}
	if f[1] != nil && !bytes.Equal(f[1], null) {
		if changes["Manifests"], err = keepElements(f[1], s.manifest); err != nil {
			return nil, err
		}
	}
	if len(changes) == 0 {
		return seen, nil
	}
	return edit(seen, changes)
}

// imageSeen is an image with those of its names that the caller may know; nil
// for one that is not seen at all.
func (s *sight) imageSeen(v value) ([]byte, error) {
	f, err := v.pick("Id", "RepoTags", "RepoDigests", "Labels")
	if err != nil {
		return nil, err
	}
	labels := f[3]
	if labels == nil { // of one alone they stand in its configuration
		config, err := v.pick("Config")
		if err != nil {
			return nil, err
		}
		if config[0] != nil && config[0][0] == '{' {
			if config, err = pick(config[0], "Labels"); err != nil {
				return nil, err
			}
			labels = config[0]
		}
	}
	o := &object{Kind: router.Image}
	if o.ID, err = text(f[0]); err != nil {
		return nil, err
	}
	for _, list := range f[1:3] {
		for raw := range elements(list) {
			name, err := text(raw)
			if err != nil {
				return nil, err
			}
			o.Names = append(o.Names, name)
		}
	}
	yes, err := s.mine(o, labels)
	if err != nil {
		return nil, err
	}
	known, hidden := 0, 0
	changes := map[string][]byte{}
	for i, member := range []string{"RepoTags", "RepoDigests"} {
		list := f[i+1]
		if list == nil || bytes.Equal(list, null) {
			continue
		}
		if changes[member], err = keepElements(list, func(raw []byte) ([]byte, error) {
			name, err := text(raw)
			if err != nil {
				return nil, err
			}
			if name == "<none>:<none>" || name == "<none>@<none>" {
				return raw, nil
			}
			ok, err := s.mayUse(name, o.ID)
			if !ok || err != nil {
				hidden++
				return nil, err
			}
			known++
			return raw, nil
		}); err != nil {
			return nil, err
		}
	}
	switch {
	case known == 0 && !yes:
		return nil, nil
	case hidden == 0:
		return v.raw, nil
	}
	return edit(v.raw, changes)
}

// mayUse asks the image policy about one name of an image, once.
func (s *sight) mayUse(name, id string) (bool, error) {
	if s.MayUse == nil {
		return true, nil
	}
	k := [2]string{name, id}
	ok, known := s.can[k]
	if !known {
		var err error
		if ok, err = s.MayUse(s.ctx, s.who, s.index.engine, []string{name}, id); err != nil {
			return false, err
		}
		s.can[k] = ok
	}
	return ok, nil
}

// manifest is one of an image's; it lists the containers that use it.
func (s *sight) manifest(v []byte) ([]byte, error) {
	f, err := pick(v, "ImageData")
	if err != nil || f[0] == nil || f[0][0] != '{' {
		return v, err
	}
	data, err := pick(f[0], "Containers")
	if err != nil || data[0] == nil || data[0][0] != '[' {
		return v, err
	}
	containers, err := keepElements(data[0], func(raw []byte) ([]byte, error) {
		id, err := text(raw)
		if err != nil {
			return nil, err
		}
		if yes, err := s.owns(router.Container, id); !yes || err != nil {
			return nil, err
		}
		return raw, nil
	})
	if err != nil {
		return nil, err
	}
	changed, err := edit(f[0], map[string][]byte{"Containers": containers})
	if err != nil {
		return nil, err
	}
	return edit(v, map[string][]byte{"ImageData": changed})
}

// layer is an element of an image's history: it tells the image's names.
func (s *sight) layer(v value) ([]byte, error) {
	f, err := v.pick("Id", "Tags")
	if err != nil || f[1] == nil || f[1][0] != '[' {
		return v.raw, err
	}
	id, err := optional(f[0])
	if err != nil {
		return nil, err
	}
	tags, err := keepElements(f[1], func(raw []byte) ([]byte, error) {
		name, err := text(raw)
		if err != nil {
			return nil, err
		}
		if ok, err := s.mayUse(name, id); !ok || err != nil {
			return nil, err
		}
		return raw, nil
	})
	if err != nil {
		return nil, err
	}
	return edit(v.raw, map[string][]byte{"Tags": tags})
}
