package syncertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultMaxDifferences is where Compare stops: a person reads the first few, and a tree that
// was not copied at all should not fill a terminal.
const DefaultMaxDifferences = 100

// CompareOptions says what Compare leaves out or adds. The zero value compares everything but
// hard links and xattrs.
type CompareOptions struct {
	IgnoreOwners   bool                   // uid and gid: without root they cannot be kept
	IgnoreTopTimes bool                   // mtime of the two roots themselves
	HardLinks      bool                   // which names are one file
	Xattrs         bool                   // all extended attributes that the caller may read, ACLs too
	Ignore         func(path string) bool // skip this path, relative to the root, and all below it
	MaxDifferences int                    // 0 means DefaultMaxDifferences
}

// Kind names what differs.
type Kind string

// The kinds of a Difference, in the order in which they are reported for one path.
const (
	Missing  Kind = "missing" // the name is in one tree only; nothing is said about what is below it
	Type     Kind = "type"    // then nothing else is compared
	Size     Kind = "size"    // then the content is not compared
	Content  Kind = "content" // the values are the first byte that differs, and where
	Mode     Kind = "mode"
	UID      Kind = "uid"
	GID      Kind = "gid"
	Mtime    Kind = "mtime"
	Target   Kind = "target"
	Rdev     Kind = "rdev"
	HardLink Kind = "hardlink"
	Xattr    Kind = "xattr"
	More     Kind = "more" // the last entry, when MaxDifferences was reached
)

// A Difference is one thing in which a path differs. Path is relative to the roots and "." for
// the roots themselves; A and B are the two values in print.
type Difference struct {
	Path string
	Kind Kind
	A, B string
}

// String gives the difference in one line, whatever bytes the path holds.
func (d Difference) String() string {
	if d.Kind == More {
		return "more differences were not looked for"
	}
	return fmt.Sprintf("%q: %s: %s != %s", d.Path, d.Kind, d.A, d.B)
}

// Compare compares the directories a and b and all below them, and returns what differs, sorted by
// path, or nil. The two roots may be symlinks to directories; below them none is followed.
//
// An entry that vanishes while it is looked at counts as missing, so trees that still change can be
// compared; any other error (a file that may not be read) ends the comparison.
func Compare(a, b string, opts CompareOptions) ([]Difference, error) {
	if opts.MaxDifferences <= 0 {
		opts.MaxDifferences = DefaultMaxDifferences
	}
	c := newComparison(opts)
	err := c.roots(a, b)
	// The walk goes name by name, which is not quite the order of whole paths ("a-b" and "a/b").
	slices.SortStableFunc(c.diffs, func(x, y Difference) int { return cmp.Compare(x.Path, y.Path) })
	if errors.Is(err, errEnough) {
		return append(c.diffs, Difference{Kind: More}), nil
	}
	if err != nil {
		return c.diffs, fmt.Errorf("compare %q with %q: %w", a, b, err)
	}
	return c.diffs, nil
}

// WaitEqual compares until the trees are equal or ctx ends; then the error lists what differs
// still. It is for a replica that is on its way.
func WaitEqual(ctx context.Context, a, b string, opts CompareOptions) error {
	pause := 5 * time.Millisecond
	for {
		diffs, err := Compare(a, b, opts)
		if err == nil && len(diffs) == 0 {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			if err == nil {
				err = fmt.Errorf("trees differ:\n%s", Format(diffs))
			}
			return fmt.Errorf("wait for %q to equal %q: %w: %w", b, a, context.Cause(ctx), err)
		case <-timer.C:
		}
		pause = min(2*pause, 200*time.Millisecond)
	}
}

// Format prints differences one a line.
func Format(diffs []Difference) string {
	var s strings.Builder
	for _, d := range diffs {
		fmt.Fprintf(&s, "\t%s\n", d)
	}
	return s.String()
}

// errEnough unwinds the walk once MaxDifferences were found.
var errEnough = errors.New("enough differences")

// inode identifies a file within one machine.
type inode struct{ dev, ino uint64 }

type comparison struct {
	opts  CompareOptions
	diffs []Difference
	// The first path at which a file with several names was met, in a and in b.
	firstA, firstB map[inode]string
	bufA, bufB     []byte
}

func newComparison(opts CompareOptions) *comparison {
	return &comparison{
		opts:   opts,
		firstA: map[inode]string{},
		firstB: map[inode]string{},
		bufA:   make([]byte, contentBuffer),
		bufB:   make([]byte, contentBuffer),
	}
}

// add notes a difference; false means that no more are wanted.
func (c *comparison) add(path string, kind Kind, a, b string) error {
	if len(c.diffs) >= c.opts.MaxDifferences {
		return errEnough
	}
	c.diffs = append(c.diffs, Difference{path, kind, a, b})
	return nil
}

func (c *comparison) roots(a, b string) error {
	dirA, err := os.OpenFile(a, unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dirA.Close()
	dirB, err := os.OpenFile(b, unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dirB.Close()

	var stA, stB unix.Stat_t
	if err := errors.Join(unix.Fstat(int(dirA.Fd()), &stA), unix.Fstat(int(dirB.Fd()), &stB)); err != nil {
		return fmt.Errorf("stat the roots: %w", err)
	}
	top := pair{path: ".", a: &stA, b: &stB}
	if err := c.attributes(top); err != nil {
		return err
	}
	if c.opts.Xattrs {
		if err := c.xattrs(top, fdPath(int(dirA.Fd()), "."), fdPath(int(dirB.Fd()), ".")); err != nil {
			return err
		}
	}
	return c.dirs(".", dirA, dirB)
}

// dirs compares what is in two open directories. Everything is addressed by directory descriptor
// and name, so a tree may be deeper than PATH_MAX.
func (c *comparison) dirs(dir string, a, b *os.File) error {
	namesA, err := sortedNames(a)
	if err != nil {
		return fmt.Errorf("list %q: %w", dir, err)
	}
	namesB, err := sortedNames(b)
	if err != nil {
		return fmt.Errorf("list %q: %w", dir, err)
	}
	for _, name := range merge(namesA, namesB) {
		p := path.Join(dir, name)
		if c.opts.Ignore != nil && c.opts.Ignore(p) {
			continue
		}
		if err := c.entry(p, name, int(a.Fd()), int(b.Fd())); err != nil {
			return err
		}
	}
	return nil
}

func sortedNames(dir *os.File) ([]string, error) {
	names, err := dir.Readdirnames(-1)
	if errors.Is(err, unix.ENOENT) { // removed while open
		err = nil
	}
	slices.Sort(names)
	return names, err
}

// merge gives the union of two sorted lists.
func merge(a, b []string) []string {
	if slices.Equal(a, b) {
		return a
	}
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}

// entry compares one name in two directories.
func (c *comparison) entry(path, name string, dirA, dirB int) error {
	a, err := lstatAt(dirA, name)
	if err != nil {
		return fmt.Errorf("lstat %q: %w", path, err)
	}
	b, err := lstatAt(dirB, name)
	if err != nil {
		return fmt.Errorf("lstat %q: %w", path, err)
	}
	switch {
	case a == nil && b == nil:
		return nil
	case a == nil || b == nil:
		return c.add(path, Missing, typeName(a), typeName(b))
	case a.Mode&unix.S_IFMT != b.Mode&unix.S_IFMT:
		return c.add(path, Type, typeName(a), typeName(b))
	}
	e := pair{path: path, name: name, dirA: dirA, dirB: dirB, a: a, b: b}
	if err := c.data(e); err != nil {
		return err
	}
	if err := c.attributes(e); err != nil {
		return err
	}
	if err := c.extras(e); err != nil {
		return err
	}
	if a.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	return c.descend(e)
}

func (c *comparison) descend(e pair) error {
	a, err := openAt(e.dirA, e.name, unix.O_DIRECTORY)
	if gone(err) {
		return c.add(e.path, Missing, absent, typeName(e.b))
	}
	if err != nil {
		return fmt.Errorf("open %q: %w", e.path, err)
	}
	defer a.Close()
	b, err := openAt(e.dirB, e.name, unix.O_DIRECTORY)
	if gone(err) {
		return c.add(e.path, Missing, typeName(e.a), absent)
	}
	if err != nil {
		return fmt.Errorf("open %q: %w", e.path, err)
	}
	defer b.Close()
	return c.dirs(e.path, a, b)
}

// lstatAt gives nil, nil for a name that is not there.
func lstatAt(dir int, name string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &st, nil
}

// openAt opens without following a symlink and without waiting for the other end of a FIFO that
// took the place of a file.
func openAt(dir int, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|flags, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// gone tells that the entry is not what lstat said a moment ago.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENXIO)
}
