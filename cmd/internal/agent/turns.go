package agent

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
)

const (
	// turnLasts is how long a large push keeps others from beginning. It is not ended then, and does not count any more: a
	// target that is slow, or hangs, must not hold up others.
	turnLasts = 30 * time.Second
	// largePaths is from how many paths on a push waits for its turn, as one of a subtree does.
	largePaths = 1000
)

// turns has large pushes of a process begin by and by: at the start each target has one. All at once they would take longer,
// take more memory, and leave nobody a processor who asks how it is going.
type turns struct {
	most int

	mu    sync.Mutex    // guards what follows
	since []*time.Time  // when those that count began
	ended chan struct{} // closed when one has
}

func newTurns() *turns {
	return &turns{most: max(4, 2*runtime.GOMAXPROCS(0)), ended: make(chan struct{})}
}

// wait waits for a turn, until ctx ends. Done gives it back.
func (t *turns) wait(ctx context.Context) (done func()) {
	for {
		mine, left, ended := t.take(time.Now())
		if mine != nil {
			return func() { t.giveBack(mine) }
		}
		timer := time.NewTimer(left)
		select {
		case <-ended:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return func() {}
		}
		timer.Stop()
	}
}

// take takes a turn, or says how long it is at most until there is one.
func (t *turns) take(now time.Time) (mine *time.Time, left time.Duration, ended <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = slices.DeleteFunc(t.since, func(s *time.Time) bool { return now.Sub(*s) >= turnLasts })
	if len(t.since) >= t.most {
		return nil, turnLasts - now.Sub(*t.since[0]), t.ended
	}
	t.since = append(t.since, &now)
	return &now, 0, nil
}

func (t *turns) giveBack(mine *time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = slices.DeleteFunc(t.since, func(s *time.Time) bool { return s == mine })
	close(t.ended)
	t.ended = make(chan struct{})
}

// isLarge says whether a push of b waits for its turn.
func isLarge(b *syncer.Batch) bool {
	return len(b.Paths) >= largePaths || slices.ContainsFunc(b.Paths, func(p syncer.Path) bool { return p.Tree })
}
