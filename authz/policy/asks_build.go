package policy

import (
	"encoding/json"
	"strconv"
	"strings"

	"moorgate/router"
)

// build judges what a build's containers ask for, which is in the query.
func (j *asks) build() *refusal {
	q := j.call.Query
	if mode := q.Get("networkmode"); !joins(mode) {
		if no := j.network(mode); no != nil {
			return no
		}
	}
	if v := q.Get("cgroupparent"); v != "" {
		return refuse("containers", "cgroupparent %.64q puts the build into a cgroup of the host's: leave it out", v)
	}
	if v := q.Get("isolation"); v != "" && v != "default" {
		return refuse("containers", "isolation %.64q is for Windows: leave it out", v)
	}
	for _, host := range q["extrahosts"] {
		if strings.Contains(host, "host-gateway") {
			return refuse("containers", "extrahosts %.64q leads to the Engine's host: name another address", host)
		}
	}
	if no := j.buildLists(); no != nil {
		return no
	}
	if no := j.buildOutputs(); no != nil {
		return no
	}
	return j.limitBuild()
}

// buildLists judges the JSON lists among the keys, by the verdicts of a
// container's.
func (j *asks) buildLists() *refusal {
	for _, text := range j.call.Query["securityopt"] {
		if no := j.walkText((&term{judge: (*asks).securityOption}), "securityopt", jsonText(text)); no != nil {
			return no
		}
	}
	if text := j.call.Query.Get("ulimits"); text != "" {
		return j.walkText(&term{each: ulimit}, "ulimits", text)
	}
	return nil
}

// walkText judges JSON that stands in the query.
func (j *asks) walkText(t *term, name, text string) *refusal {
	d, err := router.ParseDocument([]byte(text), nil)
	if err != nil {
		j.err = err
		return nil
	}
	return j.walk(t.of(d.Shape()), name, d.Root())
}

// outputs are what BuildKit may make of a result: each goes back to the caller
// or into the Engine's store.
var outputs = map[string]bool{"": true, "moby": true, "image": true, "docker": true, "local": true, "tar": true, "oci": true, "cacheonly": true}

func (j *asks) buildOutputs() *refusal {
	var list []struct {
		Type  string
		Attrs map[string]string
	}
	text := j.call.Query.Get("outputs")
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return refuse("containers", "outputs %.64q is no list of outputs: leave it out", text)
	}
	for _, output := range list {
		if !outputs[output.Type] {
			return refuse("containers", "output %.64q is not known here: use docker, image, local, tar or oci", output.Type)
		}
		if push := output.Attrs["push"]; push != "" && push != "false" {
			return refuse("containers", "output %.64q would push the image: push it with docker push", output.Type)
		}
	}
	return nil
}

// limitBuild bounds the containers of a classic build; there, PIDs have no key.
func (j *asks) limitBuild() *refusal {
	for key, into := range map[string]*int64{
		"memory": &j.has.memory, "memswap": &j.has.swap, "shmsize": &j.has.shm,
		"cpuperiod": &j.has.period, "cpuquota": &j.has.quota,
	} {
		text := j.call.Query.Get(key)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return refuse("containers.limits", "%s %.32q is no whole number: write one", key, text)
		}
		*into = n
	}
	filled, no := j.limits()
	if no != nil {
		return no
	}
	for _, m := range filled {
		switch key := map[string]string{"Memory": "memory", "MemorySwap": "memswap", "CpuQuota": "cpuquota"}[m.name]; {
		case key != "":
			j.edits.do(func(c *router.Call) { c.Query.Set(key, jsonText(m.value)) })
		case m.name == "NanoCpus": // which a build does not have
			quota := strconv.FormatInt(int64(j.rules.Limits.CPUs*defaultPeriod), 10)
			j.edits.do(func(c *router.Call) {
				c.Query.Set("cpuperiod", strconv.Itoa(defaultPeriod))
				c.Query.Set("cpuquota", quota)
			})
		}
	}
	return nil
}
