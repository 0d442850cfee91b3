package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// busybox is the image of deploy/engine.
const busybox = "moorgate.test/busybox:1"

// engine is the real Engine, reached straight.
type engine struct {
	t       *testing.T
	address string
	client  *http.Client
}

func realEngine(t *testing.T) *engine {
	t.Helper()
	address := os.Getenv("MOORGATE_ENGINE")
	if address == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("MOORGATE_ENGINE is not set: CI runs these tests by make test")
		}
		t.Skip("needs a Docker Engine of its own: run make test, which starts one")
	}
	return &engine{t, address, unixClient(t, strings.TrimPrefix(address, "unix://"))}
}

// call asks the Engine and decodes the answer into to, if that is not nil.
func (e *engine) call(method, target, body string, to any) {
	e.t.Helper()
	r, err := http.NewRequest(method, "http://docker/v1.41"+target, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		e.t.Fatalf("%s %s: %s %s (%v)", method, target, resp.Status, text, err)
	}
	if to != nil {
		if err := json.Unmarshal(text, to); err != nil {
			e.t.Fatal(err)
		}
	}
}

// run starts a container that lives as long as the test and gives its id.
func (e *engine) run(script string, fields ...string) string {
	e.t.Helper()
	var made struct{ Id string }
	e.call("POST", "/containers/create", fmt.Sprintf(
		`{"Image":%q,"Cmd":["sh","-c",%q],"NetworkDisabled":true%s}`, busybox, script, strings.Join(append([]string{""}, fields...), ",")), &made)
	e.t.Cleanup(func() { e.call("DELETE", "/containers/"+made.Id+"?force=1&v=1", "", nil) })
	e.call("POST", "/containers/"+made.Id+"/start", "", nil)
	return made.Id
}

// exec starts a command in a container through moorgate.
func (s *server) exec(container string, command ...string) *execution {
	s.t.Helper()
	words, _ := json.Marshal(command)
	body := fmt.Sprintf(`{"AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"Cmd":%s}`, words)
	resp, err := s.client("m.sock").Post("http://docker/v1.41/containers/"+container+"/exec", "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct{ Id string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Id == "" {
		s.t.Fatalf("exec: %s, %v", resp.Status, err)
	}
	c, r := s.hijack("/v1.41/exec/"+made.Id+"/start", `{}`)
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &execution{c, r}
}

// execution is a command that runs: what is written is its standard input.
type execution struct {
	*net.UnixConn
	frames io.Reader
}

// copyTo takes the output out of the Engine's frames.
func (x *execution) copyTo(w io.Writer) error {
	var head [8]byte
	for {
		if _, err := io.ReadFull(x.frames, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("amid a frame's head: %w", err)
		}
		if _, err := io.CopyN(w, x.frames, int64(binary.BigEndian.Uint32(head[4:]))); err != nil {
			return fmt.Errorf("amid a frame: %w", err)
		}
	}
}

// noise is n bytes that no buffer's size can hide a fault of; the same seed
// gives the same.
func noise(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

func sum(h hash.Hash) string { return fmt.Sprintf("%x", h.Sum(nil)) }

func rate(t *testing.T, what string, bytes int64, begin time.Time) {
	took := time.Since(begin)
	t.Logf("%s: %d MiB in %s, %.0f MiB/s", what, bytes>>20, took.Round(time.Millisecond), float64(bytes>>20)/took.Seconds())
}

func TestEngineExec600MB(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	s := start(t, plainConfig, e.address)
	box := e.run("exec sleep 1000", `"HostConfig":{"Tmpfs":{"/t":"size=700m"}}`)
	const size = 600e6

	in := s.exec(box, "sh", "-c", "tee /t/file | sha256sum")
	begin, sent := time.Now(), sha256.New()
	go func() {
		if _, err := io.Copy(in, io.TeeReader(noise(1, size), sent)); err != nil {
			t.Error(err)
		}
		in.CloseWrite()
	}()
	var said bytes.Buffer
	if err := in.copyTo(&said); err != nil {
		t.Fatal(err)
	}
	rate(t, "stdin", size, begin)
	if got, want := strings.Fields(said.String() + " -")[0], sum(sent); got != want {
		t.Fatalf("the process got %q, %s was sent", said.String(), want)
	}

	out, got := s.exec(box, "cat", "/t/file"), sha256.New()
	begin = time.Now()
	if err := out.copyTo(got); err != nil {
		t.Fatal(err)
	}
	rate(t, "stdout", size, begin)
	if sum(got) != sum(sent) {
		t.Errorf("%s came, %s was written", sum(got), sum(sent))
	}
	in.Close()
	out.Close()
	var carried [2]int64
	await(t, "records of both", func() bool {
		carried = [2]int64{}
		for _, r := range s.records() {
			carried[0] += r.BytesIn
			carried[1] += r.BytesOut
		}
		return carried[0] > size && carried[1] > size
	})
}

// The Engine itself checks what it loads: the configuration names the layer's
// sum.
func TestEngineLoad1GiB(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	s := start(t, plainConfig, e.address)
	const size, file = 1 << 30, "moorgate.test/bulk:1"
	layer := func(w io.Writer) {
		tw := tar.NewWriter(w)
		tw.WriteHeader(&tar.Header{Name: "bulk", Mode: 0o644, Size: size, Format: tar.FormatUSTAR})
		io.Copy(tw, noise(2, size))
		tw.Close()
	}
	diff, length := sha256.New(), &count{}
	layer(io.MultiWriter(diff, length))

	r, w := io.Pipe()
	go func() {
		b := bufio.NewWriterSize(w, 1<<20)
		tw := tar.NewWriter(b)
		add := func(name, text string) {
			tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
			io.WriteString(tw, text)
		}
		add("config.json", fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, sum(diff)))
		tw.WriteHeader(&tar.Header{Name: "layer.tar", Mode: 0o644, Size: length.n})
		layer(tw)
		add("manifest.json", fmt.Sprintf(`[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, file))
		w.CloseWithError(cmp.Or(tw.Close(), b.Flush()))
	}()
	client := s.client("m.sock")
	client.Timeout = 2 * time.Minute
	begin := time.Now()
	resp, err := client.Post("http://docker/v1.41/images/load?quiet=1", "application/x-tar", r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || strings.Contains(string(said), "errorDetail") || !strings.Contains(string(said), "Loaded image") {
		t.Fatalf("got %s %s (%v)", resp.Status, said, err)
	}
	rate(t, "load", length.n, begin)
	var image struct {
		Size   int64
		RootFS struct{ Layers []string }
	}
	e.call("GET", "/images/"+file+"/json", "", &image)
	e.call("DELETE", "/images/"+file+"?force=1", "", nil)
	if image.Size < size || fmt.Sprint(image.RootFS.Layers) != "[sha256:"+sum(diff)+"]" {
		t.Errorf("the Engine has %d bytes, layers %v", image.Size, image.RootFS.Layers)
	}
}

type count struct{ n int64 }

func (c *count) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// Two hundred at once, none of which gets another's bytes.
func TestEngine200Execs(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	s := start(t, plainConfig, e.address)
	box := e.run("exec sleep 1000")
	const n = 200
	begin := time.Now()
	var live, done sync.WaitGroup
	live.Add(n)
	all := make(chan struct{})      // closed when all are live
	slots := make(chan struct{}, 8) // at a time begun: the Engine starts a process for each
	for i := range n {
		done.Go(func() {
			slots <- struct{}{}
			x := s.exec(box, "cat")
			<-slots
			defer x.Close()
			pr, pw := io.Pipe()
			go func() { pw.CloseWithError(x.copyTo(pw)) }()
			out := bufio.NewReader(pr)
			word := fmt.Sprintf("this is %d of %d\n", i, n)
			io.WriteString(x, word)
			first, err := out.ReadString('\n')
			live.Done()
			<-all
			if first != word || err != nil {
				t.Errorf("%d got %q, %v", i, first, err)
				return
			}
			own := sha256.New()
			go func() {
				io.Copy(x, noise(byte(i), 100<<10))
				x.CloseWrite()
			}()
			_, err = io.Copy(own, out)
			want := sha256.New()
			io.Copy(want, noise(byte(i), 100<<10))
			if err != nil || sum(own) != sum(want) {
				t.Errorf("%d got other bytes than it sent: %v", i, err)
			}
		})
	}
	live.Wait()
	if got := s.metric(`moorgate_streams{kind="hijack"}`); got != fmt.Sprint(n) {
		t.Errorf("%s hijacked streams are counted", got)
	}
	t.Logf("%d live after %s", n, time.Since(begin).Round(time.Millisecond))
	close(all)
	done.Wait()
	t.Logf("all done after %s", time.Since(begin).Round(time.Millisecond))
}

// An event reaches a thousand listeners.
func TestEngine1000Events(t *testing.T) {
	t.Parallel()
	e := realEngine(t)
	s := start(t, plainConfig, e.address)
	const n = 1000
	volume := fmt.Sprintf("moorgate-test-%d", time.Now().UnixNano())
	request := "GET /v1.41/events?filters=" + `%7B%22volume%22%3A%5B%22` + volume + `%22%5D%7D` + " HTTP/1.1\r\nHost: d\r\n\r\n"
	idle := memory(t, s)
	bodies := make([]io.ReadCloser, n)
	for i := range bodies {
		_, _, resp := s.stream(200, request)
		bodies[i] = resp.Body
	}
	if got := s.metric(`moorgate_streams{kind="stream"}`); got != fmt.Sprint(n) {
		t.Errorf("%s live streams are counted", got)
	}
	t.Logf("%d KiB for each", (memory(t, s)-idle)/n>>10)
	begin := time.Now()
	e.call("POST", "/volumes/create", fmt.Sprintf(`{"Name":%q}`, volume), nil)
	defer e.call("DELETE", "/volumes/"+volume, "", nil)
	for i, body := range bodies {
		var event struct{ Type, Action string }
		if err := json.NewDecoder(body).Decode(&event); err != nil || event.Type != "volume" || event.Action != "create" {
			t.Fatalf("%d got %+v, %v", i, event, err)
		}
	}
	t.Logf("the last has it after %s", time.Since(begin).Round(time.Microsecond))
}

// memory is what moorgate has of the machine's.
func memory(t *testing.T, s *server) int64 {
	var bytes float64
	if _, err := fmt.Sscan(s.metric("process_resident_memory_bytes"), &bytes); err != nil {
		t.Fatal(err)
	}
	return int64(bytes)
}
