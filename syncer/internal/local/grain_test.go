package local

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/tree"
)

func TestGrains(t *testing.T) {
	const sec, nsec = 1_600_000_001, 123_456_789
	at := func(sec, nsec int64) *unix.Stat_t {
		return &unix.Stat_t{Dev: 7, Mtim: unix.Timespec{Sec: sec, Nsec: nsec}}
	}
	e := &flist.Entry{Sec: sec, Nsec: nsec}
	for name, test := range map[string]struct {
		became *unix.Stat_t // what sec and nsec were made when they were set
		have   *unix.Stat_t
		want   bool
	}{
		"exact":                          {at(sec, nsec), at(sec, nsec), true},
		"exact, a nanosecond":            {at(sec, nsec), at(sec, nsec-1), false},
		"exact, whole second":            {at(sec, nsec), at(sec, 0), false},
		"NTFS":                           {at(sec, 123_456_700), at(sec, 123_456_700), true},
		"NTFS, another time":             {at(sec, 123_456_700), at(sec, 123_456_600), false},
		"exFAT":                          {at(sec, 120_000_000), at(sec, 120_000_000), true},
		"whole seconds":                  {at(sec, 0), at(sec, 0), true},
		"whole seconds, another":         {at(sec, 0), at(sec-1, 0), false},
		"FAT":                            {at(sec-1, 0), at(sec-1, 0), true},
		"unknown: alike is not believed": {nil, at(sec, 0), false},
		"senseless":                      {at(5, 5), at(sec, 0), false},
		"known, but of another device":   {&unix.Stat_t{Dev: 8, Mtim: unix.Timespec{Sec: sec}}, at(sec, 0), false},
	} {
		var g grains
		if test.became != nil {
			g.learn(tree.Attrs{Times: true, Sec: sec, Nsec: nsec}, test.became)
		}
		if got := g.same(e, test.have); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	var g grains
	g.learn(tree.Attrs{Times: true, Sec: sec}, at(sec, 0))
	g.learn(tree.Attrs{Sec: sec, Nsec: nsec}, at(sec, 0))
	if g.knows(7) {
		t.Error("learned from what says nothing")
	}
	if s, n := cut(-3, 5, 2*second); s != -4 || n != 0 {
		t.Errorf("before 1970: %d, %d", s, n)
	}
}

// TestCoarseTarget pushes to a real file system that keeps whole seconds: the second
// push must not find every file changed.
func TestCoarseTarget(t *testing.T) {
	src, dst := dirs(t)
	requireRoot(t)
	image := filepath.Join(filepath.Dir(src), "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 16<<20))
	// Inodes of 128 bytes have no room for nanoseconds.
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-I", "128", image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, dst).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() { unix.Unmount(dst, 0) })
	const files = 100
	for i := range files {
		path := filepath.Join(src, "d", time.Duration(i).String())
		write(t, path, "x")
		setTime(t, path, time.Unix(1_600_000_000+int64(i), 123_456_789))
	}
	res, _ := full(t, src, dst, archive)
	if res.Stats.Transferred != files {
		t.Fatalf("transferred %d", res.Stats.Transferred)
	}
	res, _ = full(t, src, dst, archive)
	if n := res.Stats.Transferred; n > 4*workers {
		t.Errorf("the second push transferred %d files again", n)
	}
}
