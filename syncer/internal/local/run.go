package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

const (
	// workers copy files at once. Creating and renaming wait for the file system's locks more
	// than for a processor: on two processors four are a third faster than two.
	workers = 4
	// stepsAhead is how far the walk may be ahead of the collector.
	stepsAhead = 256
)

// run is one push. The goroutine that calls run.run walks; workers copy; the collector
// owns res and calls the sink.
type run struct {
	t       *Target
	opts    *Options
	src     *source.Tree
	since   int64 // nanoseconds; 0: no such rule
	remover *tree.Remover

	// Owned by the walk.
	content map[string]bool // files whose bytes may differ whatever size and time say
	groups  map[inode]*group
	// disturbed are directories in which something was begun before their turn.
	disturbed map[string]bool
	ahead     *ahead
	spare     *unix.Stat_t
	hollow    map[string]bool // what isHollow found
	rules     *filter.Tree    // the target's
	unruled   map[string]bool // directories whose rules are not known: told
	late      []late          // to be deleted at another time
	left      []*twin         // directories to be left when everything else is done
	listed    report.Stats

	jobs     chan func()
	steps    chan step
	progress chan report.Progress
	health   health
	backups  *backups // nil: none are kept

	// Owned by the collector.
	res     Result
	delayed []delayed

	listedFiles, listedBytes, finished, dealt atomic.Int64 // for Progress alone
}

// step is something the walk did or had a worker do, to be accounted for in order.
type step struct {
	wait <-chan struct{} // nil: it is done
	act  func()
}

func (t *Target) newRun(src *source.Tree, since time.Time) *run {
	r := &run{
		t:         t,
		opts:      &t.opts,
		src:       src,
		content:   map[string]bool{},
		groups:    map[inode]*group{},
		disturbed: map[string]bool{},
		jobs:      make(chan func()),
		steps:     make(chan step, stepsAhead),
		progress:  make(chan report.Progress),
	}
	if !since.IsZero() {
		r.since = since.UnixNano()
	}
	r.readRules()
	r.remover = &tree.Remover{
		Root:         t.root,
		Left:         max(t.opts.MaxDelete, -1),
		DryRun:       t.opts.DryRun,
		Unprivileged: !t.id.super,
		Protected:    r.protected,
		Pinned:       r.pinned,
		Removed:      r.removed,
		Kept:         func(path string) { r.message("cannot delete non-empty directory: "+report.Quote(path), false) },
		Failed: func(path string, err error) {
			if !r.opts.OneFileSystem || !errors.Is(err, tree.ErrMountPoint) { // no error then: delete.c, delete_dir_contents
				r.refused(path, err)
			}
		},
	}
	if t.opts.Backup && !t.opts.DryRun {
		r.backups = &backups{t: t}
		r.remover.Backup = func(parent *tree.Dir, base, path string) (bool, error) {
			return r.backups.take(context.Background(), parent, base, path)
		}
	}
	return r
}

// run walks, and returns when everything that the walk began is done.
func (r *run) run(ctx context.Context, walk func(context.Context)) (Result, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.health.stop = stop
	r.health.readOnly = func() bool { return r.t.root != nil && r.t.root.ReadOnly() }

	var copying, collecting sync.WaitGroup
	for range workers {
		copying.Go(func() {
			for job := range r.jobs {
				job()
			}
		})
	}
	collecting.Go(r.collect)
	r.begin()
	walk(ctx)
	if r.backups != nil {
		defer r.backups.close()
	}
	close(r.jobs)
	close(r.steps)
	copying.Wait()
	collecting.Wait()

	r.res.Stats.Add(r.listed)
	r.res.DeletesHeld = r.remover.Held
	if !r.opts.DryRun {
		r.t.isNew = false
	}
	if ctx.Err() != nil {
		return r.res, context.Cause(ctx)
	}
	if n := r.health.untried.Load(); n > 0 {
		return r.res, fmt.Errorf("target is full, %d files were not tried: %w", n, r.health.fullness())
	}
	return r.res, nil
}

// collect accounts for one step after the other, as the walk ordered them.
func (r *run) collect() {
	for s := range r.steps {
		for wait := s.wait; wait != nil; {
			select {
			case <-wait:
				wait = nil
			case p := <-r.progress:
				r.tell(p)
			}
		}
		s.act()
	}
}

// then has the collector do act after all that the walk did before.
func (r *run) then(act func()) { r.steps <- step{act: act} }

// start has a worker do job, and the collector do act when its turn comes.
func (r *run) start(ctx context.Context, job, act func()) {
	done := make(chan struct{})
	select {
	case r.jobs <- func() { defer close(done); job() }:
		r.steps <- step{wait: done, act: act}
	case <-ctx.Done():
	}
}

// problem notes what could not be brought over because of the source.
func (r *run) problem(path string, err error) {
	r.then(func() { r.failed(path, err) })
}

// refused notes what could not be brought over because of the target.
func (r *run) refused(path string, err error) {
	r.health.failure(err)
	r.problem(path, err)
}

// failed is problem for the collector.
func (r *run) failed(path string, err error) {
	r.res.Problems = append(r.res.Problems, report.Problem{Path: path, Err: err})
}

func (r *run) message(text string, isError bool) {
	if tell := r.opts.Sink.Message; tell != nil {
		r.then(func() { tell(text, isError) })
	}
}

// item reports a change, if the flags are one.
func (r *run) item(e *flist.Entry, flags int) {
	if isChange(flags) {
		it := itemOf(e, flags)
		r.then(func() { r.changed(it) })
	}
}

// changed is item for the collector.
func (r *run) changed(it report.Item) {
	r.res.Stats.Changed++
	if tell := r.opts.Sink.Item; tell != nil {
		tell(it)
	}
}

// removed accounts for a deleted name.
func (r *run) removed(path string, mode uint32) {
	r.health.success() // there is room again
	it := report.Item{Flags: report.Deleted, Mode: mode, Name: path, Local: true}
	r.then(func() {
		r.res.Stats.Deleted++
		if tell := r.opts.Sink.Item; tell != nil {
			tell(it)
		}
	})
}

// count adds a listed name to the statistics.
func (r *run) count(e *flist.Entry) {
	switch {
	case e.IsDir():
		r.listed.Dirs++
	case e.IsRegular():
		r.listed.Files++
		r.listed.TotalSize += e.Size
		r.listedFiles.Add(1)
		r.listedBytes.Add(e.Size)
	case e.IsSymlink():
		r.listed.Links++
		r.listed.TotalSize += int64(len(e.Link())) // as rsync does
	case e.IsDevice():
		r.listed.Devices++
	default:
		r.listed.Specials++
	}
}

// tell completes p and hands it to the sink.
func (r *run) tell(p report.Progress) {
	if r.opts.Sink.Progress == nil {
		return
	}
	p.Files = r.finished.Load()
	p.FilesLeft = max(r.listedFiles.Load()-p.Files, 0)
	p.Bytes = r.dealt.Load()
	p.AllBytes = r.listedBytes.Load()
	r.opts.Sink.Progress(p)
}
