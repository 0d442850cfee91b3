package owner

import (
	"encoding/json"
	"strings"
	"testing"

	"moorgate/authz/identity"
)

// TestFaked sends a label of moorgate's by every way on which labels come.
func TestFaked(t *testing.T) {
	const fake = `"moorgate.owner":"bob"`
	tests := []struct{ name, method, target, body string }{
		{"a container's label", "POST", "/containers/create", `{"Image":"busybox","Labels":{` + fake + `}}`},
		{"any name of moorgate's", "POST", "/containers/create", `{"Image":"busybox","Labels":{"moorgate.image":"x"}}`},
		{"a name that is not used yet", "POST", "/containers/create", `{"Image":"busybox","Labels":{"moorgate.x":""}}`},
		{"one's own name", "POST", "/containers/create", `{"Image":"busybox","Labels":{"moorgate.owner":"alice"}}`},
		{"escaped", "POST", "/containers/create", `{"Image":"busybox","Labels":{"moor\u0067ate.owner":"bob"}}`},
		{"a mount's volume", "POST", "/containers/create", `{"Image":"busybox","HostConfig":{"Mounts":[{"Type":"volume","Target":"/x","VolumeOptions":{"Labels":{` + fake + `}}}]}}`},
		{"a volume", "POST", "/volumes/create", `{"Name":"x","Labels":{` + fake + `}}`},
		{"a network", "POST", "/networks/create", `{"Name":"x","Labels":{` + fake + `}}`},
		{"a service", "POST", "/services/create", `{"Name":"x","Labels":{` + fake + `}}`},
		{"a service's containers", "POST", "/services/create", `{"Name":"x","TaskTemplate":{"ContainerSpec":{"Image":"busybox","Labels":{` + fake + `}}}}`},
		{"a service's volumes", "POST", "/services/create", `{"Name":"x","TaskTemplate":{"ContainerSpec":{"Image":"busybox","Mounts":[{"Type":"volume","VolumeOptions":{"Labels":{` + fake + `}}}]}}}`},
		{"a secret", "POST", "/secrets/create", `{"Name":"x","Labels":{` + fake + `}}`},
		{"a config", "POST", "/configs/create", `{"Name":"x","Labels":{` + fake + `}}`},
		{"a secret's update", "POST", "/secrets/s1/update?version=1", `{"Name":"x","Labels":{` + fake + `}}`},
		{"a node", "POST", "/nodes/n1/update?version=1", `{"Labels":{` + fake + `}}`},
		{"a build", "POST", "/build?labels=" + `{"moorgate.owner":"bob"}`, ""},
		{"a build's label, escaped", "POST", "/build?labels=" + `{"moor\u0067ate.seal":"x"}`, ""},
		{"a build's label, twice", "POST", "/build?labels=" + `{"a":"b","a":"c"}`, ""},
		{"a commit's body", "POST", "/commit?container=c1", `{"Labels":{` + fake + `}}`},
		{"a commit's change", "POST", "/commit?container=c1&changes=LABEL+moorgate.owner=bob", ""},
		{"a commit's change in quotes", "POST", "/commit?container=c1&changes=label+%22moorgate.owner%22=bob", ""},
		{"a commit's second change", "POST", "/commit?container=c1&changes=CMD+x&changes=LABEL+a=b+moorgate.owner=bob", ""},
		{"a commit's second line", "POST", "/commit?container=c1&changes=CMD+x%0ALABEL+moorgate.owner=bob", ""},
		{"a commit's change for builds on it", "POST", "/commit?container=c1&changes=ONBUILD+LABEL+moorgate.owner=bob", ""},
		{"a change that swallows the next", "POST", "/commit?container=c1&changes=CMD+true+%5C", ""},
		{"with space behind", "POST", "/commit?container=c1&changes=CMD+true+%5C+%0A%23+x", ""},
		{"with another escape", "POST", "/commit?container=c1&changes=CMD+true+%60", ""},
		{"a heredoc", "POST", "/commit?container=c1&changes=ONBUILD+RUN+%3C%3CEOF", ""},
		{"an import's change", "POST", "/images/create?fromSrc=-&repo=x&changes=LABEL+moorgate.owner=bob", ""},
	}
	engine := newFake()
	engine.say("/secrets/s1", `{"ID":"s1","Spec":{"Name":"x","Labels":{"moorgate.owner":"alice"}}}`)
	engine.say("/containers/c1/json", `{"Id":"c1","Name":"/c","Image":"`+imageID+`","Config":{"Labels":{"moorgate.owner":"alice","moorgate.image":"`+imageID+`"}}}`)
	for _, test := range tests {
		for _, user := range []string{"alice", "root"} {
			t.Run(test.name+" by "+user, func(t *testing.T) {
				d, err := newOwner(engine).judge(t, user, read(t, test.method, test.target, test.body))
				if d.Allow || err != nil && status(err) != 400 {
					t.Errorf("%+v, %v", d, err)
				}
				if err == nil && !strings.Contains(d.Reason, "moorgate.") && !strings.Contains(d.Reason, "goes on") {
					t.Errorf("the reason does not say what to leave out: %s", d.Reason)
				}
			})
		}
	}
}

// TestStamp looks at what is sent of what is made.
// TestBuildKit: what cannot be marked is made by those only who see everything.
func TestBuildKit(t *testing.T) {
	for _, target := range []string{"/session", "/grpc", "/build?version=2&t=mine"} {
		for user, allow := range map[string]bool{"alice": false, "root": true} {
			call := read(t, "POST", target, "")
			d, err := newOwner(newFake()).Authorize(t.Context(), identity.Identity{User: user}, call)
			if d.Allow != allow || err != nil || !allow && !strings.Contains(d.Reason, "DOCKER_BUILDKIT=0") {
				t.Errorf("%s by %s: %+v, %v", target, user, d, err)
			}
		}
	}
}

func TestStampSession(t *testing.T) {
	o := newOwner(newFake())
	call := read(t, "POST", "/containers/create", `{"Image":"busybox"}`)
	who := identity.Identity{User: "alice", Session: "s1"}
	if d, err := o.Authorize(t.Context(), who, call); !d.Allow || err != nil {
		t.Fatal(d, err)
	}
	if got := call.Body.Root().At("Labels", "moorgate.session").Str(); got != "s1" {
		t.Errorf("a terminal's container is of session %q: %s", got, call.Body.Bytes())
	}
}

func TestStamp(t *testing.T) {
	engine := newFake()
	engine.say("/containers/c1/json", `{"Id":"c1","Name":"/c","Image":"`+imageID+`","Config":{"Labels":{"moorgate.owner":"alice","moorgate.image":"`+imageID+`"}}}`)
	engine.say("/services/s1", `{"ID":"s1","Spec":{"Name":"web","Labels":{"moorgate.owner":"alice"}}}`)
	engine.say("/services/s2", `{"ID":"s2","Spec":{"Name":"old"}}`)
	o := newOwner(engine)
	seal := o.memory.sealOf("alice")
	tests := []struct{ name, user, method, target, body, query, want string }{
		{"a container", "alice", "POST", "/containers/create", `{"Image":"busybox"}`, "",
			`{"Labels":{"moorgate.owner":"alice","moorgate.image":"` + imageID + `"},"Image":"` + imageID + `"}`},
		{"beside other labels", "alice", "POST", "/containers/create", `{"Image":"busybox","Labels":{"a":"b"}}`, "",
			`{"Image":"` + imageID + `","Labels":{"moorgate.owner":"alice","moorgate.image":"` + imageID + `","a":"b"}}`},
		{"with null for labels", "alice", "POST", "/containers/create", `{"Image":"busybox","Labels":null}`, "",
			`{"Image":"` + imageID + `","Labels":{"moorgate.owner":"alice","moorgate.image":"` + imageID + `"}}`},
		{"an administrator's", "root", "POST", "/containers/create", `{"Image":"busybox"}`, "",
			`{"Labels":{"moorgate.owner":"root","moorgate.image":"` + imageID + `"},"Image":"busybox"}`},
		{"a volume without a name", "alice", "POST", "/containers/create", `{"Image":"busybox","HostConfig":{"Mounts":[{"Type":"volume","Target":"/x","New":1}]}}`, "",
			`{"Labels":{"moorgate.owner":"alice","moorgate.image":"` + imageID + `"},"Image":"` + imageID + `","HostConfig":{"Mounts":[{"New":1,"Target":"/x","Type":"volume","VolumeOptions":{"Labels":{"moorgate.owner":"alice"}}}]}}`},
		{"a volume", "alice", "POST", "/volumes/create", `{"Name":"v"}`, "", `{"Labels":{"moorgate.owner":"alice"},"Name":"v"}`},
		{"a network", "alice", "POST", "/networks/create", `{"Name":"n"}`, "", `{"Labels":{"moorgate.owner":"alice"},"CheckDuplicate":true,"Name":"n"}`},
		{"a secret", "alice", "POST", "/secrets/create", `{"Name":"s"}`, "", `{"Labels":{"moorgate.owner":"alice"},"Name":"s"}`},
		{"a config", "alice", "POST", "/configs/create", `{"Name":"s"}`, "", `{"Labels":{"moorgate.owner":"alice"},"Name":"s"}`},
		{"a service", "alice", "POST", "/services/create", `{"Name":"s","TaskTemplate":{"ContainerSpec":{"Image":"busybox"}}}`, "",
			`{"Labels":{"moorgate.owner":"alice"},"Name":"s","TaskTemplate":{"ContainerSpec":{"Labels":{"moorgate.owner":"alice"},"Image":"busybox"}}}`},
		{"a service's update by its owner", "alice", "POST", "/services/s1/update?version=1", `{"Name":"web","Labels":{"moorgate.owner":"alice"}}`, "",
			`{"Name":"web","Labels":{"moorgate.owner":"alice"}}`},
		{"one that leaves the label out", "alice", "POST", "/services/s1/update?version=1", `{"Name":"web"}`, "",
			`{"Labels":{"moorgate.owner":"alice"},"Name":"web"}`},
		{"by an administrator it stays its owner's", "root", "POST", "/services/s1/update?version=1", `{"Name":"web"}`, "",
			`{"Labels":{"moorgate.owner":"alice"},"Name":"web"}`},
		{"what is nobody's stays nobody's", "root", "POST", "/services/s2/update?version=1", `{"Name":"old"}`, "", `{"Name":"old"}`},
		{"a build", "alice", "POST", `/build?labels={"a":"b"}`, "", "labels", `{"a":"b","moorgate.owner":"alice","moorgate.seal":"` + seal + `"}`},
		{"a build without labels", "alice", "POST", `/build`, "", "labels", `{"moorgate.owner":"alice","moorgate.seal":"` + seal + `"}`},
		{"a build of whom the Engine cannot quote", "o'brien", "POST", `/build`, "", "labels", `{"moorgate.seal":""}`}, // nor the base image's
		{"a commit", "alice", "POST", `/commit?container=c1&changes=CMD+x`, "", "changes",
			"CMD x\nLABEL \"moorgate.owner\"=\"alice\" \"moorgate.seal\"=\"" + seal + `"`},
		{"an import", "alice", "POST", `/images/create?fromSrc=-&repo=mine`, "", "changes",
			"LABEL \"moorgate.owner\"=\"alice\" \"moorgate.seal\"=\"" + seal + `"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			call := read(t, test.method, test.target, test.body)
			if d, err := o.judge(t, test.user, call); !d.Allow || err != nil {
				t.Fatalf("%+v, %v", d, err)
			}
			query, body := sent(t, call)
			if test.query != "" {
				body = strings.Join(query[test.query], "\n")
			}
			if body != test.want {
				t.Errorf("sent\n%s\nwant\n%s", body, test.want)
			}
		})
	}
}

// TestQuoted makes labels of names that Dockerfiles would read otherwise.
func TestQuoted(t *testing.T) {
	for user, want := range map[string]string{
		"alice": `"alice"`, `a"b`: `"a\"b"`, `a$b`: `"a\$b"`, `a\`: `"a\\"`, "a'b c": `"a'b c"`,
	} {
		if got := quoted(user); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
}

// TestInherited makes images that claim an owner and containers of them beside
// moorgate: nobody owns what an image alone says is theirs.
func TestInherited(t *testing.T) {
	t.Parallel()
	f := real(t)
	f.watch()
	base := f.container("root", "base", "")
	var image struct{ ID string }
	a := f.direct("POST", "/commit?container="+base+"&repo="+f.mark+"evil&changes=LABEL+moorgate.owner=alice+moorgate.image="+imageID+"+moorgate.seal=x", "")
	f.expect(a, 201)
	_ = json.Unmarshal([]byte(a.text), &image)
	t.Cleanup(func() { f.direct("DELETE", "/images/"+f.mark+"evil", "") })
	made := f.direct("POST", "/containers/create?name="+f.mark+"evil", `{"Image":"`+f.mark+`evil","Cmd":["true"]}`)
	f.expect(made, 201)
	t.Cleanup(func() { f.direct("DELETE", "/containers/"+made.id()+"?force=1", "") })
	f.expect(f.as("alice", "GET", "/containers/"+made.id()+"/json", ""), 404)
	f.expect(f.as("alice", "DELETE", "/containers/"+made.id(), ""), 404)
	f.expect(f.as("alice", "DELETE", "/images/"+f.mark+"evil", ""), 403)
	f.expect(f.as("root", "GET", "/containers/"+made.id()+"/json", ""), 200)

	// Of the same image through moorgate, whoever makes it owns it.
	mine := f.as("bob", "POST", "/containers/create?name="+f.mark+"good", `{"Image":"`+f.mark+`evil","Cmd":["true"]}`)
	f.expect(mine, 201)
	t.Cleanup(func() { f.direct("DELETE", "/containers/"+mine.id()+"?force=1", "") })
	f.expect(f.as("bob", "GET", "/containers/"+mine.id()+"/json", ""), 200)
	f.expect(f.as("alice", "GET", "/containers/"+mine.id()+"/json", ""), 404)

	// What bob commits is bob's, whatever its changes make of names.
	c := f.as("bob", "POST", "/commit?container="+mine.id()+"&repo="+f.mark+"mine&changes=ENV+K=moorgate.owner&changes=LABEL+$K=alice", "")
	f.expect(c, 201)
	t.Cleanup(func() { f.direct("DELETE", "/images/"+f.mark+"mine?force=1", "") })
	var inspected struct {
		Config struct{ Labels map[string]string }
	}
	_ = json.Unmarshal([]byte(f.direct("GET", "/images/"+f.mark+"mine/json", "").text), &inspected)
	if got := inspected.Config.Labels[Label]; got != "bob" {
		t.Errorf("the image's label names %q", got)
	}
	f.expect(f.as("alice", "DELETE", "/images/"+f.mark+"mine", ""), 403)
	f.expect(f.as("bob", "DELETE", "/images/"+f.mark+"mine", ""), 200)
}
