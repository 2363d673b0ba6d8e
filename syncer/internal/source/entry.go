package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/meta"
)

// lookAt lstats base in dir and makes it the entry called name.
func (t *Tree) lookAt(dir int, base, name string) (flist.Entry, error) {
	for {
		var st unix.Stat_t
		if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
			return flist.Entry{}, pathError("lstat", err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return t.complete(dir, base, t.entry(name, &st), false)
		}
		text, err := readlinkAt(dir, base)
		if errors.Is(err, unix.EINVAL) {
			continue // no symlink any more: look again
		}
		if err != nil {
			return flist.Entry{}, pathError("readlink", err)
		}
		target, err := t.target(dir, base, name, text)
		if err != nil {
			return flist.Entry{}, err
		}
		if target != nil {
			return t.complete(dir, base, t.entry(name, target), true)
		}
		e := t.entry(name, &st)
		e.More().Link = t.unmunge(text)
		return t.complete(dir, base, e, false)
	}
}

// entry makes the entry of what stat told.
func (t *Tree) entry(name string, st *unix.Stat_t) flist.Entry {
	e := flist.FromStat(name, st)
	if t.opts.HardLinks && st.Nlink > 1 && !e.IsDir() {
		e.Flags |= flist.Linked
	}
	if t.opts.Atimes {
		e.More().Atime = st.Atim.Sec
	}
	if !t.opts.FakeSuper {
		t.chmod(&e)
	}
	return e
}

// chmod applies --chmod, which leaves symlinks alone.
func (t *Tree) chmod(e *flist.Entry) {
	if !e.IsSymlink() {
		e.Mode = t.opts.Chmod.Apply(e.Mode)
	}
}

// complete adds to e what stat(2) does not tell. followed says that base is a symlink and e
// what it leads to.
func (t *Tree) complete(dir int, base string, e flist.Entry, followed bool) (flist.Entry, error) {
	o := &t.opts
	if !o.Xattrs && !o.ACLs && !o.FakeSuper {
		return e, nil
	}
	err := t.readExtra(dir, base, &e, followed)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	var st unix.Stat_t
	if gone := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); gone != nil {
		return e, pathError("lstat", gone)
	}
	// It is there: what is missing is /proc. Nobody must take that for a deletion.
	return e, fmt.Errorf("%s (is /proc mounted?)", err)
}

func (t *Tree) readExtra(dir int, base string, e *flist.Entry, followed bool) error {
	path := procPath(dir) + "/" + base
	if followed {
		var err error
		if path, err = resolved(dir, base); err != nil {
			return err
		}
	}
	if t.opts.FakeSuper {
		err := t.fake(e, func(name string) ([]byte, error) { return meta.Value(path, name) })
		if err != nil {
			return err
		}
		if e.IsSymlink() && e.Link() == "" {
			if err := readFakeLink(dir, base, e); err != nil {
				return err
			}
		}
	}
	if t.opts.ACLs && !e.IsSymlink() {
		readACLs := readACLs
		if t.opts.FakeSuper {
			readACLs = readFakeACLs
		}
		if err := readACLs(path, e); err != nil {
			return err
		}
	}
	if !t.opts.Xattrs {
		return nil
	}
	attrs, err := t.xattrs(path)
	if len(attrs) > 0 {
		e.More().Xattrs = attrs
	}
	return err
}

func readACLs(path string, e *flist.Entry) error {
	a, err := meta.Access(path)
	if a != nil {
		e.More().Access = a
	}
	if err != nil || !e.IsDir() {
		return err
	}
	if a, err = meta.Default(path); a != nil {
		e.More().Default = a
	}
	return err
}

// readFakeACLs is readACLs with --fake-super: what is really there is the business of whoever
// owns the files.
func readFakeACLs(path string, e *flist.Entry) error {
	a, err := meta.FakeAccess(path, e.Mode)
	if a != nil {
		e.More().Access = a
	}
	if err != nil || !e.IsDir() {
		return err
	}
	if a, err = meta.FakeDefault(path); a != nil {
		e.More().Default = a
	}
	return err
}

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// resolved is the path of what the symlink base in dir leads to.
func resolved(dir int, base string) (string, error) {
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return os.Readlink(procPath(fd))
}

// Xattr reads the value of an extended attribute of name in full, attr being as in Extra.
func (t *Tree) Xattr(name, attr string) ([]byte, error) {
	dir, base, done, err := t.openParent(name)
	if err != nil {
		return nil, pathError("open directory", err)
	}
	defer done()
	path := procPath(dir) + "/" + base
	if text, err := readlinkAt(dir, base); err == nil {
		target, err := t.target(dir, base, name, text)
		if err != nil {
			return nil, err
		}
		if target != nil {
			if path, err = resolved(dir, base); err != nil {
				return nil, err
			}
		}
	}
	if t.opts.FakeSuper {
		if value, err := meta.Value(path, fakePrefix+attr); !errors.Is(err, unix.ENODATA) {
			return value, err
		}
	}
	return meta.Value(path, attr)
}

// What --fake-super keeps in extended attributes (rsync 3.5.0 xattrs.c, XSTAT_ATTR, RSYNC_PREFIX).
const (
	fakePrefix = "user.rsync."
	fakeStat   = "user.rsync.%stat"
)

// xattrs are the attributes of path; with --fake-super those that an earlier run put under a
// name of its own get theirs back.
func (t *Tree) xattrs(path string) ([]meta.Xattr, error) {
	attrs, err := meta.Xattrs(path, true)
	if err != nil || !t.opts.FakeSuper {
		return attrs, err
	}
	for i := range attrs {
		attrs[i].Name = strings.TrimPrefix(attrs[i].Name, fakePrefix)
	}
	slices.SortStableFunc(attrs, func(a, b meta.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(attrs, func(a, b meta.Xattr) bool { return a.Name == b.Name }), nil
}

// fake takes mode, owner and device number of e from where --fake-super keeps them, if they are
// there (rsync 3.5.0 xattrs.c, get_stat_xattr), and applies --chmod.
func (t *Tree) fake(e *flist.Entry, value func(name string) ([]byte, error)) error {
	defer t.chmod(e)
	if e.IsDevice() || e.IsSpecial() || e.IsSymlink() {
		return nil
	}
	b, err := value(fakeStat)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		return nil
	case err != nil:
		return err
	}
	var mode, major, minor, uid, gid uint32
	if n, err := fmt.Sscanf(string(b), "%o %d,%d %d:%d", &mode, &major, &minor, &uid, &gid); err != nil || n != 5 {
		return fmt.Errorf("corrupt %s: %.100q", fakeStat, b)
	}
	if fake := mode & unix.S_IFMT; (fake == unix.S_IFDIR) != e.IsDir() {
		return fmt.Errorf("corrupt %s: %.100q does not say what it is", fakeStat, b)
	}
	e.Mode, e.UID, e.GID = mode, uid, gid
	if e.IsDevice() {
		e.More().Rdev = unix.Mkdev(major, minor)
	}
	return nil
}

// readFakeLink reads the target of a symlink that --fake-super made a file of.
func readFakeLink(dir int, base string, e *flist.Entry) error {
	fd, err := beneath.Open(dir, base, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	f := beneath.NewFile(fd)
	defer f.Close()
	b := make([]byte, unix.PathMax)
	n, err := f.Read(b)
	if n == 0 {
		return fmt.Errorf("the target of a symlink: %w", err)
	}
	e.More().Link = string(b[:n])
	return nil
}

func readlinkAt(dirfd int, base string) (string, error) {
	for size := 256; ; size *= 2 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dirfd, base, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// pathError says what was done; the path is left to the Problem that will carry it.
func pathError(op string, err error) error {
	if errors.Is(err, errLoop) { // followed as the options ask: the path is there, and has no end
		return fmt.Errorf("%s: %w", op, err)
	}
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		// A parent became something else: the path that was asked for is gone.
		err = fmt.Errorf("%w (%w)", unix.ENOENT, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
