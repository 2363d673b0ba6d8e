package watcher

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"go.uber.org/zap"
)

var errReplaced = errors.New("another directory is in its place")

// look compares the root with the one that is watched, or looks for one. A root that went away stays
// absent until the next look, even if another directory is in its place already, so that the log
// and Stats tell.
func (s *session) look(ctx context.Context) {
	if !s.stats.RootPresent {
		s.lookFor(ctx)
		return
	}
	if s.justMissed() {
		return
	}
	if s.checkRoot() && s.backend.rootUnwatched() {
		s.rebuild(ctx)
	}
}

// justMissed says that the root has not been found for less than a moment: what was told of its end may still be queued, and
// is to be announced before the queue is closed.
func (s *session) justMissed() bool {
	if s.announce == nil {
		return false
	}
	if _, _, err := identify(s.root); err == nil {
		s.missed = time.Time{}
		return false
	}
	if s.missed.IsZero() {
		s.missed = time.Now()
	}
	return time.Since(s.missed) < rootInterval/2
}

// checkRoot reports whether the directory that is watched is still at the root's path.
func (s *session) checkRoot() bool {
	id, _, err := identify(s.root)
	if err == nil && (id != s.stats.Root || !s.w.leadsTo(id)) {
		err = errReplaced
	}
	if err != nil {
		s.rootGone(s.root, err)
	}
	return err == nil
}

// lookFor starts watching if there is a root.
func (s *session) lookFor(ctx context.Context) {
	root, err := s.w.resolvedRoot()
	if err != nil {
		s.rootGone(s.w.cfg.Root, err)
		return
	}
	id, fsType, err := identify(root)
	if err != nil {
		s.rootGone(root, err)
		return
	}
	start := time.Now()
	if s.mounts, err = readMounts(root); err != nil {
		s.log.Debug("no mount table", zap.Error(err)) // watchMounts warns
	}
	s.root, s.rootDev = root, id.Dev
	s.marks.reset()
	s.choose(ctx)
	s.backend.rebuild(ctx)
	if ctx.Err() != nil {
		return
	}
	// What moved while the tree was walked is covered by the root's own change.
	s.marks.reset()
	s.found.reset()
	s.suspects.reset()
	s.marks.add(Change{Path: ".", Tree: true})
	if s.keeper != nil {
		s.keeper.cfg.Root = root
		s.keeper.restart()
		s.keeper.repeat.reset()
	}
	s.stats.RootPresent, s.stats.Root, s.absent, s.seen = true, id, "", lostEvents{}
	s.log.Info("watching", quoted("root", root), zap.String("backend", s.backend.name()), zap.Int("watches", s.backend.counts().watches), zap.Duration("took", time.Since(start).Round(10*time.Microsecond)))
	s.remoteRoot = isRemote(fsType)
	s.warnRemote()
}

// rootGone stops all watching. The same reason is logged once.
func (s *session) rootGone(root string, err error) {
	s.stats.RootPresent = false
	s.rebuildAt.Stop()
	s.marks.reset()
	s.found.reset()
	s.suspects.reset()
	s.backend.close()
	reason := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		reason = "absent" // one look is at the path that is watched, the next at the one that was given
	}
	if s.absent == reason {
		return
	}
	s.absent = reason
	s.log.Error("root is absent: no change is seen, and nothing may be deleted, until it is back; mount or restore it",
		quoted("root", root), zap.Error(err))
}

// mountsChanged looks at what was mounted or unmounted at, above or below the root.
func (s *session) mountsChanged(ctx context.Context) {
	s.mountsMoved = true
	if !s.stats.RootPresent {
		s.look(ctx)
		return
	}
	if s.look(ctx); !s.stats.RootPresent {
		return
	}
	s.readMounts(ctx)
}

// readMounts compares the mounts with what they were.
func (s *session) readMounts(ctx context.Context) {
	s.mountsStray = false
	now, err := readMounts(s.root)
	if err != nil {
		s.log.Warn("mounts below the root are not noticed", zap.Error(err))
		return
	}
	before := s.mounts
	s.mounts = now
	s.warnRemote()
	if before.above != now.above {
		// The same directory is there, but it may have been away, and its watches with it.
		s.rebuild(ctx)
		return
	}
	s.backend.remounted(ctx, before.changed(now), now)
}

// checkMounts finds the unmounts that were undone before anybody looked: the table is the same, and
// all watches below are gone. It runs once per tick after the table has changed.
func (s *session) checkMounts(ctx context.Context) {
	if !s.mountsMoved || !s.stats.RootPresent || !s.backend.up() {
		return
	}
	s.mountsMoved = false
	lost := s.backend.unmounted(ctx, s.mounts)
	if slices.Contains(lost, s.root) {
		s.rebuild(ctx)
		return
	}
	if len(lost) > 0 {
		s.backend.remounted(ctx, topmost(lost), s.mounts)
	}
}
