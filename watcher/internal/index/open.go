package index

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// How a directory is opened: to be listed, or only to look at names in it.
const (
	openFlags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	toList    = openFlags | unix.O_RDONLY
	toLook    = openFlags | unix.O_PATH
)

func openAt(fd int, name string, flags int) (int, error) {
	for {
		sub, err := unix.Openat(fd, name, flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return sub, err
		}
	}
}

func openRoot(root string) (int, error) {
	fd, err := openAt(unix.AT_FDCWD, root, toLook)
	if err != nil {
		return -1, fmt.Errorf("open root %q: %w", root, err)
	}
	return fd, nil
}

// openBelow opens the directory at path below root, however long path is, without following a symbolic
// link.
func openBelow(root int, path string, flags int) (int, error) {
	at, opened := root, false
	for {
		head, tail := cutPath(path)
		how := flags
		if tail != "" {
			how = toLook
		}
		fd, err := openHead(at, head, how)
		if opened {
			unix.Close(at)
		}
		if err != nil || tail == "" {
			return fd, err
		}
		at, opened, path = fd, true, tail
	}
}

// openHead opens a path of any number of names, in one call where the kernel has openat2 (5.6) and
// seccomp allows it.
func openHead(at int, path string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_NO_SYMLINKS}
	for {
		if !strings.Contains(path, "/") {
			return openAt(at, path, flags)
		}
		fd, err := unix.Openat2(at, path, &how)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
			return openStepwise(at, path, flags)
		}
		return fd, err
	}
}

func openStepwise(at int, path string, flags int) (int, error) {
	at, err := openAt(at, ".", toLook)
	for err == nil {
		name, rest, more := strings.Cut(path, "/")
		how := flags
		if more {
			how = toLook
		}
		var fd int
		fd, err = openAt(at, name, how)
		unix.Close(at)
		if !more {
			return fd, err
		}
		at, path = fd, rest
	}
	return -1, err
}

// cutPath cuts path after as many names as the kernel takes at once: PATH_MAX, 4096 with the zero.
func cutPath(path string) (head, tail string) {
	if len(path) < unix.PathMax {
		return path, ""
	}
	i := strings.LastIndexByte(path[:unix.PathMax], '/')
	if i < 0 {
		return path, ""
	}
	return path[:i], path[i+1:]
}

func stat(fd int, st *unix.Stat_t) error {
	for {
		err := unix.Fstat(fd, st)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
