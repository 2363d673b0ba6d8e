package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// WriteFile replaces name by a regular file: fill writes its bytes to the descriptor it
// is handed, and may still change want. When fill or anything after it fails, name is as
// it was. sync is as in Finish.
func (d *Dir) WriteFile(name string, want *Attrs, sync bool, fill func(fd int) error) error {
	f, err := d.CreateTemp(name)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := fill(f.Fd()); err != nil {
		return err
	}
	if err := f.Finish(*want, sync); err != nil {
		return err
	}
	return f.Rename(d, name)
}

// Symlink replaces name by a symlink to target.
func (d *Dir) Symlink(target, name string, want Attrs) error {
	temp, err := d.withTempName(name, func(temp string) error {
		if d.fake {
			return d.createFake(temp, target)
		}
		return unix.Symlinkat(target, d.fd, temp)
	})
	if err != nil {
		return fmt.Errorf("symlink: %w", err)
	}
	return d.finish(temp, name, want)
}

// Mknod replaces name by a FIFO, a socket or a device: the type is that of mode.
func (d *Dir) Mknod(name string, mode uint32, rdev uint64, want Attrs) error {
	temp, err := d.withTempName(name, func(temp string) error {
		if d.fake {
			return d.createFake(temp, "")
		}
		return unix.Mknodat(d.fd, temp, mode&unix.S_IFMT|tempMode, int(rdev))
	})
	if err != nil {
		return fmt.Errorf("mknod: %w", err)
	}
	return d.finish(temp, name, want)
}

func (d *Dir) finish(temp, name string, want Attrs) error {
	var attrs error
	have, err := d.Lstat(temp)
	if err == nil {
		attrs = d.SetAttrs(temp, &have, want)
	}
	if errors.Is(attrs, ErrSource) {
		err = attrs
	}
	if err = d.commit(temp, name, err); err == nil && attrs != nil {
		return &AttrError{attrs}
	}
	return err
}

// commit renames temp over name, or removes temp when something went wrong before.
func (d *Dir) commit(temp, name string, err error) error {
	if err == nil {
		if err = unix.Renameat(d.fd, temp, d.fd, name); err == nil {
			return nil
		}
		err = fmt.Errorf("rename: %w", err)
	}
	_ = unix.Unlinkat(d.fd, temp, 0) // the first error is the one to tell
	return err
}
