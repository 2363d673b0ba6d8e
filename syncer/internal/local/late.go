package local

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
)

// late are names in one directory that are to be deleted when their time comes.
type late struct {
	w     *twin
	names []string
}

func (r *run) remember(w *twin, names []string) {
	if len(names) > 0 {
		r.late = append(r.late, late{w, names})
	}
}

// before does what comes before the walk over tops and the deletion of missing: with
// --delete-before, everything is found before anything is deleted.
func (r *run) before(ctx context.Context, tops []flist.Entry, missing []string) {
	if !r.opts.Delete || r.opts.DeleteWhen != option.Before {
		return
	}
	for _, name := range missing {
		w := &twin{entry: flist.Entry{Name: path.Dir(name)}}
		r.late = append(r.late, late{w, []string{name}})
	}
	for _, e := range tops {
		r.pass(ctx, e)
	}
	r.deleteLate(ctx)
}

// after does what comes when all files are there: what was delayed, deletions, and last the
// times of the directories that it changed.
func (r *run) after(ctx context.Context, tops []flist.Entry) {
	if r.postpones() {
		r.settle()
	}
	if r.opts.DelayUpdates {
		r.then(func() { r.placeDelayed(ctx) })
		r.settle()
	}
	if r.opts.Delete && r.opts.DeleteWhen == option.After {
		r.readRules() // files of rules came with the push
		for _, e := range tops {
			r.pass(ctx, e)
		}
	}
	r.deleteLate(ctx)
	for _, w := range r.left {
		r.leaveNow(w)
	}
}

// postpones says whether directories change once more after the walk left them.
func (r *run) postpones() bool {
	return r.opts.DelayUpdates || r.opts.Delete && (r.opts.DeleteWhen == option.Delay || r.opts.DeleteWhen == option.After)
}

// settle waits until all that the walk began is done and accounted for.
func (r *run) settle() {
	done := make(chan struct{})
	r.then(func() { close(done) })
	<-done
}

// pass finds what is extraneous in the twin of e, a directory, and below it. What cannot be
// read is the walk's to tell.
func (r *run) pass(ctx context.Context, e flist.Entry) {
	if ctx.Err() != nil || r.t.root == nil {
		return
	}
	l := list(r.src, e.Name)
	entries, complete, err := r.judge(&l, func(string, error) {})
	if err != nil {
		return
	}
	w := r.revisit(e)
	if w == nil {
		return // there is nothing yet
	}
	entries = r.withoutHollow(entries)
	if complete && r.prunes(w) {
		if names, err := r.names(w); err != nil {
			r.refused(e.Name, err)
		} else {
			r.remember(w, r.extraneous(w, entries, names))
		}
	}
	w.dir.Close()
	if w.restore {
		r.left = append(r.left, w)
	}
	for _, d := range entries {
		if d.IsDir() {
			r.pass(ctx, d)
		}
	}
}

// revisit opens the twin of e as it stands; nil: there is none.
func (r *run) revisit(e flist.Entry) *twin {
	at, base, err := r.t.holder(e.Name)
	if err != nil {
		return nil
	}
	defer at.Close()
	have, err := at.Lstat(base)
	if err != nil || have.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	w := &twin{entry: e, isPart: true, want: r.t.attrs(&e, &have)}
	if !r.t.id.super && !r.opts.DryRun {
		w.restore, _ = at.MakeUsable(base) // opening it will tell
	}
	if w.dir, err = at.Open(base); err != nil {
		r.refused(e.Name, err)
		return nil
	}
	return w
}

// deleteLate deletes what was remembered.
func (r *run) deleteLate(ctx context.Context) {
	for _, l := range r.late {
		if ctx.Err() != nil || r.t.root == nil {
			break
		}
		w := l.w
		w.writable = false
		r.touch(w) // it was left, with the mode that it is to have
		var err error
		w.dir, err = r.t.root.Open(w.entry.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP):
			continue // it went with another
		case err != nil:
			r.refused(w.entry.Name, err)
			continue
		}
		r.removeAll(ctx, w, l.names)
		w.dir.Close()
		w.dir = nil
		switch {
		case r.opts.DeleteWhen != option.Before:
			r.leaveNow(w) // the walk comes by again after a deletion before
		case r.opts.Fsync:
			r.sync(w)
		}
	}
	r.late = nil
}
