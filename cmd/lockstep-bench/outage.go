package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// outageLimit is what "lockstep --watch" may take while its target is gone, in MiB.
	outageLimit = 200.
	// outageIdle is what it may take of a processor once nothing changes any more, in percent.
	outageIdle = 5.
)

// outage is a daemon that is gone while the tree changes everywhere, several times, and comes back.
func (b *bench) outage() (err error) {
	t, err := b.tree(b.sizes.OutageFiles)
	if err != nil {
		return err
	}
	to, err := b.place("daemon")
	if err != nil {
		return err
	}
	w, err := b.watch(t.dir, to)
	if err != nil {
		return err
	}
	defer func() { err = w.stop(err) }()
	entries, err := snapshot(t.dir)
	if err != nil {
		return err
	}
	if _, err := await(w.ctx, entries, to.dir); err != nil {
		return err
	}
	nap(indexTime(b.sizes.OutageFiles))
	if _, err := usageOf(w.cmd.Process.Pid); err != nil { // the peak begins anew
		return err
	}
	if err := b.daemon.Stop(); err != nil {
		return err
	}
	if err := b.outageLasts(t, w); err != nil {
		return err
	}
	return b.outageEnds(t, w, to)
}

// outageLasts changes the tree while the daemon is gone.
func (b *bench) outageLasts(t tree, w *watching) error {
	pid := w.cmd.Process.Pid
	before, err := workOf(pid)
	if err != nil {
		return err
	}
	for i := range b.sizes.OutageChanges {
		name := filepath.Join(t.dir, t.file(i*7919))
		if err := os.WriteFile(name, fmt.Appendf(nil, "change %d", i), 0o644); err != nil {
			return err
		}
	}
	nap(3 * time.Second) // what settles
	during, err := workOf(pid)
	if err != nil {
		return err
	}
	nap(b.sizes.OutageQuiet)
	quiet, err := workOf(pid)
	if err != nil {
		return err
	}
	u, err := usageOf(pid)
	if err != nil {
		return err
	}
	r := b.outageRow()
	r.Value, r.Unit, r.Lockstep = "processor time a change", "µs", number(during.since(before).cpu.Seconds()*1e6/float64(b.sizes.OutageChanges))
	b.add(r)
	r.Value, r.Unit, r.Lockstep = "of a processor while nothing changes", "%", number(100*quiet.since(during).share(b.sizes.OutageQuiet))
	b.add(r.atMost(outageIdle))
	r.Value, r.Unit, r.Lockstep = "peak while it is gone", "MiB", number(u.peak)
	b.add(r.atMost(outageLimit))
	return nil
}

// outageEnds brings the daemon back.
func (b *bench) outageEnds(t tree, w *watching, to place) error {
	entries, err := snapshot(t.dir)
	if err != nil {
		return err
	}
	if err := b.daemon.Start(); err != nil {
		return err
	}
	back := time.Now()
	first := time.Duration(0)
	for first == 0 && time.Since(back) < awaitLimit {
		for i := 0; i < len(entries) && first == 0; i += 1 + len(entries)/1000 {
			if !entries[i].mode.IsDir() && entries[i].arrived(to.dir) {
				first = time.Since(back)
			}
		}
		nap(awaitPoll)
	}
	at, err := await(w.ctx, entries, to.dir)
	if err != nil {
		return err
	}
	if err := b.soonEqual(w.ctx, t.dir, to.dir); err != nil {
		return err
	}
	u, err := usageOf(w.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r := b.outageRow()
	r.Value, r.Unit, r.Lockstep = "first change after the return", "s", number(first.Seconds())
	b.add(r)
	r.Value, r.Unit, r.Lockstep = "all of them", "s", number(at.Sub(back).Seconds())
	b.add(r)
	r.Value, r.Unit, r.Lockstep = "peak while it catches up", "MiB", number(u.peak)
	b.add(r.atMost(outageLimit))
	return nil
}

func (b *bench) outageRow() row {
	return row{Measurement: "outage", Case: fmt.Sprintf("%d changes of %d files", b.sizes.OutageChanges, b.sizes.OutageFiles), Samples: 1}
}
