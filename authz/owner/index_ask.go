package owner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"moorgate/router"
)

// swarmTask is the label in which the Engine's swarm says which task a
// container runs. It is believed only if that task says so too.
const swarmTask = "com.docker.swarm.task.id"

// paths say where the Engine tells of one object, by whatever it takes for a
// name.
var paths = map[router.Kind]string{
	router.Container: "/containers/%s/json",
	router.Network:   "/networks/%s",
	router.Volume:    "/volumes/%s",
	router.Image:     "/images/%s/json",
	router.Service:   "/services/%s",
	router.Task:      "/tasks/%s",
	router.Secret:    "/secrets/%s",
	router.Config:    "/configs/%s",
}

// told is what an Engine says of one object, in any of the shapes in which it
// inspects and lists them.
type told struct {
	ID       string `json:"Id"` // reads "ID" as well
	Name     string // networks, volumes; containers inspected
	Names    []string
	Image    string // containers: the image's id if inspected, else what it was called
	ImageID  string
	Labels   map[string]string
	Config   struct{ Labels map[string]string }
	Mounts   []struct{ Type, Name string }
	RepoTags []string
	Digests  []string `json:"RepoDigests"`
	Spec     struct {
		Name   string
		Labels map[string]string
	}
	ServiceID string
	Status    json.RawMessage // of tasks an object, of listed containers a string
	CreatedAt string          // volumes; services have a time there, too
}

// object makes an object of what an Engine says, still without its owner.
func (t *told) object(kind router.Kind) (o *object, labels map[string]string) {
	o = &object{Kind: kind, ID: t.ID, Name: t.Name, known: true}
	labels = t.Labels
	switch kind {
	case router.Container:
		o.Name = strings.TrimPrefix(t.Name, "/")
		for _, name := range t.Names { // links show as names with a second slash
			if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
				o.Name = name
			}
		}
		if o.Image = t.ImageID; t.Config.Labels != nil || t.Names == nil {
			o.Image, labels = t.Image, t.Config.Labels
		}
		for _, m := range t.Mounts {
			if m.Type == "volume" && unnamed(m.Name) {
				o.Volumes = append(o.Volumes, m.Name)
			}
		}
	case router.Volume:
		o.ID, o.Created = t.Name, t.CreatedAt
	case router.Image:
		o.Name = ""
		for _, name := range append(t.RepoTags, t.Digests...) {
			if name != "<none>:<none>" && name != "<none>@<none>" {
				o.Names = append(o.Names, canonical(name))
			}
		}
		if labels == nil {
			labels = t.Config.Labels
		}
	case router.Service, router.Secret, router.Config:
		o.Name, labels = t.Spec.Name, t.Spec.Labels
	case router.Task:
		o.Service = t.ServiceID
	}
	return o, labels
}

// canonical is an image's canonical name, or the text itself where it is none.
func canonical(name string) string {
	if c, err := router.Canonical(name); err == nil {
		return c
	}
	return name
}

// unnamed says whether a volume's name is one that the Engine makes up.
func unnamed(name string) bool { return len(name) == 64 && hexadecimal(name) }

func hexadecimal(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// askable says whether a name can be asked for by a path.
func askable(name string) bool {
	if name == "" || strings.ContainsAny(name, "\x00\n\r") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// pathOf is where an Engine tells of an object; "" where it cannot.
func pathOf(kind router.Kind, name string) string {
	if !askable(name) || paths[kind] == "" {
		return ""
	}
	return fmt.Sprintf(paths[kind], escape(name))
}

// newest is the Engine's newest API version; "" while it does not tell.
func (x *index) newest(ctx context.Context) string {
	if v := x.version.Load(); v != nil {
		return *v
	}
	answer, err := x.ask.Get(ctx, x.engine, "/version")
	var t struct{ ApiVersion string }
	if err != nil || json.Unmarshal(answer, &t) != nil {
		return ""
	}
	x.version.Store(&t.ApiVersion)
	return t.ApiVersion
}

// lookup asks the Engine for an object by whatever it takes for a name, and
// keeps the answer. What there is not is errMissing; other errors say that it
// could not be found out.
func (x *index) lookup(ctx context.Context, kind router.Kind, name string) (*object, error) {
	if kind == router.Image && askable(name) {
		found, err := x.image(ctx, name)
		if err != nil {
			return nil, notFound(err, kind, name)
		}
		return found.object, nil
	}
	path := pathOf(kind, name)
	if path == "" {
		return nil, errMissing
	}
	answer, err := x.ask.Get(ctx, x.engine, path)
	if err != nil {
		return nil, notFound(err, kind, name)
	}
	return x.take(ctx, kind, answer)
}

// notFound makes what lookup gives of an error of Engines.
func notFound(err error, kind router.Kind, name string) error {
	switch code := status(err); {
	case code == 404 || code == 400:
		return errMissing
	case code >= 500 && code < 502 && strings.Contains(err.Error(), "ultiple IDs found"): // what 20.10 says of a prefix of several
		return errMissing
	}
	return fmt.Errorf("looking up %s %.128q: %w", kind, name, err)
}

// take keeps what the Engine says of one object.
func (x *index) take(ctx context.Context, kind router.Kind, answer []byte) (*object, error) {
	var t told
	if err := json.Unmarshal(answer, &t); err != nil {
		return nil, fmt.Errorf("engine %s says of a %s what makes no sense: %w", x.engine, kind, err)
	}
	o, labels := t.object(kind)
	if o.ID == "" {
		return nil, fmt.Errorf("engine %s tells of a %s without an id", x.engine, kind)
	}
	var err error
	if kind == router.Task && o.Service != "" {
		o.Owner, err = x.ownerOf(ctx, router.Service, o.Service)
	} else if o.Owner = x.owner(x.engine, o, labels); o.Owner == "" && kind == router.Container && labels[swarmTask] != "" {
		o.Owner, err = x.taskOwner(ctx, labels[swarmTask], o.ID)
	}
	if err != nil {
		return nil, err
	}
	if kind == router.Container {
		o.claim = labels[Label]
	}
	if kind == router.Volume {
		x.volumeSeen(o)
	}
	x.put(o)
	return o, nil
}

// volumeSeen forgets what was remembered of a volume that is another's by now.
func (x *index) volumeSeen(o *object) {
	if owner, ok := x.volumes.get(o.ID, x.now()); ok && owner != x.ownerOfVolume(o) {
		x.volumes.changes.happened()
	}
}

// taskOwner is whose a task is that says that it runs in a container.
func (x *index) taskOwner(ctx context.Context, task, container string) (string, error) {
	if !askable(task) {
		return "", nil
	}
	answer, err := x.ask.Get(ctx, x.engine, "/tasks/"+url.PathEscape(task))
	switch code := status(err); {
	case code >= 400 && code < 500 || code == 503: // there is no swarm here
		return "", nil
	case err != nil:
		return "", fmt.Errorf("looking up task %.128q: %w", task, err)
	}
	var t struct {
		ServiceID string
		Status    struct{ ContainerStatus struct{ ContainerID string } }
	}
	if err := json.Unmarshal(answer, &t); err != nil || t.ServiceID == "" || t.Status.ContainerStatus.ContainerID != container {
		return "", nil
	}
	return x.ownerOf(ctx, router.Service, t.ServiceID)
}

// ownerOfVolume is whose a volume is that the Engine tells of: its label's, or
// that of the containers that mount it if it has no name of its own.
func (x *index) ownerOfVolume(o *object) string {
	if o.Owner != "" || !unnamed(o.ID) {
		return o.Owner
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	owner := ""
	for i, id := range x.mounts[o.ID] {
		c := x.objects[key{router.Container, id}]
		if c == nil || !c.known || i > 0 && c.Owner != owner {
			return ""
		}
		owner = c.Owner
	}
	return owner
}
