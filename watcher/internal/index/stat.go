package index

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// fingerprint stands for what lstat says of an entry. Two states have the same one by chance once in
// 2^64.
type fingerprint uint64

// unknown is the fingerprint that differs from every other, itself included.
const unknown fingerprint = 0

// identity stands for device and inode: which directory it is, whatever happens to its metadata.
type identity uint64

func (p fingerprint) same(q fingerprint) bool { return p == q && p != unknown }

func fingerprintOf(st *unix.Stat_t) fingerprint {
	var b [64]byte
	put := binary.NativeEndian.PutUint64
	put(b[0:], uint64(st.Dev))
	put(b[8:], st.Ino)
	put(b[16:], uint64(st.Size))
	put(b[24:], uint64(st.Mtim.Sec))
	put(b[32:], uint64(st.Ctim.Sec))
	put(b[40:], uint64(st.Mtim.Nsec)<<32|uint64(st.Ctim.Nsec))
	put(b[48:], uint64(st.Mode))
	put(b[56:], uint64(st.Uid)<<32|uint64(st.Gid))
	return max(1, fingerprint(xxh3.Hash(b[:])))
}

func identityOf(st *unix.Stat_t) identity {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[0:], uint64(st.Dev))
	binary.NativeEndian.PutUint64(b[8:], st.Ino)
	return identity(xxh3.Hash(b[:]))
}

func kindOf(st *unix.Stat_t) kind {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return regular
	case unix.S_IFDIR:
		return directory
	}
	return other
}

// A later write can leave the same ctime as the one seen, if that is younger than the step of the
// clock that stamps. The kernel's is a tick, 10 ms at CONFIG_HZ=100 (since Linux 6.13 mostly finer);
// filesystems that keep whole seconds (ext3, small ext4 inodes) or pairs of them (vfat) show it by
// having no nanoseconds.
const (
	fineClock   = 20 * time.Millisecond
	coarseClock = 2100 * time.Millisecond
)

// settled reports whether a change after now would leave another ctime than st's.
func settled(st *unix.Stat_t, now time.Time) bool {
	step := fineClock
	if st.Ctim.Nsec == 0 {
		step = coarseClock
	}
	// A ctime far ahead is of a clock that was set back, and settled too: else it would stay
	// unknown until the clock arrives there.
	age := now.Sub(time.Unix(st.Ctim.Unix()))
	return age > step || age < -step
}

// gone reports whether err says that there is no such entry: nothing, or something else.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
