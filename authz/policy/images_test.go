package policy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"moorgate/router"
)

// engineOf answers lookups by path; what is not there is missing.
type engineOf map[string]string

func (e engineOf) Get(_ context.Context, _, path string) ([]byte, error) {
	if text, ok := e[path]; ok {
		return []byte(text), nil
	}
	return nil, &router.Error{Status: http.StatusNotFound, Message: "No such object"}
}

var (
	goodID = "sha256:" + strings.Repeat("1", 64)
	evilID = "sha256:cafe" + strings.Repeat("2", 60)
)

var laundering = engineOf{
	"/images/good:1/json":                  `{"Id":"` + goodID + `","RepoTags":["good:1"]}`,
	"/images/cafe/json":                    `{"Id":"` + evilID + `","RepoTags":["docker.io/forbidden/x:1"]}`,
	"/images/" + evilID + "/json":          `{"Id":"` + evilID + `","RepoTags":["docker.io/forbidden/x:1"]}`,
	"/images/docker.io/forbidden/x:1/json": `{"Id":"` + evilID + `","RepoTags":["docker.io/forbidden/x:1"]}`,
	"/images/good:1@" + evilID + "/json":   `{"Id":"` + evilID + `","RepoTags":[],"RepoDigests":["docker.io/forbidden/x@` + evilID + `"]}`,
	"/images/odd:1/json":                   `{"Id":"` + evilID + `","RepoTags":["<none>:<none>"]}`,
	"/images/lies:1/json":                  `{"Id":"abc"}`,
	"/images/../containers/x/json":         `{"Id":"` + goodID + `","RepoTags":["good:1"]}`,
	"/services/back":                       `{"PreviousSpec":{"TaskTemplate":{"ContainerSpec":{"Image":"forbidden/x:1"}}}}`,
	"/services/byid":                       `{"PreviousSpec":{"TaskTemplate":{"ContainerSpec":{"Image":"cafe"}}}}`,
	"/services/fine":                       `{"PreviousSpec":{"TaskTemplate":{"ContainerSpec":{"Image":"good:1"}}}}`,
	"/images/ghcr.io/acme/alice/b:1/json":  `{"Id":"` + goodID + `","RepoTags":["ghcr.io/acme/alice/b:1"],"Config":{"OnBuild":["COPY --from=forbidden/x:1 / /"]}}`,
}

func TestImagesLaundered(t *testing.T) {
	roles := map[string]Role{
		"library": {Allow: []string{"*"}, Containers: Containers{Any: true}, Images: Images{Rules: []ImageRule{
			{Allow: "docker.io/library/*"}, {Deny: "quay.io/**"}, {Deny: "ghcr.io/acme/secret"}, {Allow: "ghcr.io/acme/${user}/**"}, {Allow: "*/public/**"},
		}}},
		"admin": {Allow: []string{"*"}, Images: Images{Any: true}, Containers: Containers{Any: true}},
		"ruled": {Allow: []string{"read"}, Rules: []Rule{{Name: "x", Deny: `images.exists(i, i.startsWith("docker.io/forbidden/"))`, Message: "no"}}},
	}
	p, err := New(roles, Options{Engines: laundering})
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{Users: map[string][]string{"alice": {"library"}, "*": {"library"}, "": {"library"}, "both": {"admin", "ruled"}}}
	service := func(image string) string {
		return `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"` + image + `"}}}`
	}
	dockerfile := func(text string) map[string]string { return map[string]string{"Dockerfile": text} }
	for i, c := range []call{
		// A user's name is no pattern.
		{Who: "alice", Want: "allow", Do: "POST /images/create?fromImage=ghcr.io/acme/alice/x&tag=1"},
		{Who: "*", Want: "deny", Do: "POST /images/create?fromImage=ghcr.io/acme/alice/x&tag=1"},
		// Ids where a node would look the name up.
		{Who: "alice", Want: "deny id", Do: "POST /services/create", Body: service("cafe")},
		{Who: "alice", Want: "deny id", Do: "POST /services/create", Body: service(strings.TrimPrefix(evilID, "sha256:"))},
		{Who: "alice", Want: "deny id", Do: "POST /services/create", Body: service(evilID)},
		{Who: "alice", Want: "deny id", Do: "POST /services/x/update?version=1", Body: service("cafe")},
		{Who: "alice", Want: "allow", Do: "POST /services/create", Body: service("cafe:1")},
		{Who: "alice", Want: "deny", Do: "POST /services/create", Body: `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"good:1","Mounts":[{"Type":"image","Source":"cafe","Target":"/x"}]}}}`},
		{Who: "alice", Want: "deny no rule", Do: "POST /services/back/update?version=1&rollback=previous", Body: service("good:1")},
		{Who: "alice", Want: "deny id", Do: "POST /services/byid/update?version=1&rollback=previous", Body: service("good:1")},
		{Who: "alice", Want: "allow", Do: "POST /services/fine/update?version=1&rollback=previous", Body: service("good:1")},
		// Names, ids and prefixes of what is there.
		{Who: "alice", Want: "allow", Do: "POST /containers/create", Body: `{"Image":"good:1"}`, Sends: goodID},
		{Who: "alice", Want: "deny", Do: "POST /containers/create", Body: `{"Image":"cafe"}`},
		{Who: "alice", Want: "deny", Do: "POST /containers/create", Body: `{"Image":"good:1@` + evilID + `"}`},
		{Who: "alice", Want: "deny no name", Do: "POST /containers/create", Body: `{"Image":"odd:1"}`},
		{Who: "alice", Want: "5", Do: "POST /containers/create", Body: `{"Image":"lies:1"}`},
		{Who: "alice", Want: "deny not there", Do: "POST /containers/create", Body: `{"Image":"../containers/x"}`},
		{Who: "alice", Want: "allow", Do: "POST /containers/create", Body: `{"Image":"beef"}`, Sends: `"docker.io/library/beef:latest"`},
		{Who: "alice", Want: "deny id", Do: "POST /v1.48/containers/create", Body: `{"Image":"good:1","HostConfig":{"Mounts":[{"Type":"image","Source":"beef","Target":"/x"}]}}`},
		{Who: "alice", Want: "deny", Do: "POST /images/cafe/tag?repo=good&tag=1"},
		{Who: "alice", Want: "deny", Do: "POST /images/" + evilID + "/tag?repo=good&tag=1"},
		// Builds.
		{Who: "alice", Want: "allow", Do: "POST /build?t=good:2", Archive: dockerfile("FROM good:1")},
		{Who: "alice", Want: "deny docker pull", Do: "POST /build", Archive: dockerfile("FROM absent:1")},
		{Who: "alice", Want: "deny pull=1", Do: "POST /build?pull=1", Archive: dockerfile("FROM good:1")},
		{Who: "alice", Want: "deny", Do: "POST /build", Archive: dockerfile("FROM ghcr.io/acme/alice/b:1")},
		{Who: "alice", Want: "deny", Do: "POST /build", Archive: dockerfile("FROM cafe")},
		{Who: "alice", Want: "deny", Do: "POST /build", Archive: dockerfile("FROM good:1\nCOPY --from=cafe / /")},
		{Who: "alice", Want: "deny id", Do: "POST /build?cachefrom=%5B%22cafe%22%5D", Archive: dockerfile("FROM good:1")},
		{Who: "alice", Want: "deny body", Do: "POST /build?remote=client-session"},
		{Who: "alice", Want: "deny body", Do: "POST /build?remote=upload-request:x"},
		// Digests that are only said.
		{Who: "alice", Want: "deny digest", Do: "POST /images/load", Archive: map[string]string{"manifest.json": `[{"RepoTags":["good:1@` + goodID + `"]}]`}},
		{Who: "alice", Want: "deny digest", Do: "POST /images/load", Archive: map[string]string{"index.json": `{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/library/good@` + goodID + `"}}]}`}},
		// Registries.
		{Who: "alice", Want: "allow", Do: "POST /auth", Body: `{"serveraddress":"https://index.docker.io/v1/"}`},
		{Who: "alice", Want: "allow", Do: "POST /auth", Body: `{"serveraddress":"ghcr.io"}`},
		{Who: "alice", Want: "deny registry", Do: "POST /auth", Body: `{"serveraddress":"quay.io"}`},
		{Who: "*", Want: "allow", Do: "POST /auth", Body: `{"serveraddress":"ghcr.io"}`},
		{Who: "alice", Want: "allow", Do: "GET /distribution/library/good/json"},
		{Who: "alice", Want: "deny", Do: "GET /distribution/quay.io/x:1/json"},
		// Conditions of one role hold whichever role allows the rest.
		{Who: "both", Want: "deny no", Do: "POST /images/create?fromImage=forbidden/x&tag=1"},
		{Who: "both", Want: "deny no", Do: "POST /containers/create", Body: `{"Image":"cafe"}`},
		{Who: "both", Want: "allow", Do: "POST /containers/create", Body: `{"Image":"good:1"}`},
	} {
		t.Run(fmt.Sprintf("%d %s %s", i+1, c.Who, c.Do), func(t *testing.T) {
			status, answer, sent := s.ask(t, p, c)
			want, text, _ := strings.Cut(c.Want, " ")
			switch want {
			case "allow":
				if status != http.StatusOK || !strings.Contains(sent, c.Sends) {
					t.Errorf("%d %s, sends %s", status, answer, sent)
				}
			case "deny":
				if status != http.StatusForbidden || !strings.Contains(answer, text) {
					t.Errorf("%d %q, want %s", status, answer, c.Want)
				}
			default:
				if !strings.HasPrefix(fmt.Sprint(status), want) {
					t.Errorf("%d %q, want %s", status, answer, c.Want)
				}
			}
		})
	}
}
