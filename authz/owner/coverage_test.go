package owner

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"moorgate/authz/identity"
	"moorgate/router"
)

// ownership is how a row keeps users apart. Every part of it is tried.
type ownership struct {
	names  bool   // the path names an object: another's is not there
	shared bool   // the path names an image: others may look, if the policy lets them, but not take it away
	makes  bool   // what is made carries the owner
	lists  bool   // the answer is cut
	prunes bool   // the Engine is told whose
	of     string // why nothing of it belongs to anybody
	query  string
	body   string
}

// owned says of every row of the Engine's table how it keeps users apart.
var owned = map[string]ownership{
	"GET /containers/{name...}/checkpoints":              {names: true},
	"POST /containers/{name...}/checkpoints":             {names: true, body: `{"CheckpointID":"c"}`},
	"DELETE /containers/{name}/checkpoints/{checkpoint}": {names: true},
	"HEAD /containers/{name...}/archive":                 {names: true},
	"GET /containers/json":                               {lists: true},
	"GET /containers/{name...}/export":                   {names: true},
	"GET /containers/{name...}/changes":                  {names: true},
	"GET /containers/{name...}/json":                     {names: true},
	"GET /containers/{name...}/top":                      {names: true},
	"GET /containers/{name...}/logs":                     {names: true},
	"GET /containers/{name...}/stats":                    {names: true},
	"GET /containers/{name...}/attach/ws":                {names: true},
	"GET /exec/{id...}/json":                             {names: true},
	"GET /containers/{name...}/archive":                  {names: true},
	"POST /containers/create":                            {makes: true, body: `{"Image":"busybox"}`},
	"POST /containers/{name...}/kill":                    {names: true},
	"POST /containers/{name...}/pause":                   {names: true},
	"POST /containers/{name...}/unpause":                 {names: true},
	"POST /containers/{name...}/restart":                 {names: true},
	"POST /containers/{name...}/start":                   {names: true},
	"POST /containers/{name...}/stop":                    {names: true},
	"POST /containers/{name...}/wait":                    {names: true},
	"POST /containers/{name...}/resize":                  {names: true},
	"POST /containers/{name...}/attach":                  {names: true},
	"POST /containers/{name...}/exec":                    {names: true, body: `{"Cmd":["x"]}`},
	"POST /exec/{name...}/start":                         {names: true, body: `{}`},
	"POST /exec/{name...}/resize":                        {names: true},
	"POST /containers/{name...}/rename":                  {names: true, query: "name=x"},
	"POST /containers/{name...}/update":                  {names: true, body: `{}`},
	"POST /containers/prune":                             {prunes: true},
	"POST /commit":                                       {makes: true, query: "container=alices"},
	"PUT /containers/{name...}/archive":                  {names: true, body: archive},
	"DELETE /containers/{name...}":                       {names: true},
	"GET /images/json":                                   {lists: true},
	"GET /images/search":                                 {of: "a registry answers"},
	"GET /images/get":                                    {of: "names are judged as the path's are: TestMayUse", query: "names=busybox"},
	"GET /images/{name...}/get":                          {shared: true},
	"GET /images/{name...}/history":                      {shared: true},
	"GET /images/{name...}/json":                         {shared: true},
	"GET /images/{name...}/attestations":                 {shared: true},
	"POST /images/load":                                  {of: "the names are in the archive, which the image policy judges", body: archive},
	"POST /images/create":                                {makes: true, query: "fromSrc=-&repo=new", body: archive},
	"POST /images/{name...}/push":                        {shared: true, body: `{}`},
	"POST /images/{name...}/tag":                         {shared: true, query: "repo=busybox&tag=latest"},
	"POST /images/prune":                                 {prunes: true},
	"DELETE /images/{name...}":                           {shared: true},
	"OPTIONS /{anyroute...}":                             {of: "answers nothing"},
	"GET /_ping":                                         {of: "answers everyone"},
	"HEAD /_ping":                                        {of: "answers everyone"},
	"GET /events":                                        {of: "cut as it comes: events_test.go"},
	"GET /info":                                          {lists: true},
	"GET /version":                                       {of: "answers everyone"},
	"GET /system/df":                                     {lists: true},
	"POST /auth":                                         {of: "a registry answers", body: `{}`},
	"GET /volumes":                                       {lists: true},
	"GET /volumes/{name...}":                             {names: true},
	"POST /volumes/create":                               {makes: true, body: `{"Name":"new"}`},
	"POST /volumes/prune":                                {prunes: true},
	"PUT /volumes/{name...}":                             {names: true, body: `{}`},
	"DELETE /volumes/{name...}":                          {names: true},
	"POST /build":                                        {makes: true, query: "t=new", body: archive},
	"POST /build/prune":                                  {of: "the build cache is nobody's: none of it goes (filter_test.go)"},
	"POST /build/cancel":                                 {of: "builds are known by ids that only who began them knows", query: "id=x"},
	"POST /session":                                      {of: "refused to scope own (TestBuildKit)"},
	"POST /swarm/init":                                   {of: "the swarm is everyone's: a role allows it or not", body: `{}`},
	"POST /swarm/join":                                   {of: "the swarm is everyone's", body: `{}`},
	"POST /swarm/leave":                                  {of: "the swarm is everyone's"},
	"GET /swarm":                                         {of: "the swarm is everyone's"},
	"GET /swarm/unlockkey":                               {of: "the swarm is everyone's"},
	"POST /swarm/update":                                 {of: "the swarm is everyone's", body: `{}`},
	"POST /swarm/unlock":                                 {of: "the swarm is everyone's", body: `{}`},
	"GET /services":                                      {lists: true},
	"GET /services/{id}":                                 {names: true},
	"POST /services/create":                              {makes: true, body: `{"Name":"new"}`},
	"POST /services/{id}/update":                         {names: true, makes: true, body: `{"Name":"alices"}`},
	"DELETE /services/{id}":                              {names: true},
	"GET /services/{id}/logs":                            {names: true},
	"GET /nodes":                                         {of: "nodes are everyone's"},
	"GET /nodes/{id}":                                    {of: "nodes are everyone's"},
	"DELETE /nodes/{id}":                                 {of: "nodes are everyone's"},
	"POST /nodes/{id}/update":                            {of: "nodes are everyone's", body: `{}`},
	"GET /tasks":                                         {lists: true},
	"GET /tasks/{id}":                                    {names: true},
	"GET /tasks/{id}/logs":                               {names: true},
	"GET /secrets":                                       {lists: true},
	"POST /secrets/create":                               {makes: true, body: `{"Name":"new"}`},
	"DELETE /secrets/{id}":                               {names: true},
	"GET /secrets/{id}":                                  {names: true},
	"POST /secrets/{id}/update":                          {names: true, makes: true, body: `{"Name":"alices"}`},
	"GET /configs":                                       {lists: true},
	"POST /configs/create":                               {makes: true, body: `{"Name":"new"}`},
	"DELETE /configs/{id}":                               {names: true},
	"GET /configs/{id}":                                  {names: true},
	"POST /configs/{id}/update":                          {names: true, makes: true, body: `{"Name":"alices"}`},
	"GET /plugins":                                       {of: "plugins are the Engine's"},
	"GET /plugins/{name...}/json":                        {of: "plugins are the Engine's"},
	"GET /plugins/privileges":                            {of: "a registry answers"},
	"DELETE /plugins/{name...}":                          {of: "plugins are the Engine's"},
	"POST /plugins/{name...}/enable":                     {of: "plugins are the Engine's"},
	"POST /plugins/{name...}/disable":                    {of: "plugins are the Engine's"},
	"POST /plugins/pull":                                 {of: "plugins are the Engine's", body: `[]`},
	"POST /plugins/{name...}/push":                       {of: "plugins are the Engine's"},
	"POST /plugins/{name...}/upgrade":                    {of: "plugins are the Engine's", body: `[]`},
	"POST /plugins/{name...}/set":                        {of: "plugins are the Engine's", body: `[]`},
	"POST /plugins/create":                               {of: "plugins are the Engine's", body: archive},
	"GET /distribution/{name...}/json":                   {of: "a registry answers"},
	"GET /networks":                                      {lists: true},
	"GET /networks/":                                     {lists: true},
	"GET /networks/{id...}":                              {names: true},
	"POST /networks/create":                              {makes: true, body: `{"Name":"new"}`},
	"POST /networks/{id...}/connect":                     {names: true, body: `{"Container":"alices"}`},
	"POST /networks/{id...}/disconnect":                  {names: true, body: `{"Container":"alices"}`},
	"POST /networks/prune":                               {prunes: true},
	"DELETE /networks/{id...}":                           {names: true},
	"GET /debug/vars":                                    {of: "the Engine's own: a role allows it or not"},
	"GET /debug/pprof/":                                  {of: "the Engine's own"},
	"GET /debug/pprof/cmdline":                           {of: "the Engine's own"},
	"GET /debug/pprof/profile":                           {of: "the Engine's own"},
	"GET /debug/pprof/symbol":                            {of: "the Engine's own"},
	"GET /debug/pprof/trace":                             {of: "the Engine's own"},
	"GET /debug/pprof/{name}":                            {of: "the Engine's own"},
	"POST /grpc":                                         {of: "refused to scope own (TestBuildKit)"},
}

var variable = regexp.MustCompile(`\{\w+(\.\.\.)?\}`)

// twoUsers is an Engine on which alice and bob have one object of each kind,
// "alices" and "bobs".
func twoUsers() (*fake, map[string]string) {
	engine := newFake()
	ids := map[string]string{}
	for i, user := range []string{"alice", "bob"} {
		name, id := user+"s", fullID(100+i)
		ids[user] = id
		labels := fmt.Sprintf(`{"moorgate.owner":%q,"moorgate.image":%q}`, user, imageID)
		for _, called := range []string{name, id} {
			engine.say("/containers/"+called+"/json", inspected(id, name, user))
			for _, path := range []string{"/networks/", "/volumes/"} {
				engine.say(path+called, fmt.Sprintf(`{"Id":%q,"Name":%q,"Labels":%s}`, id, name, labels))
			}
			engine.say("/images/"+called+"/json", fmt.Sprintf(`{"Id":"sha256:%s","RepoTags":["%s:latest"],"Config":{"Labels":%s}}`, id, name, labels))
			for _, path := range []string{"/services/", "/secrets/", "/configs/"} {
				engine.say(path+called, fmt.Sprintf(`{"ID":%q,"Spec":{"Name":%q,"Labels":%s}}`, id, name, labels))
			}
			engine.say("/tasks/"+called, fmt.Sprintf(`{"ID":%q,"ServiceID":%q}`, id, id))
		}
	}
	return engine, ids
}

// TestEveryRow tries every row of the table as two users.
func TestEveryRow(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range router.Table() {
		name := row.Method + " " + row.Pattern
		seen[name] = true
		how, ok := owned[name]
		if !ok {
			t.Errorf("%s: nobody has said how it keeps users apart", name)
			continue
		}
		t.Run(name, func(t *testing.T) { how.try(t, row) })
	}
	for name := range owned {
		if !seen[name] {
			t.Errorf("%s is no row of the table", name)
		}
	}
}

func (how ownership) try(t *testing.T, row router.Route) {
	engine, ids := twoUsers()
	o := newOwner(engine, func(o *Options) {
		o.MayUse = func(context.Context, identity.Identity, string, []string, string) (bool, error) { return false, nil }
	})
	for user := range ids {
		o.memory.execs.made("local", user+"s", user)
	}
	call := func(name string) *router.Call {
		target := variable.ReplaceAllString(row.Pattern, name)
		if row.Pattern == "/{anyroute...}" {
			target = "/x"
		}
		return read(t, row.Method, target+"?"+how.query, how.body)
	}
	switch {
	case how.names:
		if d, err := o.judge(t, "alice", call("bobs")); d.Allow || status(err) != 404 || !strings.Contains(err.Error(), "bobs") {
			t.Errorf("alice names bob's: %+v, %v", d, err)
		}
		own := call("alices")
		if d, err := o.judge(t, "alice", own); !d.Allow || err != nil {
			t.Errorf("alice names her own: %+v, %v", d, err)
		}
		if row.Kind != router.Volume && row.Kind != router.Exec && own.Name() != ids["alice"] {
			t.Errorf("alice's own is sent as %s, not as its id", own.Name())
		}
	case how.shared:
		if d, err := o.judge(t, "alice", call("bobs")); d.Allow || err != nil && status(err) != 404 {
			t.Errorf("alice names an image that she may not use: %+v, %v", d, err)
		}
		o.MayUse = nil
		d, err := o.judge(t, "alice", call("bobs"))
		if changes := row.Method != "GET"; d.Allow == changes || err != nil {
			t.Errorf("alice names an image that she may use: %+v, %v", d, err)
		}
	}
	if how.makes {
		c := call("alices")
		if d, err := o.judge(t, "alice", c); !d.Allow || err != nil {
			t.Fatalf("alice makes one: %+v, %v", d, err)
		}
		query, body := sent(t, c)
		if all := fmt.Sprint(query, body); !strings.Contains(all, Label) || !strings.Contains(all, "alice") {
			t.Errorf("what is made is nobody's: %s", all)
		}
	}
	c := call("alices")
	if how.lists && o.judging(context.Background(), identity.Identity{User: "alice"}, c).sight().of(c.Action) == nil {
		t.Error("the answer is not cut")
	}
	if how.prunes {
		d, err := newOwner(anything{engine}).judge(t, "alice", c)
		if !d.Allow || err != nil {
			t.Fatalf("alice prunes: %+v, %v", d, err)
		}
		if f, _ := c.Filters(); !strings.Contains(fmt.Sprint(f["label"]), Label+"=alice") {
			t.Errorf("what goes is anybody's: %v", f)
		}
	}
	how.alone(t, row)
}

// alone makes sure that a row which says that it is nobody's has a reason, and
// that it names no kind of object that is somebody's.
func (how ownership) alone(t *testing.T, row router.Route) {
	if kinds := how.names || how.shared || how.makes || how.lists || how.prunes; kinds == (how.of != "") {
		t.Errorf("say either how it keeps users apart or why it need not: %+v", how)
	}
	if how.of == "" || !strings.Contains(row.Pattern, "{") {
		return
	}
	switch row.Kind {
	case router.Container, router.Exec, router.Volume, router.Network, router.Service, router.Task, router.Secret, router.Config:
		t.Errorf("a %s is somebody's", row.Kind)
	}
}

// anything lists nothing where nobody has said what there is.
type anything struct{ *fake }

func (anything) Stream(context.Context, string, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("[]")), nil
}
