package owner

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"moorgate/router"
)

// seal is what proves that an image was built or committed here, by a user.
func (m *Memory) sealOf(user string) string {
	h := hmac.New(sha256.New, m.seal[:])
	h.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// labelled says whose an object is: whoever adopted it, else whom its labels
// name, if they prove it.
func (o *Owner) labelled(engine string, of *object, labels map[string]string) string {
	if user, ok := o.adopted.owner(engine, of); ok {
		return user
	}
	user := labels[Label]
	switch of.Kind {
	case router.Container:
		if of.Image == "" || labels[imageLabel] != of.Image {
			return ""
		}
	case router.Image:
		if !hmac.Equal([]byte(labels[sealLabel]), []byte(o.memory.sealOf(user))) {
			return ""
		}
	}
	return user
}

// unfaked refuses labels that only moorgate sets, wherever the call could set
// them.
func (j *judging) unfaked() error {
	if j.call.Body != nil {
		kept, err := j.kept()
		if err != nil {
			return err
		}
		if err := unfakedIn(j.call.Body, kept); err != nil {
			return err
		}
	}
	switch j.call.Action {
	case "buildkit.session", "buildkit.grpc":
		return j.unmarked()
	case "image.build":
		if j.call.Query.Get("version") == "2" {
			return j.unmarked()
		}
		labels, err := j.buildLabels()
		if err != nil {
			return err
		}
		for name := range labels {
			if strings.HasPrefix(name, Reserved) {
				return faked(name)
			}
		}
	case "container.commit", "image.import":
		return unfakedChanges(j.call.Query["changes"])
	}
	return nil
}

// unmarked refuses BuildKit to those who see only their own: what it is told to
// build is in a stream of its own, so that its images would be nobody's and
// could take others' names.
func (j *judging) unmarked() error {
	if !j.own {
		return nil
	}
	return &refusal{"what BuildKit makes would be nobody's: build with DOCKER_BUILDKIT=0 docker build, or ask for a role with scope: all"}
}

func faked(name string) error {
	return &refusal{fmt.Sprintf("label %.128q: what begins with %s is set by moorgate alone: leave it out", name, Reserved)}
}

// unfakedIn looks at every "Labels" in a body, whatever it is a part of. Kept
// are the labels that an update repeats.
func unfakedIn(body *router.Document, kept map[string]string) error {
	for labels := range body.Named("Labels") {
		for label, value := range labels.Members() {
			if old, ok := kept[label]; strings.HasPrefix(label, Reserved) && (!ok || old != value.Str()) {
				return faked(label)
			}
		}
	}
	return nil
}

// kept gives what an update has to repeat, as clients send back the whole of
// what they inspected.
func (j *judging) kept() (map[string]string, error) {
	if !strings.HasSuffix(j.call.Action, ".update") || !swarmKind(j.call.Route.Kind) || j.Offline {
		return nil, nil
	}
	o, err := j.index.lookup(j.ctx, j.call.Route.Kind, j.call.Name())
	if errors.Is(err, errMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	j.updated = o
	if o.Owner == "" {
		return nil, nil
	}
	return map[string]string{Label: o.Owner}, nil
}

func swarmKind(k router.Kind) bool {
	return k == router.Service || k == router.Secret || k == router.Config
}

// unfakedChanges refuses instructions that set labels of moorgate's, and those
// that could swallow the instruction that stamp writes behind them.
func unfakedChanges(changes []string) error {
	for _, change := range changes {
		for line := range strings.SplitSeq(change, "\n") {
			line = strings.TrimSpace(line)
			if strings.HasSuffix(line, `\`) || strings.HasSuffix(line, "`") || strings.Contains(line, "<<") {
				return &refusal{fmt.Sprintf("changes: %.128q goes on in the next line: write each instruction on one", line)}
			}
			words := strings.Fields(line)
			if len(words) > 0 && strings.EqualFold(words[0], "ONBUILD") {
				words = words[1:]
			}
			if len(words) > 1 && strings.EqualFold(words[0], "LABEL") && strings.Contains(strings.Join(words[1:], " "), Reserved) {
				for _, word := range words[1:] {
					if name, _, _ := strings.Cut(strings.Trim(word, `"'`), "="); strings.HasPrefix(name, Reserved) {
						return faked(name)
					}
				}
			}
		}
	}
	return nil
}

// Where what is made says whose it is, and what it is made of.
var (
	labelPath      = []string{"Labels", Label}
	imageLabelPath = []string{"Labels", imageLabel}
	imagePath      = []string{"Image"}
)

// stamp marks what the call makes as the caller's, and makes the edits that
// touch asks for.
func (j *judging) stamp() error {
	var edits []router.Edit
	label := func(path ...string) {
		edits = append(edits, router.Edit{Path: path, Value: j.who.User})
	}
	switch j.call.Action {
	case "container.create":
		edits = make([]router.Edit, 0, 5)
		label(labelPath...)
		if j.who.Session != "" {
			edits = append(edits, router.Edit{Path: []string{"Labels", sessionLabel}, Value: j.who.Session})
		}
		var err error
		if edits, err = j.stampContainer(edits); err != nil {
			return err
		}
	case "network.create":
		label(labelPath...)
		if j.own {
			edits = append(edits, router.Edit{Path: []string{"CheckDuplicate"}, Value: true})
		}
	case "volume.create", "secret.create", "config.create":
		label(labelPath...)
	case "service.create":
		label(labelPath...)
		if j.call.Body.Root().At("TaskTemplate", "ContainerSpec").Exists() {
			label("TaskTemplate", "ContainerSpec", "Labels", Label)
		}
	case "service.update", "secret.update", "config.update":
		edits = j.restamp()
	case "image.build":
		if err := j.stampBuild(); err != nil {
			return err
		}
	case "container.commit", "image.import":
		line := "LABEL " + quoted(Label) + "=" + quoted(j.who.User) + " " + quoted(sealLabel) + "=" + quoted(j.memory.sealOf(j.who.User))
		j.call.Query["changes"] = append(slices.Clip(j.call.Query["changes"]), line)
	}
	if len(edits) == 0 && len(j.pins) == 0 {
		return nil
	}
	return j.call.Pin(j.pins, edits...)
}

// stampContainer names the image beside the owner, and marks the volumes
// without a name that the Engine is to make.
func (j *judging) stampContainer(edits []router.Edit) ([]router.Edit, error) {
	root := j.call.Body.Root()
	if image := root.Get("Image").Str(); image != "" && !j.Offline {
		o, ok := j.index.get(router.Image, image)
		var err error
		if !ok {
			o, err = j.lookImage(image)
		}
		if errors.Is(err, errMissing) { // one that comes meanwhile would make a container of nobody's
			return nil, &router.Error{Status: 404, Message: j.noImage(image)}
		}
		if err != nil {
			return nil, err
		}
		edits = append(edits, router.Edit{Path: imageLabelPath, Value: o.ID})
		if j.own && image != o.ID { // else a tag that moves meanwhile would make a container of nobody's
			edits = append(edits, router.Edit{Path: imagePath, Value: o.ID})
		}
	}
	mounts := root.At("HostConfig", "Mounts")
	made, err := j.stampMounts(mounts)
	if made != nil {
		edits = append(edits, router.Edit{Path: []string{"HostConfig", "Mounts"}, Value: made})
	}
	return edits, err
}

// stampMounts gives the list of mounts with labels at the volumes that have no
// name; nil where there is none.
func (j *judging) stampMounts(list router.Value) ([]map[string]json.RawMessage, error) {
	fresh := func(m router.Value) bool { return m.Get("Type").Str() == "volume" && m.Get("Source").Str() == "" }
	some := false
	for m := range list.Elements() {
		some = some || fresh(m)
	}
	if !some {
		return nil, nil
	}
	var made []map[string]json.RawMessage
	for m := range list.Elements() {
		var fields, options map[string]json.RawMessage
		if err := m.Decode(&fields); err != nil {
			return nil, &router.Error{Status: 400, Message: "HostConfig.Mounts: " + err.Error()}
		}
		if fresh(m) {
			labels := map[string]string{}
			if err := errors.Join(m.Get("VolumeOptions").Decode(&options), m.At("VolumeOptions", "Labels").Decode(&labels)); err != nil {
				return nil, &router.Error{Status: 400, Message: "HostConfig.Mounts: " + err.Error()}
			}
			if options == nil {
				options = map[string]json.RawMessage{}
			}
			if labels == nil {
				labels = map[string]string{}
			}
			labels[Label] = j.who.User
			options["Labels"], _ = json.Marshal(labels) // strings always marshal
			fields["VolumeOptions"], _ = json.Marshal(options)
		}
		made = append(made, fields)
	}
	return made, nil
}

// restamp keeps the owner that an updated object has: an update replaces all
// its labels.
func (j *judging) restamp() []router.Edit {
	o := j.updated
	if o == nil || o.Owner == "" || j.call.Body == nil || j.call.Query.Get("rollback") != "" {
		return nil
	}
	edits := []router.Edit{{Path: []string{"Labels", Label}, Value: o.Owner}}
	if j.call.Body.Root().At("TaskTemplate", "ContainerSpec").Exists() {
		edits = append(edits, router.Edit{Path: []string{"TaskTemplate", "ContainerSpec", "Labels", Label}, Value: o.Owner})
	}
	return edits
}

// buildLabels are the labels that a build is asked to set.
func (j *judging) buildLabels() (map[string]string, error) {
	labels := map[string]string{}
	text := j.call.Query.Get("labels")
	if text == "" {
		return labels, nil
	}
	f, err := router.ParseDocument([]byte(text), map[string]string{})
	if err == nil {
		err = f.Decode(&labels)
	}
	if err != nil || labels == nil {
		return nil, &router.Error{Status: 400, Message: `labels: write them as {"name":"value"}`, Err: err}
	}
	return labels, nil
}

// stampBuild adds labels to those that the Engine sets last, behind all that a
// Dockerfile says.
func (j *judging) stampBuild() error {
	labels, err := j.buildLabels()
	if err != nil {
		return err
	}
	if strings.Contains(j.who.User, "'") { // the Engine quotes with these
		labels[sealLabel] = "" // it would be the base image's
	} else {
		labels[Label], labels[sealLabel] = j.who.User, j.memory.sealOf(j.who.User)
	}
	text, err := json.Marshal(labels)
	if err != nil {
		return err
	}
	j.call.Query.Set("labels", string(text))
	return nil
}

// quoted writes a word of a Dockerfile that stands for itself.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s) + `"`
}
