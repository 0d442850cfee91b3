package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"moorgate/authz/identity"
	"moorgate/router"
)

// maxBody bounds the bodies that plugins are shown, in bytes: as the Engine's
// newest. A longer request is refused, for a plugin that is asked without the
// body may allow what it would have denied.
const maxBody = 4 << 20

// question is what a plugin is asked: the Engine's fields in its encoding, where
// []byte is base64. The caller's certificates (RequestPeerCertificates) are not
// among them: the user is known by name, whatever the evidence.
type question struct {
	User            string            `json:",omitempty"`
	UserAuthNMethod string            `json:",omitempty"`
	RequestMethod   string            `json:",omitempty"`
	RequestURI      string            `json:"RequestUri,omitempty"`
	RequestBody     []byte            `json:",omitempty"`
	RequestHeaders  map[string]string `json:",omitempty"`

	ResponseStatusCode int               `json:",omitempty"`
	ResponseBody       []byte            `json:",omitempty"`
	ResponseHeaders    map[string]string `json:",omitempty"`
}

// ask makes the question on a call. It shows the request that will be sent,
// taken from the only maker of such requests, and never the one that came.
func ask(ctx context.Context, who identity.Identity, call *router.Call) (*question, error) {
	sent := *call
	if len(call.UnknownKeys()) > 0 {
		// Either nobody vouches for these keys, and the chain refuses the call
		// after its authorizers, or they are sent.
		sent.PassUnknown = true
	}
	r, err := sent.Request(ctx)
	if err != nil {
		return nil, err
	}
	q := &question{
		User:            who.User,
		UserAuthNMethod: who.Method,
		RequestMethod:   r.Method,
		RequestURI:      r.URL.RequestURI(),
		RequestHeaders:  headers(r.Header),
	}
	if r.ContentLength > 0 {
		q.RequestHeaders["Content-Length"] = strconv.FormatInt(r.ContentLength, 10)
	}
	if call.Body == nil || secret(call) {
		return q, nil
	}
	if call.Body.Len() > maxBody {
		return nil, &router.Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf(
			"moorgate: the request body is over %d bytes, more than authorization plugins are shown: send a smaller one", maxBody)}
	}
	q.RequestBody = call.Body.Bytes()
	return q, nil
}

// secret says whether the bodies of a call are credentials for a registry: those
// of /auth, which the Engine withholds by its path, and of a push in the old
// form. They are the ones that may come without a Content-Type.
func secret(call *router.Call) bool { return call.Route.Body == router.AnyJSON }

// headers flattens a header as the Engine does: the last value of a key holds,
// and credentials are left out.
func headers(h http.Header) map[string]string {
	flat := make(map[string]string, len(h)+1)
	for key, values := range h {
		switch http.CanonicalHeaderKey(key) {
		case "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Registry-Auth", "X-Registry-Config":
			continue
		}
		if len(values) > 0 {
			flat[key] = values[len(values)-1]
		}
	}
	return flat
}

// answered adds the Engine's answer to the question. The body is shown where it
// is JSON, and is put back, so that the caller gets the same bytes.
//
// An answer of over maxBody is shown without its body. Refusing it would take
// long lists from everyone whose plugins look at requests only, and the request
// has been carried out by now. The Engine shows less: of over 64 KiB only the
// rest, when the caller has the beginning. A plugin that judges bodies can tell
// a withheld one, for no JSON answer is empty.
func (q *question) answered(call *router.Call, resp *http.Response) error {
	q.ResponseStatusCode = resp.StatusCode
	q.ResponseHeaders = headers(resp.Header)
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || secret(call) || resp.Body == nil || resp.ContentLength > maxBody {
		return nil
	}
	held, ok := resp.Body.(*heldBody)
	if !ok {
		if held, err = hold(resp.Body, resp.ContentLength); err != nil {
			return err
		}
		resp.Body = held
	}
	if held.whole() {
		q.ResponseBody = held.read
	}
	return nil
}

// heldBody is a body whose beginning has been read and is given again. The next
// plugin finds it and need not read it once more.
type heldBody struct {
	read  []byte
	given int
	rest  io.ReadCloser
}

// hold reads a body up to one byte more than is shown.
func hold(body io.ReadCloser, length int64) (*heldBody, error) {
	held := &heldBody{rest: body}
	var err error
	if length >= 0 { // at most maxBody
		held.read = make([]byte, length)
		var n int
		n, err = io.ReadFull(body, held.read)
		held.read = held.read[:n]
		if n == 0 && err == io.EOF { // the answer to a HEAD
			err = nil
		}
	} else {
		held.read, err = io.ReadAll(io.LimitReader(body, maxBody+1))
	}
	if err != nil {
		return nil, &router.Error{Status: http.StatusBadGateway, Err: fmt.Errorf("reading the Engine's answer: %w", err),
			Message: "moorgate: the Engine broke off its answer: look at its log"}
	}
	return held, nil
}

// whole says that the body is short enough to be shown and that nobody has
// taken any of it.
func (h *heldBody) whole() bool { return len(h.read) <= maxBody && h.given == 0 }

func (h *heldBody) Read(p []byte) (int, error) {
	if h.given < len(h.read) {
		n := copy(p, h.read[h.given:])
		h.given += n
		return n, nil
	}
	return h.rest.Read(p)
}

func (h *heldBody) Close() error { return h.rest.Close() }

func (q *question) encode() ([]byte, error) { return json.Marshal(q) }
