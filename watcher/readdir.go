package watcher

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/internal/dirent"
)

// readDir calls entry with each name in fd, the type and the inode as the directory has them. The name
// is valid during the call.
func readDir(fd int, buf []byte, entry func(name []byte, typ uint8, ino uint64)) error {
	for {
		n, err := dirent.Read(fd, buf)
		if err == nil {
			err = dirent.Parse(buf[:n], func(name []byte, typ uint8, ino uint64) error {
				entry(name, typ, ino)
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("list directory: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
}

// readDirs calls dir with the name of each directory in fd, symbolic links not followed. The name is
// valid during the call.
func readDirs(fd int, buf []byte, dir func(name []byte)) error {
	return readDir(fd, buf, func(name []byte, typ uint8, _ uint64) {
		if typ == unix.DT_DIR || typ == unix.DT_UNKNOWN && isDirAt(fd, string(name)) {
			dir(name)
		}
	})
}

// isDirAt answers for filesystems that keep no types in their directories. Where it cannot look, it
// says yes: opening the name will tell, loudly.
func isDirAt(fd int, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return !gone(err)
	}
	return isDir(&st)
}

func isDir(st *unix.Stat_t) bool     { return st.Mode&unix.S_IFMT == unix.S_IFDIR }
func isRegular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }

func inodeOf(st *unix.Stat_t) inode { return inode{dev: uint64(st.Dev), ino: st.Ino} }

// openDir opens a directory for listing; of a symbolic link it makes ENOTDIR.
func openDir(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// lstat looks at path itself. A name can be longer than any path the kernel takes (PATH_MAX) by its
// last element; then it is looked up in its directory.
func lstat(path string, st *unix.Stat_t) error {
	err := unix.Lstat(path, st)
	if !errors.Is(err, unix.ENAMETOOLONG) {
		return err
	}
	dir := parentPath(path)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fstatat(fd, path[len(dir)+1:], st, unix.AT_SYMLINK_NOFOLLOW)
}

// gone reports whether err says that there is no such directory: nothing, or something else.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
