package owner

import (
	"strings"
	"testing"
)

// TestMissing holds every route that names an object against the Engine
// itself: what belongs to another is answered as what there is not.
func TestMissing(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	c := f.container("bob", "box", `"Volumes":{"/data":{}}`)
	f.expect(f.as("bob", "POST", "/containers/"+c+"/start", ""), 204)
	n := f.network("bob", "net")
	v := f.volume("bob", "vol")
	e := f.expect(f.as("bob", "POST", "/containers/"+c+"/exec", `{"Cmd":["true"]}`), 201).id()
	const nobody = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	type target struct {
		name  string // what alice calls it
		false string // what there is not
	}
	containers := []target{{c, nobody}, {c[:12], nobody[:12]}, {c[:9], nobody[:9]}, {f.mark + "box", f.mark + "none"}}
	networks := []target{{n, nobody}, {n[:12], nobody[:12]}, {f.mark + "net", f.mark + "none"}}
	volumes := []target{{v, f.mark + "none"}}
	execs := []target{{e, nobody}}
	const body = `{"Image":"` + busybox + `",`
	mine := f.container("alice", "mine", "")
	f.expect(f.as("alice", "POST", "/containers/"+mine+"/start", ""), 204) // else the Engine takes any network
	tests := []struct {
		method, path, body string
		of                 []target
	}{
		{"GET", "/containers/{}/json", "", containers},
		{"GET", "/containers/{}/top", "", containers},
		{"GET", "/containers/{}/logs?stdout=1", "", containers},
		{"GET", "/containers/{}/changes", "", containers},
		{"GET", "/containers/{}/export", "", containers},
		{"GET", "/containers/{}/stats?stream=0", "", containers},
		{"GET", "/containers/{}/archive?path=/", "", containers},
		{"HEAD", "/containers/{}/archive?path=/", "", containers},
		{"POST", "/containers/{}/attach?stream=1", "", containers},
		{"POST", "/containers/{}/resize?h=1&w=1", "", containers},
		{"POST", "/containers/{}/start", "", containers},
		{"POST", "/containers/{}/stop", "", containers},
		{"POST", "/containers/{}/restart", "", containers},
		{"POST", "/containers/{}/kill", "", containers},
		{"POST", "/containers/{}/update", `{"CpuShares":100}`, containers},
		{"POST", "/containers/{}/rename?name=x", "", containers},
		{"POST", "/containers/{}/pause", "", containers},
		{"POST", "/containers/{}/unpause", "", containers},
		{"POST", "/containers/{}/wait", "", containers},
		{"POST", "/containers/{}/exec", `{"Cmd":["true"]}`, containers},
		{"DELETE", "/containers/{}", "", containers},
		{"DELETE", "/containers/{}?force=1&v=1", "", containers},
		{"POST", "/commit?container={}", "", containers},
		{"GET", `/containers/json?filters={"since":["{}"]}`, "", containers},
		{"GET", `/containers/json?filters={"before":["{}"]}`, "", containers},
		{"GET", `/containers/json?filters={"network":["{}"]}`, "", networks},
		{"GET", `/containers/json?filters={"volume":["{}"]}`, "", volumes},
		{"POST", "/containers/create", body + `"HostConfig":{"IpcMode":"container:{}"}}`, containers},
		{"POST", "/containers/create", body + `"HostConfig":{"PidMode":"container:{}"}}`, containers},
		{"POST", "/containers/create", body + `"HostConfig":{"VolumesFrom":["{}:ro"]}}`, containers},
		{"POST", "/containers/create", body + `"HostConfig":{"Links":["{}:x"]}}`, containers},
		{"GET", "/exec/{}/json", "", execs},
		{"POST", "/exec/{}/start", `{"Detach":true}`, execs},
		{"POST", "/exec/{}/resize?h=1&w=1", "", execs},
		{"GET", "/networks/{}", "", networks},
		{"DELETE", "/networks/{}", "", networks},
		{"POST", "/networks/{}/connect", `{"Container":"` + mine + `"}`, networks},
		{"POST", "/networks/{}/disconnect", `{"Container":"` + mine + `"}`, networks},
		{"POST", "/networks/bridge/connect", `{"Container":"{}"}`, containers},
		{"POST", "/networks/bridge/disconnect", `{"Container":"{}"}`, containers},
		{"GET", "/volumes/{}", "", volumes},
		{"DELETE", "/volumes/{}", "", volumes},
		{"DELETE", "/volumes/{}?force=1", "", volumes},
	}
	for _, test := range tests {
		for _, of := range test.of {
			put := func(s, name string) string {
				s = strings.ReplaceAll(s, "{}", name)
				return strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D", "[", "%5B", "]", "%5D").Replace(s)
			}
			body := func(name string) string { return strings.ReplaceAll(test.body, "{}", name) }
			got := f.as("alice", test.method, put(test.path, of.name), body(of.name))
			want := f.direct(test.method, put(test.path, of.false), body(of.false))
			wanted := strings.ReplaceAll(want.message(), of.false, of.name)
			if test.method == "DELETE" && strings.Contains(test.path, "volumes") && want.code == 204 {
				continue // force=1: the Engine is silent about what there is not
			}
			same := f.as("alice", test.method, put(test.path, of.false), body(of.false))
			if same.code != got.code || strings.ReplaceAll(same.message(), of.false, of.name) != got.message() {
				t.Errorf("%s %s %s: alice can tell\nwhat there is not %d %s\nfrom what is bob's %d %s", test.method, put(test.path, of.name), test.body, same.code, same.message(), got.code, got.message())
			}
			if got.code != want.code || got.message() != wanted {
				t.Errorf("%s %s %s:\nalice got  %d %s\nthe Engine %d %s", test.method, put(test.path, of.name), test.body, got.code, got.message(), want.code, wanted)
			}
		}
	}
	for _, what := range []string{"/containers/" + c + "/json", "/networks/" + n, "/volumes/" + v, "/exec/" + e + "/json"} {
		f.expect(f.as("bob", "GET", what, ""), 200)
	}
}
