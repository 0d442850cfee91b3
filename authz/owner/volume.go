package owner

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"moorgate/router"
)

// Names that are locked beside those of volumes; no volume has such a one.
const (
	allVolumes = "/all"
	volumesOf  = "/of/"
)

// volume judges a volume that the path names, by asking the Engine: what was
// known of its name may be of one that is gone. What changes it has the name
// alone until it is done.
func (j *judging) volume(ref router.Ref) error {
	if j.call.Action != "volume.inspect" {
		if err := j.lock(true, ref.Name); err != nil {
			return err
		}
	}
	o, err := j.index.lookup(j.ctx, router.Volume, ref.Name)
	if err == nil && j.index.ownerOfVolume(o) != j.who.User {
		err = errMissing
	}
	if err != nil {
		j.memory.locks.settle(j.call)
	}
	if errors.Is(err, errMissing) {
		return j.missing(ref)
	}
	return err
}

// want finds the named volumes that a container is to mount.
func (j *judging) want() error {
	if j.call.Action != "container.create" || j.Offline {
		return nil
	}
	refs, err := j.call.Further()
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if ref.Kind == router.Volume && ref.Use == router.UsesOrMakes {
			if j.mounts == nil {
				j.mounts = make([]string, 0, usualMounts)
			}
			j.mounts = append(j.mounts, ref.Name)
		}
	}
	if len(j.mounts) == 0 {
		return nil
	}
	host := j.call.Body.Root().Get("HostConfig")
	j.driven = !host.Get("VolumeDriver").Empty()
	for m := range host.Get("Mounts").Elements() {
		j.driven = j.driven || !m.At("VolumeOptions", "DriverConfig").Empty()
	}
	return nil
}

// usualMounts is how many names room is made for: those of the volumes, and two
// that are held along with them.
const usualMounts = 6

// mount makes the named volumes that a container is to mount, before the
// Engine does: it would make them without a label, or mount another's. One
// that is there already comes back as it is.
func (j *judging) mount() error {
	if j.Offline {
		return nil
	}
	switch j.call.Action {
	case "volume.remove": // of those whom touch does not ask
		if !j.own {
			return j.lock(true, j.call.Name())
		}
		return nil
	case "volume.prune":
		if j.own {
			return j.lock(true, volumesOf+j.who.User)
		}
		return j.lock(true, allVolumes)
	case "service.create", "service.update":
		if j.own {
			return noSharedMounts(j.call.Body.Root())
		}
		return nil
	case "container.create":
	default:
		return nil
	}
	if len(j.mounts) == 0 {
		return nil
	}
	if err := j.lock(false, append(j.mounts, allVolumes, volumesOf+j.who.User)...); err != nil {
		return err
	}
	if err := j.makeVolumes(); err != nil {
		j.memory.locks.settle(j.call)
		return err
	}
	return nil
}

// makeVolumes makes what may not be there. It holds the names of all.
func (j *judging) makeVolumes() error {
	if !slices.ContainsFunc(j.mounts, func(name string) bool { return !j.mayMount(name) }) {
		return nil
	}
	wanted, err := j.volumes()
	if err != nil {
		return err
	}
	for _, v := range wanted {
		if j.mayMount(v.Name) {
			continue
		}
		if err := j.makeVolume(v); err != nil {
			return err
		}
	}
	return nil
}

// noSharedMounts refuses a service's volumes with names: their tasks come and
// go, and in between the name may have become another's.
func noSharedMounts(spec router.Value) error {
	for m := range spec.At("TaskTemplate", "ContainerSpec", "Mounts").Elements() {
		if source := m.Get("Source").Str(); source != "" && (m.Get("Type").Str() == "volume" || m.Get("Type").Str() == "cluster") {
			return &refusal{fmt.Sprintf("volume %.128q: a service finds volumes by their names, which may come to be another's: leave the source out", source)}
		}
	}
	return nil
}

// newVolume is the body of POST /volumes/create.
type newVolume struct {
	Name       string
	Driver     string            `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	Labels     map[string]string
}

// volumes are the named volumes that a container is to mount, as the Engine
// would make them.
func (j *judging) volumes() ([]newVolume, error) {
	host := j.call.Body.Root().Get("HostConfig")
	refs, err := j.call.Objects()
	if err != nil {
		return nil, err
	}
	var all []newVolume
	for _, ref := range refs {
		if ref.Kind != router.Volume || ref.Use != router.UsesOrMakes {
			continue
		}
		if !strings.HasPrefix(j.call.Where(ref.At), "HostConfig.Mounts") {
			all = append(all, newVolume{Name: ref.Name, Driver: host.Get("VolumeDriver").Str(), Labels: map[string]string{}})
		}
	}
	for m := range host.Get("Mounts").Elements() {
		if m.Get("Type").Str() != "volume" || m.Get("Source").Str() == "" {
			continue
		}
		v, options := newVolume{Name: m.Get("Source").Str()}, m.Get("VolumeOptions")
		v.Driver = options.At("DriverConfig", "Name").Str()
		if err := errors.Join(options.At("DriverConfig", "Options").Decode(&v.DriverOpts), options.Get("Labels").Decode(&v.Labels)); err != nil {
			return nil, &router.Error{Status: 400, Message: "HostConfig.Mounts: " + err.Error()}
		}
		if v.Labels == nil {
			v.Labels = map[string]string{}
		}
		all = append(all, v)
	}
	for _, v := range all {
		v.Labels[Label] = j.who.User
	}
	return all, nil
}

// mayMount says whether a volume was there a moment ago and the caller may
// mount it: nothing need be made ahead then. No call through moorgate has
// removed it since, nor can while this one holds its name. Somebody beside
// moorgate can, in the moment until the Engine's event of that comes in: then
// the Engine makes one that is nobody's, which only adopting hands to anyone,
// as it would if it were removed right behind the question.
func (j *judging) mayMount(name string) bool {
	if j.driven || unnamed(name) {
		return false // the Engine has to compare; whose one without a name is, may change
	}
	owner, ok := j.index.volumes.get(name, j.Now())
	return ok && (!j.own || owner == j.who.User)
}

// makeVolume makes a volume, or finds that there is one that the caller may
// mount.
func (j *judging) makeVolume(v newVolume) error {
	when := j.index.volumes.asking(j.Now())
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	answer, err := j.Engines.Post(j.ctx, j.call.Engine, "/volumes/create", body)
	if code := status(err); code >= 400 && code < 500 {
		return j.volumeRefused(v.Name, err)
	}
	if err != nil {
		return fmt.Errorf("making volume %.128q: %w", v.Name, err)
	}
	o, err := j.index.take(j.ctx, router.Volume, answer)
	if err != nil {
		return err
	}
	owner := j.index.ownerOfVolume(o)
	if o.ID == v.Name {
		j.index.volumes.keep(v.Name, owner, when)
	}
	if j.own && owner != j.who.User {
		return volumeTaken(v.Name)
	}
	return nil
}

// volumeRefused hides what an Engine's refusal tells of another's volume.
func (j *judging) volumeRefused(name string, refused error) error {
	if !j.own {
		return refused
	}
	owner, err := j.index.ownerOf(j.ctx, router.Volume, name)
	if err != nil {
		return err
	}
	if owner != j.who.User {
		if _, err := j.index.lookup(j.ctx, router.Volume, name); err == nil {
			return volumeTaken(name)
		}
	}
	return refused
}

func volumeTaken(name string) error {
	return &router.Error{Status: 409, Message: fmt.Sprintf("Conflict. The volume name %q is already in use. You have to use another name.", name)}
}
