package owner

import "sync"

// Bounds of what is remembered of one user; the oldest is forgotten first.
const (
	maxExecs = 4096
	maxTags  = 1024
)

// remembered is who made what, by a key; of each user the last so many, and up
// to a quarter more.
type remembered struct {
	mu    sync.RWMutex
	by    map[string]string
	order map[string][]string // by user, oldest first
}

// keep remembers that a user made what has the key.
func (r *remembered) keep(key, user string, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by, r.order = map[string]string{}, map[string][]string{}
	}
	if r.by[key] == user {
		return
	}
	r.by[key] = user
	list := append(r.order[user], key)
	if len(list) > most+most/4 { // not each time: what is kept is copied
		for _, old := range list[:len(list)-most] {
			if r.by[old] == user {
				delete(r.by, old)
			}
		}
		list = append([]string(nil), list[len(list)-most:]...)
	}
	r.order[user] = list
}

func (r *remembered) owner(key string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.by[key]
}

// execs remember who made which exec: the Engine does not. Their ids are never
// used again.
type execs struct{ remembered }

func (e *execs) made(engine, id, user string) { e.keep(engine+"\x00"+id, user, maxExecs) }

func (e *execs) owner(engine, id string) string { return e.remembered.owner(engine + "\x00" + id) }

// tags remember who gave which name to which image.
type tags struct{ remembered }

func (t *tags) gave(engine, name, id, user string) {
	t.keep(engine+"\x00"+name+"\x00"+id, user, maxTags)
}

func (t *tags) owner(engine, name, id string) string {
	return t.remembered.owner(engine + "\x00" + name + "\x00" + id)
}
