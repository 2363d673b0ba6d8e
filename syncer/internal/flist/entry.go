package flist

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
)

// Flag says what a list entry means beside its attributes.
type Flag uint8

const (
	// Top marks what the user named: "." of a full push. On a directory that is
	// also Partial it means implied: only there because something below it is listed.
	Top Flag = 1 << iota
	// Partial marks a directory whose content is not all in the list (the
	// protocol's NO_CONTENT_DIR): it is never pruned.
	Partial
	// Content marks a regular file whose bytes may differ whatever size and time say.
	Content
	// Linked marks a name that shares its inode with others: entries with the same Dev and
	// Ino are one group. With --hard-links only.
	Linked
	// Level marks a directory that is brought over with the names in it, but not with what is in
	// its subdirectories.
	Level
)

// Entry is one name of the file list. Mode 0 is a missing entry: the name is to be
// deleted on the target. Entries come from lstat: a symlink is itself.
type Entry struct {
	Name  string // relative to the transfer's root, slash-separated raw bytes; "." is the root
	Size  int64  // bytes
	Sec   int64  // mtime, seconds
	Ctime int64  // nanoseconds; to see whether a file changed while it was read
	Ino   uint64
	Dev   uint64 // of the file system it is on
	Nsec  uint32 // mtime, nanoseconds within the second
	Mode  uint32 // st_mode: type and permissions
	UID   uint32
	GID   uint32
	Flags Flag
	Nlink uint32 // how many names the file has, in the tree and elsewhere
	Extra *Extra // nil: none of it; copies of an entry share it
}

// Extra is what few entries have, or what is read only where an option asks for it: a list of
// a million files has no room for it.
type Extra struct {
	Link            string    // target of a symlink
	Sum             []byte    // digest of the whole content, with --checksum only
	Rdev            uint64    // of a device
	Atime           int64     // seconds
	Crtime          int64     // when it was made, seconds
	Access, Default *meta.ACL // nil: nothing beyond the mode; Default is for directories alone
	Xattrs          []meta.Xattr
}

// FromStat makes the entry of what lstat told about name.
func FromStat(name string, st *unix.Stat_t) Entry {
	e := Entry{
		Name:  name,
		Size:  st.Size,
		Sec:   st.Mtim.Sec,
		Nsec:  uint32(st.Mtim.Nsec),
		Ctime: st.Ctim.Nano(),
		Ino:   st.Ino,
		Dev:   st.Dev,
		Mode:  st.Mode,
		UID:   st.Uid,
		GID:   st.Gid,
		Nlink: uint32(st.Nlink),
	}
	if e.IsDevice() {
		e.Extra = &Extra{Rdev: st.Rdev}
	}
	return e
}

// More is e's Extra to write to, made where there was none.
func (e *Entry) More() *Extra {
	if e.Extra == nil {
		e.Extra = &Extra{}
	}
	return e.Extra
}

// extra is e's Extra to read; empty where there is none.
func (e *Entry) extra() *Extra {
	if e.Extra == nil {
		return &noExtra
	}
	return e.Extra
}

var noExtra Extra

// Link is the target of a symlink.
func (e *Entry) Link() string {
	if e.Extra == nil {
		return ""
	}
	return e.Extra.Link
}

// Sum is the digest of the whole content, where --checksum had it read.
func (e *Entry) Sum() []byte {
	if e.Extra == nil {
		return nil
	}
	return e.Extra.Sum
}

// Rdev is the number of a device.
func (e *Entry) Rdev() uint64 {
	if e.Extra == nil {
		return 0
	}
	return e.Extra.Rdev
}

func (e *Entry) IsDir() bool     { return e.Mode&unix.S_IFMT == unix.S_IFDIR }
func (e *Entry) IsRegular() bool { return e.Mode&unix.S_IFMT == unix.S_IFREG }
func (e *Entry) IsSymlink() bool { return e.Mode&unix.S_IFMT == unix.S_IFLNK }

// IsDevice says whether e is a character or block device.
func (e *Entry) IsDevice() bool {
	t := e.Mode & unix.S_IFMT
	return t == unix.S_IFCHR || t == unix.S_IFBLK
}

// IsSpecial says whether e is a FIFO or a socket.
func (e *Entry) IsSpecial() bool {
	t := e.Mode & unix.S_IFMT
	return t == unix.S_IFIFO || t == unix.S_IFSOCK
}

// Missing says whether e asks for its name to be deleted.
func (e *Entry) Missing() bool { return e.Mode == 0 }

// Mtime is the modification time with all its nanoseconds.
func (e *Entry) Mtime() time.Time { return time.Unix(e.Sec, int64(e.Nsec)) }

// SameVersion says whether o is the same file in the same state: nothing was
// written, renamed over it or touched between the two looks.
func (e *Entry) SameVersion(o *Entry) bool {
	return e.Ino == o.Ino && e.Ctime == o.Ctime && e.Size == o.Size &&
		e.Sec == o.Sec && e.Nsec == o.Nsec && e.Mode == o.Mode
}
