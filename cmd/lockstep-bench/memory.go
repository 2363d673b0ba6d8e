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
	// growthLimit is resident memory after the churn to that before: what is remembered of the
	// files that were sent grows to its bound, and the heap by a quarter with it.
	growthLimit = 1.25
	churnRate   = 1000 // changes a second
)

// memory is the resident memory of "lockstep --watch", on both kinds of targets at once.
func (b *bench) memory() (err error) {
	t, err := b.tree(b.sizes.MemoryFiles)
	if err != nil {
		return err
	}
	var watched []*watching
	var places []place
	defer func() {
		for _, w := range watched {
			err = w.stop(err)
		}
	}()
	for _, kind := range kinds() {
		to, err := b.place(kind)
		if err != nil {
			return err
		}
		w, err := b.watch(t.dir, to)
		if err != nil {
			return err
		}
		watched, places = append(watched, w), append(places, to)
	}
	before, err := b.memoryInStep(t, watched, places)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, b.sizes.ChurnTime)
	defer cancel()
	changes, err := churn(ctx, t, churnRate)
	if err != nil {
		return err
	}
	after, err := b.memoryInStep(t, watched, places)
	if err != nil {
		return err
	}
	for i, kind := range kinds() {
		b.memoryRows(kind, changes, before[i], after[i])
	}
	return nil
}

func (b *bench) memoryRows(kind string, changes int, before, after usage) {
	r := row{Measurement: "memory", Case: fmt.Sprintf("%s, %d files", kind, b.sizes.MemoryFiles), Unit: "MiB", Samples: 1}
	for _, v := range []struct {
		value string
		mib   float64
	}{
		{"resident after the first push", before.resident},
		{"peak until then", before.peak},
		{fmt.Sprintf("resident after %d changes", changes), after.resident},
		{"peak until then", after.peak},
	} {
		r.Value, r.Lockstep = v.value, number(v.mib)
		b.add(r.atMost(residentLimit))
	}
	r.Value, r.Unit, r.Lockstep, r.Ratio = "resident after to before", "", nil, number(after.resident/before.resident)
	b.add(r.ratioAtMost(growthLimit))
}

// memoryInStep waits until all replicas are equal, and then for the memory.
func (b *bench) memoryInStep(t tree, watched []*watching, places []place) ([]usage, error) {
	entries, err := snapshot(t.dir)
	if err != nil {
		return nil, err
	}
	for i, w := range watched {
		if _, err := await(w.ctx, entries, places[i].dir); err != nil {
			return nil, err
		}
		if err := b.equal(t.dir, places[i].dir); err != nil {
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
	return u, nil
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
