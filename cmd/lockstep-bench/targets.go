package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	targetCount = 3
	targetRate  = 20  // changes a second
	targetRatio = 1.1 // of the others' latency, beside one that is stopped to beside one that is not
)

// hanging is one lockstep with several daemons, the last of which is stopped for a while now and then.
type hanging struct {
	b       *bench
	t       tree
	next    func() string
	w       *watching
	daemons []*syncertest.Daemon
	places  []place
}

// targets is what a target that hangs costs the others.
func (b *bench) targets() (err error) {
	t, err := b.tree(b.sizes.TargetFiles)
	if err != nil {
		return err
	}
	h := &hanging{b: b, t: t, next: t.differentFiles(3)}
	defer func() {
		for _, d := range h.daemons {
			err = errors.Join(err, d.Close())
		}
	}()
	for range targetCount {
		if err := h.addDaemon(); err != nil {
			return err
		}
	}
	if h.w, err = b.watch(t.dir, h.places[0], "--target="+h.places[1].target, "--target="+h.places[2].target); err != nil {
		return err
	}
	defer func() { err = h.w.stop(err) }()
	if err := h.allEqual(); err != nil {
		return err
	}
	if _, err := h.latencies(min(b.sizes.StopTime, 2*time.Second)); err != nil { // once for the caches
		return err
	}
	return h.measure()
}

// addDaemon has a daemon of its own for each target, so that one can be stopped.
func (h *hanging) addDaemon() error {
	dir := filepath.Join(h.b.dir, "module", fmt.Sprintf("target-%d", len(h.daemons)+1))
	if err := unix.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make %q: %w", dir, err)
	}
	d, err := syncertest.NewDaemon(syncertest.DaemonConfig{
		Program: h.b.rsync, Chroot: unix.Geteuid() == 0, Modules: []syncertest.Module{{Name: "m", Path: dir}},
	})
	if err != nil {
		return err
	}
	h.daemons = append(h.daemons, d)
	h.places = append(h.places, place{kind: "daemon", target: d.URL("m"), dir: dir})
	return d.Start()
}

func (h *hanging) measure() error {
	var medians, p90s pairs
	var stopped, running, back []float64
	beside := func() error {
		ms, caughtUp, err := h.besideStopped()
		stopped, back = append(stopped, ms...), append(back, caughtUp.Seconds())
		medians.ours, p90s.ours = append(medians.ours, median(ms)), append(p90s.ours, percentile(ms, 90))
		return err
	}
	alone := func() error {
		ms, err := h.latencies(h.b.sizes.StopTime)
		running = append(running, ms...)
		medians.theirs, p90s.theirs = append(medians.theirs, median(ms)), append(p90s.theirs, percentile(ms, 90))
		return err
	}
	for i := range h.b.sizes.StopRuns {
		if err := inTurn(i, beside, alone); err != nil {
			return err
		}
	}
	r := row{Measurement: "targets", Case: fmt.Sprintf("1 of %d stopped for %v", targetCount, h.b.sizes.StopTime), Unit: "ms", Samples: len(stopped)}
	r.Value, r.Lockstep, r.Ratio = "median of the others", number(median(stopped)), number(medians.ratio())
	h.b.add(r.ratioAtMost(targetRatio))
	r.Value, r.Lockstep, r.Ratio = "p90", number(percentile(stopped, 90)), number(p90s.ratio())
	h.b.add(r.ratioAtMost(targetRatio))
	r.Samples, r.Ratio = len(running), nil
	r.Value, r.Lockstep = "median, none stopped", number(median(running))
	h.b.add(r)
	r.Value, r.Lockstep = "p90, none stopped", number(percentile(running, 90))
	h.b.add(r)
	r.Value, r.Unit, r.Samples, r.Lockstep = "until it has caught up", "s", len(back), number(median(back))
	h.b.add(r)
	return h.allEqual()
}

// besideStopped measures while the last daemon is stopped, and then how long that takes to catch up.
func (h *hanging) besideStopped() (ms []float64, caughtUp time.Duration, err error) {
	last := len(h.daemons) - 1
	if err := h.daemons[last].Signal(unix.SIGSTOP); err != nil {
		return nil, 0, err
	}
	ms, err = h.latencies(h.b.sizes.StopTime)
	if err := errors.Join(err, h.daemons[last].Signal(unix.SIGCONT)); err != nil {
		return nil, 0, err
	}
	start := time.Now()
	entries, err := snapshot(h.t.dir)
	if err != nil {
		return nil, 0, err
	}
	at, err := await(h.w.ctx, entries, h.places[last].dir)
	if err != nil {
		return nil, 0, err
	}
	return ms, at.Sub(start), h.b.soonEqual(h.w.ctx, h.t.dir, h.places[last].dir)
}

// latencies changes files at a steady rate, whatever arrives, and gives the milliseconds that each took to
// each target but the last.
func (h *hanging) latencies(length time.Duration) ([]float64, error) {
	ctx, cancel := context.WithTimeout(h.w.ctx, length)
	defer cancel()
	var mu sync.Mutex // guards ms
	var ms []float64
	var arriving errgroup.Group
	_, err := pace(ctx, targetRate, func(int) error {
		c, err := rewrite(h.t.dir, h.next())
		if err != nil {
			return err
		}
		for _, p := range h.places[:len(h.places)-1] {
			arriving.Go(func() error {
				took, err := c.await(h.w.ctx, p.dir)
				mu.Lock()
				defer mu.Unlock()
				ms = append(ms, milliseconds(took))
				return err
			})
		}
		return nil
	})
	if err := errors.Join(err, arriving.Wait()); err != nil {
		return nil, err
	}
	if h.w.ctx.Err() != nil {
		return nil, context.Cause(h.w.ctx)
	}
	return ms, nil
}

// allEqual waits until every target equals the tree.
func (h *hanging) allEqual() error {
	entries, err := snapshot(h.t.dir)
	if err != nil {
		return err
	}
	for _, p := range h.places {
		if _, err := await(h.w.ctx, entries, p.dir); err != nil {
			return err
		}
		if err := h.b.soonEqual(h.w.ctx, h.t.dir, p.dir); err != nil {
			return err
		}
	}
	return nil
}
