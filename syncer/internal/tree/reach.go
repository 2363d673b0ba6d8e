package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// Reach opens a directory whose path the user wrote, as in --backup-dir: absolute, or
// relative to d. Symlinks are followed and ".." leads out. With make, what is missing of it is
// made, as far as the umask lets everybody use it.
func (d *Dir) Reach(path string, make bool) (*Dir, error) {
	fd, err := d.reach(path)
	if make && errors.Is(err, fs.ErrNotExist) {
		if err = d.makePath(path); err == nil {
			fd, err = d.reach(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open directory %q: %w", path, err)
	}
	return d.below(fd)
}

func (d *Dir) reach(path string) (int, error) {
	return openRetry(d.fd, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// makePath makes the directory path and those above it.
func (d *Dir) makePath(path string) error {
	for end := 0; end < len(path); {
		next := strings.IndexByte(path[end+1:], '/')
		if next < 0 {
			end = len(path)
		} else {
			end += 1 + next
		}
		err := unix.Mkdirat(d.fd, path[:end], 0o777)
		if err != nil && err != unix.EEXIST && err != unix.EISDIR {
			return err
		}
	}
	return nil
}

// MakeRoot makes the directory at an ordinary path and, with above, those that it needs.
func MakeRoot(absPath string, above bool) error {
	if above {
		cwd := Dir{fd: unix.AT_FDCWD}
		return cwd.makePath(absPath)
	}
	if err := unix.Mkdir(absPath, 0o777); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}

// FollowLinks has Open and OpenParent, and those of directories opened below d, follow
// symlinks that do not lead out of d (--keep-dirlinks): relative ones alone. It must be called
// on a root, before anything is opened below it.
func (d *Dir) FollowLinks() { d.links = true }

// openBelow is beneath.Open with the symlinks that FollowLinks allows. Only the root knows
// what is outside: a directory opened below it follows none.
func (d *Dir) openBelow(rel string, flags int) (int, error) {
	if !d.links {
		return beneath.Open(d.fd, rel, flags, 0)
	}
	return beneath.OpenFollowing(d.fd, rel, flags)
}
