package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

const (
	// residentLimit is what "lockstep --watch" may take, in MiB.
	residentLimit = 60.
	// growthLimit is the peak during the second half of the churn to that during the first. Peaks,
	// because what is resident at a moment depends on how long ago the garbage collector ran.
	growthLimit = 1.25
	churnRate   = 2000 // changes a second: what is remembered of 32,768 files that were sent is full halfway
)

// memory is the resident memory of "lockstep --watch", on both kinds of targets at once.
func (b *bench) memory() (err error) {
	t, err := b.tree(b.sizes.MemoryFiles)
	if err != nil {
		return err
	}
	watched, err := b.watchKinds(t.dir)
	defer func() { err = stopAll(watched, err) }()
	if err != nil {
		return err
	}
	first, err := b.memoryInStep(t, watched)
	if err != nil {
		return err
	}
	halfway, half, err := b.memoryChurned(t, 1, watched)
	if err != nil {
		return err
	}
	end, rest, err := b.memoryChurned(t, 2, watched)
	if err != nil {
		return err
	}
	for i, kind := range kinds() {
		r := row{Measurement: "memory", Case: fmt.Sprintf("%s, %d files", kind, t.spec.Files), Samples: 1}
		b.memoryRows(r, "the first push", first[i])
		b.memoryRows(r, fmt.Sprintf("%d changes", half), halfway[i])
		b.memoryRows(r, fmt.Sprintf("%d more", rest), end[i])
		r.Value, r.Ratio = "peak, second half to first", number(end[i].peak/halfway[i].peak)
		b.add(r.ratioAtMost(growthLimit))
	}
	return nil
}

// memoryRows judges the peak too: who has 60 MiB to give has them at any time.
func (b *bench) memoryRows(r row, during string, u usage) {
	r.Unit = "MiB"
	r.Value, r.Lockstep = "resident after "+during, number(u.resident)
	b.add(r.atMost(residentLimit))
	r.Value, r.Lockstep = "peak during "+during, number(u.peak)
	b.add(r.atMost(residentLimit))
}

// memoryChurned changes the tree for half of the time.
func (b *bench) memoryChurned(t tree, seed uint64, watched []*watching) ([]usage, int, error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.sizes.ChurnTime/2)
	defer cancel()
	changes, err := pace(ctx, churnRate, churn(t, seed))
	if err != nil {
		return nil, changes, err
	}
	after, err := b.memoryInStep(t, watched)
	return after, changes, err
}

// memoryInStep waits until all replicas are equal, and returns the memory then, and the peak since
// it was called the last time.
func (b *bench) memoryInStep(t tree, watched []*watching) ([]usage, error) {
	entries, err := snapshot(t.dir)
	if err != nil {
		return nil, err
	}
	for _, w := range watched {
		if _, err := await(w.ctx, entries, w.to.dir); err != nil {
			return nil, err
		}
		if err := b.soonEqual(w.ctx, t.dir, w.to.dir); err != nil {
			return nil, err
		}
	}
	var all []usage
	for _, w := range watched {
		u, err := usageOf(w.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// usage is memory in MiB.
type usage struct{ resident, peak float64 }

func usageOf(pid int) (usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	u, err := parseStatus(text)
	if err != nil {
		return u, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	// 5 makes the peak begin anew (proc_pid_clear_refs(5)).
	return u, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)
}

// parseStatus reads VmRSS and VmHWM, in kB (proc_pid_status(5)).
func parseStatus(text []byte) (usage, error) {
	var u usage
	found := 0
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) != 3 || string(f[2]) != "kB" {
			continue
		}
		var to *float64
		switch string(f[0]) {
		case "VmRSS:":
			to = &u.resident
		case "VmHWM:":
			to = &u.peak
		default:
			continue
		}
		kib, err := strconv.ParseUint(string(f[1]), 10, 53)
		if err != nil {
			return u, fmt.Errorf("read %q: %w", line, err)
		}
		*to = float64(kib) / 1024
		found++
	}
	if found != 2 {
		return u, errors.New("there is no VmRSS or no VmHWM")
	}
	return u, nil
}

// pace calls do so often a second until ctx ends or do fails, and counts.
func pace(ctx context.Context, rate int, do func(i int) error) (int, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	for i := 0; ; {
		for due := int(time.Since(start).Seconds() * float64(rate)); i < due && ctx.Err() == nil; i++ {
			if err := do(i); err != nil {
				return i, err
			}
		}
		select {
		case <-ctx.Done():
			return i, nil
		case <-tick.C:
		}
	}
}
