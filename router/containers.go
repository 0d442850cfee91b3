package router

import (
	"net/http"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// containers are the rows of the Engine's container router, the exec routes
// among them: their order decides which row a name with slashes means.
var containers = []Route{
	{Method: "HEAD", Pattern: "/containers/{name...}/archive", Action: "container.copy_from", Kind: Container, Query: "path"},
	{Method: "GET", Pattern: "/containers/json", Action: "container.list", Kind: Container, Reply: List,
		// trunc_cmd is docker-py's; no Engine in use reads it. before and since ended with API 1.51.
		Query: "all before filters{} limit since size trunc_cmd", Refs: containerListRefs},
	{Method: "GET", Pattern: "/containers/{name...}/export", Action: "container.export", Kind: Container, Reply: Stream},
	{Method: "GET", Pattern: "/containers/{name...}/changes", Action: "container.changes", Kind: Container},
	{Method: "GET", Pattern: "/containers/{name...}/json", Action: "container.inspect", Kind: Container, Query: "size"},
	{Method: "GET", Pattern: "/containers/{name...}/top", Action: "container.top", Kind: Container, Query: "ps_args"},
	{Method: "GET", Pattern: "/containers/{name...}/logs", Action: "container.logs", Kind: Container, Reply: Stream, Lasts: true,
		Query: "details follow format since stderr stdout tail timestamps until"},
	{Method: "GET", Pattern: "/containers/{name...}/stats", Action: "container.stats", Kind: Container, Reply: Stream, Lasts: true,
		Query: "one-shot stream"},
	{Method: "GET", Pattern: "/containers/{name...}/attach/ws", Action: "container.attach", Kind: Container, Reply: Hijack,
		Query: "detachKeys hijack logs stderr stdin stdout stream"}, // hijack is dockerode's; no Engine reads it
	{Method: "GET", Pattern: "/exec/{id...}/json", Action: "exec.inspect", Kind: Exec},
	{Method: "GET", Pattern: "/containers/{name...}/archive", Action: "container.copy_from", Kind: Container, Reply: Stream,
		Query: "path"},

	// Not in this type: HostConfig.Umask, of Engines after 28, and HostConfig.Capabilities, of 19.03.
	{Method: "POST", Pattern: "/containers/create", Action: "container.create", Kind: Container,
		Body: JSON, Of: container.CreateRequest{}, Query: "name platform", Refs: containerCreateRefs},
	{Method: "POST", Pattern: "/containers/{name...}/kill", Action: "container.kill", Kind: Container, Query: "signal"},
	{Method: "POST", Pattern: "/containers/{name...}/pause", Action: "container.pause", Kind: Container},
	{Method: "POST", Pattern: "/containers/{name...}/unpause", Action: "container.unpause", Kind: Container},
	{Method: "POST", Pattern: "/containers/{name...}/restart", Action: "container.restart", Kind: Container, Query: "signal t"},
	// No body: below API 1.24 it was a HostConfig, which would undo what was judged at create.
	{Method: "POST", Pattern: "/containers/{name...}/start", Action: "container.start", Kind: Container,
		Query: "checkpoint checkpoint-dir detachKeys", Refs: containerStartRefs},
	{Method: "POST", Pattern: "/containers/{name...}/stop", Action: "container.stop", Kind: Container, Query: "signal t"},
	{Method: "POST", Pattern: "/containers/{name...}/wait", Action: "container.wait", Kind: Container, Reply: Stream, Lasts: true,
		Query: "condition"},
	{Method: "POST", Pattern: "/containers/{name...}/resize", Action: "container.resize", Kind: Container, Query: "h w"},
	{Method: "POST", Pattern: "/containers/{name...}/attach", Action: "container.attach", Kind: Container, Reply: Hijack,
		Query: "detachKeys hijack logs stderr stdin stdout stream"}, // hijack is dockerode's; no Engine reads it
	{Method: "POST", Pattern: "/containers/{name...}/exec", Action: "exec.create", Kind: Container,
		Body: JSON, Of: execCreate{}},
	{Method: "POST", Pattern: "/exec/{name...}/start", Action: "exec.start", Kind: Exec, Reply: Hijack,
		Body: JSON, Of: execStart{}},
	{Method: "POST", Pattern: "/exec/{name...}/resize", Action: "exec.resize", Kind: Exec, Query: "h w"},
	{Method: "POST", Pattern: "/containers/{name...}/rename", Action: "container.rename", Kind: Container, Query: "name",
		Refs: containerRenameRefs},
	{Method: "POST", Pattern: "/containers/{name...}/update", Action: "container.update", Kind: Container,
		Body: JSON, Of: container.UpdateConfig{}, Refs: containerUpdateRefs},
	{Method: "POST", Pattern: "/containers/prune", Action: "container.prune", Kind: Container, Since: "1.25", Query: "filters{}"},
	{Method: "POST", Pattern: "/commit", Action: "container.commit", Kind: Container,
		Body: JSON, Of: container.Config{}, Query: "author changes* comment container pause repo tag", Refs: commitRefs},
	{Method: "PUT", Pattern: "/containers/{name...}/archive", Action: "container.copy_to", Kind: Container, Body: Tar,
		Query: "copyUIDGID noOverwriteDirNonDir path"},
	{Method: "DELETE", Pattern: "/containers/{name...}", Action: "container.remove", Kind: Container, Query: "force link v"},
}

func containerListRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.container(n.query("before"), Uses)
	n.container(n.query("since"), Uses)
	n.filters(func(filter string, m mention) {
		switch filter {
		case "ancestor":
			n.image(m, Matches)
		case "before", "since":
			n.container(m, Uses)
		case "network":
			n.add(Network, Matches, m)
		case "volume":
			n.mounted(m)
		}
	})
	return n.done()
}

// mounted adds the filter "volume", which takes a volume's name or the path in
// a container that something is mounted at.
func (n *names) mounted(m mention) {
	if !strings.HasPrefix(m.text, "/") {
		n.add(Volume, Matches, m)
	}
}

func containerCreateRefs(c *Call) ([]Ref, error) {
	n := names{call: c, refs: make([]Ref, 0, 8)}
	body := c.Body.Root()
	n.container(n.query("name"), Gives)
	n.image(n.at(body.Get("Image")), Uses)
	n.hostConfig(body.Get("HostConfig"))
	if field := misplaced(c.Body); field != "" {
		return nil, fail(http.StatusBadRequest, "request body: %s stands at the top level: write it into HostConfig", field)
	}
	for network, endpoint := range body.Get("NetworkingConfig").Get("EndpointsConfig").Members() {
		n.network(n.key(network, endpoint))
		n.endpoint(endpoint)
	}
	return n.done()
}

// misplaced finds a field of HostConfig at the top level, where Engines before
// 27 read it in any spelling if there is no HostConfig. Later ones ignore it,
// so refusing takes nothing from anyone. An empty list is a setting there: no
// MaskedPaths means that nothing is masked.
func misplaced(body *Document) string {
	host := schemaFor(container.HostConfig{})
	for path, value := range body.Unknown() {
		if _, ok := host.byFold[fold(path)]; ok && (!value.Empty() || value.IsList()) {
			return path
		}
	}
	return ""
}

func (n *names) hostConfig(host Value) {
	var binds, mounts, volumesFrom, links, networkMode Value
	var devices [8]Value // lists of them, in the order written
	lists := devices[:0]
	for key, v := range host.Members() { // once: an object's members are found by walking them
		switch key {
		case "Binds":
			binds = v
		case "Mounts":
			mounts = v
		case "VolumesFrom":
			volumesFrom = v
		case "Links":
			links = v
		case "NetworkMode":
			networkMode = v
		case "PidMode", "IpcMode", "Cgroup", "UTSMode", "UsernsMode":
			n.joined(n.at(v))
		default:
			if devicePath(key) != "" {
				lists = append(lists, v)
			}
		}
	}
	for v := range binds.Elements() {
		n.bind(n.at(v))
	}
	n.mounts(mounts)
	for v := range volumesFrom.Elements() {
		name, _, _ := n.at(v).cut(":") // an access mode may follow
		n.container(name, Uses)
	}
	n.each(links, n.link)
	if mode := n.at(networkMode); !n.joined(mode) {
		n.network(mode)
	}
	for _, list := range lists {
		n.devices(list.node().name(list.d.text), list)
	}
}

// resources adds the host's devices of an UpdateConfig.
func (n *names) resources(update Value) {
	for key, list := range update.Members() {
		if devicePath(key) != "" {
			n.devices(key, list)
		}
	}
}

// devicePath is where the elements of a list of devices name them; "" for what
// is no such list.
func devicePath(key string) string {
	switch key {
	case "Devices":
		return "PathOnHost"
	case "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps":
		return "Path"
	}
	return ""
}

func (n *names) devices(key string, list Value) {
	for device := range list.Elements() {
		n.path(n.at(device.Get(devicePath(key))))
	}
}

// joined adds the container whose namespace "container:NAME" joins, and says
// whether the mode has that form.
func (n *names) joined(mode mention) bool {
	const prefix = "container:"
	if !strings.HasPrefix(mode.text, prefix) {
		return false
	}
	n.container(mode.slice(len(prefix), len(mode.text)), Uses)
	return true
}

// link adds the container of "NAME:ALIAS", or of "NAME", which is its own
// alias. Of "/NAME:/OTHER/ALIAS", as the Engine itself writes it, the slash in
// front stays when the name is pinned: it says what the alias is.
func (n *names) link(m mention) {
	name, _, ok := m.cut(":")
	switch {
	case !ok:
		name.at.tail = ":" + m.text
	case strings.HasPrefix(name.text, "/"):
		name = name.slice(1, len(name.text))
	}
	n.container(name, Uses)
}

func containerStartRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.add(Checkpoint, Uses, n.query("checkpoint"))
	n.path(n.query("checkpoint-dir"))
	return n.done()
}

func containerRenameRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.container(n.query("name"), Gives)
	return n.done()
}

func containerUpdateRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.resources(c.Body.Root())
	return n.done()
}

// commitRefs leaves the body's Image out: the Engine puts it into the new
// image's configuration as text and looks nothing up by it.
func commitRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.container(n.query("container"), Uses)
	n.tagged(n.query("repo"), n.query("tag"), Gives)
	return n.done()
}
