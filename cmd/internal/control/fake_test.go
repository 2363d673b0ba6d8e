package control

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
)

// fake is a service that does what a test says, and notes what it was told.
type fake struct {
	mu     sync.Mutex // guards what follows
	agent  api.Agent
	looked int
	calls  []string
	err    error // of every action
	fail   func()
	flush  func(ctx context.Context) ([]api.Flushed, error)
	dead   bool
}

func (f *fake) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		f.fail()
	}
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fake) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// set changes the status.
func (f *fake) set(change func(*api.Agent)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.agent)
}

func (f *fake) Status() api.Agent {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked++
	if f.fail != nil {
		f.fail()
	}
	a := f.agent
	a.Syncs = slices.Clone(a.Syncs)
	for i := range a.Syncs {
		a.Syncs[i].Targets = slices.Clone(a.Syncs[i].Targets)
	}
	return a
}

func (f *fake) looks() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looked
}

func (f *fake) Alive() bool { return !f.dead }

func (f *fake) Flush(ctx context.Context, sync string) ([]api.Flushed, error) {
	err := f.note("flush %q", sync)
	if f.flush != nil {
		return f.flush(ctx)
	}
	return []api.Flushed{{Sync: "www", Target: "b::www", Done: err == nil, Took: 0.5}}, err
}

func (f *fake) Pause(sync string) error  { return f.note("pause %q", sync) }
func (f *fake) Resume(sync string) error { return f.note("resume %q", sync) }
func (f *fake) Resync(sync, target, path string, checksum bool) error {
	return f.note("resync %q %q %q %v", sync, target, path, checksum)
}

func (f *fake) Release(sync, target string) ([]api.Released, error) {
	err := f.note("release %q %q", sync, target)
	return []api.Released{{Sync: "www", Target: "b::www", Held: []api.Held{{Path: "old\xff", Names: 3, Since: time.Unix(1, 0).UTC()}}}}, err
}

func (f *fake) Queue(sync, target string, most int) ([]api.Queued, error) {
	return []api.Queued{{Sync: "www", Target: "b::www", Path: "a", Since: time.Unix(2, 0).UTC()}}, f.note("queue %q %q %d", sync, target, most)
}

func (f *fake) Reload(context.Context) (api.Reloaded, error) {
	return api.Reloaded{Kept: []string{"www"}}, f.note("reload")
}

func (f *fake) Stop() { f.note("stop") }

func (f *fake) LogLevel(component, level string) (map[string]string, error) {
	return map[string]string{"push": "debug"}, f.note("log-level %q %q", component, level)
}

// serve runs a service behind a socket until the test ends.
func serve(t *testing.T, s api.Service) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- Serve(ctx, l, Handler(s, nil)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return Dial(path)
}
