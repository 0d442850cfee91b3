package router

import "github.com/docker/docker/api/types/checkpoint"

// checkpoints are answered by experimental Engines only. Dir is a folder of
// the Engine's host; DELETE removes a tree below it.
var checkpoints = []Route{
	{Method: "GET", Pattern: "/containers/{name...}/checkpoints", Action: "checkpoint.list", Kind: Container, Query: "dir",
		Refs: checkpointRefs},
	{Method: "POST", Pattern: "/containers/{name...}/checkpoints", Action: "checkpoint.create", Kind: Container,
		Body: JSON, Of: checkpoint.CreateOptions{}, Refs: checkpointCreateRefs},
	{Method: "DELETE", Pattern: "/containers/{name}/checkpoints/{checkpoint}", Action: "checkpoint.remove", Kind: Container,
		Query: "dir", Refs: checkpointRefs},
}

func checkpointRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	n.add(Checkpoint, Uses, n.variable("checkpoint"))
	n.path(n.query("dir"))
	return n.done()
}

func checkpointCreateRefs(c *Call) ([]Ref, error) {
	n := names{call: c}
	body := c.Body.Root()
	n.add(Checkpoint, Gives, n.at(body.Get("CheckpointID")))
	n.path(n.at(body.Get("CheckpointDir")))
	return n.done()
}
