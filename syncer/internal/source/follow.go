package source

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// ErrNoReferent is of a symlink that is to be followed and leads nowhere.
var ErrNoReferent = errors.New("symlink has no referent")

// errLoop is of a path with more symlinks than the kernel follows: a loop.
var errLoop = fmt.Errorf("%w", unix.ELOOP)

// maxFollowed is the kernel's limit of symlinks in one path (path_resolution(7)).
const maxFollowed = 40

// munged is what --munge-links puts before a symlink's target (rsync(1)).
const munged = "/rsyncd-munged/"

// UnsafeLink says whether rsync takes a symlink as unsafe: name is where it is in the transfer.
// Its target is absolute, empty, leads above the transfer's root, or has a ".." behind
// another component, which may be a symlink itself (rsync 3.5.0 util1.c, unsafe_symlink).
func UnsafeLink(name, target string) bool {
	if target == "" || target[0] == '/' {
		return true
	}
	rest := target
	for strings.HasPrefix(rest, "../") {
		rest = strings.TrimLeft(rest[len("../"):], "/")
	}
	if strings.Contains(rest, "/../") || strings.HasSuffix(target, "/..") {
		return true
	}
	depth := strings.Count(name, "/")
	for c := range strings.SplitSeq(target, "/") {
		switch c {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// follows says that some option has symlinks followed.
func (t *Tree) follows() bool {
	o := &t.opts
	return o.CopyLinks || o.CopyUnsafeLinks || o.CopyDirlinks || !t.scope.Everything()
}

// followsFile says whether the symlink name becomes what it points to, whatever that is.
func (t *Tree) followsFile(name, target string) bool {
	return t.opts.CopyLinks || t.opts.CopyUnsafeLinks && UnsafeLink(name, target)
}

// followsDir says whether the symlink name becomes what it points to if that is a directory.
func (t *Tree) followsDir(name, target string) bool {
	return t.opts.CopyDirlinks || t.followsFile(name, target) || t.scope.follows(name)
}

// openPath opens name with the flags of open(2). Symlinks on the way are followed only where an
// option says so, and then to wherever they lead.
func (t *Tree) openPath(name string, flags int) (int, error) {
	if err := beneath.Check(name); err != nil {
		return -1, err
	}
	at, rel := t.at(name)
	fd, err := beneath.Open(at, rel, flags, 0)
	if err == nil || !t.follows() || !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
		return fd, err
	}
	return t.openFollowing(at, rel, name, flags)
}

// openFollowing is openPath component by component; rel is the end of name that is looked up from at.
func (t *Tree) openFollowing(at int, rel, name string, flags int) (int, error) {
	dir := at
	done := len(name) - len(rel) // of name
	if rel == "." {
		done = len(name)
	}
	for followed := 0; ; {
		c, rest, more := strings.Cut(rel, "/")
		if rel != "." {
			done += len(c)
		}
		f := unix.O_PATH | unix.O_DIRECTORY
		if !more {
			f = flags
		}
		fd, linked, err := t.openOne(dir, c, name[:done], f)
		if linked {
			followed++
		}
		if dir != at {
			unix.Close(dir)
		}
		if err == nil && followed > maxFollowed {
			unix.Close(fd)
			err = errLoop
		}
		if err != nil || !more {
			return fd, err
		}
		dir, rel = fd, rest
		done++
	}
}

// openOne opens base in dir; linked says that a symlink was followed.
func (t *Tree) openOne(dir int, base, name string, flags int) (fd int, linked bool, err error) {
	fd, err = beneath.Open(dir, base, flags, 0)
	if err == nil || !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
		return fd, false, err
	}
	target, linkErr := readlinkAt(dir, base)
	if linkErr != nil {
		return -1, false, err // no symlink
	}
	wanted := t.followsFile(name, target)
	if flags&unix.O_DIRECTORY != 0 {
		wanted = t.followsDir(name, target)
	}
	if !wanted {
		return -1, false, err
	}
	for {
		fd, err = unix.Openat(dir, base, flags|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.ELOOP) {
		err = errLoop
	}
	return fd, true, err
}

// openParent opens the directory that name is in, to look at base in it.
func (t *Tree) openParent(name string) (fd int, base string, done func(), err error) {
	if err := beneath.Check(name); err != nil {
		return -1, "", nil, err
	}
	at, rel := t.at(name)
	if !strings.Contains(rel, "/") {
		return at, rel, func() {}, nil
	}
	fd, err = t.openPath(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, "", nil, err
	}
	return fd, path.Base(name), func() { unix.Close(fd) }, nil
}

// target looks at what the symlink base in dir leads to, if it is to be followed.
func (t *Tree) target(dir int, base, name, text string) (*unix.Stat_t, error) {
	file := t.followsFile(name, text)
	if !file && !t.followsDir(name, text) {
		return nil, nil
	}
	var st unix.Stat_t
	err := unix.Fstatat(dir, base, &st, unix.AT_NO_AUTOMOUNT)
	switch {
	case err == nil && (file || st.Mode&unix.S_IFMT == unix.S_IFDIR):
		return &st, nil
	case err == nil || !file:
		return nil, nil // it stays a symlink
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return nil, ErrNoReferent
	}
	return nil, fmt.Errorf("stat: %w", err)
}

// unmunge takes off what --munge-links of an earlier run put before a symlink's target: in a
// push the option does no more (rsync 3.5.0 flist.c, readlink_stat).
func (t *Tree) unmunge(target string) string {
	if t.opts.MungeLinks && len(target) > len(munged) {
		return strings.TrimPrefix(target, munged)
	}
	return target
}
