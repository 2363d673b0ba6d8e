package local

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// regular brings over the regular file e, or hands it to a worker. have is the regular
// file that stands at base.
func (r *run) regular(ctx context.Context, w *twin, e *flist.Entry, base string, have *unix.Stat_t, do verdict) {
	if do == keep && r.keep(w, e, base, have) {
		r.spare = have // nobody else has it
		r.dropStale(w, base)
		r.finished.Add(1)
		r.dealt.Add(e.Size)
		return
	}
	f := &file{run: r, w: w, entry: *e, base: base, have: have,
		compare: do == compare, group: r.groupOf(e), listed: inodeOf(e)}
	r.touch(w)
	r.start(ctx, func() { f.bring(ctx) }, f.account)
}

// file is a regular file in the hands of a worker.
type file struct {
	run     *run
	w       *twin
	entry   flist.Entry // as listed; once it is open, as opened
	base    string
	have    *unix.Stat_t
	compare bool // content decides
	group   *group
	listed  inode

	// What came of it, for account.
	problem  error // the source's
	refusal  error // the target's
	lacks    error // attributes that could not be set: it is in its place all the same
	untried  bool  // the push ended, or the target is full
	differed bool  // its data had to be copied
	changed  bool  // it changed while it was read
	staged   bool  // it waits in --partial-dir for the end of the push
	copied   int64
	flight   *report.Flight
	told     int64 // bytes of it that run.dealt holds
	flags    int
}

// account is the collector's part.
func (f *file) account() {
	r, s := f.run, &f.run.res.Stats
	f.settle()
	r.finished.Add(1)
	r.dealt.Add(f.entry.Size - f.told)
	switch {
	case f.untried:
		return
	case f.problem != nil:
		r.failed(f.entry.Name, f.problem)
		return
	case f.refusal != nil:
		r.failed(f.entry.Name, f.refusal)
		return
	}
	if f.lacks != nil {
		r.failed(f.entry.Name, f.lacks)
	}
	if f.differed {
		s.Transferred++
		s.TransferredSize += f.entry.Size
		s.Literal += f.copied
		if f.have == nil {
			s.Created++
		}
	}
	if f.staged {
		r.delayed = append(r.delayed, delayed{w: f.w, base: f.base, group: f.group})
	}
	if f.changed {
		r.res.Changed = append(r.res.Changed, f.entry.Name)
	}
	if isChange(f.flags) {
		r.changed(itemOf(&f.entry, f.flags))
	}
}

// bring is the worker's part: the whole way from open to rename.
func (f *file) bring(ctx context.Context) {
	if ctx.Err() != nil || !f.run.opts.DryRun && f.run.health.hopeless() {
		f.untried = true
		return
	}
	src, now, err := f.run.src.Open(f.entry.Name)
	if err != nil {
		f.problem = err
		return
	}
	defer src.Close()
	now.Flags, now.Extra = f.entry.Flags, f.entry.Extra
	f.entry = now
	if f.compare && f.have.Size == now.Size {
		same, err := f.sameContent(ctx, src)
		if err != nil {
			f.fail(ctx, err)
			return
		}
		if same {
			f.keep(ctx, src)
			return
		}
	}
	f.copy(ctx, src)
}

// sameContent compares the source with what stands on the target, and leaves src at
// its beginning.
func (f *file) sameContent(ctx context.Context, src *beneath.File) (bool, error) {
	if f.w.dir == nil {
		return false, nil
	}
	fd, err := f.w.dir.OpenFile(f.base)
	if err != nil {
		return false, nil // what cannot be read is written anew
	}
	defer unix.Close(fd)
	same, err := f.run.t.copier.Same(ctx, src.Fd(), fd, f.entry.Size)
	if same || err != nil {
		return same, err
	}
	if err := src.Rewind(); err != nil {
		return false, fmt.Errorf("%w: %w", tree.ErrSource, err)
	}
	return false, nil
}

// keep leaves the target's data and brings its attributes in line.
func (f *file) keep(ctx context.Context, src *beneath.File) {
	want, flags, err := f.run.plan(f.w.dir, f.base, &f.entry, f.have, 0)
	if err == nil && f.run.splits(&f.entry, f.have, want) {
		if err = src.Rewind(); err == nil {
			f.copy(ctx, src)
			return
		}
	}
	f.flags = flags
	if f.changed = err == nil && f.differsNow(src); f.changed {
		want.Times = false
	}
	f.run.dropPartial(f.w, f.base)
	if err != nil {
		f.fail(ctx, err)
		return
	}
	if f.run.opts.DryRun {
		return
	}
	if f.lacks = f.w.dir.SetAttrs(f.base, f.afterReading(), want); f.lacks == nil {
		f.lacks = f.run.syncAttrs(f.w, &f.entry, f.base, flags)
	}
	if f.lacks != nil {
		f.run.health.failure(f.lacks)
	}
}

// copy replaces the target's file.
func (f *file) copy(ctx context.Context, src *beneath.File) {
	r := f.run
	if f.appends() && f.have.Size >= f.entry.Size {
		f.untried = true // there is nothing to append, and what is there is not looked at
		return
	}
	f.differed = true
	done := report.Transfer
	if r.opts.Checksum || f.compare {
		done |= report.ReportChange
	}
	want, flags, err := r.plan(f.w.dir, f.base, &f.entry, f.have, done)
	f.flags = flags
	if err != nil {
		f.fail(ctx, err)
		return
	}
	if r.opts.DryRun {
		return
	}
	f.flight = r.opts.Sink.Meter.Begin(f.entry.Name, f.entry.Size)
	defer f.flight.End()
	if err := f.write(ctx, src, &want); err != nil {
		f.fail(ctx, err)
		return
	}
	if grains := &r.t.grains; !f.staged && !grains.knows(f.w.dir.Dev()) {
		if st, err := f.w.dir.Lstat(f.base); err == nil {
			grains.learn(want, &st)
		}
	}
	if f.lacks == nil {
		r.health.success()
	} else {
		r.health.failure(f.lacks)
	}
	f.tell(f.copied)
}

// differsNow says whether src is no longer what it was when it was opened.
func (f *file) differsNow(src *beneath.File) bool {
	now, err := f.run.src.Fstat(src, f.entry.Name)
	return err != nil || !f.entry.SameVersion(&now)
}

// tell reports progress, if the collector has time for it.
func (f *file) tell(done int64) {
	f.flight.Reach(done)
	if f.run.opts.Sink.Progress == nil {
		return
	}
	f.run.dealt.Add(done - f.told)
	f.told = done
	select {
	case f.run.progress <- report.Progress{File: f.entry.Name, Done: done, Total: f.entry.Size}:
	default:
	}
}

// fail notes whose fault err is.
func (f *file) fail(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
		f.untried = true
	case errors.Is(err, tree.ErrSource):
		f.problem = err
	default:
		f.refusal = err
		f.run.health.failure(err)
	}
}
