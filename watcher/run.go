package watcher

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/watcher/internal/index"
)

// emitAtMost is about how many changes go out at once.
const emitAtMost = 4096

// After an overflow, all is made anew once no further one came for overflowQuiet, or at the
// latest after overflowMax: a queue that overflows all the time must not put it off for ever.
const (
	overflowQuiet = 100 * time.Millisecond
	overflowMax   = 2 * time.Second
)

// Overflows that repeat within calmAfter are answered less and less often: each answer looks at
// everything, and what has not been found for some seconds is better than a machine that does
// nothing else.
const (
	calmAfter = time.Minute
	maxSpace  = 10 * time.Second // between two answers
)

// session is one Run: it guards the root, keeps the time, and emits what the backend marks.
type session struct {
	w    *Watcher
	emit func([]Change)

	ground
	backend backend
	inotify *tree
	keeper  *keeper   // nil: no index
	found   changeSet // by comparing, to be emitted like marks
	stats   Stats

	mounts      mountTable
	remoteRoot  bool     // the root's filesystem is one that others change without an event
	remoteTold  []string // remote places that were warned of
	tuned       bool
	fellBack    string // why inotify is used, as logged
	mountsMoved bool   // since the last tick
	seen        lostEvents
	rebuildAt   *time.Timer
	rebuilt     time.Time     // the last time after an overflow
	space       time.Duration // to the next one
	absent      string        // why the root is absent, as logged
	announced   []Event

	awaits     []*await      // who waits in Barrier
	awaitAgain *time.Timer   // when to look after them, if nothing happens before
	awaitNext  time.Duration // how long that takes the next time
	anew       uint64        // times all was watched anew, or was to be
}

func newSession(w *Watcher, emit func([]Change)) *session {
	s := &session{w: w, emit: emit, rebuildAt: time.NewTimer(time.Hour), awaitAgain: time.NewTimer(time.Hour)}
	s.rebuildAt.Stop()
	s.awaitAgain.Stop()
	s.ground = ground{excluded: w.cfg.Excluded, oneFS: w.cfg.OneFileSystem, shallow: w.cfg.Shallow, ruleDir: w.cfg.RuleDir, log: w.cfg.Logger}
	if s.excluded == nil {
		s.excluded = func(string, bool) bool { return false }
	}
	if w.cfg.OnEvent != nil {
		s.announce = func(e Event) { s.announced = append(s.announced, e) }
	}
	s.inotify = newTree(&s.ground, w.openSource)
	s.backend = s.inotify
	if !w.cfg.NoIndex && !w.cfg.Shallow && w.cfg.OnEvent == nil {
		s.keeper = newKeeper(s.log, index.Config{Excluded: s.excluded, OneFileSystem: s.oneFS})
		s.keeper.blind = s.blind
	}
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
	look := time.NewTimer(untilLook())
	defer look.Stop()
	looks := 0
	poll := time.NewTicker(s.w.cfg.PollInterval)
	defer poll.Stop()
	defer s.waitKeeper()
	var news chan struct{}
	var done chan job
	if s.keeper != nil {
		news, done = s.keeper.news, s.keeper.done
	}

	for s.look(ctx); ; {
		s.obeyRules(ctx)
		s.flush()
		if s.keeper != nil && s.stats.RootPresent {
			s.keeper.prove(s.backend)
			s.keeper.step(ctx)
		}
		s.settleAwaits()
		s.publish()
		select {
		case <-ctx.Done():
			return
		case <-s.backend.wake():
			s.handle(ctx)
		case <-news:
			s.differences()
		case j := <-done:
			s.differences()
			s.keeper.finished(j)
		case <-s.rebuildAt.C:
			s.rebuild(ctx)
		case a := <-s.w.awaits:
			s.await(ctx, a)
		case <-s.awaitAgain.C:
		case <-mounts:
			s.mountsChanged(ctx)
		case <-look.C:
			look.Reset(untilLook())
			s.look(ctx)
			s.checkMounts(ctx)
			if looks++; looks%looksPerTick == 0 && s.keeper != nil && s.stats.RootPresent {
				s.keeper.tick(ctx)
			}
		case <-poll.C:
			s.poll(ctx)
		}
	}
}

// looksPerTick is how many looks at the root make a keeper's tick: what has a time of its own wakes a processor by itself.
const looksPerTick = int(keeperTick / rootInterval)

// untilLook is how long it is until the root is looked at. All sessions of a process do it at the same moment, so that
// fifty idle ones wake a processor once a second, and not fifty times.
func untilLook() time.Duration {
	return rootInterval - time.Duration(time.Now().UnixNano())%rootInterval
}

// close ends what is left. After it, no goroutine of the session runs.
func (s *session) close() {
	s.rebuildAt.Stop()
	s.awaitAgain.Stop()
	s.endAwaits()
	s.backend.close()
	s.backend.wait()
	s.waitKeeper()
	s.stats.RootPresent = false
	s.publish()
}

func (s *session) waitKeeper() {
	if s.keeper != nil {
		s.keeper.wait()
	}
}

func (s *session) publish() {
	c := s.backend.counts()
	s.stats.Backend, s.stats.Absent = s.backend.name(), s.absent
	s.stats.Events, s.stats.Watches, s.stats.Polled = c.events, c.watches, c.polled
	if s.keeper != nil {
		s.stats.Indexed, s.stats.Comparisons = s.keeper.known, s.keeper.compared
	}
	s.stats.Looked = time.Now()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.stats = s.stats
}

func (s *session) handle(ctx context.Context) {
	s.backend.handle(ctx, s.flush)
	switch {
	case !s.stats.RootPresent:
	case s.rootMoved:
		s.look(ctx)
	case !s.backend.up():
		s.rebuild(ctx)
	default:
		s.overflowed()
		if s.mountsStray {
			s.readMounts(ctx)
		}
	}
}

// differences takes what a comparison found.
func (s *session) differences() {
	for _, c := range s.keeper.take() {
		s.rules(c.Path)
		s.found.add(c)
	}
}

// obeyRules follows what changed about the rules: what they leave out is not watched any more, what they
// took in is, and is told.
func (s *session) obeyRules(ctx context.Context) {
	if !s.stats.RootPresent {
		s.reruled = nil
	}
	dirs := s.reruled
	s.reruled = nil
	for _, dir := range dirs {
		s.backend.reconsider(ctx, s.absPath(dir))
		s.marks.add(Change{Path: dir, Tree: true})
	}
}

// overflowed plans a rebuild if events were lost since it last looked.
func (s *session) overflowed() {
	lost := s.backend.lost()
	if lost.count == s.seen.count {
		return
	}
	if s.seen.count == 0 {
		s.storm(lost.first)
		s.warnOverflow(lost)
	}
	s.stats.Overflows += lost.count - s.seen.count
	s.seen = lost
	at := lost.last.Add(overflowQuiet)
	if latest := lost.first.Add(overflowMax); latest.Before(at) {
		at = latest
	}
	if earliest := s.rebuilt.Add(s.space); at.Before(earliest) {
		at = earliest
	}
	s.rebuildAt.Reset(time.Until(at))
}

// storm says how soon after the last answer to an overflow the next one may come, and how fast it goes.
func (s *session) storm(now time.Time) {
	switch {
	case s.rebuilt.IsZero() || now.Sub(s.rebuilt) > calmAfter:
		s.space = 0
	default:
		s.space = min(max(2*s.space, time.Second), maxSpace)
	}
	if s.keeper != nil {
		s.keeper.slow = int(s.space / time.Second)
	}
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

// rebuild watches everything anew, and looks for what was missed.
func (s *session) rebuild(ctx context.Context) {
	if !s.stats.RootPresent {
		return
	}
	if s.keeper != nil && s.keeper.comparing() {
		s.rebuildAt.Reset(overflowQuiet) // one after the other
		return
	}
	start := time.Now()
	s.rebuildAt.Stop()
	if s.seen.count > 0 && s.seen.err == nil && !s.seen.crowded && s.space > 0 {
		s.growQueue()
	}
	s.seen = lostEvents{}
	s.insteadOfFailed(ctx)
	s.anew++
	s.backend.rebuild(ctx)
	if s.keeper != nil {
		s.keeper.lost()
	}
	s.doubt(s.root)
	if !s.backend.up() {
		return // told once, by the backend
	}
	s.rebuilt = time.Now()
	s.stats.Rebuilds++
	s.log.Info("watches rebuilt", quoted("root", s.root), zap.Int("watches", s.backend.counts().watches), zap.Duration("took", time.Since(start)))
}

// growQueue asks for a larger queue for the next instance, after overflows that repeat.
func (s *session) growQueue() {
	if s.w.cfg.GrowQueue == nil || s.backend.name() != "inotify" {
		return
	}
	if text, err := s.w.cfg.GrowQueue(); err != nil {
		s.log.Warn("the kernel's queue cannot be made longer", zap.Error(err))
	} else if text != "" {
		s.log.Info("the kernel's queue is made longer", zap.String("set", text))
	}
}

// poll retries what is not watched.
func (s *session) poll(ctx context.Context) {
	switch {
	case !s.stats.RootPresent:
	case !s.backend.up():
		s.rebuild(ctx)
	default:
		s.backend.retry(ctx)
		for _, p := range s.remotes() {
			s.doubt(p)
		}
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
	s.weigh()
	if s.marks.len()+s.found.len() == 0 {
		return true
	}
	if !s.stats.Root.at(s.root) && !s.checkRoot() {
		return false
	}
	list := s.marks.take()
	if s.keeper != nil {
		s.keeper.emitted(list)
	}
	list = append(list, s.found.take()...)
	s.stats.Emitted += uint64(len(list))
	s.publish() // who is told of a change may ask for what led to it
	s.emit(list)
	return true
}

// weigh decides about subtrees that may differ: with an index they are compared, without they are
// changes as they stand.
func (s *session) weigh() {
	list := s.suspects.take()
	if s.keeper != nil {
		if s.keeper.suspect(list) {
			list = nil
		}
		list = append(list, s.keeper.repeat.take()...)
	}
	for _, c := range list {
		s.marks.add(c)
	}
}
