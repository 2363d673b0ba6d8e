package syncer

import (
	"context"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/sender"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
)

const (
	// dirsAhead and entriesAhead bound what is read before the peer wants it: enough that reading
	// does not wait for sending, nor sending for reading, and little enough to be held.
	dirsAhead    = 1_000
	entriesAhead = 10_000
)

// walk lists a whole source while it is pushed.
type walk struct {
	src    *source.Tree
	top    flist.Entry
	job    job
	hollow hollow
	list   lister // what Whole gathered

	dirs    chan sender.Dir
	room    *semaphore.Weighted // in entries
	walking sync.WaitGroup
	stop    context.CancelFunc
	err     error         // why dirs ended
	later   []flist.Entry // directories that could not be read whole, not listed for now
}

// Begin is sender.Walk's. Directories are read ahead by a goroutine that lasts until close.
func (w *walk) Begin(ctx context.Context, ready func()) error {
	w.close()
	w.list, w.later, w.err = lister{}, nil, nil
	dirs := make(chan sender.Dir, dirsAhead)
	ctx, w.stop = context.WithCancel(ctx)
	w.dirs, w.room = dirs, semaphore.NewWeighted(entriesAhead)
	w.walking.Go(func() {
		defer ready()
		defer close(dirs)
		w.err = w.src.Descend(ctx, w.top, w.visit(ctx, ready), func(p report.Problem) { w.list.problems = append(w.list.problems, p) })
	})
	return nil
}

// Next is sender.Walk's.
func (w *walk) Next(context.Context) (sender.Dir, error) {
	select {
	case d, ok := <-w.dirs:
		switch {
		case ok:
			w.room.Release(roomOf(d.Entries))
			return d, nil
		case w.err != nil:
			return d, w.err
		}
		return d, io.EOF
	default:
		return sender.Dir{}, sender.ErrNotYet
	}
}

func roomOf(entries []flist.Entry) int64 { return int64(min(len(entries), entriesAhead)) }

func (w *walk) visit(ctx context.Context, ready func()) source.Visit {
	return func(dir flist.Entry, entries []flist.Entry, partial bool) error {
		if partial && w.job.prune {
			// The peer prunes what it has a list for, unless it was told not to when it heard of
			// the directory, which was too early for all but the first.
			if dir.Name != w.top.Name {
				w.later = append(w.later, dir)
				return fs.SkipDir
			}
			setPartial(&dir)
		}
		for i := range entries {
			w.job.mark(&entries[i])
		}
		if err := w.room.Acquire(ctx, roomOf(entries)); err != nil {
			return context.Cause(ctx)
		}
		select {
		case w.dirs <- sender.Dir{Self: dir, Entries: entries}:
			ready()
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Whole is sender.Walk's.
func (w *walk) Whole(ctx context.Context) (sender.List, error) {
	w.close()
	w.later = nil
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
