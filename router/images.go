package router

import (
	"strings"

	"github.com/docker/docker/api/types/registry"
)

var images = []Route{
	{Method: "GET", Pattern: "/images/json", Action: "image.list", Kind: Image, Reply: List,
		// filter ended with API 1.40; digests is in the Engine's manual only, only_ids is docker-py's.
		Query: "all digests filter filters{} identity manifests only_ids shared-size", Refs: imageListRefs},
	{Method: "GET", Pattern: "/images/search", Action: "image.search", Kind: Registry,
		Query: "filters{} limit term", Refs: imageSearchRefs},
	{Method: "GET", Pattern: "/images/get", Action: "image.save", Kind: Image, Reply: Stream,
		Query: "names* platform*", Refs: imageSaveRefs},
	{Method: "GET", Pattern: "/images/{name...}/get", Action: "image.save", Kind: Image, Reply: Stream, Query: "platform*"},
	{Method: "GET", Pattern: "/images/{name...}/history", Action: "image.history", Kind: Image, Query: "platform"},
	{Method: "GET", Pattern: "/images/{name...}/json", Action: "image.inspect", Kind: Image,
		Query: "manifests platform size"}, // size is sent by clients of API 1.24
	{Method: "GET", Pattern: "/images/{name...}/attestations", Action: "image.attestations", Kind: Image, Since: "1.55",
		Query: "platform* statement type*"},
	{Method: "POST", Pattern: "/images/load", Action: "image.load", Kind: Image, Body: Tar, Reply: Stream,
		Query: "platform* quiet"}, // the names are in the archive
	{Method: "POST", Pattern: "/images/create", Action: "image.pull", Kind: Image, Body: MaybeTar, Takes: importTakes, Reply: Stream,
		Query: "changes* fromImage fromSrc message platform repo tag",
		Refs:  imageCreateRefs, Choose: pullOrImport, Others: []string{"image.import"}},
	// Engines before 23 take credentials as a body too, where there is no header.
	{Method: "POST", Pattern: "/images/{name...}/push", Action: "image.push", Kind: Image,
		Body: AnyJSON, Of: registry.AuthConfig{}, Reply: Stream, Query: "platform tag", Refs: imagePushRefs},
	{Method: "POST", Pattern: "/images/{name...}/tag", Action: "image.tag", Kind: Image,
		Query: "force repo tag", Refs: imageTagRefs}, // force ended before API 1.24, but docker-py may send it
	{Method: "POST", Pattern: "/images/prune", Action: "image.prune", Kind: Image, Since: "1.25", Query: "filters{}"},
	{Method: "DELETE", Pattern: "/images/{name...}", Action: "image.remove", Kind: Image, Query: "force noprune platforms*"},
}

func imageListRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.filters(func(filter string, m mention) {
		if filter == "before" || filter == "since" {
			n.image(m, Uses)
		}
	})
	return n.done()
}

// imageSearchRefs adds the registry that the Engine asks: the part of the term
// before the first slash, if it looks like a host.
func imageSearchRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	host, _, ok := n.query("term").cut("/")
	if !ok || !strings.ContainsAny(host.text, ".:") && host.text != "localhost" {
		host = implied("")
	}
	n.registry(host)
	return n.done()
}

// imageSaveRefs leaves a missing tag missing: it means all tags of a name.
func imageSaveRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.queries("names", func(m mention) { n.repository(m, Uses) })
	return n.done()
}

// pullOrImport is the Engine's own rule: what has no fromImage is an import.
func pullOrImport(c *Call) string {
	if c.Query.Get("fromImage") == "" {
		return "image.import"
	}
	return "image.pull"
}

func imageCreateRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	tag := n.query("tag")
	if from := n.query("fromImage"); from.text != "" { // repo and fromSrc are not read then
		name, err := Pull(from.text, tag.text)
		n.judged(joined(from, tag), UsesOrMakes, name, err)
		return n.done()
	}
	n.tagged(n.query("repo"), tag, Gives)
	if source := n.query("fromSrc"); source.text != "-" && source.text != "" {
		name := source.text
		if !strings.Contains(name, "://") {
			name = "http://" + name
		}
		n.addAs(Registry, Uses, name, source.at)
	}
	return n.done()
}

// imagePushRefs adds what is pushed under a tag; without one it is what the
// path names, with all its tags.
func imagePushRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	if tag := n.query("tag"); tag.text != "" {
		n.tagged(n.variable("name"), tag, Uses)
	}
	return n.done()
}

func imageTagRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.tagged(n.query("repo"), n.query("tag"), Gives)
	return n.done()
}

// importTakes says whether images/create brings an archive: only an import
// from the body does.
func importTakes(c *Call) bool {
	return c.Query.Get("fromImage") == "" && c.Query.Get("fromSrc") == "-"
}
