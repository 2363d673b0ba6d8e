package rsh

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dirPrefix = "lockstep-ssh-"
	// privateTries is how often another name is tried for a directory that a sweep took from us.
	privateTries = 10
	// sweepPatience bounds the wait for a socket's other end, which is on this machine.
	sweepPatience = time.Second
)

var dirName = regexp.MustCompile("^" + dirPrefix + "[0-9]+$")

// private is a directory that is ours alone, for ssh's socket. It is locked while it is in use: the
// kernel lets go of the lock however we end, so a directory without one was left behind.
type private struct {
	path string
	lock *os.File
}

// dirs are the places where such directories are made, the better one first. Its name must be one that
// ssh takes as it stands: in a socket's path "%" and "${" begin a substitution.
func dirs() []string {
	tmp := os.TempDir()
	if tmp == "/tmp" || len(tmp) >= socketPathMax-len("/"+dirPrefix+"0123456789/s") || strings.ContainsAny(tmp, "%$ \"\\") {
		return []string{"/tmp"}
	}
	return []string{tmp, "/tmp"}
}

func newPrivate() (*private, error) {
	var err error
	for range privateTries {
		for _, tmp := range dirs() {
			var path string
			if path, err = os.MkdirTemp(tmp, dirPrefix); err != nil {
				continue
			}
			var p *private
			if p, err = hold(path); err == nil {
				return p, nil
			}
			os.Remove(path)
			break
		}
	}
	return nil, err
}

// hold locks a directory, unless a sweep came between. Where there are no locks nothing is swept either.
func hold(path string) (*private, error) {
	f, err := openDir(path)
	if err != nil {
		return nil, err
	}
	if errors.Is(lockDir(f), unix.EWOULDBLOCK) || !isAt(f, path) {
		f.Close()
		return nil, fmt.Errorf("%s was taken away", path)
	}
	p := &private{path: path, lock: f}
	inUse.add(p)
	return p, nil
}

// remove removes the directory, and ends the lock.
func (p *private) remove() error {
	inUse.drop(p)
	defer p.lock.Close()
	return os.RemoveAll(p.path)
}

// inUse are the directories of this process, for Abandon.
var inUse registry

type registry struct {
	mu   sync.Mutex
	list []*private
}

func (r *registry) add(p *private) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, p)
}

func (r *registry) drop(p *private) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(q *private) bool { return q == p })
}

// Abandon removes what this process has on the disk for its master connections: for one that
// is to end at once, without Close. The connections end with the process.
func Abandon() {
	inUse.mu.Lock()
	defer inUse.mu.Unlock()
	for _, p := range inUse.list {
		os.RemoveAll(p.path)
	}
}

// sweep removes the directories that processes of our user left behind when they were killed.
func sweep() {
	for _, tmp := range dirs() {
		d, err := os.Open(tmp)
		if err != nil {
			continue
		}
		entries, _ := d.Readdirnames(-1)
		d.Close()
		for _, name := range entries {
			if dirName.MatchString(name) {
				sweepDir(filepath.Join(tmp, name))
			}
		}
	}
}

// sweepDir removes a directory unless it is another user's, in use, or holds what ssh did not put
// there. Others can write where it stands, so that it is looked at, and emptied, by its descriptor.
func sweepDir(path string) {
	f, err := openDir(path)
	if err != nil {
		return
	}
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || int(st.Uid) != os.Geteuid() || st.Mode&0o777 != 0o700 ||
		lockDir(f) != nil || !isAt(f, path) {
		return
	}
	names, err := f.Readdirnames(-1)
	if err != nil || slices.ContainsFunc(names, func(name string) bool { return !isDeadSocket(f, name) }) {
		return
	}
	for _, name := range names {
		unix.Unlinkat(int(f.Fd()), name, 0)
	}
	unix.Rmdir(path)
}

// isDeadSocket says whether a name in dir is ssh's socket, or the one it makes before it renames it,
// and nobody listens at it.
func isDeadSocket(dir *os.File, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK || name != "s" && !strings.HasPrefix(name, "s.") {
		return false
	}
	c, err := net.DialTimeout("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name), sweepPatience)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// openDir opens what is a directory itself, no symlink to one.
func openDir(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func lockDir(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// isAt says whether f is what stands at path.
func isAt(f *os.File, path string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(have, there)
}
