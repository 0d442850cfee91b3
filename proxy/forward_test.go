package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

// TestAnswers: what the Engine answers is what the caller reads.
func TestAnswers(t *testing.T) {
	d := open(t, "unix")
	for _, test := range []struct {
		name, line string
		status     int
		body       string // begins it
		field      string // "Name: value"
	}{
		{"ping", "GET /_ping", 200, "OK", "Content-Length: 2"},
		{"HEAD ping keeps its length", "HEAD /_ping", 200, "", "Content-Length: 0"},
		{"version told", "HEAD /_ping", 200, "", "Api-Version: " + enginetest.APIVersion},
		{"HEAD of an archive", "HEAD /v1.41/containers/x/archive?path=/etc", 200, "", "X-Docker-Container-Path-Stat: eyJuYW1lIjoiZXRjIn0="},
		{"list", "GET /v1.41/containers/json?all=1", 200, `[{"Id":"000`, "Content-Type: application/json"},
		{"error", "GET /v1.41/containers/missing/json", 404, `{"message":"No such container: missing"}`, "Server: Docker/28.5.2 (linux)"},
		{"redirect is not followed", "GET /v1.41/containers/redirect/json", 301, "", "Location: /v" + enginetest.APIVersion + "/containers/x/json"},
		{"304", "GET /v1.41/containers/notmodified/json", 304, "", "Content-Type: application/json"},
		{"304 of a start", "POST /v1.41/containers/running/start", 304, "", ""},
		{"204", "POST /v1.41/containers/x/start", 204, "", ""},
		{"to the end of the connection", "GET /v1.41/containers/nolength/json", 200, `{"Id":"ccc`, ""},
		{"slow", "GET /v1.41/containers/slow-300ms/json", 200, `{"Id":"ccc`, ""},
		{"slow body", "POST /v1.41/containers/wait-300ms/wait", 200, `{"StatusCode":0}`, "Content-Type: application/json"},
		{"32 KiB head", "GET /v1.41/containers/bighead/json", 200, `{"Id":"ccc`, "X-Fill-31: " + strings.Repeat("f", 1024-len("X-Fill-00: \r\n"))},
		{"length kept", "GET /v1.41/containers/length-100k/export", 200, "", "Content-Length: 102400"},
		{"the Engine's date", "GET /v1.41/info", 200, `{"ID":"enginetest"`, "Date: Wed, 01 Oct 2025 12:00:00 GMT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			method, _, _ := strings.Cut(test.line, " ")
			resp, body := d.dial(t).send(test.line).answer(method)
			name, value, _ := strings.Cut(test.field, ": ")
			if resp.StatusCode != test.status || !strings.HasPrefix(body, test.body) || resp.Header.Get(name) != value && name != "" {
				t.Errorf("got %d %.100q %q", resp.StatusCode, body, resp.Header)
			}
			if name == "Content-Length" && resp.TransferEncoding != nil {
				t.Error("chunked besides")
			}
		})
	}
}

// TestRequestsAsSent: what reaches the Engine, to the byte. Nothing that the
// caller says of itself or of its connection does.
func TestRequestsAsSent(t *testing.T) {
	const host = "Host: docker"
	large := "X-Registry-Config: " + strings.Repeat("c", 32<<10)
	for _, test := range []struct {
		name string
		send []string // first line, fields, body
		want []string
	}{
		{"plain", []string{"GET /v1.41/info"}, []string{"GET /v1.41/info HTTP/1.1", host}},
		{"no compression is asked for", []string{"GET /v1.41/containers/x/archive?path=/"}, []string{"GET /v1.41/containers/x/archive?path=%2F HTTP/1.1", host}},
		{"compression passes", []string{"GET /v1.41/containers/x/archive?path=/", "Accept-Encoding: gzip"}, []string{"GET /v1.41/containers/x/archive?path=%2F HTTP/1.1", "Accept-Encoding: gzip", host}},
		{"empty POST", []string{"POST /v1.41/containers/x/start"}, []string{"POST /v1.41/containers/x/start HTTP/1.1", "Content-Length: 0", host}},
		{"empty chunked POST", []string{"POST /v1.41/containers/x/start", "Transfer-Encoding: chunked", "0\r\n\r\n"}, []string{"POST /v1.41/containers/x/start HTTP/1.1", "Content-Length: 0", host}},
		{"document of a length", []string{"POST /v1.41/containers/create", "Content-Type: application/json", "Content-Length: 19", `{"Image":"busybox"}`}, []string{"POST /v1.41/containers/create HTTP/1.1", "Content-Length: 19", "Content-Type: application/json", host}},
		{"chunked document gets a length", []string{"POST /v1.41/containers/create", "Content-Type: application/json", "Transfer-Encoding: chunked", "13\r\n" + `{"Image":"busybox"}` + "\r\n0\r\nAuthorization: x\r\n\r\n"}, []string{"POST /v1.41/containers/create HTTP/1.1", "Content-Length: 19", "Content-Type: application/json", host}},
		{"length of an archive kept", []string{"PUT /v1.41/containers/x/archive?path=/", "Content-Type: application/x-tar", "Content-Length: 3", "tar"}, []string{"PUT /v1.41/containers/x/archive?path=%2F HTTP/1.1", "Content-Length: 3", "Content-Type: application/x-tar", host}},
		{"chunked archive", []string{"POST /v1.41/images/load", "Transfer-Encoding: chunked", "3\r\ntar\r\n0\r\n\r\n"}, []string{"POST /v1.41/images/load HTTP/1.1", "Content-Type: application/x-tar", host, "Transfer-Encoding: chunked"}},
		{"expectation stays here", []string{"POST /v1.41/images/load", "Expect: 100-continue", "Content-Length: 3", "tar"}, []string{"POST /v1.41/images/load HTTP/1.1", "Content-Length: 3", "Content-Type: application/x-tar", host}},
		{"credentials stay here", []string{"GET /v1.41/info", "Authorization: Bearer a", "Cookie: a=b", "Proxy-Authorization: Basic a", "X-Forwarded-User: root", "Forwarded: for=x"}, []string{"GET /v1.41/info HTTP/1.1", host}},
		{"no field by way of Connection", []string{"GET /v1.41/info", "Connection: Authorization, X-Registry-Auth, keep-alive", "Authorization: Bearer a", "Keep-Alive: timeout=1", "TE: trailers"}, []string{"GET /v1.41/info HTTP/1.1", host}},
		{"upgrade of a plain route", []string{"GET /v1.41/info", "Connection: Upgrade", "Upgrade: tcp"}, []string{"GET /v1.41/info HTTP/1.1", host}},
		{"h2c upgrade of a plain route", []string{"GET /v1.41/info", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}, []string{"GET /v1.41/info HTTP/1.1", host}},
		{"registry credentials", []string{"POST /v1.41/images/create?fromImage=busybox&tag=1", "X-Registry-Auth: e30="}, []string{"POST /v1.41/images/create?fromImage=busybox&tag=1 HTTP/1.1", "Content-Length: 0", host, "X-Registry-Auth: e30="}},
		{"32 KiB of head", []string{"POST /v1.41/build?remote=x", large}, []string{"POST /v1.41/build?remote=x HTTP/1.1", "Content-Length: 0", host, large}},
		{"names with slashes", []string{"GET /v1.41/images/a%2Fb%20c/json"}, []string{"GET /v1.41/images/a/b%20c/json HTTP/1.1", host}},
		{"engine by name", []string{"GET /engines/local/v1.41/info"}, []string{"GET /v1.41/info HTTP/1.1", host}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := open(t, "unix")
			d.dial(t).send(test.send[0], test.send[1:]...).head()
			d.fake.WaitRequests(t, 1) // a 100 Continue may come before
			if got, want := sorted(d.one(t).Head), fmt.Sprintf("%q", test.want); got != want {
				t.Errorf("sent %s\nwant %s", got, want)
			}
		})
	}
}

// TestRefusedHere: what never reaches the Engine.
func TestRefusedHere(t *testing.T) {
	d := open(t, "unix")
	for _, test := range []struct {
		name, text string
		status     int
	}{
		{"h2c preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 505},
		{"two lengths", "POST /v1.41/images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
		{"unknown engine", "GET /engines/east/v1.41/info HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"unknown route", "GET /v1.41/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"websocket that is none", "GET /v1.41/containers/x/attach/ws HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"websocket without key", "GET /v1.41/containers/x/attach/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400},
		{"websocket of another version", "GET /v1.41/containers/x/attach/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n", 400},
		{"websocket of a foreign page", "GET /v1.41/containers/x/attach/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nOrigin: http://evil.example\r\n\r\n", 403},
		{"body where none belongs", "POST /v1.41/containers/x/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"Privileged\":true}", 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := d.dial(t)
			c.write(test.text)
			resp, body := c.answer()
			if resp.StatusCode != test.status || resp.Header.Get("Server") != "" || body == "" {
				t.Errorf("got %s %q %q", resp.Status, resp.Header, body)
			}
		})
	}
	if d.fake.Accepted() != 0 {
		t.Errorf("the Engine got %d connections, %d requests", d.fake.Accepted(), len(d.fake.Requests()))
	}
}

func TestUnknownEngineIsNamed(t *testing.T) {
	_, body := open(t, "unix").dial(t).send("GET /engines/east/_ping").answer()
	if body != `{"message":"moorgate: no engine is called \"east\": leave /engines/NAME out for local, or mend the name"}`+"\n" {
		t.Errorf("got %s", body)
	}
	if _, err := PickFrom(nil)(""); err == nil {
		t.Error("picked from nothing")
	}
}

// TestHeadsBeforeBodies: streams answer before there is anything to say, or
// `docker run` waits for ever; and end upstream when the caller goes.
func TestHeadsBeforeBodies(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for _, line := range []string{
			"GET /v1.41/events", "POST /v1.41/containers/forever/wait", "GET /v1.41/containers/x/logs?follow=1&stdout=1", "GET /v1.41/containers/x/stats",
		} {
			t.Run(network+" "+line, func(t *testing.T) {
				t.Parallel()
				d := open(t, network)
				c := d.dial(t).send(line)
				if resp := c.head(); resp.StatusCode != 200 || resp.TransferEncoding == nil {
					t.Errorf("got %s %q", resp.Status, resp.TransferEncoding)
				}
				d.fake.WaitRequests(t, 1)
				c.Close()
				d.fake.WaitLive(t, 0)
			})
		}
	}
}

// TestGoneBeforeTheHead: a caller who leaves while the Engine thinks takes the
// Engine's connection along.
func TestGoneBeforeTheHead(t *testing.T) {
	d := open(t, "unix")
	d.fake.On("GET /containers/{name}/json", func(c *enginetest.Conn) { c.WaitGone() })
	c := d.dial(t).send("GET /v1.41/containers/x/json")
	d.fake.WaitRequests(t, 1)
	c.Close()
	d.fake.WaitLive(t, 0)
}

// TestHalfClosedCallerWaits: one who has said all, as `nc -N` does, still gets
// the answer.
func TestHalfClosedCallerWaits(t *testing.T) {
	c := open(t, "unix").dial(t).send("GET /v1.41/containers/slow-50ms/json")
	c.halfClose()
	if resp, _ := c.answer(); resp.StatusCode != 200 {
		t.Errorf("got %s", resp.Status)
	}
}

// TestStreamsAreNotHeldBack: each event arrives when it happens.
func TestStreamsAreNotHeldBack(t *testing.T) {
	d := open(t, "unix")
	step := make(chan string)
	d.fake.On("GET /events", func(c *enginetest.Conn) {
		c.StartChunks("application/json")
		for s := range step {
			c.Chunk(s)
		}
		c.EndChunks()
	})
	body := d.dial(t).send("GET /v1.41/events").head().Body
	for _, s := range []string{"one\n", strings.Repeat("b", 100_000), "three\n"} {
		step <- s
		got := make([]byte, len(s))
		if _, err := io.ReadFull(body, got); err != nil || string(got) != s {
			t.Errorf("%.10q: %v", got, err)
		}
	}
	close(step)
	if rest, err := io.ReadAll(body); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestTrailers(t *testing.T) {
	d := open(t, "unix")
	for _, path := range []string{"/v1.41/containers/trailers/json", "/v1.41/containers/trailers-1m/export"} {
		resp, body := d.dial(t).send("GET " + path).answer()
		if resp.Trailer.Get("X-Sum") != "12345" || resp.Header.Get("X-Sum") != "" || body == "" {
			t.Errorf("%s: trailer %q, head %q", path, resp.Trailer, resp.Header)
		}
	}
}

// TestTruncatedStaysTruncated: an answer that the Engine breaks off never
// passes for a whole one.
func TestTruncatedStaysTruncated(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		d := open(t, network)
		for _, path := range []string{"truncated/json", "truncated-1m/export", "truncated-1k/export", "short-1m/export"} {
			for _, proto := range []string{"1.1", "1.0"} {
				if proto == "1.0" && network == "unix" && strings.HasPrefix(path, "truncated-") {
					continue // nothing there could tell: no chunks, no reset
				}
				t.Run(network+" "+path+" "+proto, func(t *testing.T) {
					c := d.dial(t)
					c.write("GET /v1.41/containers/" + path + " HTTP/" + proto + "\r\nHost: x\r\n\r\n")
					resp, err := http.ReadResponse(c.r, nil)
					if err == nil {
						_, err = io.ReadAll(resp.Body)
					}
					if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("got %v", err)
					}
				})
			}
		}
	}
}

func TestOldClients(t *testing.T) {
	d := open(t, "unix")
	c := d.dial(t)
	c.write("GET /_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /v1.41/containers/json HTTP/1.0\r\n\r\n")
	if resp, body := c.answer(); resp.Proto != "HTTP/1.0" || body != "OK" || resp.Header.Get("Connection") != "keep-alive" {
		t.Errorf("got %s %q %q", resp.Proto, resp.Header, body)
	}
	if resp, body := c.answer(); resp.TransferEncoding != nil || body != enginetest.List {
		t.Errorf("got %q, %d bytes", resp.TransferEncoding, len(body))
	}
	c.expectEnd()
}

// TestKeepAliveAndPipelining: requests that come together are answered in
// order, over one connection to the Engine.
func TestKeepAliveAndPipelining(t *testing.T) {
	d := open(t, "tcp")
	c := d.dial(t)
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintf(&text, "POST /v1.41/containers/%d/start HTTP/1.1\r\nHost: x\r\n\r\nGET /v1.41/containers/missing/json HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	go io.WriteString(c, text.String())
	for i := range 30 {
		if resp, _ := c.answer("POST"); resp.StatusCode != 204 {
			t.Fatalf("%d: got %s", i, resp.Status)
		}
		if resp, body := c.answer(); resp.StatusCode != 404 || body == "" {
			t.Fatalf("%d: got %s", i, resp.Status)
		}
	}
	if all := d.fake.Requests(); len(all) != 60 || all[58].Path != "/containers/29/start" || d.fake.Accepted() != 1 {
		t.Errorf("the Engine got %d requests by %d connections", len(all), d.fake.Accepted())
	}
}

// TestSlowStreamsHaveNoEnd: a body may pause for longer than any answer's head
// may take to be noticed, both ways.
func TestSlowStreamsHaveNoEnd(t *testing.T) {
	d := open(t, "unix")
	d.fake.On("GET /events", func(c *enginetest.Conn) {
		c.StartChunks("application/json")
		for range 3 {
			c.Sleep(100 * time.Millisecond)
			c.Chunk("{}\n")
		}
		c.EndChunks()
	})
	if _, body := d.dial(t).send("GET /v1.41/events").answer(); body != "{}\n{}\n{}\n" {
		t.Errorf("got %q", body)
	}
	c := d.dial(t).send("POST /v1.41/images/load", "Content-Length: 3")
	for range 3 {
		time.Sleep(100 * time.Millisecond)
		c.write("t")
	}
	if resp, _ := c.answer(); resp.StatusCode != 200 {
		t.Errorf("got %s", resp.Status)
	}
}
