package policy

import (
	"slices"
	"strings"

	"moorgate/router"
)

var (
	containerCreate = &term{members: containerConfig.members.with(terms{
		"HostConfig":       hostConfig,
		"NetworkingConfig": {members: terms{"EndpointsConfig": {each: &term{judge: (*asks).endpointKey, members: endpoint}}}},
	})}

	containerUpdate = &term{members: resourceTerms.with(terms{"RestartPolicy": restartPolicy})}

	// containerConfig is what goes on in a container: the caller's own affair.
	containerConfig = &term{members: all(free, `Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts
		Tty OpenStdin StdinOnce Env Cmd ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled OnBuild Labels
		StopSignal StopTimeout Shell`).with(terms{
		"Healthcheck": healthcheck,
		"MacAddress":  macAddress,
	})}

	healthcheck   = &term{members: all(free, "Test Interval Timeout StartPeriod StartInterval Retries")}
	restartPolicy = &term{members: all(free, "Name MaximumRetryCount")}

	hostConfig = &term{members: resourceTerms.with(
		all(free, `ContainerIDFile AutoRemove ConsoleSize CapDrop Dns DnsOptions DnsSearch ReadonlyRootfs Init
			VolumesFrom Links`),
		terms{
			"Binds":         {each: by((*asks).bind)},
			"Mounts":        {each: mountTerm},
			"Tmpfs":         {each: by((*asks).tmpfs)},
			"VolumeDriver":  localOnly,
			"LogConfig":     {members: terms{"Type": logDriver, "Config": logOptions}},
			"RestartPolicy": restartPolicy,

			"NetworkMode":     noting(by((*asks).networkMode), inNetwork),
			"PortBindings":    {each: by((*asks).portBindings)},
			"PublishAllPorts": by((*asks).publishAll),
			"ExtraHosts":      extraHosts,

			"Privileged":  by((*asks).privileged),
			"CapAdd":      {each: by((*asks).capability)},
			"SecurityOpt": {each: by((*asks).securityOption)},
			"GroupAdd":    unset("may be a group of the host: leave it out, and give the image's user what it needs"),
			"Annotations": unset("speak to the host's runtime: leave them out"),
			"Runtime":     by((*asks).runtime),
			"Sysctls":     {each: by((*asks).sysctl)},
			"StorageOpt":  unset("change the host's storage: leave them out"),
			"ShmSize":     whole(func(j *asks) *int64 { return &j.has.shm }),
			"OomScoreAdj": oomScore,

			"CgroupnsMode": noting(oneOf("shows the host's cgroups: use private", "", "private"), func(j *asks, v router.Value) { j.has.cgroupns = v.Str() != "" }),
			"IpcMode":      by((*asks).ipcMode),
			"PidMode":      by((*asks).pidMode),
			"UTSMode":      oneOf("shares the host's name: leave it out", ""),
			"UsernsMode":   oneOf("lifts the mapping of users: leave it out", ""),
			"Cgroup":       unset("joins another cgroup and so escapes limits: leave it out"),
			"Isolation":    isolation,

			// Either list takes the place of the Engine's own, so even an
			// empty one lays bare what the Engine hides.
			"MaskedPaths":   by(hidden),
			"ReadonlyPaths": by(hidden),
		})}

	resourceTerms = all(free, `CpuShares CpusetCpus CpusetMems BlkioWeight KernelMemory KernelMemoryTCP MemorySwappiness`).with(
		all(unset("is for Windows: leave it out"), "CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth"),
		all(unset("takes processors from the host's own work: leave it out"), "CpuRealtimePeriod CpuRealtimeRuntime"),
		all(&term{each: &term{members: terms{"Path": by((*asks).device), "Rate": free}}},
			"BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps"),
		terms{
			"BlkioWeightDevice": {each: &term{members: terms{"Path": by((*asks).device), "Weight": free}}},
			"CgroupParent":      unset("puts the container into a cgroup of the host's: leave it out"),
			"Devices":           {each: &term{judge: aDevice, members: terms{"PathOnHost": by((*asks).device), "PathInContainer": free, "CgroupPermissions": free}}},
			"DeviceCgroupRules": unset("open devices that are not named: leave them out, and name devices"),
			"DeviceRequests":    {each: deviceRequest},
			"OomKillDisable":    unset("lets a container that has no memory left hang, and the host with it: leave it out"),
			"Ulimits":           {each: ulimit},

			"Memory":            whole(func(j *asks) *int64 { return &j.has.memory }),
			"MemorySwap":        whole(func(j *asks) *int64 { return &j.has.swap }),
			"MemoryReservation": whole(func(j *asks) *int64 { return &j.has.reservation }),
			"NanoCpus":          whole(func(j *asks) *int64 { return &j.has.nano }),
			"CpuPeriod":         whole(func(j *asks) *int64 { return &j.has.period }),
			"CpuQuota":          whole(func(j *asks) *int64 { return &j.has.quota }),
			"PidsLimit":         noting(whole(func(j *asks) *int64 { return &j.has.pids }), func(j *asks, _ router.Value) { j.has.pidsGiven = true }),
		})

	isolation  = oneOf("is for Windows: leave it out", "", "default")
	macAddress = unset("could be another's on a shared network: leave it out, the Engine picks one")
	oomScore   = by(func(_ *asks, name string, v router.Value) *refusal {
		if n, ok := v.Int(); ok && n >= 0 {
			return nil
		}
		return refuse("containers", "%s %s makes the host end other work before this container: use 0 or more", name, shown(v))
	})
	extraHosts = &term{each: by(func(_ *asks, name string, v router.Value) *refusal {
		if strings.Contains(v.Str(), "host-gateway") {
			return refuse("containers", "%s %s leads to the Engine's host: name another address", name, shown(v))
		}
		return nil
	})}

	deviceRequest = &term{judge: (*asks).deviceRequest, members: all(free, "Driver Count DeviceIDs Capabilities").with(terms{
		"Options": unset("are the driver's own: leave them out"),
	})}

	ulimit = &term{judge: (*asks).ulimit, members: all(free, "Name Soft Hard")}

	checkpointCreate = &term{members: all(free, "CheckpointID Exit").with(terms{"CheckpointDir": unset(noCheckpointDir)})}
)

const noCheckpointDir = "is a folder of the host: leave it out"

// noting adds to what a term does.
func noting(t *term, note func(*asks, router.Value)) *term {
	return by(func(j *asks, name string, v router.Value) *refusal {
		note(j, v)
		return t.judge(j, name, v)
	})
}

func hidden(_ *asks, name string, v router.Value) *refusal {
	return refuse("containers", "%s %s lays bare what the Engine hides of the host: leave it out, or write null", name, shown(v))
}

func (j *asks) privileged(_ string, v router.Value) *refusal {
	j.has.privileged = v.Bool()
	if v.Bool() && !j.rules.Privileged {
		return refuse("containers.privileged", "a privileged container has all of the host: name what it needs instead, as --cap-add or --device")
	}
	return nil
}

func (j *asks) ipcMode(_ string, v router.Value) *refusal {
	mode := v.Str()
	j.has.ipc = mode != ""
	if mode == "" || mode == "none" || mode == "private" || mode == "shareable" || joins(mode) {
		return nil
	}
	return refuse("containers", "IpcMode %s is not the container's own: use private, shareable or container:NAME", shown(v))
}

func (j *asks) pidMode(_ string, v router.Value) *refusal {
	if mode := v.Str(); mode == "" || joins(mode) {
		return nil
	}
	return refuse("containers", "PidMode %s shows the host's processes: leave it out, or use container:NAME", shown(v))
}

// joins says whether a mode is that of another container.
func joins(mode string) bool {
	name, ok := strings.CutPrefix(mode, "container:")
	return ok && name != ""
}

// ordinary are the capabilities that every container has unless it drops them:
// to drop all and add some of them back takes nothing from the host.
var ordinary = strings.Fields(`AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP
	SETGID SETPCAP SETUID SYS_CHROOT`)

// capabilityName reads a name as the Engine does: in any case, CAP_ or not.
func capabilityName(text string) string { return strings.TrimPrefix(strings.ToUpper(text), "CAP_") }

func (j *asks) capability(_ string, v router.Value) *refusal {
	name := capabilityName(v.Str())
	if slices.Contains(ordinary, name) {
		return nil
	}
	for _, allowed := range j.rules.Capabilities {
		if allowed = capabilityName(allowed); allowed == name || allowed == "ALL" {
			return nil
		}
	}
	return refuse("containers.capabilities", "%s is not among the capabilities this role may add%s: leave it out, or ask for it",
		shown(v), j.listed(j.rules.Capabilities))
}

// listed shows what may be asked for instead.
func (j *asks) listed(list []string) string {
	list = j.expandAll(list)
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// expandAll writes the caller's name into patterns, and leaves those out that
// mean nothing for the caller.
func (j *asks) expandAll(list []string) []string {
	var own []string
	for _, pattern := range list {
		if text, ok := j.expand(pattern); ok {
			own = append(own, text)
		}
	}
	return own
}

// securityOption lets only those pass that make a container safer, or name the
// Engine's own profile.
func (j *asks) securityOption(_ string, v router.Value) *refusal {
	text := v.Str()
	key, value := text, ""
	if i := strings.IndexAny(text, "=:"); i >= 0 { // the Engine takes the colon of old too
		key, value = text[:i], text[i+1:]
	}
	switch {
	case key == "no-new-privileges" && (key == text || value == "true"):
		return nil
	case key == "seccomp" && value == "builtin":
		return nil
	}
	return refuse("containers", "SecurityOpt %s takes away what holds a container: leave it out; no-new-privileges and seccomp=builtin are fine", shown(v))
}

// runtime lets the Engine's default pass, and what is named: a runtime decides
// what a container is.
func (j *asks) runtime(_ string, v router.Value) *refusal {
	if name := v.Str(); name == "" || slices.Contains(j.rules.Runtimes, name) {
		return nil
	}
	return refuse("containers.runtimes", "%s is not among the runtimes this role may name%s: leave it out, or ask for it", shown(v), j.listed(j.rules.Runtimes))
}

// sysctls are those that Kubernetes, too, calls safe: each belongs to the
// container's own namespaces alone.
var sysctls = strings.Fields(`kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports
	net.ipv4.ip_unprivileged_port_start net.ipv4.ping_group_range net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl
	net.ipv4.tcp_keepalive_probes net.ipv4.tcp_keepalive_time net.ipv4.tcp_rmem net.ipv4.tcp_syncookies net.ipv4.tcp_wmem`)

func (j *asks) sysctl(name string, _ router.Value) *refusal {
	if slices.Contains(sysctls, name) {
		return nil
	}
	return refuse("containers", "sysctl %.128q may reach beyond the container: leave it out; these may be set: %s", name, strings.Join(sysctls, ", "))
}

// device judges a device's path on the host. A folder means all devices below.
func (j *asks) device(name string, v router.Value) *refusal {
	if _, ok := j.hostPath(v.Str(), j.rules.Devices); ok {
		return nil
	}
	return refuse("containers.devices", "%s %s is not among the devices this role may use%s: leave it out, or ask for it", name, shown(v), j.listed(j.rules.Devices))
}

// aDevice refuses a device without a path, which PathOnHost's own verdict does
// not see.
func aDevice(_ *asks, name string, v router.Value) *refusal {
	if v.Get("PathOnHost").Str() == "" {
		return refuse("containers.devices", "%s %s has no PathOnHost: name a device", name, shown(v))
	}
	return nil
}

// deviceRequest judges devices that a driver of the host picks: each by its
// CDI name, or all by the driver's, or by the capability that finds a driver.
func (j *asks) deviceRequest(name string, v router.Value) *refusal {
	driver := v.Get("Driver").Str()
	var asked []string
	switch driver {
	case "cdi":
		for id := range v.Get("DeviceIDs").Elements() {
			asked = append(asked, id.Str())
		}
	case "":
		for set := range v.Get("Capabilities").Elements() {
			for capability := range set.Elements() {
				asked = append(asked, capability.Str())
			}
		}
	default:
		asked = []string{driver}
	}
	if len(asked) == 0 {
		asked = []string{driver}
	}
	for _, a := range asked {
		if a == "" || !slices.Contains(j.rules.Devices, a) {
			return refuse("containers.devices", "%s: %.128q is not among the devices this role may use%s: leave it out, or ask for it", name, a, j.listed(j.rules.Devices))
		}
	}
	return nil
}

// logOptionNames are what log drivers take that stays on the host's disk or
// in the record itself. All else may be an address that the host connects to.
var logOptionNames = strings.Fields(`cache-compress cache-disabled cache-max-file cache-max-size compress env env-regex labels
	labels-regex max-buffer-size max-file max-size mode tag`)

// localLogs are the drivers that may be named where a role lists none.
var localLogs = []string{"json-file", "local", "none"}

var (
	logDriver = by(func(j *asks, _ string, v router.Value) *refusal {
		allowed := j.rules.LogDrivers
		if allowed == nil {
			allowed = localLogs
		}
		if name := v.Str(); name == "" || slices.Contains(allowed, name) {
			return nil
		}
		return refuse("containers.log_drivers", "%s is not among the log drivers this role may name%s: leave it out, or ask for it", shown(v), j.listed(allowed))
	})
	logOptions = &term{each: by(func(_ *asks, name string, _ router.Value) *refusal {
		if slices.Contains(logOptionNames, name) {
			return nil
		}
		return refuse("containers.log_drivers", "log option %.128q may make the host connect elsewhere: leave it out; these are fine: %s", name, strings.Join(logOptionNames, ", "))
	})}
)

// createContainer fills in what a container did not ask for.
func (j *asks) createContainer() *refusal {
	fill, no := j.limits()
	if no != nil {
		return no
	}
	// On API versions before 1.40 and 1.41, and on cgroup v1, what is left out
	// is the host's or open to others.
	if !j.has.cgroupns && !j.has.privileged {
		fill = append(fill, member{"CgroupnsMode", "private"})
	}
	if !j.has.ipc {
		fill = append(fill, member{"IpcMode", "private"})
	}
	if !j.has.network && !j.mayJoin("bridge") && j.mayJoin("none") {
		fill = append(fill, member{"NetworkMode", "none"})
	} else if no := j.somewhere(); no != nil {
		return no
	}
	j.fill(append(fill, j.ports()...), "HostConfig")
	return nil
}

// startContainer refuses to restore from a folder of the host's.
func (j *asks) startContainer() *refusal {
	if dir := j.call.Query.Get("checkpoint-dir"); dir != "" {
		return refuse("containers", "checkpoint-dir %.128q %s", dir, noCheckpointDir)
	}
	return nil
}

func (j *asks) checkpoints() *refusal {
	if dir := j.call.Query.Get("dir"); dir != "" {
		return refuse("containers", "dir %.128q %s", dir, noCheckpointDir)
	}
	return nil
}
