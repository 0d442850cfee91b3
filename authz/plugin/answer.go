package plugin

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"moorgate/router"
)

// Bounds of what is kept of a plugin's words: refusals, records and logs repeat
// them.
const maxWords = 1 << 10

// answer is what a plugin says to one question.
type answer struct {
	allow bool
	msg   string // for the caller, printable and bounded
}

// parseAnswer reads {"Allow": bool, "Msg": string, "Err": string}. The Engine's
// decoder takes any spelling of Allow and the last of two; here an answer has
// exactly one reading or is none, so that no two programs can differ on whether
// it allows. An Err is a failure, whatever Allow says.
func parseAnswer(raw []byte) (answer, error) {
	d, err := parse(raw, struct {
		Allow    bool
		Msg, Err string
	}{})
	if err != nil {
		return answer{}, err
	}
	allow := d.Root().Get("Allow")
	if !allow.Exists() {
		return answer{}, errors.New("the answer has no Allow: it must be true or false")
	}
	if text := d.Root().Get("Err").Str(); text != "" {
		return answer{}, errors.New("it says that it failed: " + plain(text, maxWords))
	}
	return answer{allow.Bool(), plain(d.Root().Get("Msg").Str(), maxWords)}, nil
}

// driver is what an authorization plugin says that it implements.
const driver = "authz"

// parseManifest reads the answer to the handshake: {"Implements": ["authz"]}.
func parseManifest(raw []byte) error {
	d, err := parse(raw, struct{ Implements []string }{})
	if err != nil {
		return err
	}
	var implements []string
	for v := range d.Root().Get("Implements").Elements() {
		implements = append(implements, v.Str())
	}
	if !slices.Contains(implements, driver) {
		return errors.New("it is no authorization plugin: it implements " +
			plain(strconv.Quote(strings.Join(implements, ", ")), maxWords) + ", not " + driver)
	}
	return nil
}

// parse reads one JSON object. Its errors are of this package: a router.Error
// would pass for a refusal of the caller's request.
func parse(raw []byte, of any) (*router.Document, error) {
	d, err := router.ParseDocument(raw, of)
	if err != nil {
		return nil, errors.New("the answer cannot be read: " + plain(strings.TrimPrefix(err.Error(), "request body: "), maxWords))
	}
	if !d.Root().IsObject() {
		return nil, errors.New("the answer is no JSON object: " + plain(string(raw), maxExcerpt))
	}
	return d, nil
}

// plain makes text fit for terminals and logs: what cannot be printed is
// escaped, and what is longer than max bytes is cut and ends in "...".
func plain(s string, max int) string {
	var b strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		piece := s[:n]
		if !strconv.IsPrint(r) || r == utf8.RuneError && n == 1 {
			quoted := strconv.Quote(piece)
			piece = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(piece) > max {
			return b.String() + "..."
		}
		b.WriteString(piece)
		s = s[n:]
	}
	return b.String()
}
