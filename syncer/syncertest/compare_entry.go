package syncertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// contentBuffer is how much of each of two files is held at a time.
const contentBuffer = 256 << 10

const absent = "absent"

// pair is one name that is of the same type in both trees.
type pair struct {
	path, name string
	dirA, dirB int // the directories that hold the name
	a, b       *unix.Stat_t
}

// data compares what an entry holds: bytes, a link's target, a device's number.
func (c *comparison) data(e pair) error {
	switch e.a.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if e.a.Size != e.b.Size {
			return c.add(e.path, Size, strconv.FormatInt(e.a.Size, 10), strconv.FormatInt(e.b.Size, 10))
		}
		if e.a.Size == 0 || e.a.Dev == e.b.Dev && e.a.Ino == e.b.Ino {
			return nil
		}
		return c.content(e)
	case unix.S_IFLNK:
		return c.target(e)
	case unix.S_IFBLK, unix.S_IFCHR:
		if e.a.Rdev != e.b.Rdev {
			return c.add(e.path, Rdev, device(e.a.Rdev), device(e.b.Rdev))
		}
	}
	return nil
}

func (c *comparison) target(e pair) error {
	a, err := readlinkAt(e.dirA, e.name)
	if err != nil {
		return fmt.Errorf("read link %q: %w", e.path, err)
	}
	b, err := readlinkAt(e.dirB, e.name)
	if err != nil {
		return fmt.Errorf("read link %q: %w", e.path, err)
	}
	if a == b {
		return nil
	}
	return c.add(e.path, Target, a, b)
}

// readlinkAt gives the quoted target, or "absent" for a name that is no link any more.
func readlinkAt(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax) // a target has at most PATH_MAX-1 bytes
	n, err := unix.Readlinkat(dir, name, buf)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return absent, nil
	}
	if err != nil {
		return "", err
	}
	return strconv.Quote(string(buf[:n])), nil
}

// content compares the bytes of two files of one size.
func (c *comparison) content(e pair) error {
	a, err := openAt(e.dirA, e.name, 0)
	if gone(err) {
		return c.add(e.path, Missing, absent, typeName(e.b))
	}
	if err != nil {
		return fmt.Errorf("open %q: %w", e.path, err)
	}
	defer a.Close()
	b, err := openAt(e.dirB, e.name, 0)
	if gone(err) {
		return c.add(e.path, Missing, typeName(e.a), absent)
	}
	if err != nil {
		return fmt.Errorf("open %q: %w", e.path, err)
	}
	defer b.Close()

	// The size that lstat told bounds the reading: a file may grow as fast as it is read.
	ra, rb := io.LimitReader(a, e.a.Size), io.LimitReader(b, e.b.Size)
	valA, valB, err := c.firstDifference(ra, rb)
	if err != nil {
		return fmt.Errorf("read %q: %w", e.path, err)
	}
	if valA == valB {
		return nil
	}
	return c.add(e.path, Content, valA, valB)
}

// firstDifference gives the first byte that differs and its offset, in print, or twice "".
func (c *comparison) firstDifference(a, b io.Reader) (valA, valB string, err error) {
	for offset := 0; ; {
		na, errA := io.ReadFull(a, c.bufA)
		nb, errB := io.ReadFull(b, c.bufB)
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return "", "", err
			}
		}
		bufA, bufB := c.bufA[:na], c.bufB[:nb]
		if !bytes.Equal(bufA, bufB) {
			i := mismatch(bufA, bufB)
			return byteAt(bufA, i, offset), byteAt(bufB, i, offset), nil
		}
		if na < len(c.bufA) {
			return "", "", nil
		}
		offset += na
	}
}

func mismatch(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func byteAt(buf []byte, i, offset int) string {
	if i >= len(buf) {
		return fmt.Sprintf("end at %d", offset+i)
	}
	return fmt.Sprintf("%#02x at %d", buf[i], offset+i)
}

// attributes compares what every entry has.
func (c *comparison) attributes(e pair) error {
	if modeA, modeB := e.a.Mode&0o7777, e.b.Mode&0o7777; modeA != modeB {
		if err := c.add(e.path, Mode, fmt.Sprintf("%04o", modeA), fmt.Sprintf("%04o", modeB)); err != nil {
			return err
		}
	}
	if !c.opts.IgnoreOwners {
		if err := c.owners(e); err != nil {
			return err
		}
	}
	if e.a.Mtim == e.b.Mtim || e.path == "." && c.opts.IgnoreTopTimes {
		return nil
	}
	return c.add(e.path, Mtime, stamp(e.a.Mtim), stamp(e.b.Mtim))
}

func (c *comparison) owners(e pair) error {
	if e.a.Uid != e.b.Uid {
		if err := c.add(e.path, UID, fmt.Sprint(e.a.Uid), fmt.Sprint(e.b.Uid)); err != nil {
			return err
		}
	}
	if e.a.Gid != e.b.Gid {
		return c.add(e.path, GID, fmt.Sprint(e.a.Gid), fmt.Sprint(e.b.Gid))
	}
	return nil
}

// extras compares what is only compared on request.
func (c *comparison) extras(e pair) error {
	if c.opts.HardLinks && e.a.Mode&unix.S_IFMT != unix.S_IFDIR {
		a, b := leader(c.firstA, e.path, e.a), leader(c.firstB, e.path, e.b)
		if a != b {
			if err := c.add(e.path, HardLink, linkedTo(e.path, a), linkedTo(e.path, b)); err != nil {
				return err
			}
		}
	}
	if !c.opts.Xattrs {
		return nil
	}
	return c.xattrs(e, fdPath(e.dirA, e.name), fdPath(e.dirB, e.name))
}

// leader names a group of hard links by the member that the walk met first.
func leader(first map[inode]string, path string, st *unix.Stat_t) string {
	if st.Nlink < 2 {
		return path
	}
	id := inode{uint64(st.Dev), st.Ino}
	if _, ok := first[id]; !ok {
		first[id] = path
	}
	return first[id]
}

func linkedTo(path, leader string) string {
	if path == leader {
		return "first of its name"
	}
	return fmt.Sprintf("link to %q", leader)
}

// fdPath addresses a name in an open directory for calls that take a path only: the xattr calls
// have no form with a directory descriptor before Linux 6.13.
func fdPath(dir int, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
}

func (c *comparison) xattrs(e pair, pathA, pathB string) error {
	a, err := readXattrs(pathA)
	if err != nil {
		return fmt.Errorf("read xattrs of %q: %w", e.path, err)
	}
	b, err := readXattrs(pathB)
	if err != nil {
		return fmt.Errorf("read xattrs of %q: %w", e.path, err)
	}
	if a == b {
		return nil
	}
	return c.add(e.path, Xattr, a, b)
}

// readXattrs prints all attributes of a path, sorted by name.
func readXattrs(path string) (string, error) {
	list, err := grow(func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOENT) {
		return "{}", nil
	}
	if err != nil {
		return "", err
	}
	var attrs []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value, err := grow(func(buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%q: %w", name, err)
		}
		attrs = append(attrs, fmt.Sprintf("%s=%q", name, value))
	}
	slices.Sort(attrs)
	return "{" + strings.Join(attrs, " ") + "}", nil
}

// grow calls with a larger buffer until the result fits; the kernel's limit for a list and for a
// value is 64 KiB, xattr(7).
func grow(call func([]byte) (int, error)) ([]byte, error) {
	for size := 1 << 10; ; size *= 8 {
		buf := make([]byte, size)
		n, err := call(buf)
		if errors.Is(err, unix.ERANGE) && size <= 64<<10 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

func typeName(st *unix.Stat_t) string {
	if st == nil {
		return absent
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symlink"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	case unix.S_IFBLK:
		return "block device"
	case unix.S_IFCHR:
		return "character device"
	}
	return fmt.Sprintf("type %#o", st.Mode&unix.S_IFMT)
}

func device(rdev uint64) string {
	return fmt.Sprintf("%d:%d", unix.Major(rdev), unix.Minor(rdev))
}

func stamp(ts unix.Timespec) string {
	return time.Unix(ts.Unix()).UTC().Format("2006-01-02T15:04:05.000000000Z")
}
