package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// served is a Service that runs, in a directory of its own: sync NAME has its source at src/NAME.
type served struct {
	*Service
	t       *testing.T
	dir     string
	log     *watching
	configs []SyncConfig // what Load reads
	process Process
	broken  error // or why it cannot
	cancel  context.CancelFunc
	done    chan error
}

// newServed is one that is not started.
func newServed(t *testing.T) *served {
	t.Helper()
	t.Parallel()
	return &served{t: t, dir: t.TempDir(), log: &watching{}}
}

func (s *served) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// sync adds a sync to the config, with a source that is there and targets below dst.
func (s *served) sync(name string, targets ...string) *SyncConfig {
	s.t.Helper()
	s.put(name, "first", "first of "+name)
	c := SyncConfig{Name: name}
	for _, target := range targets {
		one := Defaults()
		one.Source, one.Target, one.Watch, one.Delete, one.NoTune = s.path("src", name)+"/", target, true, true, true
		if !strings.Contains(target, ":") {
			one.Target = s.path("dst", target) + "/"
			if err := os.MkdirAll(one.Target, 0o755); err != nil {
				s.t.Fatal(err)
			}
		}
		c.Targets = append(c.Targets, one)
	}
	s.configs = append(s.configs, c)
	return &s.configs[len(s.configs)-1]
}

func (s *served) put(sync, name, content string) {
	s.t.Helper()
	path := s.path("src", sync, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	put(s.t, path, content)
}

func (s *served) load() ([]SyncConfig, Process, error) {
	return slices.Clone(s.configs), s.process, s.broken
}

func (s *served) start(o ServiceOptions) {
	s.t.Helper()
	s.process.StateDir = s.path("state")
	o.Process, o.Load, o.Config = s.process, s.load, "test.yaml"
	o.Log = debugLog(s.t, s.log)
	var err error
	if s.Service, err = NewService(slices.Clone(s.configs), o); err != nil {
		s.t.Fatal(err)
	}
	stop, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan error, 1)
	go func() { s.done <- s.Run(context.Background(), stop) }()
	s.t.Cleanup(func() {
		s.stop()
		if s.t.Failed() {
			s.t.Logf("%s", s.log.tail(100))
		}
	})
}

func (s *served) stop() {
	s.t.Helper()
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.cancel = nil
	if err := <-s.done; err != nil {
		s.t.Error(err)
	}
}

func (s *served) until(what string, ok func() bool) {
	s.t.Helper()
	for late := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			s.t.Fatalf("not so: %s; status %+v", what, s.Status())
		}
	}
}

// flushed waits until all that was written is there.
func (s *served) flushed(sync string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	if _, err := s.Flush(ctx, sync); err != nil {
		s.t.Fatal(err)
	}
}

// has says what a file of a target holds; "" if it is not there.
func (s *served) has(target, name string) string {
	text, _ := os.ReadFile(s.path("dst", target, name))
	return string(text)
}

// states are the states of all syncs.
func (s *served) states() map[string]string {
	m := map[string]string{}
	for _, one := range s.Status().Syncs {
		m[one.Name] = one.State
	}
	return m
}

// One sync that cannot run does not keep the others from it. It is tried again, and says why it does not run.
func TestServiceKeepsOthersRunning(t *testing.T) {
	s := newServed(t)
	s.sync("a", "a1", "a2")
	s.sync("busy", "busy1")
	s.sync("b", "b1")
	// Somebody else has the place of busy.
	release, err := claim(s.configs[1].Targets, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	s.start(ServiceOptions{})
	<-s.Ready()
	s.flushed("a")
	s.flushed("b")
	for _, target := range []string{"a1", "a2", "b1"} {
		if s.has(target, "first") == "" {
			t.Errorf("%s is empty", target)
		}
	}
	if _, err := s.Flush(t.Context(), "busy"); !errors.Is(err, api.ErrNotThere) {
		t.Errorf("flush of what does not run: %v", err)
	}
	a := s.Status()
	if !a.Ready || len(a.Syncs) != 3 || !strings.Contains(a.Syncs[1].Error, "another sync") || a.Syncs[1].State != api.StateRetrying {
		t.Errorf("status: %+v", a)
	}
	release()
	s.until("busy runs", func() bool { return s.Status().Syncs[1].Error == "" })
	s.flushed("busy")
	if want := map[string]string{"a": api.StateInStep, "b": api.StateInStep, "busy": api.StateInStep}; !cmp.Equal(want, s.states()) {
		s.until("all are in step", func() bool { return cmp.Equal(want, s.states()) })
	}
	if !s.Alive() {
		t.Error("it is not alive")
	}
}

// What is paused is gathered, and goes when it is over.
func TestServicePause(t *testing.T) {
	s := newServed(t)
	s.sync("a", "a1")
	s.sync("b", "b1")
	s.start(ServiceOptions{})
	s.flushed("")
	if err := s.Pause("a"); err != nil {
		t.Fatal(err)
	}
	s.put("a", "sub/new", "new")
	s.put("b", "new", "new")
	s.flushed("b")
	if _, err := s.Flush(t.Context(), "a"); !errors.Is(err, api.ErrPaused) {
		t.Errorf("flush while it is paused: %v", err)
	}
	s.until("what is gathered shows", func() bool {
		list, err := s.Queue("a", "", 10)
		return err == nil && slices.ContainsFunc(list, func(q api.Queued) bool { return strings.HasPrefix(q.Path, "sub") && !q.Sent && !q.Since.IsZero() })
	})
	if st := s.Status().Syncs[0]; !st.Paused || st.State != api.StatePaused || st.Targets[0].Paths == 0 || st.Targets[0].Lag <= 0 {
		t.Errorf("status: %+v", st)
	}
	if s.has("a1", "sub/new") != "" || s.has("b1", "new") != "new" {
		t.Error("it is pushed while it is paused, or another one is not")
	}
	if err := s.Pause("x"); !errors.Is(err, api.ErrUnknown) {
		t.Errorf("pause of what is not there: %v", err)
	}
	if err := s.Resume("a"); err != nil {
		t.Fatal(err)
	}
	s.flushed("a")
	if s.has("a1", "sub/new") != "new" {
		t.Error("what was gathered has not come")
	}
}

// A reload touches what differs, and no more.
func TestServiceReload(t *testing.T) {
	s := newServed(t)
	s.sync("kept", "kept1")
	s.sync("changed", "changed1")
	s.sync("gone", "gone1")
	s.start(ServiceOptions{})
	s.flushed("")
	if err := s.Pause("kept"); err != nil {
		t.Fatal(err)
	}
	before := s.list()
	pushes := s.Status().Syncs[0].Targets[0].Totals.Pushes

	s.broken = errors.New("line 7: no such key")
	if _, err := s.Reload(t.Context()); !errors.Is(err, api.ErrSettings) || !strings.Contains(err.Error(), "line 7") {
		t.Errorf("reload of a broken config: %v", err)
	}
	if a := s.Status(); a.LoadError == "" || len(a.Syncs) != 3 {
		t.Errorf("status after that: %+v", a)
	}
	s.broken = nil

	loaded := s.Status().Loaded
	s.configs[1].Targets[0].DeleteDelay = time.Second
	s.configs = slices.Delete(s.configs, 2, 3)
	s.sync("new", "gone1") // the target goes from one sync to another
	s.process.LogFile, s.process.Listen = "/x", "127.0.0.1:1"
	r, err := s.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := api.Reloaded{Started: []string{"new"}, Stopped: []string{"gone"}, Restarted: []string{"changed"}, Kept: []string{"kept"}, NotApplied: []string{"log-file", "listen"}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("reloaded (-want +got):\n%s", diff)
	}
	after := s.list()
	if after[0] != before[0] || after[1] == before[1] {
		t.Error("the wrong ones were made anew")
	}
	a := s.Status()
	if a.LoadError != "" || !a.Loaded.After(loaded) || !a.Syncs[0].Paused || a.Syncs[0].Targets[0].Totals.Pushes != pushes {
		t.Errorf("status: %+v", a)
	}
	if err := s.Resume("kept"); err != nil {
		t.Fatal(err)
	}
	s.until("the new one runs", func() bool { return s.Status().Syncs[2].Error == "" && s.Status().Syncs[2].Watch.Ready })
	s.flushed("")
	if got := s.has("gone1", "first"); got != "first of new" {
		t.Errorf("the target that moved has %q", got)
	}

	s.configs[0].Name = "changed"
	if _, err := s.Reload(t.Context()); !errors.Is(err, api.ErrSettings) {
		t.Errorf("two of one name: %v", err)
	}
	s.stop()
	if _, err := s.Reload(t.Context()); err == nil {
		t.Error("a reload of what has ended succeeds")
	}
}

// What a sync that was taken out of the config has brought to its targets stays there.
func TestReloadDeletesNothing(t *testing.T) {
	s := newServed(t)
	s.sync("a", "a1")
	s.start(ServiceOptions{})
	s.flushed("")
	s.configs = nil
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := s.Status(); len(a.Syncs) != 0 || s.has("a1", "first") == "" {
		t.Errorf("status %+v; the target has %q", a, s.has("a1", "first"))
	}
}

// A status waits for nothing: neither for a look at the disk while deletions are judged, nor for a flush, nor for a push.
func TestStatusWaitsForNothing(t *testing.T) {
	s := newServed(t)
	s.sync("a", "a1")
	s.start(ServiceOptions{})
	s.flushed("")
	r := s.list()[0].opened.targets[0]
	r.gate.mu.Lock()
	r.flushes.mu.Lock()
	told := make(chan api.Agent, 1)
	go func() { told <- s.Status() }()
	select {
	case a := <-told:
		if a.Syncs[0].State != api.StateInStep {
			t.Errorf("status: %+v", a)
		}
	case <-time.After(20 * time.Second):
		t.Error("the status waits")
	}
	r.flushes.mu.Unlock()
	r.gate.mu.Unlock()
}

// A flush that cannot come about says what is missing, and why, as soon as that is known.
func TestFlushTellsWhatIsMissing(t *testing.T) {
	s := newServed(t)
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Modules: []syncertest.Module{{Name: "closed", Path: t.TempDir(), ReadOnly: true}}})
	s.sync("a", "a1", d.URL("closed"))
	s.sync("held", "held1")
	s.configs[1].Targets[0].DeleteLimit = Limit{Set: true, Names: 1}
	for i := range 5 {
		s.put("held", fmt.Sprint("file", i), "x")
	}
	s.start(ServiceOptions{})
	<-s.Ready()
	list, err := s.Flush(t.Context(), "a")
	if !errors.Is(err, api.ErrNotThere) || len(list) != 2 || !list[0].Done || list[1].Done || !strings.Contains(list[1].Text, "read") {
		t.Errorf("flush: %v, %+v", err, list)
	}
	s.flushed("held")
	for i := range 5 {
		if err := os.Remove(s.path("src", "held", fmt.Sprint("file", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Flush(t.Context(), "held"); !errors.Is(err, api.ErrNotThere) || !strings.Contains(err.Error(), "lockstep release: file") {
		t.Errorf("flush of deletions that are held: %v", err)
	}
	if r, err := s.Release("held", ""); err != nil || len(r) != 1 || len(r[0].Held) == 0 {
		t.Errorf("released: %+v, %v", r, err)
	}
	s.flushed("held")
	if s.has("held1", "file4") != "" {
		t.Error("what was released is there")
	}
	if _, err := s.Flush(t.Context(), "x"); !errors.Is(err, api.ErrUnknown) {
		t.Errorf("flush of what is not there: %v", err)
	}
}

// What is to be compared below a path is compared, and mended.
func TestServiceResync(t *testing.T) {
	s := newServed(t)
	s.sync("a", "a1")
	s.put("a", "sub/x", "right")
	s.put("a", "other", "right")
	s.start(ServiceOptions{})
	s.flushed("")
	for _, name := range []string{"sub/x", "other"} {
		st, err := os.Stat(s.path("dst", "a1", name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, s.path("dst", "a1", name), "wrong")
		if err := os.Chtimes(s.path("dst", "a1", name), st.ModTime(), st.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Resync("a", "", s.path("src", "a", "sub"), true); err != nil {
		t.Fatal(err)
	}
	s.until("it is mended", func() bool { return s.has("a1", "sub/x") == "right" })
	if s.has("a1", "other") != "wrong" {
		t.Error("more was compared than was asked for")
	}
	if err := s.Resync("a", "", "", true); err != nil {
		t.Fatal(err)
	}
	s.until("all is mended", func() bool { return s.has("a1", "other") == "right" })
	if err := s.Resync("a", "", "../x", false); !errors.Is(err, api.ErrUnknown) {
		t.Errorf("a path outside: %v", err)
	}
	if err := s.Resync("a", "nobody", "", false); !errors.Is(err, api.ErrUnknown) {
		t.Errorf("a target that is not there: %v", err)
	}
}

// A source that is absent is told of, and does not keep the Service from being ready.
func TestServiceSourceAbsent(t *testing.T) {
	s := newServed(t)
	s.sync("a", "a1")
	s.sync("b", "b1")
	if err := os.RemoveAll(s.path("src", "a")); err != nil {
		t.Fatal(err)
	}
	s.start(ServiceOptions{})
	<-s.Ready()
	if a := s.Status().Syncs[0]; a.Error == "" || a.State != api.StateRetrying {
		t.Errorf("status: %+v", a)
	}
	if _, err := s.Flush(t.Context(), "a"); !errors.Is(err, api.ErrNotThere) {
		t.Errorf("flush: %v", err)
	}
	s.put("a", "first", "back")
	s.until("it is back", func() bool { return s.has("a1", "first") == "back" })
	s.until("and says so", func() bool { return s.states()["a"] == api.StateInStep })
}

func TestNewServiceChecks(t *testing.T) {
	one := Defaults()
	one.Source, one.Target = "/a", "/b"
	other := one
	other.Source, other.Target = "/c", "/d"
	for name, list := range map[string][]SyncConfig{
		"no name":               {{Targets: []Settings{one}}},
		"two of one name":       {{Name: "x", Targets: []Settings{one}}, {Name: "x", Targets: []Settings{other}}},
		"no target":             {{Name: "x"}},
		"two sources":           {{Name: "x", Targets: []Settings{one, other}}},
		"the same target twice": {{Name: "x", Targets: []Settings{one, one}}},
	} {
		if _, err := NewService(list, ServiceOptions{Log: zap.NewNop()}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
