package syncer_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lockstep-sync/lockstep/syncer"
)

// No name comes to a target that was not told before, by its name below the watched directory: of a walk of
// everything, of a tree, of a level, of what a path needs above it, and of a directory that is looked at for a name
// that is gone.
func TestFound(t *testing.T) {
	for _, local := range []bool{false, true} {
		for name, test := range map[string]struct {
			set   func(*syncer.Config)
			gone  string
			paths []syncer.Path
		}{
			"everything":    {paths: []syncer.Path{{Name: ".", Tree: true}}},
			"at once":       {set: func(c *syncer.Config) { c.HardLinks = true }, paths: []syncer.Path{{Name: ".", Tree: true}}},
			"a tree":        {paths: []syncer.Path{{Name: "d", Tree: true}}},
			"a level":       {paths: []syncer.Path{{Name: "d", Level: true}}},
			"a file":        {paths: []syncer.Path{{Name: "d/new/f"}}},
			"one gone":      {gone: "d/old", set: perDirRules, paths: []syncer.Path{{Name: "d/old"}}},
			"below a name":  {set: func(c *syncer.Config) { c.Source = filepath.Clean(c.Source) }, paths: []syncer.Path{{Name: ".", Tree: true}}},
			"verified":      {paths: []syncer.Path{{Name: "d", Level: true}, {Name: "d/new", Level: true}}},
			"with a lister": {set: func(c *syncer.Config) { c.NoIncRecurse = true }, paths: []syncer.Path{{Name: ".", Tree: true}}},
		} {
			t.Run(fmt.Sprintf("%s, local=%v", name, local), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				cfg := r.config()
				if local {
					cfg.Target = syncer.Target{Path: r.dst}
				}
				cfg.Delete, cfg.Keep = true, true
				if test.set != nil {
					test.set(&cfg)
				}
				top := ""
				if filepath.Clean(cfg.Source) == cfg.Source {
					top = filepath.Base(cfg.Source)
				}
				var mu sync.Mutex
				told := map[string]bool{}
				var early []string // told when they were there already
				fresh := false
				cfg.Found = func(dir string, names []syncer.Path) {
					mu.Lock()
					defer mu.Unlock()
					for _, p := range names {
						if filepath.Dir(p.Name) != dir {
							t.Errorf("%q is not in %q", p.Name, dir)
						}
						_, err := os.Lstat(filepath.Join(r.dst, top, p.Name))
						if err == nil && fresh && filepath.Base(p.Name) == "f" && !told[p.Name] {
							early = append(early, p.Name)
						}
						told[p.Name] = true
					}
				}
				s := r.syncer(cfg)
				write(t, r.in("d/old"), "old")
				r.mustBeWhole(s.Push(t.Context(), syncer.Full()))
				clear(told)
				fresh = true
				for _, name := range []string{"f", "d/f", "d/new/f", "d/new/sub/f"} {
					write(t, r.in(name), name)
				}
				if test.gone != "" {
					remove(t, r.in(test.gone))
				}
				r.mustBeWhole(s.Push(t.Context(), syncer.Batch{Paths: test.paths, Verify: name == "verified"}))
				if len(early) > 0 {
					t.Errorf("told after they were sent: %q", early)
				}
				news := 0
				base := filepath.Join(r.dst, top)
				err := filepath.WalkDir(base, func(path string, _ fs.DirEntry, err error) error {
					rel, _ := filepath.Rel(base, path)
					if filepath.Base(rel) != "f" && rel != "d/new" && rel != "d/new/sub" {
						return err
					}
					news++
					if !told[rel] {
						t.Errorf("%q was sent and not told", rel)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if news == 0 && !(local && test.gone != "") {
					t.Error("nothing came to the target")
				}
			})
		}
	}
}

// perDirRules has directories looked at for names that are gone, on a target that is remote.
func perDirRules(c *syncer.Config) {
	rules, err := c.Filter.With("dir-merge .rules")
	if err != nil {
		panic(err)
	}
	c.Filter = rules
}
