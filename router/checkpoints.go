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
	var n names
	n.add(Checkpoint, c.Var("checkpoint"))
	n.path(c.Query.Get("dir"))
	return n.done()
}

func checkpointCreateRefs(c *Call) ([]Ref, error) {
	var n names
	body := c.Body.Root()
	n.add(Checkpoint, body.Get("CheckpointID").Str())
	n.path(body.Get("CheckpointDir").Str())
	return n.done()
}
