package flist

import (
	"iter"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Encoder appends entries in their form on the wire. It remembers the previous entry,
// so one Encoder serves one list.
type Encoder struct {
	format Format
	prev   previous
}

// previous is what an entry may leave out because it is as before; it starts as zeros.
type previous struct {
	name     string
	sec      int64
	mode     uint32
	uid, gid uint32
	major    uint32
	any      bool // an entry came before
}

// NewEncoder begins a list.
func NewEncoder(f Format) *Encoder { return &Encoder{format: f} }

// Append appends e (rsync 3.5.0 flist.c, send_file_entry). A device number belongs to
// devices alone, a link to symlinks, a Sum of Format.SumLen bytes to regular files.
func (c *Encoder) Append(b []byte, e *Entry) []byte {
	f, p := &c.format, &c.prev
	flags := c.flags(e)
	prefix := commonPrefix(p.name, e.Name)
	if prefix > 0 {
		flags |= xmitSameName
	}
	suffix := e.Name[prefix:]
	if len(suffix) > 255 {
		flags |= xmitLongName
	}
	b = c.appendFlags(b, flags, e.IsDir())
	if prefix > 0 {
		b = append(b, byte(prefix))
	}
	if flags&xmitLongName != 0 {
		b = wire.AppendVarint(b, int32(len(suffix)))
	} else {
		b = append(b, byte(len(suffix)))
	}
	b = append(b, suffix...)
	size := e.Size
	if e.IsDevice() || e.IsSpecial() {
		size = 0
	}
	b = wire.AppendVarlong(b, size, 3)
	if flags&xmitSameTime == 0 {
		b = wire.AppendVarlong(b, e.Sec, 4)
	}
	if flags&xmitModNsec != 0 {
		b = wire.AppendVarint(b, int32(e.Nsec))
	}
	if flags&xmitSameMode == 0 {
		b = wire.AppendInt32(b, int32(e.Mode))
	}
	if f.Owner && flags&xmitSameUID == 0 {
		b = wire.AppendVarint(b, int32(e.UID))
	}
	if f.Group && flags&xmitSameGID == 0 {
		b = wire.AppendVarint(b, int32(e.GID))
	}
	if f.hasRdev(e) {
		major := rdevMajor(e)
		if flags&xmitSameRdevMajor == 0 {
			b = wire.AppendVarint(b, int32(major))
		}
		b = wire.AppendVarint(b, int32(rdevMinor(e)))
		p.major = major
	}
	if f.Links && e.IsSymlink() {
		b = wire.AppendVarint(b, int32(len(e.Link)))
		b = append(b, e.Link...)
	}
	if f.SumLen > 0 && e.IsRegular() {
		b = append(b, e.Sum...)
	}
	p.name, p.sec, p.mode, p.uid, p.gid, p.any = e.Name, e.Sec, e.Mode, e.UID, e.GID, true
	return b
}

func (c *Encoder) flags(e *Entry) int {
	f, p := &c.format, &c.prev
	flags := 0
	if e.Flags&Top != 0 && e.IsDir() {
		flags |= xmitTopDir
	}
	if e.Flags&Partial != 0 && e.IsDir() {
		flags |= xmitNoContent
	}
	if e.Mode == p.mode && (p.any || e.Missing()) {
		flags |= xmitSameMode
	}
	if e.Sec == p.sec && p.any {
		flags |= xmitSameTime
	}
	if !f.Owner || e.UID == p.uid && p.any {
		flags |= xmitSameUID
	}
	if !f.Group || e.GID == p.gid && p.any {
		flags |= xmitSameGID
	}
	if f.hasRdev(e) && rdevMajor(e) == p.major && p.any {
		flags |= xmitSameRdevMajor
	}
	if e.Nsec != 0 && f.Protocol >= 31 && !e.Missing() {
		flags |= xmitModNsec
	}
	return flags
}

// appendFlags writes the flags so that they are never zero: zero ends the list.
func (c *Encoder) appendFlags(b []byte, flags int, isDir bool) []byte {
	if c.format.VarintFlags {
		if flags == 0 {
			flags = xmitExtended
		}
		return wire.AppendVarint(b, int32(flags))
	}
	if flags == 0 && !isDir {
		flags = xmitTopDir
	}
	if flags == 0 || flags > 0xFF {
		return wire.AppendShort(b, uint16(flags|xmitExtended))
	}
	return append(b, byte(flags))
}

// End appends the end of the list. ioError holds wire.IOError bits; a peer of protocol
// 30 that cannot take them there is to be told by message.
func (c *Encoder) End(b []byte, ioError int32) []byte {
	switch {
	case c.format.VarintFlags:
		return wire.AppendVarint(wire.AppendVarint(b, 0), ioError)
	case ioError != 0 && c.format.SafeEnd:
		return wire.AppendVarint(wire.AppendShort(b, xmitExtended|xmitErrorEnd), ioError)
	}
	return append(b, 0)
}

// AppendIDs appends the names of users and groups, which follow the list unless ids
// are numeric (rsync 3.5.0 uidlist.c, send_id_lists). name gives "" for an id that has
// none; such ids are left out, and the receiver keeps the number.
func AppendIDs(b []byte, f Format, entries iter.Seq[*Entry], userName, groupName func(id uint32) string) []byte {
	if f.NumericIDs {
		return b
	}
	if f.Owner {
		b = appendIDList(b, f, entries, func(e *Entry) uint32 { return e.UID }, userName)
	}
	if f.Group {
		b = appendIDList(b, f, entries, func(e *Entry) uint32 { return e.GID }, groupName)
	}
	return b
}

func appendIDList(b []byte, f Format, entries iter.Seq[*Entry], id func(*Entry) uint32, name func(uint32) string) []byte {
	seen := map[uint32]bool{0: true}
	last := uint32(0)
	for e := range entries {
		v := id(e)
		if v == last || seen[v] || e.Missing() {
			continue
		}
		last, seen[v] = v, true
		if n := name(v); n != "" {
			b = appendIDName(wire.AppendVarint(b, int32(v)), n)
		}
	}
	b = append(b, 0)
	if f.ID0Names {
		b = appendIDName(b, name(0))
	}
	return b
}

func appendIDName(b []byte, name string) []byte {
	name = name[:min(len(name), 255)]
	return append(append(b, byte(len(name))), name...)
}

// commonPrefix is how much of prev name begins with: at most 255 bytes, as one byte tells it.
func commonPrefix(prev, name string) int {
	n := min(len(prev), len(name), 255)
	for i := range n {
		if prev[i] != name[i] {
			return i
		}
	}
	return n
}

func rdevMajor(e *Entry) uint32 { return unix.Major(e.Rdev) }
func rdevMinor(e *Entry) uint32 { return unix.Minor(e.Rdev) }
