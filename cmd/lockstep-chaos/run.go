package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	// defaultLimit is how long a target may take to become equal once all is well and the source is at
	// rest: lockstep tries again after at most a minute.
	defaultLimit = 90 * time.Second
	// A program at rest has no more than this beyond what it had when it was first at rest. The Go
	// runtime keeps each thread that it ever needed.
	moreDescriptors, moreThreads = 6, 16
	// maxGoroutines is far above what a lockstep at rest has, and below what a leak leaves in some rounds.
	maxGoroutines = 60
	// At most so many lines of WARN and ERROR a round, and a second of it.
	troublesPerRound, troublesPerSecond = 1000, 100
)

// result is what came of a run.
type result struct {
	Seed     uint64
	Setting  string
	Took     time.Duration
	Rounds   int
	Shots    []shotResult
	Failures []string // what lockstep did wrong
	Broken   string   // what the harness could not do
	Changes  int64    // that were made to the source
	Versions int64    // reads of whole files on the targets
	Pins     int64    // looks for pins there
	Most     usage
	Logs     string // the last of them, if it failed
}

// shotResult is a fault that was injected.
type shotResult struct {
	Fault   string
	Target  string
	At      time.Duration // since the run began
	Held    time.Duration
	Healed  time.Duration // from the end of the round's changes until all targets were equal
	Skipped string        // why it was not injected after all
}

func resultFile(out string) string { return filepath.Join(out, "result.json") }

func writeResult(out string, r result) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(resultFile(out), text, 0o644)
}

func readResult(out string) (result, error) {
	var r result
	text, err := os.ReadFile(resultFile(out))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// seedRun is a run that goes on.
type seedRun struct {
	*world
	begun time.Time
	res   result
	mu    sync.Mutex // guards res.Failures, which the judges add to
}

// runSeed makes the world, and goes through the plan until the time is over or something failed.
func runSeed(ctx context.Context, c config) result {
	r := &seedRun{begun: time.Now(), res: result{Seed: c.Seed}}
	err := r.play(ctx, c)
	switch {
	case errors.Is(err, errLockstep):
		r.fail(err.Error())
	case err != nil:
		r.res.Broken = err.Error()
	}
	r.res.Took = time.Since(r.begun)
	return r.res
}

func (r *seedRun) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.res.Failures) < 10 {
		r.res.Failures = append(r.res.Failures, fmt.Sprintf("after %v: %s", time.Since(r.begun).Round(time.Millisecond), text))
	}
}

func (r *seedRun) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.res.Failures) > 0
}

func (r *seedRun) play(ctx context.Context, c config) error {
	p, err := newPlan(c)
	if err != nil {
		return err
	}
	r.res.Setting = p.String()
	if r.world, err = newWorld(ctx, c, p); err != nil {
		return err
	}
	for _, l := range r.programs {
		if err := l.start(); err != nil {
			return err
		}
	}
	defer r.judges()()
	r.converge("the first push", time.Now())
	for _, round := range p.Rounds {
		if r.failed() || time.Since(r.begun) > c.Time {
			break
		}
		if err := r.round(round); err != nil {
			r.res.Logs = r.logs(40)
			return err
		}
	}
	if r.failed() {
		r.res.Logs = r.logs(40)
	}
	return r.finish()
}

// judges begins to poll the targets, and returns what ends that.
func (r *seedRun) judges() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var ends []func()
	for _, t := range r.targets {
		fail := func(text string) { r.fail(fmt.Sprintf("%s target: %s", t, text)) }
		pins, versions := &pinWatch{replica: t.replica, fail: fail}, &versionWatch{replica: t.replica, fail: fail}
		wg.Go(func() { pins.run(ctx) })
		wg.Go(func() { versions.run(ctx) })
		ends = append(ends, func() {
			r.res.Pins += pins.checks.Load()
			r.res.Versions += versions.reads.Load()
		})
	}
	return func() {
		cancel()
		wg.Wait()
		for _, f := range ends {
			f()
		}
		r.res.Changes = r.writers.changes.Load()
	}
}

// round changes the source, injects faults, heals them and lets all come to rest.
func (r *seedRun) round(plan round) error {
	r.res.Rounds++
	logged := make([]int64, len(r.programs))
	for i, l := range r.programs {
		logged[i] = fileSize(l.log)
	}
	begun := time.Now()
	if err := r.writers.start(); err != nil {
		return err
	}
	time.Sleep(plan.Calm)
	first := len(r.res.Shots)
	if err := r.shoot(plan.Shots); err != nil {
		return err
	}
	if err := r.writers.stop(); err != nil {
		return err
	}
	var names []string
	for _, s := range r.res.Shots[first:] {
		names = append(names, s.Fault)
	}
	rest := time.Now()
	r.converge(strings.Join(names, ", "), rest)
	for i := range r.res.Shots[first:] {
		r.res.Shots[first+i].Healed = time.Since(rest)
	}
	for i, l := range r.programs {
		most := troublesPerRound + int(troublesPerSecond*time.Since(begun).Seconds())
		if n := troubles(textFrom(l.log, logged[i])); n > most {
			r.fail(fmt.Sprintf("%s: %d lines of warnings and errors in %v", l, n, time.Since(begun)))
		}
	}
	return nil
}

// moment is when a fault begins, or ends.
type moment struct {
	at time.Duration
	do func() error
}

// shoot injects the faults of a round and heals them, each in its time.
func (r *seedRun) shoot(shots []shot) error {
	var moments []moment
	for _, s := range shots {
		i := len(r.res.Shots)
		t := r.targets[s.Target]
		r.res.Shots = append(r.res.Shots, shotResult{Fault: s.Fault, Target: t.String()})
		var heal func() error
		var since time.Time
		inject := func() error {
			since = time.Now()
			r.res.Shots[i].At = since.Sub(r.begun)
			var err error
			heal, err = faultNamed(s.Fault).inject(r.world, t, rand.New(rand.NewPCG(s.Seed, 0)))
			if errors.Is(err, errSkip) {
				r.res.Shots[i].Skipped = err.Error()
				err = nil
			}
			if err != nil {
				return fmt.Errorf("inject %s: %w", s.Fault, err)
			}
			return nil
		}
		end := func() error {
			if heal == nil {
				return nil
			}
			r.res.Shots[i].Held = time.Since(since)
			if err := heal(); err != nil {
				return fmt.Errorf("heal %s: %w", s.Fault, err)
			}
			return nil
		}
		moments = append(moments, moment{s.After, inject}, moment{s.After + s.Hold, end})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	begun := time.Now()
	for _, m := range moments {
		time.Sleep(time.Until(begun.Add(m.at)))
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

// converge waits until all targets are equal to the source, which is at rest, and looks at what
// lockstep holds then.
func (r *seedRun) converge(after string, since time.Time) {
	ctx, cancel := context.WithDeadline(r.ctx, since.Add(r.c.Limit))
	defer cancel()
	for _, t := range r.targets {
		opts := syncertest.CompareOptions{Xattrs: slices.Contains(r.plan.Flags, "-HAX")}
		if slices.Contains(r.plan.Flags, "--delay-updates") { // rsync's own rule keeps it from all deletions
			opts.Ignore = func(path string) bool { return filepath.Base(path) == ".~tmp~" }
		}
		if err := r.waitEqual(ctx, t, opts); err != nil {
			r.fail(fmt.Sprintf("%s target: after %s: %v", t, after, err))
		}
	}
	for _, l := range r.programs {
		if err := r.look(l); err != nil {
			r.fail(fmt.Sprintf("%s: after %s: %v", l, after, err))
		}
	}
}

// waitEqual ends early if the lockstep ends, or a judge found something.
func (r *seedRun) waitEqual(ctx context.Context, t *target, opts syncertest.CompareOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(done)
	wg.Go(func() {
		select {
		case <-t.lockstep.child.done:
			cancel(fmt.Errorf("lockstep ended: %w", errors.Join(errLockstep, t.lockstep.child.err)))
		case <-done:
		}
	})
	return syncertest.WaitEqual(ctx, r.tree, t.replica, opts)
}

// look compares what a lockstep at rest holds with what it held when it was first at rest.
func (r *seedRun) look(l *lockstep) error {
	if text := crash(l.said()); text != "" {
		return fmt.Errorf("it crashed: %s", text)
	}
	if l.child.ended() {
		return fmt.Errorf("it ended by itself: %v", l.child.err)
	}
	var now usage
	err := untilDone(r.ctx, func() error { // what it closes last may take a moment
		var err error
		if now, err = usageOf(l.child.pid); err != nil {
			return err
		}
		if l.base.Descriptors == 0 {
			l.base = now
		}
		if now.Descriptors > l.base.Descriptors+moreDescriptors || now.Threads > l.base.Threads+moreThreads || now.Zombies > 0 {
			return fmt.Errorf("%w: at rest it had %+v, and has %+v now", errLeak, l.base, now)
		}
		return nil
	}, errLeak)
	most := &r.res.Most
	most.Descriptors, most.Threads = max(most.Descriptors, now.Descriptors), max(most.Threads, now.Threads)
	most.RSS = max(most.RSS, now.RSS)
	return err
}

var errLeak = errors.New("it holds more and more")

// finish ends each lockstep, by SIGTERM or so that it lists its goroutines.
func (r *seedRun) finish() error {
	for i, l := range r.programs {
		if l.child.ended() {
			continue // which was told
		}
		if err := r.endOne(l, !r.failed() && (r.c.Seed+uint64(i))%2 == 0); err != nil {
			r.fail(fmt.Sprintf("%s: at rest, at its end: %v", l, err))
		}
	}
	if r.sshd != nil {
		if err := r.sshd.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (r *seedRun) endOne(l *lockstep, count bool) error {
	if !count {
		err := l.end()
		if text := crash(l.said()); text != "" {
			err = errors.Join(err, fmt.Errorf("it crashed: %s", text))
		}
		return err
	}
	n, err := l.goroutines()
	if err == nil && n > maxGoroutines {
		err = fmt.Errorf("it had %d goroutines, see its log", n)
	}
	return err
}
