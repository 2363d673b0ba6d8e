package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// burstRatio is to "rsync -a" of the finished tree.
const burstRatio = 2.

// burstWork is an archive, the tree that is in it, and how that looks once it is unpacked.
type burstWork struct {
	archive, finished string
	entries           []entry
}

// burst unpacks an archive into a watched tree.
func (b *bench) burst() error {
	work, err := b.burstWork()
	if err != nil {
		return err
	}
	for _, kind := range kinds() {
		var fromStart, fromEnd pairs
		ours := func() error {
			start, end, err := b.burstWatched(work, kind)
			fromStart.ours = append(fromStart.ours, start.Seconds())
			fromEnd.ours = append(fromEnd.ours, end.Seconds())
			return err
		}
		theirs := func() error {
			took, err := b.burstRsync(work, kind)
			fromStart.theirs = append(fromStart.theirs, took.Seconds())
			fromEnd.theirs = append(fromEnd.theirs, took.Seconds())
			return err
		}
		for i := range b.sizes.BurstRuns {
			if err := inTurn(i, ours, theirs); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
		of := fmt.Sprintf("%s, %d files", kind, b.sizes.BurstFiles)
		b.add(pairsRow("burst", of, "from the start of tar", "s", &fromStart).ratioAtMost(burstRatio))
		b.add(pairsRow("burst", of, "from the end of tar", "s", &fromEnd))
	}
	return nil
}

func (b *bench) burstWork() (burstWork, error) {
	work := burstWork{archive: filepath.Join(b.dir, "burst.tar"), finished: filepath.Join(b.dir, "burst")}
	_, err := syncertest.MakeTree(work.finished, syncertest.TreeSpec{
		Files: b.sizes.BurstFiles, Dirs: b.sizes.BurstDirs, MinSize: 1 << 10, MaxSize: 8 << 10, Seed: 3,
		// Whole seconds: that is what tar keeps.
		ModTime: time.Unix(1_700_000_000, 0),
	})
	if err != nil {
		return work, err
	}
	if _, err := b.timed("tar", "-C", work.finished, "-cf", work.archive, "."); err != nil {
		return work, err
	}
	work.entries, err = snapshot(work.finished)
	return work, err
}

// burstWatched gives the time until in step from the start and from the end of the unpacking.
func (b *bench) burstWatched(work burstWork, kind string) (fromStart, fromEnd time.Duration, err error) {
	to, err := b.place(kind)
	if err != nil {
		return 0, 0, err
	}
	src := filepath.Join(b.dir, "src-"+filepath.Base(to.dir))
	// Something to begin with: an empty source is not trusted with deletions.
	if _, err := syncertest.MakeTree(src, syncertest.TreeSpec{Files: 10, MaxSize: 1 << 10}); err != nil {
		return 0, 0, err
	}
	before, err := snapshot(src)
	if err != nil {
		return 0, 0, err
	}
	w, err := b.watch(src, to)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = w.stop(err) }()
	if _, err := await(w.ctx, before, to.dir); err != nil {
		return 0, 0, err
	}
	if err := b.quiesce(); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if _, err := b.timed("tar", "-C", src, "-xf", work.archive); err != nil {
		return 0, 0, err
	}
	end := time.Now()
	at, err := await(w.ctx, work.entries, to.dir)
	if err != nil {
		return 0, 0, err
	}
	if err := b.soonEqual(w.ctx, src, to.dir); err != nil {
		return 0, 0, err
	}
	return at.Sub(start), max(at.Sub(end), 0), nil
}

func (b *bench) burstRsync(work burstWork, kind string) (time.Duration, error) {
	to, err := b.place(kind)
	if err != nil {
		return 0, err
	}
	if err := b.quiesce(); err != nil {
		return 0, err
	}
	took, err := b.timed(b.rsync, "-a", work.finished+"/", to.target)
	if err != nil {
		return 0, err
	}
	return took, b.equal(work.finished, to.dir)
}
