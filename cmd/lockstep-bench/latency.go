package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	latencyWarmUp  = 5
	latencyPeers   = 5 // runs of rsync, one change each
	latencyPoll    = 200 * time.Microsecond
	arriveLimit    = 30 * time.Second
	localLatency   = 10. // ms
	daemonLatency  = 20. // ms
	sameInAllTrees = 1.5 // large tree to small tree: the same, but for the noise
)

// latency rewrites one small file at a time in watched trees.
func (b *bench) latency() error {
	for _, kind := range kinds() {
		limit := localLatency
		if kind == "daemon" {
			limit = daemonLatency
		}
		var medians []float64
		for _, files := range b.sizes.LatencyTrees {
			t, err := b.tree(files)
			if err != nil {
				return err
			}
			ours, theirs, err := b.latencyOf(t, kind)
			if err != nil {
				return fmt.Errorf("%s, %d files: %w", kind, files, err)
			}
			r := row{Measurement: "latency", Case: fmt.Sprintf("%s, %d files", kind, files), Unit: "ms", Samples: len(ours)}
			r.Value, r.Lockstep, r.Rsync = "median", number(median(ours)), number(median(theirs))
			r.Ratio = number(median(ours) / median(theirs))
			b.add(r.atMost(limit))
			r.Value, r.Lockstep, r.Rsync, r.Ratio = "p95", number(percentile(ours, 95)), nil, nil
			b.add(r)
			medians = append(medians, median(ours))
		}
		last := len(medians) - 1
		b.add(row{Measurement: "latency", Case: kind, Value: "largest tree to smallest", Samples: len(medians),
			Ratio: number(medians[last] / medians[0])}.ratioAtMost(sameInAllTrees))
	}
	return b.latencyBackends()
}

// latencyBackends is the same with either backend, whatever is the default here.
func (b *bench) latencyBackends() error {
	t, err := b.tree(slices.Max(b.sizes.LatencyTrees))
	if err != nil {
		return err
	}
	to, err := b.replica(t, "local")
	if err != nil {
		return err
	}
	for _, backend := range backends() {
		ms, err := b.latencyWatched(t, to, t.differentFiles(2), "--watch-backend="+backend)
		if err != nil {
			return fmt.Errorf("%s: %w", backend, err)
		}
		r := row{Measurement: "latency", Case: fmt.Sprintf("local, %d files, %s", t.spec.Files, backend), Unit: "ms", Samples: len(ms)}
		r.Value, r.Lockstep = "median", number(median(ms))
		b.add(r.atMost(localLatency))
	}
	return nil
}

// differentFiles gives another file each time, because one that comes back at once is hot and made to wait.
func (t tree) differentFiles(seed uint64) func() string {
	files := rand.New(rand.NewPCG(seed, uint64(t.spec.Files))).Perm(t.spec.Files)
	i := -1
	return func() string { i++; return t.file(files[i%len(files)]) }
}

// latencyOf gives milliseconds from the start of a write until the replica is equal, and those that
// "rsync -a" takes for one change.
func (b *bench) latencyOf(t tree, kind string) (ours, theirs []float64, err error) {
	to, err := b.replica(t, kind)
	if err != nil {
		return nil, nil, err
	}
	next := t.differentFiles(1)
	if ours, err = b.latencyWatched(t, to, next); err != nil {
		return nil, nil, err
	}
	for range latencyPeers {
		c, err := rewrite(t.dir, next())
		if err != nil {
			return nil, nil, err
		}
		took, err := b.timed(b.rsync, "-a", t.dir+"/", to.target)
		if err != nil {
			return nil, nil, err
		}
		if !c.arrived(to.dir) {
			return nil, nil, fmt.Errorf("rsync -a did not bring over %q", c.path)
		}
		theirs = append(theirs, milliseconds(took))
	}
	return ours, theirs, nil
}

func (b *bench) latencyWatched(t tree, to place, next func() string, options ...string) (ms []float64, err error) {
	entries, err := snapshot(t.dir)
	if err != nil {
		return nil, err
	}
	w, err := b.watch(t.dir, to, options...)
	if err != nil {
		return nil, err
	}
	defer func() { err = w.stop(err) }()
	if _, err := await(w.ctx, entries, to.dir); err != nil {
		return nil, err
	}
	if err := b.quiesce(); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range latencyWarmUp + b.sizes.Samples {
		// Not in step with any ticker.
		nap(b.sizes.Pause + time.Duration(rng.Int64N(int64(b.sizes.Pause))))
		c, err := rewrite(t.dir, next())
		if err != nil {
			return nil, err
		}
		took, err := c.await(w.ctx, to.dir)
		if err != nil {
			return nil, err
		}
		if i >= latencyWarmUp {
			ms = append(ms, milliseconds(took))
		}
	}
	return ms, b.soonEqual(w.ctx, t.dir, to.dir)
}

// change is a file as it was written.
type change struct {
	path    string
	content []byte
	mtime   unix.Timespec
	start   time.Time
}

// rewrite gives a file new content.
func rewrite(dir, path string) (change, error) {
	c := change{path: path, content: make([]byte, 256+rand.IntN(1024))}
	for i := range c.content {
		c.content[i] = byte(rand.Uint32())
	}
	c.start = time.Now()
	name := filepath.Join(dir, path)
	if err := os.WriteFile(name, c.content, 0o644); err != nil {
		return c, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return c, fmt.Errorf("lstat %q: %w", name, err)
	}
	c.mtime = st.Mtim
	return c, nil
}

// arrived says whether the replica has the content and the time.
func (c *change) arrived(replica string) bool {
	name := filepath.Join(replica, c.path)
	var st unix.Stat_t
	if unix.Lstat(name, &st) != nil || st.Mtim != c.mtime || st.Size != int64(len(c.content)) {
		return false
	}
	got, err := os.ReadFile(name)
	return err == nil && bytes.Equal(got, c.content)
}

func (c *change) await(ctx context.Context, replica string) (time.Duration, error) {
	for !c.arrived(replica) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if time.Since(c.start) > arriveLimit {
			return 0, fmt.Errorf("%q was rewritten and did not arrive", c.path)
		}
		nap(latencyPoll)
	}
	return time.Since(c.start), nil
}
