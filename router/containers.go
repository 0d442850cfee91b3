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
		Query: "detachKeys logs stderr stdin stdout stream"},
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
		Query: "detachKeys logs stderr stdin stdout stream"},
	{Method: "POST", Pattern: "/containers/{name...}/exec", Action: "exec.create", Kind: Container,
		Body: JSON, Of: execCreate{}},
	{Method: "POST", Pattern: "/exec/{name...}/start", Action: "exec.start", Kind: Exec, Reply: Hijack,
		Body: JSON, Of: container.ExecStartOptions{}},
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
	var n names
	n.container(c.Query.Get("before"))
	n.container(c.Query.Get("since"))
	n.filters(c, map[string]func(string){
		"ancestor": n.image,
		"before":   n.container,
		"network":  n.network,
		"since":    n.container,
		"volume":   n.mounted,
	})
	return n.done()
}

// mounted adds the filter "volume", which takes a volume's name or the path in
// a container that something is mounted at.
func (n *names) mounted(text string) {
	if !strings.HasPrefix(text, "/") {
		n.add(Volume, text)
	}
}

func containerCreateRefs(c *Call) ([]Ref, error) {
	var n names
	body := c.Body.Root()
	n.container(c.Query.Get("name"))
	n.image(body.Get("Image").Str())
	n.hostConfig(body.Get("HostConfig"))
	if field := misplaced(c.Body); field != "" {
		return nil, fail(http.StatusBadRequest, "request body: %s stands at the top level: write it into HostConfig", field)
	}
	for network, endpoint := range body.Get("NetworkingConfig").Get("EndpointsConfig").Members() {
		n.network(network)
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
	n.each(host.Get("Binds"), n.bind)
	n.mounts(host.Get("Mounts"))
	n.each(host.Get("VolumesFrom"), func(text string) {
		name, _, _ := strings.Cut(text, ":") // an access mode may follow
		n.container(name)
	})
	n.each(host.Get("Links"), n.link)
	mode := host.Get("NetworkMode").Str()
	if !n.joined(mode) {
		n.network(mode)
	}
	for _, field := range []string{"PidMode", "IpcMode", "Cgroup", "UTSMode", "UsernsMode"} {
		n.joined(host.Get(field).Str())
	}
	n.resources(host)
}

// resources adds the host's devices of a HostConfig or an UpdateConfig.
func (n *names) resources(host Value) {
	for device := range host.Get("Devices").Elements() {
		n.path(device.Get("PathOnHost").Str())
	}
	for _, field := range []string{
		"BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps",
	} {
		for device := range host.Get(field).Elements() {
			n.path(device.Get("Path").Str())
		}
	}
}

// joined adds the container whose namespace "container:NAME" joins, and says
// whether the mode has that form.
func (n *names) joined(mode string) bool {
	name, ok := strings.CutPrefix(mode, "container:")
	if ok {
		n.container(name)
	}
	return ok
}

// link adds the container of "NAME:ALIAS".
func (n *names) link(text string) {
	name, _, _ := strings.Cut(text, ":")
	n.container(name)
}

func containerStartRefs(c *Call) ([]Ref, error) {
	var n names
	n.add(Checkpoint, c.Query.Get("checkpoint"))
	n.path(c.Query.Get("checkpoint-dir"))
	return n.done()
}

func containerRenameRefs(c *Call) ([]Ref, error) {
	var n names
	n.container(c.Query.Get("name"))
	return n.done()
}

func containerUpdateRefs(c *Call) ([]Ref, error) {
	var n names
	n.resources(c.Body.Root())
	return n.done()
}

// commitRefs leaves the body's Image out: the Engine puts it into the new
// image's configuration as text and looks nothing up by it.
func commitRefs(c *Call) ([]Ref, error) {
	var n names
	n.container(c.Query.Get("container"))
	n.given(c.Query.Get("repo"), c.Query.Get("tag"))
	return n.done()
}
