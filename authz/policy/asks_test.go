package policy

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

// answers is an Engine that answers what is written.
type answers map[string]string

func (a answers) Get(_ context.Context, _, path string) ([]byte, error) {
	if text, ok := a[path]; ok {
		return []byte(text), nil
	}
	return nil, &router.Error{Status: http.StatusNotFound, Message: "no such thing"}
}

const hostID = "5f4e6b4b8f4a8c0c1d2e3f405162738495a6b7c8d9e0f1a2b3c4d5e6f7081920"

var engineAnswers = answers{
	"/info":                    `{"NCPU":4}`,
	"/networks/5f4e":           `{"Name":"host","Id":"` + hostID + `","Driver":"host"}`,
	"/networks/" + hostID:      `{"Name":"host","Id":"` + hostID + `","Driver":"host"}`,
	"/networks/cafe":           `{"Name":"cafe","Id":"cafe","Driver":"bridge"}`,
	"/networks/n":              `{"Name":"n","Id":"own1"}`,
	"/networks/net":            `{"Name":"net","Id":"own2"}`,
	"/networks/shop_back":      `{"Name":"shop_back","Id":"own3"}`,
	"/networks/shop_front":     `{"Name":"shop_front","Id":"own4"}`,
	"/containers/bounded/json": `{"Id":"b1","HostConfig":{"Memory":1073741824,"MemorySwap":2147483648,"NanoCpus":1000000000,"PidsLimit":100}}`,
	"/containers/quota/json":   `{"Id":"q1","HostConfig":{"Memory":1073741824,"MemorySwap":-1,"CpuQuota":100000,"CpuPeriod":100000,"PidsLimit":100}}`,
	"/containers/share/json":   `{"Id":"s1","HostConfig":{"Memory":1073741824,"MemorySwap":1073741824,"CpuQuota":100000,"PidsLimit":100}}`,
	"/containers/free/json":    `{"Id":"f1","HostConfig":{"PidsLimit":null}}`,
	"/containers/box/json":     `{"Id":"x1","HostConfig":{"Memory":268435456,"NanoCpus":500000000,"PidsLimit":100}}`,
}

// plainRole is a role that names nothing of the host but what is usual.
var plainRole = Role{Allow: []string{"*"}, Scope: "all", Images: Images{Any: true}, Containers: Containers{Rules: ContainerRules{
	Limits: Limits{Memory: 2 << 30, CPUs: 2, PIDs: 512},
}}}

// openRole names some of everything.
var openRole = Role{Allow: []string{"*"}, Images: Images{Any: true}, Exec: Exec{Users: []string{"1000", "app:5", "${user}"}},
	Containers: Containers{Rules: ContainerRules{
		Binds:        []string{"/home/${user}/**", "/srv/data:ro", "/opt/*"},
		Capabilities: []string{"CAP_NET_ADMIN", "sys_ptrace"},
		Devices:      []string{"/dev/fuse", "/dev/ttyUSB*", "nvidia.com/gpu=all", "gpu"},
		Ports:        []string{"8000-8999", "127.0.0.1:*"},
		Runtimes:     []string{"runsc"},
		LogDrivers:   []string{"syslog"},
	}}}

// callOf reads a request as the front door does.
func callOf(t testing.TB, method, target, body string) *router.Call {
	t.Helper()
	var call *router.Call
	mux := router.NewMux(router.Table(), router.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request, c *router.Call) error {
		call = c
		return nil
	}))
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if call == nil {
		t.Fatalf("%s %s: %s", method, target, w.Body)
	}
	return call
}

func decide(t testing.TB, role Role, call *router.Call) (authz.Decision, error) {
	t.Helper()
	owns := func(_ context.Context, _, _ string, kind router.Kind, id string) (bool, error) {
		return kind != router.Network || strings.HasPrefix(id, "own"), nil
	}
	p, err := New(map[string]Role{"r": role}, Options{Engines: engineAnswers, Owns: owns})
	if err != nil {
		t.Fatal(err)
	}
	return p.Authorize(t.Context(), identity.Identity{User: "alice", Roles: []string{"r"}}, call)
}

// create gives the body of a create with one setting of the host.
func create(hostConfig string) string { return `{"Image":"busybox","HostConfig":{` + hostConfig + `}}` }

// TestAsksRecorded judges what real clients send for ordinary uses.
func TestAsksRecorded(t *testing.T) {
	role := plainRole
	role.Containers.Rules.Binds = []string{"/home/${user}/**"}
	role.Containers.Rules.Ports = []string{"8000-8999", "9000-9002", "127.0.0.1:*"}
	files, err := filepath.Glob("testdata/asks/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			call := recorded(t, file)
			d, err := decide(t, role, call)
			if err != nil || !d.Allow {
				t.Errorf("%+v %v", d, err)
			}
			if _, err := call.Request(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func recorded(t testing.TB, file string) *router.Call {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Request string
		Body    json.RawMessage
	}
	if err := json.Unmarshal(text, &sent); err != nil {
		t.Fatal(err)
	}
	method, target, _ := strings.Cut(sent.Request, " ")
	return callOf(t, method, target, string(sent.Body))
}

// TestAsksCommit looks at what is written into calls.
func TestAsksCommit(t *testing.T) {
	const private = `"CgroupnsMode":"private","IpcMode":"private"`
	ports := openRole
	ports.Exec = Exec{}
	alone := Role{Allow: []string{"*"}, Images: Images{Any: true}, Containers: Containers{Rules: ContainerRules{Networks: []string{"none"}}}}
	tests := []struct {
		role                Role
		request, body, want string
	}{
		{plainRole, "POST /containers/create", `{"Image":"b"}`,
			`{"Image":"b","HostConfig":{"Memory":2147483648,"MemorySwap":2147483648,"NanoCpus":2000000000,"PidsLimit":512,` + private + `}}`},
		{plainRole, "POST /containers/create", create(`"Memory":536870912,"NanoCpus":500000000,"PidsLimit":10,"CgroupnsMode":"private","IpcMode":"none"`),
			create(`"Memory":536870912,"NanoCpus":500000000,"PidsLimit":10,"CgroupnsMode":"private","IpcMode":"none"`)},
		{plainRole, "POST /containers/create", create(`"Memory":1610612736,"CpuPeriod":50000,"PidsLimit":0,"CgroupnsMode":"","IpcMode":null`),
			create(`"Memory":1610612736,"CpuPeriod":50000,"MemorySwap":2147483648,"CpuQuota":100000,"PidsLimit":512,` + private)},
		{ports, "POST /containers/create", create(`"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":[{"HostIp":"127.0.0.1"}],"82/tcp":[]}`),
			create(private + `,"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8000-8999"}],"81/tcp":[{"HostIp":"127.0.0.1"}],"82/tcp":[{"HostIp":"","HostPort":"8000-8999"}]}`)},
		{alone, "POST /containers/create", `{"Image":"b"}`, `{"Image":"b","HostConfig":{"NetworkMode":"none",` + private + `}}`},
		{alone, "POST /containers/create", create(`"NetworkMode":null`), create(`"NetworkMode":"none",` + private)},
		{alone, "POST /containers/create", create(`"NetworkMode":"container:x"`), create(`"NetworkMode":"container:x",` + private)},
		{plainRole, "POST /containers/bounded/update", `{"Memory":536870912}`, `{"Memory":536870912}`},
		{plainRole, "POST /containers/quota/update", `{"CpuQuota":150000}`, `{"CpuQuota":150000,"CpuPeriod":100000}`},
		{plainRole, "POST /containers/quota/update", `{"CpuPeriod":50000}`, `{"CpuPeriod":50000,"CpuQuota":100000}`},
		{plainRole, "POST /containers/quota/update", `{"CpuShares":2}`, `{"CpuShares":2}`},
		{plainRole, "POST /containers/quota/update", `{"CpuPeriod":100000,"CpuQuota":0}`, `{"CpuPeriod":100000,"CpuQuota":100000}`},
		{plainRole, "POST /containers/share/update", `{"CpuQuota":150000}`, `{"CpuQuota":150000,"CpuPeriod":100000}`},
		{plainRole, "POST /containers/free/update", `{"RestartPolicy":{"Name":"no"}}`,
			`{"RestartPolicy":{"Name":"no"},"Memory":2147483648,"MemorySwap":2147483648,"NanoCpus":2000000000,"PidsLimit":512}`},
		{plainRole, "POST /services/create", `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"i"}}}`,
			`{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"i"},"Resources":{"Limits":{"MemoryBytes":2147483648,"NanoCPUs":2000000000,"Pids":512}}}}`},
	}
	for _, test := range tests {
		method, target, _ := strings.Cut(test.request, " ")
		call := callOf(t, method, target, test.body)
		before := string(call.Body.Bytes())
		p, err := New(map[string]Role{"r": test.role}, Options{Engines: engineAnswers})
		if err != nil {
			t.Fatal(err)
		}
		in := &input{who: identity.Identity{User: "alice"}, call: call}
		var e edits
		no, err := p.judgeAsks(t.Context(), in, p.roles["r"], &e)
		if no != nil || err != nil {
			t.Errorf("%s: %+v %v", test.body, no, err)
			continue
		}
		if string(call.Body.Bytes()) != before {
			t.Errorf("%s: edited before commit", test.body)
		}
		if err := e.commit(call); err != nil {
			t.Errorf("%s: %v", test.body, err)
		}
		var got, want any
		_ = json.Unmarshal(call.Body.Bytes(), &got)
		_ = json.Unmarshal([]byte(test.want), &want)
		prune(got)
		prune(want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%s, want\n%s", test.body, call.Body.Bytes(), test.want)
		}
		if id, ok := map[string]string{"/containers/bounded/update": "b1", "/containers/free/update": "f1"}[target]; ok && call.Name() != id {
			t.Errorf("%s goes to %s, want %s", target, call.Name(), id)
		}
	}
}

// prune removes empty texts, which mean nothing where they are compared.
func prune(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if member == "" {
				delete(v, key)
			}
			prune(member)
		}
	case []any:
		for _, e := range v {
			prune(e)
		}
	}
}

// Where no Engine may be asked, an update is judged by itself and the rest told.
func TestUpdateOffline(t *testing.T) {
	p, err := New(map[string]Role{"r": plainRole}, Options{Engines: answers{}, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	for body, allow := range map[string]bool{`{"Memory":1048576}`: true, `{"Memory":9999999999}`: false} {
		call := callOf(t, "POST", "/containers/web/update", body)
		d, err := p.Authorize(t.Context(), identity.Identity{User: "alice", Roles: []string{"r"}}, call)
		if err != nil || d.Allow != allow || allow && !strings.Contains(d.Reason, `the Engine is asked what container "web" has`) || call.Name() != "web" {
			t.Errorf("%s: %+v %v, for %s", body, d, err, call.Name())
		}
	}
}

func TestAsksAny(t *testing.T) {
	role := Role{Allow: []string{"*"}, Images: Images{Any: true}, Containers: Containers{Any: true}}
	call := callOf(t, "POST", "/containers/create?newkey=1", create(`"Privileged":true,"NewThing":1,"Binds":["/:/host"]`))
	if d, err := decide(t, role, call); err != nil || !d.Allow || !call.PassUnknown {
		t.Errorf("%+v %v, passes unknown %v", d, err, call.PassUnknown)
	}
	unknown := plainRole
	unknown.Containers.Rules.UnknownFields = true
	call = callOf(t, "POST", "/containers/create?newkey=1", create(`"NewThing":1`))
	if d, err := decide(t, unknown, call); err != nil || !d.Allow || !call.PassUnknown {
		t.Errorf("unknown_fields: %+v %v", d, err)
	}
	if d, err := decide(t, unknown, callOf(t, "POST", "/containers/create", `{"Image":"b","Privileged":true}`)); err == nil {
		t.Errorf("host settings at the top level: %+v", d)
	}
}
