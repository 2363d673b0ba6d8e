package state

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tester is what a test and a rapid test have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

func must(tb tester, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// tempDir is on tmpfs where there is one: the disk is not what is tested.
func tempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp(tempBase(tb), "state")
	must(tb, err)
	tb.Cleanup(func() { must(tb, os.RemoveAll(dir)) })
	return dir
}

func tempBase(tb testing.TB) string {
	if _, err := os.Stat("/dev/shm"); err != nil {
		return tb.TempDir()
	}
	return "/dev/shm"
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	must(tb, os.WriteFile(path, []byte(text), 0o644))
}

// opened returns a store of root in dir that is closed at the end.
func opened(tb testing.TB, cfg Config) *Store {
	tb.Helper()
	cfg.Source, cfg.Target = cfg.Root, "target"
	s, _, err := Open(cfg)
	must(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func push(tb tester, s *Store, paths ...Path) {
	tb.Helper()
	p, err := s.Begin(context.Background(), paths)
	must(tb, err)
	p.Done(nil)
}

func differs(tb tester, s *Store, paths ...Path) []Path {
	tb.Helper()
	if len(paths) == 0 {
		paths = []Path{{".", true}}
	}
	set := make(map[string]bool)
	_, err := s.Differs(context.Background(), paths, func(list []Path) error {
		for _, p := range list {
			set[p.Name] = set[p.Name] || p.Tree
		}
		return nil
	})
	must(tb, err)
	return sorted(set)
}

func eventually(tb tester, what string, f func() bool) {
	tb.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal(what)
		}
	}
}

func settled(tb tester, s *Store) {
	tb.Helper()
	eventually(tb, "nothing settles", func() bool { return len(s.Dirty()) == 0 })
}

func TestFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	must(t, os.MkdirAll(root+"/a/b", 0o755))
	write(t, root+"/a/b/f", "1")
	write(t, root+"/g", "1")
	s := opened(t, Config{Dir: t.TempDir(), Root: root, Quiet: time.Millisecond})
	if got := differs(t, s); !slices.Equal(got, []Path{{".", true}}) || s.Known() {
		t.Errorf("fresh: %v", got)
	}
	push(t, s, Path{".", true})
	settled(t, s)
	if got := differs(t, s); len(got) > 0 || !s.Known() || s.Total() != 4 {
		t.Errorf("pushed: %v, %d", got, s.Total())
	}
	write(t, root+"/g", "22")
	write(t, root+"/a/b/h", "22")
	must(t, os.Remove(root+"/a/b/f"))
	want := []Path{{"a/b", false}, {"a/b/f", false}, {"a/b/h", false}, {"g", false}}
	if got := differs(t, s); !slices.Equal(got, want) {
		t.Errorf("changed: %v", got)
	}
	push(t, s, want[1:]...)
	settled(t, s)
	if got := differs(t, s); len(got) > 0 || s.Total() != 4 {
		t.Errorf("pushed again: %v, %d", got, s.Total())
	}
}
