package syncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

// roomPoll is how often a full local target is looked at.
const roomPoll = time.Second

// errWithheld says that a file was not sent along with what is above it, because it ends the push of all:
// it is tried by itself.
var errWithheld = errors.New("not sent along with others, since the target gives up on it")

// Failed is the ledger: what is not on the target and why, in the order of the paths. It is safe for
// concurrent use.
func (s *Syncer) Failed() []Failed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.all()
}

// failedOf begins an entry for a problem. What is a directory here, or cannot be looked at, is pushed again with
// all that is in it, unless only its attributes could not be set. Below a directory without permissions the
// problem names what is at the top for all that changed below it.
func (s *Syncer) failedOf(p Problem) Failed {
	f := failedOf(p)
	var refused *peerError
	var attr *tree.AttrError
	if errors.As(p.Err, &refused) && refused.attrs || errors.As(p.Err, &attr) {
		return f
	}
	st, err := os.Lstat(filepath.Join(s.WatchRoot(), p.Path))
	f.Tree = err == nil && st.IsDir() || err != nil && !errors.Is(err, os.ErrNotExist)
	return f
}

// whole says that f stands for all that may have failed at its path: it is no directory, or comes again with all that is
// in it.
func (s *Syncer) whole(f *Failed) bool {
	if f.Tree {
		return true
	}
	st, err := os.Lstat(filepath.Join(s.WatchRoot(), f.Path))
	return err != nil || !st.IsDir()
}

// withheld is what a push of paths leaves out, as the transfer calls it; nil: nothing.
func (s *Syncer) withheld(paths []Path) func(string) error {
	named := map[string]bool{}
	for _, p := range paths {
		named[p.Name] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]error{}
	for name, e := range s.ledger.entries {
		if e.Ends && !e.Tree && !named[name] {
			out[s.transferName(name)] = fmt.Errorf("%w: %s", errWithheld, e.Reason)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return func(name string) error { return out[name] }
}

// space is what is free on the file system of a local target.
type space struct {
	blocks, files uint64
	readOnly      bool
}

func (s *Syncer) lookForRoom() (space, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.cfg.Target.Path, &st); err != nil {
		return space{}, false
	}
	return space{blocks: st.Bavail, files: st.Ffree, readOnly: st.Flags&unix.ST_RDONLY != 0}, true
}

// better says whether what failed for was is worth another try now: a hundredth more is free, or it
// can be written to again.
func (r space) better(was space) bool {
	more := func(now, was uint64) bool { return now > was+max(was/100, 1) }
	return was.readOnly && !r.readOnly || more(r.blocks, was.blocks) || more(r.files, was.files)
}

// next is feed's next batch. While a local target is full or read-only it is looked at meanwhile, and what
// failed for that is made due when it changes.
func (s *Syncer) next(ctx context.Context, feed Feed) (Batch, error) {
	was, ok := space{}, false
	if s.wantsRoom() {
		was, ok = s.lookForRoom()
	}
	for ok {
		wait, cancel := context.WithTimeout(ctx, roomPoll)
		b, err := feed.Next(wait)
		over := wait.Err() != nil
		cancel()
		if err == nil || ctx.Err() != nil || !over {
			return b, err
		}
		now, seen := s.lookForRoom()
		if seen && now.better(was) {
			s.foundRoom(feed)
		}
		if seen { // less room is the new measure
			was = space{min(was.blocks, now.blocks), min(was.files, now.files), now.readOnly}
		}
	}
	return feed.Next(ctx)
}

// wantsRoom says whether something waits for room on a local target.
func (s *Syncer) wantsRoom() bool {
	if s.cfg.Target.Remote() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.has(syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS)
}

// foundRoom makes due what failed for want of room.
func (s *Syncer) foundRoom(feed Feed) {
	now := s.now()
	s.mu.Lock()
	due := s.ledger.due(now, func(e *Failed) bool { return e.noRoom() || e.Errno == syscall.EROFS })
	s.mu.Unlock()
	deferFailed(feed, due, now)
	feed.Hold(0, nil)
}
