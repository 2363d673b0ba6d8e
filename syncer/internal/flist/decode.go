package flist

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

const (
	maxPath  = 4096 // MAXPATHLEN: names and link targets stay below it
	maxNsec  = 999_999_999
	typeBits = unix.S_IFMT
)

// Decode reads a list up to its end, with the I/O error it carries. maxEntries bounds
// it; MissingOK says that entries with mode 0 are welcome (--delete-missing-args).
// Names are checked to be relative and clean; entries come in the order they were sent.
// Of hard links the members of a group have one Ino, which is of no disk.
func Decode(r *wire.Reader, f Format, maxEntries int, missingOK bool) ([]Entry, int32, error) {
	d := NewDecoder(r, f)
	d.missingOK = missingOK
	return d.List(0, maxEntries)
}

// NewDecoder begins to read the lists of incremental recursion.
func NewDecoder(r *wire.Reader, f Format) *Decoder {
	return &Decoder{r: r, format: f, earlier: map[int32]bool{}}
}

// List is Decode for one of several lists, whose first entry has the index start.
func (d *Decoder) List(start int32, maxEntries int) ([]Entry, int32, error) {
	r, f := d.r, d.format
	d.start = start
	var entries []Entry
	for {
		flags, ioError, end := readFlags(r, f)
		if end || r.Err() != nil {
			return entries, ioError, r.Err()
		}
		if len(entries) == maxEntries {
			r.Fail("file list of more than %d entries", maxEntries)
			return nil, 0, r.Err()
		}
		e := d.entry(flags, entries)
		if err := r.Err(); err != nil {
			return nil, 0, fmt.Errorf("read entry %d of the file list: %w", len(entries), err)
		}
		entries = append(entries, e)
	}
}

func readFlags(r *wire.Reader, f Format) (flags int, ioError int32, end bool) {
	if f.VarintFlags {
		if flags = int(r.Varint()); flags == 0 {
			return 0, r.Varint(), true
		}
		return flags, 0, false
	}
	if flags = int(r.Byte()); flags == 0 {
		return 0, 0, true
	}
	if flags&xmitExtended != 0 {
		flags |= int(r.Byte()) << 8
	}
	if f.SafeEnd && flags == xmitExtended|xmitErrorEnd {
		return 0, r.Varint(), true
	}
	return flags, 0, false
}

// entry reads what follows its flags; before are the entries that came before it.
func (d *Decoder) entry(flags int, before []Entry) Entry {
	r, f, p := d.r, &d.format, &d.prev
	if flags&f.unknown() != 0 {
		r.Fail("file list entry with flags %#x, which were not agreed on", flags)
	}
	e := Entry{Name: readName(r, p, flags)}
	first := int32(-1)
	if flags&(xmitHardlinked|xmitFirstLink) == xmitHardlinked {
		if first = r.Varint(); first >= d.start {
			d.linked(&e, first, before)
			d.meta(&e)
			return e
		}
		if r.Err() == nil && !d.earlier[first] {
			r.Fail("%q is a hard link of entry %d", e.Name, first)
		}
	}
	e.Size = r.Varlong(3)
	if e.Size < 0 {
		r.Fail("size %d of %q", e.Size, e.Name)
	}
	if e.Sec = p.sec; flags&xmitSameTime == 0 {
		e.Sec = r.Varlong(4)
	}
	if flags&xmitModNsec != 0 {
		if e.Nsec = uint32(r.Varint()); e.Nsec > maxNsec {
			r.Fail("%d nanoseconds in the time of %q", e.Nsec, e.Name)
		}
	}
	if f.Crtimes {
		crtime := e.Sec
		if flags&xmitCrtimeIsMtime == 0 {
			crtime = r.Varlong(4)
		}
		e.More().Crtime = crtime
	}
	if e.Mode = p.mode; flags&xmitSameMode == 0 {
		e.Mode = uint32(r.Int32())
	}
	checkMode(r, &e, d.missingOK)
	if f.hasAtime(&e) {
		atime := p.atime
		if flags&xmitSameAtime == 0 {
			atime = r.Varlong(4)
		}
		e.More().Atime = atime
	}
	if e.IsDevice() || e.IsSpecial() {
		e.Size = 0 // they have none, whatever is sent
	}
	if e.Missing() {
		e.Nsec = 0 // nor a time that matters
	}
	if e.UID = p.uid; f.Owner && flags&xmitSameUID == 0 {
		e.UID = uint32(r.Varint())
		if flags&xmitUserName != 0 {
			r.String(int(r.Byte()))
		}
	}
	if e.GID = p.gid; f.Group && flags&xmitSameGID == 0 {
		e.GID = uint32(r.Varint())
		if flags&xmitGroupName != 0 {
			r.String(int(r.Byte()))
		}
	}
	if f.hasRdev(&e) {
		major := p.major
		if flags&xmitSameRdevMajor == 0 {
			major = uint32(r.Varint())
		}
		e.More().Rdev = unix.Mkdev(major, uint32(r.Varint()))
		p.major = major
	}
	if f.Links && e.IsSymlink() {
		n := r.Varint()
		if n <= 0 || n >= maxPath {
			r.Fail("symlink %q with a target of %d bytes", e.Name, n)
		}
		e.More().Link = r.String(int(n))
	}
	if f.SumLen > 0 && e.IsRegular() {
		sum := make([]byte, min(f.SumLen, 64))
		r.Full(sum)
		e.More().Sum = sum
	}
	if e.IsDir() {
		if flags&xmitTopDir != 0 {
			e.Flags |= Top
		}
		if flags&xmitNoContent != 0 {
			e.Flags |= Partial
		}
	}
	if flags&xmitHardlinked != 0 {
		if e.IsDir() || e.Missing() {
			r.Fail("%q, mode %#o, among hard links", e.Name, e.Mode)
		}
		e.Flags |= Linked
		if first < 0 {
			first = d.start + int32(len(before))
			d.earlier[first] = true
		}
		e.Ino = uint64(first) + 1
	}
	p.take(f, &e)
	d.meta(&e)
	return e
}

// linked makes e another name of what was sent before (rsync 3.5.0 flist.c, recv_file_entry).
func (d *Decoder) linked(e *Entry, first int32, before []Entry) {
	if d.r.Err() != nil {
		return
	}
	i := first - d.start
	if int(i) >= len(before) || before[i].Flags&Linked == 0 {
		d.r.Fail("%q is a hard link of entry %d", e.Name, first)
		return
	}
	name := e.Name
	*e = before[i]
	e.Name = name
	if e.Extra != nil {
		x := *e.Extra
		x.Access, x.Default, x.Xattrs = nil, nil, nil // these follow
		e.Extra = &x
	}
	d.prev.take(&d.format, e)
	if d.format.Devices && e.IsDevice() {
		d.prev.major = rdevMajor(e)
	}
}

func readName(r *wire.Reader, p *previous, flags int) string {
	prefix, suffix := 0, 0
	if flags&xmitSameName != 0 {
		prefix = int(r.Byte())
	}
	if flags&xmitLongName != 0 {
		suffix = int(r.Varint())
	} else {
		suffix = int(r.Byte())
	}
	if prefix > len(p.name) || suffix < 0 || prefix+suffix >= maxPath {
		r.Fail("name of %d+%d bytes after one of %d", prefix, suffix, len(p.name))
		return ""
	}
	name := p.name[:prefix] + r.String(suffix)
	if r.Err() == nil && (beneath.Check(name) != nil || strings.IndexByte(name, 0) >= 0) {
		r.Fail("name %q is not relative and clean", name)
	}
	return name
}

func checkMode(r *wire.Reader, e *Entry, missingOK bool) {
	switch e.Mode & typeBits {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFBLK, unix.S_IFCHR, unix.S_IFIFO, unix.S_IFSOCK:
	case 0:
		if e.Mode == 0 && missingOK {
			return
		}
		fallthrough
	default:
		r.Fail("mode %#o of %q", e.Mode, e.Name)
	}
	if e.Name == "." && !e.IsDir() {
		r.Fail("the root is no directory but has mode %#o", e.Mode)
	}
}
