package debounce

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Line is a Queue between the goroutines that see changes and the one that pushes them. Its methods
// may be called from any goroutine, Next from one at a time. It needs no closing.
type Line struct {
	mu    sync.Mutex // guards queue and taken
	queue *Queue
	taken Batch // what Next gave out last, until Done

	// What Glance tells, as the last change of the queue left it.
	paths  atomic.Int64
	oldest atomic.Pointer[time.Time]

	// wake tells Next that something is due earlier than it waits for. Room for one: a second knock
	// would say nothing new, and whoever knocks must not wait.
	wake chan struct{}
}

// NewLine returns an empty line.
func NewLine(cfg Config) *Line {
	return &Line{queue: NewQueue(cfg), wake: make(chan struct{}, 1)}
}

// Add queues changes seen just now. It never waits for a push.
func (l *Line) Add(changes ...Change) {
	l.update(func(now time.Time) {
		for _, c := range changes {
			l.queue.Add(now, c)
		}
	})
}

// Defer gives back what a push could not bring over, all of b or some of its changes: it is due again
// after that time, or with the next change of the same path.
func (l *Line) Defer(b Batch, after time.Duration) {
	l.update(func(now time.Time) { l.queue.Defer(now, now.Add(after), b) })
}

// Flush makes all that is pending due now, what was deferred too, and keeps it so: a path that changes again
// before it is taken does not wait for that. What else is added later settles as ever.
func (l *Line) Flush() { l.update(l.queue.Flush) }

// Pending returns how many paths are queued and when the earliest of them was first seen: the zero time
// where none is.
func (l *Line) Pending() (paths int, oldest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest, _ = l.queue.Oldest()
	return l.queue.Len(), oldest
}

// Glance is Pending for who must not wait, not even for a queue that is being sorted.
func (l *Line) Glance() (paths int, oldest time.Time) {
	if p := l.oldest.Load(); p != nil {
		oldest = *p
	}
	return int(l.paths.Load()), oldest
}

// Overdue is for how long something has been due that nobody took.
func (l *Line) Overdue() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if due, ok := l.queue.Next(); ok {
		return max(time.Since(due), 0)
	}
	return 0
}

// Entry is a path in a Line.
type Entry struct {
	Path  string
	Tree  bool
	First time.Time // when it was first seen; of what is taken, when the first of its batch was
	Due   time.Time // when it is to be taken, if nothing happens to it before; of what is taken, the zero time
	Taken bool      // it was given out, and Done was not called since
}

// List returns all that is queued or taken, those first that were seen first: each path that was ever added
// and is not done.
func (l *Line) List() []Entry {
	list := l.entries()
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Path, b.Path)) })
	return list
}

func (l *Line) entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Entry, 0, len(l.taken.Changes)+l.queue.Len())
	for _, c := range l.taken.Changes {
		list = append(list, Entry{Path: c.Path, Tree: c.Tree, First: l.taken.Oldest, Taken: true})
	}
	return l.queue.list(list)
}

// Done says that what Next gave out last was pushed, or was given back by Defer.
func (l *Line) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = Batch{}
}

// Next waits until something is due and takes it. When ctx ends first it returns ctx.Err() and takes
// nothing.
func (l *Line) Next(ctx context.Context) (Batch, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return Batch{}, err
		}
		b, wait, ok := l.take()
		if ok {
			return b, nil
		}
		if wait > 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.wake:
		}
	}
}

// take takes what is due, or says how long it is until something is: 0 when nothing is queued.
func (l *Line) take() (b Batch, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if b, ok = l.queue.Take(now); ok {
		l.taken = b
		l.note()
		return b, 0, true
	}
	if due, queued := l.queue.Next(); queued {
		wait = due.Sub(now)
	}
	return Batch{}, wait, false
}

// update changes the queue, and wakes Next if something became due earlier than all before. A wait that
// has become too short is left alone: Next sees that when it is over.
func (l *Line) update(change func(now time.Time)) {
	if !l.changeLocked(change) {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Line) changeLocked(change func(now time.Time)) (earlier bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, had := l.queue.Next()
	change(time.Now())
	l.note()
	after, has := l.queue.Next()
	return has && (!had || after.Before(before))
}

// note keeps what Glance tells.
func (l *Line) note() {
	l.paths.Store(int64(l.queue.Len()))
	oldest, ok := l.queue.Oldest()
	switch last := l.oldest.Load(); {
	case !ok:
		l.oldest.Store(nil)
	case last == nil || !last.Equal(oldest):
		l.oldest.Store(&oldest)
	}
}
