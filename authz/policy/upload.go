package policy

import (
	"fmt"
	"strings"

	"moorgate/authz"
	"moorgate/router"
)

// load lets an archive go up judged.
func (j *images) load() (*refusal, error) {
	if j.in.call.Stream == nil {
		return nil, nil
	}
	j.edits.do(func(c *router.Call) {
		c.Stream, c.Length = judgeLoad(c.Stream, j.allow(j.loaded)), -1
	})
	return nil, nil
}

// loaded judges a name in an archive. A digest there is only said, not
// computed, so it proves nothing.
func (j *images) loaded(name string) (*refusal, error) {
	if strings.Contains(name, "@") {
		return &refusal{rule: "images", reason: "a digest cannot be given as a name: save the image under NAME:TAG"}, nil
	}
	return j.newName(name)
}

// build judges the names that a build uses and gives, and lets its context go
// up judged.
func (j *images) build() (*refusal, error) {
	call := j.in.call
	if call.Query.Get("version") == "2" && !j.everything() {
		return &refusal{rule: "images", reason: "BuildKit could pull any image here: build with DOCKER_BUILDKIT=0 docker build, or ask for a role whose images allow everything"}, nil
	}
	if no, err := j.named(); no != nil || err != nil {
		return no, err
	}
	if no, err := j.noIDs(); no != nil || err != nil {
		return no, err
	}
	if remote := call.Query.Get("remote"); remote != "" && !j.everything() {
		return &refusal{rule: "images", reason: fmt.Sprintf("remote=%.64q brings a context that nobody could judge: send it as the body", remote)}, nil
	}
	if call.Bool("pull") && !j.everything() {
		return &refusal{rule: "images", reason: "pull=1 would build on an image that nobody has looked at: docker pull it first and leave --pull out"}, nil
	}
	if call.Stream == nil {
		return nil, nil
	}
	b, no, err := newBuild(call)
	if no != nil || err != nil {
		return no, err
	}
	j.edits.do(func(c *router.Call) {
		b.allow, b.base = j.allow(func(name string) (*refusal, error) { return j.source(name, "") }), j.onbuild
		c.Stream, c.Length = judgeBuild(c.Stream, b), -1
	})
	return nil, nil
}

// allow gives the judge of names that come in an archive; its error is the
// answer to the caller.
func (j *images) allow(judge func(name string) (*refusal, error)) func(name string) error {
	return func(name string) error {
		no, err := judge(name)
		if err != nil {
			return err
		}
		if no == nil {
			return nil
		}
		if canonical, ok := canonicalName(name); ok {
			name = canonical
		}
		return authz.Late(j.ctx, authz.Decision{
			Rule:   "role " + j.role.name + ", " + no.rule,
			Reason: fmt.Sprintf("%.256s: %s", name, no.reason),
		})
	}
}
