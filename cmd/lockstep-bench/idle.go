package main

import (
	"fmt"
	"time"
)

// indexTime is how long after a first push the index of the tree is complete, for so many files.
func indexTime(files int) time.Duration {
	return 4*time.Second + time.Duration(files)*20*time.Microsecond
}

// idle is what "lockstep --watch" costs while nothing happens: all at once, for they do not disturb one
// another.
func (b *bench) idle() (err error) {
	t, err := b.tree(b.sizes.IdleFiles)
	if err != nil {
		return err
	}
	entries, err := snapshot(t.dir)
	if err != nil {
		return err
	}
	var names []string
	var watched []*watching
	defer func() { err = stopAll(watched, err) }()
	for _, backend := range backends() {
		for _, index := range []string{"on", "off"} {
			to, err := b.place("local")
			if err != nil {
				return err
			}
			options := []string{"--watch-backend=" + backend}
			if index == "off" {
				options = append(options, "--index=off")
			}
			w, err := b.watch(t.dir, to, options...)
			if err != nil {
				return err
			}
			names, watched = append(names, fmt.Sprintf("%s, %d files, index %s", backend, t.spec.Files, index)), append(watched, w)
			if _, err := await(w.ctx, entries, to.dir); err != nil {
				return err
			}
		}
	}
	nap(indexTime(b.sizes.IdleFiles))
	before := make([]work, len(watched))
	for i, w := range watched {
		if before[i], err = workOf(w.cmd.Process.Pid); err != nil {
			return err
		}
	}
	nap(b.sizes.IdleTime)
	for i, w := range watched {
		now, err := workOf(w.cmd.Process.Pid)
		if err != nil {
			return err
		}
		u, err := usageOf(w.cmd.Process.Pid)
		if err != nil {
			return err
		}
		did := now.since(before[i])
		r := row{Measurement: "idle", Case: names[i], Samples: 1}
		r.Value, r.Unit, r.Lockstep = "of a processor", "%", number(100*did.share(b.sizes.IdleTime))
		b.add(r)
		r.Value, r.Unit, r.Lockstep = "wake-ups a second", "", number(float64(did.wakeups)/b.sizes.IdleTime.Seconds())
		b.add(r)
		r.Value, r.Unit, r.Lockstep = "resident", "MiB", number(u.resident)
		b.add(r)
	}
	return nil
}
