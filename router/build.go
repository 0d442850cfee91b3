package router

import (
	"encoding/json"
	"strings"

	buildapi "github.com/docker/docker/api/types/build"
)

var build = []Route{
	// What FROM, COPY --from and "# syntax=" pull is in the archive, the
	// session or the remote, and so out of sight here.
	{Method: "POST", Pattern: "/build", Action: "image.build", Kind: Image, Body: MaybeTar, Takes: buildTakes, Reply: Stream,
		Query: "buildargs buildid cachefrom cgroupparent cpuperiod cpuquota cpusetcpus cpusetmems cpushares dockerfile " +
			"extrahosts* forcerm isolation labels memory memswap networkmode nocache outputs platform pull q remote rm " +
			"securityopt* session shmsize squash t* target ulimits version",
		Refs: buildRefs},
	{Method: "POST", Pattern: "/build/prune", Action: "build.prune", Kind: Build, Since: "1.31",
		Query: "all filters{} keep-storage max-used-space min-free-space reserved-space"},
	{Method: "POST", Pattern: "/build/cancel", Action: "build.cancel", Kind: Build, Query: "id", Refs: buildCancelRefs},
}

func buildRefs(c *Call) ([]Ref, error) {
	var n names
	for _, tag := range c.Query["t"] {
		n.given(tag, "")
	}
	n.cacheFrom(c.Query.Get("cachefrom"))
	n.buildArgs(c.Query.Get("buildargs"))
	n.outputs(c.Query.Get("outputs"))
	switch remote := c.Query.Get("remote"); remote {
	case "", "client-session", "upload-request": // the client's own files, by the session
	default:
		n.add(Registry, remote)
	}
	mode := c.Query.Get("networkmode")
	if !n.joined(mode) {
		n.network(mode)
	}
	n.add(Session, c.Query.Get("session"))
	n.add(Build, c.Query.Get("buildid"))
	return n.done()
}

// cacheFrom adds the images of a JSON list. Text that is none goes in raw, for
// the Engine to refuse.
func (n *names) cacheFrom(text string) {
	var list []string
	if text == "" {
		return
	}
	if json.Unmarshal([]byte(text), &list) != nil {
		n.add(Image, text)
		return
	}
	for _, images := range list { // BuildKit joins the list with commas and splits it again
		for image := range strings.SplitSeq(images, ",") {
			n.image(image)
		}
	}
}

// buildArgs adds the frontend image that BUILDKIT_SYNTAX makes the Engine pull
// and run, whatever the Dockerfile says. Options may follow the name.
func (n *names) buildArgs(text string) {
	var args map[string]*string
	if text == "" {
		return
	}
	if json.Unmarshal([]byte(text), &args) != nil {
		n.add(Image, text)
		return
	}
	if syntax := args["BUILDKIT_SYNTAX"]; syntax != nil {
		if words := strings.Fields(*syntax); len(words) > 0 {
			n.image(words[0])
		}
	}
}

// outputs adds the names under which BuildKit stores or pushes the image; they
// count where there is no t.
func (n *names) outputs(text string) {
	var list []buildapi.ImageBuildOutput
	if text == "" {
		return
	}
	if json.Unmarshal([]byte(text), &list) != nil {
		n.add(Image, text)
		return
	}
	for _, output := range list {
		for name := range strings.SplitSeq(output.Attrs["name"], ",") {
			n.given(name, "")
		}
		n.given(output.Attrs["dangling-name-prefix"], "")
	}
}

func buildCancelRefs(c *Call) ([]Ref, error) {
	var n names
	n.add(Build, c.Query.Get("id"))
	return n.done()
}

// buildTakes says whether a build brings its context in the body: it does
// unless the Engine fetches it from elsewhere. BuildKit's upload requests are
// named like a remote and come in the body of a second request.
func buildTakes(c *Call) bool {
	remote := c.Query.Get("remote")
	return remote == "" || strings.HasPrefix(remote, "upload-request")
}
