package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moorgate/proxy/enginetest"
)

// TestFullDuplex: build and import answer while their bodies are read.
func TestFullDuplex(t *testing.T) {
	for _, line := range []string{"POST /v1.41/build?t=x", "POST /v1.41/images/create?fromSrc=-"} {
		t.Run(line, func(t *testing.T) {
			d := open(t, "unix")
			c := d.dial(t).send(line, "Content-Type: application/x-tar", "Transfer-Encoding: chunked")
			body := c.head().Body
			expect := func(want string) {
				t.Helper()
				got := make([]byte, len(want))
				if _, err := io.ReadFull(body, got); err != nil || string(got) != want {
					t.Errorf("got %q, want %q, %v", got, want, err)
				}
			}
			expect(`{"status":"begun"}` + "\n")
			for _, piece := range []string{"a", "bcd"} {
				c.write(fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece))
				expect(fmt.Sprintf(`{"status":"read","progressDetail":{"current":%d}}`+"\n", len(piece)))
			}
			c.write("0\r\n\r\n")
			if rest, err := io.ReadAll(body); err != nil || string(rest) != `{"status":"done"}`+"\n" {
				t.Errorf("got %q, %v", rest, err)
			}
			if r := d.one(t); string(r.Body) != "abcd" || !r.BodyDone {
				t.Errorf("the Engine got %q, done %v", r.Body, r.BodyDone)
			}
			if resp, _ := c.send("GET /_ping").answer(); resp.StatusCode != 200 || d.fake.Accepted() != 1 {
				t.Errorf("afterwards %s, by %d connections", resp.Status, d.fake.Accepted())
			}
		})
	}
}

// TestLargeUploads arrive byte for byte, chunked and with a length.
func TestLargeUploads(t *testing.T) {
	const n = 8 << 20
	sum := sha256.New()
	io.Copy(sum, enginetest.Content(n))
	for _, length := range []int64{n, -1} {
		d := open(t, "unix")
		r, _ := http.NewRequest("POST", "http://docker/v1.41/images/load", io.NopCloser(enginetest.Content(n)))
		r.ContentLength = length
		c := d.dial(t)
		go r.Write(c)
		if resp, body := c.answer(); resp.StatusCode != 200 || !strings.Contains(body, fmt.Sprintf("Loaded %d bytes", n)) {
			t.Errorf("got %s %q", resp.Status, body)
		}
		if got := d.one(t); !bytes.Equal(got.BodySum[:], sum.Sum(nil)) || !got.BodyDone {
			t.Errorf("length %d: the Engine got %d other bytes", length, got.BodySize)
		}
	}
}

// TestExpect: the caller is asked for the body when it is wanted, by moorgate.
func TestExpect(t *testing.T) {
	d := open(t, "unix")
	c := d.dial(t).send("POST /v1.41/images/load", "Expect: 100-continue", "Content-Length: 3")
	if resp := c.head("POST"); resp.StatusCode != 100 {
		t.Fatalf("got %s", resp.Status)
	}
	c.write("tar")
	if resp, body := c.answer("POST"); resp.StatusCode != 200 || !strings.Contains(body, "Loaded 3 bytes") {
		t.Errorf("got %s %q", resp.Status, body)
	}
	// What is refused is refused at once; the body never comes.
	c.send("POST /v1.41/nothing", "Expect: 100-continue", "Content-Length: 3")
	if resp, _ := c.answer("POST"); resp.StatusCode != 404 || !resp.Close {
		t.Errorf("got %s, close %v", resp.Status, resp.Close)
	}
	c.expectEnd()
}

// TestEarlyError: a refusal in the middle of an upload reaches a caller who is
// still sending, whole, and the Engine is let go.
func TestEarlyError(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for _, size := range []int{64 << 10, 16 << 20} {
			t.Run(fmt.Sprint(network, size), func(t *testing.T) {
				d := open(t, network)
				c := d.dial(t)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					io.WriteString(c, "POST /v1.41/images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
					chunk := fmt.Sprintf("8000\r\n%s\r\n", strings.Repeat("x", 32<<10))
					for range size / (32 << 10) {
						if _, err := io.WriteString(c, chunk); err != nil {
							return
						}
					}
				}()
				if resp, body := c.answer("POST"); resp.StatusCode != 400 || body != `{"message":"enginetest: not an archive"}`+"\n" {
					t.Errorf("got %s %q", resp.Status, body)
				}
				<-sent
				d.fake.WaitLive(t, 0)
			})
		}
	}
}

// TestCutUpload: what the caller breaks off, the Engine does not take for the
// whole.
func TestCutUpload(t *testing.T) {
	for _, field := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		for _, leave := range []string{"closes", "half-closes"} {
			t.Run(field+" "+leave, func(t *testing.T) {
				d := open(t, "unix")
				c := d.dial(t).send("POST /v1.41/images/load", field)
				c.write("5\r\ntar..\r\n")
				eventually(t, "the Engine gets some", func() bool {
					all := d.fake.Requests()
					return len(all) == 1 && all[0].BodySize >= 5
				})
				if leave == "closes" {
					c.Close()
				} else {
					c.halfClose()
					if resp, body := c.answer("POST"); resp.StatusCode != 400 || !strings.Contains(body, "request body ended early") {
						t.Errorf("got %s %q", resp.Status, body)
					}
				}
				d.fake.WaitLive(t, 0)
				if d.one(t).BodyDone {
					t.Error("it ended well")
				}
			})
		}
	}
}

// TestUploadToADyingEngine: the caller hears of it, and at once.
func TestUploadToADyingEngine(t *testing.T) {
	d := open(t, "unix")
	d.fake.On("POST /images/load", func(c *enginetest.Conn) {
		io.ReadFull(c.Body(), make([]byte, 3))
		c.Hangup()
	})
	c := d.dial(t).send("POST /v1.41/images/load", "Transfer-Encoding: chunked", "3\r\ntar\r\n")
	began := time.Now()
	if resp, body := c.answer("POST"); resp.StatusCode != 502 || !strings.Contains(body, "engine local at unix://") {
		t.Errorf("got %s %q", resp.Status, body)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}
