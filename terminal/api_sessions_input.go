package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxRequest bounds the JSON body of a request, in bytes: a command and an
// environment of 64 KiB together, escaped.
const maxRequest = 256 << 10

// readObject reads the one JSON object of a request's body into fields, by
// their exact names. No body leaves the fields as they are.
func readObject(r *http.Request, fields map[string]any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return newError(http.StatusBadRequest, "", "the body ends too early")
	}
	if len(body) > maxRequest {
		return newError(http.StatusRequestEntityTooLarge, "", "the body is larger than %d KiB", maxRequest>>10)
	}
	if len(body) == 0 {
		return nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || kind != "application/json" || charset != "" && charset != "utf-8" || r.Header.Get("Content-Encoding") != "" {
		return newError(http.StatusUnsupportedMediaType, "send Content-Type: application/json", "the body is not said to be JSON")
	}
	if err := decodeObject(body, fields); err != nil {
		return newError(http.StatusBadRequest, "send one JSON object with "+strings.Join(slices.Sorted(maps.Keys(fields)), ", "), "%v", err)
	}
	return nil
}

// decodeObject reads an object each of whose keys is one of fields and stands
// there once, written in its very letters.
func decodeObject(text []byte, fields map[string]any) error {
	if !utf8.Valid(text) {
		return errors.New("the body is no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	first, err := d.Token()
	if err != nil {
		return plainJSONError(err)
	}
	if first != json.Delim('{') {
		return errors.New("the body is no JSON object")
	}
	seen := map[string]bool{}
	short := func(err error) error {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return plainJSONError(err)
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return short(err)
		}
		key, _ := token.(string)
		field, known := fields[key]
		switch {
		case !known:
			return fmt.Errorf("unknown field %q", cutText(key, 64))
		case seen[key]:
			return fmt.Errorf("field %q stands there twice", key)
		}
		seen[key] = true
		var kind *json.UnmarshalTypeError
		if err := d.Decode(field); errors.As(err, &kind) {
			return fmt.Errorf("%s cannot be a JSON %s", key, kind.Value)
		} else if err != nil {
			return fmt.Errorf("%s: %w", key, short(err))
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return short(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something stands behind the JSON object")
	}
	return nil
}

// wordList is a list of words, or one string that is split as a shell would.
type wordList []string

func (c *wordList) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	var line string
	if json.Unmarshal(text, &line) == nil {
		words, err := splitCommand(line)
		*c = words
		return err
	}
	if json.Unmarshal(text, (*[]string)(c)) != nil {
		return errors.New(`write a list of words, ["ls", "-l"], or one string`)
	}
	return nil
}

// envList is a list of NAME=VALUE, or an object.
type envList []string

func (e *envList) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if json.Unmarshal(text, (*[]string)(e)) == nil {
		return nil
	}
	var named map[string]string
	if json.Unmarshal(text, &named) != nil {
		return errors.New(`write a list, ["NAME=VALUE"], or an object of strings`)
	}
	*e = nil
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if strings.Contains(name, "=") {
			return fmt.Errorf("%q is no name", cutText(name, 64))
		}
		*e = append(*e, name+"="+named[name])
	}
	return nil
}

// cellCount is a number of columns or rows; any is brought into the range of
// terminals.
type cellCount uint16

func (c *cellCount) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	n, err := json.Number(text).Int64()
	if err != nil {
		f, err := json.Number(text).Float64()
		if err != nil && f == 0 {
			return errors.New("write a whole number")
		}
		n = int64(min(max(f, -1), maxCells+1))
	}
	*c = cellCount(clampOrNone(n))
	return nil
}

// readSpec reads what kind of session is asked for.
func readSpec(r *http.Request) (Spec, error) {
	var s Spec
	var cmd wordList
	var env envList
	var cols, rows cellCount
	err := readObject(r, map[string]any{
		"mode": &s.Mode, "engine": &s.Engine, "container": &s.Container, "image": &s.Image, "cmd": &cmd, "user": &s.User,
		"workdir": &s.Workdir, "env": &env, "tty": &s.TTY, "cols": &cols, "rows": &rows, "record": &s.Record, "rm": &s.RM,
		"volume": &s.Volume,
	})
	s.Cmd, s.Env, s.Cols, s.Rows = cmd, env, uint16(cols), uint16(rows)
	return s, err
}

// readQuery reads a query that has each of once at most, many any number of
// times, and nothing else. Names that would hold a secret are not among them:
// URLs are kept in logs.
func readQuery(r *http.Request, once []string, many ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newError(http.StatusBadRequest, "", "the query cannot be read")
	}
	for name, values := range query {
		switch {
		case slices.Contains(many, name):
		case !slices.Contains(once, name):
			return nil, newError(http.StatusBadRequest, "it may have "+strings.Join(slices.Concat(once, many), ", "),
				"unknown query parameter %q", cutText(name, 64))
		case len(values) > 1:
			return nil, newError(http.StatusBadRequest, "", "query parameter %q stands there twice", name)
		}
		for _, v := range values {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return nil, newError(http.StatusBadRequest, "", "query parameter %q is no text", name)
			}
		}
	}
	return query, nil
}

// querySpec reads a session from the query of a request that opens one by
// itself; extra are further parameters.
func querySpec(r *http.Request, extra ...string) (Spec, url.Values, error) {
	once := append([]string{"mode", "engine", "container", "image", "user", "workdir", "tty", "cols", "rows", "volume"}, extra...)
	q, err := readQuery(r, once, "cmd", "env")
	if err != nil {
		return Spec{}, nil, err
	}
	s := Spec{
		Mode: q.Get("mode"), Engine: q.Get("engine"), Container: q.Get("container"), Image: q.Get("image"),
		User: q.Get("user"), Workdir: q.Get("workdir"), Volume: q.Get("volume"), Cmd: q["cmd"], Env: q["env"],
	}
	bad := func(name string, hint string) (Spec, url.Values, error) {
		return s, q, newError(http.StatusBadRequest, hint, "query parameter %s=%s", name, plainLine(cutText(q.Get(name), 64)))
	}
	if s.Mode == "" {
		if s.Mode = ModeExec; s.Image != "" {
			s.Mode = ModeRun
		}
	}
	if len(s.Cmd) == 1 {
		if s.Cmd, err = splitCommand(s.Cmd[0]); err != nil {
			return bad("cmd", err.Error())
		}
	}
	if q.Has("tty") {
		tty, err := strconv.ParseBool(q.Get("tty"))
		if err != nil {
			return bad("tty", "write true or false")
		}
		s.TTY = &tty
	}
	for name, to := range map[string]*uint16{"cols": &s.Cols, "rows": &s.Rows} {
		if q.Get(name) == "" {
			continue
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return bad(name, "write a whole number")
		}
		*to = clampOrNone(n)
	}
	_, err = s.complete()
	return s, q, err
}
