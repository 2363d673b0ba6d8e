package fanotify

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrUnsupported: this kernel or this filesystem has no such marks, or the filesystem is mounted
	// more than once below the root.
	ErrUnsupported = errors.New("not supported by kernel or filesystem")
	// ErrPrivilege: CAP_SYS_ADMIN (for the mark) or CAP_DAC_READ_SEARCH (for handles) is missing.
	ErrPrivilege = errors.New("needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH")
	// ErrLimit: the user has as many groups, marks or open files as allowed.
	ErrLimit = errors.New("limit reached")
	// ErrSilent: all calls succeeded, and no event came.
	ErrSilent = errors.New("filesystem tells no events")
)

const (
	// moves are the bits of which each renamed directory has one.
	moves = unix.FAN_RENAME | unix.FAN_MOVED_FROM | unix.FAN_MOVED_TO
	// accesses are the bits that reading a file sets.
	accesses = unix.FAN_OPEN | unix.FAN_OPEN_EXEC | unix.FAN_ACCESS | unix.FAN_CLOSE_NOWRITE
)

// newGroup makes a fanotify group. FAN_REPORT_TARGET_FID (Linux 5.17) adds the handle of what was renamed:
// whether it is what has the name later, nobody could tell otherwise.
func newGroup(limited bool) (fd int, err error) {
	flags := uint(unix.FAN_CLASS_NOTIF | unix.FAN_REPORT_DFID_NAME_TARGET | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK)
	if !limited {
		flags |= unix.FAN_UNLIMITED_QUEUE
	}
	const target = unix.FAN_REPORT_DFID_NAME_TARGET &^ unix.FAN_REPORT_DFID_NAME
	for _, without := range []uint{
		0, target,
		// In a user namespace a filesystem that was mounted there can be marked (seen on 6.18), but
		// the queue has its limit: fs.fanotify.max_queued_events.
		unix.FAN_UNLIMITED_QUEUE, unix.FAN_UNLIMITED_QUEUE | target,
	} {
		fd, err = unix.FanotifyInit(flags&^without, unix.O_RDONLY|unix.O_CLOEXEC)
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	if err != nil {
		return -1, fmt.Errorf("make fanotify group: %w", classify(err))
	}
	return fd, nil
}

// mark adds mask to the mark of the filesystem of the directory dirFd, or makes one. The directory
// comes as a descriptor because its path may be another filesystem's by now.
func mark(group, dirFd int, mask uint64) error {
	err := unix.FanotifyMark(group, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, mask, dirFd, "")
	if err != nil {
		return fmt.Errorf("mark filesystem: %w", classify(err))
	}
	return nil
}

// unmark takes mask from the mark, and with its last bit the mark.
func unmark(group, dirFd int, mask uint64) error {
	err := unix.FanotifyMark(group, unix.FAN_MARK_REMOVE|unix.FAN_MARK_FILESYSTEM, mask, dirFd, "")
	if err != nil {
		return fmt.Errorf("remove mark of filesystem: %w", classify(err))
	}
	return nil
}

// markMoves marks with FAN_RENAME, or where the kernel does not know it (before 5.17, EINVAL) with
// FAN_MOVED_FROM and FAN_MOVED_TO. It tells the mask that was taken.
func markMoves(group, dirFd int, mask uint64, noRename bool) (taken uint64, err error) {
	if !noRename {
		taken = mask | unix.FAN_RENAME
		err = mark(group, dirFd, taken)
		if !errors.Is(err, unix.EINVAL) {
			return taken, err
		}
	}
	taken = mask | unix.FAN_MOVED_FROM | unix.FAN_MOVED_TO
	return taken, mark(group, dirFd, taken)
}

// Unmarked gives the paths of those filesystems that have no mark any more: a mark ends with its
// filesystem, and what is mounted anew in its place, be it the same disk, is not marked.
func (g *Group) Unmarked() (paths []string, err error) {
	marked, err := markedDevices(g.fd)
	if err != nil {
		return nil, err
	}
	all := g.mounts.all()
	for id, path := range all {
		fd, now, err := openDir(path)
		if err != nil {
			continue // the mount table tells, or a rename
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
		// On btrfs st_dev is the subvolume's: there the number of marks has to tell.
		dev := uint64(unix.Major(st.Dev))<<20 | uint64(unix.Minor(st.Dev))
		if err == nil && (now != id || !marked[dev] && len(marked) < len(all)) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// markedDevices reads which filesystems a group has marked: lines "fanotify sdev:800001 mflags:…" of
// proc_pid_fdinfo(5), the device as the kernel keeps it, 20 bits for the minor number.
func markedDevices(group int) (map[uint64]bool, error) {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(group))
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	marked := make(map[uint64]bool)
	for line := range strings.Lines(string(info)) {
		var dev uint64
		if _, err := fmt.Sscanf(line, "fanotify sdev:%x", &dev); err == nil {
			marked[dev] = true
		}
	}
	return marked, nil
}

// classify adds to an error number what it means to a caller. Of fanotify_mark(2): ENODEV is a
// filesystem without an id, EXDEV a btrfs subvolume, EOPNOTSUPP one whose handles cannot be opened.
func classify(err error) error {
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP),
		errors.Is(err, unix.ENODEV), errors.Is(err, unix.EXDEV):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	case errors.Is(err, unix.EMFILE): // fanotify_init(2) has one error for both
		return fmt.Errorf("%w: raise fs.fanotify.max_user_groups (in a user namespace: user.max_fanotify_groups) or that of open files: %w", ErrLimit, err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w: raise fs.fanotify.max_user_marks (in a user namespace: user.max_fanotify_marks): %w", ErrLimit, err)
	}
	return privileged(err)
}

func privileged(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: %w", ErrPrivilege, err)
	}
	return err
}
