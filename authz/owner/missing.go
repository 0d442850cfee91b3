package owner

import (
	"net/http"
	"strings"

	"moorgate/router"
)

// missing is the Engine's answer to a call that names what there is not.
func (j *judging) missing(ref router.Ref) error {
	name := ref.At.Text
	if name == "" {
		name = ref.Name
	}
	code, text := http.StatusNotFound, ""
	switch ref.Kind {
	case router.Container:
		code, text = j.noContainer(ref, name)
	case router.Exec:
		text = "No such exec instance: " + name
	case router.Volume:
		text = "get " + name + ": no such volume"
	case router.Image:
		text = j.noImage(name)
	default:
		text = string(ref.Kind) + " " + name + " not found"
	}
	return &router.Error{Status: code, Message: text}
}

func (j *judging) noContainer(ref router.Ref, name string) (code int, text string) {
	text = "No such container: " + name
	switch {
	case ref.At.In == router.InFilter && j.old():
		return http.StatusInternalServerError, "no such container " + name
	case j.call.Action == "container.kill" && j.old():
		return http.StatusNotFound, "Cannot kill container: " + name + ": " + text
	case j.call.Action == "container.kill":
		return http.StatusNotFound, "cannot kill container: " + name + ": " + text
	case j.call.Action != "container.create" || j.call.Where(ref.At) == "HostConfig.NetworkMode":
		return http.StatusNotFound, text
	case strings.HasPrefix(j.call.Where(ref.At), "HostConfig.Links"):
		return http.StatusBadRequest, "could not get container for " + name + ": " + text
	}
	return http.StatusBadRequest, text
}

// noImage is what the Engine says of an image that there is not.
func (j *judging) noImage(name string) string {
	full := name
	if !strings.HasPrefix(name, "sha256:") && !strings.Contains(name, "@") &&
		!strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		full += ":latest"
	}
	switch a := j.call.Action; {
	case a == "image.inspect" && j.old():
		return "no such image: " + name + ": No such image: " + full
	case a == "image.save" && j.old():
		return "No such image: " + name
	}
	return "No such image: " + full
}

// ambiguous is the Engine's answer to the beginning of several ids.
func (j *judging) ambiguous(ref router.Ref) error {
	code, text := http.StatusBadRequest, "multiple IDs found with provided prefix: "+ref.Name
	switch {
	case ref.Kind == router.Network:
		text = "network " + ref.Name + " is ambiguous (2 matches found based on ID prefix)"
	case ref.Kind != router.Container:
		text = string(ref.Kind) + " " + ref.Name + " is ambiguous (2 matches found)"
	case j.old():
		text = "M" + text[1:]
		if ref.At.In != router.InBody {
			code = http.StatusInternalServerError
		}
	}
	return &router.Error{Status: code, Message: text}
}

// old says whether the Engine words what is missing as Debian's does, which
// has API 1.41.
func (j *judging) old() bool {
	newest := j.index.newest(j.ctx)
	return newest != "" && router.Older(newest, "1.42")
}
