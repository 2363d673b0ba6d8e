package local

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

const second = 1_000_000_000

// coarse are the steps, in nanoseconds, in which file systems keep times that keep no
// single nanoseconds: NTFS and CIFS, …, exFAT, ext4 with small inodes, FAT.
var coarse = []int64{100, 1_000, 1_000_000, 10_000_000, second, 2 * second}

// grains knows how finely each file system of the target keeps times. Without it a
// target that drops nanoseconds would differ in every file for ever. What it keeps is
// learned from the first file written, never guessed from two times that are alike. It
// is safe for concurrent use.
type grains struct {
	byDevice sync.Map // uint64 → int64, nanoseconds; 1: exact
}

// same says whether have shows the time of e as well as its file system can.
func (g *grains) same(e *flist.Entry, have *unix.Stat_t) bool {
	sec, nsec := e.Sec, int64(e.Nsec)
	if sec == have.Mtim.Sec && nsec == have.Mtim.Nsec {
		return true
	}
	grain, ok := g.byDevice.Load(have.Dev)
	if !ok {
		return false
	}
	sec, nsec = cut(sec, nsec, grain.(int64))
	return sec == have.Mtim.Sec && nsec == have.Mtim.Nsec
}

// knows says whether there is nothing to learn about a device.
func (g *grains) knows(device uint64) bool {
	_, ok := g.byDevice.Load(device)
	return ok
}

// learn compares what a file's time was set to with what it became.
func (g *grains) learn(want tree.Attrs, got *unix.Stat_t) {
	nsec := int64(want.Nsec)
	if !want.Times || nsec%coarse[0] == 0 {
		return // such a time says nothing
	}
	grain := int64(1)
	if got.Mtim.Sec != want.Sec || got.Mtim.Nsec != nsec {
		grain = 0
		for _, c := range coarse {
			if s, n := cut(want.Sec, nsec, c); s == got.Mtim.Sec && n == got.Mtim.Nsec {
				grain = c
				break
			}
		}
	}
	if grain > 0 {
		g.byDevice.Store(got.Dev, grain)
	}
}

// cut is the time that remains of sec and nsec in steps of grain.
func cut(sec, nsec, grain int64) (int64, int64) {
	if grain < second {
		return sec, nsec - nsec%grain
	}
	steps := grain / second
	return sec - (sec%steps+steps)%steps, 0
}
