package syncer_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// A level is compared with the target: what differs directly in the directory is mended, what is
// extraneous there goes, and what is below its subdirectories is not looked at.
func TestInteropLevel(t *testing.T) {
	for _, local := range []bool{false, true} {
		t.Run(fmt.Sprintf("local=%v", local), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			cfg := r.config()
			if local {
				cfg.Target = syncer.Target{Path: r.dst}
			}
			cfg.Delete, cfg.Keep = true, true
			s := r.syncer(cfg)
			for _, name := range []string{"f", "g", "d/f", "d/s/f", "d/s/t/f"} {
				write(t, r.in(name), "content")
			}
			r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
			spoil := func() { // of each level one file is gone, one is other, and there is one too many
				remove(t, r.at("d/f"), r.at("d/s/t"))
				write(t, r.at("g"), "not the content")
				write(t, r.at("d/x"), "extraneous")
				write(t, r.at("d/dir/x"), "extraneous")
				write(t, r.at("d/s/x"), "extraneous")
			}
			level := func(names ...string) syncer.Report {
				b := syncer.Batch{Verify: true}
				for _, n := range names {
					b.Paths = append(b.Paths, syncer.Path{Name: n, Level: true})
				}
				rep, err := s.Push(t.Context(), b)
				r.mustBeWhole(rep, err)
				return rep
			}
			spoil()
			level("d")
			for name, there := range map[string]bool{"d/f": true, "d/x": false, "d/dir": false, "d/s/x": true, "d/s/t/f": false} {
				if _, err := os.Lstat(r.at(name)); (err == nil) != there {
					t.Errorf("%s is there: %v", name, err == nil)
				}
			}
			if got, _ := os.ReadFile(r.at("g")); string(got) == "content" {
				t.Error("the level above was looked at")
			}
			level(".", "d", "d/s", "d/s/t")
			syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
			spoil()
			if rep := level("d/s/t", "d/s", "."); rep.Stats.Deleted != 1 || rep.Stats.Transferred != 2 {
				t.Errorf("deleted %d, sent %d", rep.Stats.Deleted, rep.Stats.Transferred)
			}
			level("d")
			syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
			if rep := level(".", "d", "d/s", "d/s/t"); rep.Stats.Deleted != 0 || rep.Stats.Transferred != 0 || rep.Stats.Changed != 0 {
				t.Errorf("nothing differs: %+v", rep.Stats)
			}

			// The same size and time: only a look at the content tells.
			keepTime(t, r.at("g"), "c0ntent")
			if rep := level("."); rep.Stats.Transferred != 0 {
				t.Error("size and time differ")
			}
			b := syncer.Batch{Verify: true, Checksum: true, Paths: []syncer.Path{{Name: ".", Level: true}}}
			rep, err := s.Push(t.Context(), b)
			if r.mustBeWhole(rep, err); rep.Stats.Transferred != 1 {
				t.Errorf("sent %d", rep.Stats.Transferred)
			}

			// A limit for one push.
			write(t, r.at("x1"), "")
			write(t, r.at("x2"), "")
			one := int64(1)
			b = syncer.Batch{Verify: true, MaxDelete: &one, Paths: []syncer.Path{{Name: ".", Level: true}}}
			if rep, err := s.Push(t.Context(), b); err != nil || !rep.DeletesHeld {
				t.Errorf("%+v, %v", rep, err)
			}
			if rep := level("."); rep.Stats.Deleted != 1 {
				t.Errorf("deleted %d", rep.Stats.Deleted)
			}
			// Without --delete nothing goes.
			cfg.Delete = false
			s = r.syncer(cfg)
			write(t, r.at("x3"), "")
			if rep := level("."); rep.Stats.Deleted != 0 {
				t.Errorf("deleted %d", rep.Stats.Deleted)
			}
		})
	}
}

// keepTime rewrites a file and leaves its time.
func keepTime(t *testing.T, name, content string) {
	t.Helper()
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, content)
	if err := os.Chtimes(name, st.ModTime(), st.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// With --hard-links a level brings the other names of its files along: one that came, one that the target lost, one that
// is a file of its own there.
func TestInteropLevelLinks(t *testing.T) {
	for _, local := range []bool{false, true} {
		t.Run(fmt.Sprintf("local=%v", local), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			cfg := r.config()
			if local {
				cfg.Target = syncer.Target{Path: r.dst}
			}
			cfg.Delete, cfg.Keep, cfg.HardLinks = true, true, true
			s := r.syncer(cfg)
			hard := func(from, to string) {
				t.Helper()
				if err := os.Link(from, to); err != nil {
					t.Fatal(err)
				}
			}
			write(t, r.in("a/z"), "content")
			mkdir(t, r.in("b"))
			mkdir(t, r.in("c/d"))
			hard(r.in("a/z"), r.in("b/one"))
			hard(r.in("a/z"), r.in("b/two"))
			write(t, r.in("c/d/apart"), "apart")
			hard(r.in("c/d/apart"), r.in("c/apart"))
			r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
			equal := func() {
				t.Helper()
				syncertest.RequireEqual(t, r.src, r.dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
			}
			level := func(stats syncer.Stats, paths ...syncer.Path) {
				t.Helper()
				rep, err := s.Push(t.Context(), syncer.Batch{Paths: paths})
				r.mustBeWhole(rep, err)
				if rep.Stats.Deleted != stats.Deleted || rep.Stats.Transferred > stats.Transferred {
					t.Errorf("deleted %d, transferred %d, want %d and at most %d", rep.Stats.Deleted, rep.Stats.Transferred, stats.Deleted, stats.Transferred)
				}
				equal()
			}
			b := syncer.Path{Name: "b", Level: true}
			level(syncer.Stats{}, b)

			hard(r.in("a/z"), r.in("b/three")) // nobody tells of it but the level
			remove(t, r.in("b/one"))
			write(t, r.at("b/extraneous"), "")
			level(syncer.Stats{Deleted: 2}, b)

			remove(t, r.at("b/two"))
			write(t, r.at("b/two"), "content of its own")
			remove(t, r.at("a/z"))
			level(syncer.Stats{Transferred: 1}, b)

			write(t, r.in("a/z"), "other content")
			level(syncer.Stats{Transferred: 1}, b) // a/z is told of by its other names alone
			write(t, r.in("a/z"), "content that is another")
			level(syncer.Stats{Transferred: 1}, b, syncer.Path{Name: "b/two", Content: true}, syncer.Path{Name: "a", Level: true})

			remove(t, r.in("c/apart"), r.at("c/d/apart"))
			level(syncer.Stats{Deleted: 1, Transferred: 1}, syncer.Path{Name: "c", Level: true}, syncer.Path{Name: "c/d", Level: true})
			level(syncer.Stats{}, syncer.Path{Name: ".", Level: true}, syncer.Path{Name: "c", Level: true}, b)
		})
	}
}
