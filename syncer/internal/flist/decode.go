package flist

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

const (
	maxPath    = 4096 // MAXPATHLEN: names and link targets stay below it
	maxNsec    = 999_999_999
	knownFlags = xmitModNsec<<1 - 1
)

// Decode reads a list up to its end, with the I/O error it carries. maxEntries bounds
// it; MissingOK says that entries with mode 0 are welcome (--delete-missing-args).
// Names are checked to be relative and clean; entries come in the order they were sent.
func Decode(r *wire.Reader, f Format, maxEntries int, missingOK bool) ([]Entry, int32, error) {
	var entries []Entry
	var p previous
	for {
		flags, ioError, end := readFlags(r, f)
		if end || r.Err() != nil {
			return entries, ioError, r.Err()
		}
		if len(entries) == maxEntries {
			r.Fail("file list of more than %d entries", maxEntries)
			return nil, 0, r.Err()
		}
		e := readEntry(r, f, &p, flags, missingOK)
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
		if flags&^knownFlags != 0 {
			r.Fail("file list entry with unknown flags %#x", flags)
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

func readEntry(r *wire.Reader, f Format, p *previous, flags int, missingOK bool) Entry {
	if flags&(xmitHardlinked|xmitUserName|xmitGroupName) != 0 {
		r.Fail("file list entry with flags %#x, which were not agreed on", flags)
	}
	e := Entry{Name: readName(r, p, flags)}
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
	if e.Mode = p.mode; flags&xmitSameMode == 0 {
		e.Mode = uint32(r.Int32())
	}
	checkMode(r, &e, missingOK)
	if e.IsDevice() || e.IsSpecial() {
		e.Size = 0 // they have none, whatever is sent
	}
	if e.Missing() {
		e.Nsec = 0 // nor a time that matters
	}
	if e.UID = p.uid; f.Owner && flags&xmitSameUID == 0 {
		e.UID = uint32(r.Varint())
	}
	if e.GID = p.gid; f.Group && flags&xmitSameGID == 0 {
		e.GID = uint32(r.Varint())
	}
	if f.hasRdev(&e) {
		major := p.major
		if flags&xmitSameRdevMajor == 0 {
			major = uint32(r.Varint())
		}
		e.Rdev = unix.Mkdev(major, uint32(r.Varint()))
		p.major = major
	}
	if f.Links && e.IsSymlink() {
		n := r.Varint()
		if n <= 0 || n >= maxPath {
			r.Fail("symlink %q with a target of %d bytes", e.Name, n)
		}
		e.Link = r.String(int(n))
	}
	if f.SumLen > 0 && e.IsRegular() {
		e.Sum = make([]byte, min(f.SumLen, 64))
		r.Full(e.Sum)
	}
	if e.IsDir() {
		if flags&xmitTopDir != 0 {
			e.Flags |= Top
		}
		if flags&xmitNoContent != 0 {
			e.Flags |= Partial
		}
	}
	p.name, p.sec, p.mode, p.uid, p.gid, p.any = e.Name, e.Sec, e.Mode, e.UID, e.GID, true
	return e
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
	switch e.Mode & unix.S_IFMT {
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
