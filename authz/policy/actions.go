package policy

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"moorgate/router"
)

// beside are actions that no route of the Engine has.
var beside = []string{
	"terminal.open", "terminal.share", "terminal.record", "terminal.admin", "admin.health", "admin.metrics",
}

// readers are the actions that change nothing, open no stream into a
// container and show no secret. Those that make the Engine call elsewhere
// read too: what they may call, the image policy says.
var readers = []string{
	"build.list", "config.inspect", "config.list", "container.changes", "container.inspect", "container.list",
	"container.logs", "container.stats", "container.top", "container.wait", "distribution.inspect", "exec.inspect",
	"image.attestations", "image.history", "image.inspect", "image.list", "image.search", "network.inspect",
	"network.list", "node.inspect", "node.list", "plugin.inspect", "plugin.list", "plugin.privileges",
	"secret.inspect", "secret.list", "service.inspect", "service.list", "service.logs", "system.df",
	"system.events", "system.info", "system.ping", "system.version", "task.inspect", "task.list", "task.logs",
	"volume.inspect", "volume.list", "checkpoint.list",
}

// Actions lists every action there is.
func Actions() []string { return slices.Clone(actions()) }

// actions are those of the table, which every list of a role is held against.
var actions = sync.OnceValue(func() []string {
	names := slices.Clone(beside)
	for _, r := range router.Table() {
		names = append(append(names, r.Action), r.Others...)
	}
	sort.Strings(names)
	return slices.Compact(names)
})

// actionSet is what an allow, deny or on list means.
type actionSet map[string]string // action to the entry that names it

// newActionSet expands groups. Faults name entries that mean nothing.
func newActionSet(entries []string, fault func(i int, message string)) actionSet {
	set := actionSet{}
	add := func(action, entry string) {
		if _, ok := set[action]; !ok {
			set[action] = entry
		}
	}
	all := actions()
	for i, entry := range entries {
		object, isGroup := strings.CutSuffix(entry, ".*")
		found := false
		for _, action := range all {
			switch {
			case entry == "*", entry == action,
				isGroup && strings.HasPrefix(action, object+"."),
				entry == "read" && slices.Contains(readers, action):
				add(action, entry)
				found = true
			}
		}
		if !found {
			fault(i, fmt.Sprintf("%q is no action: %s", entry, suggest(entry, all)))
		}
	}
	return set
}

// suggest names the actions that a misspelled one may have meant.
func suggest(entry string, all []string) string {
	object, _, _ := strings.Cut(entry, ".")
	var near []string
	for _, action := range all {
		if strings.HasPrefix(action, object+".") {
			near = append(near, action)
		}
	}
	if len(near) == 0 {
		return "write a name of `moorgate routes`, container.*, read, or *"
	}
	return "write one of " + strings.Join(near, ", ")
}
