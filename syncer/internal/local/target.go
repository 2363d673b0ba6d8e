package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/source"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// Options are rsync's, and what else a push must know. Filter's rules are for the target's root.
type Options struct {
	option.Set
	Umask uint32 // for Perms off
	Sink  report.Sink
	Swept *Swept // nil: what killed pushes left behind stays
}

// Result is what a push did.
type Result struct {
	Stats       report.Stats
	Problems    []report.Problem // what was not brought over
	Changed     []string         // regular files that changed while they were read: to be sent again
	DeletesHeld int64            // names not deleted because of MaxDelete
}

// Target is a directory that is open for pushes, one at a time. While it is open its
// file system cannot be unmounted.
type Target struct {
	opts   Options
	root   *tree.Dir // nil: not there, in a dry run
	temp   *tree.Dir // --temp-dir; nil: none
	isNew  bool      // Open made root, or would have
	rename string    // the name of a single-file source on the target; "": its own
	id     identity
	users  owners
	groups owners
	said   []string    // of the options: to be told in the next push
	copier tree.Copier // from the source
	within tree.Copier // from one place of the target to another: --bwlimit does not count
	grains grains
	known  func(*flist.Entry) bool // see Believe
}

// Open opens the directory root; its last component, or with Mkpath all that is missing of
// it, is made. The error wraps what the system said: fs.ErrNotExist, unix.ENOTDIR, …
func Open(root string, o Options) (*Target, error) {
	t, err := newTarget(o)
	if err != nil {
		return nil, err
	}
	if err := t.open(root, true); err != nil {
		return nil, fmt.Errorf("open target %q: %w", root, err)
	}
	return t, t.openTemp()
}

// OpenFile opens the target of a source that is a single file. By rsync's rule path is
// the file's own new name, unless it is a directory or ends in a slash.
func OpenFile(path string, o Options) (*Target, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if strings.HasSuffix(path, "/") || err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return Open(path, o)
	}
	t, err := newTarget(o)
	if err != nil {
		return nil, err
	}
	t.rename = filepath.Base(path)
	if err := t.open(filepath.Dir(path), o.Mkpath); err != nil {
		return nil, fmt.Errorf("open target %q: %w", filepath.Dir(path), err)
	}
	return t, t.openTemp()
}

// open opens root, and makes it if it is missing and may be made.
func (t *Target) open(root string, may bool) (err error) {
	t.root, err = tree.OpenRoot(root)
	if !errors.Is(err, fs.ErrNotExist) || !may {
		return err
	}
	t.isNew = true
	if t.opts.DryRun {
		if t.opts.Mkpath {
			return nil
		}
		var st unix.Stat_t
		return unix.Stat(filepath.Dir(filepath.Clean(root)), &st)
	}
	if err := tree.MakeRoot(root, t.opts.Mkpath); err != nil {
		return err
	}
	if t.opts.Fsync {
		if err := tree.SyncAbove(root, t.opts.Mkpath); err != nil {
			return err
		}
	}
	t.root, err = tree.OpenRoot(root)
	return err
}

// openTemp opens --temp-dir, which nobody makes.
func (t *Target) openTemp() (err error) {
	if t.opts.TempDir == "" || t.root == nil {
		return nil
	}
	if t.temp, err = t.root.Reach(t.opts.TempDir, false); err != nil {
		t.Close()
		return fmt.Errorf("--temp-dir: %w", err)
	}
	return nil
}

// holder opens the directory through which the attributes of the directory name are set: the
// one that holds it as base. Where a symlink stands for it (--keep-dirlinks) it is that
// directory itself, and base is ".". A symlink that leads out of the target is an error, as
// in rsync 3.5.0: it is neither followed nor replaced.
func (t *Target) holder(name string) (at *tree.Dir, base string, err error) {
	at, err = t.root.OpenParent(name)
	base = path.Base(name)
	if err != nil || !t.opts.KeepDirlinks || name == "." {
		return at, base, err
	}
	st, err := at.Lstat(base)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return at, base, nil // whoever looks next will see
	}
	dir, err := t.root.Open(name)
	switch {
	case err == nil:
		at.Close()
		return dir, ".", nil
	case errors.Is(err, unix.EXDEV):
		at.Close()
		return nil, "", fmt.Errorf("--keep-dirlinks: the symlink leads out of the target: %w", err)
	}
	return at, base, nil // to nothing, or to no directory
}

// Close ends the use of t.
func (t *Target) Close() error {
	if t.temp != nil {
		t.temp.Close()
	}
	if t.root == nil {
		return nil
	}
	return t.root.Close()
}

// Full brings over everything that takes part and, with Delete, removes from the target
// what the source does not have. Regular files whose ctime is since or later, where
// since is not zero, are compared by content when size and mtime agree.
func (t *Target) Full(ctx context.Context, src *source.Tree, since time.Time) (Result, error) {
	e, err := src.Lstat(src.Top())
	if err != nil {
		return Result{}, fmt.Errorf("look at source: %w", err)
	}
	r := t.newRun(src, since)
	res, err := r.run(ctx, func(ctx context.Context) {
		if !e.IsDir() {
			r.single(ctx, e)
			r.after(ctx, nil)
			return
		}
		r.before(ctx, []flist.Entry{e}, nil)
		r.tree(ctx, nil, e)
		r.after(ctx, []flist.Entry{e})
	})
	if err == nil && e.IsDir() && !t.opts.DryRun {
		t.opts.Swept.done()
	}
	return res, err
}

// Partial brings over exactly what plan names; the plan's own Problems stay with the
// caller. since is as for Full.
func (t *Target) Partial(ctx context.Context, src *source.Tree, plan source.Plan, since time.Time) (Result, error) {
	r := t.newRun(src, since)
	for i := range plan.Entries {
		if plan.Entries[i].Flags&flist.Content != 0 {
			r.content[plan.Entries[i].Name] = true
		}
	}
	return r.run(ctx, func(ctx context.Context) { r.partial(ctx, plan) })
}
