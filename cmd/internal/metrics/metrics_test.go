package metrics

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer"
)

// source has the status that a test gives it.
type source struct {
	mu    sync.Mutex // guards agent
	agent api.Agent
}

func (s *source) Status() api.Agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agent
}

func (s *source) set(a api.Agent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agent = a
}

func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	r := httptest.NewRecorder()
	m.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	if r.Code != 200 {
		t.Fatalf("/metrics: %d %s", r.Code, r.Body)
	}
	return r.Body.String()
}

// full is a status with something of everything.
func full() api.Agent {
	at := time.UnixMilli(1700000000500)
	return api.Agent{
		Version: "1.2", Ready: true, Config: "/etc/lockstep/lockstep.yaml", Loaded: at, LoadError: "line 3",
		Syncs: []api.Sync{{
			Name: "www", Error: "no source", Paused: true, Watch: api.Watch{Ready: true, Backend: "inotify", Watches: 7, Limit: 100, Polled: 1, Events: 9, Overflows: 2, Rebuilds: 1},
			Targets: []api.Target{{
				Target: "b::www", State: api.StateHeld, Lag: 1.5, Paths: 3, InFlight: 2, LastSuccess: at,
				Failed: []syncer.Failed{{Path: "a"}, {Path: "b", Paths: 4}}, Held: []api.Held{{Path: "c"}},
				Totals: api.Totals{Pushes: 10, Failures: 5, ByClass: map[string]int64{"network": 3}, Retries: 6, Files: 20, LiteralBytes: 1000, MatchedBytes: 9000, SentBytes: 1100, Deleted: 4},
			}},
		}},
	}
}

func TestFamilies(t *testing.T) {
	s := &source{agent: full()}
	m := New(s)
	m.Pushed(api.Push{Sync: "www", Target: "b::www", Took: 50 * time.Millisecond, Lag: 70 * time.Millisecond})
	m.Pushed(api.Push{Sync: "www", Target: "b::www", Took: time.Hour, Class: "network"})
	m.Pushed(api.Push{Sync: "www", Target: "b::www", Took: time.Hour, Verify: true})
	text := scrape(t, m)
	const of = `{sync="www",target="b::www"}`
	for _, want := range []string{
		`lockstep_build_info{goversion="go`, `,version="1.2"} 1`, "lockstep_ready 1", "lockstep_config_last_reload_successful 0", "lockstep_config_loaded_timestamp_seconds 1.7000000005e+09",
		"lockstep_watch_limit 100", `lockstep_watching{sync="www"} 1`, `lockstep_sync_error{sync="www"} 1`, `lockstep_paused{sync="www"} 1`, `lockstep_watches{backend="inotify",sync="www"} 7`,
		`lockstep_polled_subtrees{sync="www"} 1`, `lockstep_events_total{sync="www"} 9`, `lockstep_overflows_total{sync="www"} 2`, `lockstep_rebuilds_total{sync="www"} 1`,
		`lockstep_state{state="held",sync="www",target="b::www"} 1`, `lockstep_state{state="in-step",sync="www",target="b::www"} 0`,
		"lockstep_lag_seconds" + of + " 1.5", "lockstep_dirty_paths" + of + " 3", "lockstep_in_flight_paths" + of + " 2", "lockstep_failed_paths" + of + " 5", "lockstep_held_deletions" + of + " 1",
		"lockstep_last_success_timestamp_seconds" + of + " 1.7000000005e+09", "lockstep_pushes_total" + of + " 10", "lockstep_retried_paths_total" + of + " 6", "lockstep_files_total" + of + " 20",
		"lockstep_deleted_total" + of + " 4", "lockstep_literal_bytes_total" + of + " 1000", "lockstep_matched_bytes_total" + of + " 9000", "lockstep_sent_bytes_total" + of + " 1100",
		`lockstep_failures_total{class="network",sync="www",target="b::www"} 3`, `lockstep_failures_total{class="other",sync="www",target="b::www"} 2`,
		"lockstep_push_duration_seconds_count" + of + " 1", "lockstep_push_duration_seconds_sum" + of + " 0.05", `lockstep_push_duration_seconds_bucket{sync="www",target="b::www",le="0.1"} 1`,
		"lockstep_arrival_seconds_count" + of + " 1", "process_resident_memory_bytes ", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not there: %s", want)
		}
	}
	if n := strings.Count(text, "lockstep_state{"); n != len(states) {
		t.Errorf("%d states, want %d", n, len(states))
	}
	lint(t, text)
}

// lint has promtool look at names, units and help.
func lint(t *testing.T, text string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed (.ci/deps)")
	}
	var ours strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "lockstep_") {
			ours.WriteString(line)
		}
	}
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(ours.String())
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestGone has the series of what a reload took out disappear, and come back with it.
func TestGone(t *testing.T) {
	s := &source{agent: full()}
	m := New(s)
	m.Pushed(api.Push{Sync: "www", Target: "b::www", Took: time.Second, Lag: time.Second})
	if text := scrape(t, m); !strings.Contains(text, `target="b::www"`) {
		t.Fatal("nothing of the target is there")
	}
	s.set(api.Agent{})
	if text := scrape(t, m); strings.Contains(text, "www") {
		t.Errorf("something is there of a sync that is gone:\n%s", text)
	}
	s.set(full())
	m.Pushed(api.Push{Sync: "www", Target: "b::www", Took: time.Second})
	if text := scrape(t, m); !strings.Contains(text, `lockstep_push_duration_seconds_count{sync="www",target="b::www"} 1`) {
		t.Error("what came back does not count from the beginning")
	}
}

// TestOddNames has labels that Prometheus takes, whatever names are, and no name spoil the others' numbers.
func TestOddNames(t *testing.T) {
	a := full()
	for _, name := range []string{"\xff\xfe", "\"}\n# HELP evil", "www", "a\nb", "тест"} {
		odd := a.Syncs[0]
		odd.Name = name
		odd.Targets = []api.Target{{Target: name}, {Target: name}}
		a.Syncs = append(a.Syncs, odd)
	}
	m := New(&source{agent: a})
	m.Pushed(api.Push{Sync: "\xff\xfe", Target: "\xff\xfe"})
	text := scrape(t, m)
	for _, want := range []string{`lockstep_paused{sync="\\#377\\#376"} 1`, `lockstep_paused{sync="\"}\\#012# HELP evil"} 1`, `lockstep_paused{sync="тест"} 1`, `lockstep_paused{sync="a\\#012b"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("not there: %s", want)
		}
	}
	if n := strings.Count(text, `lockstep_paused{sync="www"}`); n != 1 {
		t.Errorf("www is there %d times", n)
	}
}

// TestTogether counts while somebody scrapes and targets come and go: the race detector looks on.
func TestTogether(t *testing.T) {
	s := &source{agent: full()}
	m := New(s)
	var g sync.WaitGroup
	g.Go(func() {
		for i := range 2000 {
			m.Pushed(api.Push{Sync: fmt.Sprint(i % 7), Target: "t", Took: time.Millisecond, Lag: time.Millisecond})
		}
	})
	g.Go(func() {
		for range 50 {
			s.set(api.Agent{})
			s.set(full())
		}
	})
	for range 20 {
		scrape(t, m)
	}
	g.Wait()
}

// many is a status of n syncs with three targets each.
func many(n int) api.Agent {
	a := full()
	one := a.Syncs[0]
	a.Syncs = nil
	for i := range n {
		s := one
		s.Name = fmt.Sprint("sync", i)
		s.Targets = nil
		for j := range 3 {
			t := one.Targets[0]
			t.Target = fmt.Sprint("host", j, "::module")
			s.Targets = append(s.Targets, t)
		}
		a.Syncs = append(a.Syncs, s)
	}
	return a
}

func BenchmarkScrape(b *testing.B) {
	a := many(50)
	m := New(&source{agent: a})
	for _, s := range a.Syncs {
		for _, t := range s.Targets {
			m.Pushed(api.Push{Sync: s.Name, Target: t.Target, Took: time.Second, Lag: time.Second})
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(scrape(b, m))))
	for b.Loop() {
		scrape(b, m)
	}
}
