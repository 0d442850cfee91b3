package policy

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"moorgate/router"
)

// ownPrefix begins the labels that only moorgate sets: they say whose an object
// is.
const ownPrefix = "moorgate."

// labelled says where bodies hold labels.
var labelled = map[string][][]string{
	"container.create": {{"Labels"}},
	"container.commit": {{"Labels"}},
	"volume.create":    {{"Labels"}},
	"network.create":   {{"Labels"}},
	"service.create":   {{"Labels"}, {"TaskTemplate", "ContainerSpec", "Labels"}},
	"service.update":   {{"Labels"}, {"TaskTemplate", "ContainerSpec", "Labels"}},
	"secret.create":    {{"Labels"}},
	"secret.update":    {{"Labels"}},
	"config.create":    {{"Labels"}},
	"config.update":    {{"Labels"}},
	"node.update":      {{"Labels"}},
	"swarm.init":       {{"Spec", "Labels"}},
	"swarm.update":     {{"Labels"}},
}

// mounting says where bodies hold mounts, whose volumes get labels.
var mounting = map[string][]string{
	"container.create": {"HostConfig", "Mounts"},
	"service.create":   {"TaskTemplate", "ContainerSpec", "Mounts"},
	"service.update":   {"TaskTemplate", "ContainerSpec", "Mounts"},
}

// ownLabels refuses labels of moorgate's own, to everybody.
func (j *asks) ownLabels() *refusal {
	body := j.call.Body.Root()
	for _, path := range labelled[j.call.Action] {
		if no := j.noneOwn(body.At(path...)); no != nil {
			return no
		}
	}
	if path, ok := mounting[j.call.Action]; ok {
		for mount := range body.At(path...).Elements() {
			if no := j.noneOwn(mount.At("VolumeOptions", "Labels")); no != nil {
				return no
			}
		}
	}
	switch j.call.Action {
	case "image.build":
		var labels map[string]*string
		_ = json.Unmarshal([]byte(j.call.Query.Get("labels")), &labels) // what is no map, the Engine refuses
		for key := range labels {
			if strings.HasPrefix(key, ownPrefix) {
				return refuseLabel(key)
			}
		}
	case "container.commit":
		for _, change := range j.call.Query["changes"] {
			word, rest, _ := strings.Cut(strings.TrimSpace(change), " ")
			if strings.EqualFold(word, "LABEL") && strings.Contains(rest, ownPrefix) {
				return refuseLabel(rest)
			}
		}
	}
	return nil
}

func (j *asks) noneOwn(labels router.Value) *refusal {
	for key, value := range labels.Members() {
		if strings.HasPrefix(key, ownPrefix) && !j.kept(key, value.Str()) {
			return refuseLabel(key)
		}
	}
	return nil
}

func refuseLabel(label string) *refusal {
	return refuse("labels", "%.128q is a label that only moorgate sets: leave it out", label)
}

// kept says whether an update only repeats what the object has: clients change
// an object by reading it and sending all of it back.
func (j *asks) kept(key, value string) bool {
	object, verb, _ := strings.Cut(j.call.Action, ".")
	if verb != "update" || j.call.Name() == "" {
		return false
	}
	var found struct {
		Spec struct {
			Labels       map[string]string
			TaskTemplate struct {
				ContainerSpec struct{ Labels map[string]string }
			}
		}
	}
	err := j.get("/"+object+"s/"+url.PathEscape(j.call.Name()), &found)
	var e *router.Error
	if err != nil && !errors.As(err, &e) {
		j.err = err
	}
	return err == nil && (found.Spec.Labels[key] == value || found.Spec.TaskTemplate.ContainerSpec.Labels[key] == value) && value != ""
}
