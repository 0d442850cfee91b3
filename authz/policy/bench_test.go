package policy

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"moorgate/authz"
	"moorgate/authz/identity"
	"moorgate/router"
)

// BenchmarkJudge is what a role with image and container rules costs: all of
// Authorize, lookups answered from memory.
func BenchmarkJudge(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as serve does while little is in use
	roles := map[string]Role{"r": {
		Allow: []string{"*"},
		Images: Images{Rules: []ImageRule{
			{Deny: "**:latest"}, {Allow: "ghcr.io/acme/${user}/**"}, {Deny: "docker.io/library/evil"}, {Allow: "docker.io/library/*"},
		}},
		Containers: Containers{Rules: ContainerRules{
			Binds: []string{"/home/${user}/**", "/srv/data:ro"}, Ports: []string{"8000-8999", "127.0.0.1:*"},
			Limits: Limits{Memory: 2 << 30, CPUs: 2, PIDs: 512},
		}},
	}}
	asks := Options{Engines: benchEngine{}}
	remembers := asks
	good, err := asks.image(b.Context(), "local", "nginx:1.27")
	if err != nil {
		b.Fatal(err)
	}
	remembers.Image = func(context.Context, string, string) (*authz.Image, error) { return good, nil }
	who := identity.Identity{User: "alice", Roles: []string{"r"}}
	judge := func(o Options) func(*testing.B, *router.Call) {
		p, err := New(roles, o)
		if err != nil {
			b.Fatal(err)
		}
		return func(b *testing.B, call *router.Call) {
			if d, err := p.Authorize(b.Context(), who, call); err != nil || !d.Allow {
				b.Fatal(d, err)
			}
		}
	}
	judgeOne := judge(asks)
	for name, target := range map[string]string{"ping": "GET /_ping", "list": "GET /containers/json", "pull": "POST /images/create?fromImage=busybox&tag=1"} {
		b.Run(name, func(b *testing.B) {
			method, path, _ := strings.Cut(target, " ")
			call := callOf(b, method, path, "")
			b.ReportAllocs()
			for b.Loop() {
				judgeOne(b, call)
			}
		})
	}
	// The owner's memory of images answers most creates (owner.Image).
	for name, o := range map[string]Options{"create of 4 KB": remembers, "create of 4 KB, image asked for": asks} {
		judge := judge(o)
		b.Run(name, func(b *testing.B) {
			text := padded(b, recorded(b, "testdata/asks/compose-web.json").Body.Bytes())
			call := callOf(b, "POST", "/containers/create", string(text))
			b.ReportAllocs()
			read, err := router.ParseDocument(text, container.CreateRequest{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				call.Body = read.Clone() // judging edits the body: each has its own
				judge(b, call)
			}
		})
	}
}

// benchEngine has every image, and engineAnswers has the rest.
type benchEngine struct{}

func (benchEngine) Get(ctx context.Context, engine, path string) ([]byte, error) {
	if strings.HasPrefix(path, "/images/") {
		return []byte(`{"Id":"` + goodID + `","RepoTags":["nginx:1.27","good:1"],"Config":{}}`), nil
	}
	return engineAnswers.Get(ctx, engine, path)
}

// BenchmarkLoad judges an archive of 256 MiB and says what a GiB of it costs of
// a processor. All that is allocated is the bound of what is held.
func BenchmarkLoad(b *testing.B) {
	const size = 256 << 20
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	const manifest = `[{"RepoTags":["good:1"]}]`
	for _, h := range []*tar.Header{{Name: "manifest.json", Size: int64(len(manifest))}, {Name: "layer.tar", Size: size}} {
		h.Typeflag = tar.TypeReg
		if err := w.WriteHeader(h); err != nil {
			b.Fatal(err)
		}
		if h.Size < size {
			_, _ = io.WriteString(w, manifest)
		}
	}
	layer := bytes.Repeat([]byte("layer of an image "), 1<<16)
	buf := make([]byte, 32<<10)
	b.SetBytes(size)
	b.ReportAllocs()
	start := processor(b)
	for b.Loop() {
		body := io.LimitReader(&endless{data: layer}, size)
		in := io.MultiReader(bytes.NewReader(head.Bytes()), body, bytes.NewReader(make([]byte, 1024)))
		out := judgeLoad(in, func(string) error { return nil })
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, out, buf); err != nil || n < size {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric((processor(b)-start).Seconds()*(1<<30)/size/float64(b.N), "cpu-s/GiB")
}

// endless repeats data.
type endless struct {
	data []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.data[e.at:])
	e.at = (e.at + n) % len(e.data)
	return n, nil
}

// processor is the time that this process had of processors.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
