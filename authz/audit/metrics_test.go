package audit

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// scrape gives the lines that Prometheus reads, those that begin so.
func scrape(m *Metrics, prefix string) (lines []string) {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// TestMetricsFromTheStart: what can be known beforehand is there at 0.
func TestMetricsFromTheStart(t *testing.T) {
	m := NewMetrics()
	for _, want := range []string{
		`moorgate_config_reloads_total{result="ok"} 0`, `moorgate_config_reloads_total{result="failed"} 0`,
		`moorgate_streams{kind="hijack"} 0`, `moorgate_terminal_sessions 0`,
	} {
		if got := scrape(m, want); len(got) != 1 {
			t.Errorf("%s is not there: %q", want, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	m := NewMetrics()
	pull := &Record{Action: "image.pull", Decision: Deny, Rule: "role a", Status: 403, Duration: 2 * time.Millisecond}
	m.Record(pull)
	m.Record(pull)
	m.Record(&Record{Action: "image.pull", Decision: Allow, Rule: "role a", Status: 200, Duration: time.Hour})
	m.Record(&Record{Action: "image.pull", Decision: WouldDeny, Rule: "role b", Status: 200})
	m.Record(&Record{Decision: Deny, Status: 404})
	m.Record(&Record{Action: "image.pull", Decision: Deny, Rule: "\xff" + strings.Repeat("x", 999), Status: 403})
	m.EngineUp("local", true)
	m.EngineUp("east", true)
	m.EngineUp("east", false)
	m.Opened("hijack")
	m.Opened("hijack")
	m.Closed("hijack")

	for _, want := range []string{
		`moorgate_requests_total{action="image.pull",code="403",decision="deny"} 3`,
		`moorgate_requests_total{action="image.pull",code="200",decision="allow"} 1`,
		`moorgate_requests_total{action="image.pull",code="200",decision="would_deny"} 1`,
		`moorgate_requests_total{action="unknown",code="404",decision="deny"} 1`,
		`moorgate_denied_total{action="image.pull",rule="role a"} 2`,
		`moorgate_denied_total{action="unknown",rule="unknown"} 1`,
		`moorgate_request_seconds_count{action="image.pull"} 5`,
		`moorgate_request_seconds_bucket{action="image.pull",le="0.0025"} 4`,
		`moorgate_request_seconds_bucket{action="image.pull",le="0.001"} 2`,
		`moorgate_engine_up{engine="local"} 1`,
		`moorgate_engine_up{engine="east"} 0`,
		`moorgate_streams{kind="hijack"} 1`,
	} {
		name, _, _ := strings.Cut(want, " ")
		if got := scrape(m, name); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := scrape(m, "moorgate_denied_total"); len(got) != 3 {
		t.Errorf("only denials are denied: %q", got)
	}
	for _, prefix := range []string{"go_goroutines", "process_open_fds"} {
		if len(scrape(m, prefix)) == 0 {
			t.Errorf("%s is missing", prefix)
		}
	}
}

// TestMetricsOfTerminals: their events count sessions, never requests.
func TestMetricsOfTerminals(t *testing.T) {
	m := NewMetrics()
	for _, event := range []Event{EventOpen, EventAttach, EventResize, EventOpen, EventShare, EventDetach, EventKill, EventClose} {
		m.Record(&Record{Action: "terminal.open", Decision: Allow, Session: "s", Event: event})
	}
	if got := scrape(m, "moorgate_terminal_sessions"); len(got) != 1 || got[0] != "moorgate_terminal_sessions 1" {
		t.Errorf("two opened, one closed: %q", got)
	}
	if got := scrape(m, "moorgate_requests_total"); len(got) != 0 {
		t.Errorf("events count as requests: %q", got)
	}
}

func TestMetricsAreBounded(t *testing.T) {
	m := NewMetrics()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range maxSeries {
				m.Record(&Record{Action: "image.pull", Decision: Deny, Rule: fmt.Sprint(w, "-", i), Status: 400 + i%10})
			}
		})
	}
	wg.Wait()
	if n := testutil.CollectAndCount(m.denied); n != maxSeries+1 {
		t.Errorf("%d series, want %d", n, maxSeries+1)
	}
	if got := testutil.ToFloat64(m.denied.WithLabelValues("image.pull", other)); got != 3*maxSeries {
		t.Errorf("%v are counted as others, want %d", got, 3*maxSeries)
	}
}

func BenchmarkMetrics(b *testing.B) {
	m := NewMetrics()
	rec := &Record{Action: "container.list", Decision: Allow, Status: 200, Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Record(rec)
	}
}
