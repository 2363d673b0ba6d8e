package syncer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// probeEvery is how often a target that cannot be reached is looked for, at most a quarter sooner.
	probeEvery = time.Second
	// probePatience bounds a look: TCP repeats its first packet after a second, so that one leaves each second.
	probePatience = 2 * time.Second
)

// probed is a target that can be looked for at little cost. A probe says whether a push is worth trying; it
// answers within probePatience.
type probed interface {
	// probe is for a target that could not be reached, as err says; nil where nothing but another push
	// tells: a peer that was reached and failed afterwards must not be tried each second.
	probe(err error) func(context.Context) bool
	// reach fails as a push would that cannot reach the target, before the source is read for it.
	reach(ctx context.Context) error
}

// lookout is the goroutine that looks for a target while it is left alone.
type lookout struct {
	back chan struct{} // closed when the target is back
	stop context.CancelFunc
	done sync.WaitGroup
}

// lookFor begins to look for the target, if its failure is one that can be seen to go away.
func (s *Syncer) lookFor(ctx context.Context, err error) *lookout {
	l := &lookout{back: make(chan struct{}), stop: func() {}}
	s.unreached = errors.Is(err, errUnreachable)
	p, ok := s.target.(probed)
	if !ok {
		return l
	}
	look := p.probe(err)
	if look == nil {
		return l
	}
	s.unreached = true
	ctx, l.stop = context.WithCancel(ctx)
	l.done.Go(func() { l.watch(ctx, look) })
	return l
}

func (l *lookout) watch(ctx context.Context, look func(context.Context) bool) {
	next := time.NewTimer(probeAfter())
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(probeAfter()) // from the beginning of a look: one that got no answer has waited
		if found(ctx, look) {
			close(l.back)
			return
		}
	}
}

func probeAfter() time.Duration {
	return probeEvery - time.Duration(rand.Float64()*float64(probeEvery)/4)
}

func found(ctx context.Context, look func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	return look(ctx)
}

// end ends the looking and waits for it.
func (l *lookout) end() {
	l.stop()
	l.done.Wait()
}

// reach asks for a target that could not be reached before: to plan a push of all that changed meanwhile
// costs much, and would be in vain.
func (s *Syncer) reach(ctx context.Context) error {
	p, ok := s.target.(probed)
	if !s.unreached || !ok {
		return nil
	}
	if err := p.reach(ctx); err != nil {
		return err
	}
	s.unreached = false
	return nil
}
