package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// lastEvents is how long watching goes on after a stop: what was written right before it
// is read from the kernel within a millisecond, if the machine is not very busy.
const lastEvents = 25 * time.Millisecond

// errGrace ends a push that did not get done within the grace time.
var errGrace = errors.New("the grace time is over")

// Watch keeps the target in step until stop is done; then it pushes what is pending
// within the grace time and returns nil. An error means that it could not begin.
func Watch(ctx context.Context, s Settings, stop context.Context, log *zap.Logger, items func(syncer.Item)) error {
	watcherLog := log // it names the root itself
	log = log.With(zap.String("root", s.Source), zap.String("target", s.Target))
	j := newJournal(log)
	sink := syncer.Sink{Item: items, Message: j.says, SSH: j.sshSays}
	cfg, err := s.config(sink)
	if err != nil {
		return err
	}
	push, err := syncer.New(cfg)
	if err != nil {
		return err
	}
	defer func() {
		if err := push.Close(); err != nil {
			log.Warn("what was kept open did not end well", zap.Error(err))
		}
	}()
	j.push = push
	watching := watcher.Config{
		Root:          push.WatchRoot(),
		Excluded:      push.Excluded,
		RuleDir:       push.RuleDir,
		OneFileSystem: s.OneFileSystem,
		Backend:       s.WatchBackend,
		PollInterval:  s.PollInterval,
		NoIndex:       s.NoIndex,
		Logger:        watcherLog,
	}
	switch {
	case s.tunesFirst():
		tune(ctx, push.WatchRoot(), push.Excluded, watcherLog)
	case !s.NoTune:
		watching.Tune = func(ctx context.Context) { tune(ctx, push.WatchRoot(), push.Excluded, watcherLog) }
		watching.GrowQueue = growQueue
	}
	watch, err := watcher.New(watching)
	if err != nil {
		return fmt.Errorf("watch %q: %w", push.WatchRoot(), err)
	}
	rep, err := s.confine()
	if err != nil {
		return err
	}
	logPrivileges(log, rep)
	line := debounce.NewLine(debounce.Config{Settle: orNone(s.Settle), MaxDelay: orNone(s.MaxDelay), Quiet: quietFor(s.Quieter)})
	return run(ctx, s, stop, watch, line, push, j)
}

// orNone says "no waiting" in debounce's words, where zero is the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// run is the pipeline: watcher to line to syncer.
func run(ctx context.Context, s Settings, stop context.Context, watch *watcher.Watcher, line *debounce.Line, push *syncer.Syncer, j *journal) error {
	log := j.log
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	// The feed ends when nothing more can come into it.
	drain, beginDrain := context.WithCancel(context.Background())
	defer beginDrain()
	done := make(chan struct{}) // the pushing ended
	f := newFeed(line, drain)
	log.Info("watching begins")

	var g errgroup.Group
	g.Go(func() error {
		defer beginDrain()
		return watch.Run(watching, func(c []watcher.Change) {
			log.Debug("changes seen", zap.Int("changes", len(c)), zap.String("first", c[0].Path))
			line.Add(fromWatcher(c)...)
		})
	})
	g.Go(func() error {
		defer close(done)
		defer stopWatching()
		err := push.Run(ctx, f, j.observe)
		if errors.Is(err, io.EOF) || errors.Is(err, errGrace) {
			return nil
		}
		return err
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
	left, oldest := line.Pending()
	if left += int(f.inFlight.Load()); left > 0 {
		fields := []zap.Field{zap.Int("paths", left)}
		if !oldest.IsZero() {
			fields = append(fields, zap.Duration("oldest", rounded(time.Since(oldest))))
		}
		log.Warn("stopped with changes unsent; the next start sends them", fields...)
	} else {
		log.Info("stopped, everything is sent")
	}
	return err
}
