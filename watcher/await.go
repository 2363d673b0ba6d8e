package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrAbsent is returned by Barrier while the root is absent: what changed in it is told when it is back.
	ErrAbsent = errors.New("watcher: the root is absent")
	// ErrEnded is returned by Barrier when Run ended meanwhile.
	ErrEnded = errors.New("watcher: watching has ended")
)

const (
	// awaitFirst is how soon a barrier is looked for again that has not passed, where nothing tells that it has:
	// fanotify's queue that runs empty does not. It doubles up to awaitMost.
	awaitFirst = 500 * time.Microsecond
	awaitMost  = 20 * time.Millisecond
)

// await is somebody who waits until all is emitted that had happened when it began.
type await struct {
	passed chan error // room for the answer

	// The session's goroutine owns what follows.
	begun   bool
	backend backend // whose barrier
	ticket  uint64  // its number
	anew    uint64  // how often all was watched anew when compare was decided
	compare uint64  // the number of the comparison that has to be done
}

// Barrier returns nil once everything that happened to the tree before the call has been emitted. It comes about by
// an event in the queue of the kernel's that changes come from, so that those before it are known to have
// been handled; it waits for the answer to an overflow, and for a comparison of what gives no events. It
// returns ErrAbsent while the root is absent, and ctx's error. It may be called by any goroutine, also before
// Run is.
func (w *Watcher) Barrier(ctx context.Context) error {
	a := &await{passed: make(chan error, 1)}
	select {
	case w.awaits <- a:
	case <-ctx.Done():
		return fmt.Errorf("wait for the watcher: %w", ctx.Err())
	}
	select {
	case err := <-a.passed:
		return err
	case <-ctx.Done():
		a.answer(ctx.Err()) // to nobody: it is waited for no more
		return fmt.Errorf("wait for the watcher: %w", ctx.Err())
	}
}

// await begins for somebody.
func (s *session) await(ctx context.Context, a *await) {
	s.awaits = append(s.awaits, a)
	s.awaitNext = awaitFirst
	if s.look(ctx); !s.stats.RootPresent {
		return
	}
	s.readMounts(ctx) // what was mounted a moment ago is told a moment later
	if !s.stats.RootPresent {
		return
	}
	for _, rel := range s.blind() {
		s.suspects.add(Change{Path: rel, Tree: true})
	}
}

// settleAwaits answers who has what he waited for. It runs after a flush.
func (s *session) settleAwaits() {
	if len(s.awaits) == 0 {
		return
	}
	s.awaits = slices.DeleteFunc(s.awaits, func(a *await) bool {
		switch {
		case len(a.passed) > 0: // he has gone
			return true
		case !s.stats.RootPresent:
			a.answer(ErrAbsent)
			return true
		case s.hasPassed(a):
			a.answer(nil)
			return true
		}
		return false
	})
	if len(s.awaits) > 0 {
		s.awaitAgain.Reset(s.awaitNext)
		s.awaitNext = min(2*s.awaitNext, awaitMost)
	}
}

func (a *await) answer(err error) {
	select {
	case a.passed <- err:
	default:
	}
}

// hasPassed reports whether all that a waits for was emitted.
func (s *session) hasPassed(a *await) bool {
	b := s.backend
	if !a.begun || a.backend != b {
		a.begun, a.backend, a.ticket = true, b, b.barrier()
		a.anew, a.compare = s.anew, s.comparison()
	}
	if a.anew != s.anew { // events were lost: what they told of is found by comparing
		a.anew, a.compare = s.anew, s.comparison()
	}
	switch {
	case b.up() && b.passed() < a.ticket, b.lost().count > 0:
		return false
	case s.marks.len()+s.found.len()+s.suspects.len() > 0: // since the last flush
		return false
	}
	return s.keeper == nil || s.keeper.hasCompared(a.compare)
}

// comparison is the number of the one that everything to be compared now is part of.
func (s *session) comparison() uint64 {
	if s.keeper == nil {
		return 0
	}
	return s.keeper.comparison()
}

// endAwaits answers all who wait when Run ends.
func (s *session) endAwaits() {
	for _, a := range s.awaits {
		a.answer(ErrEnded)
	}
	s.awaits = nil
}
