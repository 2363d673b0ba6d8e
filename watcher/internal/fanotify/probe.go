package fanotify

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// probeWait is how long the probe's event is waited for. It is queued before the call that causes it
// returns; the time is for a machine that is short of it, and for reading past what others do.
const probeWait = time.Second

// probe makes sure that events of a filesystem come through, and that their handles lead back to the
// directory at path, which is open as dirFd. It has a group of its own, which sees what it does, and
// is done before the filesystem is marked for good, so that nobody else does.
func probe(dirFd int, id fsid, path string, wait time.Duration) error {
	group, err := newGroup(false)
	if err != nil {
		return err
	}
	defer unix.Close(group)
	if err := provoke(group, dirFd); err != nil {
		return err
	}
	r := &resolver{root: path, mounts: &mounts{at: map[fsid]string{id: path}}}
	return awaitProbe(group, r, wait)
}

// provoke marks the filesystem and causes an event in the directory that leaves no trace: a nameless
// file is opened and closed, which changes not even the directory's times. Where there is none to be
// had (EROFS, EOPNOTSUPP, EDQUOT, …) the directory is opened.
func provoke(group, dirFd int) error {
	if err := mark(group, dirFd, unix.FAN_CLOSE_WRITE); err != nil {
		return err
	}
	fd, err := unix.Openat(dirFd, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		if err := mark(group, dirFd, unix.FAN_OPEN|unix.FAN_ONDIR); err != nil {
			return err
		}
		fd, err = unix.Openat(dirFd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return fmt.Errorf("provoke an event: %w", privileged(err))
	}
	return unix.Close(fd)
}

// awaitProbe reads until an event in the root comes, of whomever.
func awaitProbe(group int, r *resolver, wait time.Duration) error {
	buf := make([]byte, bufferSize)
	deadline := time.Now().Add(wait)
	where := "nowhere"
	for {
		events, err := readReady(group, buf)
		if err != nil {
			return err
		}
		for len(events) > 0 {
			var rec record
			if rec, events, err = parse(events); err != nil {
				return err
			}
			if rec.name.dir == nil {
				continue
			}
			d, err := r.resolve(rec.name.dir)
			if err != nil && !errors.Is(err, errNotMounted) {
				return err
			}
			if d == (dir{inside, "."}) {
				return nil
			}
			where = "elsewhere"
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("wait %v for an event at %q, events came from %s: %w", wait, r.root, where, ErrSilent)
		}
		if err := poll(group, -1, left); err != nil {
			return err
		}
	}
}
