package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestRequestHeads holds what is refused, each with the status that says so,
// beside what looks like it and is right.
func TestRequestHeads(t *testing.T) {
	many := strings.Repeat("X-A: b\r\n", maxFields+1)
	tests := []struct {
		name   string
		head   string // without the empty line
		status int    // 0: accepted
	}{
		{"plain", "GET /_ping HTTP/1.1\r\nHost: docker\r\n", 0},
		{"empty host", "GET /_ping HTTP/1.1\r\nHost:\r\n", 0},
		{"socket path as host", "GET /_ping HTTP/1.1\r\nHost: /var/run/docker.sock\r\n", 0},
		{"1.0 without host", "GET /_ping HTTP/1.0\r\n", 0},
		{"absolute form", "GET http://docker/_ping HTTP/1.1\r\nHost: x\r\n", 0},
		{"options of all", "OPTIONS * HTTP/1.1\r\nHost: x\r\n", 0},
		{"tab in value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\tc\r\n", 0},
		{"length written once", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n", 0},
		{"chunked in capitals", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n", 0},
		{"repeated harmless field", "GET / HTTP/1.1\r\nHost: x\r\nX-Meta-A: 1\r\nX-Meta-A: 2\r\n", 0},

		{"empty line first", "\r\nGET / HTTP/1.1\r\nHost: x\r\n", 400},
		{"no target", "GET HTTP/1.1\r\nHost: x\r\n", 400},
		{"no protocol", "GET /\r\nHost: x\r\n", 400},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n", 400},
		{"space in target", "GET /a b HTTP/1.1\r\nHost: x\r\n", 505},
		{"space before method", " GET / HTTP/1.1\r\nHost: x\r\n", 400},
		{"tab for space", "GET\t/ HTTP/1.1\r\nHost: x\r\n", 400},
		{"space behind protocol", "GET / HTTP/1.1 \r\nHost: x\r\n", 505},
		{"method no token", "G(T / HTTP/1.1\r\nHost: x\r\n", 400},
		{"control character in target", "GET /\x01 HTTP/1.1\r\nHost: x\r\n", 400},
		{"NUL in target", "GET /\x00 HTTP/1.1\r\nHost: x\r\n", 400},
		{"carriage return in target", "GET /\r HTTP/1.1\r\nHost: x\r\n", 400},
		{"relative target", "GET _ping HTTP/1.1\r\nHost: x\r\n", 400},
		{"bad escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n", 400},
		{"absolute form without path", "GET http://docker HTTP/1.1\r\nHost: x\r\n", 400},
		{"opaque", "GET mailto:a HTTP/1.1\r\nHost: x\r\n", 400},
		{"connect", "CONNECT docker:80 HTTP/1.1\r\nHost: x\r\n", 400},
		{"star of another method", "GET * HTTP/1.1\r\nHost: x\r\n", 400},
		{"h2c preface", "PRI * HTTP/2.0\r\n", 505},
		{"HTTP/0.9", "GET / HTTP/0.9\r\n", 505},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n", 505},
		{"lower-case protocol", "GET / http/1.1\r\nHost: x\r\n", 505},

		{"LF in request line", "GET / HTTP/1.1\nHost: x\r\n", 505},
		{"LF in field", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n", 400},
		{"CR in field", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n", 400},
		{"folded field", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n", 400},
		{"first field folded", "GET / HTTP/1.1\r\n Host: x\r\nHost: x\r\n", 400},
		{"space before colon", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n", 400},
		{"tab before colon", "GET / HTTP/1.1\r\nHost: x\r\nA\t: 3\r\n", 400},
		{"no colon", "GET / HTTP/1.1\r\nHost: x\r\nA\r\n", 400},
		{"no name", "GET / HTTP/1.1\r\nHost: x\r\n: a\r\n", 400},
		{"name no token", "GET / HTTP/1.1\r\nHost: x\r\nA(: a\r\n", 400},
		{"name beyond ASCII", "GET / HTTP/1.1\r\nHost: x\r\nÄ: a\r\n", 400},
		{"NUL in value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n", 400},
		{"DEL in value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x7f\r\n", 400},
		{"too many fields", "GET / HTTP/1.1\r\nHost: x\r\n" + many, 431},

		{"no host", "GET / HTTP/1.1\r\n", 400},
		{"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n", 400},
		{"two content types", "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\ncontent-type: application/json\r\n", 400},
		{"two authorizations", "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n", 400},
		{"two upgrades", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nUpgrade: h2c\r\n", 400},
		{"two expects", "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n", 400},

		{"length and chunked", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n", 400},
		{"two equal lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n", 400},
		{"length list", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n", 400},
		{"length with sign", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n", 400},
		{"negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n", 400},
		{"hexadecimal length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n", 400},
		{"length with underscore", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n", 400},
		{"empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n", 400},
		{"length beyond 63 bits", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775808\r\n", 400},
		{"encoding other than chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n", 501},
		{"encoding list", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n", 501},
		{"encoding twice", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501},
		{"encoding with vertical tab", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n", 400},
		{"encoding identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n", 501},
		{"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseRequest(test.head + "\r\n")
			var refused *BadHead
			switch {
			case test.status == 0 && err != nil:
				t.Errorf("refused: %v", err)
			case test.status != 0 && (!errors.As(err, &refused) || refused.Status != test.status || refused.Reason == ""):
				t.Errorf("got %v, want %d", err, test.status)
			}
		})
	}
}

func TestRequestMeaning(t *testing.T) {
	r, err := ParseRequest("POST http://other:1/v1.41/a%2Fb?q=1 HTTP/1.1\r\nHost: docker\r\nx-meta-a: 1\r\nX-Meta-A:\t 2 \r\nContent-Length: 05\r\nConnection: x, Close\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != "POST" || r.URL.Path != "/v1.41/a/b" || r.URL.RawQuery != "q=1" || r.Host != "other:1" || r.ContentLength != 5 || !r.Close ||
		!reflect.DeepEqual(r.Header["X-Meta-A"], []string{"1", "2"}) || r.Header["Host"] != nil {
		t.Errorf("%+v", r)
	}
	for head, close := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                                  false,
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n": true,
		"GET / HTTP/1.0\r\n\r\n":                                             true,
		"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n":                   false,
		"GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n":            true,
	} {
		if r, err := ParseRequest(head); err != nil || r.Close != close {
			t.Errorf("%q: close %v, %v", head, !close, err)
		}
	}
}

func TestAnswerHeads(t *testing.T) {
	tests := []struct {
		name, head string
		status     int // 0: refused
	}{
		{"plain", "HTTP/1.1 200 OK\r\nA: b\r\n", 200},
		{"no reason", "HTTP/1.1 200\r\n", 200},
		{"long reason", "HTTP/1.1 404 Not Found Here\r\n", 404},
		{"1.0", "HTTP/1.0 200 OK\r\n", 200},
		{"no status", "HTTP/1.1\r\n", 0},
		{"short status", "HTTP/1.1 20 OK\r\n", 0},
		{"signed status", "HTTP/1.1 +20 OK\r\n", 0},
		{"status no number", "HTTP/1.1 2x0 OK\r\n", 0},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n", 0},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n", 0},
		{"LF in reason", "HTTP/1.1 200 OK\nA: b\r\n", 0},
		{"folded field", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n", 0},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 0},
		{"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Response{}
			_, err := parseResponse(r, test.head+"\r\n")
			if test.status == 0 {
				if !errors.Is(err, errAnswer) {
					t.Errorf("got %v", err)
				}
			} else if err != nil || r.StatusCode != test.status {
				t.Errorf("got %v", err)
			}
		})
	}
}

// canned is a connection that gives what it holds, at most step bytes a read,
// and swallows what is written to it.
type canned struct {
	net.Conn
	data []byte
	step int
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.data[:min(c.step, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error)       { return len(p), nil }
func (c *canned) SetReadDeadline(t time.Time) error { return nil }
func (c *canned) SetDeadline(t time.Time) error     { return nil }
func (c *canned) Close() error                      { return nil }

// rest is what nobody has taken of a canned connection.
func rest(c *Conn) []byte {
	return append(bytes.Clone(c.have()), c.Conn.(*canned).data...)
}

// readMessage reads one request as the server does.
func readMessage(data []byte, step int) (r *http.Request, body, left []byte, err error) {
	c := NewConn(&canned{data: data, step: step})
	head, err := c.readHead(nil)
	if err != nil {
		return nil, nil, nil, err
	}
	r = &http.Request{}
	f, err := parseRequest(r, head)
	if err != nil {
		return nil, nil, nil, err
	}
	c.take(len(head))
	if w := newResponse(&serverConn{Conn: c, ctx: context.Background()}, r, f); w.body != nil {
		if body, err = io.ReadAll(w.body); err != nil {
			return nil, nil, nil, err
		}
	}
	return r, body, rest(c), nil
}

// sameHeader compares after undoing what net/http does to headers beyond
// reading them.
func sameHeader(ours, theirs http.Header) bool {
	ours, theirs = ours.Clone(), theirs.Clone()
	if p := ours["Pragma"]; len(p) > 0 && p[0] == "no-cache" && ours["Cache-Control"] == nil {
		delete(theirs, "Cache-Control")
	}
	for _, h := range []http.Header{ours, theirs} {
		delete(h, "Trailer")
	}
	return maps.EqualFunc(ours, theirs, func(a, b []string) bool { return reflect.DeepEqual(a, b) })
}

// FuzzRequest holds that a request that is taken is read as net/http reads it:
// the same method, target, fields, framing and body, and the same bytes left
// for the next request.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1.41/containers/json?all=1&a=%zz HTTP/1.1\r\nHost: docker\r\nConnection: keep-alive, close\r\n\r\nGET /2",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;e=1\r\nabc\r\n0\r\nX: 1\r\n\r\nrest",
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n00a\r\n0123456789\r\n0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://a/b HTTP/1.0\r\nPragma: no-cache\r\nConnection: close, keep-alive\r\n\r\n",
		"GET //a/../b HTTP/1.1\r\nHost: x\r\nA: b\r\nA:\tc \r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\nA: b\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, body, left, err := readMessage(data, len(data))
		if r2, body2, left2, err2 := readMessage(data, 1); (err == nil) != (err2 == nil) ||
			err == nil && (!reflect.DeepEqual(r.Header, r2.Header) || !bytes.Equal(body, body2) || !bytes.Equal(left, left2)) {
			t.Fatalf("read byte by byte it is another request: %v, %v", err, err2)
		}
		if err != nil {
			return
		}
		buffered := bufio.NewReaderSize(bytes.NewReader(data), len(data)+maxChunkLine)
		n, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		theirs, err := io.ReadAll(n.Body)
		if err != nil {
			t.Fatalf("net/http refuses the body: %v", err)
		}
		ours := fmt.Sprint(r.Method, r.RequestURI, r.URL, r.URL.Path, r.Host, r.Proto, r.ProtoMinor, r.Close, r.ContentLength, r.TransferEncoding)
		if want := fmt.Sprint(n.Method, n.RequestURI, n.URL, n.URL.Path, n.Host, n.Proto, n.ProtoMinor, n.Close, n.ContentLength, n.TransferEncoding); ours != want {
			t.Errorf("read  %s\nit is %s", ours, want)
		}
		if !sameHeader(r.Header, n.Header) {
			t.Errorf("fields %q, they are %q", r.Header, n.Header)
		}
		if !bytes.Equal(body, theirs) {
			t.Errorf("body %q, it is %q", body, theirs)
		}
		if after, _ := io.ReadAll(buffered); !bytes.Equal(left, after) {
			t.Errorf("left %q, it is %q", left, after)
		}
	})
}

// FuzzResponse holds the same of answers.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nto the end",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 404\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, head bool) {
		r := &http.Request{Method: http.MethodGet}
		if head {
			r.Method = http.MethodHead
		}
		c := NewConn(&canned{data: data, step: len(data)})
		a := &Answer{c: c, ctx: context.Background()}
		if a.read(r, false) != nil {
			return
		}
		body, err := io.ReadAll(a.Response.Body)
		if err != nil {
			return
		}
		buffered := bufio.NewReaderSize(bytes.NewReader(data), len(data)+maxChunkLine)
		n, err := http.ReadResponse(buffered, r)
		for err == nil && n.StatusCode < 200 {
			n, err = http.ReadResponse(buffered, r)
		}
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		theirs, err := io.ReadAll(n.Body)
		if err != nil {
			t.Fatalf("net/http refuses the body: %v", err)
		}
		if a.StatusCode != n.StatusCode || a.Status != n.Status || !sameHeader(a.Header, n.Header) || !bytes.Equal(body, theirs) {
			t.Errorf("read  %q %q %q\nit is %q %q %q", a.Status, a.Header, body, n.Status, n.Header, theirs)
		}
		if after, _ := io.ReadAll(buffered); a.keep && !bytes.Equal(rest(c), after) {
			t.Errorf("left %q, it is %q", rest(c), after)
		}
	})
}

// TestNames: names are spelled as net/http does however they come, and those
// that are about the message are seen in every spelling.
func TestNames(t *testing.T) {
	for _, name := range []string{
		"Host", "User-Agent", "Accept", "Accept-Encoding", "Authorization", "X-Registry-Auth", "Content-Type", "Date", "Server",
		"Cache-Control", "Pragma", "Api-Version", "Builder-Version", "Docker-Experimental", "Ostype", "Swarm",
		"Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Expect", "Trailer", "Keep-Alive", "X-Other", "ETag",
	} {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			h, about, err := parseFields(spelled + ": 1\r\n")
			if want := textproto.CanonicalMIMEHeaderKey(name); err != nil || len(h) != 1 || len(h[want]) != 1 || h[want][0] != "1" {
				t.Errorf("%s: got %v, %v", spelled, h, err)
			}
			framing := "Content-Length Transfer-Encoding Connection Upgrade Expect Trailer Keep-Alive"
			if strings.Contains(framing, name) && !about.special {
				t.Errorf("%s would not be looked for", spelled)
			}
		}
	}
	h, about, err := parseFields("A: 1\r\nb: 2\r\na:\t3 \r\nB:\r\nA: 4\r\n")
	if got := fmt.Sprintf("%q", h); err != nil || !about.repeated || got != `map["A":["1" "3" "4"] "B":["2" ""]]` {
		t.Errorf("got %s, %v, %v", got, about, err)
	}
}
