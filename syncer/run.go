package syncer

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Feed is where Run takes its batches: what is dirty, and when it is due.
type Feed interface {
	// Next blocks until a batch is due. Its error ends Run.
	Next(ctx context.Context) (Batch, error)
	// Defer gives back what did not arrive: due again after that time, or with the next
	// change of the same path.
	Defer(b Batch, after time.Duration)
	// Hold keeps everything back for that time, or until back is closed: the target cannot be pushed to.
	Hold(d time.Duration, back <-chan struct{})
}

const (
	// rootPoll is how often a source that is gone is looked for.
	rootPoll = time.Second
	// againAfter is the wait before a file is sent again that changed while it was read.
	againAfter = 50 * time.Millisecond
	// vanishedMax is how often in a row a path may vanish under our hands before that is a failure
	// like others: some targets call a name that they cannot hold a missing one.
	vanishedMax = 4
)

// Outcome is what Run tells about each push.
type Outcome struct {
	Batch    Batch
	Report   Report
	Err      error         // nil: the push reached its end
	Failures int           // pushes in a row that ended in an error
	Retry    time.Duration // with Err: how long the target is left alone, if it is not seen to be back before
	Class    Class         // with Err: what it takes to get over it
	Remedy   string        // with Err: what an operator can do
	Took     time.Duration
}

// Run pushes batch after batch, one at a time, until feed ends; observe sees each
// outcome. What fails goes back to the feed, so nothing is lost while Run runs. The
// error is the feed's.
func (s *Syncer) Run(ctx context.Context, feed Feed, observe func(Outcome)) error {
	failures := 0
	look := &lookout{stop: func() {}}
	for {
		b, err := feed.Next(ctx)
		look.end()
		if err != nil {
			return err
		}
		start := time.Now()
		o := Outcome{Batch: b}
		o.Report, o.Err = s.Push(ctx, b)
		o.Took = time.Since(start)
		if o.Err != nil {
			failures++
			o.Class, o.Remedy = Classify(o.Err)
			o.Failures, o.Retry = failures, s.retry(o.Err, o.Class, failures)
			feed.Defer(b, 0)
			look = s.lookFor(ctx, o.Err)
			feed.Hold(o.Retry, look.back)
		} else {
			failures = 0
			s.giveBack(feed, b, &o.Report)
		}
		observe(o)
	}
}

func (s *Syncer) retry(err error, c Class, failures int) time.Duration {
	d := backoff(c, failures, rand.Float64())
	switch {
	case errors.Is(err, ErrRoot):
		return rootPoll // looking costs nothing, and nobody else is bothered
	case errors.Is(err, errUnreachable) && (s.cfg.Target.Shell() || s.cfg.Rsh != ""):
		return min(d, backoffUpTo(shellMax, failures, rand.Float64()))
	}
	return d
}

// giveBack defers what a push that reached its end did not bring over.
func (s *Syncer) giveBack(feed Feed, b Batch, rep *Report) {
	if rep.Partial {
		// The target said what failed in words for people: all of the batch is in doubt. But what moved
		// has moved there, too: the old names are gone, or about to be.
		b.Moves = nil
		feed.Defer(b, s.failed(b.Paths))
		return
	}
	bad := map[string]bool{}
	var failed, again []Path
	for _, p := range rep.Problems {
		if bad[p.Path] {
			continue
		}
		bad[p.Path] = true
		if p.Vanished() && s.failures[p.Path] < vanishedMax {
			s.count(p.Path)
			again = append(again, Path{Name: p.Path, Tree: true})
		} else {
			failed = append(failed, Path{Name: p.Path, Tree: true, Content: true})
		}
	}
	for _, name := range rep.Changed {
		again = append(again, Path{Name: name, Content: true})
	}
	if len(failed) > 0 {
		feed.Defer(Batch{Paths: failed, Oldest: b.Oldest}, s.failed(failed))
	}
	if len(again) > 0 {
		feed.Defer(Batch{Paths: again, Oldest: b.Oldest}, againAfter)
	}
	for _, p := range b.Paths {
		if !bad[p.Name] {
			delete(s.failures, p.Name)
		}
	}
}

// failuresMax bounds for how many paths failures are counted.
const failuresMax = 1 << 12

// failed counts one more failure for each of paths and returns how long to leave them alone.
func (s *Syncer) failed(paths []Path) time.Duration {
	most := 0
	for _, p := range paths {
		most = max(most, s.count(p.Name))
	}
	return retryAfter(most)
}

func (s *Syncer) count(name string) int {
	if _, known := s.failures[name]; !known && len(s.failures) >= failuresMax {
		clear(s.failures)
	}
	s.failures[name]++
	return s.failures[name]
}
