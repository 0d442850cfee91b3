package policy

import (
	"encoding/json"
	"testing"

	"github.com/docker/docker/api/types/container"

	"moorgate/authz/identity"
	"moorgate/router"
)

func BenchmarkJudgeAsks(b *testing.B) {
	p, err := New(map[string]Role{"r": {Allow: []string{"*"}, Images: Images{Any: true}, Containers: Containers{Rules: ContainerRules{
		Binds: []string{"/home/${user}/**", "/srv/data:ro"}, Ports: []string{"8000-8999", "127.0.0.1:*"},
		Limits: Limits{Memory: 2 << 30, CPUs: 2, PIDs: 512},
	}}}}, Options{Engines: engineAnswers})
	if err != nil {
		b.Fatal(err)
	}
	text := padded(b, recorded(b, "testdata/asks/compose-web.json").Body.Bytes())
	call := callOf(b, "POST", "/containers/create", string(text))
	in := &input{who: identity.Identity{User: "alice"}, call: call, refs: []router.Ref{}}
	read := func() {
		if call.Body, err = router.ParseDocument(text, container.CreateRequest{}); err != nil {
			b.Fatal(err)
		}
	}
	judge := func() *edits {
		e := &edits{}
		if no, err := p.judgeAsks(b.Context(), in, p.roles["r"], e); no != nil || err != nil {
			b.Fatal(no, err)
		}
		return e
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			read()
		}
	})
	b.Run("judge", func(b *testing.B) {
		read()
		b.ReportAllocs()
		for b.Loop() {
			judge()
		}
	})
	b.Run("read, judge, commit", func(b *testing.B) {
		for b.Loop() {
			read()
			if err := judge().commit(call); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// padded makes a body 4 KB long with more environment.
func padded(b *testing.B, text []byte) []byte {
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		b.Fatal(err)
	}
	delete(body["HostConfig"].(map[string]any), "PidsLimit") // to be filled in
	var env []string
	for {
		body["Env"] = env
		if text, _ = json.Marshal(body); len(text) >= 4096 {
			return text
		}
		env = append(env, "SETTING_OF_THE_APPLICATION=some value of usual length")
	}
}
