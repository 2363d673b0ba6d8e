package syncer

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/filter"
)

func perDirPair(t *testing.T, edit ...func(*Config)) (s *Syncer, src, dst string) {
	t.Helper()
	dir := t.TempDir()
	src, dst = filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	write(t, filepath.Join(src, "a", ".rules"), "- *.o\n: .more\n. ./inc/common\n")
	write(t, filepath.Join(src, "a", "inc", "common"), "- common\n")
	write(t, filepath.Join(src, "a", "b", "x.o"), "o")
	write(t, filepath.Join(src, "a", "b", "f"), "f")
	s = newPair(t, src, dst, func(c *Config) {
		c.Filter = rulesOf(t, func(b *filter.Builder) error { return b.Filter("dir-merge .rules") })
		for _, f := range edit {
			f(c)
		}
	})
	return s, src, dst
}

// Rules are those of the disk whenever they are asked for, whoever tells of a change.
func TestExcludedReadsAgain(t *testing.T) {
	s, src, _ := perDirPair(t)
	excluded := func(name string, want bool) {
		t.Helper()
		if got := s.Excluded(name, false); got != want {
			t.Errorf("Excluded(%q) = %v", name, got)
		}
	}
	excluded("a/b/x.o", true)
	excluded("a/b/common", true)
	excluded("x.o", false)
	excluded("a/b/f", false)
	write(t, filepath.Join(src, "a", "b", ".more"), "- f\n")
	excluded("a/b/f", true)
	excluded("a/f", false)
	write(t, filepath.Join(src, "a", "inc", "common"), "- f\n")
	excluded("a/f", true)
	excluded("a/b/common", false)
	must(t, os.RemoveAll(filepath.Join(src, "a")))
	excluded("a/b/x.o", false)
	write(t, filepath.Join(src, "a", ".rules"), "- /b/f\n")
	excluded("a/b/f", true)

	// What cannot be read excludes nothing; the push tells.
	write(t, filepath.Join(src, "a", ".rules"), "bogus")
	excluded("a/b/f", false)
	must(t, os.Rename(src, src+"-away"))
	excluded("a/b/f", false)
}

func TestRuleDir(t *testing.T) {
	s, src, _ := perDirPair(t)
	for _, tt := range []struct {
		name string
		dir  string // "": it is none
	}{
		{".rules", "."},
		{"a/.rules", "a"},
		{"a/b/.rules", "a/b"}, // there is none yet
		{"a/new/dir/.rules", "a/new/dir"},
		{"a/.more", "a"},
		{"a/b/.more", "a/b"},
		{".more", ""}, // named in a
		{"a/inc/common", "a"},
		{"b/inc/common", ""},
		{"a/b/f", ""},
		{"a", ""},
		{".", ""},
	} {
		s.Excluded("a/b/f", false) // the files were read
		if dir, ok := s.RuleDir(tt.name); dir != tt.dir || ok != (tt.dir != "") {
			t.Errorf("RuleDir(%q) = %q, %v", tt.name, dir, ok)
		}
	}
	write(t, filepath.Join(src, "a", ".rules"), "bogus")
	for _, name := range []string{"a/.rules", "a/b/.rules"} {
		if _, ok := s.RuleDir(name); !ok {
			t.Errorf("%s is not taken for a rule file while the one in a cannot be read", name)
		}
	}
}

// A source named without a slash: names are relative to the watched directory.
func TestRuleFileOfNamedDirectory(t *testing.T) {
	s, _, _ := perDirPair(t, func(c *Config) { c.Source = filepath.Clean(c.Source) })
	if dir, ok := s.RuleDir("a/.rules"); dir != "a" || !ok {
		t.Errorf("RuleDir = %q, %v", dir, ok)
	}
	if dir, ok := s.RuleDir(".rules"); dir != "." || !ok {
		t.Errorf("RuleDir = %q, %v", dir, ok)
	}
	if !s.Excluded("a/b/x.o", false) || s.Excluded("x.o", false) {
		t.Error("the rules are those of other names")
	}
}

// The watcher and the glue ask while files change.
func TestExcludedConcurrently(t *testing.T) {
	s, src, _ := perDirPair(t)
	var asking sync.WaitGroup
	for i := range 4 {
		asking.Go(func() {
			for n := range 200 {
				s.Excluded(fmt.Sprintf("a/b/%d.o", n), false)
				if n%20 == i {
					s.RuleDir("a/.rules")
				}
			}
		})
	}
	for n := range 20 {
		write(t, filepath.Join(src, "a", ".rules"), fmt.Sprintf("- %d\n", n))
	}
	asking.Wait()
	if !s.Excluded("a/b/19", false) || s.Excluded("a/b/x.o", false) {
		t.Error("the rules are not those of the last version")
	}
}

// A push goes by the files as they are when it begins, whether anybody told of a change or not.
func TestPushReadsRulesAgain(t *testing.T) {
	s, src, dst := perDirPair(t, func(c *Config) { c.Delete = true })
	mustPush(t, s, Full())
	if exists(t, filepath.Join(dst, "a/b/x.o")) || !exists(t, filepath.Join(dst, "a/b/f")) {
		t.Fatal("the rules of the first push were not obeyed")
	}
	write(t, filepath.Join(src, "a", ".rules"), "- f\n")
	write(t, filepath.Join(src, "a", "b", "x.o"), "new")
	write(t, filepath.Join(src, "a", "b", "f"), "new")
	mustPush(t, s, Batch{Paths: []Path{{Name: "a/b/x.o"}, {Name: "a/b/f"}}, Oldest: time.Now()})
	if !exists(t, filepath.Join(dst, "a/b/x.o")) {
		t.Error("a file that a rule hid before was not sent")
	}
	if got, err := os.ReadFile(filepath.Join(dst, "a/b/f")); err != nil || string(got) != "f" {
		t.Errorf("the file that a rule hides now is %q, %v", got, err)
	}
}

// A moved directory is renamed on a local target where the same rules are in force, and only there.
func TestMoveUnderOtherRules(t *testing.T) {
	s, src, dst := perDirPair(t, func(c *Config) { c.Delete = true })
	write(t, filepath.Join(src, "old", "x.o"), "sent, since no rule is in force here")
	mustPush(t, s, Full())
	must(t, os.Rename(filepath.Join(src, "old"), filepath.Join(src, "a", "new")))
	mustPush(t, s, Batch{
		Paths: []Path{{Name: "old", Tree: true}, {Name: "a/new", Tree: true}},
		Moves: []Move{{From: "old", To: "a/new"}}, Oldest: time.Now(),
	})
	if exists(t, filepath.Join(dst, "a/new/x.o")) || exists(t, filepath.Join(dst, "old")) {
		t.Error("what takes no part at its new place is there, or at the old one")
	}
}
