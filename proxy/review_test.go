package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
	"moorgate/router"
)

// reviewed is a door whose answers are reviewed.
func reviewed(t testing.TB, review Review) *door {
	t.Helper()
	fake := enginetest.Start(t)
	e, err := NewEngine("local", EngineConfig{Address: fake.Address})
	if err != nil {
		t.Fatal(err)
	}
	return openTo(t, "unix", fake, e, review)
}

// TestReview: who may not see an answer gets none of it; hijacks are not
// asked about.
func TestReview(t *testing.T) {
	var seen []string
	d := reviewed(t, func(_ context.Context, c *router.Call, resp *http.Response) error {
		seen = append(seen, c.Action)
		switch c.Action {
		case "container.inspect", "container.logs":
			return &router.Error{Status: 404, Message: "No such container: x"}
		}
		return nil
	})
	c := d.dial(t)
	for _, line := range []string{"GET /v1.41/containers/x/json", "GET /v1.41/containers/x/logs?follow=1&stdout=1"} {
		if resp, body := c.send(line).answer(); resp.StatusCode != 404 || body != `{"message":"No such container: x"}`+"\n" || resp.Header.Get("Server") != "" {
			t.Errorf("got %s %q", resp.Status, body)
		}
	}
	if resp, body := c.send("GET /v1.41/containers/json").answer(); resp.StatusCode != 200 || body != enginetest.List {
		t.Errorf("got %s, %d bytes", resp.Status, len(body))
	}
	c.send("GET /v1.41/events?until=1").answer()
	c = d.attach(t, "1.41", "echo", upgrade, "Upgrade: tcp")
	c.rawHead()
	c.write("ping")
	c.expect("ping")
	if got := strings.Join(seen, " "); got != "container.inspect container.logs container.list system.events" {
		t.Errorf("reviewed %s", got)
	}
}

// lines lets through the lines of old that keep says.
type lines struct {
	old    io.ReadCloser
	keep   func(line string) bool
	have   []byte
	closed *int
}

func (l *lines) Read(p []byte) (int, error) {
	for {
		if i := bytes.IndexByte(l.have, '\n'); i >= 0 {
			line := l.have[:i+1]
			l.have = l.have[i+1:]
			if l.keep(string(line)) {
				return copy(p, line), nil
			}
			continue
		}
		n, err := l.old.Read(p)
		l.have = append(l.have, p[:n]...)
		if n == 0 && err != nil {
			return 0, err
		}
	}
}

func (l *lines) Close() error {
	*l.closed++
	return nil
}

// TestReviewedStream: a reader in the body's place gives each event when it
// happens, the head before there is one, and its end is the stream's own.
func TestReviewedStream(t *testing.T) {
	closed := 0
	d := reviewed(t, func(_ context.Context, _ *router.Call, resp *http.Response) error {
		resp.Body = &lines{old: resp.Body, keep: func(l string) bool { return strings.Contains(l, "mine") }, closed: &closed}
		return nil
	})
	step := make(chan string)
	d.fake.On("GET /events", func(c *enginetest.Conn) {
		c.StartChunks("application/json")
		for s := range step {
			c.Chunk(s)
		}
		c.EndChunks()
	})
	c := d.dial(t).send("GET /v1.41/events")
	resp := c.head()
	if resp.StatusCode != 200 || resp.TransferEncoding == nil {
		t.Errorf("got %s %q", resp.Status, resp.TransferEncoding)
	}
	for _, pieces := range [][]string{{"mine 1\n"}, {"theirs 2\nmi", "ne 3\nthei", "rs 4\nmine 5\n"}, {"theirs 6\n", "mine 7\n"}} {
		want := ""
		for _, line := range strings.SplitAfter(strings.Join(pieces, ""), "\n") {
			if strings.Contains(line, "mine") {
				want += line
			}
		}
		for _, p := range pieces {
			step <- p
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
			t.Errorf("got %q, want %q, %v", got, want, err)
		}
	}
	close(step)
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if resp, _ := c.send("POST /v1.41/containers/x/start").answer("POST"); resp.StatusCode != 204 {
		t.Errorf("afterwards %s", resp.Status)
	}
	if closed != 2 || d.fake.Accepted() != 1 { // the 204's too
		t.Errorf("closed %d times, %d connections to the Engine", closed, d.fake.Accepted())
	}
}

// TestReviewedStreamEnds: with the caller, with Revoke, and never well where
// the Engine or the reviewer breaks it off.
func TestReviewedStreamEnds(t *testing.T) {
	broken, closed := errors.New("a line that is no event"), 0
	d := reviewed(t, func(_ context.Context, _ *router.Call, resp *http.Response) error {
		resp.Body = &lines{old: resp.Body, keep: func(string) bool { return true }, closed: &closed}
		if resp.Request.URL.RawQuery == "since=1" {
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(strings.NewReader("first"), failing{broken}), resp.Body}
		}
		return nil
	})
	c := d.dial(t).send("GET /v1.41/events")
	c.head()
	d.fake.WaitRequests(t, 1)
	c.Close()
	d.fake.WaitLive(t, 0)

	for _, wait := range []time.Duration{0, 20 * time.Millisecond} {
		resp := d.dial(t).send("GET /v1.41/events").head()
		time.Sleep(wait)
		if n := d.Revoke("over", func(context.Context, *router.Call) bool { return false }); n != 1 {
			t.Errorf("%d cut", n)
		}
		if _, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF {
			t.Errorf("revoked: %v", err)
		}
		d.fake.WaitLive(t, 0)
	}
	for _, path := range []string{"events?since=1", "containers/truncated-1m/export"} {
		resp := d.dial(t).send("GET /v1.41/" + path).head()
		if b, err := io.ReadAll(resp.Body); err != io.ErrUnexpectedEOF || len(b) == 0 {
			t.Errorf("%s: %d bytes, then %v", path, len(b), err)
		}
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// TestReviewedAnswers: a finite answer that was replaced, whatever its length
// was said to be, is framed anew, with the Engine's status, fields and
// trailers; the connection to the Engine is kept.
func TestReviewedAnswers(t *testing.T) {
	long := strings.Repeat("long ", 20<<10)
	for _, test := range []struct {
		path, method, with string
		length             string // announced
		trailer            string
	}{
		{"containers/json", "GET", "[]", "2", ""},
		{"containers/json", "GET", "", "0", ""},
		{"containers/json", "GET", long, "", ""},
		{"containers/x/json", "GET", long, "", ""}, // was of a length
		{"containers/x/json", "GET", "{}", "2", ""},
		{"containers/trailers/json", "GET", "{}", "", "12345"},
		{"containers/x/archive?path=/etc", "HEAD", "", "", ""},
		{"containers/missing/json", "GET", `{"message":"gone"}`, "18", ""},
	} {
		var status int
		d := reviewed(t, func(_ context.Context, _ *router.Call, resp *http.Response) error {
			status = resp.StatusCode
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return err
			}
			resp.Body = io.NopCloser(strings.NewReader(test.with))
			resp.Header.Set("X-Cut", "yes")
			return nil
		})
		c := d.dial(t)
		for range 2 {
			resp, body := c.send(test.method + " /v1.41/" + test.path).answer(test.method)
			length := resp.Header.Get("Content-Length")
			if body != test.with || length != test.length || resp.StatusCode != status || resp.Header.Get("X-Cut") != "yes" || resp.Trailer.Get("X-Sum") != test.trailer {
				t.Errorf("%s with %.9q: got %s, length %q, trailer %q, %.100q", test.path, test.with, resp.Status, length, resp.Trailer, body)
			}
		}
		if d.fake.Accepted() != 1 {
			t.Errorf("%s: %d connections to the Engine", test.path, d.fake.Accepted())
		}
	}
}

// TestReviewedOldClient: one that knows no chunks gets what was replaced too.
func TestReviewedOldClient(t *testing.T) {
	d := reviewed(t, func(_ context.Context, _ *router.Call, resp *http.Response) error {
		resp.Body = io.NopCloser(io.LimitReader(resp.Body, 40<<10))
		return nil
	})
	c := d.dial(t)
	c.write("GET /v1.41/containers/json HTTP/1.0\r\n\r\n")
	if resp, body := c.answer(); resp.TransferEncoding != nil || body != enginetest.List[:40<<10] {
		t.Errorf("got %q, %d bytes", resp.TransferEncoding, len(body))
	}
	c.expectEnd()
}
