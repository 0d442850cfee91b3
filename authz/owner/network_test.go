package owner

import (
	"strings"
	"testing"

	"moorgate/authz/identity"
)

// TestNetworks: names of networks are taken once, and containers join their
// owner's only, by the id that was found.
func TestNetworks(t *testing.T) {
	t.Parallel()
	f := real(t, func(o *Options) {
		o.Shares = func(_ identity.Identity, _, network string) bool { return strings.HasSuffix(network, "-proxy") }
	})
	f.watch()
	net := f.mark + "net"
	bobs := f.network("bob", "net")
	for _, version := range []string{"", "/v1.41"} {
		for _, check := range []string{"", `,"CheckDuplicate":true`, `,"CheckDuplicate":false`} {
			a := f.as("alice", "POST", version+"/networks/create", `{"Name":"`+net+`"`+check+`}`)
			if a.code != 409 || a.message() != "network with name "+net+" already exists" || strings.Contains(a.text, bobs) {
				t.Errorf("%s %s: %d %s", version, check, a.code, a.text)
			}
		}
	}
	f.expect(f.as("bob", "POST", "/v1.41/networks/create", `{"Name":"`+net+`"}`), 409) // one's own counts as well
	mine := f.network("alice", "mine")
	proxy := f.network("root", "proxy")
	for _, test := range []struct {
		fields string
		code   int
		joined string // the network that the container is to be in
	}{
		{`"HostConfig":{"NetworkMode":"` + net + `"}`, 404, ""},
		{`"HostConfig":{"NetworkMode":"` + bobs[:12] + `"}`, 404, ""},
		{`"HostConfig":{"NetworkMode":"` + bobs + `"},"NetworkingConfig":{"EndpointsConfig":{"` + bobs + `":{}}}`, 404, ""},
		{`"NetworkingConfig":{"EndpointsConfig":{"` + net + `":{}}}`, 404, ""},
		{`"HostConfig":{"NetworkMode":"` + f.mark + `mine"},"NetworkingConfig":{"EndpointsConfig":{"` + f.mark + `mine":{"NetworkID":"` + bobs + `"}}}`, 404, ""},
		{`"HostConfig":{"NetworkMode":"` + f.mark + `mine"}`, 201, mine},
		{`"HostConfig":{"NetworkMode":"` + f.mark + `mine"},"NetworkingConfig":{"EndpointsConfig":{"` + f.mark + `mine":{"Aliases":["x"]}}}`, 201, mine},
		{`"HostConfig":{"NetworkMode":"` + f.mark + `proxy"}`, 201, proxy},
		{`"HostConfig":{"NetworkMode":"bridge"}`, 201, ""},
		{`"HostConfig":{"NetworkMode":"none"}`, 201, ""},
		{`"HostConfig":{"NetworkMode":"default"}`, 201, ""},
	} {
		a := f.as("alice", "POST", "/v1.41/containers/create", box(test.fields))
		if a.code != test.code {
			t.Errorf("%s: %d %s, want %d", test.fields, a.code, a.text, test.code)
		}
		if a.code != 201 {
			continue
		}
		t.Cleanup(func() { f.direct("DELETE", "/containers/"+a.id()+"?force=1", "") })
		if s := f.as("alice", "POST", "/containers/"+a.id()+"/start", ""); s.code != 204 {
			t.Errorf("%s starts: %d %s", test.fields, s.code, s.text)
		}
		if got := f.direct("GET", "/containers/"+a.id()+"/json", ""); test.joined != "" && !strings.Contains(got.text, `"NetworkID":"`+test.joined) {
			t.Errorf("%s: it is not in %s", test.fields, test.joined)
		}
		f.direct("DELETE", "/containers/"+a.id()+"?force=1", "")
	}
	// What is shared may be joined, not taken away.
	f.expect(f.as("alice", "DELETE", "/networks/"+f.mark+"proxy", ""), 404)
	f.expect(f.as("bob", "DELETE", "/networks/"+bobs[:12], ""), 204)
}

// TestAmbiguous: what begins several ids of one's own is refused as the Engine
// refuses it; ids of others do not count.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	first := map[byte]string{}
	var prefix string
	for prefix == "" { // 17 at most
		id := f.container("alice", "", "")
		if first[id[0]] != "" {
			prefix = id[:1]
		}
		first[id[0]] = id
	}
	path := "/containers/" + prefix + "/json"
	if got, want := f.as("alice", "GET", path, ""), f.direct("GET", path, ""); got != want {
		t.Errorf("alice got  %d %s\nthe Engine %d %s", got.code, got.text, want.code, want.text)
	}
	body := box(`"HostConfig":{"IpcMode":"container:` + prefix + `"}`)
	if got, want := f.as("alice", "POST", "/containers/create", body), f.direct("POST", "/containers/create", body); got != want {
		t.Errorf("alice got  %d %s\nthe Engine %d %s", got.code, got.text, want.code, want.text)
	}
	// For bob, who has one, alice's ids make nothing ambiguous.
	bob := f.mark + "bob" // other tests give bob containers
	mine := f.container(bob, "", "")
	if got := f.as(bob, "GET", "/containers/"+mine[:1]+"/json", ""); got.code != 200 || got.id() != mine {
		t.Errorf("bob names %s by its first digit: %d %.100s", mine, got.code, got.text)
	}
}
