package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// twin is a directory of the target that the walk is in.
type twin struct {
	entry flist.Entry // its original
	want  tree.Attrs
	dir   *tree.Dir // nil: a dry run would have made it
	isNew bool
	// restore: its time or mode is, or will be, not what it is to be in the end. A twin
	// that is no part of the push is never restored.
	restore  bool
	isPart   bool
	writable bool // MakeUsable was called, or need not be
	touched  bool // something in it changed, or is about to
	changed  bool // its own attributes did
	// partial: there was a --partial-dir for it when the first of its files was kept.
	partial, partialKnown bool
}

// enter makes the twin of directory e, or opens it, and gives it owner and mode; the
// time follows in leave. parent may be nil. A nil twin was reported as a problem.
func (r *run) enter(ctx context.Context, parent *twin, e flist.Entry) *twin {
	r.count(&e)
	w := &twin{entry: e, isPart: true}
	if r.t.root == nil || parent != nil && parent.dir == nil {
		w.isNew = true
		r.listed.CreatedDirs++
		r.item(&e, report.LocalChange|report.IsNew)
		return w
	}
	if err := r.open(ctx, parent, w); err != nil {
		r.refused(e.Name, err)
		return nil
	}
	r.remembers(e.Name)
	w.restore = w.restore || r.disturbed[e.Name]
	return w
}

func (r *run) open(ctx context.Context, parent, w *twin) error {
	at, base, err := r.t.holder(w.entry.Name)
	if err != nil {
		return err
	}
	defer at.Close()
	have, err := r.standing(ctx, parent, at, base, w.entry.Name)
	if err != nil {
		return err
	}
	w.isNew = have == nil || w.entry.Name == "." && r.t.isNew
	known := have
	if w.isNew {
		known = nil
	}
	done := 0
	if w.isNew {
		done = report.LocalChange
		r.listed.CreatedDirs++
	}
	var flags int
	if w.want, flags, err = r.plan(at, base, &w.entry, known, done); err != nil {
		return err
	}
	r.item(&w.entry, flags)
	w.changed = isChange(flags)
	if r.opts.DryRun {
		if have != nil {
			w.dir, err = at.Open(base)
		}
		return err
	}
	if have == nil {
		if have, err = r.mkdir(parent, at, w); err != nil {
			return err
		}
	}
	if err := r.prepare(at, base, have, w); err != nil {
		// Somebody else's directory: what is in it can be brought over nevertheless.
		r.refused(w.entry.Name, &tree.AttrError{Err: err})
	}
	w.dir, err = at.Open(base)
	return err
}

// standing looks at the directory base; something else that stands there makes way.
// nil: there is none.
func (r *run) standing(ctx context.Context, parent *twin, at *tree.Dir, base, name string) (*unix.Stat_t, error) {
	have, err := at.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case have.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &have, nil
	case r.opts.DryRun:
		return nil, nil
	}
	r.touch(parent)
	return nil, r.displace(ctx, at, base, name)
}

// mkdir makes the directory of w. Nobody else enters it before it has its owner.
func (r *run) mkdir(parent *twin, at *tree.Dir, w *twin) (*unix.Stat_t, error) {
	r.touch(parent)
	base := path.Base(w.entry.Name)
	if err := at.Mkdir(base, unix.S_IRWXU); err != nil {
		return nil, err
	}
	have, err := at.Lstat(base)
	return &have, err
}

// prepare gives the directory w its owner and mode, and whoever is bound by modes the
// right to work in it for the time being.
func (r *run) prepare(at *tree.Dir, base string, have *unix.Stat_t, w *twin) error {
	now := w.want
	now.Times = false
	w.restore = w.want.Times && !r.t.sameTime(&w.entry, have)
	if bound := !r.t.id.super; bound && w.want.Mode&unix.S_IRWXU != unix.S_IRWXU {
		if now.Mode = have.Mode & tree.PermBits; now.Mode != w.want.Mode {
			now.Mode = w.want.Mode | unix.S_IRWXU
			w.restore = true
		}
	}
	if err := at.SetAttrs(base, have, now); err != nil {
		return err
	}
	const list = unix.S_IRUSR | unix.S_IXUSR
	if !r.t.id.super && now.Mode&list != list {
		changed, err := at.MakeUsable(base)
		w.restore = w.restore || changed
		return err
	}
	return nil
}

// touch says that something is about to change in w: its time must be restored, and a
// directory of ours that forbids writing must allow it for the time being.
func (r *run) touch(w *twin) {
	if w == nil || r.opts.DryRun {
		return
	}
	w.restore, w.touched = w.isPart, true
	defer r.sweep(w)
	if w.writable || r.t.id.super {
		return
	}
	w.writable = true
	at, base, err := r.t.holder(w.entry.Name)
	if err != nil {
		return // what is about to be done will tell
	}
	defer at.Close()
	_, _ = at.MakeUsable(base) // likewise
}

// visit opens a directory of the target that is no part of the push.
func (r *run) visit(name string) (*twin, error) {
	w := &twin{entry: flist.Entry{Name: name}}
	if r.t.root == nil {
		return w, nil
	}
	var err error
	w.dir, err = r.t.root.Open(name)
	if r.opts.DryRun && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return w, err
}

// close lets go of w's descriptor once all that was begun in it is done.
func (r *run) close(w *twin) {
	if w.dir != nil {
		dir := w.dir
		r.then(func() { dir.Close() })
	}
}

// leave gives w, in which all is done, its time and mode.
func (r *run) leave(w *twin) {
	if r.postpones() && w.touched {
		r.left = append(r.left, w)
		return
	}
	r.leaveNow(w)
}

func (r *run) leaveNow(w *twin) {
	if r.opts.DryRun {
		return
	}
	if r.opts.Fsync && (w.touched || w.changed) {
		defer r.sync(w)
	}
	if !w.restore {
		return
	}
	r.then(func() {
		if err := r.restore(w); err != nil {
			r.health.failure(err)
			r.failed(w.entry.Name, &tree.AttrError{Err: fmt.Errorf("restore attributes: %w", err)})
		}
	})
}

// sync makes what happened to the names in w durable: a file that is on the disk without its
// name is lost after a crash.
func (r *run) sync(w *twin) {
	r.then(func() {
		if err := r.t.syncDir(w.entry.Name); err != nil {
			r.health.failure(err)
			r.failed(w.entry.Name, err)
		}
	})
}

// syncNow is sync for the walk, of a directory that may be called otherwise later.
func (r *run) syncNow(name string) {
	if err := r.t.syncDir(name); err != nil {
		r.refused(name, err)
	}
}

// syncDir brings the names in a directory to the disk; one that went needs none of it.
func (t *Target) syncDir(name string) error {
	dir, err := t.root.Open(name)
	if err == nil {
		err = dir.Sync()
		dir.Close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (r *run) restore(w *twin) error {
	at, base, err := r.t.holder(w.entry.Name)
	if err != nil {
		return err
	}
	defer at.Close()
	have, err := at.Lstat(base)
	if err != nil {
		return err
	}
	if have.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	return at.SetAttrs(base, &have, w.want)
}
