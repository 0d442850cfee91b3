package http1

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// MaxHead is the longest head in bytes, of a request or an answer: the
// registry credentials that docker sends along with a build make 32 KiB common
// and 100 KiB possible. It holds the URI too.
const MaxHead = 256 << 10

// maxFields bounds the fields of a head; docker sends about ten.
const maxFields = 1000

// BadHead is a head that is refused, with the status that says so.
type BadHead struct {
	Status int
	Reason string
}

func (e *BadHead) Error() string { return e.Reason }

func bad(format string, args ...any) error {
	return &BadHead{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// readHead waits for a whole head and gives its text, the empty line
// included; the bytes stay in hand until take. Onwait is called before each
// further read.
func (c *Conn) readHead(onwait func(have int)) (string, error) {
	from := 0
	for {
		h := c.have()
		if i := bytes.Index(h[from:], []byte("\r\n\r\n")); i >= 0 {
			return string(h[:from+i+4]), nil
		}
		if bareLF(h, from) {
			return "", bad("a line ends in LF alone: end lines in CR LF")
		}
		from = max(0, len(h)-3)
		if onwait != nil {
			onwait(len(h))
		}
		if err := c.fill(MaxHead); err != nil {
			if err == errFull {
				return "", &BadHead{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the head is over %d bytes: send a smaller one", MaxHead)}
			}
			return "", err
		}
	}
}

// bareLF says whether a line that ends in h[from:] ends in LF alone. A caller
// who ends all lines so would wait for an answer for ever.
func bareLF(h []byte, from int) bool {
	for i := from; i < len(h); i++ {
		if h[i] == '\n' && (i == 0 || h[i-1] != '\r') {
			return true
		}
	}
	return false
}

// token marks the bytes that a method or a field name may hold.
var token = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return
}()

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !token[s[i]] {
			return false
		}
	}
	return s != ""
}

// hasControl says whether a field's value holds a control character other
// than a tab.
func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

// found says what of a header need not be looked for.
type found struct {
	repeated bool // a field is there more than once
	special  bool // there may be one that is about the message or its connection, other than Host
}

// parseFields reads the lines between the first line and the empty one.
func parseFields(text string) (h http.Header, about found, err error) {
	n := strings.Count(text, "\n")
	if n > maxFields {
		return nil, about, &BadHead{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("more than %d header fields: send fewer", maxFields)}
	}
	h = make(http.Header, n)
	values := make([]string, n) // one array for all: most fields have one value
	rest := text
	for i := range values {
		f, after, err := nextField(rest)
		if err != nil {
			return nil, about, err
		}
		values[i], rest = f.value, after
		h[f.name] = values[i : i+1 : i+1]
		about.special = about.special || f.special
	}
	if rest != "" {
		return nil, about, errFieldEnd
	}
	if len(h) < n {
		about.repeated = true
		clear(h)
		for rest = text; rest != ""; {
			f, after, _ := nextField(rest)
			h[f.name], rest = append(h[f.name], f.value), after
		}
	}
	return h, about, nil
}

var errFieldEnd = bad("a header line does not end in CR LF")

// field is one line of a head.
type field struct {
	name, value string
	special     bool // as found has it
}

// nextField reads the first line of text.
func nextField(text string) (f field, rest string, err error) {
	end := strings.IndexByte(text, '\n')
	if end < 1 || text[end-1] != '\r' {
		return f, "", errFieldEnd
	}
	line, rest := text[:end-1], text[end+1:]
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		return f, "", badField(line)
	}
	f.name = line[:colon]
	switch known := kindOf(f.name); {
	case known == unusual:
		if !isToken(f.name) { // folded lines and space before the colon among them
			return f, "", badField(line)
		}
		f.name, f.special = textproto.CanonicalMIMEHeaderKey(f.name), true
	case known == special:
		f.special = true
	}
	value := line[colon+1:]
	for value != "" && isBlank(value[0]) {
		value = value[1:]
	}
	for value != "" && isBlank(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	if hasControl(value) {
		return f, "", bad("header %s holds a control character: leave it out", f.name)
	}
	f.value = value
	return f, rest, nil
}

func badField(line string) error {
	return bad("header line %.64q is malformed: write Name: value", line)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// kind is what is known of a field by its name.
type kind int

const (
	unusual kind = iota // nothing
	plain               // it is about neither the message nor its connection
	special             // it is
)

// kindOf knows the names that nearly all heads of docker and the Engine are made
// of, as they spell them. These need neither be checked nor respelled, which is
// most of what a field costs.
func kindOf(name string) kind {
	switch name {
	case "Host", "User-Agent", "Accept", "Accept-Encoding", "Authorization", "X-Registry-Auth", "Content-Type",
		"Date", "Server", "Cache-Control", "Pragma", "Api-Version", "Builder-Version", "Docker-Experimental", "Ostype", "Swarm":
		return plain
	case "Content-Length", "Transfer-Encoding", "Connection", "Upgrade":
		return special
	}
	return unusual
}

// framing is how a message's body ends and whether another may follow.
type framing struct {
	length  int64 // -1: none given
	chunked bool
	close   bool
	special bool // as found has it
}

// once are the fields that must not be repeated: two readers could each take
// another one.
var once = []string{"Host", "Content-Type", "Authorization", "Expect", "Upgrade", "Content-Encoding"}

// readFraming takes the framing fields out of a request's or an answer's
// header.
func readFraming(h http.Header, about found, minor int) (framing, error) {
	f := framing{length: -1, close: minor == 0, special: about.special}
	if !about.special {
		return f, nil
	}
	if te := h["Transfer-Encoding"]; te != nil {
		if len(te) > 1 || !strings.EqualFold(te[0], "chunked") {
			return f, &BadHead{http.StatusNotImplemented, fmt.Sprintf("Transfer-Encoding %.64q is not known: send chunked", te)}
		}
		if h["Content-Length"] != nil {
			return f, bad("Content-Length and Transfer-Encoding both: send one of them")
		}
		if minor == 0 {
			return f, bad("Transfer-Encoding in HTTP/1.0: send Content-Length")
		}
		f.chunked = true
		delete(h, "Transfer-Encoding")
	}
	if cl := h["Content-Length"]; cl != nil {
		if len(cl) > 1 {
			return f, bad("Content-Length is written twice: write it once")
		}
		n, err := strconv.ParseUint(cl[0], 10, 63)
		if err != nil {
			return f, bad("Content-Length %.64q is no length: write decimal digits", cl[0])
		}
		f.length = int64(n)
	}
	if v := h["Connection"]; v != nil {
		f.close = names(v, "close") || minor == 0 && !names(v, "keep-alive")
	}
	return f, nil
}

// names says whether a comma-separated list holds a token.
func names(list []string, token string) bool {
	for _, v := range list {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}

// ParseRequest reads the head of a request. It takes less than net/http does
// and nothing in another way.
func ParseRequest(text string) (*http.Request, error) {
	r := &http.Request{}
	if _, err := parseRequest(r, text); err != nil {
		return nil, err
	}
	return r, nil
}

// parseRequest reads a head into an empty request.
func parseRequest(r *http.Request, text string) (framing, error) {
	line, rest, _ := strings.Cut(text, "\r\n")
	method, after, _ := strings.Cut(line, " ")
	target, proto, ok := strings.Cut(after, " ")
	minor := 1
	switch {
	case !ok || !isToken(method) || target == "":
		return framing{}, bad("request line %.128q is malformed: write METHOD /path HTTP/1.1", line)
	case proto == "HTTP/1.0":
		minor = 0
	case proto != "HTTP/1.1":
		return framing{}, &BadHead{http.StatusHTTPVersionNotSupported, fmt.Sprintf("%.16q is not spoken here: send HTTP/1.1", proto)}
	}
	for i := 0; i < len(target); i++ {
		if target[i] <= ' ' || target[i] == 0x7f {
			return framing{}, bad("the request target holds a control character: percent-encode it")
		}
	}
	u, err := parseTarget(target)
	if err != nil || u.Path == "" || method == http.MethodConnect || target == "*" && method != http.MethodOptions {
		return framing{}, bad("request target %.128q is malformed: write a path", target)
	}
	h, about, err := parseFields(strings.TrimSuffix(rest, "\r\n"))
	if err != nil {
		return framing{}, err
	}
	for _, key := range once {
		if about.repeated && len(h[key]) > 1 {
			return framing{}, bad("%s is written twice: write it once", key)
		}
	}
	f, err := readFraming(h, about, minor)
	if err != nil {
		return f, err
	}
	host := ""
	if v := h["Host"]; v != nil {
		host = v[0]
		delete(h, "Host")
	} else if minor == 1 {
		return f, bad("no Host header: send one")
	}
	if u.Host != "" {
		host = u.Host
	}
	*r = http.Request{
		Method: method, URL: u, RequestURI: target, Host: host, Header: h,
		Proto: proto, ProtoMajor: 1, ProtoMinor: minor, Close: f.close,
		ContentLength: max(f.length, 0), Body: http.NoBody,
	}
	if f.chunked {
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	}
	return f, nil
}

// parseTarget is url.ParseRequestURI, of which a plain path needs little.
func parseTarget(target string) (*url.URL, error) {
	end := 0
	for end < len(target) && plainPath[target[end]] {
		end++
	}
	if target[0] != '/' || end < len(target) && target[end] != '?' {
		return url.ParseRequestURI(target)
	}
	u := &url.URL{Path: target[:end]}
	if end < len(target) {
		u.RawQuery = target[end+1:]
		u.ForceQuery = u.RawQuery == ""
	}
	return u, nil
}

// plainPath marks the bytes of a path that are never written otherwise.
var plainPath = func() (p [256]bool) {
	for _, c := range "/-_.~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		p[c] = true
	}
	return
}()

var errAnswer = errors.New("the answer is no HTTP/1.1")

// parseResponse reads the head of an answer into a response.
func parseResponse(resp *http.Response, text string) (framing, error) {
	line, rest, _ := strings.Cut(text, "\r\n")
	proto, status, ok := strings.Cut(line, " ")
	minor := 1
	if proto == "HTTP/1.0" {
		minor = 0
	} else if proto != "HTTP/1.1" {
		ok = false
	}
	digits, _, _ := strings.Cut(status, " ")
	code, err := strconv.Atoi(digits)
	if !ok || err != nil || len(digits) != 3 || code < 100 || hasControl(status) {
		return framing{}, fmt.Errorf("%w: it begins with %.64q", errAnswer, line)
	}
	h, about, err := parseFields(strings.TrimSuffix(rest, "\r\n"))
	if err != nil {
		return framing{}, fmt.Errorf("%w: %w", errAnswer, err)
	}
	f, err := readFraming(h, about, minor)
	if err != nil {
		return f, fmt.Errorf("%w: %w", errAnswer, err)
	}
	*resp = http.Response{
		Status: status, StatusCode: code, Proto: proto, ProtoMajor: 1, ProtoMinor: minor,
		Header: h, ContentLength: f.length, Close: f.close,
	}
	return f, nil
}
