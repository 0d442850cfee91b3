package router

import "github.com/docker/docker/api/types/container"

// execCreate is the body of POST /containers/{name}/exec. The rows of exec
// stand in containers; none names an object beside its path's.
type execCreate struct {
	container.ExecOptions

	// Container is docker-py's: it repeats the path's name, and no Engine reads it.
	Container string
}

// execStart is the body of POST /exec/{name}/start.
type execStart struct {
	container.ExecStartOptions

	// Hijack and Stdin are dockerode's settings for itself, which it sends too;
	// no Engine reads them.
	Hijack bool `json:"hijack"`
	Stdin  bool `json:"stdin"`
}
