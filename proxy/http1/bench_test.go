package http1

import (
	"io"
	"maps"
	"net/http"
	"testing"
)

// pingHead is an Engine's answer to a ping.
const pingHead = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nCache-Control: no-cache, no-store, must-revalidate\r\nContent-Length: 2\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nDocker-Experimental: false\r\n" +
	"Ostype: linux\r\nPragma: no-cache\r\nServer: Docker/20.10.24 (linux)\r\n\r\n"

const pingRequest = "GET /v1.41/_ping HTTP/1.1\r\nHost: api.moby.localhost\r\nUser-Agent: Docker-Client/28.5.2 (linux)\r\n\r\n"

// BenchmarkPing is a short request through server and transport, with nothing
// between them.
func BenchmarkPing(b *testing.B) {
	far := newFar(b, "unix")
	go func() {
		c, err := far.l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			io.WriteString(c, pingHead+"OK")
		}
	}()
	s := serve(b, "unix", func(w http.ResponseWriter, r *http.Request) {
		a, err := far.Send(r, false, nothing)
		if err != nil {
			b.Error(err)
			return
		}
		defer a.Close()
		maps.Copy(w.Header(), a.Header)
		w.WriteHeader(a.StatusCode)
		if err := a.CopyTo(w, func() error { return nil }); err != nil {
			b.Error(err)
		}
	})
	c := s.dial(b)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(c, pingRequest)
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequestHead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var r http.Request
		if _, err := parseRequest(&r, pingRequest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAnswerHead(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var r http.Response
		if _, err := parseResponse(&r, pingHead); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendFields(b *testing.B) {
	var resp http.Response
	if _, err := parseResponse(&resp, pingHead); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendFields(buf[:0], resp.Header)
	}
}
