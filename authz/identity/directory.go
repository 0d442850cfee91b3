package identity

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Config says who there is.
type Config struct {
	// Users by name. The name is what rules, owner labels and the audit log
	// call them: letters, digits, and _ . @ + - after the first character.
	Users map[string]User `yaml:"users"`

	// Groups give roles to everyone in them: unix groups of the process at the
	// other end of a unix socket, organizational units of a certificate, the
	// groups of a header or of an OIDC token. Callers who are in such a group
	// need no users: entry of their own.
	Groups map[string]Group `yaml:"groups"`

	// Header is for listeners with identify: [header].
	Header *Header `yaml:"header"`

	// OIDC is for listeners with identify: [oidc].
	OIDC *OIDC `yaml:"oidc"`
}

// User is one person or machine that may call.
type User struct {
	// UID is the user's number on this machine, as `id -u` prints it. Whoever
	// calls a unix socket with this uid is this user.
	UID *uint32 `yaml:"uid"`

	// Certificate is the common name (CN) of the user's client certificate.
	Certificate string `yaml:"certificate"`

	// Tokens that the user may send as "Authorization: Bearer TOKEN", each as
	// "sha256:" and the 64 lower-case hex digits of its SHA-256, or as
	// "file:PATH" of a file that holds such a line. `moorgate token` makes one.
	Tokens []string `yaml:"tokens"`

	// Password is the argon2id hash of the user's password, or "file:PATH" of
	// a file that holds it. `moorgate password` makes one.
	Password string `yaml:"password"`

	// Roles that the user has; with none, and none through a group, the user
	// may do nothing.
	Roles []string `yaml:"roles"`
}

// Group is what membership in a group gives.
type Group struct {
	// Roles that everyone in the group has.
	Roles []string `yaml:"roles"`
}

// Fault is one thing wrong in the configuration.
type Fault struct {
	Path    []string // from the root of the file: "users", "alice", "tokens", "0"
	Message string
}

func (f *Fault) Error() string { return strings.Join(f.Path, ".") + ": " + f.Message }

// maxUserName bounds names that end up in labels, paths and log lines.
const maxUserName = 128

// maxSecretFile bounds what a "file:" of a token is read for: one short line.
const maxSecretFile = 4096

// Directory is the Config made ready for asking. What it says of who there is
// never changes; what it keeps of passwords and of the issuer's keys is its
// own, so that a new Directory begins without.
type Directory struct {
	users     map[string]User
	groups    map[string]Group
	byUID     map[uint32]string
	byCN      map[string]string
	tokens    []token
	names     *systemNames
	passwords *passwords
	header    *trustedHeader // nil without the section
	issuer    *issuer        // nil without the section
}

// NewDirectory is New for users and groups alone.
func NewDirectory(users map[string]User, groups map[string]Group) (*Directory, error) {
	return New(Config{Users: users, Groups: groups}, nil)
}

// New reads the configuration; its error joins every Fault there is. log, if
// not nil, is told what callers are not: why the issuer does not answer.
func New(c Config, log func(error)) (*Directory, error) {
	if log == nil {
		log = func(error) {}
	}
	d := &Directory{
		users:     c.Users,
		groups:    c.Groups,
		byUID:     map[uint32]string{},
		byCN:      map[string]string{},
		names:     newSystemNames(),
		passwords: newPasswords(),
	}
	var faults []error
	fault := func(at ...string) func(message string, path ...string) {
		return func(message string, path ...string) {
			faults = append(faults, &Fault{append(slices.Clone(at), path...), message})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		d.add(name, fault("users", name))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Groups)) {
		if name == "" {
			fault("groups", name)("a group needs a name")
		}
	}
	if c.Header != nil {
		d.header = newTrustedHeader(c.Header, fault("header"))
	}
	if c.OIDC != nil {
		c.OIDC.validate(fault("oidc"))
		d.issuer = newIssuer(*c.OIDC, log)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return d, nil
}

// add takes in one user and tells fault what is wrong, never what a secret is.
func (d *Directory) add(name string, fault func(message string, path ...string)) {
	u := d.users[name]
	if !ValidUser(name) {
		fault(fmt.Sprintf("%q cannot be a user's name: use letters, digits and _ . @ + -, a letter, digit or _ first, at most %d characters", name, maxUserName))
	}
	if u.UID != nil {
		if other, taken := d.byUID[*u.UID]; taken {
			fault(fmt.Sprintf("uid %d is %s already: a uid is one user", *u.UID, other), "uid")
		} else {
			d.byUID[*u.UID] = name
		}
	}
	if u.Certificate != "" {
		if other, taken := d.byCN[u.Certificate]; taken {
			fault(fmt.Sprintf("certificate %q is %s already: a common name is one user", u.Certificate, other), "certificate")
		} else {
			d.byCN[u.Certificate] = name
		}
	}
	for i, text := range u.Tokens {
		at := strconv.Itoa(i)
		sum, err := readTokenSum(text)
		if err != nil {
			fault(err.Error(), "tokens", at)
			continue
		}
		if k := slices.IndexFunc(d.tokens, func(t token) bool { return t.sum == sum }); k >= 0 {
			fault(fmt.Sprintf("this token is %s's already: make another with `moorgate token`", d.tokens[k].user), "tokens", at)
			continue
		}
		d.tokens = append(d.tokens, token{sum, name})
	}
	if u.Password != "" {
		if h, err := readPassword(u.Password); err != nil {
			fault(err.Error(), "password")
		} else {
			d.passwords.add(name, h)
		}
	}
}

// readTokenSum reads "sha256:HEX" or the file that holds it.
func readTokenSum(text string) (sum [32]byte, err error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		if text, err = readSecret(path); err != nil {
			return sum, err
		}
		if sum, err = parseTokenSum(text); err != nil {
			return sum, fmt.Errorf("%s: %w", path, err)
		}
		return sum, nil
	}
	return parseTokenSum(text)
}

func parseTokenSum(text string) (sum [32]byte, err error) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	if !ok || len(digits) != 2*len(sum) || strings.ToLower(digits) != digits {
		return sum, errors.New(`write "sha256:" and 64 lower-case hex digits, as ` + "`moorgate token`" + ` prints them, or file:PATH`)
	}
	if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
		return sum, errors.New("what follows sha256: must be hex digits")
	}
	return sum, nil
}

// readSecret reads the one line of a secret's file.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
		return "", fmt.Errorf("%s: a file of one line is wanted", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(data)), nil
}

// ValidUser holds names to characters that mean nothing in patterns, paths,
// labels and shells, since ${user} puts them there.
func ValidUser(name string) bool {
	if name == "" || len(name) > maxUserName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		case i > 0 && strings.IndexByte(".@+-", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// Named gives the identity of a configured user by name, with no evidence.
func (d *Directory) Named(user string) (Identity, bool) {
	_, ok := d.users[user]
	if !ok {
		return Identity{}, false
	}
	return Identity{User: user, Roles: d.Roles(user, nil)}, true
}

// Roles gives the roles of a user and of groups, each once.
func (d *Directory) Roles(user string, groups []string) []string {
	var roles []string
	add := func(more []string) {
		for _, r := range more {
			if !slices.Contains(roles, r) {
				roles = append(roles, r)
			}
		}
	}
	add(d.users[user].Roles)
	for _, g := range groups {
		add(d.groups[g].Roles)
	}
	return roles
}

// find names the caller whom evidence shows: configured is the user to whom
// the configuration gives this very evidence, or ""; own is the name that the
// evidence itself carries, which counts only for members of a configured group
// and only if it is no configured user's: a name alone makes nobody that user.
func (d *Directory) find(configured, own string, groups []string, unknown, cure string) (*Identity, error) {
	user := configured
	if user == "" {
		if !slices.ContainsFunc(groups, func(g string) bool { return len(d.groups[g].Roles) > 0 }) {
			return nil, fmt.Errorf("%s is no user of this moorgate: ask for a users: entry with %s", unknown, cure)
		}
		if !ValidUser(own) {
			return nil, fmt.Errorf("%s is known by its groups only, and its name %q cannot be a user's: ask for a users: entry with %s", unknown, own, cure)
		}
		if _, taken := d.users[own]; taken {
			return nil, fmt.Errorf("%s is named %s, but users: %s is not known by that: ask for %s there", unknown, own, own, cure)
		}
		user = own
	}
	return &Identity{User: user, Groups: groups, Roles: d.Roles(user, groups)}, nil
}

// Sources makes the sources that a listener's identify list names, in order.
func (d *Directory) Sources(names []string) ([]Source, error) {
	var sources []Source
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%s is listed twice", name)
		}
		s := d.source(name, names)
		if s == nil {
			return nil, fmt.Errorf("%q is no way to know users here: write any of %s, and the section that header and oidc need", name, strings.Join(SourceNames, ", "))
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// SourceNames lists what an identify list may hold.
var SourceNames = []string{"peer", "certificate", "token", "password", "header", "oidc"}

// source makes one source; beside is the whole list.
func (d *Directory) source(name string, beside []string) Source {
	switch {
	case name == "peer":
		return &peerSource{dir: d}
	case name == "certificate":
		return &certificateSource{dir: d}
	case name == "token":
		s := &tokenSource{dir: d}
		if d.issuer != nil && slices.Contains(beside, "oidc") {
			s.issuer = d.issuer.Issuer
		}
		return s
	case name == "password":
		return &passwordSource{dir: d}
	case name == "header" && d.header != nil:
		return &headerSource{d, d.header}
	case name == "oidc" && d.issuer != nil:
		return &oidcSource{dir: d, tokens: slices.Contains(beside, "token")}
	}
	return nil
}

// Lacks says what the configuration has to have before a listener on network,
// unix or tcp, can identify by the source of this name; "" for nothing. For
// other networks only what all need is looked at.
func (c Config) Lacks(source, network string) string {
	switch {
	case source == "oidc" && c.OIDC == nil:
		return "needs a section of its own: write oidc: { issuer: https://sso.example.org, client_id: moorgate }"
	case source != "header":
	case c.Header == nil:
		return `needs a section of its own: write header: { user: X-Forwarded-User, trusted: ["127.0.0.1/32"] }`
	case network == "unix" && !slices.Contains(c.Header.Trusted, trustUnix):
		return "nobody is believed on a unix socket: add unix to header: trusted:, or take header out"
	case network == "tcp" && !slices.ContainsFunc(c.Header.Trusted, func(t string) bool { return t != trustUnix }):
		return "nobody is believed on TCP: add the proxy's address to header: trusted:, or take header out"
	}
	return ""
}
