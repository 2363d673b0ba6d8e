package syncer_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// queue is a Feed: a set of names, without the times of a real one.
type queue struct {
	mu    sync.Mutex // guards names
	names map[string]syncer.Path
	wake  chan struct{}

	// Of the Syncer's goroutine.
	hold *time.Timer
	back <-chan struct{}
}

func (q *queue) add(paths ...syncer.Path) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range paths {
		q.names[p.Name] = p
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) take() (b syncer.Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, p := range q.names {
		b.Paths = append(b.Paths, p)
		delete(q.names, name)
	}
	return b
}

func (q *queue) Next(ctx context.Context) (syncer.Batch, error) {
	if q.hold != nil {
		select {
		case <-q.hold.C:
		case <-q.back:
		case <-ctx.Done():
		}
		q.hold.Stop()
		q.hold = nil
	}
	for ctx.Err() == nil {
		if b := q.take(); len(b.Paths) > 0 {
			return b, nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
	return syncer.Batch{}, ctx.Err()
}

func (q *queue) Defer(b syncer.Batch, _ time.Duration) { q.add(b.Paths...) }

func (q *queue) Hold(d time.Duration, back <-chan struct{}) {
	q.hold, q.back = time.NewTimer(d), back
}

// ended is an outcome, and when the push began.
type ended struct {
	syncer.Outcome
	began time.Time
}

// running is a Syncer that runs while a test breaks and mends its target.
type running struct {
	*rig
	feed  *queue
	ended chan ended
}

// run pushes everything once, and then what changes.
func (r *rig) run(cfg syncer.Config) *running {
	r.t.Helper()
	run := r.start(cfg)
	run.feed.add(syncer.Path{Name: ".", Tree: true})
	run.succeeds()
	return run
}

func (r *rig) start(cfg syncer.Config) *running {
	r.t.Helper()
	cfg.Keep = true
	s := r.syncer(cfg)
	run := &running{rig: r, feed: &queue{names: map[string]syncer.Path{}, wake: make(chan struct{}, 1)}, ended: make(chan ended, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, run.feed, func(o syncer.Outcome) { run.ended <- ended{o, time.Now().Add(-o.Took)} })
	}()
	r.t.Cleanup(func() {
		cancel()
		stopped := time.Now()
		if err := <-done; !errors.Is(err, context.Canceled) {
			r.t.Errorf("Run ended with %v", err)
		}
		if took := time.Since(stopped); took > 5*time.Second {
			r.t.Errorf("Run ended %v after it was told to", took)
		}
	})
	return run
}

// change writes a file and says so.
func (r *running) change(name, text string) {
	r.t.Helper()
	write(r.t, r.in(name), text)
	r.feed.add(syncer.Path{Name: name, Tree: true, Content: true})
}

// fails waits for a push that ends in an error of that class, with words in what can be done about it.
func (r *running) fails(class syncer.Class, words ...string) ended {
	r.t.Helper()
	e := r.next()
	if e.Err == nil {
		r.t.Fatalf("the push arrived: %+v", e.Report)
	}
	if e.Class != class {
		r.t.Errorf("class %q, want %q: %v (%s)", e.Class, class, e.Err, e.Remedy)
	}
	for _, w := range words {
		if !strings.Contains(e.Remedy, w) {
			r.t.Errorf("%q is not in the remedy %q of: %v", w, e.Remedy, e.Err)
		}
	}
	return e
}

// refuses waits for a push whose one failing path is name, with words in what can be done about it.
func (r *running) refuses(name string, class syncer.Class, words string) {
	r.t.Helper()
	e := r.next()
	if e.Err != nil || len(e.Failed) != 1 || e.Failed[0].Path != name || e.Failed[0].Class != class || !strings.Contains(e.Failed[0].Remedy(), words) {
		r.t.Errorf("%v, failed %+v", e.Err, e.Failed)
	}
}

// succeeds waits until a push arrives; those that fail before are passed over.
func (r *running) succeeds() ended {
	r.t.Helper()
	for {
		if e := r.next(); e.Err == nil && e.Report.Whole() {
			return e
		}
	}
}

func (r *running) next() ended {
	r.t.Helper()
	select {
	case e := <-r.ended:
		return e
	case <-time.After(time.Minute):
		r.t.Fatal("no push within a minute")
	}
	panic("unreachable")
}

// converges waits until the target is as the source.
func (r *running) converges() {
	r.t.Helper()
	r.succeeds()
	syncertest.RequireSoonEqual(r.t, 20*time.Second, r.src, r.dst, syncertest.CompareOptions{Ignore: temporary, IgnoreOwners: true})
}

func newRunning(t *testing.T, edit ...func(*syncertest.DaemonConfig)) *running {
	t.Helper()
	return newRunningTimeout(t, 10*time.Second, edit...)
}

func newRunningTimeout(t *testing.T, timeout time.Duration, edit ...func(*syncertest.DaemonConfig)) *running {
	t.Helper()
	t.Parallel()
	r := newRig(t, edit...)
	write(t, r.in("d/f"), "first")
	cfg := r.config()
	cfg.Timeout, cfg.Delete = timeout, true
	return r.run(cfg)
}
