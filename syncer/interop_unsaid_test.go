package syncer_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// rsync does not say that it could not set the time of a directory at its end. It is looked at again once
// something else is refused.
func TestInteropUnsaid(t *testing.T) {
	needRoot(t)
	t.Parallel()
	r := newRig(t)
	cfg := r.config()
	cfg.Delete, cfg.Keep = true, true
	relay := r.relayed(&cfg)
	mkdir(t, r.in("d"), r.in("e"), r.in("z"))
	q := newTimed(syncer.Full().Paths...)
	run := run(t, r.syncer(cfg), q)
	pushes := func() int {
		run.mu.Lock()
		defer run.mu.Unlock()
		return len(run.log)
	}
	run.until(t, "the first push", func() bool { return pushes() == 1 })

	write(t, r.in("d/f"), "f")
	write(t, r.in("z/big"), noise(1, 1_500_000))
	relay.Limit(1_000_000)
	q.Defer(syncer.Batch{Paths: changed("d/f", "z/big")}, 0)
	run.until(t, "the file", func() bool { return isThere(r.at("d/f")) })
	immutable(r, "d")
	if isThere(r.at("z/big")) {
		t.Fatal("the push is over: this tests nothing")
	}
	relay.Limit(0)
	run.until(t, "the second push", func() bool { return pushes() == 2 })
	if o := run.log[1]; o.Err != nil || !o.Report.Whole() {
		t.Fatalf("rsync said it: %v, %v", o.Err, o.Report.Problems)
	}
	if sameTime(t, r.in("d"), r.at("d")) {
		t.Fatal("the time of the directory was set: this tests nothing")
	}

	immutable(r, "e")
	write(t, r.in("e/x"), "x")
	q.Defer(syncer.Batch{Paths: changed("e/x")}, 0)
	run.until(t, "a refusal", func() bool { return len(run.s.Failed()) > 0 })
	for _, name := range []string{"d", "e"} {
		if err := setFlags(r.at(name), 0); err != nil {
			t.Fatal(err)
		}
	}
	q.Defer(syncer.Batch{Paths: changed("e/x")}, 0)
	syncertest.RequireSoonEqual(t, 30*time.Second, r.src, r.dst, syncertest.CompareOptions{})
	run.until(t, "an empty ledger", run.failing())
}

func sameTime(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return x.ModTime().Equal(y.ModTime())
}

// A name that is to be deleted is taken for gone by an rsync that cannot look at it. Once it can, it goes.
func TestInteropDeletedUnseen(t *testing.T) {
	needRoot(t)
	t.Parallel()
	r := newRig(t, func(c *syncertest.DaemonConfig) { c.Modules[0].Extra = []string{"uid = 65534", "gid = 65534"} })
	own := func(uid int, mode os.FileMode, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := errors.Join(os.Lchown(r.at(name), uid, uid), os.Chmod(r.at(name), mode)); err != nil {
				t.Fatal(err)
			}
		}
	}
	own(65534, 0o755, ".")
	write(t, r.in("d/x"), "x")
	write(t, r.in("d/y"), "y")
	cfg := r.config()
	cfg.Delete, cfg.Keep, cfg.Owner, cfg.Group = true, true, false, false
	q := newTimed(syncer.Full().Paths...)
	run := run(t, r.syncer(cfg), q)
	run.until(t, "the first push", func() bool { return isThere(r.at("d/y")) })

	own(0, 0o700, "d")
	remove(t, r.in("d/x"))
	q.Defer(syncer.Batch{Paths: changed("d/x")}, 0)
	run.until(t, "the directory is failing", func() bool { return len(run.s.Failed()) > 0 })
	if failed := run.s.Failed(); !isThere(r.at("d/x")) || failed[0].Path != "d" || len(failed) > 1 {
		t.Fatalf("this tests nothing: %+v", failed)
	}
	own(65534, 0o755, "d")
	syncertest.RequireSoonEqual(t, 30*time.Second, r.src, r.dst, syncertest.CompareOptions{IgnoreOwners: true})
	run.until(t, "an empty ledger", run.failing())
}

// A file that is lost since --delay-updates has no place for it is no error to rsync.
func TestInteropDiscarded(t *testing.T) {
	needRoot(t)
	t.Parallel()
	r := newRig(t)
	cfg := r.config()
	cfg.Keep, cfg.DelayUpdates = true, true
	write(t, r.in("d/f: \"x\"\n -- discarding y"), "f")
	write(t, r.in("e"), "e")
	write(t, r.at("d/.~tmp~"), "no directory")
	flags := func(flags int) {
		if err := setFlags(r.at("d/.~tmp~"), flags); err != nil {
			t.Fatal(err)
		}
	}
	flags(unix.STATX_ATTR_IMMUTABLE)
	t.Cleanup(func() { setFlags(r.at("d/.~tmp~"), 0) })
	run := run(t, r.syncer(cfg), newTimed(syncer.Full().Paths...))
	run.until(t, "a refusal", func() bool { return len(run.s.Failed()) > 0 })
	if f := run.s.Failed(); len(f) != 1 || f[0].Path != "d/f: \"x\"\n -- discarding y" {
		t.Errorf("failing are %+v", f)
	}
	flags(0)
	run.until(t, "an empty ledger", run.failing())
	syncertest.RequireSoonEqual(t, 30*time.Second, r.src, r.dst, syncertest.CompareOptions{})
}
