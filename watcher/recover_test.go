package watcher

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap/zapcore"
)

// loser makes instances that say they lost events when a test wants them to.
type loser struct{ newest atomic.Pointer[chan int] }

func (l *loser) instance() (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	times, from, to := make(chan int), w.Errors, make(chan error)
	w.Errors = to
	go func() {
		defer close(to)
		for {
			select {
			case err, ok := <-from:
				if !ok {
					return
				}
				to <- err
			case n := <-times:
				for range n {
					to <- fsnotify.ErrEventOverflow
				}
			}
		}
	}()
	l.newest.Store(&times)
	return w, nil
}

// overflow has the instance that was made last lose events so many times in a row.
func (l *loser) overflow(times int) { *l.newest.Load() <- times }

// startLosing starts a watcher whose comparisons can be held up, and waits for its index.
func startLosing(t *testing.T) (h *harness, l *loser, slow *slowName) {
	root := t.TempDir()
	write(t, root+"/"+slowPrefix, "")
	l, slow = new(loser), &slowName{met: make(chan struct{}, 1), pass: make(chan struct{})}
	h = newHarness(t, Config{Root: root, Excluded: slow.excluded})
	h.w.newInstance = l.instance
	h.run()
	h.await("index", func() bool { return h.w.Stats().Indexed })
	slow.armed.Store(true)
	return h, l, slow
}

// slowName is a file at which a comparison stops until it is let pass: the watcher itself asks for
// directories only, unless there are events.
type slowName struct {
	armed     atomic.Bool
	met, pass chan struct{}
}

const slowPrefix = "slow"

func (s *slowName) excluded(path string, _ bool) bool {
	if s.armed.Load() && strings.HasPrefix(path, slowPrefix) {
		s.met <- struct{}{}
		<-s.pass
	}
	return false
}

// TestOverflowTwice: however soon a second overflow comes after the first, everything is looked at no more than
// once for it.
func TestOverflowTwice(t *testing.T) {
	t.Parallel()
	t.Run("before the answer", func(t *testing.T) {
		t.Parallel()
		h, l, slow := startLosing(t)
		l.overflow(2)
		<-slow.met
		slow.pass <- struct{}{}
		h.await("comparison", func() bool { return h.w.Stats().Comparisons == 1 })
		quietAfter(h, 1)
	})
	t.Run("during the answer", func(t *testing.T) {
		t.Parallel()
		h, l, slow := startLosing(t)
		l.overflow(1)
		<-slow.met
		l.overflow(1)
		h.await("second overflow", func() bool { return h.w.Stats().Overflows == 2 })
		l.overflow(1)
		h.await("third overflow", func() bool { return h.w.Stats().Overflows == 3 })
		slow.pass <- struct{}{}
		<-slow.met
		slow.pass <- struct{}{}
		h.await("second comparison", func() bool { return h.w.Stats().Comparisons == 2 })
		quietAfter(h, 2)
	})
}

// quietAfter checks that as many answers were given, and no more.
func quietAfter(h *harness, want uint64) {
	h.Helper()
	h.sync()
	s := h.w.Stats()
	if s.Comparisons != want || s.Rebuilds != want || s.Overflows != want+1 {
		h.Errorf("want %d comparisons for %d overflows, got %+v\n%s", want, want+1, s, h.logText())
	}
}

// TestOverflowCompared: after an overflow, what differs is told, and nothing else.
func TestOverflowCompared(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for i := range 20 {
		mkdir(t, fmt.Sprintf("%s/d%d/e", root, i))
		for k := range 20 {
			write(t, fmt.Sprintf("%s/d%d/e/f%d", root, i, k), "one")
		}
	}
	h, gate := startGated(t, Config{Root: root})
	overflow(h, gate)
	// These events are lost. A rewrite that keeps size and mtime shows in the ctime.
	st, err := os.Stat(root + "/d1/e/f1")
	must(t, err)
	write(t, root+"/d1/e/f1", "two")
	must(t, os.Chtimes(root+"/d1/e/f1", st.ModTime(), st.ModTime()))
	must(t, os.Remove(root+"/d2/e/f2"))
	must(t, os.Rename(root+"/d3/e", root+"/d3/new"))
	must(t, os.Chmod(root+"/d4/e/f4", 0o600))
	mkdir(t, root+"/d5/made/deep")
	h.await("comparison", func() bool { return h.w.Stats().Comparisons > 0 })
	h.sync()
	got := h.take()
	for _, want := range []Change{
		{Path: "d1/e/f1", Content: true}, {Path: "d2/e/f2"}, {Path: "d3/e", Tree: true}, {Path: "d3/new", Tree: true},
		{Path: "d4/e/f4"}, {Path: "d5/made", Tree: true},
	} {
		c, ok := got[want.Path]
		if !ok || want.Tree && !c.Tree || want.Content && !c.Content {
			t.Errorf("%+v is missing, got %+v", want, c)
		}
	}
	for _, no := range []string{".", "d6", "d1/e/f2", "d7/e/f1"} {
		if c, ok := got[no]; ok && (c.Tree || no != ".") {
			t.Errorf("%+v is told, and did not change", c)
		}
	}
	if s := h.w.Stats(); s.Comparisons != 1 || s.Rebuilds != 1 {
		t.Errorf("want one rebuild and one comparison, got %+v", s)
	}
	if got := h.logged(zapcore.InfoLevel, "tree compared"); len(got) != 1 {
		t.Errorf("want a line about it, got:\n%s", h.logText())
	}
}

// TestOverflowUnindexed: without an index the root is the change.
func TestOverflowUnindexed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h, gate := startGated(t, Config{Root: root, NoIndex: true})
	overflow(h, gate)
	h.await("the root's change", func() bool { return h.has(Change{Path: ".", Tree: true}) })
	if s := h.w.Stats(); s.Indexed || s.Comparisons != 0 {
		t.Errorf("an index is used: %+v", s)
	}
}
