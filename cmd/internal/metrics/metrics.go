package metrics

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// Metrics is a registry of its own: nothing that another package registers gets into it.
type Metrics struct {
	status   func() api.Agent
	registry *prometheus.Registry

	pushes  *prometheus.HistogramVec // how long they take
	arrival *prometheus.HistogramVec // how old changes are when they are there

	mu    sync.Mutex // guards known
	known map[pair]bool
}

// pair is what the two labels of a target name.
type pair struct{ sync, target string }

// The buckets reach from a change on a fast network to a first push, with few of them: each is a time series for each target.
var (
	pushBuckets    = []float64{.005, .02, .1, .5, 2, 10, 60, 600}
	arrivalBuckets = []float64{.02, .1, .5, 1, 5, 30, 300}
)

// mostScrapes bounds how many are answered at once.
const mostScrapes = 4

// New is for the status of s. Nothing is looked at before somebody scrapes.
func New(s interface{ Status() api.Agent }) *Metrics {
	m := &Metrics{status: s.Status, registry: prometheus.NewRegistry(), known: map[pair]bool{}}
	m.pushes = histogram("push_duration_seconds", "How long pushes took that did not fail.", pushBuckets)
	m.arrival = histogram("arrival_seconds", "How long changes took from when they were first seen until they were on the target.", arrivalBuckets)
	m.registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func histogram(name, help string, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "lockstep", Name: name, Help: help, Buckets: buckets}, []string{"sync", "target"})
}

// Handler is /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: mostScrapes})
}

// Pushed counts a push. It waits for nothing.
func (m *Metrics) Pushed(p api.Push) {
	if p.Class != "" || p.Verify {
		return
	}
	who := pair{syncer.Quote(p.Sync), syncer.Quote(p.Target)}
	m.mu.Lock()
	m.known[who] = true
	m.mu.Unlock()
	m.pushes.WithLabelValues(who.sync, who.target).Observe(p.Took.Seconds())
	if p.Lag > 0 {
		m.arrival.WithLabelValues(who.sync, who.target).Observe(p.Lag.Seconds())
	}
}

// forget removes what was counted of targets that are not there any more.
func (m *Metrics) forget(there map[pair]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for who := range m.known {
		if !there[who] {
			delete(m.known, who)
			m.pushes.DeleteLabelValues(who.sync, who.target)
			m.arrival.DeleteLabelValues(who.sync, who.target)
		}
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.desc
	}
	m.pushes.Describe(ch)
	m.arrival.Describe(ch)
}

// Collect implements prometheus.Collector: it looks at the status once.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	a := m.status()
	c := collection{ch: ch, there: map[pair]bool{}}
	c.agent(&a)
	m.forget(c.there)
	m.pushes.Collect(ch)
	m.arrival.Collect(ch)
}

// collection sends metrics.
type collection struct {
	ch    chan<- prometheus.Metric
	there map[pair]bool
}

func (c *collection) send(f *family, v float64, labels ...string) {
	c.ch <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
}

func (c *collection) agent(a *api.Agent) {
	c.send(buildInfo, 1, syncer.Quote(a.Version), runtime.Version())
	c.send(ready, number(a.Ready))
	if a.Config != "" {
		c.send(configOK, number(a.LoadError == ""))
		c.moment(configLoaded, a.Loaded)
	}
	seen := map[string]bool{}
	limit := int64(0)
	for i := range a.Syncs {
		s := &a.Syncs[i]
		name := syncer.Quote(s.Name)
		if seen[name] {
			continue // names are unique; twice the same would spoil the whole answer
		}
		seen[name] = true
		limit = max(limit, s.Watch.Limit)
		c.sync(s, name)
		for j := range s.Targets {
			c.target(&s.Targets[j], pair{name, syncer.Quote(s.Targets[j].Target)})
		}
	}
	if limit > 0 {
		c.send(watchLimit, float64(limit))
	}
}

func (c *collection) sync(s *api.Sync, name string) {
	c.send(syncWatching, number(s.Watch.Ready), name)
	c.send(syncError, number(s.Error != ""), name)
	c.send(syncPaused, number(s.Paused), name)
	c.send(watches, float64(s.Watch.Watches), name, s.Watch.Backend)
	c.send(polled, float64(s.Watch.Polled), name)
	c.send(events, float64(s.Watch.Events), name)
	c.send(overflows, float64(s.Watch.Overflows), name)
	c.send(rebuilds, float64(s.Watch.Rebuilds), name)
}

// states are all that a target can be in, as values of a label.
var states = []string{api.StateStopped, api.StateInStep, api.StateVerifying, api.StatePushing, api.StateStarting, api.StatePaused, api.StateHeld, api.StatePartial, api.StateRetrying}

func (c *collection) target(t *api.Target, who pair) {
	if c.there[who] {
		return
	}
	c.there[who] = true
	for _, s := range states {
		c.send(state, number(t.State == s), who.sync, who.target, s)
	}
	c.moment(lastSuccess, t.LastSuccess, who.sync, who.target)
	failed := 0
	for _, f := range t.Failed {
		failed += max(1, f.Paths)
	}
	n := &t.Totals
	for _, v := range []struct {
		family *family
		value  float64
	}{
		{lag, t.Lag}, {dirty, float64(t.Paths)}, {inFlight, float64(t.InFlight)}, {failedPaths, float64(failed)}, {held, float64(len(t.Held))},
		{pushes, float64(n.Pushes)}, {retries, float64(n.Retries)}, {files, float64(n.Files)}, {deleted, float64(n.Deleted)},
		{literal, float64(n.LiteralBytes)}, {matched, float64(n.MatchedBytes)}, {sent, float64(n.SentBytes)},
	} {
		c.send(v.family, v.value, who.sync, who.target)
	}
	rest := n.Failures
	for class, count := range n.ByClass {
		rest -= count
		c.send(failures, float64(count), who.sync, who.target, syncer.Quote(class))
	}
	if rest > 0 {
		c.send(failures, float64(rest), who.sync, who.target, "other")
	}
}

// moment sends a time, if there is one.
func (c *collection) moment(f *family, t time.Time, labels ...string) {
	if !t.IsZero() {
		c.send(f, float64(t.UnixMilli())/1000, labels...)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
