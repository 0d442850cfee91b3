package deploy_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// imageUser is the user that the Dockerfile names.
const imageUser = 65532

// container is an image of moorgate in a real Engine.
type container struct {
	*testing.T
	image        string
	env          []string
	engineSocket string
	engineGroup  string
	dir          string // where the container listens
}

// newContainer builds the image with the classic builder, which every Engine
// has.
func newContainer(t *testing.T) *container {
	t.Helper()
	tools(t, "docker")
	engine := os.Getenv("MOORGATE_ENGINE")
	path, local := strings.CutPrefix(engine, "unix://")
	if !local {
		lacking(t, "MOORGATE_ENGINE names no Engine")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	c := &container{
		T: t, image: fmt.Sprintf("moorgate.test/%s:%d", strings.ToLower(t.Name()), os.Getpid()),
		env:          []string{"DOCKER_HOST=" + engine, "DOCKER_CONTEXT=", "DOCKER_BUILDKIT=0"},
		engineSocket: path, engineGroup: strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Gid)), dir: folder(t),
	}
	if err := os.Chown(c.dir, imageUser, imageUser); err != nil {
		lacking(t, "a folder for the container's user needs root: "+err.Error())
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.docker("build", "--quiet", "--tag", c.image, "--file", "Dockerfile", filepath.Dir(binary(t)))
	t.Cleanup(func() { _ = command("", c.env, "docker", "image", "rm", "--force", c.image).Run() })
	return c
}

func (c *container) docker(args ...string) string {
	c.Helper()
	cmd := command("", c.env, "docker", args...)
	cmd.Stderr = new(bytes.Buffer) // the classic builder warns there that it is old
	out, err := cmd.Output()
	if err != nil {
		c.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, cmd.Stderr)
	}
	return strings.TrimSpace(string(out))
}

// answers waits until the Engine answers through the container.
func (c *container) answers() {
	c.Helper()
	socket := filepath.Join(c.dir, "docker.sock")
	eventually(c.T, func() error {
		got, err := get(socket, "/_ping")
		if err == nil && got != "OK" {
			err = errors.New(got)
		}
		return err
	})
	if direct, through := c.docker("info", "--format", "{{.ID}}"), c.docker("--host", "unix://"+socket, "info", "--format", "{{.ID}}"); direct != through {
		c.Errorf("the Engine is %q, through the container %q", direct, through)
	}
	info, err := os.Stat(socket)
	if err != nil {
		c.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != imageUser {
		c.Errorf("the container runs as uid %d, not %d", uid, imageUser)
	}
}

func TestImage(t *testing.T) {
	c := newContainer(t)
	if got := c.docker("image", "inspect", "--format", "{{.Config.User}}", c.image); got != fmt.Sprintf("%d:%[1]d", imageUser) {
		t.Errorf("its user is %q", got)
	}
	if got := c.files(); !slices.Equal(got, []string{"moorgate"}) {
		t.Errorf("it holds %q", got)
	}
	if got := c.docker("run", "--rm", c.image, "version"); !strings.HasPrefix(got, "moorgate ") {
		t.Errorf("version says %q", got)
	}

	config, err := filepath.Abs("examples/container.yaml")
	if err != nil {
		t.Fatal(err)
	}
	id := c.docker("run", "--detach", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none",
		"--group-add", c.engineGroup, "--volume", config+":/etc/moorgate/moorgate.yaml:ro",
		"--volume", c.engineSocket+":/var/run/docker.sock", "--volume", c.dir+":/run/moorgate", c.image)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(run(t, command("", c.env, "docker", "logs", id)))
		}
		_ = command("", c.env, "docker", "rm", "--force", id).Run()
	})
	c.answers()
	c.docker("stop", id)
	if code := c.docker("inspect", "--format", "{{.State.ExitCode}}", id); code != "0" {
		t.Errorf("stopped, it exits with %s", code)
	}
}

// files are the names in all layers of the image.
func (c *container) files() []string {
	c.Helper()
	saved, err := command("", c.env, "docker", "save", c.image).Output()
	if err != nil {
		c.Fatal(err)
	}
	var names []string
	each(c.T, bytes.NewReader(saved), func(_ string, content io.Reader) {
		layer, err := io.ReadAll(content)
		if err != nil {
			c.Fatal(err)
		}
		if len(layer) > 512 && bytes.HasPrefix(layer[257:], []byte("ustar")) {
			each(c.T, bytes.NewReader(layer), func(name string, _ io.Reader) { names = append(names, name) })
		}
	})
	return names
}

// each goes through a tar.
func each(t *testing.T, r io.Reader, do func(name string, content io.Reader)) {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		do(h.Name, archive)
	}
}

func TestCompose(t *testing.T) {
	if err := command("", nil, "docker", "compose", "version").Run(); err != nil {
		lacking(t, "there is no docker compose")
	}
	c := newContainer(t)
	c.env = append(c.env, "DOCKER_GID="+c.engineGroup, "DOCKER_SOCKET="+c.engineSocket, "MOORGATE_DIR="+c.dir, "MOORGATE_IMAGE="+c.image)
	compose := func(args ...string) string {
		c.Helper()
		project := fmt.Sprintf("moorgate-test-%d", os.Getpid())
		return c.docker(append([]string{"compose", "--file", "compose.yaml", "--project-name", project}, args...)...)
	}

	var config struct {
		Services map[string]struct {
			Build struct{ Context, Dockerfile string }
		}
	}
	if err := json.Unmarshal([]byte(compose("config", "--format", "json")), &config); err != nil {
		t.Fatal(err)
	}
	b := config.Services["moorgate"].Build
	if b.Context != absolute(t, "../bin") || filepath.Join(b.Context, b.Dockerfile) != absolute(t, "Dockerfile") {
		t.Errorf("it builds from %+v", b)
	}

	t.Cleanup(func() { compose("down", "--timeout", "5") })
	compose("up", "--detach", "--no-build", "--quiet-pull")
	c.answers()
	if log := compose("logs", "--no-log-prefix"); !strings.Contains(log, `"action":"system.info"`) {
		t.Errorf("its log holds no audit record:\n%s", log)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
