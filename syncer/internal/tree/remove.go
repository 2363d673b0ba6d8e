package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
)

var (
	// ErrMountPoint says that a directory was kept because something is mounted on it.
	ErrMountPoint = errors.New("a file system is mounted here")
	// ErrNotEmpty says that a directory was kept because it holds names that stay.
	ErrNotEmpty = errors.New("the directory is not empty")
)

// Remover deletes names below Root, directories with all that is in them. Paths are
// relative to Root. It holds descriptors only while it works in one directory, so that
// depth costs none. It is not safe for concurrent use.
type Remover struct {
	Root   *Dir
	Prefix string // what Root is called in the calls of the functions below; "" or ".": the root
	Left   int64  // how many names may still go; <0: any number
	DryRun bool   // report and count, but leave everything
	// Unprivileged says that permissions bind this process: its own directories that
	// forbid it to delete in them are made to allow it.
	Unprivileged bool
	Protected    func(path string, isDir bool) bool // names to be kept; nil: none
	Pinned       func(path string, isDir bool) bool // the same for what is in a directory that goes
	// Backup takes a name that is no directory away instead of deleting it, or says that it
	// is to be deleted; nil: nothing is kept. parent holds it as base.
	Backup  func(parent *Dir, base, path string) (moved bool, err error)
	Removed func(path string, mode uint32) // after each name that is gone
	Kept    func(path string)              // directory that holds protected names; nil: nobody
	Failed  func(path string, err error)   // what could not be deleted, and why
	Held    int64                          // names that were kept because Left was used up
}

// victim is a name that is to go.
type victim struct {
	name string
	mode uint32
}

// outcome says how the names of a directory fared; the worst of them counts.
type outcome int

const (
	gone      outcome = iota
	protected         // something that a rule keeps
	stays             // held by the limit, or failed and reported
)

// Remove deletes path and what is below it. It says whether path is gone.
func (r *Remover) Remove(ctx context.Context, path string) bool {
	return r.remove(ctx, path) == gone
}

// MakeWay removes the directory path so that something else can take its name. The
// directory itself counts as replaced: it is neither reported nor held by the limit.
// With recurse its content is deleted as Remove does it; without, it must be empty.
func (r *Remover) MakeWay(ctx context.Context, path string, recurse bool) error {
	files, dirs, err := r.list(path)
	switch {
	case err != nil:
		return err
	case !recurse && len(files)+len(dirs) > 0:
		return ErrNotEmpty
	case recurse && r.empty(ctx, path) != gone:
		return ErrNotEmpty
	case r.DryRun:
		return nil
	}
	parent, base, err := r.parent(path)
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Rmdir(base)
}

func (r *Remover) remove(ctx context.Context, path string) outcome {
	parent, base, err := r.parent(path)
	if err != nil {
		return r.failed(path, err)
	}
	st, err := parent.Lstat(base)
	if err != nil {
		parent.Close()
		return r.failed(path, err)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if r.Protected != nil && r.Protected(r.name(path), isDir) {
		parent.Close()
		return protected
	}
	if !isDir {
		defer parent.Close()
		return r.unlink(parent, base, path, st.Mode)
	}
	parent.Close() // not held on the way down
	return r.removeDir(ctx, path, st.Mode)
}

func (r *Remover) removeDir(ctx context.Context, path string, mode uint32) outcome {
	switch out := r.empty(ctx, path); out {
	case gone:
	case protected:
		r.kept(path)
		return out
	default:
		return out
	}
	parent, base, err := r.parent(path)
	if err != nil {
		return r.failed(path, err)
	}
	defer parent.Close()
	return r.unlink(parent, base, path, mode)
}

// empty deletes what is in the directory path, in rsync's order: the file list's, from
// its end (delete.c, delete_dir_contents).
func (r *Remover) empty(ctx context.Context, path string) outcome {
	files, dirs, err := r.list(path)
	if err != nil {
		return r.failed(path, err)
	}
	worst := gone
	for _, v := range slices.Backward(dirs) {
		if ctx.Err() != nil {
			return stays
		}
		if child := path + "/" + v.name; r.isPinned(child, true) {
			worst = max(worst, protected)
		} else {
			worst = max(worst, r.removeDir(ctx, child, v.mode))
		}
	}
	if len(files) == 0 {
		return worst
	}
	d, err := r.open(path)
	if err != nil {
		return r.failed(path, err)
	}
	defer d.Close()
	for _, v := range slices.Backward(files) {
		if ctx.Err() != nil {
			return stays
		}
		if child := path + "/" + v.name; r.isPinned(child, false) {
			worst = max(worst, protected)
		} else {
			worst = max(worst, r.unlink(d, v.name, child, v.mode))
		}
	}
	return worst
}

func (r *Remover) isPinned(path string, isDir bool) bool {
	return r.Pinned != nil && r.Pinned(r.name(path), isDir)
}

// list reads the directory path; both lists are in the order of the file list.
func (r *Remover) list(path string) (files, dirs []victim, err error) {
	d, err := r.open(path)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	names, err := d.Names()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		st, err := d.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, nil, err
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			dirs = append(dirs, victim{name, st.Mode})
		default:
			files = append(files, victim{name, st.Mode})
		}
	}
	slices.SortFunc(files, func(a, b victim) int { return strings.Compare(a.name, b.name) })
	slices.SortFunc(dirs, func(a, b victim) int { return flist.CompareDirNames(a.name, b.name) })
	return files, dirs, nil
}

// unlink removes one name, a directory being empty by now.
func (r *Remover) unlink(parent *Dir, base, path string, mode uint32) outcome {
	if r.Left == 0 {
		r.Held++
		return stays
	}
	if !r.DryRun {
		switch err := r.drop(parent, base, path, mode); {
		case errors.Is(err, unix.ENOTEMPTY):
			r.kept(path) // a backup of what was in it, or somebody else's: no error to rsync either
			return protected
		case err != nil:
			return r.failed(path, err)
		}
	}
	if r.Left > 0 {
		r.Left--
	}
	r.Removed(r.name(path), mode)
	return gone
}

// drop makes base go, by moving it to where backups are if they are kept.
func (r *Remover) drop(parent *Dir, base, path string, mode uint32) error {
	if mode&unix.S_IFMT == unix.S_IFDIR {
		return parent.Rmdir(base)
	}
	if r.Backup != nil {
		if moved, err := r.Backup(parent, base, r.name(path)); moved || err != nil {
			return err
		}
	}
	return parent.Unlink(base)
}

func (r *Remover) kept(path string) {
	if r.Kept != nil {
		r.Kept(r.name(path))
	}
}

// name is what path is called outside.
func (r *Remover) name(path string) string {
	if r.Prefix == "" || r.Prefix == "." {
		return path
	}
	return r.Prefix + "/" + path
}

// failed reports err, unless it says that the name went by itself.
func (r *Remover) failed(path string, err error) outcome {
	if errors.Is(err, fs.ErrNotExist) {
		return gone
	}
	r.Failed(r.name(path), err)
	return stays
}

func (r *Remover) parent(p string) (*Dir, string, error) {
	d, err := r.Root.OpenParent(p)
	return d, path.Base(p), err
}

// open opens the directory p for listing and deleting in it.
func (r *Remover) open(p string) (*Dir, error) {
	parent, base, err := r.parent(p)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if r.Unprivileged && !r.DryRun {
		if _, err := parent.MakeUsable(base); err != nil {
			return nil, err
		}
	}
	return parent.openSameMount(base)
}

// MakeUsable gives the owner of the directory name, if that is this process's user, all
// permissions in it. It says whether that changed anything. "." is d itself.
func (d *Dir) MakeUsable(name string) (bool, error) {
	st, err := d.Lstat(name)
	if err != nil {
		return false, err
	}
	const all = unix.S_IRWXU
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Mode&all == all || st.Uid != uint32(unix.Geteuid()) {
		return false, nil
	}
	if err := d.Chmod(name, st.Mode&PermBits|all); err != nil {
		return false, fmt.Errorf("make the directory writable: %w", err)
	}
	return true, nil
}
