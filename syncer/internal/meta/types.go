package meta

// Xattr is an extended attribute by its full name ("user.k").
type Xattr struct {
	Name string
	Size int    // bytes of the value
	Data []byte // the value, or its MD5 where that has more than MaxInline bytes
}

// MaxInline is the longest value that a file list carries itself (rsync 3.5.0 xattrs.c, MAX_FULL_DATUM).
const MaxInline = 32

// ACL is a POSIX ACL. Absent is for what it does not have.
type ACL struct {
	UserObj, GroupObj, Mask, Other uint8
	Named                          []Named // users first, ascending by id
}

// Absent stands where an ACL has no such entry.
const Absent = 0x80

// Named is an entry for one user or group.
type Named struct {
	ID   uint32
	User bool
	Perm uint8
}
