package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Header says which headers a reverse proxy in front of moorgate names the
// caller with, and which proxies are believed. A listener believes them if its
// identify list has header; there, a caller from anywhere else who sends one of
// these headers is refused. Other listeners ignore them.
type Header struct {
	// User is the header that holds the user's name: X-Forwarded-User,
	// Remote-User. Whoever a trusted proxy calls alice is users: alice; the
	// proxy must remove the header from what its own callers send.
	User string `yaml:"user"`

	// Groups is the header that holds the user's groups, separated by commas;
	// none are read if it is left out.
	Groups string `yaml:"groups"`

	// Trusted lists where the proxies call from: addresses and networks
	// ("127.0.0.1/32", "10.1.2.3", "fd00::/64") of TCP connections, and "unix"
	// for everyone who can open the listener's unix socket.
	Trusted []string `yaml:"trusted"`
}

// trustUnix is what stands for unix sockets among the trusted addresses.
const trustUnix = "unix"

const (
	maxGroups    = 512 // of one caller
	maxGroupName = 256
)

// notOurs are headers that have another meaning already.
var notOurs = []string{"Authorization", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "Forwarded",
	"Host", "Origin", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "X-Registry-Auth", "X-Registry-Config"}

// trustedHeader is a Header made ready.
type trustedHeader struct {
	user, groups string // canonical
	unix         bool
	from         []netip.Prefix
}

// newTrustedHeader reads the section and tells fault what is wrong.
func newTrustedHeader(c *Header, fault func(message string, path ...string)) *trustedHeader {
	h := &trustedHeader{user: http.CanonicalHeaderKey(c.User), groups: http.CanonicalHeaderKey(c.Groups)}
	name := func(value, path string) {
		switch {
		case !validHeader(value):
			fault(fmt.Sprintf("%s is no header's name: write one like X-Forwarded-User", quoteShort(value)), path)
		case slices.Contains(notOurs, value):
			fault(value+" means something else: write one like X-Forwarded-User", path)
		}
	}
	name(h.user, "user")
	if h.groups != "" {
		name(h.groups, "groups")
		if h.groups == h.user {
			fault("is the header of the user's name already: write another", "groups")
		}
	}
	if len(c.Trusted) == 0 {
		fault(`nobody is believed: write the addresses that the proxy calls from, like ["127.0.0.1/32"], or [unix]`, "trusted")
	}
	for i, text := range c.Trusted {
		if text == trustUnix {
			h.unix = true
			continue
		}
		p, err := parseNetwork(text)
		if err != nil {
			fault(err.Error(), "trusted", strconv.Itoa(i))
			continue
		}
		h.from = append(h.from, p)
	}
	return h
}

// validHeader holds names to what every proxy passes on.
func validHeader(name string) bool {
	return name != "" && strings.IndexFunc(name, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) < 0
}

func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%s is no address: write one like 127.0.0.1/32, or unix", quoteShort(text))
	case p.Bits() == 0:
		return p, fmt.Errorf("%s is everyone, and anyone could claim to be anyone: write the addresses that the proxy calls from", text)
	case p != p.Masked():
		return p, fmt.Errorf("%s is an address within a network: write %s for the network, or %s/%d for the address", text, p.Masked(), p.Addr(), p.Addr().BitLen())
	}
	return p, nil
}

// trusts says whether the connection that brought r is a proxy's.
func (h *trustedHeader) trusts(r *http.Request) bool {
	if e, _ := r.Context().Value(peerKey{}).(*peerEvidence); e != nil {
		return h.unix
	}
	addr, ok := parseRemote(r.RemoteAddr)
	return ok && slices.ContainsFunc(h.from, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// headerSource knows callers by what a reverse proxy says of them.
type headerSource struct {
	dir *Directory
	*trustedHeader
}

func (*headerSource) Name() string { return "header" }

func (s *headerSource) Ask() (how, challenge string) {
	return "come through the proxy that sends " + s.user, ""
}

func (s *headerSource) Identify(r *http.Request) (*Identity, error) {
	users, groups := r.Header[s.user], []string(nil)
	if s.groups != "" {
		groups = r.Header[s.groups]
	}
	for _, list := range r.Header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); strings.EqualFold(name, s.user) || name != "" && strings.EqualFold(name, s.groups) {
				return nil, fmt.Errorf("the Connection header names %s, which makes proxies drop it: leave that out", name)
			}
		}
	}
	switch {
	case len(users) == 0 && len(groups) == 0:
		return nil, nil
	case !s.trusts(r):
		sent := s.user
		if len(users) == 0 {
			sent = s.groups
		}
		return nil, fmt.Errorf("%s is believed from the proxy only, and you are not it: leave it out (or have your address added to header: trusted:)", sent)
	case len(users) == 0:
		return nil, fmt.Errorf("there is %s without %s: have the proxy send both", s.groups, s.user)
	case len(users) > 1 || len(groups) > 1:
		return nil, fmt.Errorf("%s or %s is there twice: have the proxy replace what its callers send", s.user, s.groups)
	case users[0] == "":
		return nil, fmt.Errorf("%s is empty: have the proxy send the user's name, or no such header", s.user)
	}
	var in []string
	if len(groups) == 1 {
		for g := range strings.SplitSeq(groups[0], ",") {
			if g = strings.TrimSpace(g); g != "" {
				in = append(in, g)
			}
		}
	}
	who, err := s.dir.named(users[0], in, s.user)
	if err != nil {
		return nil, err
	}
	who.Method = s.Name()
	return who, nil
}

// named finds the caller whom somebody trusted calls by name; evidence is what
// says so.
func (d *Directory) named(name string, groups []string, evidence string) (*Identity, error) {
	if !ValidUser(name) {
		return nil, fmt.Errorf("%s %s cannot be a user's name: it needs letters, digits and _ . @ + -, a letter, digit or _ first, at most %d characters",
			evidence, quoteShort(name), maxUserName)
	}
	if len(groups) > maxGroups {
		return nil, fmt.Errorf("%s %s is in %d groups: at most %d are read, send fewer", evidence, name, len(groups), maxGroups)
	}
	for _, g := range groups {
		if len(g) > maxGroupName {
			return nil, errors.New("a group's name is too long: " + quoteShort(g))
		}
	}
	configured := ""
	if _, ok := d.users[name]; ok {
		configured = name
	}
	return d.find(configured, name, groups, evidence+" "+strconv.Quote(name), "that name, or for a group with roles")
}
