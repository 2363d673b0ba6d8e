package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// regular brings over the regular file e, or hands it to a worker. have is the regular
// file that stands at base.
func (r *run) regular(ctx context.Context, w *twin, e flist.Entry, base string, have *unix.Stat_t) {
	suspect := r.content[e.Name] || e.Flags&flist.Content != 0 || r.since != 0 && e.Ctime >= r.since
	// A file that the plan names below one of its trees is dealt with when the tree is.
	delete(r.content, e.Name)

	sameSize := have != nil && have.Size == e.Size
	quick := sameSize && r.t.grains.same(&e, have)
	if quick && !suspect && !r.opts.Checksum {
		r.keep(w, &e, base, have)
		r.finished.Add(1)
		r.dealt.Add(e.Size)
		return
	}
	f := &file{run: r, w: w, entry: e, base: base, have: have,
		compare: sameSize && r.opts.Checksum || quick && suspect}
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

	// What came of it, for account.
	problem  error // the source's
	refusal  error // the target's
	untried  bool  // the push ended, or the target is full
	differed bool  // its data had to be copied
	changed  bool  // it changed while it was read
	copied   int64
	told     int64 // bytes of it that run.dealt holds
	flags    int
}

// account is the collector's part.
func (f *file) account() {
	r, s := f.run, &f.run.res.Stats
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
	if f.differed {
		s.Transferred++
		s.TransferredSize += f.entry.Size
		s.Literal += f.copied
		if f.have == nil {
			s.Created++
		}
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
	src, err := f.run.src.Open(f.entry.Name)
	if err != nil {
		f.problem = err
		return
	}
	defer src.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		f.problem = fmt.Errorf("fstat: %w", err)
		return
	}
	f.entry = flist.FromStat(f.entry.Name, &st)
	if f.compare && f.have.Size == st.Size {
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
	f.copy(ctx, src, st.Dev)
}

// sameContent compares the source with what stands on the target, and leaves src at
// its beginning.
func (f *file) sameContent(ctx context.Context, src *os.File) (bool, error) {
	if f.w.dir == nil {
		return false, nil
	}
	fd, err := f.w.dir.OpenFile(f.base)
	if err != nil {
		return false, nil // what cannot be read is written anew
	}
	defer unix.Close(fd)
	same, err := f.run.t.copier.Same(ctx, int(src.Fd()), fd, f.entry.Size)
	if same || err != nil {
		return same, err
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return false, fmt.Errorf("%w: %w", tree.ErrSource, err)
	}
	return false, nil
}

// keep leaves the target's data and brings its attributes in line.
func (f *file) keep(ctx context.Context, src *os.File) {
	want := f.run.t.attrs(&f.entry, f.have)
	f.flags = f.run.t.flags(&f.entry, f.have, want, 0)
	if f.changed = f.differsNow(src); f.changed {
		want.Times = false
	}
	if f.run.opts.DryRun {
		return
	}
	if err := f.w.dir.SetAttrs(f.base, f.have, want); err != nil {
		f.fail(ctx, err)
	}
}

// copy replaces the target's file.
func (f *file) copy(ctx context.Context, src *os.File, srcDev uint64) {
	r := f.run
	want := r.t.attrs(&f.entry, f.have)
	f.differed = true
	f.flags = report.Transfer
	if r.opts.Checksum || f.compare {
		f.flags |= report.ReportChange
	}
	f.flags = r.t.flags(&f.entry, f.have, want, f.flags)
	if r.opts.DryRun {
		return
	}
	err := f.w.dir.WriteFile(f.base, &want, func(dst int) error {
		var err error
		f.copied, err = r.t.copier.Copy(ctx, dst, int(src.Fd()), srcDev, f.w.dir.Dev(), f.entry.Size, f.tell)
		if f.changed = err == nil && f.differsNow(src); f.changed {
			// What was read may be no state the file ever had. With a time of its own it
			// can never pass for the source's, whatever happens before it is sent again.
			want.Times = false
		}
		return err
	})
	if err != nil {
		f.fail(ctx, err)
		return
	}
	if grains := &r.t.grains; !grains.knows(f.w.dir.Dev()) {
		if st, err := f.w.dir.Lstat(f.base); err == nil {
			grains.learn(want, &st)
		}
	}
	r.health.success()
	f.tell(f.copied)
}

// differsNow says whether src is no longer what it was when it was opened.
func (f *file) differsNow(src *os.File) bool {
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return true
	}
	now := flist.FromStat(f.entry.Name, &st)
	return !f.entry.SameVersion(&now)
}

// tell reports progress, if the collector has time for it.
func (f *file) tell(done int64) {
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
