package router

import "strings"

// usual is Canonical for names in their usual form: lower-case components with
// single separators, a host with a dot and no port, a tag or a sha256 digest.
// They are nearly all that there are, and reading them by the library's
// expressions is much of what judging a call would cost. False leaves a name to
// the library.
func usual(ref string) (string, bool) {
	name, tail := ref, ""
	if i := strings.IndexByte(ref, '@'); i >= 0 {
		if name, tail = ref[:i], ref[i:]; !plainDigest(tail) {
			return "", false
		}
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		if !plainTag(name[i+1:]) {
			return "", false
		}
		if tail == "" { // else the digest alone counts
			tail = name[i:]
		}
		name = name[:i]
	}
	if len(name) > 200 || len(ref) == 64 || name == "sha256" {
		return "", false
	}
	const hub = "docker.io/"
	before := "" // what the name leaves out
	host, path, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		path, before = name, hub+"library/"
	case host == "docker.io":
		if !strings.Contains(path, "/") {
			name, before = path, hub+"library/"
		}
	case host == "localhost":
	case !strings.Contains(host, "."):
		path, before = name, hub
	case !plainHost(host):
		return "", false
	}
	for part := range strings.SplitSeq(path, "/") {
		if !plainPart(part, "._-") {
			return "", false
		}
	}
	if len(before) == 0 && len(name)+len(tail) == len(ref) {
		return ref, true
	}
	return before + name + tail, true
}

func plainDigest(text string) bool {
	hex, ok := strings.CutPrefix(text, "@sha256:")
	return ok && len(hex) == 64 && isHex(hex)
}

// maxTag is how long the Engine takes a tag to be at most.
const maxTag = 128

// plainTag says whether tag is one, which has one form only.
func plainTag(tag string) bool {
	for i := 0; i < len(tag); i++ {
		switch c := tag[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return false
		}
	}
	return tag != "" && len(tag) <= maxTag
}

func plainHost(host string) bool {
	if wrong, _ := misspelled(host); wrong != "" {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !plainPart(label, "-") {
			return false
		}
	}
	return true
}

// plainPart says whether text is made of lower-case letters and digits with
// single separators between them.
func plainPart(text, separators string) bool {
	separated := true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			separated = false
		case !separated && strings.IndexByte(separators, c) >= 0:
			separated = true
		default:
			return false
		}
	}
	return !separated
}
