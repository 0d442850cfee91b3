package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"moorgate/authz/identity"
	"moorgate/router"
)

func policyOf(t *testing.T, o Options, roles map[string]Role) *Policy {
	t.Helper()
	p, err := New(roles, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func having(roles ...string) identity.Identity { return identity.Identity{User: "alice", Roles: roles} }

func TestOwn(t *testing.T) {
	p := policyOf(t, Options{}, map[string]Role{
		"developer": {Allow: []string{"container.*"}},
		"auditor":   {Allow: []string{"read"}, Scope: "all"},
		"operator":  {Allow: []string{"container.*"}, Scope: "all", Engines: []string{"east"}},
		"never":     {Deny: []string{"container.list"}, Scope: "all"},
	})
	for _, test := range []struct {
		roles, action, engine string
		own                   bool
	}{
		{"developer", "container.list", "local", true},
		{"auditor", "container.list", "local", false},
		{"auditor developer", "container.list", "local", false},
		{"auditor developer", "container.remove", "local", true}, // looking at all is not touching all
		{"operator", "container.remove", "east", false},
		{"operator developer", "container.remove", "local", true},
		{"never auditor", "container.list", "local", true},
		{"", "container.list", "local", true},
		{"gone", "container.list", "local", true},
	} {
		if own := p.Own(having(strings.Fields(test.roles)...), test.action, test.engine); own != test.own {
			t.Errorf("%s, %s on %s: own %v", test.roles, test.action, test.engine, own)
		}
	}
}

func TestQuota(t *testing.T) {
	p := policyOf(t, Options{}, map[string]Role{
		"small":  {Allow: []string{"*"}, Quota: Quota{Containers: 1, Memory: 10, CPUs: 2, PullsPerHour: 3, RequestsPerSecond: 0.5}},
		"large":  {Allow: []string{"container.*"}, Quota: Quota{Containers: 5, CPUs: 1, PullsPerHour: 9}},
		"reader": {Allow: []string{"read"}},
		"free":   {Allow: []string{"*"}},
	})
	for roles, want := range map[string]Quota{
		"small":        {1, 10, 2, 3, 0.5},
		"small reader": {1, 10, 2, 3, 0.5}, // who cannot make anything lifts no bound
		"reader small": {1, 10, 2, 3, 0.5},
		"small large":  {5, 0, 2, 3, 0.5}, // large pulls nothing
		"large small":  {5, 0, 2, 3, 0.5},
		"small free":   {0, 0, 0, 0, 0.5},
		"free small":   {0, 0, 0, 0, 0.5},
		"reader":       {},
		"":             {},
	} {
		if got := p.Quota(having(strings.Fields(roles)...)); got != want {
			t.Errorf("%s: %+v, want %+v", roles, got, want)
		}
	}
}

func TestQuotaFaults(t *testing.T) {
	for key, q := range map[string]Quota{
		"containers": {Containers: -1}, "cpus": {CPUs: -1}, "pulls_per_hour": {PullsPerHour: -1}, "requests_per_second": {RequestsPerSecond: math.NaN()},
	} {
		_, err := New(map[string]Role{"r": {Quota: q}}, Options{})
		var fault *identity.Fault
		if !errors.As(err, &fault) || strings.Join(fault.Path, ".") != "roles.r.quota."+key {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestMayUse(t *testing.T) {
	p := policyOf(t, Options{}, map[string]Role{
		"developer": {Images: Images{Rules: []ImageRule{
			{Deny: "**:latest"}, {Allow: "docker.io/library/*", When: `action == "image.list" && engine == "local"`},
			{Allow: "ghcr.io/${user}/**"}, {Allow: "quay.io/**", When: `body.User == "x"`},
		}}},
		"any":  {Images: Images{Any: true}, Engines: []string{"east"}},
		"none": {},
	})
	for _, test := range []struct {
		roles, engine, names string
		may                  bool
	}{
		{"developer", "local", "busybox:1", true},
		{"developer", "east", "busybox:1", false},
		{"developer", "local", "busybox:latest", false},
		{"developer", "local", "busybox:latest busybox:1", true},
		{"developer", "local", "evil.example/x:1 ghcr.io/alice/tool@sha256:" + strings.Repeat("a", 64), true},
		{"developer", "local", "ghcr.io/bob/tool:1", false},
		{"developer", "local", "quay.io/a/b:1", false}, // its condition cannot be asked
		{"developer", "local", "<none>:<none>", false},
		{"developer", "local", "", false},
		{"none developer", "local", "busybox:1", true},
		{"none", "local", "busybox:1", false},
		{"any", "east", "", true},
		{"any", "local", "busybox:1", false},
		{"gone", "local", "busybox:1", false},
	} {
		may, err := p.MayUse(t.Context(), having(strings.Fields(test.roles)...), test.engine, strings.Fields(test.names), goodID)
		if err != nil || may != test.may {
			t.Errorf("%s on %s, %s: %v, %v", test.roles, test.engine, test.names, may, err)
		}
	}
}

func TestShares(t *testing.T) {
	p := policyOf(t, Options{}, map[string]Role{
		"developer": {}, "team": {Engines: []string{"east"}, Containers: Containers{Rules: ContainerRules{Networks: []string{"team"}}}},
		"any": {Containers: Containers{Any: true}},
	})
	for _, test := range []struct {
		roles, engine, network string
		shares                 bool
	}{
		{"developer", "local", "bridge", true}, {"developer", "local", "team", false}, {"developer", "local", "host", false},
		{"developer team", "east", "team", true}, {"developer team", "local", "team", false}, {"team", "east", "bridge", false},
		{"any", "local", "team", false}, {"any team", "east", "team", true}, {"", "local", "bridge", false},
	} {
		if p.Shares(having(strings.Fields(test.roles)...), test.engine, test.network) != test.shares {
			t.Errorf("%+v", test)
		}
	}
}

// Networks of one's own are joined without being named. Of a role that sees all
// it is asked whose they are, and the one that was found is joined, whatever has
// its name when the container starts; for one that does not, another's is missing.
func TestOwnNetworks(t *testing.T) {
	role := func(scope string, networks ...string) Role {
		return Role{Allow: []string{"*"}, Scope: scope, Images: Images{Any: true}, Containers: Containers{Rules: ContainerRules{Networks: networks}}}
	}
	engine := answers{"/networks/theirs": `{"Name":"theirs"}`, "/networks/shared": `{"Name":"shared"}`, "/networks/5ead": `{"Name":"shared"}`,
		"/networks/mine": `{"Name":"mine","Id":"m1"}`, "/networks/m": `{"Name":"mine","Id":"m1"}`, "/networks/broken": `{"Name":"broken","Id":"broken"}`}
	broken := errors.New("broken")
	owns := func(_ context.Context, user, engine string, kind router.Kind, name string) (bool, error) {
		if name == "broken" {
			return false, broken
		}
		return user == "alice" && engine == "local" && kind == router.Network && name == "m1", nil
	}
	for _, test := range []struct {
		role    Role
		network string
		nobody  bool
		allow   bool
		joins   bool   // that it may be joined now, too
		sent    string // in a container's body
		err     error
	}{
		{role: role("all"), network: "mine", allow: true, sent: "m1"},
		{role: role("all"), network: "m", allow: true, sent: "m1"},
		{role: role("all"), network: "theirs"},
		{role: role("all"), network: "missing", joins: true}, // the Engine says so
		{role: role("all"), network: "broken", err: broken},
		{role: role("all", "shared"), network: "shared", allow: true},
		{role: role("all", "shared"), network: "5ead", allow: true},
		{role: role("all", "theirs"), network: "5ead"},
		{role: role("all"), network: "mine", nobody: true},
		{role: role("own"), network: "theirs", allow: true},
		{role: role(""), network: "mine", nobody: true, allow: true},
	} {
		o := Options{Engines: engine, Owns: owns}
		if test.nobody {
			o.Owns = nil
		}
		p := policyOf(t, o, map[string]Role{"r": test.role})
		for target, body := range map[string]string{
			"/containers/create":                     create(`"NetworkMode":"` + test.network + `"`),
			"/networks/" + test.network + "/connect": `{"Container":"c"}`,
		} {
			call := callOf(t, "POST", target, body)
			call.Engine = "local"
			d, err := p.Authorize(t.Context(), having("r"), call)
			if want := test.allow || test.joins && target != "/containers/create"; d.Allow != want || !errors.Is(err, test.err) {
				t.Errorf("scope %q, networks %v, %s by %s: %+v, %v", test.role.Scope, test.role.Containers.Rules.Networks, test.network, target, d, err)
			}
			if got := call.Body.Root().At("HostConfig", "NetworkMode").Str(); test.sent != "" && got != test.sent && got != "" {
				t.Errorf("%s is sent as %s, not as %s", test.network, got, test.sent)
			}
		}
	}
}

// A role with scope: own leaves others' objects to be hidden, but not where
// another role makes the caller see all.
func TestScopesDoNotMix(t *testing.T) {
	role := func(scope string) Role {
		return Role{Allow: []string{"*"}, Scope: scope, Images: Images{Any: true}, Containers: Containers{Rules: ContainerRules{Limits: Limits{Memory: 64 << 20}}}}
	}
	var asked []string
	engine := enginesFunc(func(path string) ([]byte, error) {
		asked = append(asked, path)
		return []byte(`{"Id":"` + strings.Repeat("5", 64) + `","Name":"theirs","HostConfig":{}}`), nil
	})
	none := func(context.Context, string, string, router.Kind, string) (bool, error) { return false, nil }
	p := policyOf(t, Options{Engines: engine, Owns: none}, map[string]Role{"a-own": role("own"), "b-all": role("all")})
	update := func(roles ...string) (allow bool, name string) {
		call := callOf(t, "POST", "/containers/theirs/update", `{"Memory":134217728}`)
		d, err := p.Authorize(t.Context(), having(roles...), call)
		if err != nil {
			t.Fatal(err)
		}
		return d.Allow, call.Name()
	}
	if allow, name := update("a-own"); !allow || name != "theirs" || len(asked) > 0 {
		t.Errorf("of what will look missing it tells %v, asked %v, and sends %s", allow, asked, name)
	}
	if allow, _ := update("a-own", "b-all"); allow {
		t.Error("a limit is passed over")
	}
	call := callOf(t, "POST", "/containers/create", create(`"NetworkMode":"theirs"`))
	if d, err := p.Authorize(t.Context(), having("a-own", "b-all"), call); d.Allow || err != nil {
		t.Errorf("joins another's network: %+v, %v", d, err)
	}
}

type enginesFunc func(path string) ([]byte, error)

func (f enginesFunc) Get(_ context.Context, _, path string) ([]byte, error) { return f(path) }

// Of an image that lists do not show to the caller its id tells nothing, not
// even by a refusal of its own.
func TestUnseenImages(t *testing.T) {
	theirs, missing := "sha256:cafe"+strings.Repeat("2", 60), "sha256:feed"+strings.Repeat("3", 60)
	engine := engineOf{}
	for _, name := range []string{theirs, theirs[len("sha256:"):], "cafe", "sha256:cafe"} {
		engine["/images/"+name+"/json"] = `{"Id":"` + theirs + `","RepoTags":["forbidden/x:1"]}`
	}
	role := func(scope, allow string) Role {
		return Role{Allow: []string{"*"}, Scope: scope, Images: Images{Rules: []ImageRule{{Allow: allow}}}}
	}
	for _, test := range []struct {
		what    string
		role    Role
		own     bool
		differs bool
	}{
		{"another's", role("own", "docker.io/good/*"), false, false},
		{"their own", role("own", "docker.io/good/*"), true, true},
		{"for who sees all", role("all", "docker.io/good/*"), false, true},
		{"by an allowed name", role("own", "docker.io/forbidden/*"), false, true},
	} {
		p := policyOf(t, Options{Engines: engine, Owns: func(context.Context, string, string, router.Kind, string) (bool, error) {
			return test.own, nil
		}}, map[string]Role{"r": test.role})
		says := func(method, target, body string) string {
			d, err := p.Authorize(t.Context(), having("r"), callOf(t, method, target, body))
			if err != nil {
				t.Fatal(err)
			}
			return d.Subject + ": " + d.Reason
		}
		told := ""
		for _, id := range [][2]string{{theirs, missing}, {theirs[:11], missing[:11]}, {"cafe", "feed"}} {
			mounts := `{"Image":"good/x","HostConfig":{"Mounts":[{"Type":"image","Source":"%s","Target":"/x"}]}}`
			for target, body := range map[string]string{
				"/containers/create":         `{"Image":"%s"}`,
				"/v1.48/containers/create":   mounts,
				"/images/%s/tag?repo=good/y": "",
			} {
				var said [2]string
				for i, id := range id {
					said[i] = strings.ReplaceAll(says("POST", strings.ReplaceAll(target, "%s", id), strings.ReplaceAll(body, "%s", id)), id, "ID")
				}
				if said[0] != said[1] {
					told = fmt.Sprintf("%s %s by %s: %q, and of what is missing %q", target, body, id[0], said[0], said[1])
				}
			}
		}
		if (told != "") != test.differs {
			t.Errorf("%s: told of: %s", test.what, told)
		}
	}
}
