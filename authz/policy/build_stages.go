package policy

import "strings"

// stages walks the instructions of a Dockerfile.
type stages struct {
	b        *build
	args     map[string]string // with a value, declared before the first FROM
	declared map[string]bool
	names    map[string]bool // of the stages that are complete, in lower case
	current  string          // the name of the stage that is not yet
	count    int
	pinned   string // the FROM that was read last, with its image's id; "" where it has none
}

// instruction judges one instruction. Trigger says that it comes from an
// ONBUILD.
func (s *stages) instruction(l line, trigger bool) error {
	switch l.keyword {
	case "ARG":
		if s.count == 0 && !trigger {
			return s.declare(l.rest)
		}
	case "FROM":
		if trigger {
			return badDockerfile("ONBUILD FROM is not taken by the Engine: leave it out")
		}
		return s.from(l.rest)
	case "COPY", "ADD":
		return s.copies(l)
	case "RUN":
		if err := plain(flags(l.rest)); err != nil {
			return err
		}
		for _, flag := range flags(l.rest) {
			if strings.HasPrefix(flag, "--mount") || strings.HasPrefix(flag, "--security") || strings.HasPrefix(flag, "--network") || strings.HasPrefix(flag, "--device") {
				return badDockerfile("RUN %s needs BuildKit: leave it out", flag)
			}
		}
	case "LABEL":
		return labels(l.rest)
	case "ONBUILD":
		inner, err := splitLine(l.number, l.rest)
		if err != nil {
			return err
		}
		if inner.keyword == "ONBUILD" {
			return badDockerfile("ONBUILD ONBUILD is not taken by the Engine: leave it out")
		}
		return s.instruction(inner, true)
	}
	return nil
}

func (s *stages) from(rest string) error {
	if err := plain(flags(rest)); err != nil {
		return err
	}
	all := strings.Fields(rest)
	words := all
	for len(words) > 0 && strings.HasPrefix(words[0], "--") {
		if !strings.HasPrefix(words[0], "--platform=") {
			return badDockerfile("FROM %.64s is not known: leave it out", words[0])
		}
		words = words[1:]
	}
	if len(words) != 1 && !(len(words) == 3 && strings.EqualFold(words[1], "as")) {
		return badDockerfile("FROM takes an image, or an image AS a name")
	}
	name, err := s.expand(words[0])
	if err != nil {
		return err
	}
	// Until a stage is complete its name means an image.
	if s.count++; s.current != "" {
		s.names[s.current] = true
	}
	s.current = ""
	if len(words) == 3 {
		s.current = strings.ToLower(words[2])
	}
	switch {
	case name == "":
		return badDockerfile("the image's name is empty: give the build argument, or write a name")
	case s.names[strings.ToLower(name)], name == "scratch":
		return nil
	}
	if err := s.starts(name); err != nil {
		return err
	}
	if id := s.b.bases[name]; id != "" { // else the Engine has to pull it
		words[0] = id // of all, too
		s.pinned = "FROM " + strings.Join(all, " ")
	}
	return nil
}

// starts judges an image that a stage begins with, and what it makes the build
// do.
func (s *stages) starts(name string) error {
	if err := s.b.allow(name); err != nil {
		return err
	}
	id, triggers, err := s.b.base(name)
	if err != nil {
		return err
	}
	s.b.bases[name] = id
	for _, t := range triggers {
		l, err := splitLine(0, t)
		if err != nil {
			return badDockerfile("ONBUILD of %.128s: %v", name, err)
		}
		if err := s.instruction(l, true); err != nil {
			if _, ours := err.(*dockerfileError); ours {
				return badDockerfile("ONBUILD of %.128s: %v", name, err)
			}
			return err
		}
	}
	return nil
}

// reserved begins the labels that only moorgate sets: they say whose an object
// is.
const reserved = "moorgate."

// labels refuses keys of LABEL that are moorgate's, however they are quoted.
func labels(rest string) error {
	bare := strings.NewReplacer(`"`, "", "'", "", `\`, "", "`", "")
	for _, word := range strings.Fields(rest) {
		if key, _, _ := strings.Cut(bare.Replace(word), "="); strings.HasPrefix(key, reserved) {
			return badDockerfile("label %.128q: what begins with %s is set by moorgate alone: leave it out", key, reserved)
		}
	}
	return nil
}
