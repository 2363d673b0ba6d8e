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
	release, err := s.claim(func(err error) {
		log.Warn("whether another sync writes to the same place is not known", zap.Error(err))
	})
	if err != nil {
		return err
	}
	defer release()
	all, err := newReplicas(s, log, items)
	if err != nil {
		return err
	}
	defer all.close()
	watch, err := watcher.New(all.watching(s, log))
	if err != nil {
		return fmt.Errorf("watch %q: %w", all.root(), err)
	}
	if s.tunesFirst() {
		tune(ctx, all.root(), all.excluded, log)
	}
	if err := all.handOver(&s); err != nil {
		return err
	}
	rights, err := s.confine()
	if err != nil {
		return err
	}
	logPrivileges(log, rights)
	return all.run(ctx, s, stop, watch, log)
}

// replicas are all targets of a source: one watcher, and beyond it nothing is shared.
type replicas []*replica

func newReplicas(s Settings, log *zap.Logger, items func(syncer.Item)) (replicas, error) {
	var all replicas
	for _, one := range s.Each() {
		r, err := newReplica(one, log, items)
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

func (all replicas) watching(s Settings, log *zap.Logger) watcher.Config {
	cfg := watcher.Config{
		Root:          all.root(),
		Excluded:      all.excluded,
		RuleDir:       all.ruleDir,
		OneFileSystem: s.OneFileSystem,
		Backend:       s.WatchBackend,
		PollInterval:  s.PollInterval,
		NoIndex:       s.NoIndex,
		Logger:        log,
	}
	if !s.NoTune && !s.tunesFirst() {
		cfg.Tune = func(ctx context.Context) { tune(ctx, all.root(), all.excluded, log) }
		cfg.GrowQueue = growQueue
	}
	return cfg
}

// run is the pipeline: watcher to the line of each replica to its syncer.
func (all replicas) run(ctx context.Context, s Settings, stop context.Context, watch *watcher.Watcher, log *zap.Logger) error {
	log = log.With(zap.String("root", s.Source))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	// A feed ends when nothing more can come into it.
	drain, beginDrain := context.WithCancel(context.Background())
	defer beginDrain()
	log.Info("watching begins", zap.Strings("targets", all.names()))

	var g errgroup.Group
	g.Go(func() error {
		defer beginDrain()
		return watch.Run(watching, func(c []watcher.Change) {
			log.Debug("changes seen", zap.Int("changes", len(c)), zap.String("first", c[0].Path))
			list := fromWatcher(c)
			for _, r := range all {
				r.add(c, list)
			}
		})
	})
	var pushing sync.WaitGroup
	for _, r := range all {
		pushing.Add(1)
		g.Go(func() error {
			defer pushing.Done()
			return r.run(ctx, drain)
		})
	}
	done := make(chan struct{}) // all pushing ended
	g.Go(func() error {
		pushing.Wait()
		stopWatching()
		close(done)
		return nil
	})
	g.Go(func() error {
		select {
		case <-done:
			return nil
		case <-stop.Done():
		}
		log.Info("stopping", zap.Duration("grace", s.Grace))
		time.AfterFunc(lastEvents, stopWatching)
		grace := time.NewTimer(s.Grace)
		defer grace.Stop()
		select {
		case <-done:
		case <-grace.C:
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
