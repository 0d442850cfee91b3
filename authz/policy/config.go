package policy

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
)

// Role is what those who have it may do. A call is allowed if one role of the
// caller allows all of it: rights of several roles do not mix in one call.
type Role struct {
	// Allow lists the actions that the role may do: names of `moorgate
	// routes`, "container.*" for all of one sort, "read" for all that only
	// look, "*" for all.
	Allow []string `yaml:"allow"`

	// Deny lists actions that nobody who has this role may do, whatever other
	// roles allow.
	Deny []string `yaml:"deny"`

	// Engines that the role may use, by name; all if left out.
	Engines []string `yaml:"engines"`

	// Scope is whose objects the role sees and touches: own (default), all.
	Scope string `yaml:"scope"`

	// Images is the image policy: rules in order, the first that matches
	// decides, no match denies. One policy for every way an image enters the
	// Engine, changes its name, or runs. The word any lifts it.
	Images Images `yaml:"images"`

	// Containers is what containers may ask for; what is not named and
	// reaches the host is refused. The word any lifts it.
	Containers Containers `yaml:"containers"`

	// Quota bounds all of a user's objects together.
	Quota Quota `yaml:"quota"`

	// Exec is what commands in running containers may ask for.
	Exec Exec `yaml:"exec"`

	// Rules say in CEL what the above cannot.
	Rules []Rule `yaml:"rules"`
}

// Images is an image policy.
type Images struct {
	Any   bool // the word any
	Rules []ImageRule
}

// ImageRule allows or denies the images that match its pattern.
type ImageRule struct {
	// Allow is a pattern of canonical names: docker.io/library/*. In it, *
	// stands for anything within a path component and ** for one or more
	// components; without a tag part it means any tag or digest. ${user} is
	// the caller's name.
	Allow string `yaml:"allow"`
	// Deny is such a pattern of images that are refused.
	Deny string `yaml:"deny"`
	// Message tells a refused caller what to do.
	Message string `yaml:"message"`
	// When is a CEL condition; a rule whose condition is false is passed over.
	When string `yaml:"when"`
}

// Containers is what containers may ask for.
type Containers struct {
	Any   bool // the word any
	Rules ContainerRules
}

// ContainerRules name what a container may have of its host. The zero value is
// the safe one.
type ContainerRules struct {
	// Privileged allows --privileged.
	Privileged bool `yaml:"privileged"`
	// Binds lists host paths that may be mounted: /home/${user}/** is all
	// below, "/srv/data:ro" only for reading. The path itself is meant unless
	// it ends in /** or /*.
	Binds []string `yaml:"binds"`
	// Capabilities that may be added, without CAP_; ALL is all.
	Capabilities []string `yaml:"capabilities"`
	// Devices lists host devices, as /dev/fuse, and device requests by their
	// driver or CDI name, as nvidia.com/gpu=all.
	Devices []string `yaml:"devices"`
	// Networks that may be joined; one's own always, host only if named. If
	// left out, bridge and none.
	Networks []string `yaml:"networks"`
	// Ports lists host ports and ranges that may be published: "8000-8999";
	// "127.0.0.1:*" limits the address.
	Ports []string `yaml:"ports"`
	// Runtimes that may be named; the Engine's default is always allowed.
	Runtimes []string `yaml:"runtimes"`
	// LogDrivers that may be named; the Engine's default is always allowed.
	LogDrivers []string `yaml:"log_drivers"`
	// UnknownFields allows JSON fields and query keys that this version of
	// moorgate does not know. Empty values always pass.
	UnknownFields bool `yaml:"unknown_fields"`
	// Limits are the most that one container may have, set where it asks for
	// nothing.
	Limits Limits `yaml:"limits"`
}

// Limits bound one container; 0 is no bound.
type Limits struct {
	// Memory in bytes, as 2GiB.
	Memory Size `yaml:"memory"`
	// CPUs as a number of processors, as 1.5.
	CPUs float64 `yaml:"cpus"`
	// PIDs is the number of processes and threads.
	PIDs int64 `yaml:"pids"`
}

// Quota bounds what one user has in all; 0 is no bound. Of a user's roles that
// allow container.create, or image.pull, the most generous counts.
type Quota struct {
	// Containers is how many there may be, running or not.
	Containers int `yaml:"containers"`
	// Memory of all containers together.
	Memory Size `yaml:"memory"`
	// CPUs of all containers together.
	CPUs float64 `yaml:"cpus"`
	// PullsPerHour is how many images may be pulled in an hour.
	PullsPerHour int `yaml:"pulls_per_hour"`
	// RequestsPerSecond is how many requests may be made in a second, on
	// average over some seconds. Roles that leave it out say nothing.
	RequestsPerSecond float64 `yaml:"requests_per_second"`
}

// Exec is what commands in running containers may ask for.
type Exec struct {
	// Privileged allows exec --privileged.
	Privileged bool `yaml:"privileged"`
	// Users that commands may run as, by name or number; "*" is any, which is
	// meant if the list is left out. "" is the image's own.
	Users []string `yaml:"users"`
}

// Rule denies what its condition says, in CEL.
type Rule struct {
	// Name is what refusals and records call it.
	Name string `yaml:"name"`
	// On lists the actions that it judges, as in allow; all if left out.
	On []string `yaml:"on"`
	// Deny is the condition. Variables: user, groups, roles, action, engine,
	// vars, query, body, refs, images, now, terminals.
	Deny string `yaml:"deny"`
	// Message tells a refused caller what to do.
	Message string `yaml:"message"`
}

// Size is a number of bytes, written as 2GiB.
type Size int64

// UnmarshalText reads a size; units are powers of 1024.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no size: write it as 2GiB", text)
	}
	*s = Size(n)
	return nil
}

func (s Size) String() string {
	return strings.Replace(units.CustomSize("%.4g%s", float64(s), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"}), ".0", "", 1)
}

const anyWord = "any"

// Word says which single word may stand for the whole section, and Section what
// else is written there; both are for reading the file.
func (i *Images) Word() string { return anyWord }

// Section is the list of rules.
func (i *Images) Section() *[]ImageRule { return &i.Rules }

// UnmarshalYAML reads the word any or the rules.
func (i *Images) UnmarshalYAML(unmarshal func(interface{}) error) error {
	if i.Any = isWord(unmarshal); i.Any {
		return nil
	}
	return unmarshal(&i.Rules)
}

// Word says which single word may stand for the whole section.
func (c *Containers) Word() string { return anyWord }

// Section is the section's settings.
func (c *Containers) Section() *ContainerRules { return &c.Rules }

// UnmarshalYAML reads the word any or the settings.
func (c *Containers) UnmarshalYAML(unmarshal func(interface{}) error) error {
	if c.Any = isWord(unmarshal); c.Any {
		return nil
	}
	return unmarshal(&c.Rules)
}

func isWord(unmarshal func(interface{}) error) bool {
	var word string
	return unmarshal(&word) == nil && word == anyWord
}
