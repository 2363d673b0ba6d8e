package syncer_test

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer"
	"github.com/lockstep-sync/lockstep/syncer/filter"
	"github.com/lockstep-sync/lockstep/syncer/syncertest"
)

var perDirSeeds = flag.Int("perdir.seeds", 2, "random trees for each row of TestInteropPerDirectoryRules")

func rules(t *testing.T, list ...string) *filter.List {
	t.Helper()
	var b filter.Builder
	for _, rule := range list {
		if err := b.Filter(rule); err != nil {
			t.Fatal(err)
		}
	}
	return b.Build()
}

// Changes pushed by name, with rules in the directories: the target becomes what a full push by the
// real rsync makes of the same target, what its own rule files protect included.
func TestInteropPerDirectoryRules(t *testing.T) {
	syncertest.SkipUnderRace(t, "rules are matched by one goroutine, and pushes by name are what TestMoves and others do")
	dir := []string{"dir-merge /.rsync-filter"}
	own := []string{"dir-merge /.rsync-filter", "exclude .rsync-filter"}
	for _, tt := range []struct {
		name   string
		rules  []string
		when   syncer.When
		option string
		local  bool
		edit   func(*syncer.Config)
		more   []string
	}{
		{name: "local -F", rules: dir, local: true},
		{name: "local -FF", rules: own, local: true},
		{name: "local -F after", rules: dir, local: true, when: syncer.DeleteAfter, option: "--delete-after"},
		{name: "local -FF before", rules: own, local: true, when: syncer.DeleteBefore, option: "--delete-before"},
		{name: "local -F excluded", rules: dir, local: true, option: "--delete-excluded", edit: func(c *syncer.Config) { c.DeleteExcluded = true }},
		{name: "daemon -F", rules: dir},
		{name: "daemon -FF", rules: own},
		{name: "daemon -FF after", rules: own, when: syncer.DeleteAfter, option: "--delete-after"},
		{name: "daemon -F before", rules: dir, when: syncer.DeleteBefore, option: "--delete-before"},
		{name: "daemon -F delay", rules: dir, when: syncer.DeleteDelay, option: "--delete-delay"},
		{name: "daemon not inherited", rules: []string{"- *.log", ":n- .rsync-filter"}},
		{name: "daemon -Fm", rules: dir, edit: func(c *syncer.Config) { c.PruneEmptyDirs = true }, more: []string{"-m"}},
		{name: "local -Fm", rules: dir, local: true, edit: func(c *syncer.Config) { c.PruneEmptyDirs = true }, more: []string{"-m"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-a", "-@-1", "--delete"}, tt.more...)
			if tt.option != "" {
				args[2] = tt.option
			}
			for _, rule := range tt.rules {
				args = append(args, "--filter="+rule)
			}
			for seed := range uint64(*perDirSeeds) {
				r := &rig{t: t, src: filepath.Join(t.TempDir(), "src"), dst: filepath.Join(t.TempDir(), "dst")}
				if mkdir(t, r.src, r.dst); !tt.local {
					r = newRig(t)
				}
				c := perDir{rig: r, Rand: rand.New(rand.NewPCG(seed, 3)), args: args, at: time.Unix(1_500_000_000, 0)}
				cfg := syncer.Config{Source: r.src + "/", Target: syncer.Target{Path: r.dst}, Options: syncer.Archive(), Sink: r.sink()}
				if !tt.local {
					cfg = r.config()
				}
				cfg.Delete, cfg.DeleteWhen, cfg.Filter = true, tt.when, rules(t, tt.rules...)
				if tt.edit != nil {
					tt.edit(&cfg)
				}
				if c.run(cfg); t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// perDir is one comparison of random changes.
type perDir struct {
	*rig
	*rand.Rand
	args []string // of rsync
	at   time.Time
}

func oneOf[T comparable](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (c *perDir) name() string { return oneOf(c.Rand, "x1", "x2", "y", "z.o", "k.keep", "a.log") }
func (c *perDir) dir() string {
	return oneOf(c.Rand, ".", "a", "a/c", "a/c/d", "e", "e/kk.keep", "a/q.o")
}

func (c *perDir) ruleFile() string {
	var lines []string
	for range 1 + c.IntN(3) {
		line := oneOf(c.Rand, "- *.o", "+ x1", "- /y", "- c/", "- k*", "- /x*", "- d", "- *.keep", "- x1", "+ *", "- *.log")
		if slices.Contains(c.args, "--filter=:n- .rsync-filter") {
			line = line[2:]
		} else if c.IntN(4) == 0 {
			line = oneOf(c.Rand, "!", "P *.keep", "H x2", "-p z.o", "R k.keep", "P d/", "-! /y", "S c")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\n"
}

// put writes a file whose time no other has.
func (c *perDir) put(name, content string) {
	c.at = c.at.Add(time.Second)
	if fi, err := os.Lstat(filepath.Dir(name)); err == nil && !fi.IsDir() {
		return
	}
	if fi, err := os.Lstat(name); err == nil && fi.IsDir() {
		return
	}
	if os.MkdirAll(filepath.Dir(name), 0o755) == nil {
		write(c.t, name, content)
		touch(c.t, name, c.at)
	}
}

func (c *perDir) fill(root string) {
	for range 40 {
		c.put(filepath.Join(root, c.dir(), c.name()), fmt.Sprint(c.IntN(1000)))
	}
	for range 4 {
		c.put(filepath.Join(root, c.dir(), ".rsync-filter"), c.ruleFile())
	}
}

// reference has rsync push the source to dst until nothing changes any more, or once.
func (c *perDir) reference(dst string, times int) {
	for range times {
		if out, code := c.rsync(append(slices.Clone(c.args), c.src+"/", dst+"/")...); code != 0 {
			c.t.Fatalf("rsync ends with %d: %s", code, out)
		}
	}
}

func (c *perDir) run(cfg syncer.Config) {
	c.fill(c.src)
	c.fill(c.dst)
	c.reference(c.dst, 3)
	c.fill(c.src)
	c.reference(c.dst, 3)
	s := c.syncer(cfg)
	ref := filepath.Join(c.t.TempDir(), "ref")
	for round := range 4 {
		remove(c.t, ref)
		if out, code := c.rsync("-aH", c.dst+"/", ref+"/"); code != 0 {
			c.t.Fatal(out)
		}
		var did []string
		batch := syncer.Batch{Oldest: time.Now()}
		for range 1 + c.IntN(4) {
			name := c.change(s, &batch)
			did = append(did, name)
		}
		before := c.listing(c.dst)
		rep, err := s.Push(c.t.Context(), batch)
		if err != nil || len(rep.Problems) > 0 {
			c.t.Fatalf("push: %v, %v\n%v\nchanged %q\nsource:\n%s\ntarget before:\n%s", err, rep.Problems, c.args, did, c.listing(c.src), before)
		}
		c.reference(ref, 1)
		diffs, err := syncertest.Compare(ref, c.dst, syncertest.CompareOptions{IgnoreOwners: os.Geteuid() != 0})
		if err != nil {
			c.t.Fatal(err)
		}
		for _, d := range diffs {
			if d.Kind != syncertest.Missing && strings.Contains(d.String(), "mtime") {
				continue // of directories: a partial push leaves those alone that it has nothing to say about
			}
			c.t.Errorf("round %d: rsync's %s", round, d)
		}
		if c.t.Failed() {
			c.t.Logf("%v\nchanged: %q\nsource:\n%s\ntarget before:\n%s\nmessages %q items %q", c.args, did, c.listing(c.src), before, c.messages, c.items)
			return
		}
		// Rules that came with this push count from the next one on, for both.
		c.reference(c.dst, 3)
	}
}

// change changes the source and tells of it.
func (c *perDir) change(s *syncer.Syncer, b *syncer.Batch) string {
	name := path.Join(c.dir(), c.name())
	switch c.IntN(6) {
	case 0, 1:
		c.put(c.in(name), fmt.Sprint("new ", c.IntN(1000)))
	case 2:
		name = path.Join(c.dir(), ".rsync-filter")
		c.put(c.in(name), c.ruleFile())
	case 3:
		if name = c.dir(); name == "." {
			name = "a"
		}
		remove(c.t, c.in(name))
	default:
		remove(c.t, c.in(name))
	}
	b.Paths = append(b.Paths, syncer.Path{Name: name, Tree: true})
	if dir, ok := s.RuleDir(name); ok {
		b.Paths = append(b.Paths, syncer.Path{Name: dir, Tree: true})
	}
	return name
}

func (c *perDir) listing(root string) string {
	var text strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && path.Base(p) == ".rsync-filter" {
			fmt.Fprintf(&text, "%s: %q\n", p[len(root):], read(c.t, p))
		} else if err == nil {
			fmt.Fprintf(&text, "%s\n", p[len(root):])
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return text.String()
}
