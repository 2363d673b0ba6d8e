package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	// soakGrowth is how many descriptors, or goroutines, a lockstep at rest may have more at the end than
	// at the start: a connection kept, a timer. What leaks does so thousands of times.
	soakGrowth = 8
	soakRest   = 20 * time.Minute // until in step when the changes end
	soakCalm   = 30 * time.Second // until what a last push needed is given back
)

// soak changes a tree for a long time, tells all the while what "lockstep --watch" has in use, and compares
// that at rest before and after.
func (b *bench) soak() (err error) {
	t, err := b.tree(b.sizes.SoakFiles)
	if err != nil {
		return err
	}
	watched, err := b.watchKinds(t.dir)
	defer func() { err = stopAll(watched, err) }()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "%d files, %d changes a second, MiB\n%s", t.spec.Files, b.sizes.SoakRate, soakHead)
	first, err := b.soakAtRest(t, watched, time.Time{}, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	changes, err := b.soakChanges(t, watched, start)
	if err != nil {
		return err
	}
	last, err := b.soakAtRest(t, watched, start, changes)
	if err != nil {
		return err
	}
	var errs []error
	for i := range watched {
		b.soakRows(t, &first[i], &last[i])
		errs = append(errs, grown(&first[i], &last[i]))
	}
	return errors.Join(errs...)
}

// soakChanges changes the tree and takes a sample of each every so often.
func (b *bench) soakChanges(t tree, watched []*watching, start time.Time) (int64, error) {
	var changes atomic.Int64
	ctx, cancel := context.WithTimeout(b.ctx, b.sizes.ChurnTime)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		change := churn(t, 3)
		_, err := pace(ctx, b.sizes.SoakRate, func(i int) error {
			changes.Add(1)
			return change(i)
		})
		return err
	})
	g.Go(func() error {
		tick := time.NewTicker(b.sizes.SoakEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			for _, w := range watched {
				if _, err := b.sample(w, start, changes.Load()); err != nil {
					return err
				}
			}
		}
	})
	err := g.Wait()
	return changes.Load(), err
}

// soakAtRest waits until all replicas equal the tree, and nothing goes on any more.
func (b *bench) soakAtRest(t tree, watched []*watching, start time.Time, changes int64) ([]sample, error) {
	ctx, cancel := context.WithTimeout(b.ctx, soakRest)
	defer cancel()
	var all []sample
	for _, w := range watched {
		for {
			if s, err := w.status(); err == nil && s.State == stateInStep {
				break
			}
			if err := errors.Join(context.Cause(w.ctx), ctx.Err()); err != nil {
				return nil, fmt.Errorf("wait until %s is in step: %w", w.to.kind, err)
			}
			nap(10 * time.Millisecond)
		}
		if err := syncertest.WaitEqual(ctx, t.dir, w.to.dir, b.compare); err != nil {
			return nil, err
		}
	}
	if err := calm(watched); err != nil {
		return nil, err
	}
	for _, w := range watched {
		s, err := b.sample(w, start, changes)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// calm returns when the numbers of descriptors and goroutines have been steady for a while, or never are.
func calm(watched []*watching) error {
	last := make([]sample, len(watched))
	steady := time.Now()
	for start := steady; time.Since(start) < soakCalm && time.Since(steady) < time.Second; nap(100 * time.Millisecond) {
		for i, w := range watched {
			var s sample
			if err := w.count(&s); err != nil {
				return err
			}
			if s.Threads = 0; s != last[i] { // threads stay
				last[i], steady = s, time.Now()
			}
		}
	}
	return nil
}

// grown says what is not given back.
func grown(first, last *sample) error {
	var errs []error
	check := func(what string, before, after int) {
		if after > before+soakGrowth {
			errs = append(errs, fmt.Errorf("lockstep --watch to %s had %d %s at rest before the changes, and %d after them",
				first.Target, before, what, after))
		}
	}
	check("descriptors", first.Descriptors, last.Descriptors)
	check("goroutines", first.Goroutines, last.Goroutines)
	return errors.Join(errs...)
}

func (b *bench) soakRows(t tree, first, last *sample) {
	r := row{Measurement: "soak", Case: fmt.Sprintf("%s, %d changes of %d files", first.Target, last.Changes, t.spec.Files), Samples: 1}
	peak := 0.
	for _, s := range b.results.Soak {
		if s.Target == first.Target {
			peak = max(peak, s.Peak)
		}
	}
	r.Value, r.Unit, r.Lockstep = "peak", "MiB", number(peak)
	b.add(r.atMost(residentLimit))
	for i, s := range []*sample{first, last} {
		when := [...]string{"before", "after"}[i]
		r.Unit = "MiB"
		r.Value, r.Lockstep = "resident "+when, number(s.Resident)
		b.add(r)
		r.Value, r.Lockstep = "state "+when, number(s.State)
		b.add(r)
		r.Unit = ""
		r.Value, r.Lockstep = "threads "+when, number(float64(s.Threads))
		b.add(r)
		r.Value, r.Lockstep = "descriptors "+when, number(float64(s.Descriptors))
		b.add(r.atMost(float64(first.Descriptors + soakGrowth)))
		r.Value, r.Lockstep = "goroutines "+when, number(float64(s.Goroutines))
		b.add(r.atMost(float64(first.Goroutines + soakGrowth)))
	}
}
