package flist

import (
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Encoder appends entries in their form on the wire. It remembers the previous entry,
// so one Encoder serves one list, or all the lists of incremental recursion.
type Encoder struct {
	format Format
	prev   previous
	links  links
	access bodies
	deflt  bodies
	xattrs bodies
	users  inlineNames
	groups inlineNames
}

// inlineNames are the ids of one kind whose names stand among the entries.
type inlineNames struct {
	name func(uint32) string
	sent map[uint32]bool
}

// next is the name to send beside id: only where it comes first, and if it has one.
func (n *inlineNames) next(id uint32) string {
	if n.name == nil || n.sent[id] {
		return ""
	}
	n.sent[id] = true
	return n.name(id)
}

// Names has the names of ids stand beside them, as Format.Inline has it; "" is no name.
func (c *Encoder) Names(user, group func(id uint32) string) {
	if c.format.inlineNames() {
		c.users = inlineNames{user, map[uint32]bool{}}
		c.groups = inlineNames{group, map[uint32]bool{}}
	}
}

// previous is what an entry may leave out because it is as before; it starts as zeros.
type previous struct {
	name     string
	sec      int64
	mode     uint32
	uid, gid uint32
	atime    int64
	major    uint32
	any      bool // an entry came before
}

// take remembers e; the major number of a device is the caller's.
func (p *previous) take(f *Format, e *Entry) {
	p.name, p.sec, p.mode, p.uid, p.gid, p.any = e.Name, e.Sec, e.Mode, e.UID, e.GID, true
	if f.hasAtime(e) {
		p.atime = e.extra().Atime
	}
}

// NewEncoder begins a list.
func NewEncoder(f Format) *Encoder { return &Encoder{format: f} }

// Begin begins one of several lists, whose first entry has the index start.
func (c *Encoder) Begin(start int32) { c.links.start, c.links.sent = start, start }

// Append appends e (rsync 3.5.0 flist.c, send_file_entry and send_file_name). A device number
// belongs to devices alone, a link to symlinks, a Sum of Format.SumLen bytes to regular files.
func (c *Encoder) Append(b []byte, e *Entry) []byte {
	f, p := &c.format, &c.prev
	flags := c.flags(e)
	first, linked := c.links.next(f, e)
	if linked {
		flags |= xmitHardlinked
		if first == nil {
			flags |= xmitFirstLink
		}
	}
	user, group := "", ""
	full := first == nil || first.index < c.links.start // else most is left out
	if flags&xmitSameUID == 0 && full {
		if user = c.users.next(e.UID); user != "" {
			flags |= xmitUserName
		}
	}
	if flags&xmitSameGID == 0 && full {
		if group = c.groups.next(e.GID); group != "" {
			flags |= xmitGroupName
		}
	}
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
	if first != nil {
		b = wire.AppendVarint(b, first.index)
	}
	if !full {
		// All else is the first's, but what may be told apart.
		p.take(f, &first.entry)
		if f.Devices && e.IsDevice() {
			p.major = rdevMajor(&first.entry)
		}
		p.name = e.Name
		return c.appendMeta(b, e)
	}
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
	if f.Crtimes && flags&xmitCrtimeIsMtime == 0 {
		b = wire.AppendVarlong(b, e.extra().Crtime, 4)
	}
	if flags&xmitSameMode == 0 {
		b = wire.AppendInt32(b, int32(e.Mode))
	}
	if f.hasAtime(e) && flags&xmitSameAtime == 0 {
		b = wire.AppendVarlong(b, e.extra().Atime, 4)
	}
	if f.Owner && flags&xmitSameUID == 0 {
		b = wire.AppendVarint(b, int32(e.UID))
		if user != "" {
			b = appendIDName(b, user)
		}
	}
	if f.Group && flags&xmitSameGID == 0 {
		b = wire.AppendVarint(b, int32(e.GID))
		if group != "" {
			b = appendIDName(b, group)
		}
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
		b = wire.AppendVarint(b, int32(len(e.Link())))
		b = append(b, e.Link()...)
	}
	if f.SumLen > 0 && e.IsRegular() {
		b = append(b, e.Sum()...)
	}
	p.take(f, e)
	return c.appendMeta(b, e)
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
	if f.hasAtime(e) && e.extra().Atime == p.atime && p.any {
		flags |= xmitSameAtime
	}
	if f.Crtimes && e.extra().Crtime == e.Sec {
		flags |= xmitCrtimeIsMtime
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

func rdevMajor(e *Entry) uint32 { return unix.Major(e.Rdev()) }
func rdevMinor(e *Entry) uint32 { return unix.Minor(e.Rdev()) }
