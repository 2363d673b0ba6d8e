package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// lastEvents is how long watching goes on after a stop: what was written right before it
// is read from the kernel within a millisecond, if the machine is not very busy.
const lastEvents = 25 * time.Millisecond

// errGrace ends a push that did not get done within the grace time.
var errGrace = errors.New("the grace time is over")

// Watch keeps the targets in step until stop is done; then it pushes what is pending
// within the grace time and returns nil. An error means that it could not begin.
func Watch(ctx context.Context, s Settings, stop context.Context, log *zap.Logger, items func(syncer.Item)) error {
	v, err := NewWatch(s, ServiceOptions{Log: log, Items: items})
	if err != nil {
		return err
	}
	return v.Run(ctx, stop)
}

// NewWatch is the Service of a command line with --watch: one sync that goes by the name of its source. What keeps it
// from beginning is an error here.
func NewWatch(s Settings, o ServiceOptions) (*Service, error) {
	o.Process.User, o.Process.Confine, o.Process.StateDir = s.User, s.Confine, s.StateDir
	return newService([]SyncConfig{{Name: s.Source, Targets: s.Each()}}, o, true)
}

// replicas are all targets of a source: one watcher, and beyond it nothing is shared.
type replicas []*replica

func newReplicas(u *unit, drain context.Context) (replicas, error) {
	var all replicas
	for _, one := range u.cfg.Targets {
		r, err := newReplica(one, u, drain)
		if err == nil && len(all) > 0 && r.push.WatchRoot() != all.root() {
			err = fmt.Errorf("target %q is about %q, target %q about %q: what --relative and --files-from make of the source is to be the same for all targets of a sync",
				all[0].s.Target, all.root(), one.Target, r.push.WatchRoot())
			r.close()
		}
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func (all replicas) close() {
	for _, r := range all {
		r.close()
	}
}

// root is what is watched.
func (all replicas) root() string { return all[0].push.WatchRoot() }

// excluded says whether no target takes part in a path.
func (all replicas) excluded(name string, isDir bool) bool {
	for _, r := range all {
		if !r.push.Excluded(name, isDir) {
			return false
		}
	}
	return true
}

// ruleDir asks all: each forgets what it knew of the rules.
func (all replicas) ruleDir(name string) (dir string, ok bool) {
	for _, r := range all {
		if d, is := r.push.RuleDir(name); is {
			dir, ok = d, true
		}
	}
	return dir, ok
}

func (all replicas) watching(u *unit) watcher.Config {
	s := u.settings()
	cfg := watcher.Config{
		Root:          all.root(),
		Excluded:      all.excluded,
		RuleDir:       all.ruleDir,
		OneFileSystem: s.OneFileSystem,
		Backend:       u.env.backend(s.WatchBackend),
		PollInterval:  s.PollInterval,
		NoIndex:       s.NoIndex,
		Logger:        u.log.Named("watcher"),
	}
	if !s.NoTune && !u.env.tuned {
		cfg.Tune = func(ctx context.Context) { u.env.tuner.tune(ctx, all.root(), all.excluded) }
		cfg.GrowQueue = growQueue
	}
	return cfg
}

// pipeline is the road of a change: watcher to the line of each replica to its syncer.
func (u *unit) pipeline(ctx, stop context.Context, o *opened) error {
	all, grace := o.targets, u.grace()
	log := u.log.Named("agent").With(zap.String("root", u.settings().Source))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	log.Info("watching begins", zap.Strings("targets", all.names()))

	var g errgroup.Group
	g.Go(func() error {
		defer o.drain() // nothing more can come
		return o.watch.Run(watching, func(c []watcher.Change) {
			log.Debug("changes seen", zap.Int("changes", len(c)), zap.String("first", c[0].Path))
			list := fromWatcher(c)
			for _, r := range all {
				r.add(c, list)
			}
			u.ready.set()
		})
	})
	g.Go(func() error { u.waitReady(watching, o.watch); return nil })
	var pushing sync.WaitGroup
	for _, r := range all {
		pushing.Add(1)
		g.Go(func() error {
			defer pushing.Done()
			return r.run(ctx)
		})
	}
	hooking, stopHooks := context.WithCancel(ctx)
	defer stopHooks()
	g.Go(func() error { return u.hooks.Run(hooking) })
	done := make(chan struct{}) // all pushing ended, and is told
	g.Go(func() error {
		pushing.Wait()
		stopWatching()
		_ = u.hooks.Wait(ctx) // what the grace time does not last for is not told
		stopHooks()
		close(done)
		return nil
	})
	g.Go(func() error {
		select {
		case <-done:
			return nil
		case <-stop.Done():
		}
		log.Info("stopping", zap.Duration("grace", grace))
		time.AfterFunc(lastEvents, stopWatching)
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
			cancel(errGrace)
		}
		return nil
	})
	err := g.Wait()
	for _, r := range all {
		r.tellEnd()
	}
	return err
}

// readyPoll is how often a watcher that is not ready yet is asked why.
const readyPoll = 50 * time.Millisecond

// waitReady waits until the source is watched, or said to be absent.
func (u *unit) waitReady(ctx context.Context, w *watcher.Watcher) {
	for sleep(ctx, readyPoll) {
		if s := w.Stats(); s.Emitted > 0 || s.Absent != "" {
			u.ready.set()
			return
		}
	}
}

func (all replicas) names() []string {
	names := make([]string, len(all))
	for i, r := range all {
		names[i] = r.s.Target
	}
	return names
}

// orNone says "no waiting" in debounce's words, where zero is the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
