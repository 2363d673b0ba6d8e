package local

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// partialMode is for directories of files that are not whole (util1.c, handle_partial_dir).
const partialMode = 0o700

// isElsewhere says whether --partial-dir is one directory for the whole transfer.
func isElsewhere(dir string) bool {
	return path.IsAbs(dir) || dir == ".." || strings.HasPrefix(dir, "../")
}

// partialDir opens --partial-dir for what is in w. With make, it is made; what else stands
// there goes.
func (r *run) partialDir(w *twin, make bool) (*tree.Dir, error) {
	name := r.opts.PartialDir
	if isElsewhere(name) {
		return w.dir.Reach(name, make)
	}
	d, err := w.dir.Open(name)
	if err == nil || !make {
		return d, err
	}
	at, err := w.dir.OpenParent(name)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	base := path.Base(name)
	if st, err := at.Lstat(base); err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if err := at.Unlink(base); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if err := at.Mkdir(base, partialMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return at.Open(base)
}

// leavePartialDir removes --partial-dir from w, if it is empty and made for w.
func (r *run) leavePartialDir(w *twin) {
	name := r.opts.PartialDir
	if path.IsAbs(name) || strings.HasSuffix(name, "..") {
		return
	}
	if isElsewhere(name) {
		if d, err := w.dir.Reach(path.Dir(name), false); err == nil {
			_ = d.Rmdir(path.Base(name)) // or others are still in it
			d.Close()
		}
		return
	}
	if at, err := w.dir.OpenParent(name); err == nil {
		_ = at.Rmdir(path.Base(name)) // likewise
		at.Close()
	}
}

// dropPartial removes what an interrupted push kept of base, which is whole now. rsync begins
// with it; copying from one file system to another is no slower than comparing them.
func (r *run) dropPartial(w *twin, base string) {
	if r.opts.PartialDir == "" || r.opts.DryRun || w.dir == nil {
		return
	}
	d, err := r.partialDir(w, false)
	if err != nil {
		return // there is none
	}
	defer d.Close()
	if st, err := d.Lstat(base); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	if d.Unlink(base) == nil {
		r.leavePartialDir(w)
	}
}

// dropStale is dropPartial for the walk, which asks once for each directory whether there may
// be anything.
func (r *run) dropStale(w *twin, base string) {
	if r.opts.PartialDir == "" || r.opts.DryRun || w.dir == nil {
		return
	}
	if !w.partialKnown {
		w.partialKnown = true
		if d, err := r.partialDir(w, false); err == nil {
			w.partial = true
			d.Close()
		}
	}
	if w.partial {
		r.touch(w)
		r.dropPartial(w, base)
	}
}

// salvage keeps what there is of t, whose copy was interrupted, where --partial asks for it:
// in --partial-dir, or in the file's own place, with a time that nobody takes for the source's
// (rsync 3.5.0 cleanup.c).
func (f *file) salvage(ctx context.Context, t *tree.File, want tree.Attrs) {
	r := f.run
	if !r.opts.Partial || f.copied == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx) // it is over, and this is what is left to do
	want.Times = r.opts.PartialDir == "" && want.Times
	want.Sec, want.Nsec = 0, 0
	if f.finish(t, want) != nil {
		return
	}
	if r.opts.PartialDir != "" {
		if d, err := r.partialDir(f.w, true); err == nil {
			_ = f.rename(ctx, t, d, want) // the first error is the one to tell
			d.Close()
		}
		return
	}
	if f.have == nil || r.backup(ctx, f.w.dir, f.base, f.targetName()) == nil {
		_ = f.rename(ctx, t, f.w.dir, want) // likewise
	}
}

// delayed is what happens in a directory once all files are there (--delay-updates): a file
// is renamed into its place, or a link to one is made.
type delayed struct {
	w     *twin
	base  string // of the file; "": act
	act   func()
	group *group // of the file, if it is in one
}

// whenPlaced has the collector do act in w, which needs that all files before are in their
// places.
func (r *run) whenPlaced(w *twin, act func()) {
	if !r.opts.DelayUpdates || r.opts.DryRun {
		r.then(act)
		return
	}
	r.then(func() { r.delayed = append(r.delayed, delayed{w: w, act: act}) })
}

// placeDelayed is the collector's: all that was delayed happens, directory by directory
// (receiver.c, handle_delayed_updates).
func (r *run) placeDelayed(ctx context.Context) {
	for i := 0; i < len(r.delayed) && ctx.Err() == nil; {
		w, end := r.delayed[i].w, i
		for end < len(r.delayed) && r.delayed[end].w == w {
			end++
		}
		var err error
		if w.dir, err = r.t.root.Open(w.entry.Name); err != nil {
			r.failed(w.entry.Name, err)
		} else {
			r.placeIn(ctx, w, r.delayed[i:end])
			w.dir.Close()
		}
		i = end
	}
	r.delayed = nil
}

func (r *run) placeIn(ctx context.Context, w *twin, list []delayed) {
	for _, d := range list {
		if ctx.Err() != nil {
			return
		}
		if d.base == "" {
			d.act()
			continue
		}
		if err := r.placeOne(ctx, w, d.base); err != nil {
			if d.group != nil {
				d.group.failed = true
			}
			name := source.Join(w.entry.Name, d.base)
			r.health.failure(err)
			r.failed(name, err)
		}
	}
}

func (r *run) placeOne(ctx context.Context, w *twin, base string) error {
	from, err := r.partialDir(w, false)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := r.backup(ctx, w.dir, base, source.Join(w.entry.Name, base)); err != nil {
		return err
	}
	if err := from.RenameOver(base, w.dir, base); err != nil {
		return err
	}
	r.leavePartialDir(w)
	return nil
}
