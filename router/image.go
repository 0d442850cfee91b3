package router

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A spellingError is an image name that the Engine would take but that has
// another spelling for the same image. A rule that forbids the one would not
// see the other, so only one of them may be used.
type spellingError struct{ image, wrong, write string }

func (e *spellingError) Error() string {
	return fmt.Sprintf("image %q: %s; write %s", e.image, e.wrong, e.write)
}

// Canonical is the one name by which an image is judged: registry host, path,
// and the digest or else the tag that ref has, as in
// "docker.io/library/busybox:1.36" or "ghcr.io/acme/tool@sha256:...". It reads
// ref as the Engine does, so "busybox" and "index.docker.io/library/busybox"
// are both "docker.io/library/busybox".
//
// A missing tag stays missing, for it means "latest" to some routes and "every
// tag" to others. A tag beside a digest is left out: the Engine goes by the
// digest alone. An id ("sha256:..." or 64 hex digits) is no name and an error.
//
// No host is ever rewritten: the Engine keys stored images, credentials and
// mirrors by the host as written. A host that is another spelling of one with
// a plainer name (upper case, port 443, Docker Hub's other names, an IP
// address in an odd form) is therefore an error that says what to write.
func Canonical(ref string) (string, error) {
	if name, ok := usual(ref); ok {
		return name, nil
	}
	return parsed(ref)
}

// parsed is Canonical for any name.
func parsed(ref string) (string, error) {
	named, err := parseImage(ref)
	if err != nil {
		return "", fmt.Errorf("image %q is no image name (%w); write [HOST/]NAME[:TAG] or [HOST/]NAME@DIGEST", ref, err)
	}
	if strings.HasPrefix(ref, "sha256:") {
		return "", &spellingError{ref, "this is an id where a name is wanted", "the image's name"}
	}
	return canonical(ref, named)
}

// canonical is Canonical for a name that has been read; text is what errors
// call it.
func canonical(text string, named imageName) (string, error) {
	if wrong, write := misspelled(named.host); wrong != "" {
		return "", &spellingError{text, fmt.Sprintf("the registry %q %s", named.host, wrong), write}
	}
	switch {
	case named.digest != "":
		return named.name() + "@" + named.digest, nil
	case named.tag != "":
		return named.name() + ":" + named.tag, nil
	}
	return named.name(), nil
}

// Pull is the canonical name of what POST /images/create pulls:
//
//   - a ":" at the end of fromImage is dropped (old clients write it for "all tags");
//   - a tag that is a digest replaces fromImage's own tag and digest;
//   - any other tag replaces fromImage's tag, but a digest there still wins;
//   - with neither a tag nor a digest every tag of the repository is pulled,
//     and the name returned has none.
func Pull(fromImage, tag string) (string, error) {
	name := strings.TrimSuffix(fromImage, ":")
	if tag == "" {
		return Canonical(name)
	}
	canonicalName, err := Canonical(name)
	if err != nil {
		return "", err
	}
	if base, old := splitTag(canonicalName); plainTag(tag) && !strings.Contains(old, ":") {
		return base + ":" + tag, nil
	}
	named, err := parseImage(name)
	if err != nil {
		return "", err
	}
	if strings.Contains(tag, ":") { // no tag holds one, every digest does
		return Canonical(named.name() + "@" + tag)
	}
	if !plainTag(tag) {
		return "", fmt.Errorf("image %q: %q is no tag; write letters, digits, '_', '.' and '-', at most %d", fromImage, tag, maxTag)
	}
	named.tag = tag
	return canonical(name, named)
}

// latest adds the tag "latest" to a canonical name that has neither tag nor
// digest, as the Engine does wherever one image is meant.
func latest(name string) string {
	if name == "" || strings.Contains(name, "@") || strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, '/') {
		return name
	}
	return name + ":latest"
}

// maybeID says whether the Engine may take an image reference for the
// beginning of an id, in the routes that look images up in its own store.
func maybeID(ref string) bool {
	if strings.HasPrefix(ref, "sha256:") {
		return true
	}
	return ref != "" && isHex(ref)
}

func isHex(text string) bool {
	for i := 0; i < len(text); i++ {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// misspelled says what is wrong with a registry host that has a plainer
// spelling, and what to write for it.
func misspelled(host string) (wrong, write string) {
	if lower := strings.ToLower(host); lower != host {
		return "has upper-case letters", strconv.Quote(lower)
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i+1:]
	}
	if strings.HasSuffix(name, ".docker.io") || name == "registry.hub.docker.com" {
		return "is another name of Docker Hub", `"docker.io"`
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return "has a port over 65535", "a port from 1 to 65535"
		}
		if plain := strconv.FormatUint(n, 10); plain != port {
			return "has a port that begins with 0", strconv.Quote(name + ":" + plain)
		}
		// Without the port a name with no dot would not be a host at all.
		if n == 443 && (strings.ContainsAny(name, ".[") || name == "localhost") {
			return "has the port that is meant without one", strconv.Quote(name)
		}
	}
	if plain := plainAddress(name); plain != name {
		return "is an IP address in an odd form", plain
	}
	return "", ""
}

// plainAddress is host itself if it is a name or an IP address in its usual
// form, else what to write in its place. Resolvers take "127.1", "0x7f.0.0.1"
// and "2130706433" for addresses too.
func plainAddress(host string) string {
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch {
	case err == nil && addr.Is4(), err == nil && addr.Is4In6():
		return addr.Unmap().String()
	case err == nil:
		return "[" + addr.String() + "]"
	case strings.HasPrefix(host, "["):
		return "a valid IPv6 address"
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "four decimal numbers with dots"
	}
	return host
}
