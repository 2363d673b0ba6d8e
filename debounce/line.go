package debounce

import (
	"context"
	"sync"
	"time"
)

// Line is a Queue between the goroutines that see changes and the one that pushes them. Its methods
// may be called from any goroutine, Next from one at a time. It needs no closing.
type Line struct {
	mu    sync.Mutex // guards queue
	queue *Queue

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

// Flush makes all that is pending due now, what was deferred too. It is meant for the shutdown: what is
// added later settles as ever.
func (l *Line) Flush() { l.update(l.queue.Flush) }

// Pending returns how many paths are queued and when the earliest of them was first seen: the zero time
// where none is.
func (l *Line) Pending() (paths int, oldest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest, _ = l.queue.Oldest()
	return l.queue.Len(), oldest
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
	after, has := l.queue.Next()
	return has && (!had || after.Before(before))
}
