package owner

import (
	"bytes"
	"slices"
	"strconv"

	"moorgate/router"
)

// sight is what one caller sees of one answer.
type sight struct {
	*judging
	limit int                // how many containers may still be listed; -1 is all
	asked map[key]string     // whose what is, once found out
	used  map[string]int64   // images to how many of the caller's containers use them
	can   map[[2]string]bool // what the image policy says of an image's name

	adopts map[router.Kind]bool // whether the caller has adopted any of a kind
}

func (j *judging) sight() *sight {
	return &sight{judging: j, limit: -1, asked: map[key]string{}, can: map[[2]string]bool{}}
}

// mine says whether what an answer tells of is the caller's. Its own labels
// and what was adopted decide.
func (s *sight) mine(o *object, labels []byte) (bool, error) {
	if !s.could(o.Kind, labels) {
		return false, nil
	}
	given, err := reserved(labels)
	if err != nil {
		return false, err
	}
	return s.labelled(s.index.engine, o, given) == s.who.User, nil
}

// could is false for what is surely not the caller's; it is quick, as most of a
// long list is not.
func (s *sight) could(kind router.Kind, labels []byte) bool {
	if s.adopts == nil {
		s.adopts = map[router.Kind]bool{}
	}
	adopts, known := s.adopts[kind]
	if !known {
		adopts = s.adopted.any(s.index.engine, s.who.User, kind)
		s.adopts[kind] = adopts
	}
	return adopts || says(labels, Label, s.who.User)
}

// owns says whether what an answer only names is the caller's.
func (s *sight) owns(kind router.Kind, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	k := key{kind, id}
	owner, ok := s.asked[k]
	if !ok {
		var err error
		if owner, err = s.index.ownerOf(s.ctx, kind, id); err != nil {
			return false, err
		}
		s.asked[k] = owner
	}
	return owner == s.who.User, nil
}

// container is an element of a list of containers.
func (s *sight) container(v value) ([]byte, error) {
	f, err := v.pick("Id", "ImageID", "Labels")
	if err != nil {
		return nil, err
	}
	if !s.could(router.Container, f[2]) && !member(f[2], swarmTask) {
		return nil, nil
	}
	o := &object{Kind: router.Container}
	if o.ID, err = text(f[0]); err != nil {
		return nil, err
	}
	if o.Image, err = optional(f[1]); err != nil {
		return nil, err
	}
	yes, err := s.mine(o, f[2])
	if err == nil && !yes && member(f[2], swarmTask) {
		yes, err = s.owns(router.Container, o.ID)
	}
	if !yes || err != nil || s.limit == 0 {
		return nil, err
	}
	if s.limit > 0 {
		s.limit--
	}
	return v.raw, nil
}

// member says whether an object has a member of a name.
func member(v []byte, name string) bool {
	for key := range members(v) {
		if is(key, name) {
			return true
		}
	}
	return false
}

// volume is an element of a list of volumes.
func (s *sight) volume(v value) ([]byte, error) {
	f, err := v.pick("Name", "CreatedAt", "Labels")
	if err != nil {
		return nil, err
	}
	if len(f[0]) != 64+2 && !s.could(router.Volume, f[2]) { // of those without a name others know
		return nil, nil
	}
	o := &object{Kind: router.Volume}
	if o.ID, err = text(f[0]); err != nil {
		return nil, err
	}
	o.Name = o.ID
	if o.Created, err = optional(f[1]); err != nil {
		return nil, err
	}
	yes, err := s.mine(o, f[2])
	if err == nil && !yes && unnamed(o.ID) {
		yes, err = s.owns(router.Volume, o.ID)
	}
	if !yes || err != nil {
		return nil, err
	}
	return v.raw, nil
}

// network is a network, in a list or alone. What it tells of containers is cut
// to the caller's, and of a network that is not the caller's what else counts
// others is left out.
func (s *sight) network(v value) ([]byte, error) {
	f, err := v.pick("Id", "Name", "Labels", "Containers")
	if err != nil {
		return nil, err
	}
	name, err := text(f[1])
	if err != nil {
		return nil, err
	}
	if !s.could(router.Network, f[2]) && !s.shares(name) {
		return nil, nil
	}
	o := &object{Kind: router.Network, Name: name}
	if o.ID, err = text(f[0]); err != nil {
		return nil, err
	}
	yes, err := s.mine(o, f[2])
	if err != nil || !yes && !s.shares(name) {
		return nil, err
	}
	changes := map[string][]byte{}
	if f[3] != nil && !bytes.Equal(f[3], null) && !bytes.Equal(f[3], emptyObject) {
		if changes["Containers"], err = keepMembers(f[3], func(id string) (bool, error) {
			return s.owns(router.Container, id)
		}); err != nil {
			return nil, err
		}
	}
	if !yes {
		for _, name := range []string{"Services", "Peers", "Status"} {
			changes[name] = nil
		}
	}
	if yes && len(changes) == 0 {
		return v.raw, nil
	}
	return edit(v.raw, changes)
}

// shares says whether the caller may join a network that is not theirs.
func (s *sight) shares(name string) bool {
	return slices.Contains(predefined, name) || s.Shares != nil && s.Shares(s.who, s.index.engine, name)
}

var emptyObject = []byte("{}")

// specified gives the judge of swarm objects, whose labels stand in their Spec.
func (s *sight) specified(kind router.Kind) func(value) ([]byte, error) {
	return func(v value) ([]byte, error) {
		f, err := v.pick("ID", "Spec")
		if err != nil || f[1] == nil {
			return nil, err
		}
		spec, err := pick(f[1], "Name", "Labels")
		if err != nil {
			return nil, err
		}
		o := &object{Kind: kind}
		if o.ID, err = text(f[0]); err != nil {
			return nil, err
		}
		if o.Name, err = optional(spec[0]); err != nil {
			return nil, err
		}
		if yes, err := s.mine(o, spec[1]); !yes || err != nil {
			return nil, err
		}
		return v.raw, nil
	}
}

// task is an element of a list of tasks: it is of its service, or of the
// container that it joins to a network.
func (s *sight) task(v value) ([]byte, error) {
	f, err := v.pick("ServiceID", "Spec")
	if err != nil {
		return nil, err
	}
	service, err := optional(f[0])
	if err != nil {
		return nil, err
	}
	yes, err := s.owns(router.Service, service)
	if err == nil && service == "" && f[1] != nil {
		yes, err = s.attached(f[1])
	}
	if !yes || err != nil {
		return nil, err
	}
	return v.raw, nil
}

func (s *sight) attached(spec []byte) (bool, error) {
	f, err := pick(spec, "NetworkAttachmentSpec")
	if err != nil || len(f[0]) == 0 || f[0][0] != '{' {
		return false, err
	}
	if f, err = pick(f[0], "ContainerID"); err != nil {
		return false, err
	}
	id, err := optional(f[0])
	if err != nil {
		return false, err
	}
	return s.owns(router.Container, id)
}

// use is how many of the caller's containers are made of an image.
func (s *sight) use(image string) (int64, error) {
	if s.used == nil {
		s.used = map[string]int64{}
		err := s.ownContainers(func(c summary) { s.used[c.Image]++ })
		if err != nil {
			return 0, err
		}
	}
	return s.used[image], nil
}

// counted is a number as JSON.
func counted(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
