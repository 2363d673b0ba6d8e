package fanotify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// fsid is statfs(2) f_fsid in the machine's byte order, as events carry it.
type fsid [fsidSize]byte

// mounts knows for each filesystem that is marked the directory at which it is reached: the root, or
// a mount point below it.
type mounts struct {
	mu sync.Mutex // guards at
	at map[fsid]string
}

func (m *mounts) path(id fsid) (path string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path, ok = m.at[id]
	return path, ok
}

// add refuses a filesystem that is there already: see AddFilesystem.
func (m *mounts) add(id fsid, path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.at[id]; ok {
		return fmt.Errorf("%w: the filesystem at %q is watched as %q, and its events do not tell the mount", ErrUnsupported, path, at)
	}
	m.at[id] = path
	return nil
}

// remove gives the filesystem that was reached at path.
func (m *mounts) remove(path string) (id fsid, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, at := range m.at {
		if at == path {
			delete(m.at, id)
			return id, true
		}
	}
	return fsid{}, false
}

// all gives the filesystems and where they are reached.
func (m *mounts) all() map[fsid]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.at)
}

var errNotMounted = errors.New("filesystem is no longer there")

// open opens the directory at which a filesystem is reached. The descriptor is for a moment only:
// while it is open, umount(8) fails with EBUSY. That the filesystem is still the same must be looked
// at: on another one a handle may be some other directory's.
func (m *mounts) open(id fsid) (fd int, err error) {
	path, ok := m.path(id)
	if !ok {
		return -1, errNotMounted
	}
	for {
		fd, now, err := openDir(path)
		switch {
		case err == nil && now == id:
			return fd, nil
		case err == nil:
			unix.Close(fd)
			return -1, errNotMounted
		case !isAbsent(err):
			return -1, err
		case path == "/":
			return -1, errNotMounted
		}
		path = filepath.Dir(path) // the root was renamed, and events above it have to tell so
	}
}

// isAbsent reports that there is no directory, or is something else in its place.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// openDir opens a directory and tells its filesystem. Not with O_PATH: open_by_handle_at and
// fanotify_mark refuse such a descriptor with EBADF.
func openDir(path string) (fd int, id fsid, err error) {
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fsid{}, fmt.Errorf("open %q: %w", path, privileged(err))
	}
	var st unix.Statfs_t
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Fstatfs(fd, &st)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fsid{}, fmt.Errorf("statfs %q: %w", path, err)
	}
	binary.NativeEndian.PutUint32(id[:], uint32(st.Fsid.Val[0]))
	binary.NativeEndian.PutUint32(id[4:], uint32(st.Fsid.Val[1]))
	return fd, id, nil
}
