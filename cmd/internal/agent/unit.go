package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/lockstep-sync/lockstep/cmd/internal/api"
	"github.com/lockstep-sync/lockstep/cmd/internal/hooks"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// How long a sync that could not be opened is left alone: what stands against it is mended by somebody.
const (
	openRetryMin = time.Second
	openRetryMax = time.Minute
)

// environment is what units have in common.
type environment struct {
	log    *zap.Logger
	items  func(syncer.Item)
	pushed func(api.Push)
	tuner  *tuner
	turns  *turns
	tuned  bool         // limits are raised before the privileges are given up, and not after
	pairs  api.Service  // is served in the state of each target; nil: nothing is
	named  bool         // syncs go by their name in the log
	syncs  atomic.Int64 // how many there are
}

// fanotifyMost is how many syncs a process may have for fanotify to be taken by itself. Each has a group of its own, and each
// group is told of all that happens on its file system, the writes to local targets too: with 50 of them that is
// milliseconds of a processor for each file that is written anywhere, where inotify tells each of its own tree alone.
const fanotifyMost = 4

// backend is how a source is watched.
func (e *environment) backend(want string) string {
	if want == watcher.BackendAuto && e.syncs.Load() > fanotifyMost {
		return watcher.BackendInotify
	}
	return want
}

// unit is one sync of a Service for as long as its settings stand: a source that is watched, and its targets. Where it
// cannot be opened it is tried again, until it is stopped.
type unit struct {
	cfg   SyncConfig
	env   *environment
	log   *zap.Logger
	pause *pause
	hooks *hooks.Runner
	ready *latch // its source is watched, or it has said why it cannot be

	stop func()        // ends it, within its grace time
	over chan struct{} // closed when it has ended

	mu     sync.Mutex // guards what follows; held for moments
	opened *opened    // nil while it is not
	err    error      // why it is not
}

// opened is what a unit has while it is open.
type opened struct {
	release func() // of its places
	targets replicas
	watch   *watcher.Watcher
	drain   func()          // says that nothing more comes into the queues
	drained context.Context // done since
}

func newUnit(cfg SyncConfig, env *environment) *unit {
	log := env.log
	if env.named {
		log = log.With(zap.String("sync", cfg.Name))
	}
	return &unit{cfg: cfg, env: env, log: log, hooks: hooks.NewRunner(cfg.Hooks, log.Named("hooks")), pause: newPause(), stop: func() {}, over: make(chan struct{}), ready: newLatch()}
}

// settings are those of its source.
func (u *unit) settings() *Settings { return &u.cfg.Targets[0] }

// grace is how long a stop may take.
func (u *unit) grace() time.Duration {
	var most time.Duration
	for i := range u.cfg.Targets {
		most = max(most, u.cfg.Targets[i].Grace)
	}
	return most
}

// open takes its places and what earlier runs left. What came of it, state tells.
func (u *unit) open() error {
	o, err := u.tryOpen()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.opened, u.err = o, err
	if err != nil {
		u.ready.set()
	}
	return err
}

// openAll opens units, some at a time: most of it is waiting for the disk.
func openAll(units []*unit) {
	var g errgroup.Group
	g.SetLimit(8)
	for _, u := range units {
		g.Go(func() error { _ = u.open(); return nil }) // state tells
	}
	_ = g.Wait()
}

func (u *unit) tryOpen() (*opened, error) {
	release, err := claim(u.cfg.Targets, func(err error) {
		u.log.Warn("whether another sync writes to the same place is not known", zap.Error(err))
	})
	if err != nil {
		return nil, err
	}
	drain, beginDrain := context.WithCancel(context.Background())
	o := &opened{release: release, drain: beginDrain, drained: drain}
	if o.targets, err = newReplicas(u, drain); err != nil {
		o.close()
		return nil, err
	}
	if o.watch, err = watcher.New(o.targets.watching(u)); err != nil {
		err = fmt.Errorf("watch %q: %w", o.targets.root(), err)
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *opened) close() {
	o.drain()
	o.targets.close()
	o.release()
}

// state is what it has open, or why it has not.
func (u *unit) state() (*opened, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.opened, u.err
}

// latch is something that comes about once.
type latch struct {
	once sync.Once
	ch   chan struct{}
}

func newLatch() *latch { return &latch{ch: make(chan struct{})} }

func (f *latch) set() { f.once.Do(func() { close(f.ch) }) }

func (f *latch) is() bool {
	select {
	case <-f.ch:
		return true
	default:
		return false
	}
}

// close ends what is open; err is why it ended.
func (u *unit) close(err error) {
	u.mu.Lock()
	o := u.opened
	u.opened, u.err = nil, err
	u.mu.Unlock()
	if o != nil {
		o.close()
	}
}

// run keeps its targets in step until stop is done; then what is pending is pushed within the grace time.
func (u *unit) run(ctx, stop context.Context) error {
	defer close(u.over)
	for tries := 1; ; tries++ {
		o, why := u.state()
		if o != nil {
			err := u.pipeline(ctx, stop, o)
			u.close(err)
			if err == nil || ctx.Err() != nil {
				return err
			}
			tries, why = 1, err
		}
		wait := openWait(tries)
		u.log.Named("agent").Error("the sync does not run; it is tried again", zap.Error(why), zap.Duration("retry_in", wait))
		if !sleep(stop, wait) {
			return nil
		}
		if u.open() == nil {
			u.log.Named("agent").Info("the sync runs now")
		}
	}
}

// openWait is how long it is until a sync is opened for the next time.
func openWait(tries int) time.Duration {
	return min(openRetryMin<<min(tries-1, 10), openRetryMax)
}

// sleep lets a time pass, and says whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// check says what is wrong with a list of syncs as a whole: each of them is valid.
func check(syncs []SyncConfig) error {
	var errs []error
	seen := map[string]bool{}
	for i := range syncs {
		s := &syncs[i]
		switch {
		case s.Name == "":
			errs = append(errs, fmt.Errorf("sync %d has no name", i+1))
		case seen[s.Name]:
			errs = append(errs, fmt.Errorf("two syncs have the name %q: each needs its own", s.Name))
		case len(s.Targets) == 0:
			errs = append(errs, fmt.Errorf("sync %q has no target", s.Name))
		}
		seen[s.Name] = true
		for k := range s.Targets {
			if s.Targets[k].Source != s.Targets[0].Source {
				errs = append(errs, fmt.Errorf("sync %q: its targets have sources of their own: %q and %q", s.Name, s.Targets[0].Source, s.Targets[k].Source))
			}
			if slices.ContainsFunc(s.Targets[:k], func(o Settings) bool { return o.Target == s.Targets[k].Target }) {
				errs = append(errs, fmt.Errorf("sync %q: target %q is there twice", s.Name, s.Targets[k].Target))
			}
		}
	}
	return errors.Join(errs...)
}
