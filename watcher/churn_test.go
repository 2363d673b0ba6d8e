package watcher

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var (
	churnTime   = flag.Duration("churn", 2*time.Second, "how long the churn tests change the tree")
	churnSysctl = flag.Bool("churn.sysctl", false, "also churn with fs.inotify.max_queued_events lowered for moments")
	churnSeed   = flag.Uint64("churn.seed", 0, "seed of the churn tests; 0 takes one from the clock")
)

// TestChurn is the proof of completeness: while four writers change a tree at random, a replica is kept
// from the emitted changes alone. Once quiet, replica and tree must be equal, and a probe in every
// directory must be seen.
func TestChurn(t *testing.T) {
	t.Parallel()
	testChurn(t, BackendInotify, *churnTime, nil, nil)
}

// TestChurnFanotify does it with the other backend.
func TestChurnFanotify(t *testing.T) {
	t.Parallel()
	needFanotify(t)
	w := testChurn(t, BackendFanotify, *churnTime, nil, nil)
	if s := w.Stats(); s.Backend != BackendFanotify {
		t.Errorf("another backend was used: %+v", s)
	}
}

// needFanotify skips where the privileges for fanotify are lacking.
func needFanotify(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("fanotify needs root (CAP_SYS_ADMIN)")
	}
}

// TestChurnOverflow does it while events are dropped, as many at a time as a full queue would, so that
// watches are rebuilt all the time.
func TestChurnOverflow(t *testing.T) {
	t.Parallel()
	testOverflowing(t, *churnTime, leakyInstance(200, 500), false)
}

// TestChurnCompared drops events so seldom that the index is known by then: what was lost is found by
// comparing with it.
func TestChurnCompared(t *testing.T) {
	t.Parallel()
	testOverflowing(t, max(*churnTime, 10*time.Second), leakyInstance(8000, 4000), true)
}

// TestChurnSmallQueue does it with a kernel queue of 20 events. The setting is the whole system's, and
// whoever makes an instance at the same moment gets a small queue too: only on demand.
func TestChurnSmallQueue(t *testing.T) {
	if !*churnSysctl {
		t.Skip("-churn.sysctl is not given: it lowers fs.inotify.max_queued_events, for the whole system, for moments")
	}
	testOverflowing(t, *churnTime, smallQueue(t, 20), false)
}

// testOverflowing goes on until a rebuild came of an overflow, and, if compared, a comparison.
func testOverflowing(t *testing.T, length time.Duration, instance func() (*fsnotify.Watcher, error), compared bool) {
	t.Helper()
	testChurn(t, BackendInotify, length, instance, func(s Stats) bool {
		return s.Overflows > 0 && s.Rebuilds > 0 && (!compared || s.Comparisons > 0)
	})
}

// leakyInstance passes some events, drops the next 50, and says so as the kernel does: the overflow
// comes after the events before it and before those after it.
func leakyInstance(least, spread int) func() (*fsnotify.Watcher, error) {
	return func() (*fsnotify.Watcher, error) { return leaky(least, spread) }
}

func leaky(least, spread int) (*fsnotify.Watcher, error) {
	w, err := newFsnotify()
	if err != nil {
		return nil, err
	}
	events, errs := w.Events, w.Errors
	toEvents, toErrors := make(chan fsnotify.Event), make(chan error)
	w.Events, w.Errors = toEvents, toErrors
	overflow := make(chan struct{})
	go func() {
		defer close(toEvents)
		defer close(overflow)
		for left := least + rand.IntN(spread); ; left-- {
			e, ok := <-events
			switch {
			case !ok:
				return
			case left > 0:
				toEvents <- e
			case left == 0:
				overflow <- struct{}{}
			case left < -50:
				left = least + rand.IntN(spread)
			}
		}
	}()
	go func() {
		defer close(toErrors)
		for errs != nil || overflow != nil {
			select {
			case err, ok := <-errs:
				if !ok {
					errs = nil
					continue
				}
				toErrors <- err
			case _, ok := <-overflow:
				if !ok {
					overflow = nil
					continue
				}
				toErrors <- fsnotify.ErrEventOverflow
			}
		}
	}()
	return w, nil
}

// smallQueue makes instances with a small kernel queue: the setting is lowered while one is made, and
// then gets back the value it had before the test.
func smallQueue(t *testing.T, size int) func() (*fsnotify.Watcher, error) {
	t.Helper()
	const path = "/proc/sys/fs/inotify/max_queued_events"
	old, err := os.ReadFile(path)
	must(t, err)
	if err := os.WriteFile(path, old, 0); err != nil {
		t.Skipf("max_queued_events cannot be written here: %v", err)
	}
	return func() (*fsnotify.Watcher, error) {
		if err := os.WriteFile(path, fmt.Append(nil, size), 0); err != nil {
			return nil, err
		}
		w, err := newFsnotify()
		if e := os.WriteFile(path, old, 0); e != nil {
			t.Errorf("restore max_queued_events: %v", e)
		}
		return w, err
	}
}

// testChurn changes the tree for length, and longer until met says that what the test is about was met: on a busy
// machine that takes its time.
func testChurn(t *testing.T, backend string, length time.Duration, instance func() (*fsnotify.Watcher, error), met func(Stats) bool) *Watcher {
	seed := *churnSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-churn.seed=%d", seed)
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	mkdir(t, root)
	mkdir(t, filepath.Join(dir, "out"))
	h := newHarness(t, Config{Root: root, Backend: backend})
	if instance != nil {
		h.w.newInstance = instance
	}
	h.run()
	h.await("first emission", func() bool { return h.rootChanges() > 0 })
	r := newReplica(root)

	done, began := make(chan struct{}), time.Now()
	ops := make([]int, 4)
	var writers sync.WaitGroup
	for i := range ops {
		writers.Go(func() { ops[i] = churn(dir, rand.New(rand.NewPCG(seed, uint64(i))), done) })
	}
	for flush := time.NewTicker(20 * time.Millisecond); ; {
		<-flush.C
		r.apply(h.take())
		if over := time.Since(began) - length; over < 0 || met != nil && !met(h.w.Stats()) && over < time.Minute {
			continue
		}
		flush.Stop()
		close(done)
		break
	}
	if s := h.w.Stats(); met != nil && !met(s) {
		t.Errorf("what this is about was not met: %+v", s)
	}
	writers.Wait()
	h.compare(r)
	h.probe()
	h.stop()
	t.Logf("%v operations, %d entries left, %+v", ops, len(r.entries), h.w.Stats())
	t.Log(h.logText())
	return h.w
}

// compare waits for all events and compares. After overflows the last rebuild may still be to come:
// then it waits for it.
func (h *harness) compare(r *replica) {
	h.Helper()
	if h.w.Stats().Overflows == 0 {
		h.settle()
		r.apply(h.take())
	} else {
		h.await("equality", func() bool {
			r.apply(h.take())
			return maps.Equal(r.entries, scan(h.root))
		})
	}
	if h.w.Stats().Overflows > 0 {
		return
	}
	if diff := cmp.Diff(scan(h.root), r.entries); diff != "" {
		h.Errorf("replica differs (-disk +replica):\n%s", diff)
	}
}

// settle is sync where the marker's own event may overflow the queue.
func (h *harness) settle() {
	h.Helper()
	if h.w.Stats().Overflows == 0 {
		h.sync()
		return
	}
	roots, seen := h.rootChanges(), false
	path := filepath.Join(h.root, markerPrefix+"settle")
	h.await("settling", func() bool {
		must(h, os.WriteFile(path, nil, 0o600))
		must(h, os.Remove(path))
		h.mu.Lock()
		seen = h.markers[markerPrefix+"settle"]
		delete(h.markers, markerPrefix+"settle")
		h.mu.Unlock()
		return seen || h.rootChanges() > roots
	})
}

// probe makes a file in every directory; each must be a change. A directory whose events were lost to
// an overflow gets more tries until the rebuild, a blind one never answers.
func (h *harness) probe() {
	h.Helper()
	dirs := []string{"."}
	for path, e := range scan(h.root) {
		if e.Mode.IsDir() {
			dirs = append(dirs, path)
		}
	}
	slices.Sort(dirs)
	h.settle()
	h.take()
	try, deadline := 0, time.Now().Add(10*time.Second)
	for dirs = h.probeOnce(dirs, try); len(dirs) > 0; dirs = h.probeOnce(dirs, try) {
		if h.w.Stats().Overflows == 0 || time.Now().After(deadline) {
			h.Errorf("blind directories: %q", dirs)
			return
		}
		try++
	}
}

func (h *harness) probeOnce(dirs []string, try int) (blind []string) {
	for group := range slices.Chunk(dirs, 8) { // fits the small queue
		for _, d := range group {
			write(h, filepath.Join(h.root, d, fmt.Sprintf("probe-%d", try)), "")
		}
		h.settle()
		changes := h.take()
		for _, d := range group {
			if _, ok := changes[filepath.Join(d, fmt.Sprintf("probe-%d", try))]; !ok {
				blind = append(blind, d)
			}
		}
	}
	return blind
}

// churn changes dir/root, and dir/out beside it, at random until done. Errors are part of it: others
// change the same names. No hard links: a write through one names that one only (inotify(7)).
func churn(dir string, rnd *rand.Rand, done <-chan struct{}) (ops int) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return n
		default:
		}
		p, q := churnPath(dir, rnd), churnPath(dir, rnd)
		switch rnd.IntN(16) {
		case 0, 1, 2:
			_ = os.MkdirAll(p, 0o755)
			_ = os.WriteFile(filepath.Join(p, "f"), fmt.Append(nil, n), 0o644)
		case 3, 4, 5:
			_ = os.WriteFile(p, fmt.Append(nil, n), 0o644)
		case 6:
			_ = rewrite(p)
		case 7, 8:
			_ = os.WriteFile(p+".tmp", fmt.Append(nil, n), 0o644)
			_ = unix.Rename(p+".tmp", p)
		case 9, 10, 11:
			_ = unix.Rename(p, q)
		case 12:
			_ = unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, q, unix.RENAME_EXCHANGE)
		case 13:
			_ = os.Symlink(q, p)
		case 14:
			if rnd.IntN(2) == 0 {
				_ = os.RemoveAll(p)
			}
		case 15:
			_ = os.Chmod(p, fs.FileMode(0o700+rnd.IntN(8)))
		}
	}
}

// churnPath draws one of some thousand paths, the deep ones mostly; one in eight is outside the root.
func churnPath(dir string, rnd *rand.Rand) string {
	p := dir + "/root"
	if rnd.IntN(8) == 0 {
		p = dir + "/out"
	}
	for range 1 + max(rnd.IntN(5), rnd.IntN(5)) {
		p += "/" + string(rune('a'+rnd.IntN(6)))
	}
	return p
}

// entry is what a replica must reproduce.
type entry struct {
	Mode  fs.FileMode
	Mtime int64 // of files
	Text  string
}

// replica is a copy of a tree in memory, kept as somebody would who is told of changes only, and
// who takes equal size and mtime for equal content unless told otherwise.
type replica struct {
	root    string
	entries map[string]entry
}

func newReplica(root string) *replica { return &replica{root: root, entries: make(map[string]entry)} }

func (r *replica) apply(changes map[string]Change) {
	for _, c := range changes {
		r.look(c)
	}
}

func (r *replica) look(c Change) {
	content := c.Content || c.Path == "." // an overflow loses what was told about contents
	onDisk := scanBelow(r.root, c.Path, c.Tree)
	if c.Level {
		r.level(c.Path)
	}
	if c.Tree {
		r.removeMissing(c.Path, onDisk)
	}
	if _, ok := onDisk[c.Path]; !ok && c.Path != "." {
		r.removeMissing(c.Path, nil)
	}
	for path, e := range onDisk {
		old, known := r.entries[path]
		if known && old.Mode == e.Mode && old.Mtime == e.Mtime && len(old.Text) == len(e.Text) && !content {
			continue
		}
		if known && old.Mode.IsDir() && !e.Mode.IsDir() {
			r.removeMissing(path, nil)
		}
		r.entries[path] = e
	}
}

// level looks at the names in a directory.
func (r *replica) level(dir string) {
	names := make(map[string]bool)
	for path := range r.entries {
		names[path] = path != "." && parentOf(path) == dir
	}
	list, _ := os.ReadDir(filepath.Join(r.root, dir)) // gone is empty
	for _, e := range list {
		names[filepath.Join(dir, e.Name())] = true
	}
	for path, is := range names {
		if is {
			r.look(Change{Path: path})
		}
	}
}

// removeMissing drops what is at or below path and not on the disk.
func (r *replica) removeMissing(path string, onDisk map[string]entry) {
	maps.DeleteFunc(r.entries, func(p string, _ entry) bool {
		_, there := onDisk[p]
		return !there && (path == "." || p == path || strings.HasPrefix(p, path+"/"))
	})
}

func scan(root string) map[string]entry { return scanBelow(root, ".", true) }

// scanBelow reads what is at path, and with tree below it.
func scanBelow(root, path string, tree bool) map[string]entry {
	entries := make(map[string]entry)
	for dir := parentOf(path); dir != "."; dir = parentOf(dir) {
		if e, ok := lookAt(filepath.Join(root, dir)); !ok || !e.Mode.IsDir() {
			return entries // a hint may be below what has become a symbolic link
		}
	}
	_ = filepath.WalkDir(filepath.Join(root, path), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // vanished: there will be a change that says so
		}
		rel, _ := filepath.Rel(root, p)
		if e, ok := lookAt(p); ok && rel != "." && !strings.HasPrefix(rel, markerPrefix) {
			entries[rel] = e
		}
		if d.IsDir() && !tree {
			return fs.SkipDir
		}
		return nil
	})
	return entries
}

func lookAt(path string) (entry, bool) {
	st, err := os.Lstat(path)
	if err != nil {
		return entry{}, false
	}
	e := entry{Mode: st.Mode()}
	switch {
	case e.Mode.IsRegular():
		e.Mtime = st.ModTime().UnixNano()
		b, err := os.ReadFile(path)
		e.Text = string(b)
		return e, err == nil
	case e.Mode&fs.ModeSymlink != 0:
		e.Text, err = os.Readlink(path)
	}
	return e, err == nil
}
