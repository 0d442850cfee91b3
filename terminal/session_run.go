package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// runConfig is the body of container.create. moorgate's labels are set by who
// judges it, not here: this is a client as any other.
type runConfig struct {
	Image        string
	Entrypoint   []string `json:",omitempty"`
	Cmd          []string `json:",omitempty"`
	Env          []string
	User         string `json:",omitempty"`
	WorkingDir   string `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	HostConfig   runHost
}

type runHost struct {
	Mounts      []runMount `json:",omitempty"`
	ConsoleSize *[2]uint16 `json:",omitempty"`
}

type runMount struct{ Type, Source, Target string }

// stopSeconds is how long a container of run has after its signal to stop.
const stopSeconds = "3"

// openRun makes a container for the session, after a pull if need be. The pull
// is asked for before it returns, so that a refusal is the caller's answer; the
// rest of it goes on after.
func (s *Session) openRun(ctx context.Context) error {
	tty := *s.spec.TTY
	s.settle(place{name: runPrefix + s.marker[:12], image: s.spec.Image, tty: tty, halves: true, shell: len(s.spec.Cmd) == 0})
	var image struct{ Config struct{ Env []string } }
	err := s.engine.call(ctx, http.MethodGet, "/images/"+imagePath(s.spec.Image)+"/json", nil, nil, &image)
	if missing(err) {
		return s.pull(ctx)
	}
	// Whoever may not inspect images may still run them.
	err = s.runNow(ctx, image.Config.Env)
	if missing(err) {
		return s.pull(ctx)
	}
	return err
}

// imagePath writes a reference for a path, where its slashes stand as they are.
func imagePath(name string) string {
	return strings.ReplaceAll(pathOf(name), "%2F", "/")
}

func missing(err error) bool {
	var known *Error
	return errors.As(err, &known) && known.Status == http.StatusNotFound
}

// runPrefix begins the names of the containers of run.
const runPrefix = "moorgate-run-"

// runNow makes the container, attaches and starts it, in this order: nothing
// that it writes is lost.
func (s *Session) runNow(ctx context.Context, imageEnv []string) error {
	s.mu.Lock()
	p := s.place
	s.mu.Unlock()
	config := runConfig{
		Image: s.spec.Image, Cmd: s.spec.Cmd, User: s.spec.User, WorkingDir: s.spec.Workdir, Tty: p.tty,
		OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		HostConfig: runHost{ConsoleSize: s.consoleSize(p.tty)},
	}
	env := imageEnv
	if s.spec.Volume != "" {
		config.HostConfig.Mounts = []runMount{{"volume", volumeName(s.who.User), s.spec.Volume}}
		config.Env = append(config.Env, "HOME="+s.spec.Volume) // what Env says comes after and wins
	}
	config.Env = append(config.Env, s.environment(env)...)
	if p.shell {
		shell := shellCommand(s.m.o.Config.Shells)
		config.Entrypoint, config.Cmd = shell[:1], shell[1:]
	}
	s.m.state.write(s)
	var made struct{ Id string }
	err := s.engine.call(ctx, http.MethodPost, "/containers/create", url.Values{"name": {p.name}}, config, &made)
	if err != nil {
		return err
	}
	p.container = made.Id
	s.settle(p)
	out, err := s.attach(ctx, made.Id, p.tty)
	if err == nil {
		if err = s.engine.call(ctx, http.MethodPost, "/containers/"+pathOf(made.Id)+"/start", nil, nil, nil); err != nil {
			out.Close()
			if fault := notStarted(err, p.shell); fault != "" {
				err = hinted(err, err.(*Error).Status, fault)
			}
		}
	}
	if err != nil {
		s.tidy()
		return err
	}
	s.begin(out)
	return nil
}

// notStarted is the hint for a container that could not be started.
func notStarted(err error, shell bool) string {
	var known *Error
	if !errors.As(err, &known) || !strings.Contains(known.Message, "executable file not found") && !strings.Contains(known.Message, "no such file or directory") {
		return ""
	}
	if shell {
		return "images without a shell, called distroless, have only their own program: name a command that the image has"
	}
	return "see that the image has the command; arguments are words of their own, not part of the command's name"
}

// volumeName is the volume of a user.
func volumeName(user string) string {
	var b strings.Builder
	b.WriteString("moorgate-home-")
	for _, c := range []byte(user) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// pull asks for the image and goes on without the caller once it comes.
func (s *Session) pull(ctx context.Context) error {
	query, err := pullQuery(s.spec.Image)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, s.cancel)
	resp, err := s.engine.do(s.ctx, http.MethodPost, "/images/create", query, nil)
	if !stop() && err == nil {
		resp.Body.Close()
		err = newError(http.StatusServiceUnavailable, "", "given up: %v", context.Cause(ctx))
	}
	if err != nil {
		return s.notPulled(err)
	}
	go func() {
		err := s.progress(resp.Body)
		if err == nil {
			var image struct{ Config struct{ Env []string } }
			s.engine.call(s.ctx, http.MethodGet, "/images/"+imagePath(s.spec.Image)+"/json", nil, nil, &image) //nolint:errcheck // create tells what is wrong
			err = s.runNow(s.ctx, image.Config.Env)
		}
		if err != nil {
			s.fail(err)
		}
	}()
	return nil
}

// notPulled tells of a pull that failed in the Engine's words, and what may help.
// The Engine answers 500 for whatever a registry did, though it and moorgate are
// well.
func (s *Session) notPulled(err error) error {
	var known *Error
	if !errors.As(err, &known) || known.Hint != "" {
		return err
	}
	told := *known
	switch {
	case known.Status == http.StatusNotFound:
		told.Hint = "see that the image's name and tag are right; a private one must be pulled first, by docker login and docker pull"
	case known.Status >= http.StatusInternalServerError:
		told.Status = http.StatusBadGateway
		told.Hint = "see that the image's name, with the registry before its first slash, is right, and that the Engine can reach that registry"
	default:
		return err
	}
	told.Message = "pulling " + s.spec.Image + ": " + known.Message
	return &told
}

// pullQuery names one image: without a tag the Engine would pull all.
func pullQuery(image string) (url.Values, error) {
	name, tag, isDigest := strings.Cut(image, "@")
	if !isDigest {
		tag = "latest"
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		if !isDigest { // which counts alone
			tag = name[i+1:]
		}
		name = name[:i]
	}
	if name == "" || tag == "" || strings.HasSuffix(name, ":") || isDigest != strings.Contains(tag, ":") {
		return nil, newError(http.StatusBadRequest, "write it as docker pull takes it", "image %q is no image name", image)
	}
	return url.Values{"fromImage": {name}, "tag": {tag}}, nil
}

// Bounds of what is told of a pull.
const (
	progressEvery = 100 * time.Millisecond // for each layer
	maxLayers     = 256
)

// progress tells how a pull goes, until it is done.
func (s *Session) progress(body io.ReadCloser) error {
	defer body.Close()
	type told struct {
		status string
		at     time.Time
	}
	last := map[string]told{}
	d := json.NewDecoder(body)
	for {
		var line struct {
			ID             string `json:"id"`
			Status         string `json:"status"`
			Error          string `json:"error"`
			ProgressDetail struct{ Current, Total int64 }
			ErrorDetail    struct{ Message string }
		}
		if err := d.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			return away(s.ctx, err)
		}
		if line.Error != "" || line.ErrorDetail.Message != "" {
			if line.ErrorDetail.Message != "" {
				line.Error = line.ErrorDetail.Message
			}
			return s.notPulled(&Error{Status: http.StatusInternalServerError, Message: line.Error})
		}
		n := &Notice{Kind: NoticePull, ID: line.ID, Status: line.Status, Current: line.ProgressDetail.Current, Total: line.ProgressDetail.Total}
		now := s.m.now()
		moving := n.Total > 0 && n.Current < n.Total
		if old := last[n.ID]; moving && old.status == n.Status && now.Sub(old.at) < progressEvery {
			continue
		}
		if len(last) < maxLayers {
			last[n.ID] = told{n.Status, now}
		}
		s.pulling(n)
	}
}

// pulling tells all and keeps the last of each layer for who comes later.
func (s *Session) pulling(n *Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touch()
	s.tell(n, nil)
	for i, old := range s.pulled {
		if n.ID != "" && old.ID == n.ID {
			s.pulled[i] = n
			return
		}
	}
	if len(s.pulled) < maxLayers {
		s.pulled = append(s.pulled, n)
	}
}
