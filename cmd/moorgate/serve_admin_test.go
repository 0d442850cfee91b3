package main

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"moorgate/proxy/enginetest"
)

func TestServeAdmin(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, plainConfig, e.Address)
	is := func(target string, status int, body string) {
		t.Helper()
		if a := s.ask("admin.sock", "GET", target); a.StatusCode != status || a.body != body {
			t.Errorf("%s: got %d %.300s, want %d %s", target, a.StatusCode, a.body, status, body)
		}
	}
	is("/healthz", 200, "ok\n")
	is("/readyz", 200, "ready\n")
	for _, target := range []string{"/_ping", "/version", "/v1.41/containers/json", "/engines/local/v1.41/info", "/"} {
		is(target, 404, `{"message":"page not found"}`+"\n")
	}
	if a := s.ask("admin.sock", "POST", "/metrics"); a.StatusCode != 404 {
		t.Errorf("POST /metrics: got %d", a.StatusCode)
	}
	for _, target := range []string{"/healthz", "/readyz", "/metrics"} {
		if a := s.ask("m.sock", "GET", target); a.StatusCode != 404 || a.message() != "page not found" {
			t.Errorf("%s where the API is served: got %d %.300s", target, a.StatusCode, a.body)
		}
	}

	// Stuck: it takes requests and answers pings, but no questions.
	e.On("GET /containers/json", func(c *enginetest.Conn) { c.WaitGone() })
	if a := s.ask("admin.sock", "GET", "/readyz"); a.StatusCode != 503 || !strings.HasPrefix(a.message(), "moorgate: engine local at "+e.Address+": ") || !strings.Contains(a.message(), "deadline") && !strings.Contains(a.message(), "timeout") {
		t.Errorf("while the Engine is stuck: got %d %.300s", a.StatusCode, a.body)
	}
	is("/healthz", 200, "ok\n")
	// Broken: it answers that something is wrong.
	e.On("GET /containers/json", func(c *enginetest.Conn) { c.Error(500, "no space left on device") })
	is("/readyz", 503, fmt.Sprintf(`{"message":"moorgate: engine local at %s: answers 500 Internal Server Error to GET /containers/json"}`+"\n", e.Address))
	// Away, and back.
	e.Close()
	is("/readyz", 503, fmt.Sprintf(`{"message":"moorgate: engine local at %s: dial unix %s: connect: no such file or directory"}`+"\n", e.Address, e.Socket))
	if a := s.ask("m.sock", "GET", "/v1.41/info"); a.StatusCode != 502 || a.message() != "moorgate: engine local at "+e.Address+" is away: start it, or mend its address: no such file or directory" {
		t.Errorf("while the Engine is away: got %d %.300s", a.StatusCode, a.body)
	}
	await(t, "moorgate_engine_up 0", func() bool { return s.metric(`moorgate_engine_up{engine="local"}`) == "0" })
	e.On("GET /containers/json", func(c *enginetest.Conn) { c.JSON(200, "[]") })
	e.Restart(t)
	await(t, "moorgate_engine_up 1", func() bool { return s.metric(`moorgate_engine_up{engine="local"}`) == "1" })
	is("/readyz", 200, "ready\n")
}

// metric is the value of one series; "" where there is none.
func (s *server) metric(series string) string {
	s.t.Helper()
	for line := range strings.Lines(s.ask("admin.sock", "GET", "/metrics").body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

func TestServeMetrics(t *testing.T) {
	t.Parallel()
	e := enginetest.Start(t)
	s := start(t, strings.Replace(plainConfig, "roles: [admin] }", "roles: [admin] }, nobody: { tokens: [\""+tokenSum("nobody")+"\"] }", 1)+"\n",
		e.Address)
	for range 3 {
		s.ask("m.sock", "GET", "/v1.41/containers/json")
	}
	s.ask("m.sock", "GET", "/nowhere")
	c := s.dial("m.sock")
	fmt.Fprint(c, "POST /v1.41/containers/echo/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 101 ") {
		t.Fatalf("attach: %q, %v", line, err)
	}
	for series, want := range map[string]string{
		`moorgate_requests_total{action="container.list",code="200",decision="allow"}`: "3",
		`moorgate_requests_total{action="unknown",code="404",decision="deny"}`:         "1",
		`moorgate_request_seconds_count{action="container.list"}`:                      "3",
		`moorgate_request_seconds_bucket{action="container.list",le="+Inf"}`:           "3",
		`moorgate_denied_total{action="unknown",rule="unknown"}`:                       "1",
		`moorgate_streams{kind="hijack"}`:                                              "1",
		`moorgate_engine_up{engine="local"}`:                                           "1",
	} {
		if got := s.metric(series); got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	for _, series := range []string{"go_goroutines", "process_open_fds", "process_resident_memory_bytes"} {
		if s.metric(series) == "" {
			t.Errorf("%s is missing", series)
		}
	}
	c.Close()
	await(t, "no live stream", func() bool { return s.metric(`moorgate_streams{kind="hijack"}`) == "0" })
}
