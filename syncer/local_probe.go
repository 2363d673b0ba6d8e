package syncer

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// room is what is free on a file system: a target is no longer full when one of both grew.
type room struct{ bytes, inodes uint64 }

func (r room) most(o room) room { return room{max(r.bytes, o.bytes), max(r.inodes, o.inodes)} }

// probe implements probed. A look that finds nothing wrong right after the failure, twice since the first may only
// see what that push itself gave back, is of no use.
func (l *localDir) probe(err error) func(context.Context) bool {
	look := l.stands
	switch {
	case isAny(err, unix.ENOSPC, unix.EDQUOT):
		look = l.grew
	case !isAny(err, errReplaced, unix.ENOENT, unix.ENOTDIR, unix.EROFS, unix.ESTALE, unix.ENODEV, unix.ENOTCONN):
		return nil
	}
	for range 2 {
		if !look(context.Background()) {
			return look
		}
	}
	return nil
}

// reach implements probed.
func (l *localDir) reach(context.Context) error {
	t, err := l.open(&job{})
	if err != nil {
		return err
	}
	return t.Close()
}

// stands says that the directory is there, or can be made, on a file system that can be written to.
func (l *localDir) stands(context.Context) bool {
	if l.check() != nil {
		return false
	}
	dir := l.path
	fi, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		dir = filepath.Dir(filepath.Clean(dir))
		fi, err = os.Stat(dir)
	}
	var st unix.Statfs_t
	return err == nil && (fi.IsDir() || l.single) && unix.Statfs(dir, &st) == nil && st.Flags&unix.ST_RDONLY == 0
}

// grew says that more is free than in any failed push since the last that reached its end, and than in any look
// before: what a push itself takes and gives back makes no news. Quotas that statfs(2) does not show do not grow.
func (l *localDir) grew(context.Context) bool {
	var st unix.Statfs_t
	if unix.Statfs(l.path, &st) != nil {
		return false
	}
	now := room{st.Bavail * uint64(st.Bsize), st.Ffree}
	more := now.bytes > l.most.bytes || now.inodes > l.most.inodes
	l.most = l.most.most(now)
	return more
}

func isAny(err error, kinds ...error) bool { return is(kinds...)(err) }
