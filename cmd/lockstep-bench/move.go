package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	moveTime  = 2.  // s, for 500 MiB
	moveBytes = .01 // of what moved
)

// move renames a directory in a watched tree, and then swaps it with another.
func (b *bench) move() error {
	for _, kind := range kinds() {
		if err := b.moveOf(kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func (b *bench) moveOf(kind string) (err error) {
	m, err := b.newMoving(kind)
	if err != nil {
		return err
	}
	defer m.relay.Close()
	w, err := b.watch(m.src, m.to)
	if err != nil {
		return err
	}
	defer func() { err = w.stop(err) }()
	entries, err := snapshot(m.src)
	if err != nil {
		return err
	}
	if _, err := await(w.ctx, entries, m.to.dir); err != nil {
		return err
	}
	for _, step := range []struct {
		what  string
		moves [][2]string
		meant bool // there is a target
	}{
		{"renamed", [][2]string{{"one", "three"}}, true},
		{"moved into another", [][2]string{{"three", "two/three"}}, true},
		{"moved back", [][2]string{{"two/three", "one"}}, true},
		{"swapped with another", [][2]string{{"one", "t"}, {"two", "one"}, {"t", "two"}}, false},
	} {
		took, bytes, err := m.step(b, w, step.moves)
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		of := fmt.Sprintf("%s, %d MiB %s", kind, b.sizes.MoveSize>>20, step.what)
		timed := row{Measurement: "move", Case: of, Value: "time", Unit: "s", Samples: 1, Lockstep: number(took.Seconds())}
		sent := row{Measurement: "move", Case: of, Value: "on the wire", Unit: "bytes", Samples: 1, Lockstep: number(float64(bytes))}
		if step.meant {
			timed, sent = timed.atMost(moveTime), sent.atMost(moveBytes*float64(b.sizes.MoveSize))
		}
		b.add(timed)
		if kind != "local" {
			b.add(sent)
		}
	}
	return nil
}

// moving is a source with two directories of the same size, and where it is pushed to.
type moving struct {
	src   string
	to    place
	relay *syncertest.Relay
}

func (b *bench) newMoving(kind string) (*moving, error) {
	to, err := b.place(kind)
	if err != nil {
		return nil, err
	}
	m := &moving{src: filepath.Join(b.dir, "src-"+filepath.Base(to.dir)), to: to}
	for i, dir := range []string{"one", "two"} {
		size := b.sizes.MoveSize / int64(b.sizes.MoveFiles)
		spec := syncertest.TreeSpec{Files: b.sizes.MoveFiles, Dirs: max(1, b.sizes.MoveFiles/filesPerDir), MinSize: size, Seed: uint64(i + 9)}
		if _, err := syncertest.MakeTree(filepath.Join(m.src, dir), spec); err != nil {
			return nil, err
		}
	}
	if m.relay, err = syncertest.NewRelay(b.daemon.Addr()); err != nil {
		return nil, err
	}
	if kind == "daemon" {
		m.to.target = "rsync://" + m.relay.Addr() + "/m/" + filepath.Base(to.dir) + "/"
	}
	return m, nil
}

// step renames, and gives the time until the replica is as the source, and what crossed the wire.
func (m *moving) step(b *bench, w *watching, moves [][2]string) (time.Duration, int64, error) {
	if err := b.quiesce(); err != nil {
		return 0, 0, err
	}
	before, start := m.relay.Sent()+m.relay.Received(), time.Now()
	for _, mv := range moves {
		if err := os.Rename(filepath.Join(m.src, mv[0]), filepath.Join(m.src, mv[1])); err != nil {
			return 0, 0, err
		}
	}
	entries, err := snapshot(m.src)
	if err != nil {
		return 0, 0, err
	}
	at, err := await(w.ctx, entries, m.to.dir)
	if err != nil {
		return 0, 0, err
	}
	if err := b.soonEqual(w.ctx, m.src, m.to.dir); err != nil {
		return 0, 0, err
	}
	return at.Sub(start), m.relay.Sent() + m.relay.Received() - before, nil
}
