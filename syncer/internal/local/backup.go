package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// backups keeps what is replaced or deleted (--backup): beside it with a suffix, or at the
// same path below another directory (rsync 3.5.0 backup.c). A backup that stood there before
// goes. It is safe for concurrent use.
type backups struct {
	t  *Target
	mu sync.Mutex // guards dir, and making directories below it
	// dir is --backup-dir, made when the first backup is; nil with a suffix alone.
	dir *tree.Dir
}

func (b *backups) close() {
	if b.dir != nil {
		b.dir.Close()
	}
}

// spot is where the backup of a name goes.
type spot struct {
	dir  *tree.Dir
	name string
	own  bool // dir is to be closed
}

func (s *spot) close() {
	if s.own {
		s.dir.Close()
	}
}

// spot finds the place for the backup of base, which at holds and which is called name on
// the target.
func (b *backups) spot(at *tree.Dir, base, name string) (spot, error) {
	to := spot{dir: at, name: base + b.t.opts.Suffix}
	if b.t.opts.BackupDir == "" {
		return to, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.dir == nil {
		if b.dir, err = b.t.root.Reach(b.t.opts.BackupDir, true); err != nil {
			return to, err
		}
	}
	to.own = true
	to.dir, err = b.dir.Open(path.Dir(name))
	if isAny(err, unix.ENOENT, unix.ENOTDIR, unix.ELOOP) {
		to.dir, err = b.make(path.Dir(name))
	}
	return to, err
}

// make makes the directory dir below --backup-dir, with owner and mode of its original.
// Whatever else stands there goes (backup.c, copy_valid_path).
func (b *backups) make(dir string) (*tree.Dir, error) {
	at, err := b.dir.Open(".")
	for done := 0; err == nil && done < len(dir); {
		c, _, _ := strings.Cut(dir[done:], "/")
		done += len(c) + 1
		err = b.makeOne(at, c, dir[:done-1])
		if err == nil {
			var next *tree.Dir
			next, err = at.Open(c)
			at.Close()
			at = next
		} else {
			at.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make backup directory: %w", err)
	}
	return at, nil
}

func (b *backups) makeOne(at *tree.Dir, base, name string) error {
	have, err := at.Lstat(base)
	switch {
	case err == nil && have.Mode&unix.S_IFMT == unix.S_IFDIR:
		return nil
	case err == nil:
		err = at.Unlink(base)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		err = at.Mkdir(base, 0o777)
	}
	if err != nil {
		return err
	}
	original, err := b.t.lstat(name)
	if err != nil {
		return nil // it went by itself: its content was backed up nevertheless
	}
	if have, err = at.Lstat(base); err != nil {
		return err
	}
	return at.SetAttrs(base, &have, b.t.attrsOf(&original))
}

// lstat looks at a name below the target's root.
func (t *Target) lstat(name string) (unix.Stat_t, error) {
	at, err := t.root.OpenParent(name)
	if err != nil {
		return unix.Stat_t{}, err
	}
	defer at.Close()
	return at.Lstat(path.Base(name))
}

// attrsOf is what a copy of a name on the target is to have that looks like st.
func (t *Target) attrsOf(st *unix.Stat_t) tree.Attrs {
	a := tree.Attrs{UID: -1, GID: -1, Mode: st.Mode & tree.PermBits}
	if t.opts.Owner && t.id.super {
		a.UID = int(st.Uid)
	}
	if t.opts.Group && (t.id.super || t.id.groups[st.Gid]) {
		a.GID = int(st.Gid)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		a.Times, a.Sec, a.Nsec = t.opts.Times, st.Mtim.Sec, uint32(st.Mtim.Nsec)
	}
	return a
}

// save keeps base, over which something is about to be renamed: it is there at every moment.
func (b *backups) save(ctx context.Context, at *tree.Dir, base, name string) error {
	to, err := b.spot(at, base, name)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer to.close()
	err = at.LinkNew(base, to.dir, to.name)
	if errors.Is(err, unix.EEXIST) {
		if err = b.clear(ctx, to); err == nil {
			err = at.LinkNew(base, to.dir, to.name)
		}
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist): // it went by itself
		return nil
	case isAny(err, unix.EXDEV, unix.EPERM, unix.EMLINK, unix.EOPNOTSUPP):
		err = b.copy(ctx, at, base, to)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// take moves base away instead of its being deleted. moved false: it is to be deleted.
func (b *backups) take(ctx context.Context, at *tree.Dir, base, name string) (moved bool, err error) {
	if o := &b.t.opts; o.BackupDir == "" && strings.HasSuffix(name, o.Suffix) && name != o.Suffix {
		return false, nil // a backup itself (delete.c, is_backup_file)
	}
	st, err := at.Lstat(base)
	if err != nil {
		return false, err
	}
	to, err := b.spot(at, base, name)
	if err != nil {
		return false, fmt.Errorf("backup: %w", err)
	}
	defer to.close()
	err = at.RenameOver(base, to.dir, to.name)
	if isAny(err, unix.EISDIR, unix.EEXIST, unix.ENOTEMPTY) {
		if err = b.clear(ctx, to); err == nil {
			err = at.RenameOver(base, to.dir, to.name)
		}
	}
	switch {
	case errors.Is(err, unix.EXDEV):
		err = b.copy(ctx, at, base, to)
		moved = false
	case err == nil:
		moved = true
		if st.Nlink > 1 {
			_ = at.Unlink(base) // rename(2) does nothing where both are one file
		}
	}
	if err != nil {
		return false, fmt.Errorf("backup: %w", err)
	}
	return moved, nil
}

// duplicate keeps a copy of base, which is about to be written in place.
func (b *backups) duplicate(ctx context.Context, at *tree.Dir, base, name string) error {
	to, err := b.spot(at, base, name)
	if err == nil {
		defer to.close()
		err = b.copy(ctx, at, base, to)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// clear removes what stands in the way of a backup.
func (b *backups) clear(ctx context.Context, to spot) error {
	var failure error
	r := tree.Remover{
		Root:         to.dir,
		Left:         -1,
		Unprivileged: !b.t.id.super,
		Removed:      func(string, uint32) {},
		Failed:       func(_ string, err error) { failure = err },
	}
	if !r.Remove(ctx, to.name) && failure == nil {
		failure = context.Cause(ctx)
	}
	return failure
}

// copy makes the backup a file of its own.
func (b *backups) copy(ctx context.Context, at *tree.Dir, base string, to spot) error {
	st, err := at.Lstat(base)
	if err != nil {
		return err
	}
	if have, err := to.dir.Lstat(to.name); err == nil && have.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := b.clear(ctx, to); err != nil {
			return err
		}
	}
	want := b.t.attrsOf(&st)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return b.copyFile(ctx, at, base, to, want)
	case unix.S_IFLNK:
		link, err := at.Readlink(base)
		if err != nil {
			return err
		}
		return to.dir.Symlink(link, to.name, want)
	}
	return to.dir.Mknod(to.name, st.Mode, st.Rdev, want)
}

func (b *backups) copyFile(ctx context.Context, at *tree.Dir, base string, to spot, want tree.Attrs) error {
	fd, err := at.OpenFile(base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return to.dir.WriteFile(to.name, &want, func(dst int) error {
		return b.t.copyAll(ctx, dst, fd, at.Dev(), to.dir.Dev())
	})
}

// copyAll fills dst, which is empty, with all of the file src of the target.
func (t *Target) copyAll(ctx context.Context, dst, src int, srcDev, dstDev uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return err
	}
	job := tree.Job{Dst: dst, Src: src, SrcDev: srcDev, DstDev: dstDev, Size: st.Size, Sparse: t.opts.Sparse}
	_, err := t.copier.Copy(ctx, job)
	return err
}

// backup keeps base of w, over which something is about to be renamed, if backups are kept.
func (r *run) backup(ctx context.Context, at *tree.Dir, base, name string) error {
	if r.backups == nil {
		return nil
	}
	return r.backups.save(ctx, at, base, name)
}
