package agent

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

var (
	chaosSeeds = flag.Int("chaos.seeds", 2, "how many seeds TestChaos runs")
	chaosFirst = flag.Uint64("chaos.first", 1, "the first of them")
	chaosTime  = flag.Duration("chaos.time", 4*time.Second, "how long each seed changes the tree")
)

// TestChaos changes a tree at random while it is kept in step with a local directory and
// with a daemon's module. Once it is quiet, all three are equal. Each seed runs once more
// with a queue so short that the kernel drops events all the time.
func TestChaos(t *testing.T) {
	for i := range *chaosSeeds {
		seed := *chaosFirst + uint64(i)
		for _, queue := range []int{0, 100} {
			name := fmt.Sprintf("seed=%d", seed)
			if queue > 0 {
				name += "/overflow"
			}
			t.Run(name, func(t *testing.T) {
				if queue > 0 {
					shortQueue(t, queue)
				}
				chaos(t, seed, *chaosTime)
			})
		}
	}
}

func chaos(t *testing.T, seed uint64, during time.Duration) {
	dir := t.TempDir()
	src, outside, mirror, module := filepath.Join(dir, "src"), filepath.Join(dir, "outside"), filepath.Join(dir, "mirror"), filepath.Join(dir, "module")
	for _, d := range []string{src, outside, mirror, module} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Something to begin with: an empty source is not trusted with deletions.
	if err := os.WriteFile(filepath.Join(src, "first"), []byte("first"), 0o644); err != nil {
		t.Fatal(err)
	}
	root := os.Geteuid() == 0
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Chroot: root, Modules: []syncertest.Module{{Name: "m", Path: module}}})
	toMirror := startWatch(t, src, mirror+"/")
	toModule := startWatch(t, src, d.URL("m"))

	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	churn := syncertest.Churn{Root: src, Outside: outside, Seed: seed, PlainLinks: !root}
	ops, err := churn.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %d changes", seed, ops)
	for _, w := range []*watching{toMirror, toModule} {
		within, cancel := context.WithTimeout(t.Context(), time.Minute)
		start := time.Now()
		if err := syncertest.WaitEqual(within, src, w.replica(mirror, module), syncertest.CompareOptions{IgnoreOwners: !root}); err != nil {
			t.Errorf("seed %d, %s: %v\nlast of its log:\n%s", seed, w.target, err, w.tail(60))
		}
		cancel()
		t.Logf("%s equal after %v", w.target, time.Since(start).Round(time.Millisecond))
		w.stop(t)
	}
}

// watching is a Watch that runs in a test.
type watching struct {
	target string
	cancel context.CancelFunc
	done   chan error
	mu     sync.Mutex // guards log: it is written by several goroutines
	log    bytes.Buffer
}

func (w *watching) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *watching) replica(mirror, module string) string {
	if strings.HasPrefix(w.target, "rsync://") {
		return module
	}
	return mirror
}

func (w *watching) tail(lines int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := strings.Split(w.log.String(), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}

func (w *watching) stop(t *testing.T) {
	t.Helper()
	w.cancel()
	if err := <-w.done; err != nil {
		t.Errorf("%s: %v", w.target, err)
	}
}

func startWatch(t *testing.T, src, target string) *watching {
	t.Helper()
	s := Defaults()
	s.Source, s.Target, s.Watch, s.Delete, s.NoTune, s.LogLevel = src+"/", target, true, true, true, "debug"
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	w := &watching{target: target, done: make(chan error, 1)}
	log, err := s.NewLogger(w)
	if err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.done <- Watch(context.Background(), s, stop, log, nil) }()
	t.Cleanup(cancel)
	return w
}

const queueFile = "/proc/sys/fs/inotify/max_queued_events"

// shortQueue lowers the kernel's limit for the inotify instances made during the test.
func shortQueue(t *testing.T, n int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: fs.inotify.max_queued_events is lowered")
	}
	old, err := os.ReadFile(queueFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(queueFile, []byte(strconv.Itoa(n)), 0o644); err != nil {
		t.Skipf("fs.inotify.max_queued_events cannot be lowered here: %v", err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(queueFile, old, 0o644); err != nil {
			t.Errorf("restore fs.inotify.max_queued_events to %s: %v", old, err)
		}
	})
}
