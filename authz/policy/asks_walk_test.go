package policy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"

	"moorgate/authz/identity"
	"moorgate/router"
)

// slowWalk is walk by the terms themselves: what is to be made of a member is
// looked up by its key.
func (j *asks) slowWalk(t *term, name string, v router.Value) *refusal {
	if t.judge != nil {
		if no := t.judge(j, name, v); no != nil {
			return no
		}
	}
	if t.each != nil {
		for element := range v.Elements() {
			if no := j.slowWalk(t.each, name, element); no != nil {
				return no
			}
		}
		for key, member := range v.Members() {
			if no := j.slowWalk(t.each, key, member); no != nil {
				return no
			}
		}
	}
	if t.members == nil {
		return nil
	}
	for key, member := range v.Members() {
		if !member.Exists() {
			continue
		}
		sub, known := t.members[key]
		switch {
		case sub == free || !known && (j.pass || member.Empty()):
		case !known:
			return refuse("containers.unknown_fields", "%.128s is not known here: leave it out", key)
		default:
			if no := j.slowWalk(sub, key, member); no != nil {
				return no
			}
		}
	}
	return nil
}

// FuzzWalk: verdicts under fields' numbers are those under their keys, in a body
// as it came, after edits, and read by no type.
func FuzzWalk(f *testing.F) {
	files, err := filepath.Glob("testdata/asks/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	actions := []string{"container.create", "container.update", "exec.create", "service.create", "network.create", "volume.create", "network.connect"}
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var sent struct{ Body json.RawMessage }
		if err := json.Unmarshal(text, &sent); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(sent.Body), uint8(i), i%2 == 0)
	}
	for i, text := range []string{
		`{"HostConfig":{"New":1,"CapAdd":["SYS_ADMIN"]}}`, `{"HostConfig":{"Memory":-1}}`, `{"Cmd":"x","Privileged":true,"Container":"a"}`,
		`{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"bind","Source":"/"}],"Privileges":{"x":1}}}}`, `{"Options":{"x":""},"IPAM":{"Config":[{"Subnet":"1.0.0.0/8"}]}}`,
		`{"DriverOpts":{"o":"bind","device":"/etc"},"Name":"x","ClusterVolumeSpec":{"Group":"g"}}`, `{"EndpointConfig":{"IPAMConfig":{"IPv4Address":"1.2.3.4"},"New":{"a":[]}}}`,
		`{"NetworkingConfig":{"EndpointsConfig":{"host":{},"n":{"MacAddress":"x","HostConfig":{"Binds":["/:/x"]}}}}}`,
	} {
		f.Add([]byte(text), uint8(i), false)
	}
	of := map[string]any{}
	for _, row := range router.Table() {
		of[row.Action] = row.Of
	}
	rules := &ContainerRules{Binds: []string{"/home/${user}/**", "/srv/data:ro"}, Ports: []string{"8000-8999"}, Limits: Limits{Memory: 2 << 30, CPUs: 2, PIDs: 512}}
	p, err := New(map[string]Role{"r": {Allow: []string{"*"}, Containers: Containers{Rules: *rules}}}, Options{Engines: engineAnswers})
	if err != nil {
		f.Fatal(err)
	}
	ping := callOf(f, "GET", "/_ping", "")
	f.Fuzz(func(t *testing.T, body []byte, which uint8, pass bool) {
		action := actions[int(which)%len(actions)]
		same := func(d *router.Document) {
			t.Helper()
			ask := func() *asks {
				call := *ping
				call.Action, call.Body = action, d
				in := &input{who: identity.Identity{User: "alice", Roles: []string{"r"}}, call: &call}
				return &asks{ctx: t.Context(), p: p, in: in, call: &call, role: p.roles["r"], rules: rules, edits: &edits{}, pass: pass}
			}
			fast, slow := ask(), ask()
			no, want := fast.walk(bodies[action].of(d.Shape()), "body", d.Root()), slow.slowWalk(bodies[action], "body", d.Root())
			if (no == nil) != (want == nil) || no != nil && *no != *want {
				t.Errorf("%s %s: %v, by the keys %v", action, d.Bytes(), no, want)
			}
			if got, want := jsonText(seen(fast)), jsonText(seen(slow)); got != want || (fast.err == nil) != (slow.err == nil) {
				t.Errorf("%s %s: seen %s %v, by the keys %s %v", action, d.Bytes(), got, fast.err, want, slow.err)
			}
		}
		d, err := router.ParseDocument(body, of[action])
		if err != nil {
			return
		}
		same(d)
		for _, edit := range []router.Edit{
			{Path: []string{"HostConfig", "Memory"}, Value: int64(1)}, {Path: []string{"Image"}, Value: "x"}, {Path: []string{"Name"}, Value: "y"},
			{Path: []string{"HostConfig", "New"}, Value: true}, {Path: []string{"HostConfig", "Mounts"}, Value: json.RawMessage(`[{"Type":"bind","New":{"x":1}}]`)},
		} {
			if d.Edit(edit) == nil {
				same(d)
			}
		}
		if d, err = router.ParseDocument(body, nil); err == nil {
			same(d)
		}
		if d, err = router.ParseDocument(body, container.HostConfig{}); err == nil {
			same(d)
		}
	})
}

// seen is what was noted of a body on the way.
func seen(j *asks) []any {
	h := j.has
	return []any{h.memory, h.swap, h.reservation, h.shm, h.nano, h.period, h.quota, h.pids, h.pidsGiven, h.privileged, h.cgroupns, h.ipc, len(h.ports)}
}
