package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// churnRate is how many changes are tried a second. The machine has to keep up with several of these.
const churnRate = 400

// writers change the source: at random, and by replacing files.
type writers struct {
	tree, outside string
	seed          uint64
	without       []string // acts of the churn that are left out
	changes       atomic.Int64
	versions      *versionWriter
	root          *os.Root

	stopRun func() error // nil while nothing is changed
}

func newWriters(tree, outside string, seed uint64, without []string) (*writers, error) {
	w := &writers{tree: tree, outside: outside, seed: seed, without: without}
	if err := w.open(); err != nil {
		return nil, err
	}
	defer w.close()
	if err := makePins(w.root); err != nil {
		return nil, err
	}
	if err := w.root.MkdirAll("versions", 0o755); err != nil {
		return nil, err
	}
	var err error
	w.versions, err = newVersionWriter(w.root, seed)
	w.versions.root = nil
	return w, err
}

// open holds the tree by a descriptor, whatever becomes of its name.
func (w *writers) open() error {
	var err error
	w.root, err = os.OpenRoot(w.tree)
	return err
}

func (w *writers) close() error { return w.root.Close() }

// start begins to change the source.
func (w *writers) start() error {
	if w.stopRun != nil {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	w.seed += 1 << 32
	w.versions.root = w.root
	ctx, cancel := context.WithCancel(context.Background())
	churn := syncertest.Churn{
		Root: filepath.Join(w.tree, "churn"), Outside: w.outside, Seed: w.seed, Rate: churnRate, Without: w.without,
	}
	var wg sync.WaitGroup
	var errs [2]error
	begun := make(chan struct{})
	var once sync.Once
	churn.Trace = func(syncertest.ChurnOp) { once.Do(func() { close(begun) }) }
	wg.Go(func() {
		var n int
		n, errs[0] = churn.Run(ctx)
		once.Do(func() { close(begun) })
		w.changes.Add(int64(n))
	})
	wg.Go(func() { errs[1] = w.versions.run(ctx) })
	<-begun // it has the tree by a descriptor
	w.stopRun = func() error {
		cancel()
		wg.Wait()
		return errors.Join(errs[0], errs[1], w.close())
	}
	return nil
}

// stop lets the source come to rest, and holds nothing open there.
func (w *writers) stop() error {
	if w.stopRun == nil {
		return nil
	}
	err := w.stopRun()
	w.stopRun = nil
	if err != nil {
		return fmt.Errorf("change the source: %w", err)
	}
	return nil
}

func unmountSource(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	if err := w.writers.stop(); err != nil {
		return nil, err
	}
	heal := func() error {
		if err := w.disk.remount(); err != nil {
			return err
		}
		if w.plan.Bind {
			if err := w.bind(); err != nil {
				return err
			}
		}
		return w.writers.start()
	}
	if w.plan.Bind {
		if err := unix.Unmount(w.source, unix.MNT_DETACH); err != nil {
			return heal, fmt.Errorf("unmount the source: %w", err)
		}
	}
	// Without MNT_DETACH it would fail as long as lockstep has a file open there, as it may.
	if err := unix.Unmount(w.disk.mount, unix.MNT_DETACH); err != nil {
		return heal, fmt.Errorf("unmount the source's file system: %w", err)
	}
	return heal, nil
}

func unbindSource(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	return w.bind, unix.Unmount(w.source, unix.MNT_DETACH)
}

func moveRoot(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	away := w.tree + ".away"
	return func() error { return os.Rename(away, w.tree) }, os.Rename(w.tree, away)
}

func emptyRoot(w *world, _ *target, _ *rand.Rand) (func() error, error) {
	away := w.tree + ".away"
	heal := func() error { return errors.Join(os.Remove(w.tree), os.Rename(away, w.tree)) }
	return heal, errors.Join(os.Rename(w.tree, away), os.Mkdir(w.tree, 0o755))
}

// flipPermissions takes all permissions from some directories and files, pins among them.
func flipPermissions(w *world, _ *target, rng *rand.Rand) (func() error, error) {
	root, err := os.OpenRoot(w.tree)
	if err != nil {
		return nil, err
	}
	names := []string{"pins/locked", "pins/a", "pins/a/b/c", "pins/pin.0", "versions", "churn", "pins"}
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:1+rng.IntN(3)]
	modes := map[string]fs.FileMode{}
	heal := func() error {
		defer root.Close()
		var errs []error
		for name, mode := range modes {
			errs = append(errs, root.Chmod(name, mode))
		}
		return errors.Join(errs...)
	}
	for _, name := range names {
		st, err := root.Stat(name)
		if err != nil {
			return heal, err
		}
		modes[name] = st.Mode().Perm()
		if err := root.Chmod(name, []fs.FileMode{0, 0, 0o111, 0o444}[rng.IntN(4)]); err != nil {
			return heal, err
		}
	}
	return heal, nil
}

// untilDone tries again while the error is the one expected, for a while.
func untilDone(ctx context.Context, try func() error, while error) error {
	const patience = 2 * time.Second
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if !errors.Is(err, while) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}
