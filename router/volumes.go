package router

import (
	"strings"

	"github.com/docker/docker/api/types/volume"
)

var volumes = []Route{
	{Method: "GET", Pattern: "/volumes", Action: "volume.list", Kind: Volume, Reply: List, Query: "filters{}"},
	{Method: "GET", Pattern: "/volumes/{name...}", Action: "volume.inspect", Kind: Volume},
	{Method: "POST", Pattern: "/volumes/create", Action: "volume.create", Kind: Volume,
		Body: JSON, Of: volume.CreateOptions{}, Refs: volumeCreateRefs},
	{Method: "POST", Pattern: "/volumes/prune", Action: "volume.prune", Kind: Volume, Since: "1.25", Query: "filters{}"},
	{Method: "PUT", Pattern: "/volumes/{name...}", Action: "volume.update", Kind: Volume, Since: "1.42",
		Body: JSON, Of: volume.UpdateOptions{}, Query: "version", Refs: volumeUpdateRefs},
	{Method: "DELETE", Pattern: "/volumes/{name...}", Action: "volume.remove", Kind: Volume, Query: "force"},
}

func volumeCreateRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	body := c.Body.Root()
	n.add(Volume, Gives, n.at(body.Get("Name")))
	n.volumeOptions(body.Get("DriverOpts"))
	n.clusterVolume(body.Get("ClusterVolumeSpec"))
	return n.done()
}

func volumeUpdateRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.clusterVolume(c.Body.Root().Get("Spec"))
	return n.done()
}

func (n *names) clusterVolume(spec Value) {
	for secret := range spec.Get("Secrets").Elements() {
		n.add(Secret, Uses, n.at(secret.Get("Secret")))
	}
}

// volumeOptions adds the host's paths in the options of the driver "local",
// which hands them to mount(2): with type=none and o=bind the device is a
// folder of the host, and an overlay has its folders in o.
func (n *names) volumeOptions(options Value) {
	if options.Empty() {
		return
	}
	n.path(n.at(options.Get("device")))
	for option := range n.at(options.Get("o")).split(",") {
		name, value, _ := option.cut("=")
		key := name.text
		// The kernel takes relative folders here, from where the Engine runs.
		layer := strings.HasPrefix(key, "lowerdir") || strings.HasPrefix(key, "datadir") ||
			key == "upperdir" || key == "workdir"
		for path := range value.split(":") {
			if layer || strings.HasPrefix(path.text, "/") {
				n.path(path)
			}
		}
	}
}

// mounts adds what the Mounts of a container or a service bring in.
func (n *names) mounts(list Value) {
	for mount := range list.Elements() {
		source := n.at(mount.Get("Source"))
		switch mount.Get("Type").Str() {
		case "volume":
			n.add(Volume, UsesOrMakes, source)
		case "cluster":
			n.add(Volume, Uses, source)
		case "image":
			n.image(source, Uses)
		default: // bind, npipe, and what is not known yet: the worst that it can be
			n.path(source)
		}
		n.volumeOptions(mount.Get("VolumeOptions").Get("DriverConfig").Get("Options"))
	}
}

// bind adds the source of "SOURCE:TARGET[:OPTIONS]". Text with no source is a
// target alone and makes a volume without a name.
func (n *names) bind(m mention) {
	source, rest, ok := m.cut(":")
	if !ok {
		return
	}
	// No volume has a name of one letter: this is a drive of a Windows Engine.
	if len(source.text) == 1 && (strings.HasPrefix(rest.text, `\`) || strings.HasPrefix(rest.text, "/")) {
		folder, _, _ := rest.cut(":")
		n.path(m.slice(0, len("c:")+len(folder.text)))
		return
	}
	if strings.HasPrefix(source.text, "/") || strings.HasPrefix(source.text, `\`) {
		n.path(source)
		return
	}
	n.add(Volume, UsesOrMakes, source)
}
