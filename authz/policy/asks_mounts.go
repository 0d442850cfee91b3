package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"moorgate/router"
)

var (
	mountTerm = &term{judge: (*asks).mount, members: all(free, "Type Source Target ReadOnly Consistency").with(terms{
		"BindOptions": {members: all(free, "NonRecursive CreateMountpoint ReadOnlyNonRecursive ReadOnlyForceRecursive").with(terms{
			"Propagation": oneOf("lets mounts through to the host: use private or rprivate", "", "private", "rprivate"),
		})},
		"VolumeOptions": {members: terms{
			"NoCopy":       free,
			"Labels":       free,
			"Subpath":      subpath,
			"DriverConfig": {members: terms{"Name": localOnly, "Options": by((*asks).volumeOptions)}},
		}},
		"ImageOptions":   {members: terms{"Subpath": subpath}},
		"TmpfsOptions":   {members: terms{"SizeBytes": by((*asks).tmpfsSize), "Mode": free, "Options": {each: by((*asks).tmpfsOption)}}},
		"ClusterOptions": unset("is for volumes of a cluster: leave it out"),
	})}

	volumeCreate = &term{members: terms{
		"Name":              free,
		"Labels":            free,
		"Driver":            localOnly,
		"DriverOpts":        by((*asks).volumeOptions),
		"ClusterVolumeSpec": unset("makes a volume of a cluster's plugin: leave it out"),
	}}
	volumeUpdate = &term{members: terms{"Spec": unset("changes a volume of a cluster's plugin: leave it out")}}

	localOnly = oneOf("is a plugin on the host: leave it out, or use local", "", "local")
	subpath   = by(func(_ *asks, name string, v router.Value) *refusal {
		if s := v.Str(); strings.HasPrefix(s, "/") || strings.Contains("/"+s+"/", "/../") {
			return refuse("containers.binds", "%s %s leads out of the volume: name a path within it", name, shown(v))
		}
		return nil
	})
)

// bind judges "SOURCE:TARGET[:OPTIONS]", a folder of the host or a volume.
func (j *asks) bind(name string, v router.Value) *refusal {
	text := v.Str()
	source, rest, ok := strings.Cut(text, ":")
	if !ok && text != "" { // the target of a volume without a name
		return nil
	}
	_, options, _ := strings.Cut(rest, ":")
	if strings.Contains(options, ":") {
		return refuse("containers.binds", "%s %s has too many colons: write SOURCE:TARGET or SOURCE:TARGET:ro", name, shown(v))
	}
	// As the Engine does: all that does not begin with a slash is a volume.
	if !strings.HasPrefix(source, "/") {
		if no := volumeName(name, source); no != nil {
			return no
		}
		return bindOptions(name, v, options, false)
	}
	readOnly, ok := j.hostPath(source, j.rules.Binds)
	if !ok {
		return j.refuseBind(source)
	}
	return bindOptions(name, v, options, readOnly)
}

func (j *asks) refuseBind(source string) *refusal {
	return refuse("containers.binds", "%.128s is not among the binds this role may mount%s: use a named volume, or ask for it", source, j.listed(j.rules.Binds))
}

func volumeName(field, name string) *refusal {
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, `/\~`) {
		return refuse("containers.binds", "%s: %.128q is neither a volume's name nor a whole path: write /PATH:/TARGET", field, name)
	}
	return nil
}

// bindOptions judges what stands behind the second colon.
func bindOptions(name string, v router.Value, options string, readOnly bool) *refusal {
	ro := false
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "ro":
			ro = true
		case "rw", "z", "Z":
			if readOnly { // labelling writes to the host's files
				return refuse("containers.binds", "%s %s: this role may only read it: write :ro", name, shown(v))
			}
		case "", "private", "rprivate", "nocopy", "consistent", "cached", "delegated", "default":
		default:
			return refuse("containers.binds", "%s %s: option %q lets mounts through to the host or is not known: leave it out", name, shown(v), option)
		}
	}
	if readOnly && !ro {
		return refuse("containers.binds", "%s %s: this role may only read it: write :ro", name, shown(v))
	}
	return nil
}

// mount judges what a mount's type makes of its source; its other fields have
// verdicts of their own.
func (j *asks) mount(name string, v router.Value) *refusal {
	source := v.Get("Source").Str()
	switch kind := v.Get("Type"); kind.Str() {
	case "bind":
		readOnly, ok := j.hostPath(source, j.rules.Binds)
		if !ok {
			return j.refuseBind(source)
		}
		if readOnly && (!v.Get("ReadOnly").Bool() || v.At("BindOptions", "ReadOnlyNonRecursive").Bool()) {
			return refuse("containers.binds", "%s of %.128s: this role may only read it: add readonly", name, source)
		}
	case "volume":
		if source == "" {
			return nil
		}
		return volumeName(name, source)
	case "tmpfs":
		if source != "" {
			return refuse("containers.binds", "%s: a tmpfs has no Source, this one has %.128q: leave it out", name, source)
		}
	case "image": // whether it may be used is for the image policy
	default:
		return refuse("containers.binds", "%s: a mount of type %q may reach the host: use volume, bind, tmpfs or image", name, kind.Str())
	}
	return nil
}

// volumeOptions judges the options of the driver local, which hands them to
// mount(2): anything but a folder of the host that may be bound is refused.
func (j *asks) volumeOptions(name string, v router.Value) *refusal {
	var device, kind, flags string
	for key, value := range v.Members() {
		switch key {
		case "device":
			device = value.Str()
		case "type":
			kind = value.Str()
		case "o":
			flags = value.Str()
		case "size": // bounds it
		default:
			return refuse("containers.binds", "%s: volume option %.128q is not known here: leave it out", name, key)
		}
	}
	if device == "" && kind == "" && flags == "" {
		return nil
	}
	words := strings.Split(flags, ",")
	if (kind != "none" && kind != "") || !slices.Contains(words, "bind") && !slices.Contains(words, "rbind") {
		return refuse("containers.binds", "%s %s would mount more than a folder: use a plain volume, or type=none with o=bind", name, shown(v))
	}
	readOnly, ok := j.hostPath(device, j.rules.Binds)
	if !ok {
		return j.refuseBind(device)
	}
	for _, word := range words {
		switch word {
		case "bind", "rbind", "ro", "noexec", "nosuid", "nodev", "noatime", "relatime", "private", "rprivate", "":
		case "rw":
			if readOnly {
				return refuse("containers.binds", "%s %s: this role may only read it: write o=bind,ro", name, shown(v))
			}
		default:
			return refuse("containers.binds", "%s %s: option %q may reach the host: leave it out", name, shown(v), word)
		}
	}
	if readOnly && !slices.Contains(words, "ro") {
		return refuse("containers.binds", "%s %s: this role may only read it: write o=bind,ro", name, shown(v))
	}
	return nil
}

// tmpfs judges the options of "TARGET": "OPTIONS".
func (j *asks) tmpfs(name string, v router.Value) *refusal {
	for option := range strings.SplitSeq(v.Str(), ",") {
		key, value, _ := strings.Cut(option, "=")
		if no := j.tmpfsFlag(name, key, value); no != nil {
			return no
		}
	}
	return nil
}

// tmpfsOption judges [flag] or [key, value].
func (j *asks) tmpfsOption(name string, v router.Value) *refusal {
	var words []string
	for word := range v.Elements() {
		words = append(words, word.Str())
	}
	switch len(words) {
	case 1:
		return j.tmpfsFlag(name, words[0], "")
	case 2:
		return j.tmpfsFlag(name, words[0], words[1])
	}
	return refuse("containers", "%s %s is no option: write [name] or [name, value]", name, shown(v))
}

func (j *asks) tmpfsFlag(name, key, value string) *refusal {
	switch key {
	case "", "rw", "ro", "exec", "noexec", "nosuid", "nodev", "noatime", "nodiratime", "relatime", "strictatime",
		"sync", "async", "dirsync", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "private", "rprivate", "tmpcopyup":
		return nil
	case "size":
		size, err := units.RAMInBytes(value)
		if err != nil && strings.HasSuffix(value, "%") {
			_, err = strconv.Atoi(strings.TrimSuffix(value, "%")) // of the host's memory; what is used is the container's
			return j.refuseSize(name, value, err != nil)
		}
		return j.refuseSize(name, value, err != nil || j.over(size))
	}
	return refuse("containers", "tmpfs %.128q: option %.64q may reach the host or is not known: leave it out", name, key)
}

func (j *asks) tmpfsSize(name string, v router.Value) *refusal {
	size, ok := v.Int()
	return j.refuseSize(name, v.Raw(), !ok || j.over(size))
}

func (j *asks) over(size int64) bool {
	return size < 0 || j.rules.Limits.Memory > 0 && size > int64(j.rules.Limits.Memory)
}

func (j *asks) refuseSize(name, value string, over bool) *refusal {
	if !over {
		return nil
	}
	return refuse("containers.limits", "tmpfs %.128q: size %.32s is no size, or over the %s of memory that a container may have: ask for less", name, value, j.rules.Limits.Memory)
}
