package policy

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"moorgate/router"
)

var (
	// endpoint is what a container asks for in one network. The addresses and
	// ids among it are the Engine's to fill in.
	endpoint = all(free, "Links Aliases GwPriority").with(
		all(unset("is the Engine's to fill in: leave it out"),
			"EndpointID Gateway IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames"),
		terms{
			"NetworkID":  by(func(j *asks, _ string, v router.Value) *refusal { return j.network(v.Str()) }),
			"MacAddress": macAddress,
			"DriverOpts": unset("set up the host's side of the network: leave them out"),
			"IPAMConfig": {members: all(unset("could be another's address: leave it out, the Engine picks one"), "IPv4Address IPv6Address LinkLocalIPs")},
		})

	networkConnect = &term{members: terms{"Container": free, "EndpointConfig": {members: endpoint}}}

	networkCreate = &term{members: all(free, "Name Labels EnableIPv4 EnableIPv6 Internal Attachable CheckDuplicate").with(terms{
		// macvlan and ipvlan put containers into the host's own network, and
		// every other driver is a plugin.
		"Driver":     oneOf("may reach into the host's own network: use bridge, or overlay in a swarm", "", "bridge", "overlay"),
		"Scope":      oneOf("is no scope of a network: leave it out", "", "local", "swarm"),
		"Ingress":    unset("would take the place of the swarm's own: leave it out"),
		"ConfigOnly": unset("sets up networks that nobody judges: leave it out"),
		"ConfigFrom": unset("takes settings that nobody judged: write them out"),
		"Options":    {each: by(networkOption)},
		"IPAM": {members: terms{
			"Driver":  oneOf("is a plugin on the host: leave it out", "", "default"),
			"Options": unset("are a plugin's: leave them out"),
			"Config": {each: &term{members: terms{
				"Subnet":             by(privateSubnet),
				"IPRange":            free, // both within Subnet, as the Engine sees to
				"Gateway":            free,
				"AuxiliaryAddresses": free,
			}}},
		}},
	})}
)

// networkOptions are those that stay within the network.
var networkOptions = strings.Fields(`com.docker.network.bridge.enable_icc com.docker.network.bridge.enable_ip_masquerade
	com.docker.network.container_iface_prefix com.docker.network.driver.mtu encrypted`)

func networkOption(_ *asks, name string, _ router.Value) *refusal {
	if slices.Contains(networkOptions, name) {
		return nil
	}
	return refuse("containers.networks", "network option %.128q sets up the host's side: leave it out; these are fine: %s", name, strings.Join(networkOptions, ", "))
}

// privateSubnet keeps a network from taking addresses of the internet: the
// host itself would find them there.
func privateSubnet(_ *asks, name string, v router.Value) *refusal {
	text := v.Str()
	if text == "" {
		return nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err == nil && slices.ContainsFunc(private, func(r netip.Prefix) bool { return r.Contains(prefix.Addr()) && prefix.Bits() >= r.Bits() }) {
		return nil
	}
	return refuse("containers.networks", "%s %s is no private network: use one in 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fd00::/8, or leave it out", name, shown(v))
}

var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fd00::/8"),
}

// predefined are the Engine's own networks; all others are somebody's.
var predefined = []string{"bridge", "host", "none", "ingress", "docker_gwbridge"}

// commonNetworks may be joined where a role lists none.
var commonNetworks = []string{"bridge", "none"}

func (c *ContainerRules) networks() []string {
	if c.Networks == nil {
		return commonNetworks
	}
	return c.Networks
}

func (j *asks) mayJoin(network string) bool { return slices.Contains(j.rules.networks(), network) }

// inNetwork notes that a body says in which network a container is.
func inNetwork(j *asks, _ router.Value) { j.has.network = true }

// somewhere judges the network of what names none: the Engine puts it into the
// bridge.
func (j *asks) somewhere() *refusal {
	if j.has.network {
		return nil
	}
	return j.network("")
}

// network judges one network by its name or id. Those that are not the
// Engine's own are somebody's: for a role that sees all it is asked here whose,
// for one that sees only its own another's looks missing anyway.
func (j *asks) network(name string) *refusal {
	if name == "" || name == "default" {
		name = "bridge"
	}
	allowed := j.rules.networks()
	if slices.Contains(allowed, name) {
		return nil
	}
	if !slices.Contains(predefined, name) {
		if strings.ContainsAny(name, ":/\\ ") {
			return refuse("containers.networks", "%.128q is no network's name: name a network", name)
		}
		hidden := j.p.hides(j.in)
		if hidden && !mayBeID(name) {
			return nil // of what is not one's own an authorizer knows that knows owners
		}
		var found struct {
			ID   string `json:"Id"`
			Name string
		}
		switch err := j.get("/networks/"+url.PathEscape(name), &found); {
		case missing(err) && !hidden && !j.p.options.Offline && looksLater[j.call.Action]:
			return refuse("containers.networks", "%.128s is not there, and may be anybody's by the time that it is: make it first", name)
		case missing(err):
			return nil
		case err != nil:
			j.err = err
			return nil
		}
		switch {
		case hidden && !slices.Contains(predefined, found.Name):
			return nil
		case slices.Contains(allowed, found.Name):
			return nil
		case !hidden && j.owns(found.ID):
			j.pin(name, found.ID)
			return nil
		}
		name = found.Name
	}
	return refuse("containers.networks", "%s is not among the networks this role may join%s: join one of your own, or ask for it", name, j.listed(allowed))
}

// looksLater are the actions that only name networks: the Engine finds them when
// it starts a container.
var looksLater = map[string]bool{"container.create": true, "image.build": true}

// owns says whether a network is the caller's own.
func (j *asks) owns(network string) bool {
	if j.p.options.Owns == nil {
		return false
	}
	own, err := j.p.options.Owns(j.ctx, j.in.who.User, j.call.Engine, router.Network, network)
	if err != nil {
		j.err = err
	}
	return own || err != nil
}

// pin has a network that the call joins named by its id: its name may have come
// to be another's when the Engine looks.
func (j *asks) pin(network, id string) {
	refs, err := j.call.Further()
	if err != nil {
		j.err = err
		return
	}
	for _, ref := range refs {
		if ref.Kind == router.Network && ref.Name == network {
			j.edits.pin(router.Pin{Ref: ref, To: id})
		}
	}
}

// mayBeID says whether a name may be the beginning of an id.
func mayBeID(name string) bool {
	return strings.Trim(name, "0123456789abcdef") == ""
}

func (j *asks) networkMode(_ string, v router.Value) *refusal {
	if mode := v.Str(); !joins(mode) {
		return j.network(mode)
	}
	return nil
}

// endpointKey judges the network that an endpoint is in.
func (j *asks) endpointKey(name string, _ router.Value) *refusal { return j.network(name) }

// joins judges the network that a path names.
func (j *asks) joins() *refusal { return j.network(j.call.Name()) }

// publishAll refuses ports that the Engine picks, unless all are allowed.
func (j *asks) publishAll(_ string, v router.Value) *refusal {
	if !v.Bool() || slices.ContainsFunc(j.rules.Ports, func(e string) bool { r, err := parsePorts(e); return err == nil && r.all() && !r.addr.IsValid() }) {
		return nil
	}
	return refuse("containers.ports", "publishing all ports takes any of the host's%s: name them, as -p 8000:80", j.listed(j.rules.Ports))
}

// portBindings judges the host's side of one of the container's ports.
func (j *asks) portBindings(port string, v router.Value) *refusal {
	if v.Empty() {
		// Some Engines take this for a port of their choice, others for none.
		lo, hi, no := j.published("", "")
		if no == nil && hi > 0 {
			j.has.ports = append(j.has.ports, portFill{port, 0, lo, hi})
		}
		return no
	}
	i := 0
	for binding := range v.Elements() {
		for key := range binding.Members() {
			if key != "HostIp" && key != "HostPort" {
				return refuse("containers.unknown_fields", "PortBindings: %.128q is not known here: leave it out", key)
			}
		}
		lo, hi, no := j.published(binding.Get("HostIp").Str(), binding.Get("HostPort").Str())
		if no != nil {
			return no
		}
		if hi > 0 {
			j.has.ports = append(j.has.ports, portFill{port, i, lo, hi})
		}
		i++
	}
	return nil
}

// published judges an address and a port, or range of ports, of the host.
// Where the Engine would pick a port, lo and hi bound what it may pick from; 0
// is no bound.
func (j *asks) published(address, port string) (lo, hi uint16, no *refusal) {
	asked := portRange{hi: 65535}
	if address != "" {
		addr, err := netip.ParseAddr(address)
		if err != nil || addr.Zone() != "" { // the Engine takes what it cannot read for all addresses
			return 0, 0, refuse("containers.ports", "host address %.64q is none: write it as 127.0.0.1", address)
		}
		if addr = addr.Unmap(); !addr.IsUnspecified() {
			asked.addr = addr
		}
	}
	picks := port == "" || port == "0"
	if !picks {
		from, to, err := parsePortRange(port)
		if err != nil {
			return 0, 0, refuse("containers.ports", "host port %.64q is none: write a number from 1 to 65535", port)
		}
		asked.lo, asked.hi = from, to
	}
	for _, entry := range j.rules.Ports {
		allowed, err := parsePorts(entry)
		switch {
		case err != nil || allowed.addr.IsValid() && allowed.addr != asked.addr:
		case picks && allowed.all(), !picks && allowed.lo <= asked.lo && asked.hi <= allowed.hi:
			return 0, 0, nil
		case picks && hi == 0:
			lo, hi = allowed.lo, allowed.hi
		}
	}
	if hi > 0 {
		return lo, hi, nil
	}
	shown := port
	if picks {
		shown = "a port of the Engine's choice"
	}
	if address == "" {
		address = "all addresses"
	}
	return 0, 0, refuse("containers.ports", "%s on %s is not among the host's ports that this role may publish%s: use one of them, or ask for it", shown, address, j.listed(j.rules.Ports))
}

// portFill is where the Engine is bound to the ports that it may pick.
type portFill struct {
	port   string // of the container
	index  int
	lo, hi uint16
}

// ports writes the ranges that the Engine may pick from.
func (j *asks) ports() []member {
	if len(j.has.ports) == 0 {
		return nil
	}
	type binding struct{ HostIp, HostPort string } //nolint:revive,staticcheck // the Engine's spelling
	bindings := map[string][]binding{}
	if err := j.call.Body.Root().At("HostConfig", "PortBindings").Decode(&bindings); err != nil {
		j.err = err
		return nil
	}
	for _, f := range j.has.ports {
		if len(bindings[f.port]) == 0 {
			bindings[f.port] = make([]binding, 1)
		}
		text := strconv.Itoa(int(f.lo))
		if f.hi != f.lo {
			text += "-" + strconv.Itoa(int(f.hi))
		}
		bindings[f.port][f.index].HostPort = text
	}
	return []member{{"PortBindings", bindings}}
}

// portRange is an entry of ports, made ready.
type portRange struct {
	addr   netip.Addr // not valid: every address
	lo, hi uint16
}

func (r portRange) all() bool { return r.lo <= 1 && r.hi == 65535 }

// parsePorts reads "8000-8999", "8080", "*", each with an address before.
func parsePorts(entry string) (portRange, error) {
	r := portRange{hi: 65535}
	ports := entry
	if i := strings.LastIndexByte(entry, ':'); i >= 0 {
		addr, err := netip.ParseAddr(strings.Trim(entry[:i], "[]"))
		if err != nil {
			return r, err
		}
		if addr = addr.Unmap(); !addr.IsUnspecified() {
			r.addr = addr
		}
		ports = entry[i+1:]
	}
	if ports == "*" {
		return r, nil
	}
	var err error
	r.lo, r.hi, err = parsePortRange(ports)
	return r, err
}

// parsePortRange reads a port or "FROM-TO" as the Engine does.
func parsePortRange(text string) (lo, hi uint16, err error) {
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		to = from
	}
	a, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	b, err := strconv.ParseUint(to, 10, 16)
	if err == nil && (a == 0 || b < a) {
		err = strconv.ErrRange
	}
	return uint16(a), uint16(b), err
}
