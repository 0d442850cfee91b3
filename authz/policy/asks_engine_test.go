package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moorgate/authz/identity"
	"moorgate/router"
)

// engine is a real Engine, by its unix socket.
type engine struct{ http.Client }

// realEngine is the Engine of MOORGATE_ENGINE, as `deploy/engine env` names it.
func realEngine(t *testing.T) *engine {
	t.Helper()
	path, ok := strings.CutPrefix(os.Getenv("MOORGATE_ENGINE"), "unix://")
	if !ok {
		if os.Getenv("CI") != "" {
			t.Fatal("MOORGATE_ENGINE names no Engine: run deploy/engine env")
		}
		t.Skip("needs a Docker Engine of its own: run make test, which starts one")
	}
	return &engine{http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}}
}

func (e *engine) Get(ctx context.Context, _, path string) ([]byte, error) {
	status, body, err := e.do(ctx, http.MethodGet, path)
	if err == nil && status != http.StatusOK {
		err = &router.Error{Status: status, Message: string(body)}
	}
	return body, err
}

func (e *engine) do(ctx context.Context, method, path string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	return e.send(r)
}

func (e *engine) send(r *http.Request) (int, []byte, error) {
	resp, err := e.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// allowed judges a call and sends what is made of it.
func (e *engine) allowed(t *testing.T, role Role, call *router.Call) (status int, body []byte) {
	t.Helper()
	p, err := New(map[string]Role{"r": role}, Options{Engines: e})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Authorize(t.Context(), identity.Identity{User: "alice", Roles: []string{"r"}}, call)
	if err != nil || !d.Allow {
		t.Fatalf("%+v %v", d, err)
	}
	r, err := call.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Scheme, r.URL.Host = "http", "docker"
	if r.URL.Opaque != "" {
		r.URL.Path, r.URL.Opaque = r.URL.Opaque, ""
	}
	status, body, err = e.send(r)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func (e *engine) remove(t *testing.T, path string) {
	t.Cleanup(func() { _, _, _ = e.do(context.Background(), http.MethodDelete, path) })
}

// made is what an Engine says of a container.
type made struct {
	ID         string `json:"Id"`
	HostConfig struct {
		CgroupnsMode, IpcMode, PidMode, UTSMode, UsernsMode, NetworkMode string
		Memory, MemorySwap, NanoCpus                                     int64 //nolint:revive,staticcheck // the Engine's spelling
		PidsLimit                                                        *int64
		MaskedPaths                                                      []string
	}
	NetworkSettings struct {
		Ports map[string][]struct{ HostPort string }
	}
}

func (e *engine) inspect(t *testing.T, id string) made {
	t.Helper()
	var m made
	text, err := e.Get(t.Context(), "", "/containers/"+id+"/json")
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (e *engine) created(t *testing.T, status int, body []byte) string {
	t.Helper()
	var made struct{ ID string }
	if status != http.StatusCreated || json.Unmarshal(body, &made) != nil || made.ID == "" {
		t.Fatalf("%d %s", status, body)
	}
	e.remove(t, "/containers/"+made.ID+"?force=1&v=1")
	return made.ID
}

func TestEngineTakesWhatIsCommitted(t *testing.T) {
	e := realEngine(t)
	var version struct{ APIVersion, MinAPIVersion string }
	text, err := e.Get(t.Context(), "", "/version")
	if err != nil || json.Unmarshal(text, &version) != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"/v1.24", "/v1.39", "/v1.40", "/v1.41", ""} {
		if v != "" && older(v[2:], version.MinAPIVersion) {
			continue
		}
		t.Run("API"+v, func(t *testing.T) {
			status, body := e.allowed(t, plainRole, callOf(t, "POST", v+"/containers/create", `{"Image":"busybox","Cmd":["sleep","60"]}`))
			id := e.created(t, status, body)
			m := e.inspect(t, id)
			h := m.HostConfig
			if h.CgroupnsMode != "private" || h.IpcMode != "private" || h.PidMode+h.UTSMode+h.UsernsMode != "" || len(h.MaskedPaths) == 0 {
				t.Errorf("modes: %+v", h)
			}
			if h.Memory != 2<<30 || h.NanoCpus <= 0 || h.NanoCpus > 2e9 || h.PidsLimit == nil || *h.PidsLimit != 512 || h.MemorySwap > 2<<30 {
				t.Errorf("limits: %+v", h)
			}
			if status, body, err := e.do(t.Context(), "POST", "/containers/"+id+"/start"); err != nil || status != http.StatusNoContent {
				t.Errorf("start: %d %s %v", status, body, err)
			}
			update := callOf(t, "POST", v+"/containers/"+id[:12]+"/update", `{"Memory":536870912,"PidsLimit":100,"NanoCpus":500000000}`)
			if status, body := e.allowed(t, plainRole, update); status != http.StatusOK {
				t.Errorf("update: %d %s", status, body)
			}
			if h := e.inspect(t, id).HostConfig; h.Memory != 512<<20 || h.NanoCpus != 5e8 || *h.PidsLimit != 100 && (v == "" || v >= "/v1.40") {
				t.Errorf("after the update: %+v", h)
			}
		})
	}
}

// TestEngineBoundsPorts publishes a port of the Engine's choice.
func TestEngineBoundsPorts(t *testing.T) {
	e := realEngine(t)
	role := plainRole
	role.Containers.Rules.Ports = []string{"28700-28720"}
	status, body := e.allowed(t, role, callOf(t, "POST", "/containers/create",
		`{"Image":"busybox","Cmd":["sleep","60"],"ExposedPorts":{"80/tcp":{}},"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":""}]}}}`))
	id := e.created(t, status, body)
	if status, body, err := e.do(t.Context(), "POST", "/containers/"+id+"/start"); err != nil || status != http.StatusNoContent {
		t.Fatalf("start: %d %s %v", status, body, err)
	}
	ports := e.inspect(t, id).NetworkSettings.Ports["80/tcp"]
	if len(ports) == 0 || ports[0].HostPort < "28700" || ports[0].HostPort > "28720" {
		t.Errorf("published %v", ports)
	}
}

// TestEngineTakesRecordings sends what clients sent, judged.
func TestEngineTakesRecordings(t *testing.T) {
	e := realEngine(t)
	role := plainRole
	role.Containers.Rules.Binds = []string{"/home/${user}/**"}
	role.Containers.Rules.Ports = []string{"8000-8999", "9000-9002", "127.0.0.1:*"}
	files, _ := filepath.Glob("testdata/asks/*.json")
	for _, file := range files {
		call := recorded(t, file)
		if call.Action != "container.create" || len(call.Body.Root().At("NetworkingConfig", "EndpointsConfig").Raw()) > 1000 {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			call.Version = ""
			name := fmt.Sprintf("moorgate-asks-%d-%s", os.Getpid(), strings.TrimSuffix(filepath.Base(file), ".json"))
			call.Query = url.Values{"name": {name}}
			// Networks, volumes and files of those projects are not here: none
			// of it changes what the Engine says to the rest.
			for _, edit := range []struct {
				value any
				path  []string
			}{{"none", []string{"HostConfig", "NetworkMode"}}, {nil, []string{"NetworkingConfig"}}, {nil, []string{"HostConfig", "Binds"}},
				{nil, []string{"HostConfig", "VolumesFrom"}}, {nil, []string{"HostConfig", "PortBindings"}}, {nil, []string{"HostConfig", "Mounts"}}} {
				if err := call.Body.Set(edit.value, edit.path...); err != nil {
					t.Fatal(err)
				}
			}
			status, body := e.allowed(t, role, call)
			e.created(t, status, body)
		})
	}
}

func older(a, b string) bool {
	var x, y int
	_, _ = fmt.Sscanf(a, "1.%d", &x)
	_, _ = fmt.Sscanf(b, "1.%d", &y)
	return x < y
}
