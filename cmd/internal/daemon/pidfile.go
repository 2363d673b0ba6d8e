package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrRunning says that another process holds the PID file.
var ErrRunning = errors.New("already running")

// LockPIDFile writes the process's number to path and holds the file locked. Who reads it sees all of a number, never half. Where another
// process holds it the error is ErrRunning, and says which. release removes it.
func LockPIDFile(path string) (release func(), err error) {
	for range 100 { // each time somebody else was quicker
		f, err := lockPIDFile(path)
		if err == nil && f == nil {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("PID file %q: %w", path, err)
		}
		return func() { releasePIDFile(path, f) }, nil
	}
	return nil, fmt.Errorf("PID file %q: it is replaced all the time", path)
}

// lockPIDFile tries it once; nil: the file is not what it was a moment ago.
func lockPIDFile(path string) (*os.File, error) {
	old, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return placePIDFile(path, func(temp string) error {
			defer os.Remove(temp)
			return os.Link(temp, path) // never over one that somebody else has just made
		})
	case errors.Is(err, unix.ELOOP):
		return nil, errors.New("it is a symlink")
	case err != nil:
		return nil, err
	}
	defer old.Close()
	if st, err := old.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is no file"))
	}
	err = unix.Flock(int(old.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if !isAt(old, path) {
		return nil, nil
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, fmt.Errorf("%w: %s holds it", ErrRunning, holder(old))
	case err != nil:
		return nil, fmt.Errorf("lock: %w", err)
	}
	// Nobody runs. Who tries at the same time meets our lock, on this file or on the new one.
	return placePIDFile(path, func(temp string) error { return os.Rename(temp, path) })
}

// placePIDFile makes a locked file with our number and puts it in its place; nil: somebody else was quicker.
func placePIDFile(path string, put func(temp string) error) (*os.File, error) {
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(temp) // of one that had our number and crashed
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = put(temp)
	}
	if err != nil {
		f.Close()
		os.Remove(temp)
		if errors.Is(err, os.ErrExist) {
			return nil, nil
		}
		return nil, err
	}
	return f, nil
}

// holder is who holds a PID file, as it says.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if pid, convErr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && convErr == nil {
		return fmt.Sprintf("process %d", pid)
	}
	return "another process"
}

// isAt says whether f is what stands at path.
func isAt(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

func releasePIDFile(path string, f *os.File) {
	if isAt(f, path) && os.Remove(path) != nil {
		_ = f.Truncate(0) // who became another user cannot remove it
	}
	f.Close()
}
