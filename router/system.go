package router

import "github.com/docker/docker/api/types/registry"

var system = []Route{
	{Method: "OPTIONS", Pattern: "/{anyroute...}", Action: "system.ping", Kind: System},
	{Method: "GET", Pattern: "/_ping", Action: "system.ping", Kind: System},
	{Method: "HEAD", Pattern: "/_ping", Action: "system.ping", Kind: System},
	{Method: "GET", Pattern: "/events", Action: "system.events", Kind: System, Reply: Stream, Lasts: true, Query: "filters{} since until"},
	{Method: "GET", Pattern: "/info", Action: "system.info", Kind: System},
	{Method: "GET", Pattern: "/version", Action: "system.version", Kind: System},
	{Method: "GET", Pattern: "/system/df", Action: "system.df", Kind: System, Reply: List, Query: "type* verbose"},
	{Method: "POST", Pattern: "/auth", Action: "system.auth", Kind: Registry,
		Body: AnyJSON, Of: registry.AuthConfig{}, Refs: authRefs},
}

func authRefs(c *Call) ([]Ref, error) {
	var n names
	n.registry(c.Body.Root().Get("serveraddress").Str())
	return n.done()
}
