package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

const (
	newRatio  = 0.9 // in time, of data that neither side can save
	textRatio = 0.8 // in time, of text that both compress
)

// newData pushes a large file that the daemon does not have and that nothing makes smaller.
func (b *bench) newData() error {
	dir := filepath.Join(b.dir, "new")
	if _, err := syncertest.MakeTree(dir, syncertest.TreeSpec{Files: 1, MinSize: b.sizes.DeltaSize, Seed: 5, ModTime: longAgo}); err != nil {
		return err
	}
	p, err := b.pushedAnew(dir, b.sizes.DataPairs, "-a")
	if err != nil {
		return err
	}
	of := fmt.Sprintf("%d MiB, incompressible, daemon", b.sizes.DeltaSize>>20)
	b.add(pairsRow("new data", of, "time", "s", p).ratioAtMost(newRatio))
	return os.RemoveAll(dir)
}

// textData pushes text with -z.
func (b *bench) textData() error {
	dir := filepath.Join(b.dir, "text")
	if err := makeText(dir, b.sizes.TextSize); err != nil {
		return err
	}
	p, err := b.pushedAnew(dir, b.sizes.DataPairs, "-az")
	if err != nil {
		return err
	}
	b.add(pairsRow("new text", fmt.Sprintf("%d MiB, -z, daemon", b.sizes.TextSize>>20), "time", "s", p).ratioAtMost(textRatio))
	return os.RemoveAll(dir)
}

// pushedAnew pushes dir to new places on the daemon, which are removed again: they are large.
func (b *bench) pushedAnew(dir string, n int, option string) (*pairs, error) {
	var p pairs
	push := func(program string, seconds *[]float64) func() error {
		return func() error {
			to, err := b.place("daemon")
			if err != nil {
				return err
			}
			if err := b.quiesce(); err != nil {
				return err
			}
			took, err := b.timed(program, option, dir+"/", to.target)
			if err != nil {
				return err
			}
			*seconds = append(*seconds, took.Seconds())
			if err := b.equal(dir, to.dir); err != nil {
				return err
			}
			return os.RemoveAll(to.dir)
		}
	}
	for i := range n {
		if err := inTurn(i, push(b.lockstep, &p.ours), push(b.rsync, &p.theirs)); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

// makeText makes files of words and numbers as they stand in logs: about a fifth when compressed.
func makeText(dir string, size int64) error {
	const fileSize = 8 << 20
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for i := int64(0); i*fileSize < size; i++ {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%03d.log", i)))
		if err != nil {
			return err
		}
		w := bufio.NewWriterSize(f, 1<<20)
		for n := int64(0); n < min(fileSize, size-i*fileSize); {
			k, _ := fmt.Fprintf(w, "2026-11-%02d %02d:%02d host%d daemon[%d]: %s %s took %d ms\n", rng.IntN(28)+1, rng.IntN(24), rng.IntN(60),
				rng.IntN(40), rng.IntN(1<<15), words[rng.IntN(len(words))], words[rng.IntN(len(words))], rng.IntN(1<<12))
			n += int64(k)
		}
		if err := w.Flush(); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return os.Chtimes(dir, longAgo, longAgo)
}

var words = []string{"GET", "POST", "/index.html", "/images/logo.png", "accepted", "refused", "connection", "session",
	"opened for user", "closed for user", "cache miss", "cache hit", "upstream", "timeout", "retry", "checkpoint complete"}
