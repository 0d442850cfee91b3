package owner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"moorgate/authz/identity"
	"moorgate/router"
)

// maxQuoted bounds how many ids of one error text are looked up; behind them
// none is shown.
const maxQuoted = 16

// compiled is a regular expression that is compiled when it is first needed:
// these are wanted where an Engine refuses something, and would take a tenth of
// a millisecond of every start.
func compiled(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

var (
	// holder is how an Engine says who has a name: by whose id.
	holder = compiled(` by container "?([0-9a-f]{12,64})"?`)
	// endpoint is how an Engine names a container in a network.
	endpoint = compiled(`name:"[^"]*" id:"([0-9a-f]{12,64})"`)
	quotedID = compiled(`\b[0-9a-f]{12,64}\b`)
	// echoed is where an Engine repeats the name that it was given.
	echoed = compiled(`(?i)((?:such container|cannot \w+ container): |cannot \w+ container |removal of container |such exec instance: |the file .* in container )([0-9a-f]{64})`)
)

// clean takes out of an error of the Engine what tells of others: the ids and
// names of their containers. Where the Engine repeats a name that was sent as
// an id, it says again what the caller wrote.
func (o *Owner) clean(ctx context.Context, who identity.Identity, call *router.Call, resp *http.Response) error {
	o.memory.locks.settle(call)
	if resp.StatusCode < 400 || !o.Own(who, call.Action, call.Engine) || resp.Body == nil {
		return nil
	}
	body, err := whole(resp)
	if err != nil {
		return err
	}
	var said struct {
		Message *string `json:"message"`
	}
	if json.Unmarshal(body, &said) != nil || said.Message == nil {
		return nil
	}
	c := cleaner{ctx: ctx, user: who.User, index: o.index(call.Engine), wrote: call.Name() + " " + call.Query.Encode()}
	if call.Body != nil {
		c.wrote += string(call.Body.Bytes())
	}
	text := c.clean(*said.Message)
	for _, pin := range slices.Backward(call.Pinned()) {
		text = echoed().ReplaceAllStringFunc(text, func(s string) string {
			if before, ok := strings.CutSuffix(s, pin.To); ok {
				return before + pin.Ref.At.Text
			}
			return s
		})
	}
	if c.err != nil {
		return c.err
	}
	if text == *said.Message {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]string{"message": text}); err != nil {
		return err
	}
	resp.Body = &reread{&b, resp.Body}
	resp.ContentLength = int64(b.Len())
	resp.Header.Set("Content-Length", strconv.Itoa(b.Len()))
	resp.TransferEncoding = nil
	return nil
}

// cleaner rewords one text for one user.
type cleaner struct {
	ctx   context.Context
	user  string
	index *index
	wrote string // the call, as it was sent
	asked int
	err   error
}

// another stands for the id or name of what belongs to another.
const another = "another's"

func (c *cleaner) clean(text string) string {
	if !quotedID().MatchString(text) {
		return text
	}
	text = holder().ReplaceAllStringFunc(text, func(s string) string {
		if c.own(holder().FindStringSubmatch(s)[1]) {
			return s
		}
		return ""
	})
	text = endpoint().ReplaceAllStringFunc(text, func(s string) string {
		if c.own(endpoint().FindStringSubmatch(s)[1]) {
			return s
		}
		return another
	})
	return quotedID().ReplaceAllStringFunc(text, func(id string) string {
		if strings.Contains(c.wrote, id) || c.own(id) || c.image(id) {
			return id
		}
		return another
	})
}

// own says whether an id, or its beginning, is that of a container or network
// of the caller's. What an Engine quotes but does not show yet, or any more,
// is not.
func (c *cleaner) own(id string) bool {
	for _, kind := range []router.Kind{router.Container, router.Network} {
		if o := c.look(kind, id); o != nil && (o.Owner == c.user || kind == router.Network && predefinedNetwork(o.Name)) {
			return true
		}
	}
	return false
}

// image says whether an id is that of an image: those are shared.
func (c *cleaner) image(id string) bool {
	return c.look(router.Image, "sha256:"+id) != nil
}

func (c *cleaner) look(kind router.Kind, id string) *object {
	if o, ok := c.index.get(kind, id); ok {
		return o
	}
	if c.asked++; c.asked > maxQuoted {
		return nil
	}
	o, err := c.index.lookup(c.ctx, kind, id)
	if err != nil && !errors.Is(err, errMissing) {
		c.err = err
	}
	return o
}
