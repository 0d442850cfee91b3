package terminal

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"moorgate/authz/audit"
	"moorgate/authz/identity"
)

// What administrators see of denied requests.
const (
	deniedLife     = time.Hour
	maxDenied      = 1000 // of known users; beyond it the oldest go
	maxDeniedOther = 100  // of callers whom nobody knows, who could flood the rest
)

// Denied is a request that was denied, as administrators see it.
type Denied struct {
	Time     time.Time      `json:"time"`
	ID       string         `json:"id"`
	User     string         `json:"user"`
	Remote   string         `json:"remote"`
	Engine   string         `json:"engine"`
	Action   string         `json:"action"`
	Method   string         `json:"method"`
	Path     string         `json:"path"`
	Refs     []string       `json:"refs"`
	Decision audit.Decision `json:"decision"` // deny or would_deny
	Rule     string         `json:"rule"`
	Reason   string         `json:"reason"`
	Status   int            `json:"status"`
}

// Denials is the sink that keeps the denied requests of the last hour: up to
// 1000 of users, and 100 of callers whom nobody knows, failed logins among
// them.
type Denials struct {
	now func() time.Time

	mu           sync.Mutex
	users, other ring
}

// ring keeps the last so many.
type ring struct {
	all  []Denied
	next int // where the next one goes once it is full
}

func (r *ring) add(d Denied, most int) {
	if len(r.all) < most {
		r.all = append(r.all, d)
		return
	}
	r.all[r.next] = d
	r.next = (r.next + 1) % most
}

// NewDenials makes the sink. now is the clock; nil means time.Now.
func NewDenials(now func() time.Time) *Denials {
	if now == nil {
		now = time.Now
	}
	return &Denials{now: now}
}

// Record keeps a denied request.
func (d *Denials) Record(r *audit.Record) {
	if r.Decision != audit.Deny && r.Decision != audit.WouldDeny || r.Event != "" {
		return // or what happened to a session, whose requests have records of their own
	}
	kept := Denied{
		Time: r.Time, ID: r.ID, User: r.User, Remote: r.Remote, Engine: r.Engine, Action: r.Action, Method: r.Method, Path: r.Path,
		Refs: append([]string{}, r.Refs...), Decision: r.Decision, Rule: r.Rule, Reason: r.Reason, Status: r.Status,
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if kept.User != "" {
		d.users.add(kept, maxDenied)
	} else {
		d.other.add(kept, maxDeniedOther)
	}
}

// last gives the requests of the last hour that pass, the newest first.
func (d *Denials) last(pass func(*Denied) bool) []Denied {
	since := d.now().Add(-deniedLife)
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []Denied{}
	for _, kept := range [][]Denied{d.users.all, d.other.all} {
		for i := range kept {
			if r := &kept[i]; r.Time.After(since) && pass(r) {
				all = append(all, *r)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Denied) int { return b.Time.Compare(a.Time) })
	return all
}

// denied answers GET /api/admin/denied, for the engines that the caller
// administers.
func (d *door) denied(w http.ResponseWriter, _ *http.Request, who *identity.Identity) error {
	engines := d.options.Engines()
	var mine []string
	for _, e := range engines {
		if d.options.May(who, "terminal.admin", e) {
			mine = append(mine, e)
		}
	}
	if len(mine) == 0 {
		return deny("", http.StatusForbidden, "%s may not terminal.admin", who.User)
	}
	// What was refused before its engine was known is for those who have all.
	all := []Denied{}
	if d.options.Denials != nil {
		all = d.options.Denials.last(func(r *Denied) bool {
			return slices.Contains(mine, r.Engine) || r.Engine == "" && len(mine) == len(engines)
		})
	}
	send(w, http.StatusOK, map[string]any{"denied": all})
	return nil
}
