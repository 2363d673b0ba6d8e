package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const memoryDir = "/dev/shm"

// workDir is where to make the directory of a run. A short run has to be quick wherever it runs, and
// what a disk takes to make and to remove 100,000 files differs by a factor of ten; so it is in
// memory where there is room.
func workDir(dir string, s sizes) string {
	if dir != "" || !s.Short {
		return dir // "" is the system's temporary directory
	}
	fs, err := statfs(memoryDir)
	if err != nil || fs.name != "tmpfs" || fs.free < s.needDisk || unix.Access(memoryDir, unix.W_OK) != nil {
		return ""
	}
	return memoryDir
}

// filesystem is what holds a directory.
type filesystem struct {
	name string
	free int64 // bytes
}

func statfs(dir string) (filesystem, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return filesystem{}, fmt.Errorf("statfs %q: %w", dir, err)
	}
	names := map[int64]string{
		unix.TMPFS_MAGIC: "tmpfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	}
	fs := filesystem{name: names[int64(st.Type)], free: int64(st.Bavail) * int64(st.Bsize)}
	if fs.name == "" {
		fs.name = fmt.Sprintf("file system %#x", st.Type)
	}
	return fs, nil
}
