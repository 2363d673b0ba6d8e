package watcher

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/watcher/internal/index"
)

const (
	// keeperTick is how often the keeper looks for work. A path's record is renewed one to two ticks
	// after its change was emitted: a burst of writes is looked at once, and a stamp that could
	// be given twice (a kernel's clock has ticks, too) is seldom met.
	keeperTick = 2 * time.Second
	// maxDirty bounds the paths whose records are to be renewed. More cost a walk of everything.
	maxDirty = 1 << 16
	// doubtFor is how long after a look a barrier is raised that is to prove it right: a change is made a
	// moment before its event is queued.
	doubtFor = time.Second
)

// keeper keeps an index of the tree as the changes emitted make it: what differs from it has not been
// emitted. That is of use when events were lost, or where there are none. The session's goroutine owns
// it; one job at a time works on the index, in the background.
//
// A record must never be newer than what was emitted. It is renewed after its change was emitted, by a
// look at the disk, and a second change may come before that look. Its event is still to come then, or
// was lost. So each look stays in doubt until a barrier that was raised after it has passed.
//
// A record must not be older than what was emitted, either: what was made, emitted and lost its deletion
// to an overflow is neither in the index nor on the disk, so nobody would find that it went. So when
// events turn out to be lost, all that was emitted and is not proven is told once more.
//
// What a comparison finds is recorded first and told then, so neither applies to it. Places without events
// (blind) know no other way: whoever looks at them tells of them, and of a directory with the names in it, since what came
// and went between two looks shows in the directory's time alone.
type keeper struct {
	log   *zap.Logger
	cfg   index.Config
	idx   *index.Index
	known bool // the index holds the whole tree, beyond doubt

	dirty, aging pathSet   // emitted, and not looked at since; aging since the last tick
	doubted      []looked  // looks in doubt
	raised       bool      // a barrier is on its way
	ticket       uint64    // its number
	through      time.Time // it had not passed until then
	repeat       changeSet // to be emitted once more
	suspects     changeSet // to be compared
	hold         time.Time // no job before: the last one failed
	slow         int       // how many times slower than it could be a comparison is

	compared uint64 // comparisons done
	begun    uint64 // the number of the comparison that was begun last
	ended    uint64 // of the last one that was done
	working  bool
	kind     jobKind // of the job
	stale    bool    // the index is to be replaced by an empty one
	tainted  bool    // events were lost, or all was told anew, while the job looked
	jobs     sync.WaitGroup
	done     chan job
	now      func() time.Time // time.Now, or a test's
	spawn    func(func())     // jobs.Go, or a test's
	blind    func() []string  // places where changes give no events, relative

	mu    sync.Mutex // guards found
	found []Change
	news  chan struct{} // holds one token while there is something in found
}

// pathSet is paths, with all below or without.
type pathSet map[string]bool

func (s pathSet) add(path string, tree bool) { s[path] = s[path] || tree }

// looked is a set of paths whose records were renewed; at is when that ended.
type looked struct {
	paths   pathSet
	at      time.Time
	whole   bool // the first look at everything
	covered bool // by the barrier that is on its way
}

// job is what was done in the background.
type job struct {
	kind    jobKind
	paths   pathSet
	blind   []string // places that are told of if they were looked at
	scan    index.Scan
	differs int
	took    time.Duration
	err     error
}

type jobKind uint8

const (
	jobBuild jobKind = iota
	jobRenew
	jobCompare
)

func newKeeper(log *zap.Logger, cfg index.Config) *keeper {
	k := &keeper{log: log, cfg: cfg, done: make(chan job, 1), news: make(chan struct{}, 1)} // one: there is one job
	k.now, k.spawn, k.blind = time.Now, k.jobs.Go, func() []string { return nil }
	k.restart()
	return k
}

// restart begins with an empty index, which is filled by and by.
func (k *keeper) restart() {
	k.known = false
	k.dirty, k.aging = pathSet{}, pathSet{}
	k.doubted, k.raised = nil, false
	for _, c := range k.suspects.take() { // what was promised to be compared never will be
		k.repeat.add(c)
	}
	k.stale, k.tainted = true, k.working
}

// emitted notes what was told, but for what a comparison found: its records are to be renewed.
func (k *keeper) emitted(list []Change) {
	for _, c := range list {
		switch {
		case c.Path == "." && c.Tree:
			k.suspects.reset()
			k.restart()
		case c.From == "":
			k.dirty.add(c.Path, c.Tree)
		}
	}
	if len(k.dirty) > maxDirty {
		k.dirty = pathSet{".": true}
	}
}

// suspect notes what is to be compared, if the index can tell. Otherwise list is left to the caller.
func (k *keeper) suspect(list []Change) bool {
	if !k.known {
		return false
	}
	for _, c := range list {
		k.suspects.add(c)
	}
	return true
}

// lost says that events were lost: what was not proven until now is told once more. The caller has the
// whole tree compared.
func (k *keeper) lost() {
	k.tainted = k.working
	if k.known {
		for _, l := range k.doubted {
			k.tellAgain(l.paths)
		}
		k.tellAgain(k.dirty)
		k.tellAgain(k.aging)
		k.dirty, k.aging = pathSet{}, pathSet{}
	} // else what is suspected is a change as it stands, and that is all
	k.doubted, k.raised = nil, false
}

func (k *keeper) tellAgain(paths pathSet) {
	for p, tree := range paths {
		// All bytes of everything (see maxDirty) are too much to ask for: it is told as without an index.
		k.repeat.add(Change{Path: p, Tree: tree, Content: p != "."})
	}
}

// inDoubt notes a look that a barrier has to prove. Where no barrier passes, looks are kept as one.
func (k *keeper) inDoubt(l looked) {
	k.doubted = append(k.doubted, l)
	paths := 0
	for _, l := range k.doubted {
		paths += len(l.paths)
	}
	if paths > 4*maxDirty {
		k.doubted = []looked{{paths: pathSet{".": true}, at: l.at}}
	}
}

// step starts the first look at everything, or a comparison, if one is due.
func (k *keeper) step(ctx context.Context) {
	switch {
	case k.working || k.now().Before(k.hold):
	case len(k.doubted) > 0 && k.doubted[0].whole:
		// The first look at everything is to be proven before anything is built on it.
	case !k.known:
		k.start(ctx, jobBuild, pathSet{".": true})
	case k.suspects.len() > 0:
		paths := pathSet{}
		for _, c := range k.suspects.take() {
			paths.add(c.Path, true)
		}
		k.start(ctx, jobCompare, paths)
	}
}

// tick renews what was emitted before the last tick.
func (k *keeper) tick(ctx context.Context) {
	// A look at what is to be compared would make it known without telling.
	if k.working || !k.known || k.suspects.len() > 0 {
		return
	}
	if len(k.aging) > 0 {
		k.start(ctx, jobRenew, k.aging)
	}
	k.aging, k.dirty = k.dirty, pathSet{}
}

// prove raises a barrier for the looks that are old enough, or takes them out of doubt if theirs has
// passed and nothing was lost: the next answer to a loss is about all looks in doubt. That a barrier
// has passed is believed a moment later, for fsnotify tells events and losses on two channels. While a
// comparison runs nothing is proven: a rebuild, which tells of losses, may be waiting for its end.
func (k *keeper) prove(b backend) {
	switch {
	case b.lost().count > 0 || k.comparing():
		k.raised = false
	case k.raised && b.passed() < k.ticket:
		k.through = k.now()
	case k.raised && k.now().Sub(k.through) >= overflowQuiet:
		k.raised = false
		k.doubted = slices.DeleteFunc(k.doubted, func(l looked) bool {
			k.known = k.known || l.covered && l.whole
			return l.covered
		})
	case !k.raised && len(k.doubted) > 0 && k.now().Sub(k.doubted[0].at) >= doubtFor:
		for i := range k.doubted {
			k.doubted[i].covered = k.now().Sub(k.doubted[i].at) >= doubtFor
		}
		k.raised, k.ticket, k.through = true, b.barrier(), k.now()
	}
}

func (k *keeper) start(ctx context.Context, kind jobKind, paths pathSet) {
	if k.stale {
		k.idx, k.stale = index.New(k.cfg), false
	}
	k.working, k.kind, k.tainted = true, kind, false
	pace := k.pace(ctx, kind)
	j := job{kind: kind, paths: paths}
	if kind != jobCompare {
		j.blind = k.blind()
	} else {
		k.begun++
	}
	k.spawn(func() {
		begin := time.Now()
		j.work(ctx, k, pace)
		j.took = time.Since(begin)
		k.done <- j
	})
}

// comparing reports whether a comparison is under way.
func (k *keeper) comparing() bool { return k.working && k.kind == jobCompare }

// comparison is the number of the one after which all that is to be compared now has been.
func (k *keeper) comparison() uint64 {
	if k.suspects.len() > 0 {
		return k.begun + 1
	}
	return k.begun
}

// hasCompared reports whether the comparison of that number has been done, and what it found was told, or there is
// nothing left to be compared or told.
func (k *keeper) hasCompared(number uint64) bool {
	if k.repeat.len() > 0 {
		return false
	}
	return k.ended >= number || k.suspects.len() == 0 && !k.comparing()
}

// pace slows a walk down: by half where nobody waits for it, by more where overflows repeat.
func (k *keeper) pace(ctx context.Context, kind jobKind) func(entries int) {
	slow := 1
	if kind == jobCompare {
		slow = k.slow
	}
	if slow == 0 {
		return nil
	}
	return func(entries int) {
		t := time.NewTimer(time.Duration(entries*slow) * entryCost)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
}

// entryCost is about what a walk needs to look at one name in a warm cache.
const entryCost = 3 * time.Microsecond

func (j *job) work(ctx context.Context, k *keeper, pace func(int)) {
	var single []string
	for _, p := range slices.Sorted(maps.Keys(j.paths)) {
		if !j.paths[p] {
			single = append(single, p)
			continue
		}
		differs := func(d index.Difference) {
			// Where a directory above p is not the one that the index holds, that one is looked at, and
			// nobody was told of it.
			if j.kind == jobCompare || !within(d.Path, p) {
				j.differs++
				k.tell(d)
			}
		}
		if j.kind == jobBuild {
			differs = nil
		}
		scan, err := k.idx.Compare(ctx, p, pace, differs)
		j.scan.Entries += scan.Entries
		j.scan.Unsettled = append(j.scan.Unsettled, scan.Unsettled...)
		j.scan.Unreadable = append(j.scan.Unreadable, scan.Unreadable...)
		if err != nil {
			j.err = err
			return
		}
	}
	j.scan.Unsettled = append(j.scan.Unsettled, k.idx.Look(single)...)
	j.tellBlind(k)
}

// tellBlind tells of what was just looked at and may have changed before that without an event.
func (j *job) tellBlind(k *keeper) {
	if len(j.blind) == 0 {
		return
	}
	blind := make(map[string]bool, len(j.blind))
	for _, place := range j.blind {
		blind[place] = true
		if anyAbove(place, func(p string) bool { return j.paths[p] }) {
			k.hand(Change{Path: place, Tree: true})
		}
	}
	for p, tree := range j.paths {
		if anyAbove(p, func(place string) bool { return blind[place] }) {
			k.hand(Change{Path: p, Tree: tree, Level: !tree, Content: true}) // Level: see tell
		}
	}
}

// anyAbove reports whether is says so of path or of a directory above it.
func anyAbove(path string, is func(string) bool) bool {
	for ; path != "."; path = parentOf(path) {
		if is(path) {
			return true
		}
	}
	return is(".")
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return dir == "." || path == dir || len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// tell hands a difference to the session. Of a directory the names in it may differ, too: a file may have been made
// after the last look, been pushed with what that found, and be gone again. Then all that differs is
// the directory.
func (k *keeper) tell(d index.Difference) {
	level := !d.Tree && !d.Content && !d.Gone // of anything else than a directory it says no more
	k.hand(Change{Path: d.Path, Tree: d.Tree, Level: level, Content: d.Content})
}

func (k *keeper) hand(c Change) {
	k.mu.Lock()
	k.found = append(k.found, c)
	k.mu.Unlock()
	select {
	case k.news <- struct{}{}:
	default:
	}
}

// take gives the differences found since the last call.
func (k *keeper) take() []Change {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.found
	k.found = nil
	return list
}

// finished takes the result of a job.
func (k *keeper) finished(j job) {
	k.working = false
	for _, p := range j.scan.Unsettled {
		k.dirty.add(p, false)
	}
	l := looked{paths: j.paths, at: k.now(), whole: j.kind == jobBuild}
	switch {
	case j.err != nil || k.tainted && j.kind == jobBuild:
		k.hold = k.now().Add(keeperTick / 2)
		if j.kind == jobCompare {
			for p := range j.paths {
				k.suspects.add(Change{Path: p, Tree: true})
			}
			return
		}
		k.restart()
	case j.kind == jobCompare: // what it has looked at, it has told
		k.compared++
		k.ended = k.begun
		k.log.Info("tree compared with what was known of it",
			zap.Int("entries", j.scan.Entries), zap.Int("differ", j.differs), zap.Duration("took", j.took.Round(time.Millisecond)))
	case k.tainted:
		if k.known {
			k.tellAgain(l.paths)
		}
	default:
		k.inDoubt(l)
	}
	if j.kind == jobBuild {
		k.log.Debug("index built", zap.Int("entries", k.idx.Len()), zap.Int("bytes", k.idx.Bytes()), zap.Duration("took", j.took.Round(time.Millisecond)))
	}
}

// wait waits for the job that runs.
func (k *keeper) wait() { k.jobs.Wait() }
