package router

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// names gathers the objects that a call names, in the order met.
type names struct {
	refs []Ref
	err  error
}

// add notes one name; the empty one names nothing.
func (n *names) add(kind Kind, name string) {
	if name != "" {
		n.refs = append(n.refs, Ref{kind, name})
	}
}

// fail keeps the first error.
func (n *names) fail(err error) {
	if n.err == nil {
		n.err = err
	}
}

// done is what a Refs func returns. What is wrong with a name is the caller's
// fault.
func (n *names) done() ([]Ref, error) {
	var e *Error
	if n.err != nil && !errors.As(n.err, &e) {
		return nil, fail(http.StatusBadRequest, "%s", n.err.Error())
	}
	if n.err != nil {
		return nil, n.err
	}
	return n.refs, nil
}

// each adds every string of a list.
func (n *names) each(list Value, add func(string)) {
	for v := range list.Elements() {
		add(v.Str())
	}
}

// container adds a container's name or id. The Engine reads "/web" as "web".
func (n *names) container(name string) {
	n.add(Container, strings.TrimPrefix(name, "/"))
}

// network adds a network's name or id. "default" stands for what the Engine
// joins a container to that asks for nothing.
func (n *names) network(name string) {
	if name != "default" {
		n.add(Network, name)
	}
}

// path adds a path of the Engine's host.
func (n *names) path(name string) { n.add(HostPath, name) }

// judged adds an image's canonical name. Where the Engine cannot read the text
// either, it goes in raw: the Engine's own error is the better one.
func (n *names) judged(text, name string, err error) {
	var spelling *spellingError
	switch {
	case errors.As(err, &spelling):
		n.fail(err)
	case err != nil:
		n.add(Image, text)
	default:
		n.add(Image, name)
	}
}

// image adds an image that the Engine looks up in its store, where no tag
// means "latest". Text that may be the beginning of an id stays raw: to judge
// it as a name would be to judge another image than the one that is run.
func (n *names) image(text string) {
	if text == "" || maybeID(text) {
		n.add(Image, text)
		return
	}
	name, err := Canonical(text)
	n.judged(text, latest(name), err)
}

// repository is image, but no tag means every tag.
func (n *names) repository(text string) {
	if text == "" || maybeID(text) {
		n.add(Image, text)
		return
	}
	name, err := Canonical(text)
	n.judged(text, name, err)
}

// given adds the name that an image is about to get.
func (n *names) given(repo, tag string) {
	if repo == "" {
		return
	}
	name, err := Pull(repo, tag)
	n.judged(join(repo, tag), latest(name), err)
}

// join is the raw text of a name and a tag or digest beside it.
func join(name, tag string) string {
	switch {
	case tag == "":
		return name
	case strings.Contains(tag, ":"):
		return name + "@" + tag
	}
	return name + ":" + tag
}

// plugin adds a plugin by the reference that the Engine reads in its name.
func (n *names) plugin(text string) {
	if text == "" {
		return
	}
	var image names
	image.given(text, "")
	if image.err != nil {
		n.fail(image.err)
	}
	for _, ref := range image.refs {
		n.add(Plugin, ref.Name)
	}
}

// registry adds the host that the Engine contacts for an address as "docker
// login" writes it; none means Docker Hub.
func (n *names) registry(address string) {
	if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		n.add(Registry, address)
		return
	}
	switch host := strings.ToLower(u.Host); host {
	case "", "index.docker.io":
		n.add(Registry, "docker.io")
	default:
		n.add(Registry, host)
	}
}

// filters adds what the filters of a list name for which the Engine says
// whether it exists: they tell of objects beside those that are listed.
func (n *names) filters(c *Call, add map[string]func(string)) {
	given, err := c.Filters()
	if err != nil {
		n.fail(err)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(add)) {
		for _, value := range given[key] {
			add[key](value)
		}
	}
}
