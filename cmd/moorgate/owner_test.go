package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Two developers on one Engine, each with an Engine of their own as far as they
// can tell: what either sees and touches is theirs.

// neighbours are alice and bob, whose role has scope own; the Engine holds what
// is nobody's as well.
type neighbours struct {
	*team
	alice, bob *neighbour
}

// neighbour is one of them, with one of each kind of object: each is called
// $N, and what is theirs is in the variables.
type neighbour struct {
	*person
	name, mark, token                      string
	box, network, volume, anonymous, image string // box to image by id or name
	exec                                   string
}

var homes atomic.Int64

func newNeighbours(t *testing.T, evidence string) *neighbours {
	t.Helper()
	home := fmt.Sprintf("%d-%d", os.Getpid(), homes.Add(1)) // users whom no other test knows
	alice, bob := "alice"+home, "bob"+home
	n := &neighbours{}
	n.team = newTeam(t, func(config string) string {
		return strings.NewReplacer(
			"scope: all\n    images:\n      - {", "scope: own\n    images:\n      - {",
			`"network.*",`, `"network.*", "build.*",`, "roles: [administrator] }", "roles: [developer] }", "  alice: {", "  "+alice+": {", "  bob: {", "  "+bob+": {",
		).Replace(config)
	})
	n.alice = n.moveIn(t, uidOfAlice, alice, tokenOfAlice, evidence)
	n.bob = n.moveIn(t, uidOfBob, bob, tokenOfBob, evidence)
	n.unowned()
	return n
}

func (n *neighbours) moveIn(t *testing.T, uid uint32, name, token, evidence string) *neighbour {
	t.Helper()
	p := &neighbour{person: n.person(t, uid, evidence), name: name, token: token, mark: n.name + name}
	p.env = append(p.env, "N="+p.mark, "APP=moorgate.test/"+name+"/"+p.mark)
	t.Cleanup(func() {
		p.does("{ docker rm -fv $(docker ps -aq); docker volume rm -f $(docker volume ls -q); for i in 1 2 3 4 5; do docker network prune -f; [ \"$(docker network ls -qf name=$N)\" ] || break; sleep 1; done;"+
			" docker rmi -f $(docker images -q $APP | sort -u); } >/dev/null 2>&1; docker ps -aq; docker volume ls -q; docker network ls -qf name=$N; docker images -q $APP", "^$")
	})
	p.does("docker network create $N && docker volume create $N", p.mark)
	p.box = p.does("docker run -d --name $N -v $N:/v -v /anonymous --label tier=x $B sh -c \"echo begun $N; exec sleep 600\"", "^[0-9a-f]{64}\n$")
	p.does("docker network connect $N $N", "^$")
	p.network = p.does("docker network inspect -f '{{.Id}}' $N", "^[0-9a-f]{64}\n$")
	p.volume = p.mark
	p.anonymous = p.does("docker inspect -f '{{range .Mounts}}{{if ne .Destination \"/v\"}}{{.Name}}{{end}}{{end}}' $N", "^[0-9a-f]{64}\n$")
	p.does(`printf "FROM $B\nLABEL of=$N\nRUN echo built by $N >/f\n" | docker build -qt $APP:1 -`, "sha256:")
	p.image = p.does("docker image inspect -f '{{.Id}}' $APP:1", "^sha256:")
	a := p.raw("POST", "/v1.41/containers/"+p.mark+"/exec", `{"Cmd":["sleep","300"]}`)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.ID == "" {
		t.Fatalf("exec: %d %s", a.StatusCode, a.body)
	}
	p.exec = made.ID
	p.env = append(p.env, "BOX="+p.box)
	return p
}

// unowned makes what moorgate does not know of, some of it with alice's name.
func (n *neighbours) unowned() {
	n.t.Helper()
	for suffix, labels := range map[string]string{"nobody": `{}`, "false": `{"moorgate.owner":"` + n.alice.name + `"}`} {
		var made struct{ Id string }
		n.e.call("POST", "/containers/create?name="+n.name+suffix, fmt.Sprintf(`{"Image":%q,"Cmd":["true"],"Labels":%s}`, busybox, labels), &made)
		n.t.Cleanup(func() { n.e.call("DELETE", "/containers/"+made.Id+"?force=1", "", nil) })
		n.e.call("POST", "/volumes/create", fmt.Sprintf(`{"Name":%q}`, n.name+suffix), nil)
		n.t.Cleanup(func() { n.e.call("DELETE", "/volumes/"+n.name+suffix, "", nil) })
		n.e.call("POST", "/networks/create", fmt.Sprintf(`{"Name":%q}`, n.name+suffix), nil)
		n.t.Cleanup(func() { n.e.call("DELETE", "/networks/"+n.name+suffix, "", nil) })
	}
}

// raw sends one request by the neighbour's token.
func (p *neighbour) raw(method, target, body string) answer {
	p.t.Helper()
	r, err := http.NewRequest(method, "http://"+p.tm.tcp, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery = path, strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", "[", "%5B", "]", "%5D").Replace(query)
	r.Header.Set("Authorization", "Bearer "+p.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, target, err)
	}
	return answer{resp, string(text)}
}

// secrets are what nobody but p may read of p.
func (p *neighbour) secrets() []string {
	return []string{p.mark, p.box[:12], p.network[:12], p.anonymous, strings.TrimPrefix(p.image, "sha256:")[:12], p.exec}
}

// hides fails the test if text tells of what is not p's.
func (n *neighbours) hides(p *neighbour, what, text string) {
	n.t.Helper()
	other := n.alice
	if p == n.alice {
		other = n.bob
	}
	for _, secret := range append(other.secrets(), n.name+"nobody", n.name+"false") {
		if at := strings.Index(text, secret); at >= 0 {
			n.t.Errorf("%s: %s reads of %s: ...%s...", what, p.name, secret, text[max(0, at-200):min(len(text), at+200)])
		}
	}
}

// enough waits for others who look at the Engine's disk: it lets only one.
const enough = "for i in 1 2 3 4 5 6 7 8 9; do docker system df >/dev/null 2>&1 && break; sleep 1; done; "

// TestOwnerSees: what each lists and reads is theirs.
func TestOwnerSees(t *testing.T) {
	t.Parallel()
	for _, evidence := range []string{"peer", "token"} {
		t.Run(evidence, func(t *testing.T) {
			t.Parallel()
			n := newNeighbours(t, evidence)
			since := time.Now().Unix()
			var all sync.WaitGroup
			for _, p := range []*neighbour{n.alice, n.bob} { // each while the other is at it
				all.Go(func() {
					text := p.does("timeout 120 docker events --format '{{json .}}' >events & E=$!; sleep 1; "+
						"docker restart -t 0 $N && docker exec $N true && docker volume create $N-2 && docker volume rm $N-2; sleep 2; kill $E; wait; cat events", `"Action":"die"`)
					for _, want := range []string{`"Action":"restart"`, p.box, `"Action":"exec_create: true`, p.mark + "-2", p.network, p.anonymous} {
						if !strings.Contains(text, want) {
							t.Errorf("%s: no %s among the events: %s", p.name, want, text)
						}
					}
					n.hides(p, "docker events", text)
				})
			}
			all.Wait()
			span := fmt.Sprintf("--since %d --until %d", since, time.Now().Unix()+1)
			for _, p := range []*neighbour{n.alice, n.bob} {
				for _, step := range []struct{ script, want string }{
					{"docker ps -a --no-trunc", "(?s)" + p.box + ".*" + p.mark},
					{"docker ps -aq --no-trunc", "^" + p.box + "\n$"},
					{"docker ps -q --no-trunc -l", "^" + p.box + "\n$"},
					{"docker ps -aq --no-trunc -n 5", "^" + p.box + "\n$"},
					{"docker ps -aq --no-trunc --filter label=tier", "^" + p.box + "\n$"},
					{"docker ps -aq --filter label=moorgate.owner=carol", "^$"},
					{"docker ps -as --format '{{.Names}} {{.Mounts}} {{.Networks}}'", "^" + p.mark},
					{"docker ps -aq | xargs docker inspect", `"Id": "` + p.box},
					{"docker logs $N", "begun " + p.mark},
					{"docker stats --no-stream --no-trunc", p.box},
					{"docker stats --no-stream -a --format '{{.Name}}'", "^" + p.mark + "\n$"},
					{"docker top $N", "sleep 600"},
					{"docker port $N; docker diff $N", ""},
					{"docker events " + span, ""}, // the Engine keeps few
					{"docker events " + span + " --filter type=container --format '{{.Actor.ID}} {{.Action}}'", ""},
					{"docker events " + span + " --format '{{json .}}'", ""},
					{enough + "docker system df", `Containers\s+1\s+1 `},
					{enough + "docker system df -v", p.mark},
					{"docker network ls --format '{{.Name}}'", "(?s)bridge\n.*" + p.mark},
					{"docker network ls -q | xargs docker network inspect", p.box},
					{"docker network inspect bridge", p.box},
					{"docker volume ls -q", "(?s)" + p.anonymous + ".*" + p.mark + "|" + p.mark + ".*" + p.anonymous},
					{"docker volume ls -q | xargs docker volume inspect", p.mark},
					{"docker images -a --digests --no-trunc", "(?s)busybox.*|" + p.image},
					{"docker images -q --no-trunc $APP", "^" + p.image + "\n$"},
					{"docker image inspect $B && docker history $B && docker history --no-trunc $APP:1", ""},
					{"docker info", `Containers: 1\n\s+Running: 1\n\s+Paused: 0\n\s+Stopped: 0\n`},
					{"docker info --format '{{json .}}'", `"Containers":1,`},
					{"docker search x 2>&1 || true; docker version", "Server"},
				} {
					text := p.does(step.script, step.want)
					n.hides(p, "$ "+step.script, text)
				}
				for _, target := range []string{
					"/containers/json?all=1", "/containers/json?all=1&size=1", "/containers/json?limit=9", "/volumes", "/networks", "/networks/bridge", "/networks/host",
					"/networks/" + p.network + "?verbose=1", "/images/json", "/images/json?all=1&digests=1&shared-size=1&manifests=1", "/system/df", "/system/df?type=volume",
					"/system/df?verbose=1", "/info", "/_ping", "/version", "/services", "/tasks", "/nodes", "/secrets", "/configs", "/swarm", "/plugins",
					fmt.Sprintf("/events?since=%d&until=%d", since, time.Now().Unix()), "/containers/" + p.box + "/json?size=1", "/containers/" + p.box + "/changes",
					`/containers/json?all=1&filters={"label":{"moorgate.owner":true}}`, `/containers/json?all=1&filters={"network":["bridge"]}`,
					`/containers/json?all=1&filters={"ancestor":["` + busybox + `"]}`, `/volumes?filters={"dangling":["true"]}`, `/networks?filters={"type":["custom"]}`,
				} {
					for _, version := range []string{"", "/v1.41", "/v1.44"} {
						a := p.raw("GET", version+target, "")
						n.hides(p, "GET "+version+target, a.body)
						if a.StatusCode == 200 && a.Header.Get("Content-Type") == "application/json" && !strings.Contains(target, "/events") && !json.Valid([]byte(a.body)) {
							t.Errorf("GET %s: no JSON: %s", target, a.body)
						}
					}
				}
			}
		})
	}
}

var closedPipe = regexp.MustCompile(`(?m)^time=.*closed pipe"\n`)

// TestOwnerTouches: to each, what is the other's answers as what there is not,
// whatever is asked of it; afterwards all of it is there unchanged.
func TestOwnerTouches(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t, "peer")
	const nobody = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	count := 0
	var mu sync.Mutex
	check := func(p *neighbour, script, theirs, none string) {
		mu.Lock()
		count++
		mu.Unlock()
		env := p.env
		p.env = append(slices.Clone(env), "X="+theirs)
		out, stderr, exit := p.sh(script)
		p.env = append(slices.Clone(env), "X="+none)
		noOut, noStderr, noExit := p.sh(script)
		p.env = env
		plain := func(s, name string) string { // docker cp may log that nobody takes what it sends
			return closedPipe.ReplaceAllString(strings.ReplaceAll(s, name, "X"), "")
		}
		if exit == 0 || exit != noExit || plain(out+stderr, theirs) != plain(noOut+noStderr, none) {
			t.Errorf("%s: $ %s\nexit code %d: %s%sof what there is not %d: %s%s", p.name, script, exit, out, stderr, noExit, noOut, noStderr)
		}
		n.hides(p, "$ "+script, plain(out+stderr, theirs))
	}
	for _, pair := range [][2]*neighbour{{n.alice, n.bob}, {n.bob, n.alice}} {
		p, other := pair[0], pair[1]
		for _, as := range [][2]string{{other.box, nobody}, {other.box[:12], nobody[:12]}, {other.box[:8], nobody[:8]}, {other.mark, n.name + "none"}} {
			for _, script := range []string{
				"docker inspect $X", "docker container inspect $X", "docker logs $X", "docker top $X", "docker stats --no-stream $X", "docker port $X", "docker diff $X",
				"docker export -o f $X", "docker cp $X:/etc/passwd f", "docker cp $HOME/.docker/config.json $X:/f", "docker exec $X true", "docker exec -it $X true </dev/null",
				"docker attach --no-stdin $X", "docker start $X", "docker stop -t 0 $X", "docker restart -t 0 $X", "docker kill $X", "docker pause $X", "docker unpause $X",
				"docker wait $X", "docker rename $X $N-stolen", "docker update --cpu-shares 5 $X", "docker rm -f $X || true; docker inspect $X", "docker commit $X $APP:9",
				"docker network connect $N $X", "docker network disconnect -f $N $X", "docker network disconnect -f bridge $X",
				"docker run --rm --volumes-from $X $B true", "docker run --rm --link $X:x $B true", "docker run --rm --network container:$X $B true",
				"docker run --rm --pid container:$X $B true", "docker run --rm --ipc container:$X $B true",
				"docker ps -a --filter since=$X", "docker ps -a --filter before=$X",
			} {
				check(p, script, as[0], as[1])
			}
		}
		for _, as := range [][2]string{{other.network, nobody}, {other.network[:12], nobody[:12]}, {other.mark, n.name + "none"}} {
			for _, script := range []string{
				"docker network inspect $X", "docker network rm $X", "docker network connect $X $N", "docker network disconnect $X $N", "docker run --rm --network $X $B true",
			} {
				check(p, script, as[0], as[1])
			}
		}
		for _, as := range [][2]string{{other.mark, n.name + "none"}, {other.anonymous, nobody}} {
			for _, script := range []string{"docker volume inspect $X", "docker volume rm $X", "docker volume rm -f $X || true; docker volume inspect $X"} {
				check(p, script, as[0], as[1])
			}
		}
		for _, as := range [][2]string{{other.image, "sha256:" + nobody}, {"moorgate.test/" + other.name + "/" + other.mark + ":1", "moorgate.test/" + other.name + "/none:1"}} {
			for _, script := range []string{"docker rmi $X", "docker rmi -f $X || true; docker image inspect $X"} {
				p.env = append(p.env, "X="+as[0])
				if out, stderr, exit := p.sh(script); exit == 0 || strings.Contains(stderr+out, "Deleted") {
					t.Errorf("%s: $ %s: %s%s", p.name, script, out, stderr)
				}
			}
		}
		for _, row := range []struct{ method, target, body string }{
			{"GET", "/exec/%s/json", ""}, {"POST", "/exec/%s/start", `{"Detach":true}`}, {"POST", "/exec/%s/resize?h=1&w=1", ""},
		} {
			theirs, none := p.raw(row.method, fmt.Sprintf(row.target, other.exec), row.body), p.raw(row.method, fmt.Sprintf(row.target, nobody), row.body)
			if theirs.StatusCode != 404 || theirs.StatusCode != none.StatusCode || strings.ReplaceAll(theirs.body, other.exec, "") != strings.ReplaceAll(none.body, nobody, "") {
				t.Errorf("%s: %s %s: %d %s, of what there is not %d %s", p.name, row.method, row.target, theirs.StatusCode, theirs.body, none.StatusCode, none.body)
			}
		}
	}
	t.Logf("%d commands, each of what is another's and of what there is not", count)
	for _, p := range []*neighbour{n.alice, n.bob} {
		p.does("docker inspect -f '{{.Id}} {{.State.Running}} {{.State.Paused}} {{.RestartCount}} {{.Name}} {{.HostConfig.CpuShares}} {{len .NetworkSettings.Networks}}' $N",
			"^"+p.box+" true false 0 /"+p.mark+" 0 2\n$")
		p.does("docker network inspect -f '{{len .Containers}}' $N; docker volume inspect $N >/dev/null && docker image inspect -f '{{.Id}}' $APP:1", "^1\n"+p.image+"\n$")
	}
}

// TestOwnerNames: a name that another holds is in use, and nobody is told by
// whom, nor joins or mounts what is there.
func TestOwnerNames(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t, "peer")
	for _, pair := range [][2]*neighbour{{n.alice, n.bob}, {n.bob, n.alice}} {
		p, other := pair[0], pair[1]
		for _, name := range []string{other.mark, n.name + "nobody"} {
			p.env = append(p.env, "X="+name)
			for _, script := range []string{
				"docker create --name $X $B true", "docker rename $N $X", "docker volume create $X", "docker run --rm -v $X:/v $B ls /v",
				"docker run --rm --mount type=volume,src=$X,dst=/v $B ls /v", "docker network create $X",
			} {
				begun := time.Now()
				out, stderr, exit := p.sh(script)
				text := strings.ReplaceAll(out+stderr, name, "X")
				if exit == 0 || !regexp.MustCompile(`already in use|in use|already exists`).MatchString(text) {
					t.Errorf("%s: $ %s: exit code %d, %s", p.name, script, exit, text)
				}
				if took := time.Since(begun); took > patience {
					t.Errorf("%s: $ %s took %v", p.name, script, took)
				}
				n.hides(p, "$ "+script, text)
				if strings.Contains(text, other.name) || regexp.MustCompile(`[0-9a-f]{64}`).MatchString(text) {
					t.Errorf("%s: $ %s tells whose: %s", p.name, script, text)
				}
			}
		}
		p.does("docker network inspect -f '{{len .Containers}}' $N && docker run --rm -v $N:/v $B true", "^1\n$")
	}
}

// TestOwnerPrune: prune leaves alone what is others'.
func TestOwnerPrune(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t, "peer")
	for _, p := range []*neighbour{n.alice, n.bob} {
		p.does("docker create --name $N-idle $B true && docker network create $N-idle && docker volume create $N-idle", p.mark)
	}
	volumes := "docker volume prune -f --filter all=1"
	if os.Getenv("MOORGATE_ENGINE_KIND") == "debian" { // before API 1.42 all are meant
		volumes = "docker volume prune -f"
	}
	pruned := n.alice.does("docker container prune -f && docker network prune -f && "+volumes+" && docker image prune -f && docker builder prune -f && docker system prune -f --volumes", n.alice.mark+"-idle")
	n.hides(n.alice, "prune", pruned)
	n.alice.does("docker ps -aq --no-trunc; docker volume inspect $N-idle >/dev/null 2>&1 || echo none; docker network inspect $N-idle >/dev/null 2>&1 || echo none", "^"+n.alice.box+"\nnone\nnone\n$")
	n.bob.does("docker start $N-idle && docker network inspect $N-idle && docker volume inspect $N-idle", n.bob.mark+"-idle")
	for _, what := range []string{"containers/%s/json", "volumes/%s", "networks/%s"} {
		for _, suffix := range []string{"nobody", "false"} {
			n.e.call("GET", "/"+fmt.Sprintf(what, n.name+suffix), "", nil) // fails the test if it is gone
		}
	}
}

// composed is a project with all that compose makes.
const composed = `
services:
  web:
    build: { context: ., dockerfile: Dockerfile }
    image: moorgate.test/USER/PROJECT:web
    command: sh -c 'mkdir -p /srv; echo page of USER >/srv/index.html; exec httpd -f -h /srv'
    volumes: ["data:/data", "/scratch"]
    networks: [inner]
    healthcheck: { test: wget -q -O- http://127.0.0.1/, interval: 1s }
  client:
    image: moorgate.test/busybox:1
    init: true
    command: sh -c 'wget -q -O- http://web/; exec sleep 600'
    networks: [inner, default]
    depends_on: { web: { condition: service_healthy } }
volumes: { data: {} }
networks: { inner: {} }
`

// TestOwnerCompose: both bring up a project of the same files at once.
func TestOwnerCompose(t *testing.T) {
	t.Parallel()
	n := newNeighbours(t, "peer")
	var all sync.WaitGroup
	for _, p := range []*neighbour{n.alice, n.bob} {
		p.env = append(p.env, "COMPOSE_PROJECT_NAME="+p.mark+"c")
		write(t, p.home, "compose.yaml", strings.NewReplacer("USER", p.name, "PROJECT", p.mark).Replace(composed))
		write(t, p.home, "Dockerfile", "FROM "+busybox+"\nRUN echo built by "+p.name+" >/f\n")
		for _, file := range []string{"compose.yaml", "Dockerfile"} {
			if err := os.Chmod(filepath.Join(p.home, file), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		all.Go(func() {
			p.does("docker compose up -d --build --wait", "")
			p.does("docker compose logs --no-log-prefix client; docker compose exec -T web cat /f", "^page of "+p.name+"\nbuilt by "+p.name+"\n$")
			n.hides(p, "compose", p.does("docker compose ls -a; docker compose ps -a; docker compose images; docker ps -a --no-trunc; docker volume ls; docker network ls; docker compose logs", p.mark+"c"))
		})
	}
	all.Wait()
	// The other's project is not there, and has nothing to be taken down.
	n.alice.does("docker compose -p "+n.bob.mark+"c ps -aq; docker compose -p "+n.bob.mark+"c down -v -t 0; docker compose ls -q", "^"+n.alice.mark+"c\n$")
	for _, p := range []*neighbour{n.bob, n.alice} {
		p.does("docker compose ps -q | wc -l", `^\s*2\n$`)
		p.does("docker compose down -v -t 0 && docker ps -aq --no-trunc && docker volume ls -qf name=$N\"c\"; docker network ls -qf name=$N\"c\"", "^"+p.box+"\n$")
	}
}
