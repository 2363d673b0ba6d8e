package state

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there")
	cfg := Config{Dir: dir, Source: "/srv/www/", Target: "rsync://u@host/m", Root: t.TempDir()}
	s, opened, err := Open(cfg)
	must(t, err)
	if opened != (Opened{Fresh: true}) {
		t.Errorf("%+v", opened)
	}
	if _, _, err := Open(cfg); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), dir) {
		t.Errorf("twice: %v", err)
	}
	other := cfg
	other.Target = "host:/backup"
	s2, _, err := Open(other)
	must(t, err)
	must(t, s2.Close())

	list, err := Inspect(dir)
	must(t, err)
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Target, b.Target) })
	want := []Info{{cfg.Source, other.Target, pairDir(dir, pair{cfg.Source, other.Target}), false},
		{cfg.Source, cfg.Target, pairDir(dir, pair{cfg.Source, cfg.Target}), true}}
	if !slices.Equal(list, want) {
		t.Errorf("%+v", list)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o711, want[1].Path: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	must(t, s.Close())
	if _, err := s.Count("a"); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if list, err := Inspect(dir + "/none"); len(list) > 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	cfg.Dir = file
	if _, _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "state directory") {
		t.Errorf("a file: %v", err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), Root: t.TempDir()}
	s := opened(t, cfg)
	type ledger struct {
		Path  string
		Tries int
	}
	var got []ledger
	if ok, err := s.Get("ledger", &got); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	must(t, s.Put("ledger", []ledger{{"a\n", 3}}))
	must(t, s.Put("gone", 1))
	must(t, s.Put("gone", nil))
	must(t, s.Close())
	s = opened(t, cfg)
	if ok, err := s.Get("ledger", &got); !ok || err != nil || !slices.Equal(got, []ledger{{"a\n", 3}}) {
		t.Errorf("%v, %v, %v", got, ok, err)
	}
	if ok, err := s.Get("gone", new(int)); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := s.Get("ledger", new(int)); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Error(err)
	}
	if s.Put("", 1) == nil || s.Put("k", func() {}) == nil {
		t.Error("put")
	}
}

// TestPaths is what is refused, and what covers what.
func TestPaths(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{Dir: t.TempDir(), Root: t.TempDir()})
	for _, name := range []string{"", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\x00b"} {
		if _, err := s.Begin(context.Background(), []Path{{Name: name}}); err == nil {
			t.Errorf("begin %q", name)
		}
		if _, err := s.Differs(context.Background(), []Path{{Name: name}}, nil); err == nil {
			t.Errorf("differs %q", name)
		}
		s.Touch([]Path{{Name: name}})
	}
	long := strings.Repeat("x/", maxName) + "x"
	got, err := distinct([]Path{{"a", false}, {"a/b", true}, {"a/b/c", false}, {"a/bc", false}, {long, false}})
	want := []Path{{"a", false}, {"a/b", true}, {"a/bc", false}, {long[:maxName-1], true}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestQuiet settles by the clock: not before Quiet has passed, and not what was touched.
func TestQuiet(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root+"/a", "")
	write(t, root+"/b", "")
	s := opened(t, Config{Dir: t.TempDir(), Root: root, Quiet: 300 * time.Millisecond})
	p, err := s.Begin(context.Background(), []Path{{Name: "a"}, {Name: "b"}})
	must(t, err)
	start := time.Now()
	p.Done(nil)
	s.Touch([]Path{{Name: "b"}})
	eventually(t, "a does not settle", func() bool { return slices.Equal(s.Dirty(), []Path{{Name: "b"}}) })
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("settled after %v", took)
	}
}

// TestExcluded is what is excluded later: it differs as what is gone does, until it was pushed.
func TestExcluded(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), Root: t.TempDir(), Quiet: time.Millisecond}
	makeTree(t, cfg.Root, 1, 3)
	s := opened(t, cfg)
	push(t, s, Path{".", true})
	settled(t, s)
	must(t, s.Close())
	cfg.Excluded = func(name string, isDir bool) bool { return strings.HasSuffix(name, "/file-1.txt") && !isDir }
	s = opened(t, cfg)
	want := []Path{{Name: "directory-000/subdirectory-00/file-1.txt"}}
	if got := differs(t, s); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	push(t, s, want...)
	settled(t, s)
	if got := differs(t, s); len(got) > 0 || s.Total() != 4 {
		t.Errorf("%v, %d", got, s.Total())
	}
}
