package syncer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

// What stays on a target at a name that was moved in the source has nothing to do with what is at
// the new name from then on.
func TestMovesAndWhatStays(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(t *testing.T, cfg *syncer.Config)
		stays string
	}{
		{"protected", func(t *testing.T, cfg *syncer.Config) { cfg.Filter = protecting(t, "*.keep") }, "d/x.keep"},
		{"protected directory", func(t *testing.T, cfg *syncer.Config) { cfg.Filter = protecting(t, "/d/s/") }, "d/s/x.keep"},
		{"backup", func(_ *testing.T, cfg *syncer.Config) { cfg.Backup = true }, "d/x.keep~"},
		{"backup directory", func(_ *testing.T, cfg *syncer.Config) { cfg.Backup, cfg.BackupDir = true, "../was" }, "../was/d/x.keep"},
	} {
		for _, local := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", c.name, local), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(d *syncertest.DaemonConfig) { d.Modules[0].Path = filepath.Dir(d.Modules[0].Path) })
				cfg := r.config()
				cfg.Target.Path = filepath.Base(r.dst)
				if local {
					cfg.Target = syncer.Target{Path: r.dst}
				}
				cfg.Delete, cfg.Keep = true, true
				c.set(t, &cfg)
				write(t, r.in("d/x.keep"), "content")
				write(t, r.in("d/s/x.keep"), "content")
				s := r.syncer(cfg)
				r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
				m := &mover{rig: r}
				m.mv("d", "g")
				r.mustBeWhole(s.Push(t.Context(), m.batch))
				moved := "g/x.keep"
				if filepath.Base(filepath.Dir(c.stays)) == "s" {
					moved = "g/s/x.keep"
				}
				if inodeOf(t, r.at(c.stays)) == inodeOf(t, r.at(moved)) {
					t.Errorf("%s and %s are names of one file", c.stays, moved)
				}
			})
		}
	}
}

func protecting(t *testing.T, pattern string) *filter.List {
	t.Helper()
	var b filter.Builder
	if err := b.Filter("P " + pattern); err != nil {
		t.Fatal(err)
	}
	return b.Build()
}

// A target that keeps another version of a file does not take it along to the file's new name,
// where the source has its own.
func TestMovesWithAnotherVersion(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*syncer.Options)
	}{
		{"update", func(o *syncer.Options) { o.Update = true }},
		{"size only", func(o *syncer.Options) { o.SizeOnly = true }},
	} {
		for _, local := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", c.name, local), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				cfg := r.config()
				if local {
					cfg.Target = syncer.Target{Path: r.dst}
				}
				cfg.Delete, cfg.Keep = true, true
				c.set(&cfg.Options)
				write(t, r.in("d/f"), "ours")
				touchAll(t, r.src, old())
				write(t, r.at("d/f"), "them") // newer, as large
				s := r.syncer(cfg)
				r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
				if got := read(t, r.at("d/f")); got != "them" {
					t.Fatalf("the target has %q before the move", got)
				}
				m := &mover{rig: r}
				m.mv("d", "g")
				r.mustBeWhole(s.Push(t.Context(), m.batch))
				r.equal()
			})
		}
	}
}

// A file that is only said to have changed leaves the backup of its last version alone; one that did
// change, with the same size and time, has a new one.
func TestBackupOfWhatDidNotChange(t *testing.T) {
	r := newRig(t)
	cfg := r.config()
	cfg.Backup, cfg.Keep = true, true
	s := r.syncer(cfg)
	f := r.in("f")
	step := func(content string, b syncer.Batch, backup string) {
		t.Helper()
		write(t, f, content)
		if err := os.Chtimes(f, time.Time{}, old().Add(time.Duration(len(content))*time.Hour)); err != nil {
			t.Fatal(err)
		}
		r.mustBeWhole(s.Push(t.Context(), b))
		if got := read(t, r.at("f")); got != content {
			t.Errorf("the target has %q, want %q", got, content)
		}
		if got := read(t, r.at("f~")); got != backup {
			t.Errorf("the backup is %q, want %q", got, backup)
		}
	}
	write(t, f, "first")
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	said := syncer.Batch{Paths: []syncer.Path{{Name: "f", Content: true}}}
	step("the second", said, "first")
	step("the second", said, "first")
	step("other text", said, "the second")
}

// What --prune-empty-dirs leaves out stays left out as names come and go, one by one.
func TestPruneEmptyDirsAsNamesChange(t *testing.T) {
	for _, prune := range []bool{true, false} {
		for _, local := range []bool{false, true} {
			t.Run(fmt.Sprintf("delete %v, local %v", prune, local), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				cfg := r.config()
				if local {
					cfg.Target = syncer.Target{Path: r.dst}
				}
				cfg.PruneEmptyDirs, cfg.Delete, cfg.Keep = true, prune, true
				cfg.Filter = excluding(t, "*.o")
				testPruneEmptyDirs(t, r, cfg)
			})
		}
	}
}

func testPruneEmptyDirs(t *testing.T, r *rig, cfg syncer.Config) {
	for _, name := range []string{"top", "a/b/c/f", "a/b/g", "d/e/f"} {
		write(t, r.in(name), name)
	}
	s := r.syncer(cfg)
	r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
	// A step is the names that change, and the directories that are on the target afterwards, or are not.
	step := func(change func(), there, gone []string, paths ...syncer.Path) {
		t.Helper()
		change()
		r.mustBeWhole(s.Push(t.Context(), syncer.Batch{Paths: paths}))
		for _, name := range there {
			if !exists(t, r.at(name)) {
				t.Errorf("%s is not there", name)
			}
		}
		for _, name := range gone {
			if exists(t, r.at(name)) {
				t.Errorf("%s is there", name)
			}
		}
	}
	content := func(name string) syncer.Path { return syncer.Path{Name: name, Content: true} }
	tree := func(name string) syncer.Path { return syncer.Path{Name: name, Tree: true} }
	step(func() { mkdir(t, r.in("q")) }, nil, []string{"q"}, tree("q"))
	step(func() { mkdir(t, r.in("q/r/s")) }, nil, []string{"q"}, tree("q/r"))
	step(func() { write(t, r.in("q/x.o"), "") }, nil, []string{"q"}, content("q/x.o"))
	step(func() { write(t, r.in("q/r/s/f"), "") }, []string{"q/r/s/f"}, nil, content("q/r/s/f"))
	if !cfg.Delete {
		return
	}
	step(func() { remove(t, r.in("a/b/c/f")) }, []string{"a/b/g"}, []string{"a/b/c"}, content("a/b/c/f"))
	step(func() { remove(t, r.in("a/b/g")) }, []string{"top"}, []string{"a"}, content("a/b/g"))
	step(func() { remove(t, r.in("d/e")) }, nil, []string{"d"}, tree("d/e"))
	step(func() { write(t, r.in("a/b/new"), "") }, []string{"a/b/new"}, []string{"a/b/c"}, content("a/b/new"))
	step(func() { remove(t, r.in("top"), r.in("a"), r.in("q")) }, nil, []string{"top", "a", "q"}, tree("top"), tree("a"), tree("q"))
}
