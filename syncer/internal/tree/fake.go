package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// fakeStat is where --fake-super keeps what only root may set, as
	// "mode major,minor uid:gid", the mode in octal (rsync 3.5.0 xattrs.c, set_stat_xattr).
	fakeStat = "user.rsync.%stat"
	// fakeStatMost is more than any such text has.
	fakeStatMost = 255
)

// FakeSuper has d, and what is opened below it from now on, keep owners, special modes and
// types in an extended attribute, and read them from there: rsync's --fake-super. Symlinks
// become files that hold their target, since Linux gives symlinks no user attributes; devices,
// FIFOs and sockets become empty files.
func (d *Dir) FakeSuper() { d.fake = true }

// below is the directory fd, opened below d.
func (d *Dir) below(fd int) (*Dir, error) {
	sub, err := newDir(fd)
	if err == nil {
		sub.fake = d.fake
	}
	return sub, err
}

// overlay puts into st, which lstat told of name, what is kept beside it.
func (d *Dir) overlay(name string, st *unix.Stat_t) error {
	_, err := d.readStat(name, st)
	return err
}

// readStat is overlay; it returns the text that was found, "" for none.
func (d *Dir) readStat(name string, st *unix.Stat_t) (string, error) {
	if t := st.Mode & unix.S_IFMT; t != unix.S_IFREG && t != unix.S_IFDIR {
		return "", nil // a name that is no file and no directory stands for itself
	}
	buf := make([]byte, fakeStatMost)
	n, err := unix.Lgetxattr(d.Path(name), fakeStat, buf)
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read %s: %w", fakeStat, err)
	}
	text := string(buf[:n])
	var mode, major, minor, uid, gid uint32
	if _, err := fmt.Sscanf(text, "%o %d,%d %d:%d", &mode, &major, &minor, &uid, &gid); err != nil {
		return "", fmt.Errorf("read %s: %q is malformed", fakeStat, text)
	}
	if (mode&unix.S_IFMT == unix.S_IFDIR) != (st.Mode&unix.S_IFMT == unix.S_IFDIR) {
		return "", fmt.Errorf("read %s: %q does not say what it is", fakeStat, text)
	}
	st.Mode, st.Rdev, st.Uid, st.Gid = mode, unix.Mkdev(major, minor), uid, gid
	return text, nil
}

// setFake gives name all of want but its times. The owner of the files can always read and
// write them, so that it can always go on.
func (d *Dir) setFake(name string, want Attrs) error {
	var raw unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &raw, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("lstat: %w", err)
	}
	known := raw
	text, err := d.readStat(name, &known)
	if err != nil {
		return err
	}
	perm := want.Mode&0o777 | unix.S_IRUSR | unix.S_IWUSR
	if raw.Mode&unix.S_IFMT == unix.S_IFDIR {
		perm |= unix.S_IXUSR
	}
	if raw.Mode&PermBits != perm && raw.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := d.Chmod(name, perm); err != nil {
			return err
		}
	}
	next := known
	next.Mode, next.Rdev = want.Type|want.Mode&PermBits, want.Rdev
	if want.UID >= 0 {
		next.Uid = uint32(want.UID)
	}
	if want.GID >= 0 {
		next.Gid = uint32(want.GID)
	}
	raw.Mode = raw.Mode&unix.S_IFMT | perm
	if err := d.writeStat(name, text, &raw, &next); err != nil {
		return err
	}
	return d.setBeside(name, want)
}

// writeStat keeps next beside name, unless raw says as much; text is what is kept now.
func (d *Dir) writeStat(name, text string, raw, next *unix.Stat_t) error {
	now := ""
	if next.Mode != raw.Mode || next.Rdev != 0 || next.Uid != raw.Uid || next.Gid != raw.Gid {
		now = fmt.Sprintf("%o %d,%d %d:%d", next.Mode, unix.Major(next.Rdev), unix.Minor(next.Rdev), next.Uid, next.Gid)
	}
	var err error
	switch {
	case now == text:
	case now == "":
		err = unix.Lremovexattr(d.Path(name), fakeStat)
	default:
		err = unix.Lsetxattr(d.Path(name), fakeStat, []byte(now), 0)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", fakeStat, err)
	}
	return nil
}

// createFake makes the new file temp that stands for what is none.
func (d *Dir) createFake(temp, content string) error {
	fd, err := unix.Openat(d.fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, tempMode)
	if err != nil {
		return err
	}
	err = writeAll(fd, []byte(content))
	return errors.Join(err, unix.Close(fd))
}

// readFake reads the file that stands for the symlink name. A symlink itself, of an earlier
// run, has no target that counts: a file is to take its place.
func (d *Dir) readFake(name string) (string, error) {
	fd, err := d.OpenFile(name)
	if errors.Is(err, unix.ELOOP) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := readFull(fd, buf)
	return string(buf[:n]), err
}
