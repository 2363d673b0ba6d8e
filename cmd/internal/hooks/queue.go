package hooks

import (
	"maps"
	"slices"
)

// What waits in a queue is bounded, however long a hook takes: paths beyond this are not passed on, and the hook is told so.
const (
	maxPaths     = 50_000
	maxPathBytes = 4 << 20
)

// waiting is an event that waits, with those that were merged into it.
type waiting struct {
	Event
	events int             // how many
	seen   map[string]bool // Paths
	bytes  int             // of Paths
}

// add takes in the next event of its kind and target: all paths, and the facts of the last.
func (w *waiting) add(e Event) {
	w.events++
	w.Sync, w.Source = e.Sync, e.Source
	w.Facts = maps.Clone(e.Facts)
	w.More = w.More || e.More
	for _, p := range e.Paths {
		switch {
		case w.seen[p]:
		case len(w.Paths) >= maxPaths || w.bytes+len(p)+1 > maxPathBytes:
			w.More = true
			return
		default:
			w.seen[p] = true
			w.bytes += len(p) + 1
			w.Paths = append(w.Paths, p)
		}
	}
}

func newWaiting(e Event) *waiting {
	w := &waiting{Event: Event{Kind: e.Kind, Target: e.Target}, seen: make(map[string]bool, min(len(e.Paths), maxPaths))}
	w.add(e)
	return w
}

// queue is what waits, in the order in which the hooks are to run.
type queue []*waiting

// add puts an event at the end, or into the one of its kind and target that waits. Where a target failed, recovered and
// fails again, the last thing that is told is what holds.
func (q *queue) add(e Event) {
	i := slices.IndexFunc(*q, func(w *waiting) bool { return w.Kind == e.Kind && w.Target == e.Target })
	if i < 0 {
		*q = append(*q, newWaiting(e))
		return
	}
	w := (*q)[i]
	w.add(e)
	opposite := func(o *waiting) bool {
		return o.Target == e.Target && (o.Kind == Recovered && e.Kind == Failure || o.Kind == Failure && e.Kind == Recovered)
	}
	if slices.ContainsFunc((*q)[i:], opposite) {
		*q = append(slices.Delete(*q, i, i+1), w)
	}
}

// take gives what is next; nil: nothing waits.
func (q *queue) take() *waiting {
	if len(*q) == 0 {
		return nil
	}
	w := (*q)[0]
	*q = slices.Delete(*q, 0, 1)
	return w
}
