package watcher

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

var barrierRounds = flag.Int("barrier.rounds", 200, "how many barriers each TestBarrier waits for")

// TestBarrier waits, while others change the tree, after each change of its own until the barrier has passed: then that
// change has been emitted, whatever else was going on, and also where events were lost.
func TestBarrier(t *testing.T) {
	t.Run("inotify", func(t *testing.T) {
		t.Parallel()
		testBarrier(t, newHarness(t, Config{Root: t.TempDir()}), *barrierRounds, 0)
	})
	t.Run("fanotify", func(t *testing.T) {
		needFanotify(t)
		t.Parallel()
		testBarrier(t, newHarness(t, Config{Root: t.TempDir(), Backend: BackendFanotify}), *barrierRounds, 0)
	})
	t.Run("overflow", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t, Config{Root: t.TempDir()})
		h.w.newInstance = forgetful
		testBarrier(t, h, *barrierRounds/20, 2)
	})
}

// testBarrier goes on for as many rounds, and until events were lost so often.
func testBarrier(t *testing.T, h *harness, rounds int, losses uint64) {
	h.run()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var writing sync.WaitGroup
	writers, stop := context.WithCancel(ctx)
	defer writing.Wait()
	defer stop()
	for i := range 3 {
		writing.Go(func() { scribble(writers, filepath.Join(h.root, fmt.Sprint("writer", i))) })
	}
	for i := 0; i < rounds || h.w.Stats().Overflows < losses; i++ {
		dir := fmt.Sprintf("round%d", i)
		name := []string{dir + "/new/file", dir}[i%2] // also what is in a directory that is not watched yet
		path := filepath.Join(h.root, name)
		h.take()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := h.w.Barrier(ctx); err != nil {
			t.Fatalf("barrier %d: %v; %+v", i, err, h.w.Stats())
		}
		if told := h.take(); !isTold(told, name) {
			t.Fatalf("the barrier has passed, and %q was not emitted; %d others were", name, len(told))
		}
	}
}

// isTold says whether a change covers a name.
func isTold(told map[string]Change, name string) bool {
	if _, ok := told[name]; ok {
		return true
	}
	return anyAbove(name, func(p string) bool { return told[p].Tree })
}

// scribble makes, rewrites and removes files until ctx is done.
func scribble(ctx context.Context, dir string) {
	for n := 0; ctx.Err() == nil; n++ {
		sub := filepath.Join(dir, fmt.Sprint(n/100%5))
		_ = os.MkdirAll(sub, 0o755) // the tree may be on its way out at the end
		_ = os.WriteFile(filepath.Join(sub, fmt.Sprint(rand.IntN(50))), nil, 0o644)
		if n%1000 == 999 {
			_ = os.RemoveAll(sub)
		}
		time.Sleep(time.Millisecond) // a rate, not a wait
	}
}

// forgetful drops some events now and then, and tells so where they would have been, as the kernel's queue does.
func forgetful() (*fsnotify.Watcher, error) {
	w, err := newFsnotify()
	if err != nil {
		return nil, err
	}
	events, errs := w.Events, w.Errors
	toEvents, toErrors := make(chan fsnotify.Event), make(chan error)
	w.Events, w.Errors = toEvents, toErrors
	go func() {
		defer close(toEvents)
		defer close(toErrors)
		for left := 40; ; left-- {
			select {
			case e, ok := <-events:
				switch {
				case !ok:
					return
				case left > 0:
					toEvents <- e
				case left == 0:
					toErrors <- fsnotify.ErrEventOverflow
				case left < -50:
					left = 400
				}
			case err, ok := <-errs:
				if !ok {
					return
				}
				toErrors <- err
			}
		}
	}()
	return w, nil
}

// A place that is mounted twice is watched at one of both and compared at the other: a barrier waits for the comparison.
func TestBarrierPolled(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	point := filepath.Join(root, "b")
	if err := unix.Mount(filepath.Join(root, "a"), point, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("bind mounts are not allowed here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
	h := start(t, Config{Root: root, PollInterval: time.Hour})
	for i := range 10 {
		h.take()
		name := fmt.Sprint("file", i)
		if err := os.WriteFile(filepath.Join(root, "a", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := h.w.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if told := h.take(); !isTold(told, "a/"+name) || !isTold(told, "b/"+name) {
			t.Fatalf("the barrier has passed, and not both names of %s were emitted: %v; %+v", name, told, h.w.Stats())
		}
		if i == 4 {
			h.await("the index", func() bool { return h.w.Stats().Indexed })
		}
	}
}

// While the root is absent there is nothing to wait for.
func TestBarrierAbsent(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	h := newHarness(t, Config{Root: root})
	h.run()
	if err := h.w.Barrier(t.Context()); !errors.Is(err, ErrAbsent) {
		t.Errorf("error %v, want ErrAbsent", err)
	}
	if s := h.w.Stats(); s.Absent == "" {
		t.Errorf("stats do not say that the root is absent: %+v", s)
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	h.await("the root", func() bool { return h.rootChanges() > 0 })
	if err := h.w.Barrier(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.stop()
	if err := h.w.Barrier(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v once all has ended, want the context's", err)
	}
}
