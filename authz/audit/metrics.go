package audit

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the sink that counts, and what Prometheus reads.
type Metrics struct {
	registry *prometheus.Registry
	handler  func() http.Handler // made when it is first asked
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	denied   *prometheus.CounterVec
	streams  *prometheus.GaugeVec
	engines  *prometheus.GaugeVec
	reloads  *prometheus.CounterVec
	config   *prometheus.GaugeVec
	plugins  *prometheus.HistogramVec
	sessions prometheus.Gauge

	series atomic.Pointer[map[seriesKey]*series] // never written: replaced
	mu     sync.Mutex                            // for replacing it
}

// seriesKey is all the labels that one record counts under.
type seriesKey struct {
	action   string
	decision Decision
	code     int
	rule     string // of a denial
}

// series holds the counters of one key, so that a record costs one map lookup.
type series struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
	denied   prometheus.Counter // nil unless it is a denial
}

// maxSeries bounds how many series there can be: rules that plugins name and
// statuses that engines answer are not ours to count on.
const maxSeries = 2000

// other is the label value beyond maxSeries, unknown that of what has no name.
const (
	other   = "other"
	unknown = "unknown"
)

// seconds reach from a ping to a pull; what lives longer is a stream.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// NewMetrics makes the metrics, with those of the Go runtime and the process.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moorgate_requests_total",
			Help: "Requests that ended, by action, decision and HTTP status.",
		}, []string{"action", "decision", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "moorgate_request_seconds",
			Help:    "Time to the end of the answer or of the stream, by action.",
			Buckets: buckets,
		}, []string{"action"}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moorgate_denied_total",
			Help: "Requests denied, by action and rule.",
		}, []string{"action", "rule"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "moorgate_streams",
			Help: "Live streams, by kind.",
		}, []string{"kind"}),
		engines: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "moorgate_engine_up",
			Help: "1 if the engine answers, 0 if not.",
		}, []string{"engine"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "moorgate_config_reloads_total",
			Help: "Times the configuration was read again, by result: ok or failed.",
		}, []string{"result"}),
		config: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "moorgate_config_info",
			Help: "1 for the configuration in force, by the SHA-256 of its file.",
		}, []string{"sha256"}),
		plugins: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "moorgate_plugin_seconds",
			Help:    "Time that an authorization plugin took for one question.",
			Buckets: buckets,
		}, []string{"plugin"}),
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "moorgate_terminal_sessions",
			Help: "Live terminal sessions.",
		}),
	}
	// An alert on a change needs the series to be there before the first event.
	for _, result := range []string{"ok", "failed"} {
		m.reloads.WithLabelValues(result)
	}
	for _, kind := range []string{"stream", "hijack", "h2c", "terminal"} {
		m.streams.WithLabelValues(kind)
	}
	m.series.Store(&map[seriesKey]*series{})
	m.registry.MustRegister(m.requests, m.seconds, m.denied, m.streams, m.engines, m.reloads, m.config, m.plugins, m.sessions)
	// What the runtime can tell of itself is a long list, which need not be
	// gone through to start.
	m.handler = sync.OnceValue(func() http.Handler {
		m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
	})
	return m
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.handler().ServeHTTP(w, r) })
}

// EngineUp says whether the engine of this name answers.
func (m *Metrics) EngineUp(name string, up bool) {
	v := 0.0
	if up {
		v = 1
	}
	m.engines.WithLabelValues(name).Set(v)
}

// Reloaded counts a reading of the configuration; sum is the SHA-256 of the one
// that is now in force.
func (m *Metrics) Reloaded(ok bool, sum string) {
	result := "ok"
	if !ok {
		result = "failed"
	}
	m.reloads.WithLabelValues(result).Inc()
	m.Configured(sum)
}

// Configured says which configuration is in force.
func (m *Metrics) Configured(sum string) {
	m.config.Reset()
	m.config.WithLabelValues(sum).Set(1)
}

// PluginSeconds notes how long a plugin took for one question.
func (m *Metrics) PluginSeconds(plugin string, seconds float64) {
	m.plugins.WithLabelValues(label(plugin)).Observe(seconds)
}

// Opened counts a live stream.
func (m *Metrics) Opened(kind string) { m.streams.WithLabelValues(kind).Inc() }

// Closed counts it off.
func (m *Metrics) Closed(kind string) { m.streams.WithLabelValues(kind).Dec() }

// Record counts the record of a request. Those of a terminal tell how many
// there are; the requests behind them have records of their own.
func (m *Metrics) Record(r *Record) {
	switch r.Event {
	case "":
	case EventOpen:
		m.sessions.Inc()
		return
	case EventClose:
		m.sessions.Dec()
		return
	default:
		return
	}
	key := seriesKey{r.Action, r.Decision, r.Status, ""}
	if r.Decision == Deny {
		key.rule = r.Rule
	}
	s := (*m.series.Load())[key]
	if s == nil {
		s = m.add(key)
	}
	s.requests.Inc()
	s.seconds.Observe(r.Duration.Seconds())
	if s.denied != nil {
		s.denied.Inc()
	}
}

func (m *Metrics) add(key seriesKey) *series {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.series.Load()
	if s := old[key]; s != nil {
		return s
	}
	labels, code := key, strconv.Itoa(key.code)
	labels.action, labels.rule = orUnknown(key.action), orUnknown(label(key.rule))
	full := len(old) >= maxSeries
	if full {
		labels.rule, code = other, other
	}
	s := &series{
		requests: m.requests.WithLabelValues(labels.action, string(labels.decision), code),
		seconds:  m.seconds.WithLabelValues(labels.action),
	}
	if key.decision == Deny {
		s.denied = m.denied.WithLabelValues(labels.action, labels.rule)
	}
	if !full {
		series := maps.Clone(old)
		series[key] = s
		m.series.Store(&series)
	}
	return s
}

// label makes a text from outside a label value, which must be valid UTF-8.
func label(s string) string { return strings.ToValidUTF8(cut(s, maxRef), "?") }

func orUnknown(s string) string {
	if s == "" {
		return unknown
	}
	return s
}
