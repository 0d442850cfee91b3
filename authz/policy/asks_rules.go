package policy

import (
	"fmt"
	"math"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// capabilities are all that the kernel has.
var capabilities = append(strings.Fields(`ALL AUDIT_CONTROL AUDIT_READ BLOCK_SUSPEND BPF CHECKPOINT_RESTORE DAC_READ_SEARCH
	IPC_LOCK IPC_OWNER LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE NET_ADMIN NET_BROADCAST PERFMON SYSLOG SYS_ADMIN SYS_BOOT
	SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM`), ordinary...)

// The least that the Engine gives a container.
const (
	minMemory = 6 << 20
	minCPUs   = 0.01
)

// check finds faults in the rules; each says what to write.
func (c *ContainerRules) check(fault func(message string, path ...string)) {
	each := func(key string, list []string, judge func(entry string) string) {
		for i, entry := range list {
			if message := judge(entry); message != "" {
				fault(message, key, strconv.Itoa(i))
			}
		}
	}
	each("binds", c.Binds, func(entry string) string {
		text, mode := entry, ""
		if i := strings.LastIndexByte(entry, ':'); i >= 0 {
			text, mode = entry[:i], entry[i+1:]
			if mode != "ro" && mode != "rw" {
				return fmt.Sprintf("%q ends in %q: write %s, or %s:ro for reading only", entry, ":"+mode, text, text)
			}
		}
		return checkPath(text, "/srv/data")
	})
	each("devices", c.Devices, func(entry string) string {
		switch {
		case entry == "":
			return "is empty: write a device as /dev/fuse, a driver, or a CDI name as nvidia.com/gpu=all"
		case strings.HasPrefix(entry, "/"):
			// As docker run has it, with permissions or a place in the container.
			if i := strings.LastIndexByte(entry, ':'); i >= 0 && (strings.Trim(entry[i+1:], "rwm") == "" || entry[i+1] == '/') {
				return fmt.Sprintf("%q ends in %q and would match nothing: write %s", entry, entry[i:], entry[:i])
			}
			return checkPath(entry, "/dev/fuse")
		case strings.HasPrefix(entry, "dev/"), strings.HasPrefix(entry, "."):
			return fmt.Sprintf("%q is not a whole path: write /%s", entry, strings.TrimLeft(entry, "./"))
		}
		return ""
	})
	each("capabilities", c.Capabilities, func(entry string) string {
		if slices.Contains(capabilities, capabilityName(entry)) {
			return ""
		}
		return fmt.Sprintf("%q is no capability: %s", entry, nearCapability(capabilityName(entry)))
	})
	each("networks", c.Networks, func(entry string) string {
		if entry == "" || strings.ContainsAny(entry, ":/ *") {
			return fmt.Sprintf("%q is no network's name: write one, as bridge, none or host", entry)
		}
		return ""
	})
	each("ports", c.Ports, checkPorts)
	each("runtimes", c.Runtimes, checkName("a runtime", "runc"))
	each("log_drivers", c.LogDrivers, checkName("a log driver", "json-file"))
	l := c.Limits
	if l.Memory > 0 && l.Memory < minMemory {
		fault(fmt.Sprintf("%s is less than the Engine gives any container: write at least 6MiB", l.Memory), "limits", "memory")
	}
	if l.CPUs < 0 || l.CPUs > 0 && l.CPUs < minCPUs {
		fault(fmt.Sprintf("%g is no number of processors: write 0.01 or more, as 1.5", l.CPUs), "limits", "cpus")
	}
	if l.PIDs < 0 {
		fault(fmt.Sprintf("%d is no number of processes: write 1 or more", l.PIDs), "limits", "pids")
	}
}

// check finds bounds that are none.
func (q *Quota) check(fault func(message, key string)) {
	for _, bound := range []struct {
		key   string
		value float64
	}{
		{"containers", float64(q.Containers)}, {"memory", float64(q.Memory)}, {"cpus", q.CPUs},
		{"pulls_per_hour", float64(q.PullsPerHour)}, {"requests_per_second", q.RequestsPerSecond},
	} {
		if !(bound.value >= 0) || math.IsInf(bound.value, 1) {
			fault(fmt.Sprintf("%g bounds nothing: write 0 or more, 0 being no bound", bound.value), bound.key)
		}
	}
}

func checkPath(text, example string) string {
	switch cleaned := path.Clean(text); {
	case text == "":
		return fmt.Sprintf("is empty: write a whole path, as %s", example)
	case !strings.HasPrefix(text, "/"):
		return fmt.Sprintf("%q is not a whole path and would match nothing: write /%s", text, strings.TrimLeft(text, "./~"))
	case cleaned != text:
		return fmt.Sprintf("%q is not clean and would match nothing: write %s", text, cleaned)
	}
	parts := split(text)
	for i, part := range parts {
		switch {
		case strings.Contains(part, "**") && (part != "**" || i < len(parts)-1):
			return fmt.Sprintf("%q: ** is all below and stands at the end: write /%s/**", text, strings.Join(parts[:i], "/"))
		case strings.Contains(strings.ReplaceAll(part, "${user}", ""), "$"):
			return fmt.Sprintf("%q: only ${user} is known: write it so", text)
		}
	}
	return ""
}

func checkPorts(entry string) string {
	const how = `write "8080", "8000-8999", or "127.0.0.1:*" to limit the address`
	if _, err := parsePorts(entry); err == nil {
		return ""
	}
	if number, protocol, ok := strings.Cut(entry, "/"); ok {
		return fmt.Sprintf("%q names the protocol %s, but ports are allowed for all: write %q", entry, protocol, number)
	}
	if i := strings.LastIndexByte(entry, ':'); i >= 0 {
		if _, err := netip.ParseAddr(strings.Trim(entry[:i], "[]")); err != nil {
			return fmt.Sprintf("%q: %q is no address: %s", entry, entry[:i], how)
		}
	}
	return fmt.Sprintf("%q is no port and no range of 1 to 65535: %s", entry, how)
}

func checkName(what, example string) func(string) string {
	return func(entry string) string {
		if entry == "" || strings.ContainsAny(entry, "/ *") {
			return fmt.Sprintf("%q is no name of %s: write one, as %s", entry, what, example)
		}
		return ""
	}
}

// nearCapability names what a misspelled one may have meant.
func nearCapability(name string) string {
	var near []string
	for _, c := range capabilities {
		if bare := strings.ReplaceAll(c, "_", ""); name != "" && (strings.Contains(c, name) || bare == strings.NewReplacer("_", "", "-", "").Replace(name)) {
			near = append(near, c)
		}
	}
	if len(near) == 0 {
		return "write one of capabilities(7) without CAP_, as NET_ADMIN"
	}
	return "write " + strings.Join(near, " or ")
}
