package policy

import (
	"strings"
	"testing"

	"moorgate/authz/identity"
)

func TestAsksOpen(t *testing.T) {
	const host = "POST /v1.41/containers/create"
	tests := []struct {
		request, body string
		rule          string // "": allowed
	}{
		{host, create(`"Binds":["/home/alice/x:/x","/home/alice:/y","/srv/data:/d:ro","/opt/a:/a","v:/v"]`), ""},
		{host, create(`"Binds":["/home//alice/./x/:/x:z,rprivate"]`), ""},
		{host, create(`"Binds":["/home/bob/x:/x"]`), "containers.binds"},
		{host, create(`"Binds":["/home/alice2:/x"]`), "containers.binds"},
		{host, create(`"Binds":["/home/alice/../bob:/x"]`), "containers.binds"},
		{host, create(`"Binds":["/home/alice/..:/x"]`), "containers.binds"},
		{host, create(`"Binds":["/home:/x"]`), "containers.binds"},
		{host, create(`"Binds":["/home/*/x:/x"]`), "containers.binds"},
		{host, create(`"Binds":["/home/${user}/x:/x"]`), "containers.binds"},
		{host, create(`"Binds":["/opt/a/b:/a"]`), "containers.binds"},
		{host, create(`"Binds":["/opt:/a"]`), "containers.binds"},
		{host, create(`"Binds":["/srv/data:/d"]`), "containers.binds"},
		{host, create(`"Binds":["/srv/data:/d:rw"]`), "containers.binds"},
		{host, create(`"Binds":["/srv/data:/d:ro,rw"]`), "containers.binds"},
		{host, create(`"Binds":["/srv/data:/d:ro,Z"]`), "containers.binds"},
		{host, create(`"Binds":["/srv/data2:/d:ro"]`), "containers.binds"},
		{host, create(`"Binds":["/srv/data/sub:/d:ro"]`), "containers.binds"},
		{host, create(`"Binds":["/home/alice/x:/x:rshared"]`), "containers.binds"},
		{host, create(`"Binds":["/home/alice/x:/x:ro:/etc"]`), "containers.binds"},
		{host, create(`"Mounts":[{"Type":"bind","Source":"/srv/data","Target":"/x","ReadOnly":true}]`), ""},
		{host, create(`"Mounts":[{"Type":"bind","Source":"/srv/data","Target":"/x"}]`), "containers.binds"},
		{host, create(`"Mounts":[{"Type":"bind","Source":"/srv/data","Target":"/x","ReadOnly":true,"BindOptions":{"ReadOnlyNonRecursive":true}}]`), "containers.binds"},
		{host, create(`"Mounts":[{"Type":"bind","Source":"/home/alice","Target":"/x","BindOptions":{"Propagation":"rslave"}}]`), "containers"},
		{host, create(`"CapAdd":["NET_ADMIN","cap_sys_ptrace","CHOWN"]`), ""},
		{host, create(`"CapAdd":["SYS_ADMIN"]`), "containers.capabilities"},
		{host, create(`"Devices":[{"PathOnHost":"/dev/fuse"},{"PathOnHost":"/dev/ttyUSB0"}]`), ""},
		{host, create(`"Devices":[{"PathOnHost":"/dev"}]`), "containers.devices"},
		{host, create(`"Devices":[{"PathOnHost":"/dev/fuse/../sda"}]`), "containers.devices"},
		{host, create(`"BlkioDeviceReadBps":[{"Path":"/dev/fuse","Rate":1}]`), ""},
		{host, create(`"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["nvidia.com/gpu=all"]}]`), ""},
		{host, create(`"DeviceRequests":[{"Driver":"cdi","DeviceIDs":["nvidia.com/gpu=all","x.com/y=z"]}]`), "containers.devices"},
		{host, create(`"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]`), ""},
		{host, create(`"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]],"Options":{"a":"b"}}]`), "containers"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"8080"}]}`), ""},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"08080"}]}`), ""},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"8000-8010"}]}`), ""},
		{host, create(`"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"22"}]}`), ""},
		{host, create(`"PortBindings":{"80/tcp":[{"HostIp":"::ffff:127.0.0.1","HostPort":"22"}]}`), ""},
		{host, create(`"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":""}]}`), ""},
		{host, create(`"PortBindings":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]}`), ""},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"22"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"8080"},{"HostPort":"22"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"7999-8001"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"8999-9000"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"8010-8000"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"99999"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostPort":"-1"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostIp":"localhost","HostPort":"22"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1 ","HostPort":"22"}]}`), "containers.ports"},
		{host, create(`"PortBindings":{"80/tcp":[{"HostIp":"::","HostPort":"22"}]}`), "containers.ports"},
		{host, create(`"PublishAllPorts":true`), "containers.ports"},
		{host, create(`"Runtime":"runsc"`), ""},
		{host, create(`"Runtime":"runc"`), "containers.runtimes"},
		{host, create(`"LogConfig":{"Type":"syslog","Config":{"tag":"x"}}`), ""},
		{host, create(`"LogConfig":{"Type":"syslog","Config":{"syslog-address":"tcp://x"}}`), "containers.log_drivers"},
		{host, create(`"LogConfig":{"Type":"json-file"}`), "containers.log_drivers"},
		{host, create(`"PidMode":"container:x","IpcMode":"container:x","NetworkMode":"container:x","VolumesFrom":["x:ro"],"Links":["x:y"]`), ""},
		{host, create(`"NetworkMode":"cafe"`), ""},
		{host, create(`"NetworkMode":"deadbeef"`), ""},
		{host, create(`"NetworkMode":"shop_default"`), ""},
		{host, create(`"NewThing":[],"Other":{},"Third":null`), ""},
		{host + "?new=", create(``), ""},
		{"POST /v1.41/volumes/create", `{"Name":"v","DriverOpts":{"type":"none","o":"bind","device":"/home/alice/d"}}`, ""},
		{"POST /v1.41/volumes/create", `{"Name":"v","DriverOpts":{"type":"none","o":"bind,ro","device":"/srv/data"}}`, ""},
		{"POST /v1.41/volumes/create", `{"Name":"v","DriverOpts":{"type":"none","o":"bind","device":"/srv/data"}}`, "containers.binds"},
		{"POST /v1.41/volumes/create", `{"Name":"v","DriverOpts":{"type":"none","o":"bind,ro,rw","device":"/srv/data"}}`, "containers.binds"},
		{"POST /v1.41/volumes/create", `{"Name":"v","DriverOpts":{"type":"none","o":"bind,rshared","device":"/home/alice"}}`, "containers.binds"},
		{"POST /v1.41/volumes/create", `{"Name":"v","DriverOpts":{"type":"ext4","o":"bind","device":"/home/alice"}}`, "containers.binds"},
		{"POST /v1.41/volumes/create", `{"Name":"v","DriverOpts":{"size":"1G"}}`, ""},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"1000"}`, ""},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"01000:"}`, ""},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"alice"}`, ""},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"app:5"}`, ""},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"app"}`, "exec.users"},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"1000:0"}`, "exec.users"},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"]}`, "exec.users"},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":null}`, "exec.users"},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"00"}`, "exec.users"},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"0000:5"}`, "exec.users"},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"+0"}`, "exec.users"},
		{"POST /v1.41/containers/x/exec", `{"Cmd":["id"],"User":"bob"}`, "exec.users"},
	}
	for _, test := range tests {
		method, target, _ := strings.Cut(test.request, " ")
		want := test.rule
		if want != "" {
			want = ", " + want
		}
		d, err := decide(t, openRole, callOf(t, method, target, test.body))
		if err != nil || d.Allow != (test.rule == "") || d.Rule != "role r"+want {
			t.Errorf("%s %s:\n%+v %v, want %q", test.request, test.body, d, err, want)
		}
	}
}

func TestContainerRulesCheck(t *testing.T) {
	tests := []struct {
		rules ContainerRules
		path  string // "": no fault
		cure  string
	}{
		{openRole.Containers.Rules, "", ""},
		{ContainerRules{Binds: []string{"/", "/**", "/srv/*/x", "/a:rw"}, Networks: []string{"host"}, Ports: []string{"*", "80", "[::1]:80-90"}, Capabilities: []string{"ALL"}}, "", ""},
		{ContainerRules{Binds: []string{"data"}}, "binds.0", "write /data"},
		{ContainerRules{Binds: []string{"/a", "./data"}}, "binds.1", "write /data"},
		{ContainerRules{Binds: []string{"/srv/../etc"}}, "binds.0", "write /etc"},
		{ContainerRules{Binds: []string{"/srv/"}}, "binds.0", "write /srv"},
		{ContainerRules{Binds: []string{""}}, "binds.0", "write a whole path"},
		{ContainerRules{Binds: []string{"/srv:readonly"}}, "binds.0", "/srv:ro"},
		{ContainerRules{Binds: []string{"/srv/**/x"}}, "binds.0", "write /srv/**"},
		{ContainerRules{Binds: []string{"/home/$USER"}}, "binds.0", "${user}"},
		{ContainerRules{Devices: []string{"dev/fuse"}}, "devices.0", "write /dev/fuse"},
		{ContainerRules{Devices: []string{""}}, "devices.0", "/dev/fuse"},
		{ContainerRules{Capabilities: []string{"NETADMIN"}}, "capabilities.0", "write NET_ADMIN"},
		{ContainerRules{Capabilities: []string{"cap_foo"}}, "capabilities.0", "capabilities(7)"},
		{ContainerRules{Networks: []string{"container:x"}}, "networks.0", "bridge"},
		{ContainerRules{Ports: []string{"80/udp"}}, "ports.0", `write "80"`},
		{ContainerRules{Ports: []string{"9000-8000"}}, "ports.0", "8000-8999"},
		{ContainerRules{Ports: []string{"0"}}, "ports.0", "1 to 65535"},
		{ContainerRules{Ports: []string{"70000"}}, "ports.0", "1 to 65535"},
		{ContainerRules{Ports: []string{"localhost:80"}}, "ports.0", "no address"},
		{ContainerRules{Runtimes: []string{"/usr/bin/runc"}}, "runtimes.0", "runc"},
		{ContainerRules{LogDrivers: []string{""}}, "log_drivers.0", "json-file"},
		{ContainerRules{Limits: Limits{Memory: 1 << 20}}, "limits.memory", "6MiB"},
		{ContainerRules{Limits: Limits{CPUs: -1}}, "limits.cpus", "1.5"},
		{ContainerRules{Limits: Limits{PIDs: -1}}, "limits.pids", "1 or more"},
	}
	for _, test := range tests {
		var got []string
		test.rules.check(func(message string, path ...string) { got = append(got, strings.Join(path, ".")+" "+message) })
		switch {
		case test.path == "" && len(got) > 0:
			t.Errorf("%+v: %q", test.rules, got)
		case test.path != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.path+" ") || !strings.Contains(got[0], test.cure)):
			t.Errorf("%+v: %q, want one at %s that says %q", test.rules, got, test.path, test.cure)
		}
	}
}

func TestUserNamesStayWithinTheirComponent(t *testing.T) {
	for _, user := range []string{"", ".", "..", "a/b", "../bob", "*", "a:ro", `a\b`} {
		j := &asks{in: &input{who: identity.Identity{User: user}}}
		for _, path := range []string{"/home/bob", "/home/x/y", "/etc", "/home/" + user + "/x", "/home"} {
			if _, ok := j.hostPath(path, []string{"/home/${user}/**"}); ok {
				t.Errorf("%q may mount %s", user, path)
			}
		}
	}
}
