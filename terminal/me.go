package terminal

import (
	"net/http"

	"moorgate/authz/identity"
)

// doorRoutes are the server's own routes that are neither of sessions nor of
// recordings.
func (d *door) doorRoutes() []route {
	return []route{
		{"GET /api/me", "terminal.me", d.me},
		{"GET /api/admin/denied", "terminal.admin", d.denied},
	}
}

// description is what the page learns of its user.
type description struct {
	User    string   `json:"user"`
	Groups  []string `json:"groups"`
	Roles   []string `json:"roles"`
	Engines []string `json:"engines"` // the first is the default
	// Actions are those that the user may do, by engine.
	Actions map[string][]string `json:"actions"`
	// Evidence is what the user is known by; "session" can be logged out.
	Evidence string `json:"evidence"`
}

// me answers GET /api/me.
func (d *door) me(w http.ResponseWriter, _ *http.Request, who *identity.Identity) error {
	send(w, http.StatusOK, d.describe(who))
	return nil
}

func (d *door) describe(who *identity.Identity) description {
	o := d.options
	you := description{
		User: who.User, Groups: names(who.Groups), Roles: names(o.Roles(who)), Engines: names(o.Engines()),
		Actions: map[string][]string{}, Evidence: who.Method,
	}
	for _, engine := range you.Engines {
		may := []string{}
		for _, action := range o.Actions {
			if o.May(who, action, engine) {
				may = append(may, action)
			}
		}
		you.Actions[engine] = may
	}
	return you
}

// names makes an empty list of none.
func names(of []string) []string {
	if of == nil {
		return []string{}
	}
	return of
}
