package main

import (
	"errors"
	"fmt"
)

// first pushes a tree to an empty place, and then again when there is nothing to do.
func (b *bench) first() error {
	t, err := b.tree(b.sizes.FirstFiles)
	if err != nil {
		return err
	}
	for _, kind := range kinds() {
		var first, nothing pairs
		for i := range b.sizes.FirstPairs {
			if err := b.firstPair(t, kind, i, &first, &nothing); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
		of := fmt.Sprintf("%s, %d files", kind, b.sizes.FirstFiles)
		firstRow := pairsRow("first push", of, "time", "s", &first)
		if kind == "daemon" {
			firstRow = firstRow.ratioAtMost(firstRatio)
		}
		b.add(firstRow)
		b.add(pairsRow("nothing to do", of, "time", "s", &nothing).ratioAtMost(nothingRatio))
	}
	return nil
}

func (b *bench) firstPair(t tree, kind string, i int, first, nothing *pairs) error {
	ours, err := b.place(kind)
	if err != nil {
		return err
	}
	theirs, err := b.place(kind)
	if err != nil {
		return err
	}
	push := func(program string, to place, seconds *[]float64) error {
		if err := b.quiesce(); err != nil {
			return err
		}
		took, err := b.timed(program, "-a", t.dir+"/", to.target)
		*seconds = append(*seconds, took.Seconds())
		return err
	}
	pair := func(i int, p *pairs) error {
		return inTurn(i,
			func() error { return push(b.lockstep, ours, &p.ours) },
			func() error { return push(b.rsync, theirs, &p.theirs) })
	}
	if err := pair(i, first); err != nil {
		return err
	}
	for j := range b.sizes.NothingPairs {
		if err := pair(i+j, nothing); err != nil {
			return err
		}
	}
	b.replicas[replicaKey{t.dir, kind}] = ours
	return errors.Join(b.equal(t.dir, ours.dir), b.equal(t.dir, theirs.dir))
}
