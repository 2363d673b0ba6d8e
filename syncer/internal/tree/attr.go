package tree

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/beneath"
)

// AttrError says that a name is as it is to be, in its place, but for attributes that could not be
// set: rsync brings it over then as well.
type AttrError struct{ Err error }

func (e *AttrError) Error() string { return e.Err.Error() }
func (e *AttrError) Unwrap() error { return e.Err }

// PermBits are the bits of st_mode that chmod(2) sets.
const PermBits = 0o7777

// Attrs is what a name is to have beside its content.
type Attrs struct {
	UID, GID int    // -1: as it is
	Mode     uint32 // permission bits; of symlinks without meaning
	Times    bool   // whether Sec and Nsec count
	Sec      int64  // mtime
	Nsec     uint32
	Atimes   bool  // whether Atime counts
	Atime    int64 // seconds; what is finer becomes 0, as rsync has it
	// Beside sets what the name has beside stat(2), given its path in /proc, whose last
	// component must not be followed. It may change the mode. nil: nothing.
	Beside func(path string) error
	Type   uint32 // of st_mode, and Rdev of a device: for FakeSuper alone
	Rdev   uint64
}

// SetAttrs brings name in d, which looks like have, to want; "." is d itself. What
// agrees is left alone. The order is owner, what is beside, time, mode: chown(2) clears the
// set-ID bits and capabilities, an ACL rules the mode, and a mode that forbids searching "."
// must come last.
func (d *Dir) SetAttrs(name string, have *unix.Stat_t, want Attrs) error {
	if d.fake {
		if err := d.setFake(name, want); err != nil {
			return err
		}
		return d.setTimes(name, have, want)
	}
	chowned, err := d.setOwner(name, have, want)
	if err != nil {
		return err
	}
	beside := d.setBeside(name, want) // what fails here keeps nothing else from being set
	if err := d.setTimes(name, have, want); err != nil {
		return err
	}
	if have.Mode&unix.S_IFMT == unix.S_IFLNK {
		return beside // Linux knows no mode of a symlink
	}
	cleared := chowned && want.Mode&(unix.S_ISUID|unix.S_ISGID) != 0
	if have.Mode&PermBits != want.Mode || cleared || want.Beside != nil {
		if err := d.Chmod(name, want.Mode); err != nil {
			return err
		}
	}
	return beside
}

// Differs says whether SetAttrs has something to do.
func (a *Attrs) Differs(have *unix.Stat_t) bool {
	return a.NewOwner(have) || a.Beside != nil || a.newMtime(have) || a.newAtime(have) ||
		have.Mode&unix.S_IFMT != unix.S_IFLNK && have.Mode&PermBits != a.Mode
}

// NewOwner says whether SetAttrs has owner or group to change.
func (a *Attrs) NewOwner(have *unix.Stat_t) bool {
	uid, gid := changedIDs(have, *a)
	return uid >= 0 || gid >= 0
}

func (a *Attrs) newMtime(have *unix.Stat_t) bool {
	return a.Times && (have.Mtim.Sec != a.Sec || have.Mtim.Nsec != int64(a.Nsec))
}

func (a *Attrs) newAtime(have *unix.Stat_t) bool { return a.Atimes && have.Atim.Sec != a.Atime }

// setBeside has want.Beside do its part. A name of our own that forbids writing allows it for as
// long as that takes (rsync 3.5.0 xattrs.c, set_xattr): the mode is set after it.
func (d *Dir) setBeside(name string, want Attrs) error {
	if want.Beside == nil {
		return nil
	}
	first := want.Beside(d.Path(name))
	if !errors.Is(first, unix.EACCES) {
		return first
	}
	st, err := d.Lstat(name)
	if err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK || st.Mode&unix.S_IWUSR != 0 || st.Uid != uint32(unix.Geteuid()) {
		return first
	}
	if d.Chmod(name, st.Mode|unix.S_IWUSR) != nil {
		return first
	}
	if err = want.Beside(d.Path(name)); err != nil {
		_ = d.Chmod(name, st.Mode) // the first error is the one to tell
	}
	return err
}

// Path is where name in d is found without a descriptor of its own, for system calls that
// take none. Its last component must not be followed.
func (d *Dir) Path(name string) string { return "/proc/self/fd/" + strconv.Itoa(d.fd) + "/" + name }

func (d *Dir) setOwner(name string, have *unix.Stat_t, want Attrs) (bool, error) {
	uid, gid := changedIDs(have, want)
	if uid < 0 && gid < 0 {
		return false, nil
	}
	if err := unix.Fchownat(d.fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, fmt.Errorf("chown: %w", err)
	}
	return true, nil
}

// changedIDs is what chown(2) is to be told: -1 for what stays.
func changedIDs(have *unix.Stat_t, want Attrs) (uid, gid int) {
	uid, gid = -1, -1
	if want.UID >= 0 && uint32(want.UID) != have.Uid {
		uid = want.UID
	}
	if want.GID >= 0 && uint32(want.GID) != have.Gid {
		gid = want.GID
	}
	return uid, gid
}

// setTimes sets those times of name, which looks like have, that differ.
func (d *Dir) setTimes(name string, have *unix.Stat_t, want Attrs) error {
	want.Times, want.Atimes = want.newMtime(have), want.newAtime(have)
	return d.setTime(name, want)
}

func (d *Dir) setTime(name string, want Attrs) error {
	if !want.Times && !want.Atimes {
		return nil
	}
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	if want.Atimes {
		ts[0] = unix.Timespec{Sec: want.Atime}
	}
	if want.Times {
		ts[1] = unix.Timespec{Sec: want.Sec, Nsec: int64(want.Nsec)}
	}
	if err := unix.UtimesNanoAt(d.fd, name, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return nil
}

// Chmod sets the permission bits of name, which is no symlink, without opening it.
func (d *Dir) Chmod(name string, perm uint32) error {
	err := unix.Fchmodat(d.fd, name, perm&PermBits, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) {
		// Before Linux 6.6 there is no fchmodat2(2); an older sandbox may forbid it. A
		// descriptor of O_PATH, opened without following, and its name in /proc do the same.
		err = d.chmodProc(name, perm, err)
	}
	if err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}

func (d *Dir) chmodProc(name string, perm uint32, first error) error {
	fd, err := beneath.Open(d.fd, name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return first
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), perm&PermBits)
}

// setFileAttrs sets owner, what is beside and mode, in this order, of the open file name
// that looks like have.
func (d *Dir) setFileAttrs(fd int, name string, have *unix.Stat_t, want Attrs) error {
	if d.fake {
		return d.setFake(name, want)
	}
	uid, gid := changedIDs(have, want)
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return fmt.Errorf("chown: %w", err)
		}
	}
	beside := d.setBeside(name, want)
	if have.Mode&PermBits == want.Mode && want.Beside == nil {
		return nil
	}
	if err := unix.Fchmod(fd, want.Mode&PermBits); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return beside
}
