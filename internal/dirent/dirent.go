// Package dirent reads directories and looks at their entries without making garbage.
//
// In goes a descriptor of an open directory; out come the names in it, as bytes that are valid
// during one call, and what lstat says of them. Nothing here opens or closes a descriptor.
//
// Facts are from getdents64(2) and fstatat(2).
package dirent

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// BufferSize is the size of one getdents64 read, as glibc's readdir uses.
const BufferSize = 32 << 10

// header is what precedes the name in a struct linux_dirent64: inode and offset of 8 bytes each,
// record length of 2, type of 1.
const header = 8 + 8 + 2 + 1

// ErrMalformed is an answer of getdents64 that is no list of entries.
var ErrMalformed = errors.New("malformed directory entry")

// Read fills buf with one read of the directory fd, and returns how much of it holds entries: 0 at
// the end.
func Read(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Getdents(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return max(n, 0), nil
	}
}

// Parse calls entry for each record of one Read but "." and "..", until it returns an error, which
// becomes Parse's. The name is valid during the call; typ is one of unix.DT_DIR and so on, and ino the
// inode that the directory has for the name: on a mount point, that of what is below the mount.
func Parse(buf []byte, entry func(name []byte, typ uint8, ino uint64) error) error {
	for len(buf) > 0 {
		if len(buf) < header {
			return ErrMalformed
		}
		size := int(binary.NativeEndian.Uint16(buf[16:]))
		if size < header || size > len(buf) {
			return ErrMalformed
		}
		ino, typ, name := binary.NativeEndian.Uint64(buf), buf[18], buf[header:size:size]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		buf = buf[size:]
		if len(name) == 0 || string(name) == "." || string(name) == ".." || bytes.IndexByte(name, '/') >= 0 {
			continue
		}
		if err := entry(name, typ, ino); err != nil {
			return err
		}
	}
	return nil
}

// Stat looks at a name in the directory fd, symbolic links not followed. A name from Parse is not
// copied. Where st is on the stack it moves to the heap: reuse it.
func Stat(fd int, name []byte, st *unix.Stat_t) error {
	for {
		err := statAt(fd, name, st)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// terminated reports whether a zero byte follows name where it is, as in what getdents64 wrote.
func terminated(name []byte) bool {
	return cap(name) > len(name) && name[:len(name)+1][len(name)] == 0
}

func statCopy(fd int, name []byte, st *unix.Stat_t) error {
	return unix.Fstatat(fd, string(name), st, unix.AT_SYMLINK_NOFOLLOW)
}
