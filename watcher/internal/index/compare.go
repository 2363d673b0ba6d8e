package index

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Scan is what a Compare looked at.
type Scan struct {
	Entries, Dirs int // looked at; listed

	// Unreadable are directories that could not be listed, or in which entries could not be looked
	// at. What the index held there it holds still, and nothing was reported gone.
	Unreadable []string

	// Unsettled are entries, at most 4096, that may change again without looking different (a clock
	// that ticks coarsely stamps what changes): they are recorded as unknown. Look at them once more
	// after some 20 ms, or 2 s where the filesystem keeps whole seconds.
	Unsettled []string
}

// Compare looks at what is at and below path ("." is all), calls differs for what is not as the index
// holds it, and makes the index what the disk is. Where a directory above path is not the one the
// index holds, that one is compared instead. A nil differs wants no reports: the first
// Compare builds the index. Differs is called by Compare's own goroutine, one difference at a time, in no
// order; while it does not return, the walk stands still before long.
//
// Pace, if not nil, is called by several goroutines with the number of entries just looked at,
// after each directory or part of a large one, and may sleep. When ctx is done, entries not
// reached keep their records, all that was found is reported, and the error is ctx's. A root
// that is not there is an error, too, and changes nothing.
func (x *Index) Compare(ctx context.Context, path string, pace func(entries int), differs func(Difference)) (Scan, error) {
	if !validPath(path) {
		return Scan{}, fmt.Errorf("compare %q: not a path below the root", path)
	}
	w := &walk{x: x, pace: pace, reports: make(chan []Difference)}
	if differs == nil {
		w.quiet = true
		differs = func(Difference) {}
	}
	if err := w.open(); err != nil {
		return Scan{}, err
	}
	defer unix.Close(w.root)
	first, ok, err := w.begin(path, differs)
	if err != nil {
		return w.scan, err
	}
	if ok {
		w.run(ctx, first, differs)
	}
	return w.scan, ctx.Err()
}

// walk is one Compare.
type walk struct {
	x     *Index
	root  int // descriptor
	dev   uint64
	st    unix.Stat_t // of the root
	now   time.Time   // before that
	pace  func(int)
	quiet bool

	*queue
	reports chan []Difference
	scan    Scan
}

// open opens the root.
func (w *walk) open() error {
	fd, err := openRoot(w.x.cfg.Root)
	if err != nil {
		return err
	}
	w.now = w.x.cfg.Now()
	if err := stat(fd, &w.st); err != nil {
		unix.Close(fd)
		return fmt.Errorf("look at root %q: %w", w.x.cfg.Root, err)
	}
	w.root, w.dev = fd, uint64(w.st.Dev)
	return nil
}

// run lists first and all below it with some workers, and reports what they find.
func (w *walk) run(ctx context.Context, first task, differs func(Difference)) {
	w.queue = newQueue()
	w.working = 1
	workers := make([]*worker, w.x.cfg.Workers)
	var wg sync.WaitGroup
	for i := range workers {
		workers[i] = newWorker(w)
		t := &first
		if i > 0 {
			t = nil
		}
		wg.Go(func() { workers[i].run(ctx, t) })
	}
	go func() { wg.Wait(); close(w.reports) }()
	for list := range w.reports {
		for _, d := range list {
			differs(d)
		}
	}
	for _, k := range workers {
		w.add(k)
	}
}

// add puts what a worker saw into the result.
func (w *walk) add(k *worker) {
	w.scan.Entries += k.look.entries
	w.scan.Dirs += k.dirs
	w.scan.Unreadable = append(w.scan.Unreadable, k.unreadable...)
	w.unsettled(k.look.unsettled)
}

func (w *walk) unsettled(paths []string) {
	n := min(len(paths), maxUnsettled-len(w.scan.Unsettled))
	w.scan.Unsettled = slices.Concat(w.scan.Unsettled, paths[:n])
}
