package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	deltaChange = 4 << 10
	deltaBytes  = 1.  // ratio
	deltaTime   = 0.7 // ratio
)

// deltaFile is a large file, with a replica for each of the programs.
type deltaFile struct {
	dir          string
	size         int64
	mtime        time.Time
	rng          *rand.Rand
	ours, theirs place
}

// delta changes 4 KiB of a large file and pushes it to the daemon, through a relay that counts.
func (b *bench) delta() (err error) {
	relay, err := syncertest.NewRelay(b.daemon.Addr())
	if err != nil {
		return err
	}
	defer relay.Close()
	f, err := b.deltaFile(relay)
	if err != nil {
		return err
	}
	var bytes, seconds pairs
	push := func(to place, bytes, seconds *[]float64, program string, args ...string) error {
		if err := b.quiesce(); err != nil {
			return err
		}
		before := relay.Sent() + relay.Received()
		took, err := b.timed(program, append(args, f.dir+"/", to.target)...)
		if err != nil {
			return err
		}
		*bytes = append(*bytes, float64(relay.Sent()+relay.Received()-before))
		*seconds = append(*seconds, took.Seconds())
		return b.equal(f.dir, to.dir)
	}
	ours := func() error { return push(f.ours, &bytes.ours, &seconds.ours, b.lockstep, "-a") }
	theirs := func() error { return push(f.theirs, &bytes.theirs, &seconds.theirs, b.rsync, "-a", "--no-W") }
	for i := range b.sizes.DeltaPairs {
		if err := f.change(); err != nil {
			return err
		}
		if err := inTurn(i, ours, theirs); err != nil {
			return err
		}
	}
	of := fmt.Sprintf("4 KiB in %d MiB, daemon", f.size>>20)
	b.add(pairsRow("delta", of, "on the wire", "bytes", &bytes).ratioAtMost(deltaBytes))
	b.add(pairsRow("delta", of, "time", "s", &seconds).ratioAtMost(deltaTime))
	return f.remove()
}

func (b *bench) deltaFile(relay *syncertest.Relay) (*deltaFile, error) {
	f := &deltaFile{
		dir: filepath.Join(b.dir, "delta"), size: b.sizes.DeltaSize,
		mtime: time.Unix(1_700_000_000, 0), rng: rand.New(rand.NewPCG(4, 4)),
	}
	spec := syncertest.TreeSpec{Files: 1, MinSize: f.size, Seed: 4, ModTime: f.mtime}
	if _, err := syncertest.MakeTree(f.dir, spec); err != nil {
		return nil, err
	}
	for _, to := range []*place{&f.ours, &f.theirs} {
		p, err := b.place("daemon")
		if err != nil {
			return nil, err
		}
		if _, err := syncertest.MakeTree(p.dir, spec); err != nil {
			return nil, err
		}
		p.target = "rsync://" + relay.Addr() + "/m/" + filepath.Base(p.dir) + "/"
		*to = p
	}
	return f, nil
}

// change writes 4 KiB anywhere. The time goes on by seconds, so that nobody's quick check holds
// the file for the one it has.
func (f *deltaFile) change() error {
	name := filepath.Join(f.dir, syncertest.TreeSpec{}.File(0))
	block := make([]byte, deltaChange)
	for i := range block {
		block[i] = byte(f.rng.Uint32())
	}
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteAt(block, f.rng.Int64N(f.size-deltaChange)); err != nil {
		return err
	}
	f.mtime = f.mtime.Add(10 * time.Second)
	return os.Chtimes(name, f.mtime, f.mtime)
}

func (f *deltaFile) remove() error {
	for _, dir := range []string{f.dir, f.ours.dir, f.theirs.dir} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}
