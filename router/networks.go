package router

import "github.com/docker/docker/api/types/network"

var networks = []Route{
	{Method: "GET", Pattern: "/networks", Action: "network.list", Kind: Network, Reply: List, Query: "filters{}"},
	{Method: "GET", Pattern: "/networks/", Action: "network.list", Kind: Network, Reply: List, Query: "filters{}"},
	// The Engine wants a name here ({id:.+}); without one the row above is meant.
	{Method: "GET", Pattern: "/networks/{id...}", Action: "network.inspect", Kind: Network, Query: "scope verbose"},
	{Method: "POST", Pattern: "/networks/create", Action: "network.create", Kind: Network,
		Body: JSON, Of: network.CreateRequest{}, Refs: networkCreateRefs},
	{Method: "POST", Pattern: "/networks/{id...}/connect", Action: "network.connect", Kind: Network,
		Body: JSON, Of: network.ConnectOptions{}, Refs: networkConnectRefs},
	{Method: "POST", Pattern: "/networks/{id...}/disconnect", Action: "network.disconnect", Kind: Network,
		Body: JSON, Of: network.DisconnectOptions{}, Refs: networkDisconnectRefs},
	{Method: "POST", Pattern: "/networks/prune", Action: "network.prune", Kind: Network, Since: "1.25", Query: "filters{}"},
	{Method: "DELETE", Pattern: "/networks/{id...}", Action: "network.remove", Kind: Network},
}

func networkCreateRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	body := c.Body.Root()
	n.add(Network, Gives, n.at(body.Get("Name")))
	n.network(n.at(body.Get("ConfigFrom").Get("Network")))
	return n.done()
}

func networkConnectRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	body := c.Body.Root()
	n.container(n.at(body.Get("Container")), Uses)
	n.endpoint(body.Get("EndpointConfig"))
	return n.done()
}

func networkDisconnectRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.container(n.at(c.Body.Root().Get("Container")), Uses)
	return n.done()
}

// endpoint adds what the settings of one container in one network name.
func (n *names) endpoint(settings Value) {
	n.network(n.at(settings.Get("NetworkID")))
	n.each(settings.Get("Links"), n.link)
}
