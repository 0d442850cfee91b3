package policy

import (
	"io"

	"moorgate/router"
)

// manifestItem is one image of docker's own archive format.
type manifestItem struct {
	Config       string
	RepoTags     []string
	Layers       []string
	Parent       string
	LayerSources map[string]interface{}
}

// imageIndex is the part of an OCI index that names images.
type imageIndex struct {
	Manifests []struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"manifests"`
}

// The annotations that name an image, as containerd reads them: the second
// only where the first is missing.
const (
	containerdName = "io.containerd.image.name"
	refName        = "org.opencontainers.image.ref.name"
)

// judgeLoad gives an archive of images in place of body, with every name in it
// asked of allow.
func judgeLoad(body io.Reader, allow func(name string) error) io.Reader {
	l := &load{allow: allow}
	return &archive{
		raw:   body,
		files: true,
		judged: func(name string) bool {
			return name == "manifest.json" || name == "repositories" || name == "index.json"
		},
		content: l.content,
		end:     func() error { return nil },
	}
}

type load struct{ allow func(string) error }

// content asks about the names in one file. All three files count, whichever
// the Engine will read: that depends on its version and its image store.
func (l *load) content(file string, data []byte) ([]byte, error) {
	switch file {
	case "manifest.json":
		return data, l.manifest(data)
	case "repositories":
		return data, l.repositories(data)
	}
	return data, l.index(data)
}

func (l *load) manifest(data []byte) error {
	d, err := router.ParseDocument(data, []manifestItem{})
	if err != nil {
		return malformed("manifest.json: %v", err)
	}
	for item := range d.Root().Elements() {
		for tag := range item.Get("RepoTags").Elements() {
			if err := l.allow(tag.Str()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *load) repositories(data []byte) error {
	d, err := router.ParseDocument(data, map[string]map[string]string{})
	if err != nil {
		return malformed("repositories: %v", err)
	}
	for name, tags := range d.Root().Members() {
		for tag := range tags.Members() {
			if err := l.allow(name + ":" + tag); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *load) index(data []byte) error {
	d, err := router.ParseDocument(data, imageIndex{})
	if err != nil {
		return malformed("index.json: %v", err)
	}
	for manifest := range d.Root().Get("manifests").Elements() {
		notes := manifest.Get("annotations")
		name := notes.Get(containerdName).Str()
		if name == "" {
			name = notes.Get(refName).Str()
		}
		if name == "" {
			continue
		}
		if err := l.allow(name); err != nil {
			return err
		}
	}
	return nil
}
