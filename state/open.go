package state

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lockstep-sync/lockstep/internal/dirent"
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

// openRoot opens the root, through symbolic links as others opened it.
func openRoot(root string) (int, error) {
	fd, err := openAt(unix.AT_FDCWD, root, toLook&^unix.O_NOFOLLOW)
	if err != nil {
		return -1, fmt.Errorf("open root %q: %w", root, err)
	}
	return fd, nil
}

// openBelow opens the directory at name below root, however long the name is, without following a symbolic
// link.
func openBelow(root int, name string, flags int) (int, error) {
	at, opened := root, false
	for {
		head, tail := cutName(name)
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
		at, opened, name = fd, true, tail
	}
}

// openHead opens a path of any number of names, in one call where the kernel has openat2 (5.6) and
// seccomp allows it.
func openHead(at int, path string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
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

// cutName cuts a name after as many parts as the kernel takes at once: PATH_MAX, 4096 with the zero.
func cutName(name string) (head, tail string) {
	if len(name) < unix.PathMax {
		return name, ""
	}
	i := strings.LastIndexByte(name[:unix.PathMax], '/')
	if i < 0 {
		return name, ""
	}
	return name[:i], name[i+1:]
}

// looker looks at names below a root. One goroutine uses it.
type looker struct {
	root int
	dir  string // the directory that fd is, if not empty
	fd   int
	err  error // why it could not be opened
	st   unix.Stat_t
}

// look fills l.st. It is quickest when names of one directory follow one another.
func (l *looker) look(name string) error {
	if name == "." {
		return unix.Fstat(l.root, &l.st)
	}
	dir, base := splitName(name)
	if dir != l.dir {
		l.close()
		l.dir = dir
		l.fd, l.err = openBelow(l.root, dir, toLook)
	}
	if l.err != nil {
		return l.err
	}
	return dirent.Stat(l.fd, append([]byte(base), 0)[:len(base)], &l.st)
}

func (l *looker) close() {
	if l.dir != "" && l.err == nil {
		unix.Close(l.fd)
	}
	l.dir = ""
}
