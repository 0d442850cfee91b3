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
	n := names{call: c}
	n.queries("t", n.given)
	n.cacheFrom(c.Query.Get("cachefrom"))
	n.buildArgs(c.Query.Get("buildargs"))
	n.outputs(c.Query.Get("outputs"))
	switch remote := n.query("remote"); remote.text {
	case "", "client-session", "upload-request": // the client's own files, by the session
	default:
		n.add(Registry, Uses, remote)
	}
	mode := n.query("networkmode")
	if !n.joined(mode) {
		n.network(mode)
	}
	n.add(Session, Uses, n.query("session"))
	n.add(Build, Gives, n.query("buildid"))
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
		n.add(Image, Uses, implied(text))
		return
	}
	for _, images := range list { // BuildKit joins the list with commas and splits it again
		for image := range strings.SplitSeq(images, ",") {
			n.image(implied(image), Uses)
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
		n.add(Image, Uses, implied(text))
		return
	}
	if syntax := args["BUILDKIT_SYNTAX"]; syntax != nil {
		if words := strings.Fields(*syntax); len(words) > 0 {
			n.image(implied(words[0]), Uses)
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
		n.add(Image, Uses, implied(text))
		return
	}
	for _, output := range list {
		for name := range strings.SplitSeq(output.Attrs["name"], ",") {
			n.given(implied(name))
		}
		n.given(implied(output.Attrs["dangling-name-prefix"]))
	}
}

func buildCancelRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.add(Build, Uses, n.query("id"))
	return n.done()
}

// buildTakes says whether a build brings its context in the body: it does
// unless the Engine fetches it from elsewhere. BuildKit's upload requests are
// named like a remote and come in the body of a second request.
func buildTakes(c *Call) bool {
	remote := c.Query.Get("remote")
	return remote == "" || strings.HasPrefix(remote, "upload-request")
}
