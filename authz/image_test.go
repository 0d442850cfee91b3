package authz

import (
	"slices"
	"testing"
)

func TestReadImage(t *testing.T) {
	image, err := ReadImage([]byte(`{"Id":"sha256:ab","RepoTags":["busybox:1","<none>:<none>","ghcr.io/a/b:2","Not A Name"],
		"RepoDigests":["busybox@sha256:1111111111111111111111111111111111111111111111111111111111111111","<none>@<none>"],
		"Config":{"OnBuild":["RUN x"],"Labels":{"a":"b"}}}`))
	want := []string{
		"docker.io/library/busybox:1", "ghcr.io/a/b:2",
		"docker.io/library/busybox@sha256:1111111111111111111111111111111111111111111111111111111111111111",
	}
	if err != nil || image.ID != "sha256:ab" || !slices.Equal(image.Names, want) ||
		!slices.Equal(image.OnBuild, []string{"RUN x"}) || image.Labels["a"] != "b" {
		t.Errorf("%+v, %v", image, err)
	}
	for _, text := range []string{``, `[]`, `{}`, `{"Id":"busybox"}`, `{"Id":7}`} {
		if image, err := ReadImage([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, image)
		}
	}
}

func TestImagePath(t *testing.T) {
	for name, want := range map[string]string{
		"busybox":                "/images/busybox/json",
		"ghcr.io/a/b:1":          "/images/ghcr.io/a/b:1/json",
		"sha256:ab":              "/images/sha256:ab/json",
		"a b%?#":                 "/images/a%20b%25%3F%23/json",
		"localhost:5000/x@sha:1": "/images/localhost:5000/x@sha:1/json",
	} {
		if got := ImagePath(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
