package watcher

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Identity tells one root directory from another that is at the same path later.
type Identity struct {
	Dev, Ino uint64   // st_dev and st_ino: reused once a filesystem is unmounted
	Fsid     [2]int32 // statfs(2) f_fsid; all zero on some filesystems
}

var errNotDirectory = errors.New("not a directory")

// identify looks at the directory at path and tells the type of its filesystem, as statfs(2) does.
func identify(path string) (id Identity, fsType int64, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return Identity{}, 0, fmt.Errorf("look at root %q: %w", path, err)
	}
	if !isDir(&st) {
		return Identity{}, 0, fmt.Errorf("look at root %q: %w", path, errNotDirectory)
	}
	var fs unix.Statfs_t
	if err := statfs(path, &fs); err != nil {
		return Identity{}, 0, fmt.Errorf("look at root %q: %w", path, err)
	}
	return Identity{Dev: uint64(st.Dev), Ino: st.Ino, Fsid: fs.Fsid.Val}, int64(fs.Type), nil
}

func statfs(path string, fs *unix.Statfs_t) error {
	for {
		if err := unix.Statfs(path, fs); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// at reports whether id's directory is at path now: one lstat, cheap enough for each emission.
func (id Identity) at(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && isDir(&st) && uint64(st.Dev) == id.Dev && st.Ino == id.Ino
}

// isRemote reports whether others may change a filesystem of this type without an event here:
// inotify(7), "Limitations and caveats".
func isRemote(fsType int64) bool {
	switch uint32(fsType) { // the magics are 32 bits wide, and the field is signed
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
		unix.CEPH_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC:
		return true
	}
	return false
}

// isRemoteType is isRemote by name, as mountinfo has it. A block device by FUSE (fuseblk) is a local disk.
func isRemoteType(name string) bool {
	switch name {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "9p", "afs", "fuse":
		return true
	}
	return strings.HasPrefix(name, "fuse.")
}

// resolvedRoot gives the root without symbolic links. New did that, unless the root was absent then.
func (w *Watcher) resolvedRoot() (string, error) {
	w.resolved = false // a symbolic link may lead elsewhere by now
	if err := w.resolveRoot(); err != nil {
		return "", err
	}
	if !w.resolved {
		return "", fmt.Errorf("look at root %q: %w", w.cfg.Root, os.ErrNotExist)
	}
	return w.cfg.Root, nil
}

// leadsTo says whether the root as it was given, maybe a symbolic link, still is id's directory.
func (w *Watcher) leadsTo(id Identity) bool {
	var st unix.Stat_t
	return unix.Stat(w.given, &st) == nil && uint64(st.Dev) == id.Dev && st.Ino == id.Ino
}
