package agent

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
)

// replica is one target, with all that is its own: the queue of what is dirty there, the pushes, their
// retries, its log. So a target that is slow or dead costs the others nothing.
type replica struct {
	s    Settings
	log  *zap.Logger
	j    *journal
	push *syncer.Syncer
	line *debounce.Line
	feed *feed
}

func newReplica(s Settings, log *zap.Logger, items func(syncer.Item)) (*replica, error) {
	log = log.With(zap.String("root", s.Source), zap.String("target", s.Target))
	r := &replica{s: s, log: log, j: newJournal(log)}
	cfg, err := s.config(syncer.Sink{Item: items, Message: r.j.says, SSH: r.j.sshSays})
	if err != nil {
		return nil, err
	}
	if r.push, err = syncer.New(cfg); err != nil {
		return nil, err
	}
	r.j.push = r.push
	r.line = debounce.NewLine(debounce.Config{Settle: orNone(s.Settle), MaxDelay: orNone(s.MaxDelay), Quiet: quietFor(s.Quieter)})
	return r, nil
}

func (r *replica) close() {
	if err := r.push.Close(); err != nil {
		r.log.Warn("what was kept open did not end well", zap.Error(err))
	}
}

// run pushes until drain is done and nothing is left, or until ctx ends.
func (r *replica) run(ctx, drain context.Context) error {
	r.feed = newFeed(r.line, drain)
	err := r.push.Run(ctx, r.feed, r.j.observe)
	if errors.Is(err, io.EOF) || errors.Is(err, errGrace) {
		return nil
	}
	return err
}

// tellEnd is the last line of its log.
func (r *replica) tellEnd() {
	left, oldest := r.line.Pending()
	if r.feed != nil {
		left += int(r.feed.inFlight.Load())
	}
	if left == 0 {
		r.log.Info("stopped, everything is sent")
		return
	}
	fields := []zap.Field{zap.Int("paths", left)}
	if !oldest.IsZero() {
		fields = append(fields, zap.Duration("oldest", rounded(time.Since(oldest))))
	}
	r.log.Warn("stopped with changes unsent; the next start sends them", fields...)
}
