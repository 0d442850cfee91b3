package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// What two users of one Engine get to see of the policy, at the docker CLI:
// alice is a developer, bob an administrator.

const (
	uidOfAlice, uidOfBob = 61000, 61001
	tokenOfAlice         = "mg_token-of-alice"
	tokenOfBob           = "mg_token-of-bob"
	registryPassword     = "alice:password-at-the-registry"
	buildSecret          = "secret-of-the-build"
)

// teamConfig is for both; TCP and TLS stand for addresses.
var teamConfig = `
listen:
  - { address: unix://DIR/m.sock, mode: "0666", identify: [peer] }
  - { address: "tcp://TCP", identify: [token] }
  - address: tcp://TLS
    tls: { cert: server.pem, key: server-key.pem, client_ca: ca.pem }
    identify: [certificate, token]
engines: { local: { address: ENGINE } }
users:
  alice: { uid: 61000, certificate: alice, tokens: ["` + tokenSum(tokenOfAlice) + `"], roles: [developer] }
  bob: { uid: 61001, certificate: mallory, tokens: ["` + tokenSum(tokenOfBob) + `"], roles: [administrator] }
roles:
  developer:
    allow: [read, "container.*", "exec.*", "image.*", "volume.*", "network.*", "buildkit.*", system.auth]
    scope: all
    images:
      - { deny: "**:latest", message: "pin a version" }
      - { deny: "docker.io/moby/buildkit", message: "build with DOCKER_BUILDKIT=0" }
      - { allow: "moorgate.test/busybox" }
      - { allow: "moorgate.test/${user}/**" }
    containers:
      binds: ["DIR/share:ro"]
      capabilities: [NET_BIND_SERVICE]
      limits: { memory: 64MiB, cpus: 1.5, pids: 100 }
  administrator: { allow: ["*"], scope: all, images: any, containers: any }
audit: { file: audit.jsonl }
drain: 200ms
`

// team is a moorgate with teamConfig and what its users have: NAME is a word of
// this test's own in the names of all that it makes.
type team struct {
	*server
	e        *engine
	name     string
	tcp, tls string
}

func newTeam(t *testing.T, change ...func(string) string) *team {
	t.Helper()
	return teamAt(t, realEngine(t), teamConfig, change...)
}

func teamAt(t *testing.T, e *engine, config string, change ...func(string) string) *team {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("calls as other users: CI runs it as root")
		}
		t.Skip("calls as other users: run it as root")
	}
	tm := &team{e: e, name: fmt.Sprintf("policy%d", time.Now().UnixNano()), tcp: freePort(t), tls: freePort(t)}
	config = strings.NewReplacer("tcp://TCP", "tcp://"+tm.tcp, "tcp://TLS", "tcp://"+tm.tls).Replace(config)
	for _, c := range change {
		config = c(config)
	}
	tm.server = start(t, config, e.address, func(s *server) {
		certificates(t, s.dir)
		os.MkdirAll(s.path("share"), 0o755)
		tools(t, s)
	})
	return tm
}

// tools puts the docker CLI and its plugins where other users reach them.
func tools(t *testing.T, s *server) {
	t.Helper()
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("../../deploy/engine", "plugins").Output()
	if err != nil {
		t.Fatalf("deploy/engine plugins: %v", err)
	}
	plugins := filepath.Join(strings.TrimSpace(string(out)), "cli-plugins")
	for from, to := range map[string]string{
		docker: "bin/docker", filepath.Join(plugins, "docker-compose"): "cli-plugins/docker-compose",
		filepath.Join(plugins, "docker-buildx"): "cli-plugins/docker-buildx",
	} {
		if from, err = filepath.EvalSymlinks(from); err != nil {
			t.Fatal(err)
		}
		os.MkdirAll(filepath.Dir(s.path(to)), 0o755)
		if os.Link(from, s.path(to)) == nil {
			continue
		}
		in, err := os.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		file, err := os.OpenFile(s.path(to), os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(file, in); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// person is a user at a shell, with a home and a configuration of the docker
// CLI.
type person struct {
	t        testing.TB
	tm       *team
	uid      uint32
	home     string
	env      []string
	evidence string
}

// ways are how alice and bob come in.
var ways = []string{"peer", "token", "certificate"}

func (tm *team) person(t testing.TB, uid uint32, evidence string) *person {
	t.Helper()
	p := &person{t, tm, uid, tm.path(fmt.Sprintf("%d-%s", uid, evidence)), nil, evidence}
	docker := filepath.Join(p.home, ".docker")
	if err := os.MkdirAll(docker, 0o755); err != nil {
		t.Fatal(err)
	}
	token, certificate := tokenOfAlice, "alice"
	if uid == uidOfBob {
		token, certificate = tokenOfBob, "mallory"
	}
	config := map[string]any{"auths": map[string]any{
		"evil.test": map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(registryPassword))}}}
	host := "unix://" + tm.path("m.sock")
	switch evidence {
	case "token":
		host = "tcp://" + tm.tcp
		config["HttpHeaders"] = map[string]string{"Authorization": "Bearer " + token}
	case "certificate":
		host = "tcp://" + tm.tls
		p.env = append(p.env, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+docker)
		for from, to := range map[string]string{"ca": "ca", certificate: "cert", certificate + "-key": "key"} {
			text, err := os.ReadFile(tm.path(from + ".pem"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, docker, to+".pem", string(text))
		}
	}
	text, _ := json.Marshal(config)
	write(t, docker, "config.json", string(text))
	if err := os.Symlink(tm.path("cli-plugins"), filepath.Join(docker, "cli-plugins")); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(p.home, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(uid), int(uid))
	}); err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "HOME="+p.home, "DOCKER_CONFIG="+docker, "DOCKER_HOST="+host, "PATH="+tm.path("bin")+":/usr/local/bin:/usr/bin:/bin",
		"DOCKER_BUILDKIT=0", "DOCKER_CLI_HINTS=false", "LC_ALL=C", "TERM=xterm",
		"B="+busybox, "N="+tm.name+evidence, "APP=moorgate.test/alice/"+tm.name+evidence, "EVIL=evil.test/"+tm.name, "DIR="+tm.dir)
	return p
}

func (p *person) command(script string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience) // in clean-ups too
	p.t.Cleanup(cancel)
	c := exec.CommandContext(ctx, "sh", "-c", script)
	c.Dir, c.Env, c.WaitDelay = p.home, p.env, time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.uid, Gid: p.uid}}
	return c
}

// sh runs a script as p types it.
func (p *person) sh(script string) (stdout, stderr string, exit int) {
	p.t.Helper()
	var out, err bytes.Buffer
	c := p.command(script)
	c.Stdout, c.Stderr = &out, &err
	if e := c.Run(); c.ProcessState == nil {
		p.t.Fatalf("%s: %v", script, e)
	}
	return out.String(), err.String(), c.ProcessState.ExitCode()
}

// does runs a script that must succeed and print what a pattern matches.
func (p *person) does(script, want string) string {
	p.t.Helper()
	out, stderr, exit := p.sh(script)
	if exit != 0 || !regexp.MustCompile(want).MatchString(out) {
		p.t.Errorf("$ %s\nexit code %d, want %q, got\n%s%s", script, exit, want, out, stderr)
	}
	return strings.TrimSpace(out)
}

// denials are the records of what p was refused.
func (p *person) denials() (all []record) {
	p.t.Helper()
	for _, r := range p.tm.records() {
		if r.Evidence == p.evidence && r.Decision == "deny" {
			all = append(all, r)
		}
	}
	return all
}

// TestPolicyAllowed does what a developer does all day.
func TestPolicyAllowed(t *testing.T) {
	t.Parallel()
	tm := newTeam(t)
	for _, evidence := range ways {
		t.Run(evidence, func(t *testing.T) {
			t.Parallel()
			alice := tm.person(t, uidOfAlice, evidence)
			t.Cleanup(func() {
				alice.does("docker rm -fv $N >/dev/null; docker volume rm -f $N; docker network rm -f $N; docker rmi -f $(docker images -q $APP | sort -u)", "")
			})
			for _, step := range []struct{ script, want string }{
				{"docker run --rm $B echo hello; docker run --rm $B sh -c 'exit 7' || echo $?", "^hello\n7\n$"},
				{"docker run -d --name $N --cap-add NET_BIND_SERVICE -v $DIR/share:/share:ro $B sh -c 'echo begun; exec sleep 600'", "^[0-9a-f]{64}\n$"},
				{"docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}' $N", "^67108864 1500000000 100\n$"},
				{"docker exec $N echo in it; docker exec -u 1000:1000 $N id -u; echo piped | docker exec -i $N cat", "^in it\n1000\npiped\n$"},
				{"docker logs $N; docker ps -qf name=$N", "^begun\n[0-9a-f]{12}\n$"},
				{"echo there and back >f; docker cp -q f $N:/tmp/f && docker cp -q $N:/tmp/f g && cat g", "^there and back\n$"},
				{"docker volume create $N; docker run --rm -v $N:/v $B sh -c 'echo kept >/v/f'; docker run --rm -v $N:/v:ro $B cat /v/f", "\nkept\n$"},
				{"docker network create $N >/dev/null; docker run --rm --network $N $B echo joined", "^joined\n$"},
				{`printf "FROM $B\nLABEL of=$N\nRUN echo built >/f\nCMD cat /f\n" | docker build -qt $APP:1 - && docker run --rm $APP:1`, "\nbuilt\n$"},
				{"docker tag $APP:1 $APP:2 && docker save -o app.tar $APP:2 && docker rmi $APP:2 && docker load -i app.tar", "Loaded image: moorgate.test/alice/"},
				{"docker commit -c 'CMD cat /tmp/f' $N $APP:3 && docker run --rm $APP:3", "\nthere and back\n$"},
				{"docker restart -t 0 $N && docker stop -t 0 $N && docker rm $N", "policy"},
			} {
				alice.does(step.script, step.want)
			}
			if got := alice.denials(); len(got) > 0 {
				t.Errorf("was denied %+v", got)
			}
		})
	}
}

func TestPolicyTerminal(t *testing.T) {
	t.Parallel()
	alice := newTeam(t).person(t, uidOfAlice, "peer")
	c := alice.command("docker run --rm -it $B sh")
	terminal, err := pty.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	terminal.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(terminal, "echo sum-$((40+2)) $(tty); exit 3\n")
	shown, _ := io.ReadAll(terminal)
	if c.Wait(); c.ProcessState.ExitCode() != 3 || !strings.Contains(string(shown), "sum-42 /dev/pts/") {
		t.Errorf("exit code %d, the terminal shows %q", c.ProcessState.ExitCode(), shown)
	}
}

const project = `
services:
  web:
    image: moorgate.test/busybox:1
    command: sh -c 'mkdir -p /srv; echo page >/srv/index.html; exec httpd -f -h /srv'
    volumes: ["data:/data"]
    environment: { SOME: thing }
    healthcheck: { test: wget -q -O- http://127.0.0.1/, interval: 1s }
    restart: unless-stopped
  client:
    image: moorgate.test/busybox:1
    init: true
    command: sh -c 'wget -q -O- http://web/; exec sleep 600'
    depends_on: { web: { condition: service_healthy } }
volumes: { data: {} }
`

func TestPolicyCompose(t *testing.T) {
	t.Parallel()
	alice := newTeam(t).person(t, uidOfAlice, "peer")
	alice.env = append(alice.env, "COMPOSE_PROJECT_NAME="+alice.tm.name)
	write(t, alice.home, "compose.yaml", project)
	if err := os.Chmod(filepath.Join(alice.home, "compose.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() {
		alice.does("docker compose down -v -t 0 && docker volume ls -qf name="+alice.tm.name, "^$")
	}()
	alice.does("docker compose up -d --wait", "")
	alice.does("docker compose logs --no-log-prefix client; docker compose exec -T web sh -c 'echo $SOME'", "^page\nthing\n$")
	before := alice.does("docker compose ps -q", "[0-9a-f]{64}\n[0-9a-f]{64}")
	alice.does("docker compose up -d --wait", "")
	if after := alice.does("docker compose ps -q", ""); after != before {
		t.Errorf("up once more made new containers: %s, before %s", after, before)
	}
	if got := alice.denials(); len(got) > 0 {
		t.Errorf("was denied %+v", got)
	}
}

// TestPolicyDenied is about the reasons: each names who, what, the rule, and
// what to do, and is in the record too.
func TestPolicyDenied(t *testing.T) {
	t.Parallel()
	tm := newTeam(t)
	bob := tm.person(t, uidOfBob, "peer")
	bob.does("docker run -d --name $N $B sleep 600 && docker exec $N touch /evil && docker commit $N $EVIL:latest", "")
	id := bob.does("docker image inspect -f '{{.Id}}' $EVIL:latest", "^sha256:")
	box := bob.does("echo $N", "")
	bob.does("docker tag $EVIL:latest $EVIL/load:1 && docker save -o $HOME/evil.tar $EVIL/load:1 && docker rmi $EVIL/load:1 && chmod 644 $HOME/evil.tar", "")
	t.Cleanup(func() { bob.does("docker rm -f $N; docker rmi -f $EVIL:latest", "") })
	const noRule = `no rule allows this image: ask for one`
	for _, evidence := range ways {
		t.Run(evidence, func(t *testing.T) {
			t.Parallel()
			alice := tm.person(t, uidOfAlice, evidence)
			alice.env = append(alice.env, "ID="+id, "SHORT="+strings.TrimPrefix(id, "sha256:")[:12], "BOX="+box, "ARCHIVE="+filepath.Join(bob.home, "evil.tar"))
			for _, step := range []struct{ script, says string }{
				{"docker pull $EVIL:1", "image.pull $EVIL:1 (role developer, images): " + noRule},
				{"docker pull busybox", "image.pull docker.io/library/busybox:latest (role developer, images[0]): pin a version"},
				{"docker pull -a moorgate.test/bob/x", "image.pull moorgate.test/bob/x (role developer, images"},
				{"docker run --rm $EVIL", "container.create $EVIL:latest (role developer, images[0]): pin a version"},
				{"docker run --rm $ID", "container.create $ID (role developer, images[0]): pin a version"},
				{"docker run --rm $SHORT", "container.create $SHORT (role developer, images[0]): pin a version"},
				{"docker run --rm --privileged $B", "container.create $B (role developer, containers.privileged): a privileged container has all of the host: name what it needs instead, as --cap-add or --device"},
				{"docker run --rm -v /etc:/x $B", "container.create $B (role developer, containers.binds): /etc is not among the binds"},
				{"docker run --rm -v $DIR/share:/x $B", "container.create $B (role developer, containers.binds): "},
				{"docker run --rm --network host $B", "container.create $B (role developer, containers.networks): host is not among the networks this role may join (bridge, none)"},
				{"docker run --rm --pid host $B", `container.create $B (role developer, containers): PidMode "host" shows the host's processes: leave it out`},
				{"docker run --rm --cap-add SYS_ADMIN $B", `container.create $B (role developer, containers.capabilities): "CAP_SYS_ADMIN" is not among the capabilities this role may add (NET_BIND_SERVICE): leave it out, or ask for it`},
				{"docker run --rm -p 80:80 $B", "container.create $B (role developer, containers.ports): "},
				{"docker run --rm -m 1g $B", "container.create $B (role developer, containers.limits): Memory 1073741824 is over the 64MiB"},
				{"docker exec --privileged $BOX true", "exec.create $BOX (role developer, exec.privileged): a privileged command has all of the host: run it without --privileged"},
				{"docker commit $BOX $EVIL:2", "container.commit $EVIL:2 (role developer, images): " + noRule},
				{"docker tag $B $EVIL:2", "image.tag $EVIL:2 (role developer, images): " + noRule},
				{"docker tag $EVIL:latest $APP:9", "image.tag ... (role developer, images[0]): pin a version"},
				{"docker push $EVIL:2", "image.push $EVIL:2 (role developer, images): " + noRule},
				{"echo FROM $B | docker build --build-arg PASSWORD=" + buildSecret + " -t $EVIL:2 -", "image.build $EVIL:2 (role developer, images): " + noRule},
				{"docker swarm init", "swarm.init (role developer): swarm.init is not among what it allows: ask for it"},
			} {
				alice.denied(step.script, step.says)
			}
			if evidence != "token" { // buildx does not send it
				// Refused the Engine's BuildKit, buildx would run its own.
				alice.denied("echo FROM $B | DOCKER_BUILDKIT=1 docker build -", "image.pull docker.io/moby/buildkit:buildx-stable-1 (role developer, images[1]): build with DOCKER_BUILDKIT=0")
				if !slices.ContainsFunc(alice.denials(), func(r record) bool {
					return r.Action == "buildkit.grpc" && strings.Contains(r.Reason, "build with DOCKER_BUILDKIT=0 docker build")
				}) {
					t.Error("no record of a refusal of BuildKit that says what to do")
				}
			}
			// These are judged while the body streams.
			alice.denied("echo FROM $EVIL | docker build -t $APP:9 -", "image.build ... (role developer, images[0]): $EVIL...: pin a version")
			alice.denied("docker load -i $ARCHIVE", "image.load (role developer, images): $EVIL/load:1: "+noRule)
			if out, _, exit := bob.sh("docker image inspect $EVIL/load:1"); exit == 0 {
				t.Errorf("the archive was loaded: %s", out)
			}

			// The administrator comes in the same way and may.
			other := bob
			if evidence != "peer" {
				other = tm.person(t, uidOfBob, evidence)
			}
			other.does("docker run --rm --pid host $B echo free", "^free\n$")
		})
	}
	t.Run("the answer's id is the record's", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: patience}
		for _, host := range []string{"http://" + tm.tcp, "https://" + tm.tls} {
			a := ask(t, client, "POST", host+"/v1.41/images/create?fromImage=busybox&tag=latest", "Authorization: Bearer "+tokenOfAlice)
			if err := a.ours(); a.StatusCode != 403 || err != nil {
				t.Fatalf("got %d %s (%v)", a.StatusCode, a.body, err)
			}
			got := tm.recorded(a.Header.Get("Moorgate-Request-Id"))
			if got.Decision != "deny" || got.User != "alice" || got.Action != "image.pull" || got.Status != 403 || !strings.Contains(a.message(), "("+got.Rule+"): "+got.Reason) {
				t.Errorf("the record of %q is %+v", a.message(), got)
			}
		}
	})
	t.Cleanup(func() { // after the parallel ones
		text, err := os.ReadFile(tm.path("audit.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{tokenOfAlice, tokenOfBob, "password-at-the-registry", base64.StdEncoding.EncodeToString([]byte(registryPassword)), buildSecret} {
			if strings.Contains(string(text), secret) || strings.Contains(tm.log.String(), secret) {
				t.Errorf("%s is in the records or in the log", secret)
			}
		}
	})
}

// denied runs a script that must fail and say why; in what it says ... stands
// for anything.
func (p *person) denied(script, says string) {
	p.t.Helper()
	said := "moorgate: alice may not " + os.Expand(says, func(name string) string {
		for _, e := range p.env {
			if key, value, _ := strings.Cut(e, "="); key == name {
				return value
			}
		}
		return name
	})
	shown := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(said), `\.\.\.`, ".*"))
	before := len(p.denials())
	_, stderr, exit := p.sh(script)
	if exit == 0 || !shown.MatchString(stderr) {
		p.t.Errorf("$ %s\nexit code %d, want %q, got\n%s", script, exit, said, stderr)
		return
	}
	await(p.t, "a record of "+script, func() bool {
		for _, r := range p.denials()[before:] {
			if r.User == "alice" && r.Status == 403 && strings.HasPrefix(said, "moorgate: alice may not "+r.Action) && strings.Contains(stderr, "("+r.Rule+"): "+r.Reason) {
				return true
			}
		}
		return false
	})
}

// TestPolicyDryRun lets through what would be denied, and says so in the
// records.
func TestPolicyDryRun(t *testing.T) {
	t.Parallel()
	tm := newTeam(t, func(config string) string { return config + "dry_run: true\n" })
	alice := tm.person(t, uidOfAlice, "peer")
	for _, step := range []struct{ script, want, action, rule string }{
		{"docker run --rm --pid host $B echo free", "^free\n$", "container.create", "role developer, containers"},
		{"docker run --rm busybox echo latest", "^latest\n$", "container.create", "role developer, images[0]"},
		{"docker tag $B $EVIL:1 && docker rmi $EVIL:1", "Untagged", "image.tag", "role developer, images"},
		{"docker plugin ls -q; docker swarm ca 2>/dev/null; echo $?", "1", "swarm.inspect", "role developer"},
	} {
		alice.does(step.script, step.want)
		await(t, "a record that "+step.action+" would be denied by "+step.rule, func() bool {
			for _, r := range tm.records() {
				if r.User == "alice" && r.Decision == "would_deny" && r.Action == step.action && r.Rule == step.rule && r.Reason != "" {
					return true
				}
			}
			return false
		})
	}
	if got := alice.denials(); len(got) > 0 {
		t.Errorf("was denied %+v", got)
	}
}

// authorizer is an authorization plugin of Docker's protocol: it lets everything
// through but containers with the word forbidden.
type authorizer struct {
	http.Server
	mu    sync.Mutex
	users map[string]bool
}

func (a *authorizer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var question struct {
		User, RequestMethod, RequestURI string
		RequestBody                     []byte
	}
	json.NewDecoder(r.Body).Decode(&question)
	switch {
	case r.URL.Path == "/Plugin.Activate":
		io.WriteString(w, `{"Implements":["authz"]}`)
		return
	case r.URL.Path == "/AuthZPlugin.AuthZReq" && strings.Contains(string(question.RequestBody), "forbidden"):
		io.WriteString(w, `{"Allow":false,"Msg":"use another word"}`)
		return
	}
	a.mu.Lock()
	a.users[question.User] = true
	a.mu.Unlock()
	io.WriteString(w, `{"Allow":true}`)
}

// withAuthorizer is a team that asks a plugin too.
func withAuthorizer(t *testing.T, settings string) (*team, *authorizer) {
	t.Helper()
	a := &authorizer{users: map[string]bool{}}
	a.Handler = a
	socket := filepath.Join(shortDir(t), "words.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go a.Serve(l)
	t.Cleanup(func() { a.Close() })
	return newTeam(t, func(config string) string {
		return config + "authorization: [{ plugin: words, address: unix://" + socket + ", timeout: 1s" + settings + " }]\n"
	}), a
}

func TestPolicyPlugin(t *testing.T) {
	t.Parallel()
	tm, a := withAuthorizer(t, "")
	alice := tm.person(t, uidOfAlice, "peer")
	alice.does("docker run --rm $B echo fine", "^fine\n$")
	a.mu.Lock()
	if !a.users["alice"] || len(a.users) != 1 {
		t.Errorf("the plugin was asked about %v", a.users)
	}
	a.mu.Unlock()
	alice.denied("docker run --rm $B echo forbidden", "container.create ... (plugin words): authorization denied by plugin words: use another word")
	alice.denied("docker run --rm --privileged $B echo forbidden", "container.create $B (role developer, containers.privileged): ")

	a.Close()
	if _, stderr, exit := alice.sh("docker ps"); exit == 0 || !strings.Contains(stderr, "moorgate: alice may not container.list (plugin words): plugin words could not decide") {
		t.Errorf("without the plugin: exit code %d, %s", exit, stderr)
	}
	r := ask(t, http.DefaultClient, "GET", "http://"+tm.tcp+"/v1.41/containers/json", "Authorization: Bearer "+tokenOfAlice)
	if got := tm.recorded(id(r.Response)); r.StatusCode != 503 || got.Decision != "error" || got.Rule != "plugin words" || got.Error == "" {
		t.Errorf("without the plugin: got %d %s, the record %+v", r.StatusCode, r.body, got)
	}
}

func TestPolicyPluginDryRun(t *testing.T) {
	t.Parallel()
	tm, a := withAuthorizer(t, ", dry_run: true")
	alice := tm.person(t, uidOfAlice, "peer")
	would := func(what, action string) {
		t.Helper()
		await(t, "a record of "+what, func() bool {
			for _, r := range tm.records() {
				if r.Decision == "would_deny" && r.Action == action && r.Rule == "plugin words" {
					return true
				}
			}
			return false
		})
	}
	alice.does("docker run --rm $B echo forbidden", "^forbidden\n$")
	would("the word", "container.create")
	a.Close()
	alice.does("docker volume ls -q", "")
	would("the plugin's absence", "volume.list")
}
