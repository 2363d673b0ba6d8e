package debounce

import (
	"math"
	"slices"
	"strings"
	"time"
)

// The ends of time, as a distance from a queue's base.
const never, forEver = time.Duration(math.MinInt64), time.Duration(math.MaxInt64)

// Queue holds the dirty paths of one target. The zero Queue is not usable; see NewQueue. Each method
// that is given a time expects it not to run backwards.
type Queue struct {
	cfg  Config
	tree tree
	due  dueHeap
	heat heat
	seq  uint64

	moves moves

	// Times are kept as the distance from the first one seen: half the size of a time.Time, and the
	// monotonic clock stays in charge when the wall clock jumps.
	base    time.Time
	started bool

	oldest      time.Duration // earliest first-seen time, while oldestKnown
	oldestKnown bool
}

// NewQueue returns an empty queue.
func NewQueue(cfg Config) *Queue {
	cfg = cfg.withDefaults()
	return &Queue{cfg: cfg, tree: newTree(), heat: heat{cfg: cfg}, oldestKnown: true}
}

// Add queues a change seen at now, or merges it with what is queued already.
func (q *Queue) Add(now time.Time, c Change) {
	t, p := q.rel(now), clean(c.Path)
	if c.From != "" {
		q.moves.add(Move{clean(c.From), p, c.FromDev, c.FromIno})
	}
	near := q.tree.nearest(p)
	for n := near; n != nil; n = n.parent {
		if n.freshTree() {
			q.merge(n, t, c.Content, false)
			q.settle(n, t)
			return
		}
	}
	n := q.tree.grow(near, p)
	if !n.queued() || n.is(isDeferred) {
		// A deferred entry may have waited for long: counting MaxDelay from its first-seen time would
		// release every further change of it unsettled, as fast as they come.
		n.since = t
		n.streak = q.heat.returned(p, t)
		n.mark &^= isDeferred
	}
	q.enter(n, t, c)
	switch {
	case c.Closed || n.is(isTree):
		n.mark &^= isOpen
	case c.Open:
		n.mark |= isOpen
	}
	if n.freshTree() {
		q.swallow(n)
	}
	q.settle(n, t)
	q.collapse()
}

// settle sets when fresh entry n is due, which changed at t.
func (q *Queue) settle(n *node, t time.Duration) {
	if n.is(isUrgent) {
		q.due.set(n, min(q.due.due(n), t))
		return
	}
	q.due.set(n, q.dueTime(n, t))
}

// Defer gives back what a push could not bring over, all of b or a part: its changes are due at until
// and keep b.Oldest as their first-seen time. A path that has changed since leaves by the settle rule.
// What moved in b moved before anything that has been added since.
func (q *Queue) Defer(now, until time.Time, b Batch) {
	first, due := q.rel(now), q.rel(until)
	if !b.Oldest.IsZero() {
		first = min(first, q.rel(b.Oldest))
	}
	for _, c := range b.Changes {
		q.giveBack(first, due, c)
	}
	q.moves.putBack(b.Moves)
}

func (q *Queue) giveBack(first, due time.Duration, c Change) {
	p := clean(c.Path)
	near := q.tree.nearest(p)
	for n := near; n != nil; n = n.parent {
		// A Tree entry that is due later must not hold up this one.
		if n.path != p && (n.freshTree() || n.queued() && n.is(isTree) && q.due.due(n) <= due) {
			q.merge(n, first, c.Content, false)
			return
		}
	}
	n := q.tree.grow(near, p)
	switch {
	case !n.queued():
		n.mark |= isDeferred
		q.enter(n, first, c)
		q.due.set(n, due)
	case n.is(isDeferred):
		q.enter(n, first, c)
		q.due.set(n, min(q.due.due(n), due))
	default:
		q.enter(n, first, c)
		if n.is(isTree) {
			q.swallow(n)
			q.due.set(n, min(q.due.due(n), later(n.since, q.patience(n))))
		}
		if n.is(isUrgent) {
			q.due.set(n, min(q.due.due(n), n.first))
		}
	}
	q.collapse()
}

// Flush makes everything due at now, deferred or not, whatever happens to it before it is taken.
func (q *Queue) Flush(now time.Time) {
	t := q.rel(now)
	for i := range q.due {
		q.due[i].due = min(q.due[i].due, t)
		q.due[i].n.mark |= isUrgent
	}
}

// list appends what is queued to into.
func (q *Queue) list(into []Entry) []Entry {
	for _, it := range q.due {
		into = append(into, Entry{Path: it.n.path, Tree: it.n.is(isTree), First: q.abs(it.n.first), Due: q.abs(it.due)})
	}
	return into
}

// Next tells when the next path is due, maybe in the past; not ok when nothing is queued.
func (q *Queue) Next() (due time.Time, ok bool) {
	if len(q.due) == 0 {
		return time.Time{}, false
	}
	return q.abs(q.due[0].due), true
}

// Take removes and returns everything that is due at now; not ok when nothing is.
func (q *Queue) Take(now time.Time) (Batch, bool) {
	t := q.rel(now)
	q.pull(t)
	leaving := q.due.until(t)
	if len(leaving) == 0 {
		return Batch{}, false
	}
	q.due.removeAll(leaving)
	q.seq++
	b := Batch{Seq: q.seq, Oldest: q.abs(leaveTogether(leaving))}
	b.Changes = make([]Change, 0, len(leaving))
	for _, n := range leaving {
		if !n.is(isCovered) {
			b.Changes = append(b.Changes, Change{Path: n.path, Tree: n.is(isTree), Level: n.mark&(isLevel|isTree) == isLevel, Content: n.is(isContent)})
		}
		if q.heat.on() {
			q.heat.took(n, t)
		}
	}
	q.drop(leaving)
	slices.SortFunc(b.Changes, func(x, y Change) int { return strings.Compare(x.Path, y.Path) })
	b.Moves = q.moves.take(b.Changes, q.covers)
	if len(q.due) == 0 {
		q.moves = moves{}
	}
	return b, true
}

// leaveTogether marks what is covered by a Tree entry that leaves as well, which happens when that one
// had been deferred, and returns the earliest first-seen time.
func leaveTogether(leaving []*node) time.Duration {
	oldest := leaving[0].first
	for _, n := range leaving {
		n.mark |= isLeaving
		oldest = min(oldest, n.first)
	}
	for _, n := range leaving {
		var top *node
		for up := n.parent; up != nil; up = up.parent {
			if up.mark&(isLeaving|isTree) == isLeaving|isTree {
				top = up
			}
		}
		if top != nil {
			n.mark |= isCovered
			top.mark |= n.mark & isContent
		}
	}
	return oldest
}

// drop forgets entries that are out of the heap already.
func (q *Queue) drop(gone []*node) {
	if len(q.due) == 0 {
		q.tree, q.oldestKnown = newTree(), true
		return
	}
	for _, n := range gone {
		n.mark = 0
		q.oldestKnown = q.oldestKnown && n.first != q.oldest
		q.tree.count(n, -1)
	}
	for _, n := range gone {
		q.tree.prune(n)
	}
}

// pull makes due what moved away from a name that is due: were the old name deleted first, there would
// be nothing left to move. What is deferred has its own reason to wait.
func (q *Queue) pull(t time.Duration) {
	for again := len(q.moves.list) > 0; again; {
		again = false
		for i := range q.moves.list {
			from, to := q.speaker(q.moves.list[i].From), q.speaker(q.moves.list[i].To)
			if from != nil && to != nil && !to.is(isDeferred) && q.due.due(from) <= t && q.due.due(to) > t {
				q.due.set(to, t)
				again = true
			}
		}
	}
}

// speaker is the entry that speaks for p: its own, or the nearest Tree entry above it; nil where
// there is none.
func (q *Queue) speaker(p string) *node {
	n := q.tree.nearest(p)
	if n.path == p && n.queued() {
		return n
	}
	for ; n != nil; n = n.parent {
		if n.queued() && n.is(isTree) {
			return n
		}
	}
	return nil
}

func (q *Queue) covers(p string) bool { return q.speaker(p) != nil }

// Len returns the number of entries queued, deferred ones included.
func (q *Queue) Len() int { return len(q.due) }

// Oldest returns when the earliest change that is queued was first seen; not ok when nothing is queued.
func (q *Queue) Oldest() (time.Time, bool) {
	if len(q.due) == 0 {
		return time.Time{}, false
	}
	if !q.oldestKnown {
		q.oldest, q.oldestKnown = q.due[0].n.first, true
		for _, it := range q.due {
			q.oldest = min(q.oldest, it.n.first)
		}
	}
	return q.abs(q.oldest), true
}

// enter makes n an entry, if it is none, and merges c, which is of the same path, into it. Its due time is the caller's to set.
func (q *Queue) enter(n *node, first time.Duration, c Change) {
	if !n.queued() {
		n.first = first
		if len(q.due) == 0 {
			q.oldest = first
		}
		q.due.push(n)
		q.tree.count(n, 1)
	}
	if c.Level {
		n.mark |= isLevel
	}
	q.merge(n, first, c.Content, c.Tree)
}

// merge adds to what entry n says. Nothing it said before gets weaker.
func (q *Queue) merge(n *node, first time.Duration, content, tree bool) {
	if content {
		n.mark |= isContent
	}
	if tree {
		n.mark |= isTree
	}
	n.first = min(n.first, first)
	q.oldest = min(q.oldest, n.first)
}

// swallow takes everything queued below n into it. It returns when the last of the fresh ones was due,
// and the first of the deferred ones; never and for ever where there were none.
func (q *Queue) swallow(n *node) (settled, owed time.Duration) {
	settled, owed = never, forEver
	if n.below == 0 {
		return settled, owed
	}
	gone := make([]*node, 0, n.below)
	q.tree.count(n, -n.below)
	q.tree.cut(n, func(c *node) {
		gone = append(gone, c)
		q.merge(n, c.first, c.is(isContent), false)
		n.mark |= c.mark & isUrgent
		if c.is(isDeferred) {
			owed = min(owed, q.due.due(c))
			return
		}
		settled = max(settled, q.due.due(c))
		n.since = min(n.since, c.since)
	})
	q.due.removeAll(gone)
	return settled, owed
}

// dueTime applies the settle rule to fresh entry n, changed at now.
func (q *Queue) dueTime(n *node, now time.Duration) time.Duration {
	if q.cfg.Quiet != nil && !n.is(isTree) {
		if w, ok := q.cfg.Quiet(n.path); ok {
			return min(later(now, w.Quiet), later(n.since, w.Most))
		}
	}
	if n.mark&(isOpen|isTree) == isOpen {
		return later(n.since, q.patience(n)) // being quiet does not make it complete
	}
	return min(later(now, q.cfg.wait(n.streak)), later(n.since, q.patience(n)))
}

// patience is the longest wait of n, however busy it is.
func (q *Queue) patience(n *node) time.Duration {
	if n.streak <= freeReturns {
		return q.cfg.MaxDelay
	}
	return max(q.cfg.MaxDelay, q.cfg.wait(n.streak))
}

func (q *Queue) rel(t time.Time) time.Duration {
	if !q.started {
		q.base, q.started = t, true
	}
	return t.Sub(q.base)
}

func (q *Queue) abs(d time.Duration) time.Time { return q.base.Add(d) }
