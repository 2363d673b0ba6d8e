package flist

// Format is what both sides agreed on about the bytes of a list.
type Format struct {
	Protocol    int  // 30 to 32
	VarintFlags bool // CF_VARINT_FLIST_FLAGS: flags as varint, the end as two
	SafeEnd     bool // the end may carry an I/O error (protocol 31, or CF_SAFE_FLIST)
	ID0Names    bool // CF_ID0_NAMES: id lists end with the name of id 0
	Owner       bool // -o
	Group       bool // -g
	Links       bool // -l
	Devices     bool // --devices
	Specials    bool // --specials
	NumericIDs  bool // --numeric-ids: no id lists
	Inline      bool // incremental recursion: an id's name stands where the id comes first, no id lists
	HardLinks   bool // -H
	ACLs        bool // -A
	Xattrs      bool // -X
	Atimes      bool // -U
	Crtimes     bool // -N; needs VarintFlags
	SumLen      int  // with --checksum: bytes of a regular file's digest; else 0
}

// The flags of an entry (rsync 3.5.0 rsync.h, XMIT_*).
const (
	xmitTopDir        = 1 << 0
	xmitSameMode      = 1 << 1
	xmitExtended      = 1 << 2 // a second byte of flags follows; or filler
	xmitSameUID       = 1 << 3
	xmitSameGID       = 1 << 4
	xmitSameName      = 1 << 5
	xmitLongName      = 1 << 6
	xmitSameTime      = 1 << 7
	xmitSameRdevMajor = 1 << 8 // devices
	xmitNoContent     = 1 << 8 // directories
	xmitHardlinked    = 1 << 9
	xmitUserName      = 1 << 10
	xmitGroupName     = 1 << 11
	xmitErrorEnd      = 1 << 12
	xmitFirstLink     = 1 << 12 // with xmitHardlinked
	xmitModNsec       = 1 << 13
	xmitSameAtime     = 1 << 14 // no directories
	xmitCrtimeIsMtime = 1 << 17
)

// unknown are the flags that were not agreed on.
func (f Format) unknown() int {
	known := xmitErrorEnd - 1 | xmitModNsec
	known &^= xmitHardlinked | xmitUserName | xmitGroupName
	if f.inlineNames() {
		known |= xmitUserName | xmitGroupName
	}
	if f.HardLinks {
		known |= xmitHardlinked | xmitFirstLink
	}
	if f.Atimes {
		known |= xmitSameAtime
	}
	if f.Crtimes {
		known |= xmitCrtimeIsMtime
	}
	return ^known
}

// inlineNames says whether the names of ids stand among the entries.
func (f Format) inlineNames() bool { return f.Inline && !f.NumericIDs }

// hasAtime says whether entries of e's type carry an access time.
func (f Format) hasAtime(e *Entry) bool { return f.Atimes && !e.IsDir() }

// hasACL says whether entries of e's type carry an ACL.
func (f Format) hasACL(e *Entry) bool { return f.ACLs && !e.IsSymlink() }

// hasRdev says whether entries of e's type carry a device number.
func (f Format) hasRdev(e *Entry) bool {
	return f.Devices && e.IsDevice() || f.Specials && e.IsSpecial() && f.Protocol < 31
}
