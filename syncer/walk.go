package syncer

import (
	"context"
	"io"
	"sync"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

// walkAhead is how many directories are read before the peer wants them: reading and sending
// take turns no longer than it takes to read a large one.
const walkAhead = 64

// walk lists a whole source while it is pushed.
type walk struct {
	src    *source.Tree
	top    flist.Entry
	job    job
	hollow hollow
	list   lister // what Whole gathered

	dirs    chan sender.Dir
	walking sync.WaitGroup
	stop    context.CancelFunc
	err     error // why dirs ended
}

// Begin is sender.Walk's. Directories are read ahead by a goroutine that lasts until close.
func (w *walk) Begin(ctx context.Context) error {
	w.close()
	w.list = lister{}
	dirs := make(chan sender.Dir, walkAhead)
	ctx, w.stop = context.WithCancel(ctx)
	w.dirs = dirs
	w.walking.Go(func() {
		defer close(dirs)
		w.err = w.src.Descend(ctx, w.top, w.visit(ctx), func(p report.Problem) { w.list.problems = append(w.list.problems, p) })
	})
	return nil
}

// Next is sender.Walk's.
func (w *walk) Next(context.Context) (sender.Dir, error) {
	d, ok := <-w.dirs
	switch {
	case ok:
		return d, nil
	case w.err != nil:
		return sender.Dir{}, w.err
	}
	return sender.Dir{}, io.EOF
}

func (w *walk) visit(ctx context.Context) source.Visit {
	return func(dir flist.Entry, entries []flist.Entry, partial bool) error {
		for i := range entries {
			w.job.mark(&entries[i])
		}
		select {
		case w.dirs <- sender.Dir{Self: dir, Entries: entries, Broken: partial}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Whole is sender.Walk's.
func (w *walk) Whole(ctx context.Context) (sender.List, error) {
	w.list = lister{src: w.src, prune: w.job.prune, since: w.job.since, hollow: w.hollow}
	if err := w.list.tree(ctx, w.top); err != nil {
		return sender.List{}, err
	}
	return sender.NewList(w.list.entries), nil
}

// close ends the goroutine; the problems of reading are complete then.
func (w *walk) close() []Problem {
	if w.stop != nil {
		w.stop()
		w.walking.Wait()
	}
	return w.list.problems
}
