package terminal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// detachKeys make the Engine let go of a TTY when they are typed. Without any
// it takes ctrl-p, which shells use; it holds back what might become the
// sequence, so it begins with a key that nobody types.
const detachKeys = "ctrl-^,ctrl-_,ctrl-^,ctrl-_"

// sizeMinor is the first version of the API that takes the size with create and
// start.
const sizeMinor = 42

// stopSignalMinor is the first version of the API whose stop takes a signal.
const stopSignalMinor = 42

// execConfig is the body of exec.create.
type execConfig struct {
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	Tty          bool
	DetachKeys   string     `json:",omitempty"`
	ConsoleSize  *[2]uint16 `json:",omitempty"` // rows, columns
	Env          []string   `json:",omitempty"`
	User         string     `json:",omitempty"`
	WorkingDir   string     `json:",omitempty"`
	Cmd          []string
}

// execStart is the body of exec.start. Its Tty must be as at create: the one
// decides whether there is a terminal, the other whether there are frames.
type execStart struct {
	Detach      bool
	Tty         bool
	ConsoleSize *[2]uint16 `json:",omitempty"`
}

// execState is what exec.inspect tells.
type execState struct {
	Running  bool
	ExitCode *int
	Pid      int
}

// unborn says that the Engine could not run the command: there was no process.
func (s execState) unborn() bool {
	return !s.Running && s.Pid == 0 && s.ExitCode != nil && (*s.ExitCode == exitNotRunnable || *s.ExitCode == exitNotFound)
}

func inspectExec(ctx context.Context, e *engine, id string) (state execState, err error) {
	err = e.call(ctx, http.MethodGet, "/exec/"+pathOf(id)+"/json", nil, nil, &state)
	return state, err
}

// containerState is what container.inspect tells.
type containerState struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Running  bool
		Paused   bool
		ExitCode int
	}
	Config struct {
		Image     string
		Env       []string
		Tty       bool
		OpenStdin bool
		StdinOnce bool
	}
}

func inspectContainer(ctx context.Context, e *engine, name string) (state containerState, err error) {
	err = e.call(ctx, http.MethodGet, "/containers/"+pathOf(name)+"/json", nil, nil, &state)
	return state, err
}

// open starts what the session is for.
func (s *Session) open(ctx context.Context) error {
	if err := s.engine.negotiate(ctx); err != nil {
		return err
	}
	switch s.spec.Mode {
	case ModeRun:
		return s.openRun(ctx)
	case ModeAttach:
		return s.openAttach(ctx)
	}
	return s.openExec(ctx)
}

// find asks for the session's container. Who may not inspect it may still have
// a terminal in it: then little is known of it.
func (s *Session) find(ctx context.Context) (containerState, error) {
	c, err := inspectContainer(ctx, s.engine, s.spec.Container)
	var known *Error
	if s.spec.Mode == ModeExec && errors.As(err, &known) && known.Status == http.StatusForbidden {
		return containerState{ID: s.spec.Container}, nil
	}
	return c, err
}

func (s *Session) openExec(ctx context.Context) error {
	c, err := s.find(ctx)
	if err != nil {
		return err
	}
	tty := *s.spec.TTY
	p := place{container: c.ID, name: strings.TrimPrefix(c.Name, "/"), image: c.Config.Image, tty: tty, halves: true}
	config := execConfig{
		AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: tty, DetachKeys: detachKeys,
		Env:  s.environment(c.Config.Env),
		User: s.spec.User, WorkingDir: s.spec.Workdir, Cmd: s.spec.Cmd,
	}
	if len(config.Cmd) == 0 {
		config.Cmd, p.shell = shellCommand(s.m.o.Config.Shells), true
	}
	start := execStart{Tty: tty, ConsoleSize: s.consoleSize(tty)}
	config.ConsoleSize = start.ConsoleSize
	var made struct{ Id string }
	if err := s.engine.call(ctx, http.MethodPost, "/containers/"+pathOf(c.ID)+"/exec", nil, config, &made); err != nil {
		return standing(err)
	}
	p.exec = made.Id
	s.settle(p)
	s.m.state.write(s)
	out, err := s.engine.hijack(ctx, "/exec/"+pathOf(made.Id)+"/start", nil, start, tty)
	if err != nil {
		return standing(err)
	}
	s.begin(out)
	return nil
}

func (s *Session) openAttach(ctx context.Context) error {
	c, err := s.find(ctx)
	if err != nil {
		return err
	}
	if !c.State.Running {
		return newError(http.StatusConflict, "start the container first", "Container %s is not running", s.spec.Container)
	}
	s.settle(place{
		container: c.ID, name: strings.TrimPrefix(c.Name, "/"), image: c.Config.Image,
		tty: c.Config.Tty, halves: c.Config.OpenStdin && c.Config.StdinOnce,
	})
	out, err := s.attach(ctx, c.ID, c.Config.Tty)
	if err != nil {
		return err
	}
	s.begin(out)
	return nil
}

// attach joins a container's own process, also before it starts.
func (s *Session) attach(ctx context.Context, id string, tty bool) (*stream, error) {
	return s.engine.hijack(ctx, "/containers/"+pathOf(id)+"/attach", url.Values{
		"stream": {"1"}, "stdin": {"1"}, "stdout": {"1"}, "stderr": {"1"}, "detachKeys": {detachKeys},
	}, nil, tty)
}

// environment is what the session's process gets beside the image's.
func (s *Session) environment(image []string) []string {
	return append(environment(s.spec.Env, image, *s.spec.TTY), markerName+"="+s.marker)
}

// consoleSize is the size for a process that starts, nil where the Engine does
// not take it.
func (s *Session) consoleSize(tty bool) *[2]uint16 {
	if !tty || s.engine.minor < sizeMinor {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size.have = s.size.want
	return &[2]uint16{s.size.want.rows, s.size.want.cols}
}

// settle says where the session is.
func (s *Session) settle(p place) {
	s.mu.Lock()
	s.place = p
	s.mu.Unlock()
	s.record.at(p)
}

// begin lets the process write and be written to.
func (s *Session) begin(out *stream) {
	s.mu.Lock()
	s.stream = out
	if s.state == StateStarting {
		s.state = StateRunning
	}
	s.pulled = nil
	s.holdUntil = s.m.now().Add(holdBack)
	ending := s.ending != nil
	s.write()
	s.fit()
	s.mu.Unlock()
	if ending { // meanwhile
		out.Close()
	}
	go s.run()
}

// standing says what to do about a container that does not run.
func standing(err error) error {
	hint := "start the container first"
	if err != nil && strings.Contains(err.Error(), "paused") {
		hint = "unpause the container first"
	}
	return hinted(err, http.StatusConflict, hint)
}

// hinted adds what to do to an *Error of that status.
func hinted(err error, status int, hint string) error {
	var known *Error
	if errors.As(err, &known) && known.Status == status && known.Hint == "" {
		told := *known
		told.Hint = hint
		return &told
	}
	return err
}
