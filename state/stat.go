package state

import (
	"encoding/binary"
	"errors"

	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

// fingerprint stands for what lstat says of an entry. Two states have the same one by chance once in
// 2^64.
type fingerprint uint64

// unknown is the fingerprint that differs from every other, itself included.
const unknown fingerprint = 0

func (p fingerprint) same(q fingerprint) bool { return p == q && p != unknown }

// fingerprintOf leaves the device out: its number may be another after a reboot.
func fingerprintOf(st *unix.Stat_t) fingerprint {
	var b [64]byte
	put := binary.NativeEndian.PutUint64
	put(b[0:], st.Ino)
	put(b[8:], uint64(st.Size))
	put(b[16:], uint64(st.Mtim.Sec))
	put(b[24:], uint64(st.Ctim.Sec))
	put(b[32:], uint64(st.Mtim.Nsec)<<32|uint64(st.Ctim.Nsec))
	put(b[40:], uint64(st.Mode))
	put(b[48:], uint64(st.Uid)<<32|uint64(st.Gid))
	put(b[56:], uint64(st.Rdev))
	return max(1, fingerprint(xxh3.Hash(b[:])))
}

func isDirectory(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// isCoarse reports whether st looks like one of a file system that keeps whole seconds (ext3, small ext4
// inodes) or pairs of them (vfat): two changes within them leave the same stamps.
func isCoarse(st *unix.Stat_t) bool { return st.Ctim.Nsec == 0 }

// isGone reports whether err says that there is no such entry: nothing, or something else above it.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
