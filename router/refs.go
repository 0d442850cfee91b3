package router

import (
	"errors"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// names gathers the objects that a call names, in the order met.
type names struct {
	call *Call
	refs []Ref
	err  error
}

// A mention is text that a caller wrote, and where.
type mention struct {
	text string
	at   Place
}

// query mentions the value of a query key that is not repeated.
func (n *names) query(key string) mention {
	text := n.call.Query.Get(key)
	return mention{text, Place{In: InQuery, Key: key, Text: text}}
}

// queries mention all values of a repeated query key.
func (n *names) queries(key string, add func(mention)) {
	for i, text := range n.call.Query[key] {
		add(mention{text, Place{In: InQuery, Key: key, Text: text, item: int32(i)}})
	}
}

// variable mentions what the path has for a variable of the pattern.
func (n *names) variable(name string) mention {
	text := n.call.Var(name)
	return mention{text, Place{In: InPath, Key: name, Text: text}}
}

// at mentions a string of the body.
func (n *names) at(v Value) mention {
	if !v.IsString() {
		return mention{}
	}
	text := v.Str()
	return mention{text, Place{In: InBody, Text: text, item: v.i, edit: v.d.edits}}
}

// key mentions the key of a member.
func (n *names) key(name string, v Value) mention {
	return mention{name, Place{In: InBodyKey, Text: name, item: v.i, edit: v.d.edits}}
}

// implied is text that stands nowhere in the call, or in JSON in the query.
func implied(text string) mention { return mention{text: text} }

// slice is a part of what is mentioned.
func (m mention) slice(from, to int) mention {
	m.text = m.text[from:to]
	m.at.Text = m.text
	m.at.from += int32(from)
	return m
}

// cut is strings.Cut.
func (m mention) cut(sep string) (before, after mention, ok bool) {
	i := strings.Index(m.text, sep)
	if i < 0 {
		return m, m.slice(len(m.text), len(m.text)), false
	}
	return m.slice(0, i), m.slice(i+len(sep), len(m.text)), true
}

// split is strings.SplitSeq.
func (m mention) split(sep string) iter.Seq[mention] {
	return func(yield func(mention) bool) {
		for {
			before, after, ok := m.cut(sep)
			if !yield(before) || !ok {
				return
			}
			m = after
		}
	}
}

// add notes one name; the empty one names nothing.
func (n *names) add(kind Kind, use Use, m mention) { n.addAs(kind, use, m.text, m.at) }

// addAs notes a name that is not written as it is read.
func (n *names) addAs(kind Kind, use Use, name string, at Place) {
	if name != "" {
		n.refs = append(n.refs, Ref{kind, name, use, at})
	}
}

// fail keeps the first error.
func (n *names) fail(err error) {
	if n.err == nil {
		n.err = err
	}
}

// done is what a Refs func returns.
func (n *names) done() ([]Ref, error) { return n.refs, n.err }

// each adds every string of a list.
func (n *names) each(list Value, add func(mention)) {
	for v := range list.Elements() {
		add(n.at(v))
	}
}

// container adds a container's name or id. The Engine reads "/web" as "web".
func (n *names) container(m mention, use Use) {
	n.addAs(Container, use, strings.TrimPrefix(m.text, "/"), m.at)
}

// network adds the name or id of a network that is there. "default" stands for
// what the Engine joins a container to that asks for nothing.
func (n *names) network(m mention) {
	if m.text != "default" {
		n.add(Network, Uses, m)
	}
}

// path adds a path of the Engine's host.
func (n *names) path(m mention) { n.add(HostPath, Uses, m) }

// judged adds an image's canonical name. Where the Engine cannot read the text
// either, it goes in raw: the Engine's own error is the better one.
func (n *names) judged(m mention, use Use, name string, err error) {
	if err == nil {
		n.addAs(Image, use, name, m.at)
		return
	}
	var spelling *spellingError
	if errors.As(err, &spelling) {
		n.fail(err)
		return
	}
	n.add(Image, use, m)
}

// image adds an image that the Engine looks up in its store, where no tag
// means "latest". Text that may be the beginning of an id stays raw: to judge
// it as a name would be to judge another image than the one that is run.
func (n *names) image(m mention, use Use) {
	if m.text == "" || maybeID(m.text) {
		n.add(Image, use, m)
		return
	}
	name, err := Canonical(m.text)
	n.judged(m, use, latest(name), err)
}

// repository is image, but no tag means every tag.
func (n *names) repository(m mention, use Use) {
	if m.text == "" || maybeID(m.text) {
		n.add(Image, use, m)
		return
	}
	name, err := Canonical(m.text)
	n.judged(m, use, name, err)
}

// given adds an image by the name that it is about to get.
func (n *names) given(repo mention) { n.tagged(repo, mention{}, Gives) }

// tagged is image for a name whose tag or digest stands apart in the query.
func (n *names) tagged(repo, tag mention, use Use) {
	if repo.text == "" {
		return
	}
	name, err := Pull(repo.text, tag.text)
	n.judged(joined(repo, tag), use, latest(name), err)
}

// joined mentions a name and the tag or digest beside it.
func joined(name, tag mention) mention {
	name.at.tag = tag.at.Key
	switch {
	case tag.text == "":
	case strings.Contains(tag.text, ":"):
		name.text += "@" + tag.text
	default:
		name.text += ":" + tag.text
	}
	return name
}

// plugin adds a plugin by the reference that the Engine reads in its name.
func (n *names) plugin(m mention, use Use) {
	if m.text == "" {
		return
	}
	image := names{call: n.call}
	image.given(m)
	if image.err != nil {
		n.fail(image.err)
	}
	for _, ref := range image.refs {
		n.addAs(Plugin, use, ref.Name, ref.At)
	}
}

// registry adds the host that the Engine contacts for an address as "docker
// login" writes it; none means Docker Hub.
func (n *names) registry(m mention) {
	address := m.text
	if address == "" {
		m.at = Place{}
	}
	if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		n.addAs(Registry, Uses, address, m.at)
		return
	}
	switch host := strings.ToLower(u.Host); host {
	case "", "index.docker.io":
		n.addAs(Registry, Uses, "docker.io", m.at)
	default:
		n.addAs(Registry, Uses, host, m.at)
	}
}

// filters gives add each filter and its values that the call has: filters name
// objects beside those that are listed, of which the Engine says whether they
// exist, and objects that it compares with.
func (n *names) filters(add func(filter string, m mention)) {
	if n.call.Query.Get("filters") == "" {
		return
	}
	given, err := n.call.Filters()
	if err != nil {
		n.fail(err)
		return
	}
	for _, filter := range slices.Sorted(maps.Keys(given)) {
		for i, text := range given[filter] {
			add(filter, mention{text, Place{In: InFilter, Key: filter, Text: text, item: int32(i)}})
		}
	}
}
