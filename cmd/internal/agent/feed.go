package agent

import (
	"context"
	"errors"
	"io"
	"sync"
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
	// prepare has the last word about a batch; it may be left with nothing. Nil: all goes.
	prepare func(syncer.Batch) syncer.Batch
	verify  *verifier // what is to be done while the line is empty; may be nil
	pause   *pause    // while it is on, nothing is given out; may be nil
	// settled is told when a batch that was taken is left with nothing to be pushed; may be nil.
	settled func()

	kick chan struct{} // ends a hold; room for one

	// The syncer's goroutine owns what follows.
	hold     time.Time         // nothing is given out before
	back     <-chan struct{}   // unless this is closed
	flushed  bool              // stop was seen
	failed   bool              // something could not be pushed since
	later    map[string]bool   // paths that wait for a time since
	taken    []debounce.Change // what was taken from the line last; none of a slice of a verification
	returned []syncer.Path     // what was given back of it

	inFlight atomic.Int64 // paths of the batch that is being pushed: for the last report

	mu   sync.Mutex // guards wake
	wake context.CancelCauseFunc
}

// errIdle ends the wait for a change: there is something else to do.
var errIdle = errors.New("idle")

func newFeed(line *debounce.Line, stop context.Context) *feed {
	return &feed{line: line, stop: stop, kick: make(chan struct{}, 1)}
}

// Next implements syncer.Feed.
func (f *feed) Next(ctx context.Context) (syncer.Batch, error) {
	f.inFlight.Store(0)
	for {
		if err := f.wait(ctx); err != nil {
			return syncer.Batch{}, err
		}
		stopping := f.stop.Err() != nil
		if stopping && (f.pause.is() || f.drained()) {
			return syncer.Batch{}, io.EOF
		}
		got, err := f.next(ctx, stopping)
		f.taken, f.returned = got.Changes, nil
		b := syncer.Batch{}
		switch {
		case f.pause.is():
			f.line.Defer(got, 0)
			f.line.Done()
		case err == nil:
			f.inFlight.Store(int64(len(got.Changes)))
			b = toSyncer(got)
			if f.prepare != nil {
				b = f.prepare(b)
			}
			if len(b.Paths) == 0 && f.settled != nil {
				f.settled()
			}
		case errors.Is(err, errIdle):
			b = f.verify.next(time.Now())
		case ctx.Err() != nil:
			return syncer.Batch{}, context.Cause(ctx)
		}
		if len(b.Paths) > 0 {
			f.inFlight.Store(int64(len(b.Paths)))
			return b, nil
		}
		f.inFlight.Store(0)
	}
}

// wait lets the time pass for which the target is left alone, and that of a pause.
func (f *feed) wait(ctx context.Context) error {
	if d := time.Until(f.hold); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-f.back:
		case <-f.kick:
		case <-f.stop.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	f.pause.wait(ctx, f.stop)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// hurry has a target that is left alone tried at once, if it is.
func (f *feed) hurry() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// next waits for a batch, until stop comes while it is not known yet, or, with errIdle, until it is time to
// verify something and nothing is queued.
func (f *feed) next(ctx context.Context, stopping bool) (debounce.Batch, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !stopping {
		defer context.AfterFunc(f.stop, func() { cancel(nil) })()
		f.setWake(cancel)
		defer f.setWake(nil)
		if f.pause.is() {
			cancel(nil)
		}
		if f.verify != nil {
			if wait, ok := f.verify.due(time.Now()); ok {
				if busy, _ := f.line.Pending(); busy > 0 {
					wait = max(wait, busyWait)
				}
				defer time.AfterFunc(wait, func() { cancel(errIdle) }).Stop()
			}
		}
	}
	b, err := f.line.Next(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errIdle) {
		err = errIdle
	}
	return b, err
}

// busyWait is how long a verification waits where changes are queued: they settle, or they wait for a
// retry that may be minutes away.
const busyWait = 20 * time.Millisecond

func (f *feed) setWake(cancel context.CancelCauseFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake = cancel
}

// interrupt ends the wait for a change: something was asked for. A feed that is not waiting will see it.
func (f *feed) interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wake != nil {
		f.wake(nil)
	}
}

// drained makes everything due when it is first asked, and tells when there is no more
// to give out. A target that just failed is not tried again.
func (f *feed) drained() bool {
	if !f.flushed {
		f.flushed = true
		f.line.Flush()
	}
	pending, _ := f.line.Pending()
	return f.failed || pending <= len(f.later)
}

// putOff gives back what is not to be pushed yet. A stop does not wait for it.
func (f *feed) putOff(b syncer.Batch, after time.Duration) {
	if f.flushed && after > 0 {
		if f.later == nil {
			f.later = map[string]bool{}
		}
		for _, p := range b.Paths {
			f.later[p.Name] = true
		}
	}
	f.giveBack(b, after)
}

func (f *feed) giveBack(b syncer.Batch, after time.Duration) {
	f.returned = append(f.returned, b.Paths...)
	f.line.Defer(toDebounce(b), after)
}

// Defer implements syncer.Feed.
func (f *feed) Defer(b syncer.Batch, after time.Duration) {
	if b.Verify {
		return // its slice comes again
	}
	f.failed = f.failed || f.flushed && after >= time.Second/2
	f.giveBack(b, after)
}

// Hold implements syncer.Feed.
func (f *feed) Hold(d time.Duration, back <-chan struct{}) {
	f.failed = f.failed || f.flushed && d > 0
	select {
	case <-f.kick: // it was about an earlier one
	default:
	}
	f.hold, f.back = time.Now().Add(d), back
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
