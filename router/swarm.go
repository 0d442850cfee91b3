package router

import swarmapi "github.com/docker/docker/api/types/swarm"

var swarm = []Route{
	{Method: "POST", Pattern: "/swarm/init", Action: "swarm.init", Kind: Swarm, Body: JSON, Of: swarmapi.InitRequest{}},
	{Method: "POST", Pattern: "/swarm/join", Action: "swarm.join", Kind: Swarm, Body: JSON, Of: swarmapi.JoinRequest{}},
	{Method: "POST", Pattern: "/swarm/leave", Action: "swarm.leave", Kind: Swarm, Query: "force"},
	{Method: "GET", Pattern: "/swarm", Action: "swarm.inspect", Kind: Swarm},
	{Method: "GET", Pattern: "/swarm/unlockkey", Action: "swarm.unlock_key", Kind: Swarm},
	{Method: "POST", Pattern: "/swarm/update", Action: "swarm.update", Kind: Swarm, Body: JSON, Of: swarmapi.Spec{},
		Query: "rotateManagerToken rotateManagerUnlockKey rotateWorkerToken version"},
	{Method: "POST", Pattern: "/swarm/unlock", Action: "swarm.unlock", Kind: Swarm, Body: JSON, Of: swarmapi.UnlockRequest{}},

	{Method: "GET", Pattern: "/services", Action: "service.list", Kind: Service, Reply: List, Query: "filters{} status"},
	{Method: "GET", Pattern: "/services/{id}", Action: "service.inspect", Kind: Service, Query: "insertDefaults"},
	// TaskTemplate.Resources.SwapBytes and MemorySwappiness, of Engines after 28, are not in this type.
	{Method: "POST", Pattern: "/services/create", Action: "service.create", Kind: Service,
		Body: JSON, Of: swarmapi.ServiceSpec{}, Refs: serviceRefs},
	{Method: "POST", Pattern: "/services/{id}/update", Action: "service.update", Kind: Service,
		Body: JSON, Of: swarmapi.ServiceSpec{}, Query: "registryAuthFrom rollback version", Refs: serviceRefs},
	{Method: "DELETE", Pattern: "/services/{id}", Action: "service.remove", Kind: Service},
	{Method: "GET", Pattern: "/services/{id}/logs", Action: "service.logs", Kind: Service, Reply: Stream, Lasts: true,
		Query: "details follow since stderr stdout tail timestamps"},

	{Method: "GET", Pattern: "/nodes", Action: "node.list", Kind: Node, Reply: List, Query: "filters{}"},
	{Method: "GET", Pattern: "/nodes/{id}", Action: "node.inspect", Kind: Node},
	{Method: "DELETE", Pattern: "/nodes/{id}", Action: "node.remove", Kind: Node, Query: "force"},
	{Method: "POST", Pattern: "/nodes/{id}/update", Action: "node.update", Kind: Node, Body: JSON, Of: swarmapi.NodeSpec{},
		Query: "version", Refs: named(Node)},

	{Method: "GET", Pattern: "/tasks", Action: "task.list", Kind: Task, Reply: List, Query: "filters{}", Refs: taskListRefs},
	{Method: "GET", Pattern: "/tasks/{id}", Action: "task.inspect", Kind: Task},
	{Method: "GET", Pattern: "/tasks/{id}/logs", Action: "task.logs", Kind: Task, Reply: Stream, Lasts: true,
		Query: "details follow since stderr stdout tail timestamps"},

	{Method: "GET", Pattern: "/secrets", Action: "secret.list", Kind: Secret, Since: "1.25", Reply: List, Query: "filters{}"},
	{Method: "POST", Pattern: "/secrets/create", Action: "secret.create", Kind: Secret, Since: "1.25",
		Body: JSON, Of: swarmapi.SecretSpec{}, Refs: named(Secret)},
	{Method: "DELETE", Pattern: "/secrets/{id}", Action: "secret.remove", Kind: Secret, Since: "1.25"},
	{Method: "GET", Pattern: "/secrets/{id}", Action: "secret.inspect", Kind: Secret, Since: "1.25"},
	{Method: "POST", Pattern: "/secrets/{id}/update", Action: "secret.update", Kind: Secret, Since: "1.25",
		Body: JSON, Of: swarmapi.SecretSpec{}, Query: "version", Refs: named(Secret)},

	{Method: "GET", Pattern: "/configs", Action: "config.list", Kind: Config, Since: "1.30", Reply: List, Query: "filters{}"},
	{Method: "POST", Pattern: "/configs/create", Action: "config.create", Kind: Config, Since: "1.30",
		Body: JSON, Of: swarmapi.ConfigSpec{}, Refs: named(Config)},
	{Method: "DELETE", Pattern: "/configs/{id}", Action: "config.remove", Kind: Config, Since: "1.30"},
	{Method: "GET", Pattern: "/configs/{id}", Action: "config.inspect", Kind: Config, Since: "1.30"},
	{Method: "POST", Pattern: "/configs/{id}/update", Action: "config.update", Kind: Config, Since: "1.30",
		Body: JSON, Of: swarmapi.ConfigSpec{}, Query: "version", Refs: named(Config)},
}

// named is the Refs of a body whose Name is the object's own, new or kept.
func named(kind Kind) func(*Call) ([]Ref, error) {
	return func(c *Call) ([]Ref, error) {
		n := names{call: c}
		n.add(kind, Gives, n.at(c.Body.Root().Get("Name")))
		return n.done()
	}
}

// taskListRefs adds the filters that the Engine looks up, answering 404 for
// what does not exist.
func taskListRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.filters(func(filter string, m mention) {
		switch {
		case filter == "node" && m.text != "self":
			n.add(Node, Uses, m)
		case filter == "service":
			n.add(Service, Uses, m)
		}
	})
	return n.done()
}

func serviceRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	body := c.Body.Root()
	n.add(Service, Gives, n.at(body.Get("Name")))
	n.attachments(body.Get("Networks"))
	task := body.Get("TaskTemplate")
	n.attachments(task.Get("Networks"))
	n.containerSpec(task.Get("ContainerSpec"))
	plugin := task.Get("PluginSpec")
	n.plugin(n.at(plugin.Get("name")), Gives)
	n.plugin(n.at(plugin.Get("remote")), UsesOrMakes)
	for grant := range plugin.Get("privileges").Elements() {
		n.privilege(grant.Get("name").Str(), grant.Get("value"))
	}
	n.container(n.at(task.Get("NetworkAttachmentSpec").Get("ContainerID")), Uses)
	return n.done()
}

func (n *names) attachments(list Value) {
	for network := range list.Elements() {
		n.network(n.at(network.Get("Target")))
	}
}

func (n *names) containerSpec(spec Value) {
	n.image(n.at(spec.Get("Image")), UsesOrMakes)
	n.mounts(spec.Get("Mounts"))
	for secret := range spec.Get("Secrets").Elements() {
		n.add(Secret, Uses, n.at(secret.Get("SecretID")))
		n.add(Secret, Uses, n.at(secret.Get("SecretName")))
	}
	for config := range spec.Get("Configs").Elements() {
		n.add(Config, Uses, n.at(config.Get("ConfigID")))
		n.add(Config, Uses, n.at(config.Get("ConfigName")))
	}
	credential := spec.Get("Privileges").Get("CredentialSpec")
	n.add(Config, Uses, n.at(credential.Get("Config")))
	n.path(n.at(credential.Get("File")))
}
