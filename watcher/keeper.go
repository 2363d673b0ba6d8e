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
// was lost. So each look stays in doubt until a barrier that was raised after it has passed, and all
// looks in doubt are forgotten when events turn out to be lost.
type keeper struct {
	log   *zap.Logger
	cfg   index.Config
	idx   *index.Index
	known bool // the index holds the whole tree, beyond doubt

	dirty, aging pathSet   // emitted, and not looked at since; aging since the last tick
	doubted      []looked  // looks in doubt
	raised       bool      // a barrier is on its way
	passed       uint64    // barriers that have passed
	forget       pathSet   // records that must not be believed, before the next job
	suspects     changeSet // to be compared
	slow         int       // how many times slower than it could be a comparison is

	compared uint64 // comparisons done
	working  bool
	kind     jobKind // of the job
	stale    bool    // the index is to be replaced by an empty one
	tainted  bool    // events were lost while the job looked
	jobs     sync.WaitGroup
	done     chan job

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
	k.restart()
	return k
}

// restart begins with an empty index, which is filled by and by.
func (k *keeper) restart() {
	k.known = false
	k.dirty, k.aging, k.forget = pathSet{}, pathSet{}, pathSet{}
	k.doubted, k.raised = nil, false
	k.suspects.reset()
	k.stale, k.tainted = true, k.working
}

// emitted notes what was told: its records are to be renewed.
func (k *keeper) emitted(list []Change) {
	for _, c := range list {
		switch {
		case c.Path == "." && c.Tree:
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

// lost says that events were lost: what was not proven until now is not believed.
func (k *keeper) lost() {
	for _, l := range k.doubted {
		k.disbelieve(l)
	}
	k.doubted, k.raised = nil, false
	k.tainted = k.working
	// What was emitted may have changed again.
	for _, set := range []pathSet{k.dirty, k.aging} {
		for p, tree := range set {
			k.forget.add(p, tree)
		}
	}
}

func (k *keeper) disbelieve(l looked) {
	for p, tree := range l.paths {
		k.forget.add(p, tree)
		k.dirty.add(p, tree)
	}
}

// step starts the first look at everything, or a comparison, if one is due.
func (k *keeper) step(ctx context.Context) {
	switch {
	case k.working:
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
func (k *keeper) tick(ctx context.Context, b backend) {
	k.prove(b)
	k.step(ctx)
	if k.working || !k.known {
		return
	}
	if len(k.aging) > 0 {
		k.start(ctx, jobRenew, k.aging)
	}
	k.aging, k.dirty = k.dirty, pathSet{}
}

// prove raises a barrier for the looks that are old enough, or takes them out of doubt if theirs has passed.
func (k *keeper) prove(b backend) {
	if passed := b.passed(); k.raised && passed > k.passed {
		k.raised = false
		k.doubted = slices.DeleteFunc(k.doubted, func(l looked) bool {
			k.known = k.known || l.covered && l.whole
			return l.covered
		})
	}
	if k.raised || len(k.doubted) == 0 || time.Since(k.doubted[0].at) < doubtFor {
		return
	}
	for i := range k.doubted {
		k.doubted[i].covered = time.Since(k.doubted[i].at) >= doubtFor
	}
	k.raised, k.passed = true, b.passed()
	b.barrier()
}

func (k *keeper) start(ctx context.Context, kind jobKind, paths pathSet) {
	if k.stale {
		k.idx, k.stale = index.New(k.cfg), false
	}
	for p, tree := range k.forget {
		k.idx.Forget(p, tree)
	}
	k.forget = pathSet{}
	k.working, k.kind, k.tainted = true, kind, false
	pace := k.pace(ctx, kind)
	k.jobs.Go(func() {
		begin := time.Now()
		j := job{kind: kind, paths: paths}
		j.work(ctx, k, pace)
		j.took = time.Since(begin)
		k.done <- j
	})
}

// comparing reports whether a comparison is under way, or waits for its turn.
func (k *keeper) comparing() bool { return k.working && k.kind == jobCompare }

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
		var differs func(index.Difference)
		if j.kind == jobCompare {
			differs = func(d index.Difference) {
				j.differs++
				k.tell(d)
			}
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
}

// tell hands a difference to the session.
func (k *keeper) tell(d index.Difference) {
	k.mu.Lock()
	k.found = append(k.found, Change{Path: d.Path, Tree: d.Tree, Content: d.Content})
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
	l := looked{paths: j.paths, at: time.Now(), whole: j.kind == jobBuild}
	switch {
	case j.err != nil || k.tainted && j.kind == jobBuild:
		if j.kind == jobCompare {
			for p := range j.paths {
				k.suspects.add(Change{Path: p, Tree: true})
			}
			return
		}
		k.restart()
	case j.kind == jobCompare: // what it has looked at, it has told
		k.compared++
		k.log.Info("tree compared with what was known of it",
			zap.Int("entries", j.scan.Entries), zap.Int("differ", j.differs), zap.Duration("took", j.took.Round(time.Millisecond)))
	case k.tainted:
		k.disbelieve(l)
	default:
		k.doubted = append(k.doubted, l)
	}
	if j.kind == jobBuild {
		k.log.Debug("index built", zap.Int("entries", k.idx.Len()), zap.Int("bytes", k.idx.Bytes()), zap.Duration("took", j.took.Round(time.Millisecond)))
	}
}

// wait waits for the job that runs.
func (k *keeper) wait() { k.jobs.Wait() }
