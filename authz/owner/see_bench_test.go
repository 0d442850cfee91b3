package owner

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"moorgate/authz/identity"
	"moorgate/router"
)

const benchImage = "sha256:ae352f9f0648881ab9dac9dea190b484d18ce9d750840c239c1b95a02794235d"

// listedContainer is an element of a list as Engines write it.
func listedContainer(n int, owner string) string {
	return fmt.Sprintf(`{"Id":"%064x","Names":["/box-%d"],"Image":"busybox","ImageID":"%s","Command":"sh -c 'echo asking; exec sleep 1000'","Created":1795267326,`+
		`"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":%d,"Type":"tcp"}],"Labels":{"com.docker.compose.project":"composed","com.docker.compose.service":"client",`+
		`"com.docker.compose.project.working_dir":"/home/user/project","com.docker.compose.version":"5.5.1","moorgate.image":"%s","moorgate.owner":"%s"},`+
		`"State":"running","Status":"Up 2 minutes","HostConfig":{"NetworkMode":"composed_default"},"NetworkSettings":{"Networks":{"composed_default":{"IPAMConfig":null,"Links":null,`+
		`"Aliases":null,"NetworkID":"%064x","EndpointID":"%064x","Gateway":"172.18.0.1","IPAddress":"172.18.0.%d","IPPrefixLen":16,"IPv6Gateway":"","GlobalIPv6Address":"",`+
		`"GlobalIPv6PrefixLen":0,"MacAddress":"02:42:ac:12:00:02","DriverOpts":null}}},"Mounts":[{"Type":"volume","Name":"composed_data","Source":"","Destination":"/data","Driver":"local","Mode":"z","RW":true,"Propagation":""}]}`,
		n, n, benchImage, 8000+n, benchImage, owner, n, n, n%250)
}

func listedNetwork(n int, owner string) string {
	return fmt.Sprintf(`{"Name":"net-%d","Id":"%064x","Created":"2026-11-21T13:19:33.616021668Z","Scope":"local","Driver":"bridge","EnableIPv4":true,"EnableIPv6":false,`+
		`"IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"172.%d.0.0/16","Gateway":"172.17.0.1"}]},"Internal":false,"Attachable":false,"Ingress":false,`+
		`"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":{},"Options":{"com.docker.network.driver.mtu":"1500"},"Labels":{"com.docker.compose.network":"default",`+
		`"com.docker.compose.project":"p%d","com.docker.compose.version":"5.5.1","moorgate.owner":"%s"}}`, n, n, n%200, n, owner)
}

func listedVolume(n int, owner string) string {
	return fmt.Sprintf(`{"CreatedAt":"2026-11-21T13:22:06Z","Driver":"local","Labels":{"moorgate.owner":"%s"},"Mountpoint":"/var/lib/docker/volumes/data-%d/_data","Name":"data-%d","Options":null,"Scope":"local","UsageData":{"RefCount":1,"Size":4096}}`, owner, n, n)
}

// ten gives what ten users have.
func ten(n int, one func(int, string) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = one(i, fmt.Sprintf("user%d", i%10))
	}
	return "[" + strings.Join(all, ",") + "]\n"
}

// benchCut cuts one answer again and again, as what user0 sees of it.
func benchCut(b *testing.B, action, text string) {
	o := New(Options{Engines: &fakeEngines{answers: map[string]string{"/containers/json": "[]"}}, Own: func(identity.Identity, string, string) bool { return true }})
	call := &router.Call{Action: action, Engine: "local"}
	who := identity.Identity{User: "user0"}
	head := http.Header{"Content-Type": {"application/json"}}
	room := make([]byte, 32<<10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		resp := &http.Response{StatusCode: 200, Header: head, Body: io.NopCloser(strings.NewReader(text))}
		if err := o.judging(b.Context(), who, call).cut(resp, nil); err != nil {
			b.Fatal(err)
		}
		n := 0
		for {
			k, err := resp.Body.Read(room)
			n += k
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if n == 0 || n > len(text)/2 {
			b.Fatalf("%d bytes of %d are seen", n, len(text))
		}
		_ = resp.Body.Close()
	}
}

func BenchmarkNetworkList50KB(b *testing.B) {
	benchCut(b, "network.list", ten(78, listedNetwork))
}

func BenchmarkDF50KB(b *testing.B) {
	benchCut(b, "system.df", `{"LayersSize":1,"Images":[],"Containers":`+ten(24, listedContainer)+`,"Volumes":`+ten(64, listedVolume)+`,"BuildCache":[]}`)
}

func BenchmarkContainerList1000(b *testing.B) {
	benchCut(b, "container.list", ten(1000, listedContainer))
}
