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
	var n names
	body := c.Body.Root()
	n.add(Volume, body.Get("Name").Str())
	n.volumeOptions(body.Get("DriverOpts"))
	n.clusterVolume(body.Get("ClusterVolumeSpec"))
	return n.done()
}

func volumeUpdateRefs(c *Call) ([]Ref, error) {
	var n names
	n.clusterVolume(c.Body.Root().Get("Spec"))
	return n.done()
}

func (n *names) clusterVolume(spec Value) {
	for secret := range spec.Get("Secrets").Elements() {
		n.add(Secret, secret.Get("Secret").Str())
	}
}

// volumeOptions adds the host's paths in the options of the driver "local",
// which hands them to mount(2): with type=none and o=bind the device is a
// folder of the host, and an overlay has its folders in o.
func (n *names) volumeOptions(options Value) {
	n.path(options.Get("device").Str())
	for option := range strings.SplitSeq(options.Get("o").Str(), ",") {
		key, value, _ := strings.Cut(option, "=")
		// The kernel takes relative folders here, from where the Engine runs.
		layer := strings.HasPrefix(key, "lowerdir") || strings.HasPrefix(key, "datadir") ||
			key == "upperdir" || key == "workdir"
		for path := range strings.SplitSeq(value, ":") {
			if layer || strings.HasPrefix(path, "/") {
				n.path(path)
			}
		}
	}
}

// mounts adds what the Mounts of a container or a service bring in.
func (n *names) mounts(list Value) {
	for mount := range list.Elements() {
		source := mount.Get("Source").Str()
		switch mount.Get("Type").Str() {
		case "volume", "cluster":
			n.add(Volume, source)
		case "image":
			n.image(source)
		default: // bind, npipe, and what is not known yet: the worst that it can be
			n.path(source)
		}
		n.volumeOptions(mount.Get("VolumeOptions").Get("DriverConfig").Get("Options"))
	}
}

// bind adds the source of "SOURCE:TARGET[:OPTIONS]". Text with no source is a
// target alone and makes a volume without a name.
func (n *names) bind(text string) {
	source, rest, ok := strings.Cut(text, ":")
	if !ok {
		return
	}
	// No volume has a name of one letter: this is a drive of a Windows Engine.
	if len(source) == 1 && (strings.HasPrefix(rest, `\`) || strings.HasPrefix(rest, "/")) {
		folder, _, _ := strings.Cut(rest, ":")
		n.path(source + ":" + folder)
		return
	}
	if strings.HasPrefix(source, "/") || strings.HasPrefix(source, `\`) {
		n.path(source)
		return
	}
	n.add(Volume, source)
}
