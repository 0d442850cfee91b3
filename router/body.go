package router

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unsafe"
)

const (
	// documentTime is how long a caller may take to send a JSON body.
	documentTime = time.Minute
	// maxEcho bounds a body on a route that has none; one that only repeats
	// the query is let pass.
	maxEcho = 64 << 10
	// firstRead is how long a body may say to be and have room made for it before
	// any of it has come.
	firstRead = 64 << 10
)

// readBody reads what the row has: a JSON value whole, an archive not at all.
func (c *Call) readBody(w http.ResponseWriter, r *http.Request, row *row) error {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	media, err := mediaType(r.Header["Content-Type"])
	if err != nil {
		return err
	}
	switch c.Route.Body {
	case Tar:
		c.Stream, c.Length = r.Body, r.ContentLength
		return nil
	case MaybeTar:
		if c.Route.Takes(c) {
			c.Stream, c.Length = r.Body, r.ContentLength
			return nil
		}
		return c.readEcho(w, r, row)
	case JSON, AnyJSON:
		if media != "application/json" && !(media == "" && c.Route.Body == AnyJSON) {
			return fail(http.StatusUnsupportedMediaType, "Content-Type %.128q is not taken by %s %s: send application/json", r.Header.Get("Content-Type"), r.Method, c.Route.Pattern)
		}
		if e := r.Header["Content-Encoding"]; len(e) > 1 || len(e) == 1 && !strings.EqualFold(e[0], "identity") {
			return fail(http.StatusUnsupportedMediaType, "Content-Encoding %.64q is not taken: send the JSON as it is", strings.Join(e, ", "))
		}
		text, err := readAll(w, r, MaxDocument)
		if err != nil || text == "" {
			return err
		}
		c.Body, err = parseText(text, row.schema)
		return err
	}
	return c.readEcho(w, r, row)
}

// mediaType reads the Content-Type, "" where there is none. Forms are refused
// here: a form's fields would go before the query's.
func mediaType(header []string) (string, error) {
	if len(header) == 0 || header[0] == "" && len(header) == 1 {
		return "", nil
	}
	if len(header) > 1 {
		return "", fail(http.StatusBadRequest, "header Content-Type is written twice: write it once")
	}
	if header[0] == "application/json" {
		return header[0], nil
	}
	media, params, err := mime.ParseMediaType(header[0])
	if media == "application/x-www-form-urlencoded" || strings.HasPrefix(media, "multipart/") {
		return "", fail(http.StatusUnsupportedMediaType, "a %.64s body is not taken: write options in the query", media)
	}
	if err != nil {
		return "", fail(http.StatusUnsupportedMediaType, "Content-Type %.128q is malformed: send application/json or an archive", header[0])
	}
	if charset := params["charset"]; media == "application/json" && charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", fail(http.StatusUnsupportedMediaType, "charset %.64q is not taken: send UTF-8", charset)
	}
	return media, nil
}

// readEcho reads the body on a route that has none. SDKs send {} there, or the
// options of the query once more; both say nothing, so they are dropped.
// Anything else is refused.
func (c *Call) readEcho(w http.ResponseWriter, r *http.Request, row *row) error {
	text, err := readAll(w, r, maxEcho)
	if err != nil || text == "" {
		return err
	}
	d, err := parse(text, nil)
	if err == nil && (d.Root().IsObject() || !d.Root().Exists()) && c.echoes(d, row) {
		return nil
	}
	return fail(http.StatusBadRequest, "%s %s takes no body: send none", r.Method, c.Route.Pattern)
}

// echoes says whether a body repeats what the query says and nothing else.
func (c *Call) echoes(d *Document, row *row) bool {
	for key, v := range d.Root().Members() {
		if v.Exists() && !c.says(row, key, v) {
			return false
		}
	}
	return true
}

// says tells whether the query has the value v for key, in any of the ways in
// which SDKs write JSON into a query.
func (c *Call) says(row *row, key string, v Value) bool {
	values := c.Query[key]
	if values == nil {
		values = c.Unknown[key]
	}
	want := v.Raw()
	if v.IsString() {
		want = v.Str()
	}
	switch len(values) {
	case 0:
		return want == ""
	case 1:
		if values[0] == want {
			return true
		}
		if row.keys[key] == filters {
			f, err := ParseFilters(want)
			return err == nil && f.String() == values[0]
		}
	}
	var list []string
	for e := range v.Elements() {
		if e.IsString() {
			list = append(list, e.Str())
		} else {
			list = append(list, e.Raw())
		}
	}
	return slices.Equal(list, values)
}

// sayOnce drops what an SDK has written into the query and the body, where
// only the one is the Engine's: dockerode repeats the whole body of
// containers/create in the query, and the query's name in the body. Left in, a
// repetition would count as something unknown.
func (c *Call) sayOnce(row *row) error {
	for key := range c.Unknown {
		if v := c.Body.Root().Get(key); v.Exists() && c.says(row, key, v) {
			delete(c.Unknown, key)
		}
	}
again:
	for key, v := range c.Body.Unknown() {
		if c.Query[key] != nil && c.says(row, key, v) {
			if err := c.Body.remove(v.i); err != nil {
				return err
			}
			goto again // the values have moved
		}
	}
	return nil
}

func tooLarge(max int64) error {
	return fail(http.StatusRequestEntityTooLarge, "request body is over %d bytes: send a smaller one", max)
}

// readAll reads a body of at most max bytes, within documentTime.
func readAll(w http.ResponseWriter, r *http.Request, max int64) (string, error) {
	if r.ContentLength > max {
		return "", tooLarge(max)
	}
	deadline := http.NewResponseController(w)
	if deadline.SetReadDeadline(time.Now().Add(documentTime)) == nil {
		defer deadline.SetReadDeadline(time.Time{})
	}
	if n := r.ContentLength; n > 0 && n <= firstRead { // as nearly all are
		body := make([]byte, n)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return "", endedEarly(err)
		}
		return unsafe.String(&body[0], n), nil // nobody writes there any more
	}
	var body bytes.Buffer
	n, err := body.ReadFrom(io.LimitReader(r.Body, max+1))
	if err == nil && r.ContentLength > 0 && n != r.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case err != nil:
		return "", endedEarly(err)
	case n > max:
		return "", tooLarge(max)
	}
	return body.String(), nil
}

func endedEarly(err error) error {
	return &Error{Status: http.StatusBadRequest, Message: "request body ended early: send all of it within a minute", Err: err}
}
