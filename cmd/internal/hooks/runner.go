package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"go.uber.org/zap"
)

// ErrVeto says that BeforePush ended with exit code 1: the push is to be put off.
var ErrVeto = errors.New("before-push says no")

// vetoCode is its exit code for that.
const vetoCode = 1

// Runner runs the hooks of one sync, one at a time. Its methods may be called by several goroutines at once.
type Runner struct {
	set  Set
	log  *zap.Logger
	turn chan struct{} // holds one token while a hook runs; who waits for it is served in order
	wake chan struct{} // one place: something waits

	mu    sync.Mutex // guards what follows
	queue queue
	busy  bool            // Run has taken something that is not done
	idle  []chan struct{} // closed when nothing waits or is busy any more
}

// NewRunner starts nothing. A log of nil is silence.
func NewRunner(set Set, log *zap.Logger) *Runner {
	if log == nil {
		log = zap.NewNop()
	}
	if set.Any() {
		closeOnExec()
	}
	return &Runner{set: set, log: log, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

// Run runs the hooks of what is told until ctx is done, and waits for the one that runs then, which is ended. It returns nil.
// What waits at that time is not run: see Wait.
func (r *Runner) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		w := r.take()
		if w != nil {
			r.run(ctx, w)
			continue
		}
		select {
		case <-ctx.Done():
		case <-r.wake:
		}
	}
	r.dropAll()
	return nil
}

// Tell has the hook of an event run, if there is one. It never blocks.
func (r *Runner) Tell(e Event) {
	if e.Kind == BeforePush || !r.set.of(e.Kind).is() {
		return
	}
	r.mu.Lock()
	r.queue.add(e)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// Wait returns when nothing that was told waits or runs, or with ctx's error. It is for a stop: what the last push has to tell is told.
func (r *Runner) Wait(ctx context.Context) error {
	r.mu.Lock()
	if len(r.queue) == 0 && !r.busy {
		r.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	r.idle = append(r.idle, idle)
	r.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-idle:
		return nil
	}
}

// Before runs the hook of a push that is about to begin, and returns when it has ended, or with ctx's error. ErrVeto,
// with the last line of what the hook said, puts the push off. Whatever else is wrong with the hook is logged, and nil.
func (r *Runner) Before(ctx context.Context, e Event) error {
	if !r.set.BeforePush.is() {
		return nil
	}
	e.Kind = BeforePush
	res := r.run(ctx, newWaiting(e))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case res.vetoes() && res.said.lastLine() != "":
		return fmt.Errorf("%w: %s", ErrVeto, res.said.lastLine())
	case res.vetoes():
		return ErrVeto
	}
	return nil
}

// run runs the hook of w when it is its turn.
func (r *Runner) run(ctx context.Context, w *waiting) *result {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return &result{err: ctx.Err(), stopped: true}
	}
	p := process{hook: r.set.of(w.Kind), env: w.environ(os.Environ()), paths: w.Paths}
	res := p.run(ctx)
	r.tell(w, res)
	return res
}

func (r *Runner) take() *waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.queue.take()
	r.busy = w != nil
	if w == nil {
		r.tellIdle()
	}
	return w
}

// tellIdle wakes who waits for the end of all. r.mu is held.
func (r *Runner) tellIdle() {
	for _, c := range r.idle {
		close(c)
	}
	r.idle = nil
}

// dropAll gives up what waits.
func (r *Runner) dropAll() {
	r.mu.Lock()
	n := len(r.queue)
	r.queue, r.busy = nil, false
	r.tellIdle()
	r.mu.Unlock()
	if n > 0 {
		r.log.Warn("hooks were not run: lockstep ends", zap.Int("hooks", n))
	}
}
