package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"moorgate/router"
)

// Image is what an Engine says of an image that it has, as far as calls are
// judged by it. Several authorizers ask for the same one, so it may be shared:
// nobody writes to it.
type Image struct {
	ID      string            // "sha256:..."
	Names   []string          // its tags and digests, canonical
	OnBuild []string          // what it makes builds on it do
	Labels  map[string]string // anybody may have set them
}

// ReadImage reads what an Engine answers to whoever inspects an image.
func ReadImage(answer []byte) (*Image, error) {
	var told struct {
		ID          string `json:"Id"`
		RepoTags    []string
		RepoDigests []string
		Config      struct {
			OnBuild []string
			Labels  map[string]string
		}
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return nil, fmt.Errorf("the Engine's answer makes no sense: %w", err)
	}
	if !strings.HasPrefix(told.ID, "sha256:") {
		return nil, errors.New("the Engine's answer has no image id")
	}
	return &Image{
		ID: told.ID, Names: ImageNames(told.RepoTags, told.RepoDigests),
		OnBuild: told.Config.OnBuild, Labels: told.Config.Labels,
	}, nil
}

// ImageNames are the canonical names of an image, by its tags and digests as
// an Engine writes them. What is no name is left out.
func ImageNames(lists ...[]string) []string {
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	names := make([]string, 0, n)
	for _, list := range lists {
		for _, written := range list {
			if written == "<none>:<none>" || written == "<none>@<none>" {
				continue
			}
			if name, err := router.Canonical(written); err == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

// ImagePath is where an Engine tells of an image, by whatever it takes for a
// name.
func ImagePath(name string) string {
	return "/images/" + strings.ReplaceAll(url.PathEscape(name), "%2F", "/") + "/json"
}
