package router

import (
	"errors"
	"strings"
)

// An imageName is the parts of an image name, as the Engine tells them apart:
// by github.com/distribution/reference. That is read by hand here, since its
// regular expressions are a tenth of the time that moorgate takes to start and
// most of that of reading a name; a fuzz test holds the two together.
type imageName struct {
	host   string // "" for a name like "foo_bar.x/y", whose first part can be no host
	path   string
	tag    string // "" where there is none
	digest string // with its algorithm; "" where there is none
}

// name is the host and the path.
func (n imageName) name() string {
	if n.host == "" {
		return n.path
	}
	return n.host + "/" + n.path
}

const (
	hubHost    = "docker.io"
	oldHubHost = "index.docker.io"
	official   = "library/" // where Docker Hub has the names of one part

	maxImagePath = 255
)

var (
	errImageID     = errors.New("64 hex digits are an id")
	errImageUpper  = errors.New("the repository's name must be in lower case")
	errImageFormat = errors.New("invalid reference format")
	errImageLong   = errors.New("the repository's name is longer than 255 characters")
	errImageDigest = errors.New("the digest is none of sha256, sha384 or sha512")
)

// parseImage reads an image name that people write: without a host it is
// Docker Hub's.
func parseImage(ref string) (imageName, error) {
	if len(ref) == 64 && isHex(ref) {
		return imageName{}, errImageID
	}
	host, rest := splitHost(ref)
	if path, _, _ := strings.Cut(rest, ":"); strings.ToLower(path) != path {
		return imageName{}, errImageUpper
	}
	n := imageName{host: host}
	rest, digest, hasDigest := strings.Cut(rest, "@") // in neither names nor tags
	// What follows the last part's ":" is a tag, as a port is followed by "/".
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, n.tag = rest[:i], rest[i+1:]
		if !plainTag(n.tag) {
			return imageName{}, errImageFormat
		}
	}
	n.path = rest
	if !isHost(host) { // then it may be a part of the path
		n.host, n.path = "", host+"/"+rest
	}
	for part := range strings.SplitSeq(n.path, "/") {
		if !isPathPart(part) {
			return imageName{}, errImageFormat
		}
	}
	if len(n.path) > maxImagePath {
		return imageName{}, errImageLong
	}
	if hasDigest {
		if !isDigest(digest) {
			return imageName{}, errImageDigest
		}
		n.digest = digest
	}
	return n, nil
}

// splitHost takes the first part of a name for a host where it can be no
// namespace of Docker Hub's.
func splitHost(ref string) (host, rest string) {
	host, rest, ok := strings.Cut(ref, "/")
	switch {
	case !ok:
		return hubHost, official + ref
	case host == oldHubHost:
		host = hubHost
	case host == "localhost", strings.ContainsAny(host, ".:"), strings.ToLower(host) != host:
	default:
		host, rest = hubHost, ref
	}
	if host == hubHost && !strings.Contains(rest, "/") {
		rest = official + rest
	}
	return host, rest
}

// isHost says whether text is a host, an IPv6 address in brackets or a name,
// with or without a port.
func isHost(text string) bool {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		address, port, closed := strings.Cut(inner, "]")
		return closed && address != "" && only(address, isHexDigitOrColon) && (port == "" || isPort(port))
	}
	if i := strings.IndexByte(text, ':'); i >= 0 {
		if !isPort(text[i:]) {
			return false
		}
		text = text[:i]
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || !only(label, isLetterDigitOrDash) {
			return false
		}
	}
	return true
}

// isPort says whether text is a ":" and digits.
func isPort(text string) bool {
	return len(text) > 1 && text[0] == ':' && only(text[1:], isDigit)
}

// isPathPart says whether text is lower-case letters and digits, with single
// separators between them: ".", "_", "__" or any number of "-".
func isPathPart(text string) bool {
	for i := 0; i < len(text); {
		begin := i
		for i < len(text) && (isLower(text[i]) || isDigit(text[i])) {
			i++
		}
		if i == begin {
			return false
		}
		if i == len(text) {
			return true
		}
		begin = i
		for i < len(text) && text[i] == text[begin] {
			i++
		}
		switch n := i - begin; {
		case text[begin] == '-', text[begin] == '.' && n == 1, text[begin] == '_' && n <= 2:
		default:
			return false
		}
	}
	return false // empty, or ends with a separator
}

// isDigest says whether text is a digest of a kind that images have.
func isDigest(text string) bool {
	algorithm, encoded, _ := strings.Cut(text, ":")
	switch algorithm {
	case "sha256":
		return len(encoded) == 64 && isHex(encoded)
	case "sha384":
		return len(encoded) == 96 && isHex(encoded)
	case "sha512":
		return len(encoded) == 128 && isHex(encoded)
	}
	return false
}

// only says whether all of text is of a kind.
func only(text string, kind func(byte) bool) bool {
	for i := 0; i < len(text); i++ {
		if !kind(text[i]) {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetterDigitOrDash(c byte) bool {
	return isLower(c|0x20) || isDigit(c) || c == '-'
}

func isHexDigitOrColon(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' || c == ':'
}
