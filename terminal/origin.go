package terminal

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"moorgate/authz/identity"
)

// site is what browsers call a listener. A page of any other site may not make
// a browser do anything here, and a name that was made to point here (DNS
// rebinding) is not this site.
type site struct {
	scheme string
	hosts  []string // as browsers write them in Host: without the scheme's own port
	base   string   // the path prefix, "" or like "/moorgate"
	cure   string   // what to do about a wrong Host
}

// ParsePublicURL reads what browsers call a listener: scheme, host, maybe a
// port and a path prefix, and nothing else.
func ParsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("write it like https://box.example.org")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.HasSuffix(u.Host, ":") {
		return nil, fmt.Errorf("write scheme, host and path alone, like https://box.example.org/moorgate")
	}
	if strings.IndexFunc(u.Host, func(c rune) bool { return c > 127 || c == '%' }) >= 0 {
		return nil, fmt.Errorf("write the host as browsers send it, in ASCII: xn--... for names in other letters")
	}
	if path := strings.TrimSuffix(u.Path, "/"); u.RawPath != "" || !plainPath(path) {
		return nil, fmt.Errorf("its path is a prefix of letters, digits and - _ . ~ /: write it like https://box.example.org/moorgate")
	}
	return u, nil
}

// plainPath says whether a prefix means itself however it is written.
func plainPath(path string) bool {
	if path == "" {
		return true
	}
	for i, part := range strings.Split(path, "/") {
		plain := strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~") == ""
		if !plain || (part == "") != (i == 0) || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// newSite gives the site of a listener. Without a public URL that is the
// loopback address that it listens on; one that listens elsewhere has none.
func newSite(l Listener) (*site, error) {
	if l.PublicURL != "" {
		u, err := ParsePublicURL(l.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("public_url: %w", err)
		}
		host := withoutOwnPort(u.Scheme, strings.ToLower(u.Host))
		return &site{
			scheme: u.Scheme, hosts: []string{host}, base: strings.TrimSuffix(u.Path, "/"),
			cure: "open " + u.Scheme + "://" + host + u.Path + ", which is this moorgate's public_url",
		}, nil
	}
	s := &site{scheme: "http", cure: "set public_url: of this listener to what browsers call it"}
	if l.TLS {
		s.scheme = "https"
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(l.Address, "tcp://"))
	if err != nil || !strings.HasPrefix(l.Address, "tcp://") || !loopback(host) {
		return s, nil
	}
	for _, name := range []string{"127.0.0.1", "localhost", "[::1]"} {
		s.hosts = append(s.hosts, withoutOwnPort(s.scheme, name+":"+port))
	}
	s.cure = fmt.Sprintf("open %s://%s/, or set public_url: of this listener to what browsers call it", s.scheme, s.hosts[0])
	return s, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// withoutOwnPort leaves out the port that the scheme has anyway, as browsers
// do.
func withoutOwnPort(scheme, host string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// strip takes the path prefix off, for reverse proxies that leave it on.
func (s *site) strip(r *http.Request) *http.Request {
	path, ok := strings.CutPrefix(r.URL.Path, s.base)
	if s.base == "" || !ok || path != "" && path[0] != '/' {
		return r
	}
	raw, ok := strings.CutPrefix(r.URL.RawPath, s.base)
	if r.URL.RawPath != "" && !ok {
		return r // the prefix is not written plainly
	}
	u := *r.URL
	u.Path, u.RawPath = path, raw
	if u.Path == "" {
		u.Path = "/"
	}
	inner := *r
	inner.URL = &u
	return &inner
}

// ownHost says whether the request's Host is the site's.
func (s *site) ownHost(r *http.Request) bool {
	return slices.Contains(s.hosts, strings.ToLower(r.Host))
}

// refuseHost is the answer to a browser that came by another name.
func (s *site) refuseHost(r *http.Request) error {
	return deny("host", http.StatusForbidden, "%.100q is not what this moorgate is called: %s", r.Host, s.cure)
}

// sender is what the request tells of the page that made the browser send it.
type sender int

const (
	nobody  sender = iota // it says nothing: no browser, or an old one
	own                   // the site's own page
	foreign               // another site's, or one that hides itself
)

// sender reads Origin and, where there is none, Sec-Fetch-Site; no page can
// set either.
func (s *site) sender(r *http.Request) sender {
	if origins, ok := r.Header["Origin"]; ok {
		// An Origin that is the site's with another of its loopback names
		// would be another site with other cookies.
		if len(origins) == 1 && origins[0] == s.scheme+"://"+strings.ToLower(r.Host) && s.ownHost(r) {
			return own
		}
		return foreign
	}
	switch from := r.Header["Sec-Fetch-Site"]; {
	case len(from) == 0:
		return nobody
	case len(from) == 1 && from[0] == "same-origin":
		return own
	case len(from) == 1 && from[0] == "none" && safe(r.Method): // typed into the address bar
		return own
	}
	return foreign
}

// safe says whether a method changes nothing by itself.
func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// upgrades says whether a request wants to be a stream: with a websocket GET
// does more than read.
func upgrades(r *http.Request) bool { return r.Header["Upgrade"] != nil }

// websocket says whether it wants to be a websocket, which is what pages can
// open.
func websocket(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Upgrade"], func(v string) bool { return strings.Contains(strings.ToLower(v), "websocket") })
}

// ambient says whether a browser adds this evidence by itself, whoever made it
// ask: its cookie, what an SSO proxy makes of its cookie.
func ambient(who *identity.Identity) bool {
	return who.Method == cookieMethod || who.Method == "header"
}

// guard refuses what another site made a browser send. Callers who are no
// browser and show evidence that no browser adds by itself need not say where
// they come from.
func (s *site) guard(r *http.Request, who *identity.Identity) error {
	from := s.sender(r)
	browser := from != nobody || r.Header["Cookie"] != nil
	if !s.ownHost(r) && (browser || ambient(who) || websocket(r) && !s.unix(r)) {
		return s.refuseHost(r)
	}
	acts := !safe(r.Method) || upgrades(r)
	switch {
	case from == foreign:
		return s.refuseOrigin(r)
	case !acts:
		return nil
	case ambient(who) && (from == nobody || websocket(r) && r.Header["Origin"] == nil):
		return s.refuseOrigin(r)
	}
	return nil
}

// unix says whether a request came over a unix socket that has no site: no
// browser opens one, and clients write what they like in Host.
func (s *site) unix(r *http.Request) bool {
	return len(s.hosts) == 0 && identity.PeerOf(r.Context()) != nil
}

func (s *site) refuseOrigin(r *http.Request) error {
	if !s.ownHost(r) {
		return s.refuseHost(r)
	}
	if origins := r.Header["Origin"]; len(origins) > 0 {
		return deny("origin", http.StatusForbidden, "this was sent by a page of %.100q, and only pages of %s://%s may", origins[0], s.scheme, r.Host)
	}
	return deny("origin", http.StatusForbidden, "the Origin header is missing: send Origin: %s://%s with what changes something or opens a stream", s.scheme, r.Host)
}

// Guard lets requests through that no page of another site made a browser
// send. It is for listeners that serve the Engine's API to clients that are no
// browsers: those say nothing of where they come from, and every Origin but
// the listener's own is refused. Requests over unix sockets, which browsers
// cannot open, are all let through.
func Guard(l Listener, next http.Handler) (http.Handler, error) {
	s, err := newSite(l)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.Header["Origin"] != nil || r.Header["Sec-Fetch-Site"] != nil) && identity.PeerOf(r.Context()) == nil && s.sender(r) != own {
			fail(w, r, deny("origin", http.StatusForbidden, "pages in browsers may not use this: %s", s.cure))
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}
