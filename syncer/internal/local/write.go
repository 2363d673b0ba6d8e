package local

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// targetName is what the file is called on the target.
func (f *file) targetName() string { return source.Join(f.w.entry.Name, f.base) }

// write brings the bytes of src to the target, in the way that the options ask for.
func (f *file) write(ctx context.Context, src *beneath.File, want *tree.Attrs) error {
	if f.run.opts.Inplace {
		return f.overwrite(ctx, src, want)
	}
	at := f.w.dir
	if f.run.t.temp != nil {
		at = f.run.t.temp
	}
	t, err := at.CreateTemp(f.base)
	if err != nil {
		return err
	}
	defer t.Discard()
	if err := f.fill(ctx, t, at.Dev(), src, want, 0); err != nil {
		f.salvage(ctx, t, *want)
		return err
	}
	if err := f.finish(t, *want); err != nil {
		return err
	}
	return f.place(ctx, t, *want)
}

// finish is t.Finish. What could not be set is told, but keeps nothing from its place.
func (f *file) finish(t *tree.File, want tree.Attrs) error {
	f.lacks = nil
	err := t.Finish(want, f.run.opts.Fsync)
	if attrs := new(tree.AttrError); errors.As(err, &attrs) {
		f.lacks = err
		return nil
	}
	return err
}

// fill copies src to dst, which has its first from bytes already.
func (f *file) fill(ctx context.Context, dst *tree.File, dstDev uint64, src *beneath.File, want *tree.Attrs, from int64) error {
	end, err := f.run.t.copier.Copy(ctx, tree.Job{
		Dst: dst.Fd(), Src: src.Fd(), SrcDev: f.entry.Dev, DstDev: dstDev,
		Size: f.entry.Size, From: from, Sparse: f.run.opts.Sparse, Tell: f.tell,
	})
	f.copied = end - from
	if f.changed = err == nil && f.differsNow(src); f.changed {
		// What was read may be no state the file ever had. With a time of its own it
		// can never pass for the source's, whatever happens before it is sent again.
		want.Times = false
	}
	return err
}

// place puts the finished file where it belongs.
func (f *file) place(ctx context.Context, t *tree.File, want tree.Attrs) error {
	r := f.run
	if r.opts.DelayUpdates {
		d, err := r.partialDir(f.w, true)
		if err != nil {
			return fmt.Errorf("make --partial-dir: %w", err)
		}
		defer d.Close()
		if err := f.rename(ctx, t, d, want); err != nil {
			return err
		}
		f.staged = true
		return nil
	}
	if f.have != nil {
		if err := r.backup(ctx, f.w.dir, f.base, f.targetName()); err != nil {
			return err
		}
	}
	if err := f.rename(ctx, t, f.w.dir, want); err != nil {
		return err
	}
	r.dropPartial(f.w, f.base)
	return nil
}

// rename moves t to its name in d. From a --temp-dir on another file system it is copied
// beside its place first: rsync copies over it, and a crash leaves half a file.
func (f *file) rename(ctx context.Context, t *tree.File, d *tree.Dir, want tree.Attrs) error {
	err := t.Rename(d, f.base)
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	from, err := t.Reopen()
	if err != nil {
		return err
	}
	defer unix.Close(from)
	beside, err := d.CreateTemp(f.base)
	if err != nil {
		return err
	}
	defer beside.Discard()
	if err := f.run.t.copyAll(ctx, beside.Fd(), from, f.run.t.temp.Dev(), d.Dev()); err != nil {
		return err
	}
	if err := f.finish(beside, want); err != nil {
		return err
	}
	return beside.Rename(d, f.base)
}

// appends says whether only what the target's file lacks at its end is written.
func (f *file) appends() bool {
	return (f.run.opts.Append || f.run.opts.AppendVerify) && f.have != nil
}

// overwrite writes into the file that stands at base, or makes it.
func (f *file) overwrite(ctx context.Context, src *beneath.File, want *tree.Attrs) error {
	r := f.run
	if f.have != nil && r.backups != nil {
		if err := r.backups.duplicate(ctx, f.w.dir, f.base, f.targetName()); err != nil {
			return err
		}
	}
	t, err := f.w.dir.OpenInPlace(f.base)
	if err != nil {
		return err
	}
	defer t.Discard()
	from, err := f.appendFrom(ctx, src)
	if err != nil {
		return err
	}
	if err := f.fill(ctx, t, f.w.dir.Dev(), src, want, from); err != nil {
		return err
	}
	if err := unix.Ftruncate(t.Fd(), from+f.copied); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	return f.finish(t, *want)
}

// appendFrom is how many bytes of the target's file stay as they are. With --append-verify
// they must be the source's: rsync finds out after the transfer, and then does it again.
func (f *file) appendFrom(ctx context.Context, src *beneath.File) (int64, error) {
	if !f.appends() || !f.run.opts.AppendVerify {
		if f.appends() {
			return f.have.Size, nil
		}
		return 0, nil
	}
	fd, err := f.w.dir.OpenFile(f.base)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	same, err := f.run.t.copier.Same(ctx, src.Fd(), fd, f.have.Size)
	switch {
	case err != nil:
		return 0, err
	case same:
		return f.have.Size, nil
	}
	if err := src.Rewind(); err != nil {
		return 0, fmt.Errorf("%w: %w", tree.ErrSource, err)
	}
	return 0, nil
}
