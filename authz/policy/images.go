package policy

import (
	"fmt"
	"strings"

	"moorgate/router"
)

// pattern is a rule's image pattern, taken apart.
type pattern struct {
	text   string
	parts  []string // of the name: domain and path components
	tag    string   // "" where the pattern has no tag part
	digest string
}

// parsePattern reads a pattern. The error says how to write it.
func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	name := text
	if before, digest, ok := strings.Cut(name, "@"); ok && strings.Contains(digest, ":") {
		name, p.digest = before, digest
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') && i >= 0 {
		name, p.tag = name[:i], name[i+1:]
		if p.tag == "" {
			return p, fmt.Errorf("%q ends in a colon: write a tag behind it, or leave it out", text)
		}
	}
	if strings.Contains(strings.ReplaceAll(text, "${user}", ""), "$") {
		return p, fmt.Errorf("%q: only ${user} is known: write it so", text)
	}
	p.parts = strings.Split(name, "/")
	for i, part := range p.parts {
		if part == "" {
			return p, fmt.Errorf("%q has an empty component: write it like docker.io/library/*", text)
		}
		if strings.Contains(part, "@") {
			return p, fmt.Errorf("%q: no digest follows the @: write @sha256:*", text)
		}
		if strings.Contains(part, "**") && part != "**" {
			return p, fmt.Errorf("%q: ** stands for whole components: write /**/", text)
		}
		if i > 0 && odd(part) { // the first may have a port
			return p, fmt.Errorf("%q would match nothing, no image has %q in its name: write it like docker.io/library/*", text, part)
		}
	}
	if odd(p.tag) {
		return p, fmt.Errorf("%q would match nothing, no image has the tag %q: write it like docker.io/library/*:1.*", text, p.tag)
	}
	return p, p.canonical()
}

// odd says whether a component or a tag holds what none does.
func odd(part string) bool {
	return strings.ContainsFunc(strings.ReplaceAll(part, "${user}", ""), func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("*._-", c))
	})
}

// canonical refuses patterns that no canonical name can match.
func (p *pattern) canonical() error {
	domain := p.parts[0]
	if strings.ContainsAny(domain, "*$") {
		return nil
	}
	if len(p.parts) == 1 || !strings.ContainsAny(domain, ".:") && domain != "localhost" || domain == "index.docker.io" {
		rest := p.text
		if domain == "index.docker.io" {
			rest = strings.TrimPrefix(rest, "index.docker.io/")
		}
		if !strings.Contains(rest, "/") {
			rest = "library/" + rest
		}
		return fmt.Errorf("%q is not canonical and would match nothing: write %q", p.text, "docker.io/"+rest)
	}
	if domain == "docker.io" && len(p.parts) == 2 && p.parts[1] != "**" {
		return fmt.Errorf("%q is not canonical and would match nothing: write %q", p.text, "docker.io/library/"+strings.TrimPrefix(p.text, "docker.io/"))
	}
	for _, part := range p.parts {
		if strings.ToLower(part) != part && !strings.Contains(part, "${") {
			return fmt.Errorf("%q has capitals and would match nothing: write %q", p.text, strings.ToLower(p.text))
		}
	}
	return nil
}

// reference is a canonical image name, taken apart.
type reference struct {
	text   string
	name   string // domain and path components
	tag    string
	digest string
}

func parseReference(canonical string) reference {
	r := reference{text: canonical}
	r.name, r.digest, _ = strings.Cut(canonical, "@")
	if i := strings.LastIndexByte(r.name, ':'); i > strings.LastIndexByte(r.name, '/') {
		r.name, r.tag = r.name[:i], r.name[i+1:]
	}
	return r
}

// repository says whether the reference means all tags of a repository.
func (r reference) repository() bool { return r.tag == "" && r.digest == "" }

// match says whether the pattern takes in the whole of what the reference
// means, and touches whether it takes in any of it: the two differ for a
// repository, which means all its tags.
func (p *pattern) match(r reference, user string) (match, touches bool) {
	if !matchParts(p.parts, r.name, true, user) {
		return false, false
	}
	switch {
	case p.tag == "" && p.digest == "":
		return true, true
	case r.repository():
		return p.digest == "" && p.tag == "*", true
	case p.digest != "":
		ok := glob(p.digest, r.digest)
		return ok, ok
	}
	ok := r.tag != "" && r.digest == "" && globUser(p.tag, user, r.tag)
	return ok, ok
}

// matchParts compares component by component; more says that there is another,
// and name is it and all behind it.
func matchParts(pattern []string, name string, more bool, user string) bool {
	if len(pattern) == 0 {
		return !more
	}
	if !more {
		return false
	}
	part, name, more := strings.Cut(name, "/")
	if pattern[0] != "**" {
		return globUser(pattern[0], user, part) && matchParts(pattern[1:], name, more, user)
	}
	for !matchParts(pattern[1:], name, more, user) {
		if !more {
			return false
		}
		_, name, more = strings.Cut(name, "/")
	}
	return true
}

// globUser is glob of a pattern in which ${user} is the caller's name, each
// character of it for itself: a user called * is no other user.
func globUser(pattern, user, s string) bool {
	if !strings.Contains(pattern, "${user}") {
		return glob(pattern, s)
	}
	return user != "" && !strings.Contains(user, "*") && glob(strings.ReplaceAll(pattern, "${user}", user), s)
}

// glob matches a text that holds no slash; * is any part of it.
func glob(pattern, s string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, before) {
		return false
	}
	for s = s[len(before):]; ; s = s[1:] {
		if glob(after, s) {
			return true
		}
		if s == "" {
			return false
		}
	}
}

// imageRule is an ImageRule made ready.
type imageRule struct {
	index   int // in the role's list
	allow   bool
	pattern pattern
	message string
	when    *condition // nil: always
}

// verdict is what the image policy says of one name.
type verdict struct {
	allow bool
	index int // of the rule that decided, -1: none matched
	why   string
}

// judgeImage finds the first rule that matches a canonical name. For a whole
// repository an allowing rule must take in all tags, and a denying one decides
// if it takes in any.
func (r *role) judgeImage(in *input, canonical string) (verdict, error) {
	if r.images.any {
		return verdict{allow: true, index: -1}, nil
	}
	ref := parseReference(canonical)
	for i, rule := range r.images.rules {
		match, touches := rule.pattern.match(ref, in.who.User)
		if !match && (rule.allow || !touches) {
			continue
		}
		if rule.when != nil {
			holds, err := rule.when.eval(in)
			if err != nil {
				return verdict{index: i}, fmt.Errorf("images[%d].when: %w", i, err)
			}
			if !holds {
				continue
			}
		}
		return verdict{rule.allow, i, rule.message}, nil
	}
	why := "no rule allows this image: ask for one"
	if strings.HasPrefix(canonical, builder) {
		why = "BuildKit would run in a container of its own, which could pull any image: build with DOCKER_BUILDKIT=0 docker build"
	}
	if ref.repository() {
		why = "all tags are asked for and no rule allows them all: name one"
	}
	return verdict{index: -1, why: why}, nil
}

// builder is the image that buildx falls back to where the Engine's BuildKit is
// closed to it.
const builder = "docker.io/moby/buildkit:"

// canonicalName is the name that rules are asked about; false for what is an
// id or no name at all, which must be looked up.
func canonicalName(name string) (string, bool) {
	canonical, err := router.Canonical(name)
	return canonical, err == nil
}
