package router

import "github.com/docker/docker/api/types/registry"

var system = []Route{
	{Method: "OPTIONS", Pattern: "/{anyroute...}", Action: "system.ping", Kind: System},
	{Method: "GET", Pattern: "/_ping", Action: "system.ping", Kind: System},
	{Method: "HEAD", Pattern: "/_ping", Action: "system.ping", Kind: System},
	{Method: "GET", Pattern: "/events", Action: "system.events", Kind: System, Reply: Stream, Lasts: true,
		Query: "filters{} since until", Refs: eventRefs},
	{Method: "GET", Pattern: "/info", Action: "system.info", Kind: System},
	{Method: "GET", Pattern: "/version", Action: "system.version", Kind: System},
	{Method: "GET", Pattern: "/system/df", Action: "system.df", Kind: System, Reply: List, Query: "type* verbose"},
	{Method: "POST", Pattern: "/auth", Action: "system.auth", Kind: Registry,
		Body: AnyJSON, Of: registry.AuthConfig{}, Refs: authRefs},
}

// eventRefs adds what events are asked for by; the beginning of a name matches
// too.
func eventRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.filters(func(filter string, m mention) {
		switch kind := Kind(filter); kind {
		case Container:
			n.container(m, Matches)
		case Image:
			n.repository(m, Matches)
		case Config, Network, Node, Plugin, Secret, Service, Volume:
			n.add(kind, Matches, m)
		}
	})
	return n.done()
}

func authRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.registry(n.at(c.Body.Root().Get("serveraddress")))
	return n.done()
}
