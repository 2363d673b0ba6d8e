package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/source"
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

// save keeps base, over which something is about to be renamed: it is there at every moment.
func (b *backups) save(ctx context.Context, at *tree.Dir, base, name string) error {
	if _, err := at.Lstat(base); errors.Is(err, fs.ErrNotExist) || b.isUnsafe(at, base, name) {
		return nil // nothing is to be kept, and no directory to be made for it
	}
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
	case errors.Is(err, fs.ErrNotExist): // it went by itself
		return nil
	case isAny(err, unix.EXDEV, unix.EPERM, unix.EMLINK, unix.EOPNOTSUPP):
		err = b.copy(ctx, at, base, to)
	}
	if err == nil {
		err = b.sync(to)
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
	if b.isUnsafe(at, base, name) {
		return false, nil
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
	case err == nil:
		moved = true
		if st.Nlink > 1 {
			_ = at.Unlink(base) // rename(2) does nothing where both are one file
		}
	}
	if err == nil {
		err = b.sync(to)
	}
	if err != nil {
		return false, fmt.Errorf("backup: %w", err)
	}
	return moved, nil
}

// isUnsafe says whether base is a symlink that --safe-links leaves out: no backup is made of
// it.
func (b *backups) isUnsafe(at *tree.Dir, base, name string) bool {
	if !b.t.opts.SafeLinks {
		return false
	}
	st, err := at.Lstat(base)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return false
	}
	link, err := at.Readlink(base)
	return err != nil || source.UnsafeLink(name, link)
}

// duplicate keeps a copy of base, which is about to be written in place.
func (b *backups) duplicate(ctx context.Context, at *tree.Dir, base, name string) error {
	to, err := b.spot(at, base, name)
	if err == nil {
		defer to.close()
		err = b.copy(ctx, at, base, to)
	}
	if err == nil {
		err = b.sync(to)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// sync brings the name of a backup to the disk, before what it is a backup of goes. One beside that comes
// with it.
func (b *backups) sync(to spot) error {
	if !b.t.opts.Fsync || !to.own {
		return nil
	}
	return to.dir.Sync()
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
	return to.dir.WriteFile(to.name, &want, b.t.opts.Fsync, func(dst int) error {
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
	_, err := t.within.Copy(ctx, job)
	return err
}

// backup keeps base of w, over which something is about to be renamed, if backups are kept.
func (r *run) backup(ctx context.Context, at *tree.Dir, base, name string) error {
	if r.backups == nil {
		return nil
	}
	return r.backups.save(ctx, at, base, name)
}
