package policy

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// loads gives the names that an archive of images is said to bring.
func loads(t *testing.T, entries ...entry) (names string, err error) {
	var all []string
	r := judgeLoad(bytes.NewReader(tarWith(t, entries...)), func(name string) error {
		if strings.Contains(name, "evil") {
			return fmt.Errorf("evil is refused")
		}
		all = append(all, name)
		return nil
	})
	out, err := io.ReadAll(r)
	if err != nil && ended(out) {
		t.Error("the Engine was given the archive's end")
	}
	return strings.Join(all, " "), err
}

func TestLoadNames(t *testing.T) {
	index := `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:0","size":1,"annotations":{"io.containerd.image.name":"a:1","org.opencontainers.image.ref.name":"1"}},{"annotations":{"org.opencontainers.image.ref.name":"b:2"}},{"annotations":null},{}]}`
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"docker's archive":        {[]entry{{name: "manifest.json", text: `[{"Config":"c","RepoTags":["a:1","b:2"],"Layers":null},{"RepoTags":null}]`}}, "a:1 b:2"},
		"the old one":             {[]entry{{name: "repositories", text: `{"a":{"1":"x","2":"y"}}`}}, "a:1 a:2"},
		"a layout":                {[]entry{{name: "oci-layout", text: "{}"}, {name: "index.json", text: index}}, "a:1 b:2"},
		"all, as docker save has": {[]entry{{name: "index.json", text: index}, {name: "manifest.json", text: `[{"RepoTags":["a:1"]}]`}, {name: "repositories", text: `{"a":{"1":"x"}}`}}, "a:1 b:2 a:1 a:1"},
		"one of the name below":   {[]entry{{name: "sub/manifest.json", text: `[{"RepoTags":["evil:1"]}]`}}, ""},
		"an old layer's own file": {[]entry{{name: "abc/json", text: `{"id":"evil"}`}}, ""},
		"names of nobody":         {[]entry{{name: "index.json", text: `{"manifests":[]}`}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if names, err := loads(t, c.entries...); err != nil || names != c.want {
				t.Errorf("brings %q (%v), want %q", names, err, c.want)
			}
		})
	}
}

func TestLoadRefused(t *testing.T) {
	evil := `[{"RepoTags":["evil:1"]}]`
	for name, entries := range map[string][]entry{
		"tag":                        {{name: "manifest.json", text: evil}},
		"absolute":                   {{name: "/manifest.json", text: evil}},
		"old":                        {{name: "repositories", text: `{"evil":{"1":"x"}}`}},
		"second manifest":            {{name: "manifest.json", text: `[]`}, {name: "./manifest.json", text: `[]`}},
		"link to another":            {{name: "x", text: evil}, {name: "manifest.json", link: "x", kind: tar.TypeSymlink}},
		"hard link to another":       {{name: "x", text: evil}, {name: "manifest.json", link: "x", kind: tar.TypeLink}},
		"through a hard link":        {{name: "a", link: ".", kind: tar.TypeSymlink}, {name: "b", link: "a", kind: tar.TypeLink}, {name: "b/manifest.json", text: evil}},
		"pipe":                       {{name: "layer.tar", kind: tar.TypeFifo}},
		"other case":                 {{name: "manifest.json", text: `[{"repotags":["evil:1"]}]`}},
		"both cases":                 {{name: "manifest.json", text: `[{"RepoTags":["a:1"],"REPOTAGS":["evil:1"]}]`}},
		"twice the same":             {{name: "manifest.json", text: `[{"RepoTags":["a:1"],"RepoTags":["evil:1"]}]`}},
		"folded":                     {{name: "manifest.json", text: `[{"RepoTagſ":["evil:1"]}]`}},
		"behind the value":           {{name: "manifest.json", text: `[]` + evil}},
		"no list":                    {{name: "manifest.json", text: `{"RepoTags":["evil:1"]}`}},
		"repositories twice":         {{name: "repositories", text: `{"a":{"1":"x"},"a":{"2":"x"}}`}},
		"layout":                     {{name: "index.json", text: `{"manifests":[{"annotations":{"io.containerd.image.name":"evil:1"}}]}`}},
		"layout, other case":         {{name: "index.json", text: `{"Manifests":[{"annotations":{"io.containerd.image.name":"evil:1"}}]}`}},
		"layout, twice":              {{name: "index.json", text: `{"manifests":[],"manifests":[{"annotations":{"io.containerd.image.name":"evil:1"}}]}`}},
		"layout, short name":         {{name: "index.json", text: `{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"evil"}}]}`}},
		"layout, empty first name":   {{name: "index.json", text: `{"manifests":[{"annotations":{"io.containerd.image.name":"","org.opencontainers.image.ref.name":"evil"}}]}`}},
		"layout, name no string":     {{name: "index.json", text: `{"manifests":[{"annotations":{"io.containerd.image.name":["evil"]}}]}`}},
		"layout, annotations a list": {{name: "index.json", text: `{"manifests":[{"annotations":[{"io.containerd.image.name":"evil"}]}]}`}},
	} {
		t.Run(name, func(t *testing.T) {
			if names, err := loads(t, entries...); err == nil {
				t.Errorf("passed, and brings %q", names)
			}
		})
	}
}
