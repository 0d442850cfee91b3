package policy

import (
	"strconv"

	"moorgate/router"
)

// serviceSpec is a service: what its tasks ask for on every node.
var (
	serviceSpec = &term{members: terms{
		"Name":   free,
		"Labels": free,
		"Mode": {members: terms{
			"Replicated":    {members: all(free, "Replicas")},
			"Global":        free,
			"ReplicatedJob": {members: all(free, "MaxConcurrent TotalCompletions")},
			"GlobalJob":     free,
		}},
		"UpdateConfig":   rollout,
		"RollbackConfig": rollout,
		"Networks":       {each: attachment},
		"EndpointSpec":   {members: terms{"Mode": free, "Ports": {each: servicePort}}},
		"TaskTemplate":   {members: taskTemplate},
	}}

	rollout    = &term{members: all(free, "Parallelism Delay FailureAction Monitor MaxFailureRatio Order")}
	attachment = &term{members: terms{
		"Target":     noting(by(func(j *asks, _ string, v router.Value) *refusal { return j.network(v.Str()) }), inNetwork),
		"Aliases":    free,
		"DriverOpts": unset("set up the host's side of the network: leave them out"),
	}}
	servicePort = &term{judge: (*asks).servicePort, members: all(free, "Name Protocol TargetPort PublishedPort PublishMode")}

	taskTemplate = terms{
		"ContainerSpec":         {members: taskContainer},
		"PluginSpec":            unset("installs a plugin on the nodes: leave it out"),
		"NetworkAttachmentSpec": unset("is the swarm's own: leave it out"),
		"Resources": {members: terms{
			"Limits": {members: terms{
				"NanoCPUs":    whole(func(j *asks) *int64 { return &j.has.nano }),
				"MemoryBytes": whole(func(j *asks) *int64 { return &j.has.memory }),
				"Pids":        whole(func(j *asks) *int64 { return &j.has.pids }),
			}},
			"Reservations": {members: terms{
				"NanoCPUs":         by((*asks).reservedCPUs),
				"MemoryBytes":      whole(func(j *asks) *int64 { return &j.has.reservation }),
				"GenericResources": unset("are the nodes' devices: leave them out"),
			}},
		}},
		"RestartPolicy": {members: all(free, "Condition Delay MaxAttempts Window")},
		"Placement": {members: terms{
			"Constraints": free,
			"Preferences": {each: &term{members: terms{"Spread": {members: all(free, "SpreadDescriptor")}}}},
			"MaxReplicas": free,
			"Platforms":   {each: &term{members: all(free, "Architecture OS")}},
		}},
		"Networks":    {each: attachment},
		"LogDriver":   {members: terms{"Name": logDriver, "Options": logOptions}},
		"ForceUpdate": free,
		"Runtime":     oneOf("is no container: leave it out", "", "container"),
	}

	taskContainer = all(free, `Image Labels Command Args Hostname Env Dir User Init StopSignal TTY OpenStdin ReadOnly
		StopGracePeriod CapabilityDrop`).with(terms{
		"Groups": unset("may be groups of the host: leave them out"),
		"Privileges": {members: terms{
			"CredentialSpec":  {members: all(unset("is the host's: leave it out"), "Config File Registry")},
			"SELinuxContext":  {members: all(unset("takes away what holds a container: leave it out"), "Disable User Role Type Level")},
			"Seccomp":         {members: terms{"Mode": oneOf("takes away what holds a container: use default", "", "default"), "Profile": unset("takes the place of the Engine's: leave it out")}},
			"AppArmor":        {members: terms{"Mode": oneOf("takes away what holds a container: use default", "", "default")}},
			"NoNewPrivileges": free,
		}},
		"Mounts":        {each: mountTerm},
		"Healthcheck":   healthcheck,
		"Hosts":         extraHosts,
		"DNSConfig":     {members: all(free, "Nameservers Search Options")},
		"Secrets":       {each: &term{members: all(free, "SecretID SecretName").with(terms{"File": placed})}},
		"Configs":       {each: &term{members: all(free, "ConfigID ConfigName Runtime").with(terms{"File": placed})}},
		"Isolation":     isolation,
		"Sysctls":       {each: by((*asks).sysctl)},
		"CapabilityAdd": {each: by((*asks).capability)},
		"Ulimits":       {each: ulimit},
		"OomScoreAdj":   oomScore,
	})

	placed = &term{members: all(free, "Name UID GID Mode")}
)

// servicePort judges a port of the nodes. One that a service does not name, the
// swarm picks, out of a range of its own.
func (j *asks) servicePort(_ string, v router.Value) *refusal {
	port, ok := v.Get("PublishedPort").Int()
	if !ok || port == 0 {
		if lo, hi, no := j.published("", ""); no != nil || lo > 0 || hi > 0 {
			return refuse("containers.ports", "the swarm would pick a port of the nodes: name PublishedPort%s", j.listed(j.rules.Ports))
		}
		return nil
	}
	_, _, no := j.published("", strconv.FormatInt(port, 10))
	return no
}

func (j *asks) reservedCPUs(name string, v router.Value) *refusal {
	n, ok := v.Int()
	if most := j.rules.Limits.CPUs; !ok || most > 0 && float64(n)/billion > most {
		return refuse("containers.limits", "%s %s to be reserved are over the %.4g processors that a container may have: ask for less", name, shown(v), most)
	}
	return nil
}

func (j *asks) updateService() *refusal {
	if from := j.call.Query.Get("rollback"); from != "" && from != "none" {
		return refuse("containers", "rollback=%.32q would run what is not judged here: update the service to the settings that it had", from)
	}
	return j.limitService()
}

// limitService fills in the limits that a task may have.
func (j *asks) limitService() *refusal {
	if !j.call.Body.Root().At("TaskTemplate", "ContainerSpec").Exists() && !j.call.Body.Root().At("TaskTemplate").Missing() {
		return nil // the Engine makes no containers of it
	}
	if no := j.somewhere(); no != nil {
		return no
	}
	filled, no := j.limits()
	if no != nil {
		return no
	}
	var fill []member
	for _, m := range filled {
		if name := map[string]string{"Memory": "MemoryBytes", "NanoCpus": "NanoCPUs", "PidsLimit": "Pids"}[m.name]; name != "" {
			fill = append(fill, member{name, m.value}) // a task has no swap setting of its own here
		}
	}
	j.fill(fill, "TaskTemplate", "Resources", "Limits")
	return nil
}
