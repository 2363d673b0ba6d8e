package source

import (
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// Identity tells one directory from another that stands at the same place, also over a remount
// and a reboot: by its inode, and by its file system, of which zero values are not known.
type Identity struct {
	Dev, Ino uint64
	// Fsid is statfs(2)'s; zero where that is made of the device number, as on XFS.
	Fsid uint64
	UUID [16]byte // FS_IOC_GETFSUUID, from Linux 6.9 on
	// Born is when the directory was made, in nanoseconds: an inode number is given again.
	Born int64
}

// Same says whether both are the same directory. The device number may change over a remount, so it
// counts only where there is nothing better. What only one of two kernels could tell does not count.
func (a Identity) Same(b Identity) bool {
	bothUUID := a.UUID != [16]byte{} && b.UUID != [16]byte{}
	switch {
	case a.Ino != b.Ino, a.Born != b.Born && a.Born != 0 && b.Born != 0, bothUUID && a.UUID != b.UUID:
		return false
	case a.Fsid != 0 || b.Fsid != 0: // subvolumes of Btrfs share all but this
		return a.Fsid == b.Fsid
	}
	return bothUUID || a.Dev == b.Dev
}

// Text is a for being kept; ParseIdentity reads it.
func (a Identity) Text() string {
	text := fmt.Sprintf("ino=%d dev=%d", a.Ino, a.Dev)
	if a.Fsid != 0 {
		text += fmt.Sprintf(" fsid=%x", a.Fsid)
	}
	if a.UUID != [16]byte{} {
		text += " uuid=" + hex.EncodeToString(a.UUID[:])
	}
	if a.Born != 0 {
		text += fmt.Sprintf(" born=%d", a.Born)
	}
	return text
}

// ParseIdentity reads what Text wrote. What later versions may add is passed over.
func ParseIdentity(text string) (Identity, error) {
	var a Identity
	for field := range strings.FieldsSeq(text) {
		key, v, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "ino":
			a.Ino, err = strconv.ParseUint(v, 10, 64)
		case "dev":
			a.Dev, err = strconv.ParseUint(v, 10, 64)
		case "fsid":
			a.Fsid, err = strconv.ParseUint(v, 16, 64)
		case "born":
			a.Born, err = strconv.ParseInt(v, 10, 64)
		case "uuid":
			if len(v) != hex.EncodedLen(len(a.UUID)) {
				return a, fmt.Errorf("%q is no file system's UUID", v)
			}
			_, err = hex.Decode(a.UUID[:], []byte(v))
		}
		if err != nil {
			return a, fmt.Errorf("%q: %w", field, err)
		}
	}
	if a.Ino == 0 {
		return a, fmt.Errorf("%q names no inode", text)
	}
	return a, nil
}

// String is a for people.
func (a Identity) String() string {
	fs := fmt.Sprintf("device %d:%d", unix.Major(a.Dev), unix.Minor(a.Dev))
	switch {
	case a.UUID != [16]byte{}:
		u := hex.EncodeToString(a.UUID[:])
		fs = fmt.Sprintf("file system %s-%s-%s-%s-%s", u[:8], u[8:12], u[12:16], u[16:20], u[20:])
	case a.Fsid != 0:
		fs = fmt.Sprintf("file system %x", a.Fsid)
	}
	return fmt.Sprintf("inode %d on %s", a.Ino, fs)
}

// Identify is who the directory at path is now; a symlink is followed.
func Identify(path string) (Identity, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Identity{}, err
	}
	defer unix.Close(fd)
	return identity(fd)
}

func identity(fd int) (Identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Identity{}, err
	}
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(fd, &sfs); err != nil {
		return Identity{}, err
	}
	a := Identity{Dev: st.Dev, Ino: st.Ino, Fsid: uint64(uint32(sfs.Fsid.Val[0])) | uint64(uint32(sfs.Fsid.Val[1]))<<32}
	if a.Fsid == a.Dev {
		a.Fsid = 0
	}
	a.UUID = uuid(fd)
	if keepsBirth(int64(sfs.Type)) {
		a.Born = born(fd)
	}
	return a, nil
}

// uuid is the file system's own name; zero where the kernel does not tell.
func uuid(fd int) [16]byte {
	const getUUID = 0x80111500 // _IOR(0x15, 0, struct fsuuid2)
	var arg struct {
		len  uint8
		uuid [16]byte
	}
	// An ioctl takes no descriptor that was opened with O_PATH.
	dir, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return arg.uuid
	}
	defer unix.Close(dir)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(dir), getUUID, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 || arg.len != uint8(len(arg.uuid)) {
		return [16]byte{}
	}
	return arg.uuid
}

// keepsBirth says whether a directory keeps its time of birth as long as it lives. On overlayfs it
// does not: it is copied up when something in it is first changed.
func keepsBirth(kind int64) bool {
	const xfs, f2fs, zfs = 0x58465342, 0xf2f52010, 0x2fc12fc1
	switch kind {
	case unix.EXT4_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, xfs, f2fs, zfs:
		return true
	}
	return false
}

// born is zero where the file system does not tell.
func born(fd int) int64 {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

// Holds looks for name below the pushed directory, be it what it may, whatever takes part. Of a
// source that is a single file it is below the directory that holds it.
func (t *Tree) Holds(name string) error {
	fd := t.fd
	if t.top >= 0 {
		fd = t.top
	}
	dir, err := beneath.Open(fd, path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	var st unix.Stat_t
	return unix.Fstatat(dir, path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
}
