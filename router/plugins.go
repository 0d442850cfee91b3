package router

import (
	"strings"

	"github.com/docker/docker/api/types"
)

var plugins = []Route{
	{Method: "GET", Pattern: "/plugins", Action: "plugin.list", Kind: Plugin, Reply: List, Query: "filters{}"},
	{Method: "GET", Pattern: "/plugins/{name...}/json", Action: "plugin.inspect", Kind: Plugin},
	// name is in the Engine's manual of API 1.25 and 1.26 for what is remote now.
	{Method: "GET", Pattern: "/plugins/privileges", Action: "plugin.privileges", Kind: Plugin, Query: "name remote",
		Refs: pluginRefs},
	{Method: "DELETE", Pattern: "/plugins/{name...}", Action: "plugin.remove", Kind: Plugin, Query: "force"},
	{Method: "POST", Pattern: "/plugins/{name...}/enable", Action: "plugin.enable", Kind: Plugin, Query: "timeout"},
	{Method: "POST", Pattern: "/plugins/{name...}/disable", Action: "plugin.disable", Kind: Plugin, Query: "force"},
	{Method: "POST", Pattern: "/plugins/pull", Action: "plugin.pull", Kind: Plugin, Reply: Stream,
		Body: JSON, Of: types.PluginPrivileges{}, Query: "name remote", Refs: pluginPullRefs},
	{Method: "POST", Pattern: "/plugins/{name...}/push", Action: "plugin.push", Kind: Plugin, Reply: Stream},
	{Method: "POST", Pattern: "/plugins/{name...}/upgrade", Action: "plugin.upgrade", Kind: Plugin, Since: "1.26", Reply: Stream,
		Body: JSON, Of: types.PluginPrivileges{}, Query: "remote", Refs: pluginPullRefs},
	{Method: "POST", Pattern: "/plugins/{name...}/set", Action: "plugin.set", Kind: Plugin, Body: JSON, Of: []string{},
		Refs: pluginSetRefs},
	{Method: "POST", Pattern: "/plugins/create", Action: "plugin.create", Kind: Plugin, Body: Tar, Query: "name", Refs: pluginRefs},
}

// pluginRefs adds what is fetched from a registry and the name it is to get.
func pluginRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.plugin(n.query("remote"), UsesOrMakes)
	n.plugin(n.query("name"), Gives)
	return n.done()
}

// pluginPullRefs is pluginRefs and what the plugin is granted.
func pluginPullRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.plugin(n.query("remote"), UsesOrMakes)
	n.plugin(n.query("name"), Gives)
	for grant := range c.Body.Root().Elements() {
		n.privilege(grant.Get("Name").Str(), grant.Get("Value"))
	}
	return n.done()
}

// privilege adds the parts of the host that a plugin is granted.
func (n *names) privilege(name string, values Value) {
	switch name {
	case "mount", "device":
		n.each(values, n.path)
	case "network":
		n.each(values, n.network)
	}
}

// pluginSetRefs adds the values that look like paths: "data.source=/srv"
// mounts another folder of the host, "data=/srv" may.
func pluginSetRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.each(c.Body.Root(), func(setting mention) {
		if _, value, _ := setting.cut("="); strings.HasPrefix(value.text, "/") {
			n.path(value)
		}
	})
	return n.done()
}
