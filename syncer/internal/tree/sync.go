package tree

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Sync brings what happened to the names in d to the disk. d must have been opened for
// reading: by Open, not by OpenParent.
func (d *Dir) Sync() error {
	if err := unix.Fsync(d.fd); err != nil && err != unix.EINVAL {
		return fmt.Errorf("fsync directory: %w", err)
	}
	return nil
}

// SyncFile brings the regular file name to the disk. One that may not be read is left to the kernel.
func (d *Dir) SyncFile(name string) error {
	fd, err := d.OpenFile(name)
	if err != nil {
		if errors.Is(err, unix.EACCES) {
			return nil
		}
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	return nil
}

// SyncAbove brings the name of a directory that was just made to the disk, with all those of the
// directories above it.
func SyncAbove(absPath string, all bool) error {
	abs, err := filepath.Abs(absPath)
	if err != nil {
		return err
	}
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		d, err := OpenRoot(dir)
		if err == nil {
			err = d.Sync()
			d.Close()
		}
		if err != nil && !errors.Is(err, unix.EACCES) {
			return err
		}
		if !all || dir == "/" {
			return nil
		}
	}
}
