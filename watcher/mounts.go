package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const mountinfoPath = "/proc/self/mountinfo"

// mountPause is the least time between two looks at the mount table: hosts of containers change
// theirs many times a second.
const mountPause = 50 * time.Millisecond

// mountTable is what is mounted where, as far as it concerns one root.
type mountTable struct {
	above string            // all mounts on the root or a directory above it
	below map[string]string // mount points below the root
	top   map[string]uint64 // the identity of the last mount at each
	// remote are those below the root whose filesystem others may change without an event here.
	remote []string
}

// readMounts reads the mounts that concern root. Two tables are equal if nothing was mounted or
// unmounted between; options do not count.
func readMounts(root string) (mountTable, error) {
	f, err := os.Open(mountinfoPath)
	if err != nil {
		return mountTable{}, err
	}
	defer f.Close()
	t := mountTable{below: make(map[string]string), top: make(map[string]uint64)}
	_, err = mountinfo.GetMountsFromReader(f, func(m *mountinfo.Info) (skip, stop bool) {
		t.add(root, m)
		return true, false
	})
	if err != nil {
		return mountTable{}, fmt.Errorf("read %s: %w", mountinfoPath, err)
	}
	return t, nil
}

func (t *mountTable) add(root string, m *mountinfo.Info) {
	mount := fmt.Sprintf("%d %d:%d %q;", m.ID, m.Major, m.Minor, m.Root)
	_, above := relPath(m.Mountpoint, root)
	_, below := relPath(root, m.Mountpoint)
	switch {
	case above:
		t.above += m.Mountpoint + " " + mount
	case below:
		t.below[m.Mountpoint] += mount // mounts stack: the order counts
		t.top[m.Mountpoint] = uint64(m.ID)
		if isRemoteType(m.FSType) {
			t.remote = append(t.remote, m.Mountpoint)
		}
	}
}

// same reports whether nothing was mounted or unmounted between t and now.
func (t mountTable) same(now mountTable) bool {
	return t.above == now.above && maps.Equal(t.below, now.below)
}

// reached reports whether a path leads into the last mount at point: another mount on a directory above
// may cover it, or the directory was renamed since.
func (t mountTable) reached(point string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, point, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &st)
	return err == nil && (st.Mask&unix.STATX_MNT_ID == 0 || st.Mnt_id == t.top[point]) // before Linux 5.8 nobody knows
}

// has reports whether there is a mount point at dir or below it.
func (t mountTable) has(dir string) bool {
	for p := range t.below {
		if _, ok := relPath(dir, p); ok {
			return true
		}
	}
	return false
}

// changed gives the mount points below the root at which t and now differ.
func (t mountTable) changed(now mountTable) []string {
	points := make(map[string]bool)
	for p := range t.below {
		points[p] = t.below[p] != now.below[p]
	}
	for p := range now.below {
		points[p] = t.below[p] != now.below[p]
	}
	maps.DeleteFunc(points, func(_ string, differs bool) bool { return !differs })
	return topmost(slices.Sorted(maps.Keys(points)))
}

// topmost drops the paths that are below another one.
func topmost(paths []string) []string {
	return slices.DeleteFunc(paths, func(p string) bool {
		return slices.ContainsFunc(paths, func(q string) bool {
			return len(q) < len(p) && strings.HasPrefix(p, q) && p[len(q)] == '/'
		})
	})
}

// openMounts opens the mount table for watchMounts. Not with os.Open: that registers the file with
// the runtime's epoll, and the kernel tells each change to whoever polls the open file first.
func openMounts() (fd int, err error) {
	fd, err = unix.Open(mountinfoPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", mountinfoPath, err)
	}
	return fd, nil
}

// watchMounts sends on changed, without waiting, after each change of the mount table since it was
// opened, and closes it. It returns when ctx is done, or with an error when it cannot watch.
//
// The kernel raises POLLPRI on an open mountinfo once for any number of changes since the last
// poll, or since it was opened: proc_pid_mounts(5). Nothing else tells of an unmount: fsnotify
// swallows IN_UNMOUNT.
func watchMounts(ctx context.Context, table int, changed chan<- struct{}) error {
	defer unix.Close(table)
	quit, unblock, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer quit.Close()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ctx.Done()
		unblock.Close()
	})
	defer wg.Wait()
	defer cancel()
	return pollMounts(ctx, int32(table), int32(quit.Fd()), changed)
}

// pollMounts returns nil when ctx is done; quit becomes readable then.
func pollMounts(ctx context.Context, mountinfo, quit int32, changed chan<- struct{}) error {
	fds := []unix.PollFd{{Fd: mountinfo, Events: unix.POLLPRI}, {Fd: quit, Events: unix.POLLIN}}
	for ctx.Err() == nil {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) || err == nil && fds[0].Revents == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("poll %s: %w", mountinfoPath, err)
		}
		select {
		case changed <- struct{}{}:
		default:
		}
		pause := time.NewTimer(mountPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
	return nil
}
