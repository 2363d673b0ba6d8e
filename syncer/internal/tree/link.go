package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// LinkOver gives base a second name in the directory to, replacing what stands there, which is
// no directory.
func (d *Dir) LinkOver(base string, to *Dir, name string) error {
	err := unix.Linkat(d.fd, base, to.fd, name, 0)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("link: %w", err)
	}
	temp, err := to.withTempName(name, func(temp string) error {
		return unix.Linkat(d.fd, base, to.fd, temp, 0)
	})
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if err := to.commit(temp, name, nil); err != nil {
		return err
	}
	// rename(2) does nothing where both are one file already.
	_ = unix.Unlinkat(to.fd, temp, 0)
	return nil
}
