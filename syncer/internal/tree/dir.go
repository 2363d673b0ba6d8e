package tree

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// Dir is an open directory.
type Dir struct {
	fd   int
	dev  uint64
	fake bool // FakeSuper was called, on it or on what it was opened below
	// links: FollowLinks was called on it.
	links bool
}

// OpenRoot opens the directory at an ordinary path; symlinks in it are followed, since
// the user wrote it. The caller closes it.
func OpenRoot(absPath string) (*Dir, error) {
	fd, err := unix.Open(absPath, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return newDir(fd)
}

// Open opens the directory rel below d for listing and writing; "." is d again.
func (d *Dir) Open(rel string) (*Dir, error) {
	fd, err := d.openBelow(rel, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return d.below(fd)
}

// OpenParent opens the directory that holds rel, for naming things in it alone: that
// needs no permission to read it.
func (d *Dir) OpenParent(rel string) (*Dir, error) {
	fd, err := d.openBelow(path.Dir(rel), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return d.below(fd)
}

// openSameMount opens the directory name in d, unless something is mounted on it.
func (d *Dir) openSameMount(name string) (*Dir, error) {
	fd, err := beneath.OpenDirSameMount(d.fd, name)
	if errors.Is(err, unix.EXDEV) {
		return nil, ErrMountPoint
	}
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return d.below(fd)
}

func newDir(fd int) (*Dir, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("fstat: %w", err)
	}
	return &Dir{fd: fd, dev: st.Dev}, nil
}

// Close ends the use of d.
func (d *Dir) Close() error { return unix.Close(d.fd) }

// Dev is the device that d is on.
func (d *Dir) Dev() uint64 { return d.dev }

// ReadOnly says whether the file system of d is mounted, or has become, read-only.
func (d *Dir) ReadOnly() bool {
	var st unix.Statfs_t
	return unix.Fstatfs(d.fd, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

// listBuffer is what one getdents64(2) fills: enough for a usual directory.
const listBuffer = 32 << 10

// Names lists d, in no order. It may be called once for each Open.
func (d *Dir) Names() ([]string, error) {
	var names []string
	buf := make([]byte, listBuffer)
	for {
		n, err := unix.ReadDirent(d.fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, fmt.Errorf("read directory: %w", err)
		case n <= 0:
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// Lstat looks at name in d; "." is d itself.
func (d *Dir) Lstat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		return st, fmt.Errorf("lstat: %w", err)
	}
	if d.fake {
		return st, d.overlay(name, &st)
	}
	return st, nil
}

// Readlink reads the symlink name.
func (d *Dir) Readlink(name string) (string, error) {
	if d.fake {
		return d.readFake(name)
	}
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(d.fd, name, buf)
		if err != nil {
			return "", fmt.Errorf("readlink: %w", err)
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// OpenFile opens the regular file name for reading; anything else is an error. The
// caller closes the descriptor.
func (d *Dir) OpenFile(name string) (int, error) {
	fd, err := beneath.Open(d.fd, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return -1, fmt.Errorf("open: %w", err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = unix.EINVAL
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("open: %w", err)
	}
	return fd, nil
}

// RulesFlags are for opening a file of rules: whatever else has its name must not hold us up.
const RulesFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY

// OpenRules opens a file of filter rules below d. A symlink is followed unless it leads out of d.
func (d *Dir) OpenRules(rel string) (int, error) { return beneath.OpenFollowing(d.fd, rel, RulesFlags) }

// Mkdir makes the directory name with exactly the permissions of perm that the umask
// leaves.
func (d *Dir) Mkdir(name string, perm uint32) error {
	if err := unix.Mkdirat(d.fd, name, perm&0o777); err != nil {
		return fmt.Errorf("mkdir: %w", err)
	}
	return nil
}

// Unlink removes name, which is no directory.
func (d *Dir) Unlink(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return fmt.Errorf("unlink: %w", err)
	}
	return nil
}

// Rmdir removes the empty directory name.
func (d *Dir) Rmdir(name string) error {
	if err := unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("rmdir: %w", err)
	}
	return nil
}
