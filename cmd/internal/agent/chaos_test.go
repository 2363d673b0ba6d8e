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

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
	"github.com/lockstep-sync/lockstep/watcher"
)

var (
	chaosSeeds = flag.Int("chaos.seeds", 1, "how many seeds TestChaos runs")
	chaosFirst = flag.Uint64("chaos.first", 1, "the first of them")
	chaosTime  = flag.Duration("chaos.time", 2*time.Second, "how long each seed changes the tree")
)

// TestChaos changes a tree at random while it is kept in step with a local directory and
// with a daemon's module. Once it is quiet, all three are equal. Each seed runs in several
// settings: as it is, with either backend; with a queue so short that the kernel drops events all the
// time; with a source that has no trailing slash; and with filter rules.
func TestChaos(t *testing.T) {
	for i := range *chaosSeeds {
		seed := *chaosFirst + uint64(i)
		for _, v := range variants() {
			t.Run(fmt.Sprintf("seed=%d/%s", seed, v.name), func(t *testing.T) {
				if v.queue > 0 {
					shortQueue(t, v.queue)
				}
				chaos(t, seed, *chaosTime, v)
			})
		}
	}
}

// variant is a setting of a test.
type variant struct {
	name    string
	backend string   // "": auto
	queue   int      // the kernel's; 0 leaves it alone
	noSlash bool     // the source is the directory itself
	exclude []string // rules
	settle  time.Duration
	state   string // where state is kept; "": anew for each
	set     func(*Settings)
}

func variants() []variant {
	return []variant{
		{name: "plain", backend: watcher.BackendInotify},
		{name: "fanotify", backend: watcher.BackendFanotify},
		{name: "overflow", backend: watcher.BackendInotify, queue: 100},
		{name: "directory", noSlash: true},
		{name: "rules", exclude: []string{"index.html", "sub dir/", "/d/*.txt", "'single'"}},
	}
}

// ignored says of a path whether a rule hides it as a file or as a directory, or what it is in.
func (v variant) ignored(t *testing.T) func(string) bool {
	t.Helper()
	var b filter.Builder
	for _, e := range v.exclude {
		if err := b.Exclude(e); err != nil {
			t.Fatal(err)
		}
	}
	l := b.Build()
	return func(path string) bool { return l.ExcludedPath(path, true) || l.ExcludedPath(path, false) }
}

// TestRewritesThatAQuickCheckMisses makes the two kinds of change that size and mtime do
// not tell: a rewrite with the same size within the same second, and one whose mtime was
// set back. Both arrive, also when the events of them were dropped.
func TestRewritesThatAQuickCheckMisses(t *testing.T) {
	for _, queue := range []int{0, 100} {
		t.Run(fmt.Sprintf("queue=%d", queue), func(t *testing.T) {
			if queue > 0 {
				shortQueue(t, queue)
			}
			rewrites(t, queue > 0)
		})
	}
}

func rewrites(t *testing.T, storm bool) {
	p := startPair(t, variant{})
	const files = 8
	name := func(i int) string { return filepath.Join(p.src, fmt.Sprintf("file%d", i)) }
	for i := range files {
		put(t, name(i), "old content")
	}
	p.wait(t, 20*time.Second)
	if storm { // more events than the queue holds, so that the rewrites' own are dropped
		if err := os.Mkdir(filepath.Join(p.src, "storm"), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 3000 {
			put(t, filepath.Join(p.src, "storm", strconv.Itoa(i)), "")
		}
	}
	for i := range files {
		st, err := os.Stat(name(i))
		if err != nil {
			t.Fatal(err)
		}
		put(t, name(i), "new content")
		mtime := st.ModTime()
		if i%2 == 0 && mtime.Nanosecond() < 999_000_000 { // another time in the same second
			mtime = mtime.Add(time.Microsecond)
		}
		if err := os.Chtimes(name(i), time.Time{}, mtime); err != nil {
			t.Fatal(err)
		}
	}
	p.wait(t, 20*time.Second)
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func chaos(t *testing.T, seed uint64, during time.Duration, v variant) {
	p := startPair(t, v)
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	churn := syncertest.Churn{Root: p.src, Outside: p.outside, Seed: seed, PlainLinks: !p.root}
	ops, err := churn.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %d changes", seed, ops)
	p.wait(t, time.Minute)
}

// twin is a source that is kept in step with a local mirror and with a daemon's module.
type twin struct {
	src, outside string
	root         bool
	ignore       func(string) bool
	watches      []*watching
}

func startPair(t *testing.T, v variant) *twin {
	t.Helper()
	dir := t.TempDir()
	p := &twin{src: filepath.Join(dir, "src"), outside: filepath.Join(dir, "outside"), root: os.Geteuid() == 0, ignore: v.ignored(t)}
	mirror, module := filepath.Join(dir, "mirror"), filepath.Join(dir, "module")
	for _, d := range []string{p.src, p.outside, mirror, module} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Something to begin with: an empty source is not trusted with deletions.
	put(t, filepath.Join(p.src, "first"), "first")
	d := syncertest.StartDaemon(t, syncertest.DaemonConfig{Chroot: p.root, Modules: []syncertest.Module{{Name: "m", Path: module}}})
	source, below := p.src+"/", ""
	if v.noSlash {
		source, below = p.src, "src"
	}
	p.watches = []*watching{
		startWatch(t, source, mirror+"/", filepath.Join(mirror, below), v),
		startWatch(t, source, d.URL("m"), filepath.Join(module, below), v),
	}
	t.Cleanup(func() {
		for _, w := range p.watches {
			w.stop(t)
		}
	})
	return p
}

// wait lets both replicas become equal.
func (p *twin) wait(t *testing.T, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for _, w := range p.watches {
		if err := syncertest.WaitEqual(ctx, p.src, w.replica, syncertest.CompareOptions{IgnoreOwners: !p.root, Ignore: p.ignore}); err != nil {
			t.Errorf("%s: %v\nlast of its log:\n%s", w.target, err, w.tail(60))
		}
	}
}

// watching is a Watch that runs in a test.
type watching struct {
	target, replica string
	cancel          context.CancelFunc
	done            chan error
	mu              sync.Mutex // guards log: it is written by several goroutines
	log             bytes.Buffer
}

func (w *watching) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
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

func startWatch(t *testing.T, source, target, replica string, v variant) *watching {
	t.Helper()
	s := Defaults()
	s.Source, s.Target, s.Watch, s.Delete, s.NoTune = source, target, true, true, true
	s.StateDir = v.state
	if s.StateDir == "" {
		s.StateDir = t.TempDir()
	}
	if v.backend != "" {
		s.WatchBackend = v.backend
	}
	if v.settle > 0 {
		s.Settle = v.settle
	}
	for _, e := range v.exclude {
		if err := s.Filter.Exclude(e); err != nil {
			t.Fatal(err)
		}
	}
	if v.set != nil {
		v.set(&s)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	w := &watching{target: target, replica: replica, done: make(chan error, 1)}
	log := debugLog(t, w)
	stop, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.done <- Watch(context.Background(), s, stop, log, nil) }()
	return w
}

const queueFile = "/proc/sys/fs/inotify/max_queued_events"

// shortQueue lowers the kernel's limit for the inotify instances made during the test.
func shortQueue(t *testing.T, n int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: fs.inotify.max_queued_events is lowered")
	}
	// Two test runs at once would each restore what the other had set.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "lockstep-test-sysctl.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() }) // which gives the lock back, after the limit
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
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
