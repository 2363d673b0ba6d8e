package watcher

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// emitAtMost is about how many changes go out at once.
const emitAtMost = 4096

// After an overflow, all is made anew once no further one came for overflowQuiet, or at the
// latest after overflowMax: a queue that overflows all the time must not put it off for ever.
const (
	overflowQuiet = 100 * time.Millisecond
	overflowMax   = 2 * time.Second
)

// session is one Run: it guards the root, keeps the time, and emits what the tree marks.
type session struct {
	w    *Watcher
	emit func([]Change)

	ground
	tree  *tree
	stats Stats

	mounts      mountTable
	mountsMoved bool // since the last tick
	seen        lostEvents
	rebuildAt   *time.Timer
	absent      string // why the root is absent, as logged
	announced   []Event
}

func newSession(w *Watcher, emit func([]Change)) *session {
	s := &session{w: w, emit: emit, rebuildAt: time.NewTimer(time.Hour)}
	s.rebuildAt.Stop()
	s.ground = ground{excluded: w.cfg.Excluded, oneFS: w.cfg.OneFileSystem, shallow: w.cfg.Shallow, log: w.cfg.Logger}
	if s.excluded == nil {
		s.excluded = func(string, bool) bool { return false }
	}
	if w.cfg.OnEvent != nil {
		s.announce = func(e Event) { s.announced = append(s.announced, e) }
	}
	s.tree = newTree(&s.ground, w.openSource)
	return s
}

func (s *session) run(ctx context.Context) {
	mounts := make(chan struct{}, 1) // one token: any number of changes is one reason to look
	var wg sync.WaitGroup
	defer wg.Wait()
	// Opened before the table is read for the first time: no change may fall between.
	table, err := openMounts()
	if err == nil {
		wg.Go(func() {
			if err := watchMounts(ctx, table, mounts); err != nil {
				s.log.Warn("mounts are no longer watched", zap.Error(err))
			}
		})
	} else {
		s.log.Warn("mounts are not watched: those below the root are not noticed", zap.Error(err))
	}
	look := time.NewTicker(rootInterval)
	defer look.Stop()
	poll := time.NewTicker(s.w.cfg.PollInterval)
	defer poll.Stop()

	for s.look(ctx); ; {
		s.flush()
		s.publish()
		select {
		case <-ctx.Done():
			return
		case <-s.tree.wake():
			s.handle(ctx)
		case <-s.rebuildAt.C:
			s.rebuild(ctx)
		case <-mounts:
			s.mountsChanged(ctx)
		case <-look.C:
			s.look(ctx)
			s.checkMounts(ctx)
		case <-poll.C:
			s.poll(ctx)
		}
	}
}

// close ends what is left of the tree. After it, no goroutine of the session runs.
func (s *session) close() {
	s.rebuildAt.Stop()
	s.tree.close()
	s.tree.wait()
	s.stats.RootPresent = false
	s.publish()
}

func (s *session) publish() {
	t := s.tree
	s.stats.Events = t.events
	s.stats.Watches, s.stats.Polled = t.watches(), len(t.polled.reasons)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.stats = s.stats
}

func (s *session) handle(ctx context.Context) {
	s.tree.handle(ctx, s.flush)
	switch {
	case !s.stats.RootPresent:
	case s.rootMoved:
		s.look(ctx)
	default:
		s.overflowed()
	}
}

// overflowed plans a rebuild if events were lost since it last looked.
func (s *session) overflowed() {
	lost := s.tree.lost()
	if lost.count == s.seen.count {
		return
	}
	if s.seen.count == 0 {
		s.warnOverflow(lost)
	}
	s.stats.Overflows += lost.count - s.seen.count
	s.seen = lost
	at := lost.last.Add(overflowQuiet)
	if latest := lost.first.Add(overflowMax); latest.Before(at) {
		at = latest
	}
	s.rebuildAt.Reset(time.Until(at))
}

func (s *session) warnOverflow(lost lostEvents) {
	root := quoted("root", s.root)
	switch {
	case lost.err != nil:
		s.log.Warn("inotify read error: everything is watched and compared anew", root, zap.Error(lost.err))
	case lost.crowded:
		s.log.Warn("more names changed than are kept: everything is watched and compared anew",
			root, zap.Int("names", maxPending))
	default:
		s.log.Warn("inotify queue overflow: everything is watched and compared anew; if this is not rare, raise fs.inotify.max_queued_events",
			root, zap.Int("current", readSysctl("fs.inotify.max_queued_events")))
	}
}

// rebuild watches everything anew, and makes the whole root a change.
func (s *session) rebuild(ctx context.Context) {
	if !s.stats.RootPresent {
		return
	}
	start := time.Now()
	s.rebuildAt.Stop()
	s.seen = lostEvents{}
	s.tree.rebuild(ctx)
	if s.tree.inst == nil {
		return // told once, by the tree
	}
	s.stats.Rebuilds++
	s.log.Info("watches rebuilt", quoted("root", s.root), zap.Int("watches", s.tree.watches()), zap.Duration("took", time.Since(start)))
}

// poll retries what is not watched.
func (s *session) poll(ctx context.Context) {
	switch {
	case !s.stats.RootPresent:
	case s.tree.inst == nil:
		s.rebuild(ctx)
	default:
		s.tree.retry(ctx)
	}
}

// flush emits what is marked, if the root is still the one that was looked at: hints about a root
// that went away would read as deletions. It reports whether the root is there.
func (s *session) flush() bool {
	if len(s.announced) > 0 {
		s.w.cfg.OnEvent(s.announced)
		s.announced = nil
	}
	if !s.stats.RootPresent {
		return false
	}
	if s.marks.len() == 0 {
		return true
	}
	if !s.stats.Root.at(s.root) && !s.checkRoot() {
		return false
	}
	list := s.marks.take()
	s.stats.Emitted += uint64(len(list))
	s.publish() // who is told of a change may ask for what led to it
	s.emit(list)
	return true
}
