package enginetest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Owner is whose the objects are that the Engine lists, but where one in ten is.
const Owner = "tester"

// containers lists them all, or where the query asks for those named thousand a
// thousand of ten users, or the Owner's among these.
func containers(c *Conn) {
	switch filters := c.Query("filters"); {
	case !strings.Contains(filters, `"thousand"`):
		c.Write(list)
	case strings.Contains(filters, `"moorgate.owner=`+Owner+`"`):
		c.Write(hundred)
	default:
		c.Write(thousand)
	}
}

var (
	list     = chunked(List)
	thousand = chunked(listed(1000, func(int) bool { return true }))
	hundred  = chunked(listed(1000, owners))
)

// owners says which of what ten users have is the Owner's.
func owners(i int) bool { return i%10 == 0 }

func chunked(body string) []byte {
	return []byte(Head(200, "application/json", "Transfer-Encoding: chunked") + chunk(body) + "0\r\n\r\n")
}

// List is what GET /containers/json answers, about 50 KB, all of it the Owner's.
var List = func() string {
	all := make([]string, 44)
	for i := range all {
		all[i] = listedContainer(i, "shop-worker", Owner)
	}
	return "[" + strings.Join(all, ",") + "]\n"
}()

// listed is those containers of n of ten users that are wanted.
func listed(n int, wanted func(int) bool) string {
	var all []string
	for i := range n {
		if !wanted(i) {
			continue
		}
		owner := "other"
		if owners(i) {
			owner = Owner
		}
		all = append(all, listedContainer(i, "thousand", owner))
	}
	return "[" + strings.Join(all, ",") + "]\n"
}

func listedContainer(i int, name, owner string) string {
	image := fmt.Sprintf("sha256:%064x", i*104729)
	return fmt.Sprintf(`{"Id":"%064x","Names":["/%s-%d"],"Image":"registry.example.com/shop/worker:2.%d.1",`+
		`"ImageID":%q,"Command":"/usr/bin/worker --queue=orders --concurrency=4","Created":%d,`+
		`"Ports":[{"IP":"0.0.0.0","PrivatePort":8080,"PublicPort":%d,"Type":"tcp"}],`+
		`"Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"worker",`+
		`"com.docker.compose.container-number":"%d","moorgate.image":%q,"moorgate.owner":%q,`+
		`"org.opencontainers.image.revision":"%040x"},`+
		`"State":"running","Status":"Up 3 hours","HostConfig":{"NetworkMode":"shop_default"},`+
		`"NetworkSettings":{"Networks":{"shop_default":{"NetworkID":"%064x","EndpointID":"%064x",`+
		`"Gateway":"172.18.0.1","IPAddress":"172.18.0.%d","IPPrefixLen":16,"MacAddress":"02:42:ac:12:00:%02x"}}},`+
		`"Mounts":[{"Type":"volume","Name":"shop_data","Source":"","Destination":"/data","Driver":"local","Mode":"z","RW":true}]}`,
		i*7919, name, i, i, image, 1700000000+i, 30000+i, i, image, owner, i*1299709, i+1, i+2, i%250, i%256)
}

// networks has none but where the query asks for those named bench.
func networks(c *Conn) {
	if !strings.Contains(c.Query("filters"), "bench") {
		c.JSON(200, "[]")
		return
	}
	c.StartChunks("application/json")
	c.Chunk(Networks + "\n")
	c.EndChunks()
}

// inspectNetwork tells of a network of any name, which is the Owner's.
func inspectNetwork(c *Conn) { c.JSON(200, listedNetwork(0, c.Var("name"), Owner)) }

// Networks is what GET /networks answers when it is asked for those named
// bench, about 50 KB: one in ten is the Owner's.
var Networks = func() string {
	all := make([]string, 80)
	for i := range all {
		owner := "other"
		if owners(i) {
			owner = Owner
		}
		all[i] = listedNetwork(i, fmt.Sprintf("bench-%d", i), owner)
	}
	return "[" + strings.Join(all, ",") + "]"
}()

func listedNetwork(i int, name, owner string) string {
	return fmt.Sprintf(`{"Name":%q,"Id":"%064x","Created":"2025-10-01T12:00:00.123456789Z","Scope":"local","Driver":"bridge","EnableIPv6":false,`+
		`"IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"172.%d.0.0/16","Gateway":"172.%d.0.1"}]},"Internal":false,"Attachable":false,"Ingress":false,`+
		`"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":{},"Options":{"com.docker.network.bridge.name":"br-%d","com.docker.network.driver.mtu":"1500"},`+
		`"Labels":{"com.docker.compose.network":"default","com.docker.compose.project":"shop-%d","moorgate.owner":%q}}`, name, i+1, i, i, i, i, owner)
}

// createVolume makes what is asked for.
func createVolume(c *Conn) {
	var made struct {
		CreatedAt, Driver string
		Labels            map[string]string
		Mountpoint, Name  string
		Scope             string
	}
	if err := json.NewDecoder(c.Body()).Decode(&made); err != nil {
		c.Error(400, err.Error())
		return
	}
	made.CreatedAt, made.Driver, made.Scope = "2025-10-01T12:00:00Z", "local", "local"
	made.Mountpoint = "/var/lib/docker/volumes/" + made.Name + "/_data"
	body, _ := json.Marshal(made) // strings always marshal
	c.JSON(201, string(body))
}
