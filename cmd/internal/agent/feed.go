package agent

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/lockstep-sync/lockstep/debounce"
	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/watcher"
)

// feed stands between the debounce.Line of a target and its syncer. When stop is done
// it gives out once what is pending, and ends with io.EOF.
type feed struct {
	line *debounce.Line
	stop context.Context

	// The syncer's goroutine owns what follows.
	hold    time.Time // nothing is given out before
	flushed bool      // stop was seen
	failed  bool      // something could not be pushed since

	inFlight atomic.Int64 // paths of the batch that is being pushed: for the last report
}

func newFeed(line *debounce.Line, stop context.Context) *feed {
	return &feed{line: line, stop: stop}
}

// Next implements syncer.Feed.
func (f *feed) Next(ctx context.Context) (syncer.Batch, error) {
	f.inFlight.Store(0)
	for {
		if err := f.wait(ctx); err != nil {
			return syncer.Batch{}, err
		}
		stopping := f.stop.Err() != nil
		if stopping && f.drained() {
			return syncer.Batch{}, io.EOF
		}
		b, err := f.next(ctx, stopping)
		if err == nil {
			f.inFlight.Store(int64(len(b.Changes)))
			return toSyncer(b), nil
		}
		if ctx.Err() != nil {
			return syncer.Batch{}, context.Cause(ctx)
		}
	}
}

// wait lets the time pass for which the target is left alone.
func (f *feed) wait(ctx context.Context) error {
	d := time.Until(f.hold)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.stop.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// next waits for a batch, until stop comes while it is not known yet.
func (f *feed) next(ctx context.Context, stopping bool) (debounce.Batch, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !stopping {
		defer context.AfterFunc(f.stop, cancel)()
	}
	return f.line.Next(ctx)
}

// drained makes everything due when it is first asked, and tells when there is no more
// to give out. A target that just failed is not tried again.
func (f *feed) drained() bool {
	if !f.flushed {
		f.flushed = true
		f.line.Flush()
	}
	pending, _ := f.line.Pending()
	return f.failed || pending == 0
}

// Defer implements syncer.Feed.
func (f *feed) Defer(b syncer.Batch, after time.Duration) {
	f.failed = f.failed || f.flushed && after >= time.Second/2
	f.line.Defer(toDebounce(b), after)
}

// Hold implements syncer.Feed.
func (f *feed) Hold(d time.Duration) {
	f.failed = f.flushed
	f.hold = time.Now().Add(d)
}

func toSyncer(b debounce.Batch) syncer.Batch {
	out := syncer.Batch{Seq: b.Seq, Oldest: b.Oldest, Paths: make([]syncer.Path, len(b.Changes))}
	for i, c := range b.Changes {
		out.Paths[i] = syncer.Path{Name: c.Path, Tree: c.Tree, Level: c.Level, Content: c.Content}
	}
	for _, m := range b.Moves {
		out.Moves = append(out.Moves, syncer.Move{From: m.From, To: m.To, Dev: m.Dev, Ino: m.Ino})
	}
	return out
}

func toDebounce(b syncer.Batch) debounce.Batch {
	out := debounce.Batch{Seq: b.Seq, Oldest: b.Oldest, Changes: make([]debounce.Change, len(b.Paths))}
	for i, p := range b.Paths {
		out.Changes[i] = debounce.Change{Path: p.Name, Tree: p.Tree, Level: p.Level, Content: p.Content}
	}
	for _, m := range b.Moves {
		out.Moves = append(out.Moves, debounce.Move{From: m.From, To: m.To, Dev: m.Dev, Ino: m.Ino})
	}
	return out
}

func fromWatcher(changes []watcher.Change) []debounce.Change {
	out := make([]debounce.Change, len(changes))
	for i, c := range changes {
		out[i] = debounce.Change{
			Path: c.Path, Tree: c.Tree, Level: c.Level, Content: c.Content, Open: c.Open, Closed: c.Closed,
			From: c.From, FromDev: c.FromDev, FromIno: c.FromIno,
		}
	}
	return out
}
