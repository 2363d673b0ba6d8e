package beneath

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens path below dirfd with the flags of open(2); O_CLOEXEC and O_NOFOLLOW
// are added. A path that is not relative and clean is refused with EINVAL. A
// component that is a symlink gives ELOOP, or ENOTDIR where O_DIRECTORY asks so; with
// O_PATH alone, as in open(2), a symlink that ends the path is opened itself.
func Open(dirfd int, path string, flags int, mode uint32) (int, error) {
	if err := Check(path); err != nil {
		return -1, err
	}
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	fd, err := openat2(dirfd, path, flags, mode, 0)
	if stepwise(path, err) {
		return openStepwise(dirfd, path, flags, mode)
	}
	return fd, err
}

// resolveTries bounds how often a resolution that renames disturb is begun anew.
const resolveTries = 64

// openat2 is openat2(2) with the guarantees of this package.
func openat2(dirfd int, path string, flags int, mode uint32, resolve uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Mode:    uint64(mode),
		Resolve: resolve | unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for try := 0; ; {
		fd, err := unix.Openat2(dirfd, path, &how)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN) && try < resolveTries:
			// A rename raced with the resolution: openat2(2) asks to try again. Not for
			// ever: with O_NONBLOCK a lease on the file (fcntl(2)) gives EAGAIN as well.
			try++
		default:
			return -1, err
		}
	}
}

// stepwise says whether err of openat2 may be one that a walk by components avoids:
// no openat2, a storm of renames, a path too long for one system call.
func stepwise(path string, err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EAGAIN) ||
		errors.Is(err, unix.ENAMETOOLONG) && len(path) >= unix.PathMax
}

// OpenDir opens the directory path below dirfd for reading.
func OpenDir(dirfd int, path string) (int, error) {
	return Open(dirfd, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// OpenDirSameMount is OpenDir of a single name; a directory that something is mounted
// on gives EXDEV, a bind mount of the same file system too where the kernel can tell.
func OpenDirSameMount(dirfd int, name string) (int, error) {
	if err := Check(name); err != nil {
		return -1, err
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW
	fd, err := openat2(dirfd, name, flags, 0, unix.RESOLVE_NO_XDEV)
	if !stepwise(name, err) {
		return fd, err
	}
	var above, below unix.Stat_t
	if err := unix.Fstat(dirfd, &above); err != nil {
		return -1, err
	}
	if fd, err = openStepwise(dirfd, name, flags, 0); err != nil {
		return -1, err
	}
	if err = unix.Fstat(fd, &below); err == nil && above.Dev != below.Dev {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Check says whether path may name something below a root: relative, without
// empty, "." (except alone) or ".." components and without NUL.
func Check(path string) error {
	if path == "." {
		return nil
	}
	for rest, more := path, true; more; {
		var c string
		c, rest, more = strings.Cut(rest, "/")
		if c == "" || c == "." || c == ".." || strings.IndexByte(c, 0) >= 0 {
			return fmt.Errorf("path %q is not relative and clean: %w", path, unix.EINVAL)
		}
	}
	return nil
}

// openStepwise is Open for kernels and sandboxes without openat2.
func openStepwise(dirfd int, path string, flags int, mode uint32) (int, error) {
	parent := dirfd
	for {
		c, rest, more := strings.Cut(path, "/")
		f, m := unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(0)
		if !more {
			f, m = flags, mode
		}
		fd, err := openat(parent, c, f, m)
		if parent != dirfd {
			unix.Close(parent)
		}
		if err != nil || !more {
			return fd, err
		}
		parent, path = fd, rest
	}
}

func openat(dirfd int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags, mode)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
