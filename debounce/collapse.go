package debounce

import (
	"cmp"
	"slices"
)

// crowd is a directory with so many entries at or below it that one Tree entry is the better word.
type crowd struct {
	dir   *node
	saves int // entries that go when it collapses, deeper crowds having collapsed before
	layer int // 0: no crowd below it
}

// collapse makes room when the queue is over its bound. How much of a directory is dirty is unknown
// here, so the deepest crowds go first: they drag the least along that has not changed. Among those the
// largest go first, as each costs the push a directory scan. An eighth is freed at once, which spreads
// the search over as many adds.
func (q *Queue) collapse() {
	if len(q.due) <= q.cfg.MaxPaths {
		return
	}
	var crowds []crowd
	// Each crowd saves at least a thousandth of the bound, so a round makes at most 128 Tree entries.
	// Taken together all crowds leave fewer entries than that, so the round always gets there.
	findCrowds(q.tree.root, max(2, q.cfg.MaxPaths/1024), &crowds)
	slices.SortFunc(crowds, func(a, b crowd) int {
		return cmp.Or(cmp.Compare(a.layer, b.layer), cmp.Compare(b.saves, a.saves), cmp.Compare(a.dir.path, b.dir.path))
	})
	enough := q.cfg.MaxPaths - q.cfg.MaxPaths/8
	for _, c := range crowds {
		if len(q.due) <= enough {
			return
		}
		q.collapseInto(c.dir)
	}
}

// findCrowds lists the crowds at and below n, which has at least least entries. It returns how many
// entries are left there once they have collapsed, and the layer of the next crowd above.
func findCrowds(n *node, least int, crowds *[]crowd) (left, layer int) {
	left = n.total()
	for c := n.child; c != nil; c = c.next {
		if c.total() < least {
			continue
		}
		leftBelow, layerBelow := findCrowds(c, least, crowds)
		left += leftBelow - c.total()
		layer = max(layer, layerBelow)
	}
	if left < least {
		return left, layer
	}
	*crowds = append(*crowds, crowd{n, left - 1, layer})
	return 1, layer + 1
}

// collapseInto turns n and all below it into one Tree entry. That is no change: the entry is due when
// the last of its fresh paths has settled, or the first of them has waited MaxDelay; where all were
// deferred, when the first of them was due.
func (q *Queue) collapseInto(n *node) {
	settled, owed := never, forEver
	switch {
	case !n.queued():
		n.first, n.since, n.streak = forEver, forEver, 0
	case n.is(isDeferred):
		n.since, n.streak, owed = forEver, 0, q.due.due(n)
	default:
		settled = q.due.due(n)
	}
	settledBelow, owedBelow := q.swallow(n)
	settled, owed = max(settled, settledBelow), min(owed, owedBelow)

	q.enter(n, n.first, Change{Path: n.path, Tree: true})
	if settled == never {
		n.mark |= isDeferred
		q.due.set(n, owed) // what is urgent was due before
		return
	}
	n.mark &^= isDeferred
	q.due.set(n, min(settled, later(n.since, q.cfg.MaxDelay)))
	if n.is(isUrgent) {
		q.due.set(n, min(q.due.due(n), n.first))
	}
}
