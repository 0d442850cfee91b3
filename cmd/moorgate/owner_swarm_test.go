package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// swarmConfig is for two who have their own, and carol who has all.
var swarmConfig = `
listen:
  - { address: unix://DIR/m.sock, mode: "0666", identify: [peer] }
  - { address: "tcp://TCP", identify: [token] }
engines: { local: { address: ENGINE } }
users:
  alice: { uid: 61000, tokens: ["` + tokenSum(tokenOfAlice) + `"], roles: [developer] }
  bob: { uid: 61001, tokens: ["` + tokenSum(tokenOfBob) + `"], roles: [developer] }
  carol: { uid: UID, roles: [administrator] }
roles:
  developer:
    allow: [read, "container.*", "exec.*", "network.*", "service.*", "task.*", "secret.*", "config.*", "image.*", distribution.inspect]
    scope: own
    images: [ { allow: "moorgate.test/**" } ]
    containers: any
  administrator: { allow: ["*"], scope: all, images: any, containers: any }
audit: { file: audit.jsonl }
drain: 200ms
`

// swarmEngine is an Engine that leads a swarm: a second one of the kind that
// the tests run on, as those beside this one must not meet a swarm.
func swarmEngine(t *testing.T) *engine {
	t.Helper()
	realEngine(t) // or no Engine is wanted
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("starts an Engine: CI runs it as root")
		}
		t.Skip("starts an Engine: run it as root")
	}
	const deploy = "../../deploy/engine"
	kind := os.Getenv("MOORGATE_ENGINE_KIND") + "-swarm"
	if exec.Command(deploy, "env", kind).Run() != nil { // else it is somebody's, who wants it to stay
		t.Cleanup(func() {
			if out, err := exec.Command(deploy, "down", kind).CombinedOutput(); err != nil {
				t.Errorf("deploy/engine down %s: %v\n%s", kind, err, out)
			}
		})
	}
	up := exec.Command(deploy, "up", kind)
	up.Stderr = t.Output()
	address, err := up.Output()
	if err != nil {
		t.Fatalf("deploy/engine up %s: %v", kind, err)
	}
	at := strings.TrimSpace(string(address))
	return &engine{t, at, unixClient(t, strings.TrimPrefix(at, "unix://"))}
}

// member is one of the swarm's users, with a service that has a secret, a
// config and a network. All are called $N.
type member struct {
	*neighbour
	ids map[string]string // of the service and what it has
}

// swarmed are alice and bob with a service each, and carol.
type swarmed struct {
	*team
	alice, bob *member
	carol      *person
}

func newSwarm(t *testing.T) *swarmed {
	t.Helper()
	s := &swarmed{team: teamAt(t, swarmEngine(t), swarmConfig)}
	s.carol = s.person(t, uint32(os.Getuid()), "peer")
	var all sync.WaitGroup
	for _, m := range []struct {
		at    **member
		uid   uint32
		name  string
		token string
	}{{&s.alice, uidOfAlice, "alice", tokenOfAlice}, {&s.bob, uidOfBob, "bob", tokenOfBob}} {
		p := s.person(t, m.uid, "peer")
		*m.at = &member{neighbour: &neighbour{person: p, name: m.name, token: m.token, mark: s.name + m.name}, ids: map[string]string{}}
		all.Go(func() { (*m.at).join(t) })
	}
	all.Wait()
	return s
}

func (m *member) join(t *testing.T) {
	m.env = append(m.env, "N="+m.mark)
	t.Cleanup(func() {
		m.does("docker service rm $(docker service ls -q) >/dev/null; for i in 1 2 3 4 5 6 7 8 9; do [ \"$(docker ps -aq)\" ] || break; sleep 1; done; "+
			"docker secret rm $(docker secret ls -q) >/dev/null; docker config rm $(docker config ls -q) >/dev/null; docker network prune -f >/dev/null; "+
			"docker service ls -q; docker secret ls -q; docker config ls -q; docker network ls -q --filter name=$N", "^$")
	})
	m.does("echo hidden of $N | docker secret create $N - && echo settings of $N | docker config create $N - && docker network create -d overlay --attachable $N", "")
	m.does("docker service create -dq --no-resolve-image --name $N --label tier=x --secret $N --config $N --network $N --stop-grace-period 0s $B "+
		"sh -c 'echo begun $(cat /run/secrets/*); exec sleep 600'", "^[0-9a-z]{25}\n$")
	m.find(t)
}

// find waits until the service's container runs, and learns the ids of all.
func (m *member) find(t testing.TB) {
	await(t, "the task of "+m.mark+" runs", func() bool {
		out, _, _ := m.sh("T=$(docker service ps -q --no-trunc --filter desired-state=running $N); echo $T; docker ps -q --no-trunc --filter status=running --filter label=com.docker.swarm.task.id=$T")
		found := regexp.MustCompile(`^([0-9a-z]{25})\n([0-9a-f]{64})\n$`).FindStringSubmatch(out)
		if found == nil {
			return false
		}
		m.ids["task"], m.ids["container"] = found[1], found[2]
		return true
	})
	for _, kind := range []string{"service", "secret", "config", "network"} {
		m.ids[kind] = m.does("docker "+kind+" inspect -f '{{.ID}}' $N", "^[0-9a-z]{25}\n$")
	}
}

// hides fails the test if text tells of what is not m's.
func (s *swarmed) hides(m *member, what, text string) {
	s.t.Helper()
	for _, secret := range append(slices.Collect(maps.Values(s.other(m).ids)), s.other(m).mark) {
		if at := strings.Index(text, secret[:min(len(secret), max(12, len(s.other(m).mark)))]); at >= 0 {
			s.t.Errorf("%s: %s reads of %s: ...%s...", what, m.name, secret, text[max(0, at-200):min(len(text), at+200)])
		}
	}
}

func (s *swarmed) other(m *member) *member {
	if m == s.alice {
		return s.bob
	}
	return s.alice
}

func (s *swarmed) both(do func(m *member)) {
	var all sync.WaitGroup
	for _, m := range []*member{s.alice, s.bob} {
		all.Go(func() { do(m) })
	}
	all.Wait()
}

// TestOwnerSwarm keeps two users of a swarm apart. Its parts follow on each
// other, as each Engine has one swarm and services take seconds to start.
func TestOwnerSwarm(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	s.both(s.sees)
	s.both(s.touches)
	s.both(s.names)
	s.both(s.updates)
	s.everyones()
	s.stacks()
}

// sees lists and reads all that is m's.
func (s *swarmed) sees(m *member) {
	since := time.Now().Unix()
	for _, step := range []struct{ script, want string }{
		{"docker service ls -q", "^" + m.ids["service"][:12] + "\n$"},
		{"docker service ls --format '{{.Name}} {{.Replicas}}'", "^" + m.mark + " 1/1\n$"},
		{"docker service ls -q --filter label=tier=x", "^" + m.ids["service"][:12] + "\n$"},
		{"docker service ls -q --filter name=" + s.name, "^" + m.ids["service"][:12] + "\n$"},
		{"docker service ls -q --filter label=moorgate.owner=" + s.other(m).name, "^$"},
		{"docker service inspect $N", m.ids["service"]},
		{"docker service inspect -f '{{index .Spec.Labels \"moorgate.owner\"}}' $N", "^" + m.name + "\n$"},
		{"docker service ps --no-trunc $N", m.ids["task"]},
		{"docker service logs --raw $N", "^begun hidden of " + m.mark + "\n$"},
		{"docker service logs --raw " + m.ids["task"], "^begun hidden of " + m.mark + "\n$"},
		{"docker secret ls -q", "^" + m.ids["secret"] + "\n$"},
		{"docker secret inspect $N", m.ids["secret"]},
		{"docker config ls -q", "^" + m.ids["config"] + "\n$"},
		{"docker config inspect --pretty $N", "settings of " + m.mark},
		{"docker network inspect $N", m.ids["container"]},
		{"docker network inspect --verbose $N", m.ids["container"]},
		{"docker network ls -q --no-trunc --filter driver=overlay --filter name=" + s.name, "^" + m.ids["network"] + "\n$"},
		{"docker ps -aq --no-trunc", "^" + m.ids["container"] + "\n$"},
		{"docker ps -aq --no-trunc -n 9", "^" + m.ids["container"] + "\n$"},
		{"docker ps -q --no-trunc --filter label=com.docker.swarm.service.name", "^" + m.ids["container"] + "\n$"},
		{"docker inspect $(docker ps -q)", m.ids["container"]},
		{"docker exec $(docker ps -q) cat /run/secrets/$N /$N", "^hidden of " + m.mark + "\nsettings of " + m.mark + "\n$"},
		{"docker logs $(docker ps -q); docker top $(docker ps -q); docker stats --no-stream --no-trunc", m.ids["container"]},
		{fmt.Sprintf("docker events --since %d --until %d --format '{{json .}}'", since-30, since+1), m.ids["container"]},
		{fmt.Sprintf("docker events --since %d --until %d --filter type=service --format '{{.Actor.ID}} {{.Action}}'", since-30, since+1), m.ids["service"] + " create"},
		{"docker info --format '{{json .}}'", `"ContainersRunning":1,`},
		{"docker node ls 2>&1; docker stack ls; docker system df -v", ""},
	} {
		s.hides(m, "$ "+step.script, m.does(step.script, step.want))
	}
	for target, want := range map[string]string{
		"/services": m.ids["service"], "/services?status=1": m.ids["service"], `/services?filters={"mode":["replicated"]}`: m.ids["service"],
		`/services?filters={"label":{"moorgate.owner":true}}`: m.ids["service"], `/services?filters={"id":["` + s.other(m).ids["service"] + `"]}`: "",
		"/services/" + m.ids["service"] + "?insertDefaults=1": m.ids["service"], "/services/" + m.mark: m.ids["service"], "/services/" + m.ids["service"][:9]: m.ids["service"],
		"/tasks": m.ids["task"], "/tasks/" + m.ids["task"]: m.ids["task"], `/tasks?filters={"service":["` + m.mark + `"]}`: m.ids["task"],
		`/tasks?filters={"name":["` + s.other(m).mark + `"]}`: "", `/tasks?filters={"id":["` + s.other(m).ids["task"] + `"]}`: "",
		"/tasks/" + m.ids["task"] + "/logs?stdout=1": "begun", "/services/" + m.ids["service"] + "/logs?stdout=1": "begun",
		"/secrets": m.ids["secret"], "/secrets/" + m.mark: m.ids["secret"], `/secrets?filters={"name":["` + s.name + `"]}`: m.ids["secret"],
		"/configs": m.ids["config"], "/configs/" + m.ids["config"][:9]: m.ids["config"], `/configs?filters={"name":["` + s.name + `"]}`: m.ids["config"],
		"/networks": m.ids["network"], "/networks/" + m.mark + "?verbose=1&scope=swarm": m.ids["network"], "/networks/ingress?verbose=1": "", "/networks/docker_gwbridge": m.ids["container"],
		"/containers/json": m.ids["container"], "/nodes": "", "/info": "",
	} {
		a := m.raw("GET", "/v1.41"+target, "")
		if a.StatusCode != 200 || !strings.Contains(a.body, want) {
			s.t.Errorf("%s: GET %s: %d, without %q: %s", m.name, target, a.StatusCode, want, a.body)
		}
		s.hides(m, "GET "+target, strings.ReplaceAll(a.body, target, ""))
	}
}

// touches asks for what is the other's, which answers as what there is not.
func (s *swarmed) touches(m *member) {
	other, count := s.other(m), 0
	check := func(script, theirs, none string) {
		count++
		run := func(name string) (string, int) {
			p := *m.person
			p.env = append(slices.Clone(m.env), "X="+name)
			out, stderr, exit := p.sh(script)
			return strings.ReplaceAll(out+stderr, name, "X"), exit
		}
		got, exit := run(theirs)
		want, noExit := run(none)
		if exit == 0 || exit != noExit || got != want {
			s.t.Errorf("%s: $ %s\nexit code %d: %sof what there is not %d: %s", m.name, script, exit, got, noExit, want)
		}
		s.hides(m, "$ "+script, got)
	}
	const nobody, nobodys = "0123456789abcdefghijklmno", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	both := func(kind string, scripts ...string) {
		for _, as := range [][2]string{{other.ids[kind], nobody}, {other.ids[kind][:9], nobody[:9]}, {other.mark, s.name + "none"}} {
			if kind == "container" {
				as = [2]string{other.ids[kind][:len(as[0])], nobodys[:len(as[0])]}
			}
			some := scripts
			if as[0] == other.ids[kind][:9] { // the beginning of an id is found as the whole is: once will do
				some = scripts[:1]
			}
			for _, script := range some {
				check(script, as[0], as[1])
			}
		}
	}
	both("service", "docker service inspect $X", "docker service logs $X", "docker service ps $X", "docker service rm $X", "docker service scale -d $X=3",
		"docker service update -dq --env-add X=1 $X", "docker service rollback -dq $X")
	both("secret", "docker secret inspect $X", "docker secret rm $X", "docker service create -dq --no-resolve-image --secret $X $B true")
	both("config", "docker config inspect $X", "docker config rm $X", "docker service create -dq --no-resolve-image --config $X $B true")
	both("network", "docker network inspect $X", "docker network rm $X", "docker service create -dq --no-resolve-image --network $X $B true", "docker run --rm --network $X $B true")
	both("container", "docker inspect $X", "docker exec $X true", "docker logs $X", "docker rm -f $X; docker inspect $X", "docker stop $X", "docker run --rm --volumes-from $X $B true")
	check("docker inspect --type task $X", other.ids["task"], nobody)
	check("docker service logs $X", other.ids["task"], nobody)

	spec := func(members string) string {
		return `{"Name":"` + m.mark + `-2","TaskTemplate":{"ContainerSpec":{"Image":"` + busybox + `"` + members + `}}`
	}
	for _, row := range []struct{ kind, method, target, body string }{
		{"task", "GET", "/tasks/%s", ""}, {"task", "GET", "/tasks/%s/logs?stdout=1", ""}, {"service", "GET", "/services/%s/logs?stdout=1&follow=1", ""},
		{"service", "POST", "/services/%s/update?version=1", spec("}")}, {"service", "POST", "/services/%s/update?version=1&rollback=previous", spec("}")},
		{"secret", "POST", "/secrets/%s/update?version=1", `{"Name":"x"}`}, {"config", "POST", "/configs/%s/update?version=1", `{"Name":"x"}`},
		{"service", "GET", `/tasks?filters={"service":["%s"]}`, ""}, {"service", "DELETE", "/services/%s", ""}, {"secret", "DELETE", "/secrets/%s", ""}, {"config", "DELETE", "/configs/%s", ""},
		{"secret", "POST", "/services/create", spec(`,"Secrets":[{"File":{"Name":"f","UID":"0","GID":"0","Mode":292},"SecretID":"%s","SecretName":"f"}]}`)},
		{"config", "POST", "/services/create", spec(`,"Configs":[{"File":{"Name":"f","UID":"0","GID":"0","Mode":292},"ConfigID":"%s","ConfigName":"f"}]}`)},
		{"network", "POST", "/services/create", spec(`},"Networks":[{"Target":"%s"}]`)}, {"network", "POST", "/networks/%s/connect", `{"Container":"` + m.ids["container"] + `"}`},
	} {
		count++
		fill := func(text, id string) string { return strings.ReplaceAll(text, "%s", id) }
		theirs := m.raw(row.method, "/v1.41"+fill(row.target, other.ids[row.kind]), fill(row.body, other.ids[row.kind]))
		none := m.raw(row.method, "/v1.41"+fill(row.target, nobody), fill(row.body, nobody))
		got, want := strings.ReplaceAll(theirs.body, other.ids[row.kind], "X"), strings.ReplaceAll(none.body, nobody, "X")
		if theirs.StatusCode < 400 || theirs.StatusCode != none.StatusCode || got != want {
			s.t.Errorf("%s: %s %s: %d %s, of what there is not %d %s", m.name, row.method, row.target, theirs.StatusCode, got, none.StatusCode, want)
		}
		s.hides(m, row.method+" "+row.target, got)
	}
	s.t.Logf("%s: %d calls, each of what is another's and of what there is not", m.name, count)
}

// names gives names that the other has: nobody is told whose they are.
func (s *swarmed) names(m *member) {
	p := *m.person
	p.env = append(slices.Clone(m.env), "X="+s.other(m).mark)
	for _, script := range []string{
		"docker service create -dq --no-resolve-image --name $X $B true", "echo mine | docker secret create $X -", "echo mine | docker config create $X -", "docker network create -d overlay $X", "docker network create $X",
	} {
		out, stderr, exit := p.sh(script)
		text := strings.ReplaceAll(out+stderr, s.other(m).mark, "X")
		if exit == 0 || !strings.Contains(text, "already exists") || strings.Contains(text, s.other(m).name) {
			s.t.Errorf("%s: $ %s: exit code %d, %s", m.name, script, exit, text)
		}
		s.hides(m, "$ "+script, text)
	}
	for _, fake := range []string{"echo x | docker secret create -l moorgate.owner=x $N-2 -", "echo x | docker config create -l moorgate.owner=x $N-2 -",
		"docker service create -dq --no-resolve-image -l moorgate.owner=x $B true", "docker service create -dq --no-resolve-image --container-label moorgate.owner=x $B true",
		"docker service update -dq --label-add moorgate.owner=x $N", "docker service update -dq --container-label-add moorgate.owner=x $N",
	} {
		if out, stderr, exit := m.sh(fake); exit == 0 || !strings.Contains(stderr, "set by moorgate alone") {
			s.t.Errorf("%s: $ %s: exit code %d, %s%s", m.name, fake, exit, out, stderr)
		}
	}
}

// swarmObject is what is sent back to change a service, secret or config.
type swarmObject struct {
	ID      string
	Version struct{ Index uint64 }
	Spec    map[string]json.RawMessage
}

func (m *member) object(kind string) (o swarmObject) {
	m.t.Helper()
	a := m.raw("GET", "/v1.41/"+kind+"s/"+m.ids[kind], "")
	if err := json.Unmarshal([]byte(a.body), &o); err != nil || o.ID == "" {
		m.t.Errorf("%s: %d %s", kind, a.StatusCode, a.body)
		o.Spec = map[string]json.RawMessage{}
	}
	return o
}

// updates changes what is m's, with the labels repeated and without: it stays
// m's, and so does what it had before.
func (s *swarmed) updates(m *member) {
	for _, step := range []struct{ labels, want string }{
		{`{"moorgate.owner":"` + m.name + `","a":"b"}`, ""}, {`{"a":"c"}`, ""}, {"", ""}, {"null", ""}, {`{"moorgate.owner":"` + s.other(m).name + `"}`, "set by moorgate alone"},
	} {
		for _, kind := range []string{"service", "secret", "config"} {
			o := m.object(kind)
			if delete(o.Spec, "Labels"); step.labels != "" {
				o.Spec["Labels"] = json.RawMessage(step.labels)
			}
			body, _ := json.Marshal(o.Spec)
			a := m.raw("POST", "/v1.41/"+kind+"s/"+o.ID+"/update?version="+strconv.FormatUint(o.Version.Index, 10), string(body))
			if a.StatusCode == 200 != (step.want == "") || !strings.Contains(a.body, step.want) {
				s.t.Errorf("%s: %s with labels %q: %d %s", m.name, kind, step.labels, a.StatusCode, a.body)
			}
			var labels map[string]string
			if err := json.Unmarshal(m.object(kind).Spec["Labels"], &labels); err != nil || labels["moorgate.owner"] != m.name {
				s.t.Errorf("%s: %s with labels %q: labels are then %v, %v", m.name, kind, step.labels, labels, err)
			}
		}
	}
	m.does("docker service update -dq --label-add a=d --no-resolve-image $N && docker service inspect -f '{{.Spec.Labels}}' $N", `a:d moorgate.owner:`+m.name)
	m.does("docker service rollback -dq $N && docker service inspect -f '{{.Spec.Labels}}' $N", `moorgate.owner:`+m.name)
	o := m.object("service")
	body, _ := json.Marshal(o.Spec)
	if a := m.raw("POST", "/v1.41/services/"+o.ID+"/update?rollback=previous&version="+strconv.FormatUint(o.Version.Index, 10), string(body)); a.StatusCode != 200 {
		s.t.Errorf("%s: rollback: %d %s", m.name, a.StatusCode, a.body)
	}
	m.does("docker service inspect -f '{{.Spec.Labels}} {{.Spec.TaskTemplate.ContainerSpec.Labels}}' $N", `moorgate.owner:`+m.name+`.*moorgate.owner:`+m.name)
	m.does("docker service update -dq --force --no-resolve-image $N && docker service scale -d $N=2 && docker service scale -d $N=1", "scaled to 1")
	m.find(s.t)
	s.hides(m, "docker ps", m.does("docker ps -q --no-trunc; docker service ps --no-trunc $N", "^"+m.ids["container"]))
}

// everyones: carol sees and changes all, which stays whose it is.
func (s *swarmed) everyones() {
	for _, kind := range []string{"service", "secret", "config"} {
		s.carol.does("docker "+kind+" ls --format '{{.ID}} {{.Name}}'", "(?s)("+s.alice.mark+".*"+s.bob.mark+"|"+s.bob.mark+".*"+s.alice.mark+")")
	}
	s.carol.does("docker ps -aq --no-trunc", s.alice.ids["container"])
	s.carol.does("docker service update -dq --no-resolve-image --label-add by=carol "+s.alice.mark+" && docker service inspect -f '{{.Spec.Labels}}' "+s.alice.mark, "by:carol moorgate.owner:alice")
	s.hides(s.bob, "services", s.bob.does("docker service ls -q", "^"+s.bob.ids["service"][:12]+"\n$"))
	s.alice.does("docker service inspect -f '{{.Spec.Labels.by}}' $N", "^carol\n$")
}

// stack is what docker stack deploy makes of a file.
const stack = `
services:
  web:
    image: moorgate.test/busybox:1
    command: sleep 600
    stop_grace_period: 0s
    secrets: [s]
    configs: [c]
secrets: { s: { file: ./secret } }
configs: { c: { file: ./secret } }
`

// stacks deploys the same stack twice: the second to ask for its name is told
// that it is in use, and neither can take the other's down.
func (s *swarmed) stacks() {
	for _, m := range []*member{s.alice, s.bob} {
		write(s.t, m.home, "stack.yaml", stack)
		write(s.t, m.home, "secret", "of "+m.mark)
		m.does("docker stack ls", "^NAME +SERVICES.*\n$")
		os.Chmod(m.home+"/stack.yaml", 0o644)
		os.Chmod(m.home+"/secret", 0o644)
		m.env = append(m.env, "S="+s.name+"stack")
	}
	const deploy = "docker stack deploy --detach=true --resolve-image never -c stack.yaml $S"
	s.alice.does(deploy, "Creating service "+s.name+"stack_web")
	s.alice.does("docker stack services -q $S; docker stack ps -q $S; docker stack ls", "(?s)^[0-9a-z]{12}\n[0-9a-z]{12}\n.*stack +1")
	out, stderr, exit := s.bob.sh(deploy)
	if exit == 0 || !strings.Contains(stderr, "already exists") || strings.Contains(stderr, "alice") {
		s.t.Errorf("bob: $ %s: exit code %d, %s%s", deploy, exit, out, stderr)
	}
	s.hides(s.bob, deploy, out+stderr)
	s.bob.does("docker stack ls -q 2>/dev/null || docker stack ls --format '{{.Name}}'", "^$")
	out, stderr, _ = s.bob.sh("docker stack rm $S; docker stack ps $S; docker stack services $S")
	if strings.Contains(out, "Removing") || !strings.Contains(stderr, "othing found in stack") {
		s.t.Errorf("bob: $ docker stack rm: %s%s", out, stderr)
	}
	s.alice.does(deploy, "Updating service "+s.name+"stack_web")
	s.alice.does("docker stack rm $S 2>&1", "Removing service "+s.name+"stack_web")
}
