package tree

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Move renames name to base in the directory to. It never replaces what is there.
func (d *Dir) Move(name string, to *Dir, base string) error {
	if err := unix.Renameat2(d.fd, name, to.fd, base, unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return nil
}
