package syncer_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// localRig is a rig whose target is a directory.
func localRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, src: filepath.Join(dir, "src"), dst: filepath.Join(dir, "disk", "dst")}
	mkdir(t, r.src, r.dst)
	write(t, r.in("d/f"), "first")
	r.base = syncer.Config{Target: syncer.Target{Path: r.dst}, Options: syncer.Archive()}
	return r
}

// onDisk mounts a tmpfs that the target is on.
func (r *rig) onDisk(options string) (disk string) {
	r.t.Helper()
	needRoot(r.t)
	disk = filepath.Dir(r.dst)
	must(r.t, os.Chmod(filepath.Dir(disk), 0o755))
	if err := unix.Mount("lockstep-test", disk, "tmpfs", 0, options); err != nil {
		r.t.Skipf("a tmpfs cannot be mounted here with %s: %v", options, err)
	}
	r.t.Cleanup(func() { unix.Unmount(disk, unix.MNT_DETACH) })
	mkdir(r.t, r.dst)
	return disk
}

// within requires that a push began at once when its target was back.
func (r *running) within(back time.Time, limit time.Duration) {
	r.t.Helper()
	e := r.succeeds()
	if late := e.began.Sub(back); late > limit {
		r.t.Errorf("the push began %v after the target's return", late)
	}
	syncertest.RequireSoonEqual(r.t, 20*time.Second, r.src, r.dst, syncertest.CompareOptions{IgnoreOwners: true})
}

// thrice waits until the third failure, before which the wait is so long that a push soon after was due to a look.
func (r *running) thrice(class syncer.Class, words ...string) {
	r.t.Helper()
	for range 3 {
		r.fails(class, words...)
	}
}

func TestOutageDirectoryMissing(t *testing.T) {
	t.Parallel()
	r := localRig(t)
	run := r.run(r.config())
	must(t, os.Rename(r.dst, r.dst+".away"))
	run.change("d/f", "second")
	run.thrice(syncer.ClassOperator, r.dst)
	must(t, os.Rename(r.dst+".away", r.dst))
	run.within(time.Now(), 2*time.Second)
}

func TestOutageUnmounted(t *testing.T) {
	t.Parallel()
	r := localRig(t)
	needRoot(t)
	r.onDisk("size=4m")
	run := r.run(r.config())
	disk := filepath.Dir(r.dst)
	// A second mount keeps the file system while it is away.
	keep := t.TempDir()
	must(t, unix.Mount(disk, keep, "", unix.MS_BIND, ""))
	t.Cleanup(func() { unix.Unmount(keep, unix.MNT_DETACH) })
	must(t, unix.Unmount(disk, 0))
	run.change("d/f", "second")
	run.thrice(syncer.ClassOperator, "mount the file system of "+r.dst)
	must(t, unix.Mount(keep, disk, "", unix.MS_BIND, ""))
	run.within(time.Now(), 2*time.Second)
}

func TestOutageReadOnlyDisk(t *testing.T) {
	t.Parallel()
	r := localRig(t)
	disk := r.onDisk("size=4m")
	run := r.run(r.config())
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	run.change("d/f", "second")
	run.thrice(syncer.ClassOperator, "read-only", "remount,rw")
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT, ""))
	run.within(time.Now(), 2*time.Second)
}

// A full disk ends a push when file after file has no room there.
func TestOutageDiskFull(t *testing.T) {
	t.Parallel()
	r := localRig(t)
	disk := r.onDisk("size=2m")
	run := r.run(r.config())
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk holds more than it should")
	}
	for _, name := range []string{"a", "b", "c", "e", "f", "g", "h", "i", "j", "k", "l", "m"} {
		run.change(name, noise(uint64(name[0]), 50_000))
	}
	for seen := 0; seen < 3; { // batches of fewer files are told file by file
		if e := run.next(); e.Err != nil {
			if class, remedy := e.Class, e.Remedy; class != syncer.ClassOperator || remedy == "" {
				t.Errorf("%v: %s: %s", e.Err, class, remedy)
			}
			seen++
		}
		run.feed.add(syncer.Path{Name: ".", Tree: true})
	}
	must(t, os.Remove(ballast))
	run.within(time.Now(), 2*time.Second)
}

// A daemon's disk that is full, and its quota, are told by the daemon's words.
func TestOutageDaemonDiskFull(t *testing.T) {
	for _, tt := range []struct{ name, options, remedy string }{
		{"space", "size=1m", "make room"},
		{"quota", "size=64m,usrquota,usrquota_block_hardlimit=1m", "raise the quota"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			needRoot(t)
			r := newRig(t, func(c *syncertest.DaemonConfig) {
				c.Modules[0].Extra = []string{"uid = 65534", "gid = 65534"} // root has no quota
			})
			disk := r.onDisk(tt.options)
			must(t, os.Chown(r.dst, 65534, 65534))
			write(t, r.in("f"), "first")
			cfg := r.config()
			cfg.Owner, cfg.Group = false, false
			run := r.run(cfg)
			ballast := filepath.Join(disk, "ballast")
			must(t, os.WriteFile(ballast, make([]byte, 800_000), 0o600))
			must(t, os.Chown(ballast, 65534, 65534))
			run.change("g", noise(1, 600_000))
			run.refuses("g", syncer.ClassOperator, tt.remedy)
			must(t, os.Remove(ballast))
			run.converges()
		})
	}
}
