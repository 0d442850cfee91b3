package owner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"go.uber.org/zap"

	"moorgate/router"
)

// Adoption hands an object to a user, whatever its labels say.
type Adoption struct {
	Engine string      `json:"engine"`
	Kind   router.Kind `json:"kind"` // container, network, volume, image, service, secret or config
	ID     string      `json:"id"`   // the whole id; of a volume its name
	// Created is when a volume was made, as the Engine says it: a new volume of
	// the same name is another.
	Created string `json:"created,omitempty"`
	User    string `json:"user"`
}

// Adoptable are the kinds of objects that have owners.
var Adoptable = []router.Kind{
	router.Container, router.Network, router.Volume, router.Image, router.Service, router.Secret, router.Config,
}

// adoptions is what the file of adopted objects says; of several lines about
// one object the last counts.
type adoptions struct {
	mu sync.RWMutex
	by map[Adoption]string // without User
}

func (a *adoptions) owner(engine string, o *object) (user string, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	user, ok = a.by[Adoption{Engine: engine, Kind: o.Kind, ID: o.ID, Created: o.Created}]
	return user, ok
}

// any says whether a user adopted anything of a kind.
func (a *adoptions) any(engine, user string, kind router.Kind) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for k, u := range a.by {
		if u == user && k.Engine == engine && k.Kind == kind {
			return true
		}
	}
	return false
}

// some says whether anybody adopted anything of a kind.
func (a *adoptions) some(engine string, kind router.Kind) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for k := range a.by {
		if k.Engine == engine && k.Kind == kind {
			return true
		}
	}
	return false
}

// ReadAdoptions reads a file that Adopt writes: one JSON object a line. A file
// that is not there is empty.
func ReadAdoptions(file string) ([]Adoption, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading adopted objects: %w", err)
	}
	var all []Adoption
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var a Adoption
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&a); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		if fault := a.fault(); fault != "" {
			return nil, fmt.Errorf("%s:%d: %s", file, n, fault)
		}
		all = append(all, a)
	}
	return all, lines.Err()
}

// fault says what is wrong with an adoption, "" for nothing.
func (a *Adoption) fault() string {
	switch {
	case a.Engine == "" || a.ID == "" || a.User == "":
		return "engine, id and user must all be there"
	case !slices.Contains(Adoptable, a.Kind):
		return fmt.Sprintf("%.64q has no owner: write container, network, volume, image, service, secret or config", a.Kind)
	case (a.Kind == router.Volume) != (a.Created != ""):
		return "created belongs to volumes, and to each of them"
	}
	return ""
}

// Adopt adds to the file of adopted objects. What runs takes notice within a
// second or so.
func Adopt(file string, all ...Adoption) error {
	var b bytes.Buffer
	for _, a := range all {
		if fault := a.fault(); fault != "" {
			return errors.New(fault)
		}
		line, err := json.Marshal(a)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing adopted objects: %w", err)
	}
	_, err = f.Write(b.Bytes()) // at once: lines of two who write do not mix
	return errors.Join(err, f.Close())
}

// readAdopted takes the file of adopted objects as it is. One that cannot be
// read changes nothing.
func (o *Owner) readAdopted() {
	if o.Adopted == "" {
		return
	}
	all, err := ReadAdoptions(o.Adopted)
	if err != nil {
		o.Log.Warn("owner: what was adopted lately is not known", zap.Error(err))
		return
	}
	by := map[Adoption]string{}
	for _, a := range all {
		user := a.User
		a.User = ""
		by[a] = user
	}
	o.adopted.mu.Lock()
	old := o.adopted.by
	o.adopted.by = by
	o.adopted.mu.Unlock()
	for a, user := range by {
		if old[a] != user {
			o.index(a.Engine).disown(a.Kind, a.ID)
		}
	}
	for a := range old {
		if _, ok := by[a]; !ok {
			o.index(a.Engine).disown(a.Kind, a.ID)
		}
	}
}

// disown forgets whose an object is.
func (x *index) disown(kind router.Kind, id string) {
	x.drop(kind, id)
	switch kind {
	case router.Image:
		x.images.changes.happened()
	case router.Volume:
		x.volumes.changes.happened()
	}
}

// Find gives what would be adopted: one object by whatever its Engine takes
// for a name, with its whole id.
func Find(get func(path string) ([]byte, error), engine string, kind router.Kind, name string) (Adoption, error) {
	path := pathOf(kind, name)
	if path == "" {
		return Adoption{}, fmt.Errorf("%.128q is no name of a %s", name, kind)
	}
	answer, err := get(path)
	if err != nil {
		return Adoption{}, err
	}
	var t told
	if err := json.Unmarshal(answer, &t); err != nil {
		return Adoption{}, fmt.Errorf("the Engine's answer makes no sense: %w", err)
	}
	o, _ := t.object(kind)
	a := Adoption{Engine: engine, Kind: kind, ID: o.ID, Created: o.Created}
	if o.ID == "" {
		return a, errors.New("the Engine's answer has no id")
	}
	return a, nil
}
