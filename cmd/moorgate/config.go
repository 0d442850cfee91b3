package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
	"moorgate/authz/plugin"
	"moorgate/authz/policy"
	"moorgate/proxy"
	"moorgate/terminal"
)

// Config is the configuration file: one section for each package.
type Config struct {
	// Listen says where callers come in, and how each place knows them.
	Listen []Listen `yaml:"listen"`
	// Engines by name. The first is the default; the others are reached with
	// /engines/NAME in DOCKER_HOST.
	Engines map[string]proxy.EngineConfig `yaml:"engines"`

	identity.Config `yaml:",inline"`

	// Roles say what those who have them may do.
	Roles map[string]policy.Role `yaml:"roles"`
	// Authorization lists what is asked after the roles, in this order: all
	// must allow.
	Authorization []plugin.Config `yaml:"authorization"`
	// Adopted is the file that `moorgate adopt` writes: objects made outside
	// moorgate, and whose they are. It is read again when it changes.
	Adopted string `yaml:"adopted"`
	// Terminal says how terminals in the browser behave, on listeners that
	// serve them.
	Terminal *terminal.Config `yaml:"terminal"`
	// DryRun denies nothing and records what would be denied.
	DryRun bool `yaml:"dry_run"`
	// Audit is the record of every request.
	Audit audit.Config `yaml:"audit"`
	// Log is moorgate's own log, on standard error.
	Log Log `yaml:"log"`
	// Drain is how long hijacked streams may go on after SIGTERM, 10s if left
	// out.
	Drain *time.Duration `yaml:"drain"`

	order    []string // the engines' names as the file has them
	sum      string   // SHA-256 of the file, in hex
	file     string   // its whole name; "" in personal mode
	personal bool
}

// Listen is one place where callers come in.
type Listen struct {
	proxy.ListenConfig `yaml:",inline"`
	// Serve lists what is served: api, terminal, admin; [api] if left out.
	Serve []string `yaml:"serve"`
	// Identify lists the evidence of who calls, in the order it is asked for:
	// peer, certificate, token, password, header, oidc.
	Identify []string `yaml:"identify"`
	// PublicURL is what browsers call this listener, with the path prefix that
	// a reverse proxy in front has for it: the only Origin that is taken, and
	// the only Host for pages, cookies and websockets. It may be left out
	// where that is the loopback address that the listener has.
	PublicURL string `yaml:"public_url"`
}

func (l Listen) serves(what string) bool {
	return slices.Contains(l.Serve, what) || len(l.Serve) == 0 && what == "api"
}

// Log says how moorgate logs.
type Log struct {
	// Level is debug, info, warn or error; info if left out.
	Level string `yaml:"level"`
	// Format is json or console; json if left out.
	Format string `yaml:"format"`
}

func (l Log) open() (*zap.Logger, error) {
	c := zap.NewProductionConfig()
	c.Sampling = nil
	c.EncoderConfig.TimeKey, c.EncoderConfig.EncodeTime = "time", zapcore.RFC3339TimeEncoder
	c.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	c.DisableCaller, c.DisableStacktrace = true, true
	if l.Format == "console" {
		c.Encoding = "console"
		c.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
	}
	if l.Level != "" {
		level, err := zapcore.ParseLevel(l.Level)
		if err != nil {
			return nil, err
		}
		c.Level = zap.NewAtomicLevelAt(level)
	}
	return c.Build()
}

const defaultDrain = 10 * time.Second

func (c *Config) drain() time.Duration {
	if c.Drain == nil {
		return defaultDrain
	}
	return *c.Drain
}

// loadConfig reads, checks and completes a file. Its error names every fault
// with its line and column.
func loadConfig(file string) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var c Config
	doc, err := readYAML(file, text, &c)
	if err != nil {
		return nil, err
	}
	c.order = doc.keys("engines")
	c.sum = fmt.Sprintf("%x", sha256.Sum256(text))
	if c.file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	c.resolve(filepath.Dir(file))
	c.check(doc)
	if err := doc.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// resolve makes the file names in the configuration relative to its folder.
func (c *Config) resolve(dir string) {
	fix := func(names ...*string) {
		for _, n := range names {
			if *n != "" && *n != "-" && !filepath.IsAbs(*n) {
				*n = filepath.Join(dir, *n)
			}
		}
	}
	for i := range c.Listen {
		if t := c.Listen[i].TLS; t != nil {
			fix(&t.Cert, &t.Key, &t.ClientCA)
		}
	}
	for _, e := range c.Engines {
		if t := e.TLS; t != nil {
			fix(&t.Cert, &t.Key, &t.CA)
		}
	}
	for _, p := range c.Authorization {
		if t := p.TLS; t != nil {
			fix(&t.Cert, &t.Key, &t.CA)
		}
	}
	fix(&c.Audit.File)
	fix(&c.Adopted)
	if c.Terminal != nil && c.Terminal.Record != nil {
		fix(&c.Terminal.Record.Dir)
	}
	secret := func(s *string) {
		if name, ok := strings.CutPrefix(*s, "file:"); ok {
			fix(&name)
			*s = "file:" + name
		}
	}
	for name, u := range c.Users {
		for i := range u.Tokens {
			secret(&u.Tokens[i])
		}
		secret(&u.Password)
		c.Users[name] = u
	}
	if c.OIDC != nil {
		secret(&c.OIDC.ClientSecret)
	}
}

var servable = []string{"api", "terminal", "admin"}

// check notes what is wrong in doc.
func (c *Config) check(doc *document) {
	if len(c.Listen) == 0 {
		doc.fault([]string{"listen"}, "nobody could come in: write at least one listener")
	}
	for i, l := range c.Listen {
		fault := doc.faultAt("listen", strconv.Itoa(i))
		l.check(fault)
		network, _, _ := strings.Cut(l.Address, "://")
		for j, s := range l.Identify {
			if message := c.Lacks(s, network); message != "" {
				fault(message, "identify", strconv.Itoa(j))
			}
		}
		if first := slices.IndexFunc(c.Listen, func(o Listen) bool { return o.Address == l.Address }); first < i {
			fault(fmt.Sprintf("%s is listen.%d's already: give each listener its own", l.Address, first), "address")
		}
	}
	if len(c.Engines) == 0 {
		doc.fault([]string{"engines"}, "there is no Engine: write local: { address: unix:///var/run/docker.sock }")
	}
	for name, e := range c.Engines {
		if strings.ContainsAny(name, "/?#%") || name == "" {
			doc.fault([]string{"engines", name}, "the name stands in paths: use letters, digits and -")
		}
		c.checkEngine(e, doc.faultAt("engines", name))
	}
	c.checkUsers(doc)
	c.checkRoles(doc)
	c.checkPlugins(doc)
	c.checkTerminal(doc)
	noteKeyed(doc.faultAt("audit"), c.Audit.Validate())
	if c.Audit.File == "" && c.Audit != (audit.Config{}) {
		doc.fault([]string{"audit", "file"}, "is missing: name a file, or - for standard error")
	}
	if _, err := zapcore.ParseLevel(c.Log.Level); err != nil && c.Log.Level != "" {
		doc.fault([]string{"log", "level"}, "write debug, info, warn or error")
	}
	if !slices.Contains([]string{"", "json", "console"}, c.Log.Format) {
		doc.fault([]string{"log", "format"}, "write json or console")
	}
	if c.Drain != nil && *c.Drain < 0 {
		doc.fault([]string{"drain"}, "is negative: write a duration like 10s")
	}
}

// noteFaults notes the faults that a package found in its part.
func noteFaults(doc *document, section string, err error) {
	for _, e := range flatten(err) {
		var f *identity.Fault
		if errors.As(e, &f) {
			doc.fault(f.Path, f.Message)
		} else {
			doc.fault([]string{section}, e.Error())
		}
	}
}

// noteKeyed notes faults that each begin with the key that is wrong.
func noteKeyed(fault faulty, err error) {
	for _, e := range flatten(err) {
		key, message, _ := strings.Cut(e.Error(), ": ")
		fault(message, key)
	}
}

func (c *Config) checkEngine(e proxy.EngineConfig, fault faulty) {
	if _, _, err := proxy.ParseAddress(e.Address); err != nil {
		fault(err.Error(), "address")
	} else if slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Address == e.Address }) {
		fault("is where moorgate itself listens: write the Engine's own", "address")
	}
	if e.TLS == nil {
		return
	}
	if strings.HasPrefix(e.Address, "unix://") {
		fault(fmt.Sprintf("tls with %s: only tcp addresses speak TLS", e.Address), "tls")
		return
	}
	if (e.TLS.Cert == "") != (e.TLS.Key == "") {
		fault("cert and key go together: write both, or neither", "tls")
	}
	checkFiles(fault, map[string]string{"cert": e.TLS.Cert, "key": e.TLS.Key, "ca": e.TLS.CA})
}

func (c *Config) checkRoles(doc *document) {
	_, err := policy.New(c.Roles, policy.Options{})
	noteFaults(doc, "roles", err)
	for name, r := range c.Roles {
		for i, engine := range r.Engines {
			if _, ok := c.Engines[engine]; !ok {
				doc.fault([]string{"roles", name, "engines", strconv.Itoa(i)}, fmt.Sprintf("no engine is called %q: write one of engines:", engine))
			}
		}
	}
}

func (c *Config) checkPlugins(doc *document) {
	for i, p := range c.Authorization {
		fault := doc.faultAt("authorization", strconv.Itoa(i))
		noteKeyed(fault, p.Validate())
		if t := p.TLS; t != nil {
			checkFiles(fault, map[string]string{"cert": t.Cert, "key": t.Key, "ca": t.CA})
		}
		if slices.ContainsFunc(c.Authorization[:i], func(o plugin.Config) bool { return o.Plugin == p.Plugin }) {
			fault(fmt.Sprintf("%s is listed twice: leave one out", p.Plugin), "plugin")
		}
	}
}

func (c *Config) checkUsers(doc *document) {
	_, err := identity.New(c.Config, nil)
	noteFaults(doc, "users", err)
	roles := func(names []string, path ...string) {
		for i, role := range names {
			if _, ok := c.Roles[role]; !ok {
				doc.fault(append(path, "roles", strconv.Itoa(i)), fmt.Sprintf("no role is called %q: write one of roles:, or add it there", role))
			}
		}
	}
	for name, u := range c.Users {
		roles(u.Roles, "users", name)
	}
	for name, g := range c.Groups {
		roles(g.Roles, "groups", name)
	}
}

// flatten gives the errors that errors.Join put together.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

func (l Listen) check(fault faulty) {
	scheme, rest, _ := strings.Cut(l.Address, "://")
	switch scheme {
	case "unix":
		if !strings.HasPrefix(rest, "/") {
			fault(fmt.Sprintf("%q is no address: write unix:///path", l.Address), "address")
		}
	case "tcp":
		l.checkTCP(fault)
	case "fd":
	default:
		fault(fmt.Sprintf("%q is no address: write unix:///path, tcp://host:port or fd://", l.Address), "address")
	}
	if _, err := proxy.ParseMode(l.Mode); err != nil {
		fault(err.Error(), "mode")
	}
	l.checkTLS(scheme, fault)
	if scheme != "unix" && (l.Mode != "" || l.Group != "") {
		fault("mode and group are for unix sockets: leave them out")
	}
	for i, s := range l.Serve {
		if !slices.Contains(servable, s) {
			fault(fmt.Sprintf("%q is not served: write one of %s", s, strings.Join(servable, ", ")), "serve", strconv.Itoa(i))
		}
	}
	if (l.serves("api") || l.serves("terminal")) && len(l.Identify) == 0 {
		fault("anyone could come in: write identify: with one or more of "+strings.Join(identity.SourceNames, ", "), "identify")
	}
	for i, s := range l.Identify {
		at := []string{"identify", strconv.Itoa(i)}
		switch {
		case !slices.Contains(identity.SourceNames, s):
			fault(fmt.Sprintf("%q is no evidence: write one of %s", s, strings.Join(identity.SourceNames, ", ")), at...)
		case slices.Contains(l.Identify[:i], s):
			fault(s+" is listed twice: leave one out", at...)
		case s == "peer" && scheme == "tcp":
			fault("peer credentials are for unix sockets: write certificate or token", at...)
		case s == "certificate" && (l.TLS == nil || l.TLS.ClientCA == ""):
			fault("certificates need tls: with client_ca:", at...)
		}
	}
	if _, err := terminal.ParsePublicURL(l.PublicURL); l.PublicURL != "" && err != nil {
		fault(err.Error(), "public_url")
	}
}

func (l Listen) checkTCP(fault faulty) {
	if _, _, err := proxy.ParseAddress(l.Address); err != nil || strings.HasSuffix(l.Address, "/") {
		fault(fmt.Sprintf("%q is no address: write tcp://host:port", l.Address), "address")
		return
	}
	if l.TLS == nil && !loopbackAddress(l.Address) {
		fault("anyone on the network could listen in: add tls: { cert: ..., key: ... }, or listen on 127.0.0.1", "address")
	}
}

func (l Listen) checkTLS(scheme string, fault faulty) {
	if l.TLS == nil {
		return
	}
	if scheme == "unix" {
		fault("is for tcp: leave it out, what passes a unix socket stays on this machine", "tls")
		return
	}
	files := map[string]string{"cert": l.TLS.Cert, "key": l.TLS.Key, "client_ca": l.TLS.ClientCA}
	for _, name := range []string{"cert", "key"} {
		if files[name] == "" {
			fault("is missing: write the name of a PEM file", "tls", name)
		}
	}
	checkFiles(fault, files)
}

// checkFiles notes which of the files under tls: cannot be used. A name that is
// "" was left out.
func checkFiles(fault faulty, files map[string]string) {
	pair := 0
	for name, file := range files {
		if file == "" {
			continue
		}
		pem, err := os.ReadFile(file)
		switch {
		case err != nil:
			fault(err.Error()+": write the name of a PEM file", "tls", name)
		case name == "cert" || name == "key":
			pair++
		case !x509.NewCertPool().AppendCertsFromPEM(pem):
			fault(file+" holds no PEM certificate", "tls", name)
		}
	}
	if pair == 2 {
		if _, err := tls.LoadX509KeyPair(files["cert"], files["key"]); err != nil {
			fault("cert and key: "+err.Error(), "tls")
		}
	}
}

// notices say which settings have no effect, so that nobody relies on them.
func (c *Config) notices() []string {
	notes := c.terminalNotices()
	for i, l := range c.Listen {
		if l.serves("admin") && len(l.Identify) > 0 {
			notes = append(notes, fmt.Sprintf("listen.%d: /healthz, /readyz and /metrics ask nobody who they are, whatever identify: says: serve admin on a unix socket or on loopback", i))
		}
	}
	return notes
}
