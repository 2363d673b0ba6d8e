package beneath

import (
	"errors"

	"golang.org/x/sys/unix"
)

// OpenFollowing opens path below dirfd like Open, but follows symlinks that stay below dirfd,
// the last component included; one that leads out, and every absolute one, gives EXDEV. It
// needs openat2(2): without it no symlink is followed.
func OpenFollowing(dirfd int, path string, flags int) (int, error) {
	if err := Check(path); err != nil {
		return -1, err
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	for try := 0; ; try++ {
		fd, err := unix.Openat2(dirfd, path, &how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN) && try < resolveTries:
		case stepwise(path, err):
			return openStepwise(dirfd, path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		default:
			return fd, err
		}
	}
}
