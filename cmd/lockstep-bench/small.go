package main

import (
	"fmt"
	"os"
	"syscall"
)

const (
	firstRatio   = 0.8 // in time, of a first push of small files to a daemon
	nothingRatio = 0.6 // in time, of a push that finds nothing to do
	smallRatio   = 0.7 // in time, of small files to a local directory
	cpRatio      = 1.5 // of the same to cp -a
)

// small pushes small files to a local directory, beside rsync -a and beside cp -a.
func (b *bench) small() error {
	t, err := b.tree(b.sizes.SmallFiles)
	if err != nil {
		return err
	}
	var rsync, cp pairs
	copied := func(seconds *[]float64, program string, args ...string) error {
		to, err := b.place("local")
		if err != nil {
			return err
		}
		if err := b.quiesce(); err != nil {
			return err
		}
		took, err := b.timed(program, append(args, t.dir+"/.", to.target)...)
		if err != nil {
			return err
		}
		*seconds = append(*seconds, took.Seconds())
		return b.equal(t.dir, to.dir)
	}
	for i := range b.sizes.SmallPairs {
		ours := func() error { return copied(&rsync.ours, b.lockstep, "-a") }
		theirs := func() error {
			if err := copied(&rsync.theirs, b.rsync, "-a"); err != nil {
				return err
			}
			return copied(&cp.theirs, "cp", "-a")
		}
		if err := inTurn(i, ours, theirs); err != nil {
			return err
		}
	}
	cp.ours = rsync.ours
	of := fmt.Sprintf("local, %d files", b.sizes.SmallFiles)
	b.add(pairsRow("small files", of, "time", "s", &rsync).ratioAtMost(smallRatio))
	r := pairsRow("small files", of, "time, beside cp -a", "s", &cp).ratioAtMost(cpRatio)
	r.Rsync = nil // it is cp's
	b.add(r)
	return nil
}

// million is the peak memory of a first push of many empty files to the daemon, as wait4(2) tells
// it of the program that pushes.
func (b *bench) million() error {
	t, err := b.emptyTree(b.sizes.ManyFiles)
	if err != nil {
		return err
	}
	var peak, seconds pairs
	for i := range b.sizes.ManyPairs {
		push := func(program string, mib, s *[]float64) func() error {
			return func() error {
				to, err := b.place("daemon")
				if err != nil {
					return err
				}
				took, state, err := b.timedState(program, "-a", t+"/", to.target)
				if err != nil {
					return err
				}
				usage := state.SysUsage().(*syscall.Rusage)
				*mib = append(*mib, float64(usage.Maxrss)/1024)
				*s = append(*s, took.Seconds())
				if err := b.equal(t, to.dir); err != nil {
					return err
				}
				return os.RemoveAll(to.dir)
			}
		}
		if err := inTurn(i, push(b.lockstep, &peak.ours, &seconds.ours), push(b.rsync, &peak.theirs, &seconds.theirs)); err != nil {
			return err
		}
	}
	of := fmt.Sprintf("daemon, %d files", b.sizes.ManyFiles)
	b.add(pairsRow("many files", of, "peak memory", "MiB", &peak).ratioAtMost(1))
	b.add(pairsRow("many files", of, "time", "s", &seconds))
	return nil
}
