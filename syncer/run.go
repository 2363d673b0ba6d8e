package syncer

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Feed is where Run takes its batches: what is dirty, and when it is due.
type Feed interface {
	// Next blocks until a batch is due. Its error ends Run; when ctx ended, it took nothing.
	Next(ctx context.Context) (Batch, error)
	// Defer gives back what did not arrive: due again after that time, or with the next
	// change of the same path.
	Defer(b Batch, after time.Duration)
	// Hold keeps everything back for that time from now on, or until back is closed: the target cannot be pushed to.
	Hold(d time.Duration, back <-chan struct{})
}

const (
	// rootPoll is how often a source that is gone is looked for.
	rootPoll = time.Second
	// againAfter is the wait before a file is sent again that changed while it was read.
	againAfter = 50 * time.Millisecond
	// lookAfter is the wait before directories are looked at in which a target may have failed without a word.
	lookAfter = time.Second
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

	Failed  []Failed // what this push did not bring over, as the ledger has it now
	Arrived []Failed // what had failed before, and is over
	Ledger  bool     // Failed() has changed
}

// Run pushes batch after batch, one at a time, until feed ends; observe sees each
// outcome. What fails goes back to the feed, so nothing is lost while Run runs. The
// error is the feed's.
func (s *Syncer) Run(ctx context.Context, feed Feed, observe func(Outcome)) error {
	deferFailed(feed, s.Failed(), time.Time{}) // of an earlier run
	failures := 0
	look := &lookout{stop: func() {}}
	for {
		b, err := s.next(ctx, feed)
		look.end()
		if err != nil {
			return err
		}
		b = s.choose(feed, b)
		start := time.Now()
		o := Outcome{Batch: b}
		o.Report, o.Err = s.Push(ctx, b)
		o.Took = time.Since(start)
		if o.Err != nil && !s.gaveUp(feed, &o) {
			failures++
			o.Class, o.Remedy = Classify(o.Err)
			o.Failures, o.Retry = failures, s.retry(o.Err, o.Class, failures)
			look = s.lookFor(ctx, o.Err)
			feed.Hold(o.Retry, look.back)
		} else if o.Err == nil {
			failures = 0
			s.giveBack(feed, &o)
		}
		s.lookAgain(feed, &o)
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

// gaveUp gives back the batch of a push that ended in an error. A peer ends it then and there for a file that
// it cannot write, as on a full disk: that one waits for itself, and comes no more along with the directories
// above it. Where it was all of the batch, the push has done what it could: then it is no error.
func (s *Syncer) gaveUp(feed Feed, o *Outcome) bool {
	bad := named{}
	var failures []Failed
	for _, p := range o.Report.Problems {
		f := s.failedOf(p)
		var said *peerError
		f.Ends = errors.As(p.Err, &said) && ExitCode(Report{}, o.Err) == CodeFile
		if (f.Ends || f.noRoom()) && bad.add(f.Path, s.whole(&f)) {
			failures = append(failures, f)
		}
	}
	rest := o.Batch
	rest.Paths = bad.others(o.Batch.Paths)
	if len(failures) > 0 {
		s.note(feed, o, nil, failures, nil)
	}
	if len(rest.Paths) > 0 {
		feed.Defer(rest, 0)
		return false
	}
	o.Err = nil
	return true
}

// giveBack defers what a push that reached its end did not bring over.
func (s *Syncer) giveBack(feed Feed, o *Outcome) {
	b, rep := &o.Batch, &o.Report
	bad, kept := named{}, map[string]bool{}
	var failed []Failed
	var again []Path
	for _, p := range rep.Problems {
		switch {
		case bad.has(p.Path) || kept[p.Path]:
		case errors.Is(p.Err, errWithheld):
			kept[p.Path] = true
		case p.Vanished() && s.hasVanished(p.Path) < vanishedMax:
			bad.add(p.Path, true)
			again = append(again, Path{Name: p.Path, Tree: true})
		default:
			f := s.failedOf(p)
			bad.add(f.Path, s.whole(&f))
			failed = append(failed, f)
		}
	}
	for _, p := range b.Paths {
		if !bad.has(p.Name) {
			delete(s.vanished, p.Name)
		}
	}
	s.suspects.clear(b.Paths)
	pushed := b.Paths
	if rep.Partial {
		// The target said in words for people that something failed: all of the rest is in doubt.
		failed = append(failed, s.bisect(feed, b, rep.Said, bad.others(b.Paths))...)
		pushed = nil
	}
	failed = append(failed, s.doubted(failed)...)
	for _, name := range rep.Changed {
		again = append(again, Path{Name: name, Content: true})
	}
	if rep.broke && s.cfg.Delete {
		again = append(again, s.leftover.with(nil, s.Levels())...)
	}
	s.note(feed, o, pushed, failed, kept)
	again = append(again, s.recovered(o.Arrived)...)
	if len(again) > 0 {
		feed.Defer(Batch{Paths: again, Oldest: b.Oldest}, againAfter)
	}
}

// recovered are the directories that were failing for themselves: what was to be deleted in them meanwhile may have been taken
// for gone, as where they could not be searched.
func (s *Syncer) recovered(arrived []Failed) (paths []Path) {
	if !s.cfg.Delete || s.place.single {
		return nil
	}
	for _, f := range arrived {
		if st, err := os.Lstat(filepath.Join(s.WatchRoot(), f.Path)); err == nil && st.IsDir() && !f.Tree {
			paths = append(paths, Path{Name: f.Path, Level: true})
		}
	}
	return paths
}

// named are the paths that a push names as not brought over: true, where no more can have failed in them.
type named map[string]bool

func (n named) has(name string) bool { _, ok := n[name]; return ok }

// add says whether name is new.
func (n named) add(name string, whole bool) bool {
	had := n.has(name)
	n[name] = n[name] || whole
	return !had
}

// others are those of paths of which more may have failed than what is named: a directory whose time could not
// be set says nothing of what is in it.
func (n named) others(paths []Path) (rest []Path) {
	for _, p := range paths {
		if whole, ok := n[p.Name]; !ok || !whole && (p.Tree || p.Level) {
			rest = append(rest, p)
		}
	}
	return rest
}

// hasVanished counts how often in a row a path was there and then gone.
func (s *Syncer) hasVanished(name string) int {
	if _, known := s.vanished[name]; !known && len(s.vanished) >= ledgerMax {
		clear(s.vanished)
	}
	n := s.vanished[name]
	s.vanished[name]++
	return n
}

// note enters what failed into the ledger, has it tried again in its time, and tells o.
func (s *Syncer) note(feed Feed, o *Outcome, pushed []Path, failures []Failed, kept map[string]bool) {
	now := s.now()
	s.mu.Lock()
	for i := range failures {
		failures[i].First = now
		if oldest := o.Batch.Oldest; !oldest.IsZero() && oldest.Before(now) {
			failures[i].First = oldest
		}
	}
	o.Failed, o.Arrived = s.ledger.note(now, pushed, failures, kept)
	again := o.Failed
	for name := range kept {
		if e := s.ledger.entries[name]; e != nil { // with what is above it, it left the feed
			again = append(again, *e)
		}
	}
	for _, f := range o.Arrived {
		if f.noRoom() { // there is room again
			again = append(again, s.ledger.due(now, (*Failed).noRoom)...)
			break
		}
	}
	s.mu.Unlock()
	o.Ledger = len(o.Failed)+len(o.Arrived) > 0
	deferFailed(feed, again, now)
}

// deferFailed has entries of the ledger tried again in their time.
func deferFailed(feed Feed, entries []Failed, now time.Time) {
	for _, f := range entries {
		b := Batch{Paths: []Path{f.path()}, Oldest: f.First}
		after := time.Duration(0)
		if !now.IsZero() {
			after = max(0, f.Next.Sub(now))
		}
		feed.Defer(b, after)
	}
}
