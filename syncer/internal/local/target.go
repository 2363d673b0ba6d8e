package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	isNew  bool      // Open made root, or would have
	rename string    // the name of a single-file source on the target; "": its own
	id     identity
	copier tree.Copier
	grains grains
}

// Open opens the directory root; its last component is made where it is missing. The
// error wraps what the system said: fs.ErrNotExist, unix.ENOTDIR, …
func Open(root string, o Options) (*Target, error) {
	id, err := whoAmI()
	if err != nil {
		return nil, err
	}
	t := &Target{opts: o, id: id}
	t.root, err = tree.OpenRoot(root)
	if errors.Is(err, fs.ErrNotExist) {
		err = t.makeRoot(root)
	}
	if err != nil {
		return nil, fmt.Errorf("open target %q: %w", root, err)
	}
	return t, nil
}

// makeRoot makes the missing directory root, or in a dry run remembers that it would.
func (t *Target) makeRoot(root string) error {
	t.isNew = true
	if t.opts.DryRun {
		var st unix.Stat_t
		return unix.Stat(filepath.Dir(filepath.Clean(root)), &st)
	}
	if err := unix.Mkdir(root, 0o777); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	var err error
	t.root, err = tree.OpenRoot(root)
	return err
}

// OpenFile opens the target of a source that is a single file. By rsync's rule path is
// the file's own new name, unless it is a directory or ends in a slash.
func OpenFile(path string, o Options) (*Target, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if strings.HasSuffix(path, "/") || err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return Open(path, o)
	}
	id, err := whoAmI()
	if err != nil {
		return nil, err
	}
	t := &Target{opts: o, id: id, rename: filepath.Base(path)}
	if t.root, err = tree.OpenRoot(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open target %q: %w", filepath.Dir(path), err)
	}
	return t, nil
}

// Close ends the use of t.
func (t *Target) Close() error {
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
	return r.run(ctx, func(ctx context.Context) {
		if e.IsDir() {
			r.tree(ctx, nil, e)
			return
		}
		r.single(ctx, e)
	})
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
