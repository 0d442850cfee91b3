package router

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/volume"
)

// A line of text, the type that the Engine decodes it into, and what is said
// of it; "" where it is taken.
type document struct {
	text string
	of   any
	want string
}

func (d document) check(t *testing.T) {
	t.Helper()
	got, err := ParseDocument([]byte(d.text), d.of)
	if d.want != "" {
		refused(t, shorten(d.text), err, 400, d.want)
		return
	}
	if err != nil {
		t.Errorf("%s: %v", shorten(d.text), err)
		return
	}
	if string(got.Bytes()) != d.text {
		t.Errorf("%s: became %s", shorten(d.text), got.Bytes())
	}
}

func shorten(s string) string { return fmt.Sprintf("%.100s", s) }

var create = container.CreateRequest{}

// abuse.md, JSON bodies: keys that differ in case only, Unicode folds, raw or
// escaped, duplicate objects.
func TestAbuseJSONKeys(t *testing.T) {
	for _, d := range []document{
		{`{"Image":"a","Cmd":["b"]}`, create, ""},
		{`{"Image":"a","Image":"b"}`, create, "Image is written twice"},
		{`{"Image":"a","Image":"a"}`, create, "Image is written twice"},
		{`{"Image":"a","image":"b"}`, create, "image is not spelled as the Engine spells it: write Image"},
		{`{"image":"b"}`, create, "write Image"},
		{`{"HOSTCONFIG":{}}`, create, "write HostConfig"},
		{`{"HostConfig":{"privileged":true}}`, create, "HostConfig.privileged is not spelled as the Engine spells it: write Privileged"},
		{`{"Hoſtname":"a"}`, create, "write Hostname"},
		{`{"HoſtConfig":{"Privileged":true}}`, create, "write HostConfig"},
		{`{"HostConfig":{"\u004binks":[]}}`, create, ""}, // Kinks: an unknown field, as good as any
		{`{"HostConfig":{"Lin\u212as":["a:b"]}}`, create, "write Links"},
		{"{\"HostConfig\":{\"Lin\u212as\":[\"a:b\"]}}", create, "write Links"},
		{`{"HostConfig":{"Bind\u017f":["/:/x"]}}`, create, "write Binds"},
		{`{"\u0049mage":"a"}`, create, ""},
		{`{"\u0049mage":"a","Image":"b"}`, create, "Image is written twice"},
		{`{"Image":"b","\u0049mage":"a"}`, create, "Image is written twice"},
		{`{"HostConfig":{"Binds":[]},"HostConfig":{"Privileged":true}}`, create, "HostConfig is written twice"},
		{`{"HostConfig":{"Binds":[]},"\u0048ostConfig":{}}`, create, "HostConfig is written twice"},
		{`{"HostConfig":{"Mounts":[{"Type":"bind","type":"volume"}]}}`, create, "HostConfig.Mounts[0].type is not spelled"},
		{`{"HostConfig":{"Mounts":[{},{"VolumeOptions":{"DriverConfig":{"Name":"a","Name":"b"}}}]}}`, create,
			"HostConfig.Mounts[1].VolumeOptions.DriverConfig.Name is written twice"},
		{`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostIP":"1.2.3.4"}]}}}`, create, "HostConfig.PortBindings.80/tcp[0].HostIP"},
		{`{"NetworkingConfig":{"EndpointsConfig":{"a":{"IPAMConfig":{},"ipamconfig":{}}}}}`, create, "write IPAMConfig"},

		// Maps: the caller's own keys.
		{`{"Labels":{"a":"1","A":"2","ſ":"3","s":"4","K":"5","k":"6"}}`, create, ""},
		{`{"Labels":{"a":"1","a":"2"}}`, create, "Labels.a is written twice"},
		{`{"Labels":{"a":"1","\u0061":"2"}}`, create, "Labels.a is written twice"},
		{`{"HostConfig":{"Sysctls":{"a":"1","A":"2"}}}`, create, ""},
		{`{"HostConfig":{"Sysctls":{"a":"1","a":"2"}}}`, create, "HostConfig.Sysctls.a is written twice"},
		{`{"Volumes":{"/a":{},"/A":{}},"ExposedPorts":{"1/tcp":{}}}`, create, ""},
		{`{"Volumes":{"/a":{},"/a":{}}}`, create, "Volumes./a is written twice"},
		{`{"HostConfig":{"PortBindings":{"1/tcp":[],"1/TCP":[]}}}`, create, ""},
		{`{"HostConfig":{"PortBindings":{"1/tcp":[],"1/tcp":[]}}}`, create, "HostConfig.PortBindings.1/tcp is written twice"},
		{`{"NetworkingConfig":{"EndpointsConfig":{"Net":{},"net":{}}}}`, create, ""},
		{`{"NetworkingConfig":{"EndpointsConfig":{"net":{},"net":{}}}}`, create, "is written twice"},
		{`{"Labels":{"":"1"}}`, create, ""},
		{`{"Labels":{"":"1","":"2"}}`, create, `Labels."" is written twice`},
		{`{"Labels":{` + many(100, `"%d":""`) + `,"99":""}}`, create, "Labels.99 is written twice"},
		{`{"Labels":{` + many(100, `"%d":""`) + `}}`, create, ""},

		// What no type knows: as unique as a struct's.
		{`{"New":{"a":1,"b":2}}`, create, ""},
		{`{"New":{"a":1,"A":2}}`, create, "New.A is written twice"},
		{`{"New":1,"new":2}`, create, "new is written twice"},
		{`{"New":[{"x":{"k":1,"\u212a":2}}]}`, create, "is written twice"},
		{`{"a":{"":1,"":2}}`, nil, `a."" is written twice`},
		{`{"":{"a":01}}`, nil, "begins with 0"},
		{`{"":01}`, create, "begins with 0"},
		{`{"a":{"":{"":[01]}}}`, create, "begins with 0"},
		{`{"a":1,"A":2}`, nil, "A is written twice"},
		{`{"a":{"b":1,"c":[{"a":1}]},"b":2,"c":3}`, nil, ""}, // the same names at several depths
		{`{"a":{"b":1},"b":2,"a":3}`, nil, "a is written twice"},

		// Other bodies.
		{`{"Cmd":["a"],"Privileged":true,"privileged":false}`, execCreate{}, "write Privileged"},
		{`{"Labels":{"a":"1","A":"2"},"DriverOpts":{"o":"1","O":"2"}}`, volume.CreateOptions{}, ""},
		{`{"Name":"a","name":"b"}`, volume.CreateOptions{}, "write Name"},
		{`{"Container":"a","CONTAINER":"b"}`, network.ConnectOptions{}, "write Container"},
		{`{"Name":"a","Annotations":{}}`, swarmapi.ServiceSpec{}, ""},
		{`{"Labels":{"a":"1"},"labels":{}}`, swarmapi.ServiceSpec{}, "write Labels"},
		{`{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Source":"a","source":"/"}]}}}`, swarmapi.ServiceSpec{},
			"TaskTemplate.ContainerSpec.Mounts[0].source"},
	} {
		d.check(t)
	}
}

// abuse.md, JSON bodies: trailing data, BOM, wrong types, null where it
// changes meaning.
func TestAbuseJSONText(t *testing.T) {
	for _, d := range []document{
		{``, create, "the end at byte 0 where a value should be"},
		{` `, create, "the end"},
		{"\ufeff{}", create, `'\ufeff' at byte 0 where a value should be`},
		{"\xef\xbb{}", create, "the byte 0xef at byte 0"},
		{`{}{}`, create, "'{' at byte 2 after the JSON value: send one value"},
		{`{} }`, create, "'}' at byte 3 after"},
		{`{} x`, create, "'x' at byte 3 after"},
		{"{}\x00", create, `'\x00' at byte 2 after`},
		{"{}\v", create, "after the JSON value"},
		{"{}\u00a0", create, "after the JSON value"},
		{"{}//", create, "after the JSON value"},
		{`{} null`, create, "after the JSON value"},
		{" \t\r\n{ } \n", create, ""},
		{`{`, create, "the end at byte 1 where a string should be"},
		{`{"Image"`, create, "where a colon should be"},
		{`{"Image":`, create, "where a value should be"},
		{`{"Image":"a"`, create, "where , or } should be"},
		{`{"Image":"a",}`, create, "'}' at byte 13 where a string should be"},
		{`{,}`, create, "where a string should be"},
		{`{Image:"a"}`, create, "where a string should be"},
		{`{'Image':"a"}`, create, "where a string should be"},
		{`{/**/}`, create, "where a string should be"},
		{`[`, nil, "where a value should be"},
		{`[1`, nil, "where , or ] should be"},
		{`[1,]`, nil, "where a value should be"},
		{`["a":1]`, nil, "where , or ] should be"},
		{`"`, nil, "where the end of the string should be"},
		{`"\`, nil, "where an escape should be"},
		{`"\x41"`, nil, "where an escape should be"},
		{`"\u12"`, nil, "where four hex digits should be"},
		{`"\u+123"`, nil, "where four hex digits should be"},
		{`"\u00_0"`, nil, "where four hex digits should be"},
		{"\"\n\"", nil, `control character at byte 1: write it as \u000a`},
		{"\"\x00\"", nil, `write it as \u0000`},
		{"\"\x7f\"", nil, ""},
		{`"\u0000\"\\\/\b\f\n\r\t"`, nil, ""},
		{"\"\xff\"", nil, "is no UTF-8"},
		{"\"\xc0\x80\"", nil, "is no UTF-8"},
		{"\"\xed\xa0\x80\"", nil, "is no UTF-8"},
		{"{\"Labels\":{\"a\xff\":\"\"}}", create, "is no UTF-8"},
		{`"\ud800"`, nil, "half a surrogate pair"},
		{`"\udc00\ud800"`, nil, "half a surrogate pair"},
		{`"\ud800\ud800"`, nil, "half a surrogate pair"},
		{`"\ud800A"`, nil, "half a surrogate pair"},
		{`"\ud800\u12"`, nil, "four hex digits"},
		{`"\ud83d\ude00"`, nil, ""},
		{`{"\ud800":1}`, nil, "half a surrogate pair"},
		{`"\ufffd�"`, nil, ""},
		{`tru`, nil, "where true should be"}, {`nul`, nil, "where null should be"}, {`True`, nil, "where a value should be"},
		{`truefalse`, nil, "after the JSON value"},
		{`01`, nil, "begins with 0"}, {`-01`, nil, "begins with 0"}, {`1.`, nil, "where a digit should be"},
		{`.5`, nil, "where a value should be"}, {`+1`, nil, "where a value should be"}, {`-`, nil, "where a value should be"},
		{`1e`, nil, "where a digit should be"}, {`1e+`, nil, "where a digit should be"}, {`NaN`, nil, "where a value should be"},
		{`-Infinity`, nil, "where a value should be"}, {`0x10`, nil, "after the JSON value"}, {`1_0`, nil, "after the JSON value"},
		{`-0`, nil, ""}, {`0e0`, nil, ""}, {`1E+9`, nil, ""}, {`-1.5e-3`, nil, ""},

		{`null`, create, ""},
		{`[]`, create, "request body: it is a list: write an object"},
		{`"a"`, create, "it is a string: write an object"},
		{`1`, create, "it is 1: write an object"},
		{`true`, create, "it is true: write an object"},
		{`{}`, []string{}, "it is an object: write a list"},
		{`{"HostConfig":[]}`, create, "HostConfig is a list: write an object"},
		{`{"HostConfig":"a"}`, create, "HostConfig is a string: write an object"},
		{`{"HostConfig":{"Binds":"/:/x"}}`, create, "HostConfig.Binds is a string: write a list"},
		{`{"HostConfig":{"Binds":{"a":1}}}`, create, "HostConfig.Binds is an object: write a list"},
		{`{"HostConfig":{"Binds":[1]}}`, create, "HostConfig.Binds[0] is 1: write a string"},
		{`{"HostConfig":{"Binds":[["/:/x"]]}}`, create, "HostConfig.Binds[0] is a list: write a string"},
		{`{"HostConfig":{"Privileged":"false"}}`, create, "HostConfig.Privileged is a string: write true or false"},
		{`{"HostConfig":{"Privileged":1}}`, create, "HostConfig.Privileged is 1: write true or false"},
		{`{"HostConfig":{"Privileged":[]}}`, create, "write true or false"},
		{`{"Image":1}`, create, "Image is 1: write a string"},
		{`{"Image":true}`, create, "Image is true: write a string"},
		{`{"Labels":[]}`, create, "Labels is a list: write an object"},
		{`{"Labels":{"a":1}}`, create, "Labels.a is 1: write a string"},
		{`{"HostConfig":{"Memory":"1g"}}`, create, "HostConfig.Memory is a string: write a whole number"},
		{`{"HostConfig":{"Memory":1.5}}`, create, "HostConfig.Memory is 1.5: write a whole number"},
		{`{"HostConfig":{"Memory":1e9}}`, create, "HostConfig.Memory is 1e9: write a whole number"},
		{`{"HostConfig":{"Memory":1.0}}`, create, "write a whole number"},
		{`{"HostConfig":{"Memory":9223372036854775807}}`, create, ""},
		{`{"HostConfig":{"Memory":9223372036854775808}}`, create, "write a whole number of at most 64 bits"},
		{`{"HostConfig":{"Memory":-9223372036854775808}}`, create, ""},
		{`{"HostConfig":{"Memory":1` + strings.Repeat("0", 5000) + `}}`, create, "is 10000000000000000000000000000000...: write a whole number of at most"},
		{`{"HostConfig":{"BlkioWeight":65536}}`, create, "at most 16 bits"},
		{`{"HostConfig":{"BlkioWeight":-1}}`, create, "HostConfig.BlkioWeight is -1: write a whole number, 0 or more"},
		{`{"HostConfig":{"BlkioWeight":-0}}`, create, "0 or more"},
		{`{"HostConfig":{"ConsoleSize":[24,80]}}`, create, ""},
		{`{"HostConfig":{"ConsoleSize":[24]}}`, create, ""},
		{`{"HostConfig":{"ConsoleSize":[24,80,1]}}`, create, "HostConfig.ConsoleSize is a list of more than 2 values"},
		{`{"HostConfig":{"CapAdd":{}}}`, create, "HostConfig.CapAdd is an object: write a list of strings"},
		{`{"HostConfig":{"CapAdd":["ALL",1]}}`, create, "HostConfig.CapAdd[1] is 1: write a string"},
		{`{"Cmd":true}`, create, "Cmd is true: write a list of strings"},
		{`{"Image":null,"HostConfig":null,"Labels":null,"Cmd":null,"HostConfig2":null}`, create, ""},
		{`{"HostConfig":{"Binds":[null],"Mounts":[null],"Privileged":null,"Memory":null}}`, create, ""},
		{`{"TaskTemplate":{"Placement":{"MaxReplicas":1e400}}}`, swarmapi.ServiceSpec{}, "write a whole number"},
		{`{"UpdateConfig":{"MaxFailureRatio":0.5}}`, swarmapi.ServiceSpec{}, ""},
		{`{"UpdateConfig":{"MaxFailureRatio":"0.5"}}`, swarmapi.ServiceSpec{}, "UpdateConfig.MaxFailureRatio is a string: write a number"},
		{`{"UpdateConfig":{"MaxFailureRatio":1e39}}`, swarmapi.ServiceSpec{}, "is 1e39: write a smaller number"},
		{`{"Data":"aGk=","Labels":{}}`, swarmapi.SecretSpec{}, ""},
		{`{"Data":[104,105]}`, swarmapi.SecretSpec{}, "Data is a list: write a string"},
		{`[{"Name":"a","Value":["b"]},{"Name":"a","name":"b"}]`, types.PluginPrivileges{}, "[1].name is not spelled"},
		{`{"Orchestration":null,"TaskDefaults":[]}`, swarmapi.Spec{}, "TaskDefaults is a list: write an object"},
		{"{\"a\x1b[31m\":01}", nil, "control character"},
		{`{"a\u001b[31m\u0085":01}`, nil, `"a\x1b[31m\u0085" the number`},
	} {
		d.check(t)
	}
}

// abuse.md, JSON bodies: huge depth or size.
func TestAbuseJSONSize(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	document{nested(maxDepth + 1), nil, ""}.check(t)
	document{nested(maxDepth + 2), nil, "nested deeper than 64 levels"}.check(t)
	document{strings.Repeat("[", MaxDocument), nil, "nested deeper"}.check(t)
	document{strings.Repeat(`{"":`, MaxDocument/4), create, "nested deeper"}.check(t)
	document{"[" + strings.Repeat("0,", maxValues-2) + "0]", nil, ""}.check(t)
	document{"[" + strings.Repeat("0,", maxValues-1) + "0]", nil, "more than 65536 values"}.check(t)
	document{"{" + many(maxValues, `"%d":0`) + "}", nil, "more than 65536 values"}.check(t)

	long := `{"Env":["` + strings.Repeat("a", MaxDocument-20) + `"]}`
	document{long, create, ""}.check(t)
	_, err := ParseDocument([]byte(long+strings.Repeat(" ", 100)), create)
	refused(t, "a long body", err, 413, "over 4194304 bytes")

	key := strings.Repeat("ü", 1000)
	_, err = ParseDocument([]byte(`{"a":{"`+key+`":{"b":01}}}`), nil)
	if e := new(Error); !errors.As(err, &e) || len(e.Message) > 400 || strings.Contains(e.Message, "\ufffd") {
		t.Errorf("a long key is not kept short in %v", err)
	}
}

// many joins n numbered spellings of pattern by commas.
func many(n int, pattern string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(pattern, i)
	}
	return strings.Join(parts, ",")
}

// What SDKs spell otherwise, and what the Engine takes in two shapes, is sent
// in one.
func TestDocumentRespells(t *testing.T) {
	for _, tt := range []struct {
		text string
		of   any
		want string
	}{
		{`{"detachKeys":"ctrl-a","Cmd":["a"]}`, execCreate{}, `{"DetachKeys":"ctrl-a","Cmd":["a"]}`},
		{`{"\u0064etachKeys":"a","X":1}`, execCreate{}, `{"DetachKeys":"a","X":1}`},
		{`{"HostConfig":{"CPURealtimePeriod":1,"CPURealtimeRuntime":2}}`, create, `{"HostConfig":{"CpuRealtimePeriod":1,"CpuRealtimeRuntime":2}}`},
		{`{"detachKeys":"a","DetachKeys":"b"}`, execCreate{}, "!DetachKeys is written twice"},
		{`{"DetachKeys":"a","detachKeys":"b"}`, execCreate{}, "!detachKeys is written twice"},
		{`{"TaskTemplate":{"PluginSpec":{"Name":"a","Remote":"b","Disabled":true},"ContainerSpec":{"HealthCheck":{}}}}`, swarmapi.ServiceSpec{},
			`{"TaskTemplate":{"PluginSpec":{"name":"a","remote":"b","disabled":true},"ContainerSpec":{"Healthcheck":{}}}}`},
		{`{"TaskTemplate":{"PluginSpec":{"Name":"a","name":"b"}}}`, swarmapi.ServiceSpec{}, "!TaskTemplate.PluginSpec.name is written twice"},
		{`{"Healthcheck":{},"HealthCheck":{"Test":["CMD","x"]}}`, create, "!HealthCheck is written twice"},
		{`{"name":"b"}`, volume.CreateOptions{}, "!write Name"},
		{`{"detachkeys":"a"}`, execCreate{}, "!write DetachKeys"},
		{`{"detachKeys":"a"}`, nil, `{"detachKeys":"a"}`},
		{`{"Cmd":"date","Entrypoint":"","Shell":null}`, create, `{"Cmd":["date"],"Entrypoint":[""],"Shell":null}`},
		{`{"HostConfig":{"CapAdd":"ALL","CapDrop":"\u0041"}}`, create, `{"HostConfig":{"CapAdd":["ALL"],"CapDrop":["\u0041"]}}`},
		{`{"HostConfig":{"CapAdd":["ALL"]}}`, create, `{"HostConfig":{"CapAdd":["ALL"]}}`},
	} {
		d, err := ParseDocument([]byte(tt.text), tt.of)
		got := ""
		if err == nil {
			got = string(d.Bytes())
		}
		checkName(t, tt.text, got, err, tt.want)
	}
}

// usualRun stops where a byte does not stand for itself, wherever it is among
// eight.
func TestUsualRun(t *testing.T) {
	naive := func(text string) int {
		n := 0
		for n < len(text) && usualByte[text[n]] {
			n++
		}
		return n
	}
	for c := range 256 {
		for before := range 18 {
			for _, after := range []string{"", "a", "\"", "\x00\xff", strings.Repeat("~", 9), strings.Repeat("\x01", 9)} {
				for _, fill := range []string{"a", " ", "!", "#", "[", "]", "\x7f"} {
					text := strings.Repeat(fill, before) + string([]byte{byte(c)}) + after
					if got, want := usualRun(text), naive(text); got != want {
						t.Fatalf("%q: %d, want %d", text, got, want)
					}
				}
			}
		}
	}
}
