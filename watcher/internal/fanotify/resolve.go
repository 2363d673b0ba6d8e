package fanotify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// pathMax is PATH_MAX, the buffer in which the kernel makes the target of /proc/self/fd/N: a path
// that does not fit is ENAMETOOLONG.
const pathMax = 4096

// deleted is what the kernel adds to the path of a removed directory: proc_pid_fd(5).
const deleted = " (deleted)"

// resolver finds out where directories are.
type resolver struct {
	root   string
	hidden func(rel string) bool // directory rel is not wanted; may be nil
	mounts *mounts
}

// resolve tells where the directory of a handle is now. An error means that it could not be found
// out; errNotMounted that it cannot be reached at the moment, so that the answer must not be kept.
func (r *resolver) resolve(k dirKey) (dir, error) {
	mount, err := r.mounts.open(k.fsid())
	if err != nil {
		return dir{}, err
	}
	defer unix.Close(mount)
	kind, bytes := k.handle()
	fd, err := unix.OpenByHandleAt(mount, unix.NewFileHandle(kind, bytes), unix.O_PATH|unix.O_CLOEXEC)
	switch {
	case errors.Is(err, unix.ESTALE) || errors.Is(err, unix.ENOENT):
		return dir{}, nil // removed; its parent's event tells
	case err != nil:
		return dir{}, fmt.Errorf("open directory by handle: %w", privileged(err))
	}
	defer unix.Close(fd)
	abs, err := readPath(fd)
	switch {
	case errors.Is(err, unix.ENAMETOOLONG):
		return r.resolveDeep(fd)
	case err != nil:
		return dir{}, err
	case isDeleted(fd, abs):
		return dir{}, nil
	}
	return r.locate(abs), nil
}

// resolveDeep finds the nearest directory above fd that has a path.
func (r *resolver) resolveDeep(fd int) (dir, error) {
	for at := fd; ; {
		up, err := unix.Openat(at, "..", unix.O_PATH|unix.O_CLOEXEC, 0)
		if at != fd {
			unix.Close(at)
		}
		if err != nil {
			return dir{}, fmt.Errorf("open parent of a deep directory: %w", err)
		}
		abs, err := readPath(up)
		if err == nil {
			unix.Close(up)
			d := r.locate(abs)
			if d.place == inside {
				d.place = deeper
			}
			if d.place == above { // the root has a path, and this does not
				d = dir{}
			}
			return d, nil
		}
		if !errors.Is(err, unix.ENAMETOOLONG) {
			unix.Close(up)
			return dir{}, err
		}
		at = up
	}
}

// readPath gives the path of an open directory from the root of this process, through the mount at
// which it was opened.
func readPath(fd int) (string, error) {
	var buf [pathMax]byte
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), buf[:])
	if err != nil {
		return "", fmt.Errorf("read path of a directory: %w", err)
	}
	return string(buf[:n]), nil
}

// isDeleted tells a removed directory from one whose name ends as the kernel's remark does: only
// the latter is found at abs.
func isDeleted(fd int, abs string) bool {
	if !strings.HasSuffix(abs, deleted) {
		return false
	}
	var open, named unix.Stat_t
	if unix.Fstat(fd, &open) != nil || unix.Lstat(abs, &named) != nil {
		return true
	}
	return open.Dev != named.Dev || open.Ino != named.Ino
}

// locate places an absolute path. A directory that the mount does not contain (the mount is of a
// part of its filesystem, or covered) has a path that may be another's: a hint too many, at worst.
func (r *resolver) locate(abs string) dir {
	if rel, ok := below(r.root, abs); ok {
		if r.hidden != nil && r.hidden(rel) {
			return dir{}
		}
		return dir{inside, rel}
	}
	if rel, ok := below(abs, r.root); ok {
		next, _, _ := strings.Cut(rel, "/")
		return dir{above, next}
	}
	return dir{}
}

// below gives path relative to base; both are absolute and clean.
func below(base, path string) (rel string, ok bool) {
	if path == base {
		return ".", true
	}
	if base != "/" {
		path, ok = strings.CutPrefix(path, base)
		if !ok {
			return "", false
		}
	}
	return strings.CutPrefix(path, "/")
}
