package syncertest

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// All that a churn does goes through a descriptor of its directory and one name, and no symlink is
// followed on the way there: writers make symlinks that point anywhere, run as root, and delete.

// openDir opens a directory that may be listed; with O_PATH, one that may only be passed through.
// Only the two directories that the caller has named are opened without O_NOFOLLOW.
func openDir(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// place is an entry of an open directory. The entry itself need not exist.
type place struct {
	dir  int
	name string
}

func (p place) close() { unix.Close(p.dir) }

// at walks to the directory of a path, making directories on the way if asked to. The caller
// closes the place.
func at(root int, path string, create bool) (place, error) {
	elems := strings.Split(path, "/")
	dir, err := openDir(root, ".", unix.O_PATH)
	if err != nil {
		return place{}, err
	}
	for _, elem := range elems[:len(elems)-1] {
		if create {
			if err := unix.Mkdirat(dir, elem, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
				unix.Close(dir)
				return place{}, err
			}
		}
		next, err := openDir(dir, elem, unix.O_PATH|unix.O_NOFOLLOW)
		unix.Close(dir)
		if err != nil {
			return place{}, err
		}
		dir = next
	}
	return place{dir, elems[len(elems)-1]}, nil
}

func (p place) lstat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(p.dir, p.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// open opens a regular file; anything else is a miss.
func (p place) open(flags int) (*os.File, error) {
	flags |= unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(p.dir, p.name, flags, 0o644)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, errors.Join(errMiss, err)
	}
	return os.NewFile(uintptr(fd), p.name), nil
}

func (p place) rename(to place, flags uint) error {
	return unix.Renameat2(p.dir, p.name, to.dir, to.name, flags)
}

// chmod changes the very entry, through a descriptor that only names it: fchmodat has no flag
// that keeps it from following a symlink before Linux 6.6.
func (p place) chmod(file, dir uint32) error {
	fd, err := unix.Openat(p.dir, p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return errMiss
	case unix.S_IFDIR:
		file = dir
	}
	return unix.Chmod(procPath(fd), file)
}

// setMtime sets an open file's mtime; the entry's name may be another's by now.
func setMtime(file *os.File, mtime unix.Timespec) error {
	omit := unix.Timespec{Nsec: unix.UTIME_OMIT}
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(int(file.Fd())), []unix.Timespec{omit, mtime}, 0)
}

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// listNames lists a directory, sorted.
func listNames(dir int, name string) ([]string, error) {
	fd, err := openDir(dir, name, unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	return sortedNames(file)
}

// removeTree removes an entry and all below it. Others may add to a directory while it is
// emptied, hence a few more goes.
func removeTree(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	for range 3 {
		if err := emptyDir(dir, name); err != nil {
			return err
		}
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		if !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return err
}

func emptyDir(dir int, name string) error {
	list, err := listNames(dir, name)
	if err != nil {
		return err
	}
	fd, err := openDir(dir, name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, child := range list {
		if err := removeTree(fd, child); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// listTree lists all below a directory, depth first; what vanishes meanwhile is left out.
func listTree(dir int, name, prefix string) ([]string, error) {
	list, err := listNames(dir, name)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fd, err := openDir(dir, name, unix.O_PATH|unix.O_NOFOLLOW)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	all := make([]string, 0, len(list))
	for _, child := range list {
		all = append(all, prefix+child)
		st, err := place{fd, child}.lstat()
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		below, err := listTree(fd, child, prefix+child+"/")
		if err != nil {
			return nil, err
		}
		all = slices.Concat(all, below)
	}
	return all, nil
}
