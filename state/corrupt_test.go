package state

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// filled returns the state file of a settled store of a tree, closed.
func filled(tb testing.TB, cfg Config) string {
	tb.Helper()
	s, _, err := Open(cfg)
	must(tb, err)
	push(tb, s, Path{".", true})
	settled(tb, s)
	must(tb, s.Put("key", "value"))
	p, err := s.Begin(context.Background(), []Path{{"directory-000/subdirectory-03", true}, {Name: "x"}})
	must(tb, err)
	p.Abandon()
	must(tb, s.Close())
	return filepath.Join(pairDir(cfg.Dir, pair{cfg.Source, cfg.Target}), stateName)
}

// use does all that a store can do. What it finds corrupt is an error, never a panic.
func use(cfg Config) error {
	s, _, err := Open(cfg)
	if err != nil {
		return err
	}
	_, err1 := s.Differs(context.Background(), []Path{{".", true}}, func([]Path) error { return nil })
	_, err2 := s.Count("directory-000")
	err3 := s.Dirs("", func(DirEntries) bool { return true })
	p, err4 := s.Begin(context.Background(), []Path{{"directory-000/subdirectory-05", true}, {Name: "gone"}, {Name: "new/f"}})
	if err4 == nil {
		p.Done(nil)
	}
	s.write.Lock()
	err5 := s.settle(s.current(), time.Now().Add(time.Hour))
	s.write.Unlock()
	err6 := s.Put("k", 1)
	for _, err := range []error{err1, err2, err3, err4, err5, err6, s.Close()} {
		if err != nil && !errors.Is(err, ErrRebuilt) {
			return err
		}
	}
	return nil
}

var corruptions = flag.Int("corruptions", 60, "how many files TestCorrupt corrupts")

// TestCorrupt flips bytes of a state file, overwrites pages and cuts it.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: tempDir(t), Source: "s", Target: "t", Root: tempDir(t), Quiet: time.Millisecond}
	makeTree(t, cfg.Root, 40, 30)
	path := filled(t, cfg)
	good, err := os.ReadFile(path)
	must(t, err)
	for round := range *corruptions {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		bad := append([]byte(nil), good...)
		switch r.IntN(4) {
		case 0, 1:
			for range 1 + r.IntN(4) {
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			}
		case 2: // the header of a page
			at := r.IntN(len(bad)/4096)*4096 + r.IntN(64)
			bad[at] = byte(r.Uint32())
		case 3:
			bad = bad[:r.IntN(len(bad))]
			if r.IntN(2) == 0 {
				bad = bad[:len(bad)&^4095]
			}
		}
		must(t, os.WriteFile(path, bad, 0o600))
		for range 2 {
			if err := use(cfg); err != nil {
				t.Fatalf("round %d, seed %d: %v", round, seed, err)
			}
		}
		aside, err := filepath.Glob(filepath.Join(filepath.Dir(path), corruptName+"*"))
		must(t, err)
		if len(aside) > 1 {
			t.Fatalf("seed %d: moved aside: %q", seed, aside)
		}
	}
}

// TestRebuilt is what makes a new file, and that it is said.
func TestRebuilt(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: tempDir(t), Source: "s", Target: "t", Root: tempDir(t), Quiet: time.Millisecond}
	makeTree(t, cfg.Root, 10, 10)
	path := filled(t, cfg)
	other := cfg
	other.Target = "u"
	otherPath := filled(t, other)
	good, err := os.ReadFile(path)
	must(t, err)
	foreign, err := os.ReadFile(otherPath)
	must(t, err)
	newer := []byte(strings.ReplaceAll(string(good), format, "lockstep-state-9"))
	for reason, content := range map[string][]byte{
		"EOF":            good[:100],
		"no bbolt file":  make([]byte, 16<<10),
		"of source":      foreign,
		"another format": newer,
	} {
		must(t, os.WriteFile(path, content, 0o600))
		s, opened, err := Open(cfg)
		must(t, err)
		if !strings.Contains(opened.Rebuilt, reason) || opened.Fresh || s.Known() || s.Total() != 0 || len(s.Dirty()) > 0 {
			t.Errorf("%s: %+v, %v, %d", reason, opened, s.Known(), s.Total())
		}
		must(t, s.Close())
		s, opened, err = Open(cfg)
		must(t, err)
		if opened != (Opened{}) {
			t.Errorf("%s: opened again: %+v", reason, opened)
		}
		must(t, s.Close())
	}
}

// TestRebuiltInUse corrupts a file that is open: all is unknown then, and a push in flight counts no more.
func TestRebuiltInUse(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: tempDir(t), Source: "s", Target: "t", Root: tempDir(t), Quiet: time.Millisecond}
	makeTree(t, cfg.Root, 40, 30)
	path := filled(t, cfg)
	s, _, err := Open(cfg)
	must(t, err)
	defer s.Close()
	p, err := s.Begin(context.Background(), []Path{{".", true}})
	must(t, err)
	must(t, os.Truncate(path, 8192)) // of which what is mapped is a fault
	err = s.Dirs("", func(DirEntries) bool { return true })
	if !errors.Is(err, ErrRebuilt) {
		t.Fatal(err)
	}
	p.Done(nil)
	s.write.Lock()
	must(t, s.settle(s.current(), time.Now().Add(time.Hour)))
	s.write.Unlock()
	if s.Known() || s.Total() != 0 {
		t.Errorf("known: %v, %d", s.Known(), s.Total())
	}
	push(t, s, Path{".", true})
	settled(t, s)
	if got := differs(t, s); !s.Known() || len(got) > 0 {
		t.Errorf("pushed again: %v", got)
	}
	must(t, s.Err())
}
