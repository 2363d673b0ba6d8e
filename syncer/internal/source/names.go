package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirent is a name in a directory, as getdents64(2) tells it.
type dirent struct {
	name string
	ino  uint64 // of the directory's own file system: not what is mounted there
	kind uint8  // DT_DIR and so on; DT_UNKNOWN where the file system does not say
}

// What a record of getdents64(2) has where.
const (
	direntIno  = unsafe.Offsetof(unix.Dirent{}.Ino)
	direntLen  = unsafe.Offsetof(unix.Dirent{}.Reclen)
	direntKind = unsafe.Offsetof(unix.Dirent{}.Type)
	direntName = unsafe.Offsetof(unix.Dirent{}.Name)
)

// direntBuf is how much is read at once: a directory of a thousand names in one call.
const direntBuf = 64 << 10

var direntBufs = sync.Pool{New: func() any { return new([direntBuf]byte) }}

// readNames lists the open directory fd but for "." and "..", in the directory's order: to lstat by inode
// number instead was no faster for 100,000 names on ext4, cold or warm.
func readNames(fd int) ([]dirent, error) {
	var names []dirent
	err := eachName(fd, func(name []byte, ino uint64, kind uint8) {
		names = append(names, dirent{string(name), ino, kind})
	})
	return names, err
}

// eachName calls do with each name in the open directory fd; name is its for the call.
func eachName(fd int, do func(name []byte, ino uint64, kind uint8)) error {
	buf := direntBufs.Get().(*[direntBuf]byte)
	defer direntBufs.Put(buf)
	for {
		n, err := unix.Getdents(fd, buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		for rest := buf[:n]; len(rest) > int(direntName); {
			size := int(binary.NativeEndian.Uint16(rest[direntLen:]))
			if size <= int(direntName) || size > len(rest) {
				return errors.New("a directory entry that makes no sense")
			}
			name := rest[direntName:size]
			if end := bytes.IndexByte(name, 0); end >= 0 {
				name = name[:end]
			}
			if ino := binary.NativeEndian.Uint64(rest[direntIno:]); ino != 0 && string(name) != "." && string(name) != ".." {
				do(name, ino, rest[direntKind])
			}
			rest = rest[size:]
		}
	}
}
